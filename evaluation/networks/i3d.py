"""I3D (Carreira and Zisserman 2017) in the key layout of pytorch-i3d, as in FVD: 400 Kinetics logits of a window."""

from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from evaluation.networks import Network
from evaluation.networks._folding import folded
from evaluation.networks._state import fit_state, read_state
from evaluation.probes.windows import windows

WANTED = "i3d_pretrained_400.pt"
FEATURES, SIZE = 400, 224
WINDOW, STRIDE = 16, 16  # frames
# Pools by kernel and stride, units by channels, kernel and stride, Mixed blocks by the channels of their six units.
LAYERS: dict[str, tuple] = {
    "Conv3d_1a_7x7": (64, 7, (2, 2, 2)),
    "MaxPool3d_2a_3x3": ((1, 3, 3), (1, 2, 2)),
    "Conv3d_2b_1x1": (64, 1, (1, 1, 1)),
    "Conv3d_2c_3x3": (192, 3, (1, 1, 1)),
    "MaxPool3d_3a_3x3": ((1, 3, 3), (1, 2, 2)),
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "MaxPool3d_4a_3x3": ((3, 3, 3), (2, 2, 2)),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "MaxPool3d_5a_2x2": ((2, 2, 2), (2, 2, 2)),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}


def _padded(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """(B, C, T, H, W) with zeros around it so that the output has ⌈size / stride⌉ places, the odd one at the end."""
    sides: list[int] = []
    for size, k, s in reversed(list(zip(x.shape[2:], kernel, stride, strict=True))):
        total = max((-(-size // s) - 1) * s + k - size, 0)
        sides += [total // 2, total - total // 2]
    return F.pad(x, sides)


class Pool(nn.Module):
    """Maximum over a padded neighbourhood."""

    def __init__(self, kernel: tuple[int, ...], stride: tuple[int, ...]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool3d(_padded(x, self.kernel, self.stride), self.kernel, self.stride)


class Unit(nn.Module):
    """Convolution of a padded input, batch normalisation, ReLU."""

    def __init__(self, a: int, b: int, kernel: int, stride: tuple[int, ...] = (1, 1, 1)) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(a, b, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(b)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv3d(_padded(x, self.conv3d.kernel_size, self.conv3d.stride))))


class Mixed(nn.Module):
    """Four branches side by side: a unit, two pairs of units, and a pool before a unit."""

    def __init__(self, a: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        straight, narrow, wide, narrower, less_wide, pooled = channels
        self.b0 = Unit(a, straight, 1)
        self.b1a, self.b1b = Unit(a, narrow, 1), Unit(narrow, wide, 3)
        self.b2a, self.b2b = Unit(a, narrower, 1), Unit(narrower, less_wide, 3)
        self.b3a, self.b3b = Pool((3, 3, 3), (1, 1, 1)), Unit(a, pooled, 1)
        self.channels = straight + wide + less_wide + pooled

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], 1)


class I3D(nn.Module):
    """Videos in [-1, 1], (B, 3, T, 224, 224), T >= 16, to logits (B, 400), the mean over time."""

    def __init__(self) -> None:
        super().__init__()
        channels = 3
        for name, layer in LAYERS.items():
            if name.startswith("Conv"):
                self.add_module(name, Unit(channels, *layer))
                channels = layer[0]
            elif name.startswith("Mixed"):
                self.add_module(name, Mixed(channels, layer))
                channels = getattr(self, name).channels
            else:
                self.add_module(name, Pool(*layer))
        self.logits = nn.ModuleDict({"conv3d": nn.Conv3d(channels, FEATURES, 1)})

    def forward(self, videos: Tensor) -> Tensor:
        x = videos
        for name in LAYERS:
            x = getattr(self, name)(x)
        x = F.avg_pool3d(x, (2, 7, 7), stride=1)
        return self.logits["conv3d"](x).mean((2, 3, 4))

    @staticmethod
    def rows_of(frames: int) -> int:
        """How many rows `features_of` gives for so many frames: the first rows are those of the first frames."""
        return len(windows(frames, WINDOW, STRIDE))

    @torch.inference_mode()
    def features_of(self, frames: np.ndarray) -> np.ndarray:
        """Logits, float32 (N, 400), of the N windows of uint8 (T, H, W, 3) frames; frames after the last are unused."""
        device, found = self.logits["conv3d"].weight.device, [np.zeros((0, FEATURES), np.float32)]
        for start, end in windows(len(frames), WINDOW, STRIDE):
            pictures = np.stack([cv2.resize(frame, (SIZE, SIZE)) for frame in frames[start:end].astype(np.float32)])
            video = rearrange(torch.from_numpy(pictures), "t h w c -> 1 c t h w").to(device)
            found.append(self(video * (2 / 255) - 1).cpu().numpy())
        return np.concatenate(found)


def load(path: Path | str) -> I3D:
    """The network with the weights of a file; ConfigError if it does not hold them."""
    return folded(fit_state("i3d", path, I3D(), read_state("i3d", path, WANTED), WANTED))


NETWORK = Network(
    slot="i3d",
    load=load,
    file="i3d_pretrained_400.pt",
    page="https://github.com/songweige/TATS",
    url="https://github.com/songweige/TATS/raw/main/tats/fvd/i3d_pretrained_400.pt",
    licence="MIT (TATS), converted from DeepMind's release (Apache-2.0), trained on Kinetics-400",
    megabytes=50.9,
)
