"""The study's videos: the person on the left, an avatar on the right, both voices; all made by one encoder."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dyads.contract import FPS, SAMPLES_PER_FRAME, DyadArrays, load_arrays, read_manifest
from dyads.errors import ConfigError, DataError
from dyads.media.video import read_video, write_video
from dyads.records import Dyad
from evaluation.clips import avatar_speaking, read_truth
from user_study import Stimulus

GAP = 8  # pixels between the two faces
GREY = 128
SHIFT_SECONDS = 1.5  # of the avatar's face against its voice, in a 'shifted' check
SPEECH_SECONDS = 2.0  # of the avatar's voice in a dialogue of a check


@dataclass(frozen=True)
class VideoOptions:
    """`row_seed`: which seed's videos; `height`: faces are enlarged by a whole factor to at least this many pixels."""

    row_seed: int = 0
    height: int = 256

    def __post_init__(self) -> None:
        if self.height < 16 or self.row_seed < 0:
            raise ConfigError(f"--height {self.height} must be at least 16, --row-seed {self.row_seed} at least 0.")


def find_dialogues(results: Path, data: Path, split: str, methods: tuple[str, ...], row_seed: int) -> list[Dyad]:
    """The dialogues of a split of which every method has a video; DataError, naming what lacks, if there is none."""
    dyads = read_manifest(data, split)
    lacking = {
        method: [dyad.dyad_id for dyad in dyads if not video_of(results, method, row_seed, dyad.dyad_id).is_file()]
        for method in methods
    }
    common = [dyad for dyad in dyads if all(dyad.dyad_id not in names for names in lacking.values())]
    if not common:
        worst = max(lacking, key=lambda method: len(lacking[method]))
        raise DataError(
            f"{results}/videos has no dialogue of which every method has a video; {worst} (seed {row_seed}) lacks "
            f"{len(lacking[worst])} of {len(dyads)}; generate them, or leave the method out."
        )
    return common


def spoken(dyads: list[Dyad]) -> tuple[str, ...]:
    """The dialogues in which the avatar speaks for at least `SPEECH_SECONDS`: only there lips can be judged."""
    found = []
    for dyad in dyads:
        sound = load_arrays(dyad, ()).avatar_audio
        speaking = avatar_speaking(dyad, len(sound) // SAMPLES_PER_FRAME, sound, read_truth(dyad))
        if speaking is not None and speaking.sum() >= SPEECH_SECONDS * FPS:
            found.append(dyad.dyad_id)
    return tuple(found)


def video_of(results: Path, method: str, row_seed: int, dialogue: str) -> Path:
    """The generated video of a row."""
    return results / "videos" / method / f"seed{row_seed}" / f"{dialogue}.mp4"


def avatar_frames(stimulus: Stimulus, arrays: DyadArrays, results: Path, row_seed: int) -> np.ndarray:
    """The avatar side of a stimulus, uint8 (T, H, W, 3), as large and long as the true one.

    'frozen': the true video's first frame throughout; 'shifted': the true video shifted by `SHIFT_SECONDS`, in a
    circle, while its sound stays. DataError: a generated video of another length.
    """
    true = arrays.avatar_frames
    if stimulus.kind == "true":
        return true
    if stimulus.kind == "frozen":
        return np.broadcast_to(arrays.reference, true.shape)
    if stimulus.kind == "shifted":
        return np.roll(true, min(round(SHIFT_SECONDS * FPS), len(true) // 2), axis=0)
    path = video_of(results, stimulus.method, row_seed, stimulus.dialogue)
    frames = read_video(path, size=true.shape[1:3])
    if len(frames) != len(true):
        raise DataError(f"{path} has {len(frames)} frames, the true video {len(true)}; generate it again.")
    return frames


def side_by_side(person: np.ndarray, avatar: np.ndarray, height: int) -> np.ndarray:
    """Two uint8 videos (T, H, W, 3) beside each other, each enlarged by the smallest whole factor that gives `height`.

    The person's is brought to the avatar's height; sides come out even.
    """
    factor = max(1, -(-height // avatar.shape[1]))
    tall = 2 * (factor * avatar.shape[1] // 2)
    parts = [_resize(video, tall) for video in (person, avatar)]
    gap = np.full((len(avatar), tall, GAP, 3), GREY, np.uint8)
    return np.concatenate([parts[0], gap, parts[1]], axis=2)


def _resize(video: np.ndarray, height: int) -> np.ndarray:
    width = 2 * round(video.shape[2] * height / video.shape[1] / 2)
    if video.shape[1:3] == (height, width):
        return video
    size = (width, height)
    return np.stack([np.asarray(Image.fromarray(f).resize(size, Image.Resampling.BICUBIC)) for f in video])


def mixed(person: np.ndarray, avatar: np.ndarray) -> np.ndarray:
    """Both voices, float32 (N,) in [-1, 1]; turned down together if their sum is too loud."""
    total = (person + avatar).astype(np.float32)
    return total / max(1.0, float(np.abs(total).max(initial=0.0)))


def write_stimuli(
    folder: Path, stimuli: dict[str, Stimulus], dyads: list[Dyad], results: Path, options: VideoOptions
) -> None:
    """Write `<token>.mp4` for every stimulus; a dialogue is decoded once."""
    for dyad in dyads:
        own = {token: stimulus for token, stimulus in stimuli.items() if stimulus.dialogue == dyad.dyad_id}
        if not own:
            continue
        arrays = load_arrays(dyad)
        sound = mixed(arrays.user_audio, arrays.avatar_audio)
        for token in sorted(own):
            frames = avatar_frames(own[token], arrays, results, options.row_seed)
            write_video(
                folder / f"{token}.mp4", side_by_side(arrays.user_frames, frames, options.height), sound, crf=18
            )
        print(f"{dyad.dyad_id}: {len(own)} videos", flush=True)
