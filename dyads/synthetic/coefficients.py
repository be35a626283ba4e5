"""The 17 face coefficients of the synthetic world: their order, groups and neutral value."""

import numpy as np

COEFFICIENTS = (
    "jaw_open", "lip_width", "lip_round", "lip_press",
    "smile", "brow_raise", "brow_furrow", "brow_inner", "cheek",
    "eye_open", "gaze_x", "gaze_y",
    "yaw", "pitch", "roll", "shift_x", "shift_y",
)  # fmt: skip
INDEX = {name: i for i, name in enumerate(COEFFICIENTS)}
LIPS = slice(0, 4)
EXPRESSION = slice(4, 9)
EYES = slice(9, 12)
POSE = slice(12, 17)
EMOTIONS = ("neutral", "joy", "sadness", "anger", "surprise")
CUES = ("face", "voice", "words")  # bit i of a cue mask
FACE_CUE, VOICE_CUE, WORDS_CUE = 1, 2, 4
STATES = ("pause", "avatar_speaks", "user_speaks", "both_speak", "avatar_backchannel", "user_backchannel")


def neutral(frames: int) -> np.ndarray:
    """Neutral coefficients, float32 (frames, 17): all zero but `eye_open` = 1."""
    values = np.zeros((frames, len(COEFFICIENTS)), np.float32)
    values[:, INDEX["eye_open"]] = 1.0
    return values
