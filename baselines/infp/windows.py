"""Cut a dialogue into INFP's windows: audio around each frame, motion, the frames before, a clip for the style."""

import torch
from einops import rearrange
from torch import Tensor

from baselines.infp.options import ModelOptions
from baselines.motion.method import MotionDialogue
from baselines.motion.voice import above_own_quiet
from echo_model.clips import slice_padded


def audio_windows(audio: Tensor, start: int, stop: int, hear: int) -> Tensor:
    """Audio (T, D) -> (stop - start, hear * D): the frames around each frame.

    Clamped to the first frame of all and to the last of this window: what is said after the window is not heard.
    """
    around = torch.arange(start, stop)[:, None] + torch.arange(-(hear // 2), hear // 2 + 1)
    return rearrange(audio[around.clamp(0, stop - 1)], "n w d -> n (w d)")


def heard(dialogue: MotionDialogue, start: int, options: ModelOptions) -> dict[str, Tensor]:
    """Both voices of the window that begins at frame `start`, (n, hear * D) each; n < N at the dialogue's end."""
    stop = min(start + options.window, dialogue.frames)
    return {
        "a_self": audio_windows(dialogue.avatar_audio, start, stop, options.hear),
        "a_other": audio_windows(dialogue.user_audio, start, stop, options.hear),
    }


def training_window(dialogue: MotionDialogue, start: int, style_start: int, options: ModelOptions) -> dict[str, Tensor]:
    """A window of N frames with its true motion; frames after the dialogue's end are zero and not `valid`.

    The style is read from N frames at `style_start`, held still where the dialogue ends before.
    """
    motion = dialogue.avatar_motion
    frames = min(options.window, dialogue.frames - start)
    style = (style_start + torch.arange(options.window)).clamp_max(dialogue.frames - 1)
    return {
        **{name: slice_padded(x, 0, options.window) for name, x in heard(dialogue, start, options).items()},
        "x": slice_padded(motion, start, start + options.window),
        "previous": slice_padded(motion, start - options.previous, start),  # before the start: the reference, zero
        "style": motion[style],
        "valid": torch.arange(options.window) < frames,
    }


def starts(dialogue: MotionDialogue, options: ModelOptions) -> Tensor:
    """Where training windows may begin: at least half of a window lies in the dialogue."""
    return torch.arange(max(dialogue.frames - options.window // 2, 1))


def single_sided(dialogue: MotionDialogue, options: ModelOptions, most: float = 0.1) -> Tensor:
    """Those of `starts` whose window one of the two spends in silence, but for a share `most` of its frames."""
    shares = []
    for audio in (dialogue.avatar_audio, dialogue.user_audio):
        said = above_own_quiet(audio).float()[:, None]
        said = slice_padded(said, 0, dialogue.frames + options.window)[:, 0].cumsum(0)
        said = torch.cat([said.new_zeros(1), said])
        shares.append((said[options.window :] - said[: -options.window]) / options.window)
    places = starts(dialogue, options)
    return places[torch.minimum(*shares)[places] <= most]
