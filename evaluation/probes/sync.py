"""Sync probe: a narrow SyncNet on the mouth's part of small pictures, trained to find each moment's own sound.

For every lip window of a speaking moment, its own sound must lie nearer than the same voice up to 15 frames earlier and
later, than nothing (the metric pads sound with zeros), and than another clip's sound.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from dyads.contract import ROLES, Dyad, read_wav
from dyads.errors import ConfigError
from dyads.media.video import read_video
from dyads.seeding import rng
from evaluation.clips import voiced
from evaluation.networks.syncnet import WINDOW, SyncNet, cepstra, sound_windows, stacked
from evaluation.probes.frames import relight, soften, to_tensor
from evaluation.readings.lip_sync import SHIFT

TOP, LEFT, SIDE = 0.44, 0.25, 0.5  # the mouth's square, in picture sides
MARGIN = 1 / 16  # of that square on every side, for training crops that are displaced
ROWS = 32  # lip windows of one training sample
SHARPNESS = 10.0  # of the softmax over distances


class SyncProbe(SyncNet):
    """SyncNet of the mouth's square, scaled to `size` pixels; features of length one."""

    def __init__(self, width: float = 1 / 8, size: int = 64) -> None:
        super().__init__(width, size)

    def lips(self, windows: Tensor) -> Tensor:
        return F.normalize(super().lips(windows), dim=-1)

    def along(self, pictures: Tensor) -> Tensor:
        return F.normalize(super().along(pictures), dim=-1)

    def forward_aud(self, windows: Tensor) -> Tensor:
        return F.normalize(super().forward_aud(windows), dim=-1)

    def pictures(self, frames: np.ndarray) -> Tensor:
        return self.scaled(to_tensor(mouth(frames)))

    def scaled(self, mouths: Tensor) -> Tensor:
        """BGR float (N, 3, S, S) in 0..255 of RGB (N, 3, h, w)."""
        shape, pictures = (self.size, self.size), mouths.flip(1).float()
        if pictures.shape[-2:] == shape:
            return pictures
        return F.interpolate(pictures, shape, mode="bilinear", antialias=True, align_corners=False)


def mouth(frames: np.ndarray, margin: float = 0.0) -> np.ndarray:
    """The mouth's square of frames (T, H, W, 3), wider by `margin` of it on every side."""
    height, width = frames.shape[1:3]
    top, left, side = TOP - margin * SIDE, LEFT - margin * SIDE, SIDE * (1 + 2 * margin)
    rows, columns = (slice(round(a * n), round((a + side) * n)) for a, n in ((top, height), (left, width)))
    return frames[:, rows, columns]


@dataclass(frozen=True)
class VoiceSet:
    """Speaking clips: pictures of mouths with a margin, the windows of their own voice, and who of them speaks."""

    mouths: tuple[Tensor, ...]  # uint8 (T, 3, h, h) each, with one h for all
    sounds: tuple[Tensor, ...]  # float32 (T - 5, 1, 13, 20)
    speaks: tuple[Tensor, ...]  # bool (T - 5,): all five frames

    def __len__(self) -> int:
        return len(self.mouths)


def sample_voices(dyads: list[Dyad], *, size: int, videos: int, seed: int) -> VoiceSet:
    """Up to `videos` videos, spread evenly over subjects, but those without speech or shorter than a sample."""
    sides: dict[str, list[tuple[Dyad, str]]] = {}
    for dyad in dyads:
        for role in ROLES:
            sides.setdefault(dyad.side(role).subject_id, []).append((dyad, role))
    for subject, items in sides.items():
        rng(seed, "sync-videos", subject).shuffle(items)
    depth = max(map(len, sides.values()))
    ranks = [(level, subject) for level in range(depth) for subject in sorted(sides)]
    chosen = [sides[subject][level] for level, subject in ranks if level < len(sides[subject])]
    mouths, sounds, speaks = [], [], []
    for dyad, role in chosen[:videos]:
        audio = read_wav(dyad.side(role))
        windows = torch.from_numpy(sound_windows(cepstra(audio)))
        speech = torch.from_numpy(voiced(audio, len(windows) + WINDOW - 1)).unfold(0, WINDOW, 1).all(-1)
        if len(windows) < ROWS or not speech.any():
            continue
        pictures = to_tensor(mouth(read_video(dyad.side(role).video), MARGIN))
        side = mouths[0].shape[-1] if mouths else min(pictures.shape[-1], round(size * (1 + 2 * MARGIN)))
        if pictures.shape[-2:] != (side, side):
            pictures = F.interpolate(pictures, (side, side), mode="bilinear", antialias=True)
        mouths.append(pictures)
        sounds.append(windows)
        speaks.append(speech)
    return VoiceSet(tuple(mouths), tuple(sounds), tuple(speaks))


@dataclass
class SyncTask:
    """Own sound against other moments, none, another clip: cross-entropy of distances (`training.engine.loop.Task`)."""

    module: SyncProbe
    data: VoiceSet
    batch_size: int  # at least two: each sample's foreign sound is its neighbour's

    def __post_init__(self) -> None:
        if self.batch_size < 2:
            raise ConfigError(f"probes.sync.train.batch_size is {self.batch_size}, but must be at least 2.")

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Any]:
        chosen = torch.randint(len(self.data), (self.batch_size,), generator=generator).tolist()
        samples = [self._sample(clip, generator) for clip in chosen]
        return {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}

    def _sample(self, clip: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Windows around a random speaking moment; sounds reach 15 frames further, and are absent beyond the clip."""
        mouths, sounds, speaks = self.data.mouths[clip], self.data.sounds[clip], self.data.speaks[clip]
        moments = speaks.nonzero()[:, 0]
        moment = int(moments[torch.randint(len(moments), (1,), generator=generator)])
        start = moment - int(torch.randint(ROWS, (1,), generator=generator))
        start = min(max(start, 0), len(sounds) - ROWS)
        places = torch.arange(start - SHIFT, start + ROWS + SHIFT)
        there = (places >= 0) & (places < len(sounds))
        return {
            "mouths": mouths[start : start + ROWS + WINDOW - 1],
            "sounds": sounds[places.clamp(0, len(sounds) - 1)],
            "there": there,
            "speaks": speaks[start : start + ROWS],
        }

    def loss(self, batch: dict[str, Any], generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        speaks, there = batch["speaks"], batch["there"]
        pictures = displaced(batch["mouths"], generator)
        windows = torch.stack([stacked(self.module.scaled(clip)) for clip in pictures])
        lips = self.module.lips(windows[speaks])[:, None]
        sounds = self.module.forward_aud(batch["sounds"].flatten(0, 1))
        sounds = rearrange(sounds, "(b t) e -> b t e", b=len(there)) * there[..., None]
        clip, row = speaks.nonzero(as_tuple=True)
        near = sounds[clip[:, None], row[:, None] + torch.arange(2 * SHIFT + 1, device=row.device)]
        other = sounds[clip - 1, row + SHIFT][:, None]  # of the clip before in the batch
        against = torch.cat([near, other, torch.zeros_like(other)], 1)
        scores = -SHARPNESS * (lips - against).norm(dim=-1)
        target = torch.full((len(scores),), SHIFT, device=scores.device)
        loss = F.cross_entropy(scores, target)
        return loss, {"accuracy": (scores.argmax(1) == target).float().mean()}


def displaced(mouths: Tensor, generator: torch.Generator) -> Tensor:
    """uint8 (B, T, 3, h, h) with margin to float (B, T, 3, h', h') without: another place, side and light for each
    sample, another sharpness for each frame."""
    total = mouths.shape[-1]
    kept = round(total / (1 + 2 * MARGIN))
    found = []
    for clip in mouths:
        top, left = torch.randint(total - kept + 1, (2,), generator=generator).tolist()
        clip = clip[..., top : top + kept, left : left + kept].float() / 127.5 - 1
        if torch.rand((), generator=generator) < 0.5:
            clip = clip.flip(-1)
        found.append(clip)
    pictures = torch.stack(found)
    (pictures,) = relight((rearrange(pictures, "b t c h w -> b c (t h) w"),), generator)
    pictures = rearrange(pictures, "b c (t h) w -> (b t) c h w", h=kept)
    pictures = soften(pictures, generator)
    return rearrange((pictures + 1) * 127.5, "(b t) c h w -> b t c h w", b=len(mouths))
