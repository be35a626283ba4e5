"""Who speaks, told from audio features (T, 50) by rules; nothing is learned.

The methods that need it ask three different questions, so there are three rules. ARIG: is there voice in my own
microphone, frame by frame, with no look at the other (its paper runs a WebRTC detector on each). DIM: which of the two
roles, that its released code keeps in two models, is the avatar's; one has it for a while, and bleed must not take it.
INFP: in which training windows is one of the two silent; offline, so it may use the whole recording. What they share
is the level they look at, `loudness`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from echo_model.backbones.audio import MELS

MARGIN = 0.4  # voice is this far above the noise floor: 6 dB, for a feature is log10(power) / 1.5
FLOOR = (-1.6, -1.0)  # where the noise floor may lie; the upper end keeps a voice in frame 0 from passing for noise
RISE = 0.003  # per frame, how fast the floor follows louder noise
HANGOVER = 4  # frames that a voice is held on: plosives and short breaths

VOICED, BLEED, HOLD = 0.3, 0.8, 10  # voicing; log-mel units, 12 dB; frames


def loudness(audio: Tensor) -> Tensor:
    """The level of features (..., 50): the mean of their log-mel values (...)."""
    return audio[..., : 2 * MELS].mean(-1)


class VoiceActivity:
    """A causal voice activity detector for one microphone; it keeps two numbers.

    The noise floor is the level's running minimum, which rises slowly; a frame is voice if it lies `MARGIN` above the
    floor, and for `HANGOVER` frames after that. The other person's voice, leaked into the microphone some 25 dB lower,
    stays below the margin for the most part.
    """

    def __init__(self) -> None:
        self.floor, self.held = FLOOR[1], 0

    def step(self, level: float) -> bool:
        """Is there voice in a frame of this level?"""
        self.floor = max(min(level, self.floor + RISE, FLOOR[1]), FLOOR[0])
        self.held = HANGOVER + 1 if level > self.floor + MARGIN else max(self.held - 1, 0)
        return self.held > 0


def voice_activity(audio: Tensor) -> Tensor:
    """Features (T, 50) -> bool (T,) by `VoiceActivity`; frame t is decided by frames 0 .. t."""
    detector = VoiceActivity()
    return torch.tensor([detector.step(level) for level in loudness(audio).tolist()], dtype=torch.bool)


def speaking(own: Tensor, other: Tensor) -> Tensor:
    """Who has the role of the speaker, from audio features (T, 50) of both: bool (T,), past and present only.

    A voice counts if it is no bleed of the other's, and for HOLD frames more.
    """
    loud = loudness(own) > loudness(other) - BLEED
    voiced = (loud & (own[:, -1] > VOICED)).float()
    return F.max_pool1d(F.pad(voiced, (HOLD, 0))[None], HOLD + 1, 1)[0] > 0


def above_own_quiet(audio: Tensor) -> Tensor:
    """Audio features (T, 50) -> whether this voice is well above its own quiet, (T,); looks at all frames."""
    loud = loudness(audio)
    quiet, top = loud.quantile(0.1), loud.quantile(0.95)
    return loud > quiet + (0.3 * (top - quiet)).clamp_min(0.2)
