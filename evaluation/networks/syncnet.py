"""SyncNet: lips and voice in one space of features; syncnet-python's architecture at any width and picture size.

At width 1 and 224 pixels the keys and shapes are those of `syncnet_v2.model`, and so are the features. Lip windows of
five frames are made by one pass over all frames, as 2-D convolutions with the five frames as channels.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from dyads.contract import SAMPLE_RATE
from dyads.errors import ConfigError
from evaluation.networks import Network
from evaluation.networks._folding import folded
from evaluation.networks._state import fit_state, read_state

WANTED = "syncnet_v2.model"
WINDOW = 5  # frames of one feature
CEPSTRA, PER_FRAME = 13, 4  # coefficients; MFCC vectors (100 a second) of one frame
BATCH = 32  # lip windows at once


def lip_map(size: int) -> int:
    """Side of the map that the last lip convolution closes, for a picture of `size` pixels; 0 or less: too small."""
    for kernel, stride, padding in ((7, 2, 0), (3, 2, 0), (5, 2, 1), (3, 2, 1), (3, 2, 0)):
        size = (size + 2 * padding - kernel) // stride + 1
    return size


class SyncNet(nn.Module):
    """Two towers: BGR pictures in 0..255 and MFCC, each to features (N, 1024 x width) of `WINDOW` frames.

    ConfigError if `size` is too small for the architecture.
    """

    def __init__(self, width: float = 1.0, size: int = 224) -> None:
        super().__init__()
        if lip_map(size) < 1:
            raise ConfigError(f"SyncNet's picture size is {size}, but must be at least 51.")
        self.size = size
        a, b, c, d, e, f = (max(1, round(n * width)) for n in (64, 96, 192, 256, 384, 512))
        out = max(1, round(1024 * width))
        self.netcnnaud = nn.Sequential(
            *_audio(1, a), nn.MaxPool2d(1, 1),
            *_audio(a, c), nn.MaxPool2d(3, (1, 2)),
            *_audio(c, e), *_audio(e, d), *_audio(d, d), nn.MaxPool2d(3, 2),
            *_audio(d, f, (5, 4), 0),
        )  # fmt: skip
        self.netfcaud = _head(f, out)
        self.netfclip = _head(f, out)
        self.netcnnlip = nn.Sequential(
            *_lip(3, b, 7, 2, 0, WINDOW), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_lip(b, d, 5, 2, 1), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_lip(d, d, 3, 1, 1), *_lip(d, d, 3, 1, 1), *_lip(d, d, 3, 1, 1), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_lip(d, f, lip_map(size), 1, 0),
        )  # fmt: skip

    def forward_lip(self, windows: Tensor) -> Tensor:
        """Features (N, E) of BGR windows (N, 3, 5, S, S) in 0..255; syncnet-python calls this."""
        return self.lips(rearrange(windows, "n c k h w -> n (k c) h w"))

    def forward_aud(self, windows: Tensor) -> Tensor:
        """Features (N, E) of MFCC windows (N, 1, 13, 20); syncnet-python calls this."""
        return self.netfcaud(self.netcnnaud(windows).flatten(1))

    def lips(self, windows: Tensor) -> Tensor:
        """Features (N, E) of windows (N, 15, S, S), channels in the order (frame, colour).

        The same convolutions in 2-D and, outside training, with batch normalisation folded into them: on a CPU 1.4
        times as fast as in 3-D.
        """
        return self._tower(windows.contiguous(memory_format=torch.channels_last), list(self.netcnnlip))

    def along(self, pictures: Tensor) -> Tensor:
        """Features (T - 4, E) of all windows of consecutive BGR pictures (T, 3, S, S), T >= 5; not for training.

        The first convolution, the only one over time, goes through all of them at once, so no window is copied.
        """
        first, norm, _, pool, *rest = self.netcnnlip
        weight, bias = _without(norm, first)
        weight = weight.contiguous(memory_format=torch.channels_last_3d)
        clip = rearrange(pictures, "t c h w -> 1 c t h w").contiguous(memory_format=torch.channels_last_3d)
        seen = rearrange(F.conv3d(clip, weight, bias, first.stride), "1 c t h w -> t c h w")
        return self._tower(F.relu(_pooled(seen, pool)), rest)  # the same the other way round, on a quarter

    def _tower(self, x: Tensor, layers: list[nn.Module]) -> Tensor:
        for layer, norm in zip(layers, [*layers[1:], None], strict=True):
            if isinstance(layer, nn.MaxPool3d):
                x = _pooled(x, layer)
            elif isinstance(layer, nn.Conv3d):
                weight, bias = (layer.weight, layer.bias) if self.training else _without(norm, layer)
                weight = rearrange(weight, "o i k h w -> o (k i) h w")
                x = F.conv2d(x, weight, bias, layer.stride[1:], layer.padding[1:])
                if self.training:
                    x = F.batch_norm(
                        x, norm.running_mean, norm.running_var, norm.weight, norm.bias, True, norm.momentum, norm.eps
                    )
                x = F.relu(x)
        return self.netfclip(x.flatten(1))

    def look(self, frames: np.ndarray) -> np.ndarray:
        """Lip features, float32 (T - 4, E), of uint8 RGB frames (T, H, W, 3) of any size; fewer than five give none."""
        device = self.netfclip[-1].weight.device
        found = [np.zeros((0, self.features), np.float32)]
        for start in range(0, len(frames) - WINDOW + 1, BATCH):
            pictures = self.pictures(frames[start : start + BATCH + WINDOW - 1])
            with torch.inference_mode():
                found.append(self.along(pictures.to(device)).cpu().numpy())
        return np.concatenate(found)

    @torch.inference_mode()
    def listen(self, audio: np.ndarray) -> np.ndarray:
        """Voice features, float32 (T - 5, E), of float (640 T,) sound in [-1, 1] at 16 kHz."""
        device = self.netfcaud[-1].weight.device
        found = [np.zeros((0, self.features), np.float32)]
        for windows in torch.from_numpy(sound_windows(cepstra(audio))).split(4 * BATCH):
            found.append(self.forward_aud(windows.to(device)).cpu().numpy())
        return np.concatenate(found)

    def pictures(self, frames: np.ndarray) -> Tensor:
        """BGR float (N, 3, S, S) in 0..255 of uint8 RGB frames (N, H, W, 3): whole frames, resized."""
        pictures = rearrange(torch.from_numpy(frames), "n h w c -> n c h w")
        if frames.shape[1:3] != (self.size, self.size):  # colours last, on bytes: as Pillow, nine times as fast
            pictures = F.interpolate(pictures, (self.size, self.size), mode="bicubic", antialias=True)
        return pictures.flip(1).float()

    @property
    def features(self) -> int:
        return self.netfcaud[-1].out_features


def _pooled(x: Tensor, layer: nn.MaxPool3d) -> Tensor:
    """What a pooling of single frames does to pictures (N, C, H, W)."""
    padding = layer.padding if isinstance(layer.padding, int) else layer.padding[1:]
    return F.max_pool2d(x, layer.kernel_size[1:], layer.stride[1:], padding)


def _without(norm: nn.Module, convolution: nn.Conv3d) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution that does its batch normalisation too; a folded one does already."""
    weight, bias = convolution.weight, convolution.bias
    if isinstance(norm, nn.Identity):
        return weight, bias
    gain = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return weight * gain[:, None, None, None, None], (bias - norm.running_mean) * gain + norm.bias


def _audio(a: int, b: int, kernel: int | tuple[int, int] = 3, padding: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(a, b, kernel, padding=padding), nn.BatchNorm2d(b), nn.ReLU()]


def _lip(a: int, b: int, kernel: int, stride: int, padding: int, frames: int = 1) -> list[nn.Module]:
    convolution = nn.Conv3d(a, b, (frames, kernel, kernel), (1, stride, stride), (0, padding, padding))
    return [convolution, nn.BatchNorm3d(b), nn.ReLU()]


def _head(a: int, b: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(a, a), nn.BatchNorm1d(a), nn.ReLU(), nn.Linear(a, b))


def stacked(frames: Tensor) -> Tensor:
    """Frames (T, C, H, W) as windows (T - 4, 5 x C, H, W), colours last in memory, which the convolutions want."""
    count = len(frames) - WINDOW + 1
    if count < 1:
        return frames.new_zeros(0, frames.shape[1] * WINDOW, *frames.shape[2:])
    frames = frames.contiguous(memory_format=torch.channels_last)
    return torch.cat([frames[k : k + count] for k in range(WINDOW)], 1)


def cepstra(audio: np.ndarray) -> np.ndarray:
    """MFCC, float32 (4 T - 1, 13), of float (640 T,) sound in [-1, 1] at 16 kHz, as python_speech_features computes
    them from 16-bit samples."""
    import python_speech_features  # only where sound is heard

    pcm = np.clip(np.rint(audio * 32768.0), -32768, 32767).astype(np.int16)
    return python_speech_features.mfcc(pcm, SAMPLE_RATE).astype(np.float32)


def sound_windows(mfcc: np.ndarray) -> np.ndarray:
    """Windows (T - 5, 1, 13, 20) of MFCC (4 T - 1, 13), one for each frame but the last five.

    Not one convolution over the whole sound: the audio tower pads every window with zeros in time, so that would be
    another network. It costs little beside the lips.
    """
    if len(mfcc) < WINDOW * PER_FRAME:
        return np.zeros((0, 1, CEPSTRA, WINDOW * PER_FRAME), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(mfcc, WINDOW * PER_FRAME, axis=0)[::PER_FRAME]
    return np.ascontiguousarray(windows)[:, None]


def load(path: Path | str) -> SyncNet:
    """The published network with the weights of a file; ConfigError if it does not hold them."""
    return folded(fit_state("syncnet", path, SyncNet(), read_state("syncnet", path, WANTED), WANTED))


NETWORK = Network(
    slot="syncnet",
    load=load,
    file="syncnet_v2.model",
    page="https://www.robots.ox.ac.uk/~vgg/software/lipsync/",
    url="https://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
    licence="CC-BY 4.0",
    megabytes=54.6,
    sha256="961e8696…5442",
)
