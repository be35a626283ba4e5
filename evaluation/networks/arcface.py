"""ArcFace (Deng et al. 2019): iresnet-100 in arcface_torch's key layout, 512 features of a face that tell who it is."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.networks import Network
from evaluation.networks._state import fit_state, read_state
from evaluation.probes.frames import to_tensor

WANTED = "arcface_torch's ms1mv3_arcface_r100_fp16/backbone.pth, an iresnet-100"
FEATURES, SIZE, BATCH = 512, 112, 32
STRIDE = 5  # of the frames read, from the first one on
BLOCKS = (3, 13, 30, 3)  # of 64, 128, 256 and 512 channels; the first of each halves the picture


class Block(nn.Module):
    """Two convolutions around which batch normalisation stands, and a shortcut."""

    def __init__(self, a: int, b: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(a)
        self.conv1 = nn.Conv2d(a, b, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(b)
        self.prelu = nn.PReLU(b)
        self.conv2 = nn.Conv2d(b, b, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(b)
        self.downsample = None
        if stride > 1 or a != b:
            self.downsample = nn.Sequential(nn.Conv2d(a, b, 1, stride, bias=False), nn.BatchNorm2d(b))

    def forward(self, x: Tensor) -> Tensor:
        inside = self.conv1(self.bn1(x))
        inside = self.bn3(self.conv2(self.prelu(self.bn2(inside))))
        return inside + (x if self.downsample is None else self.downsample(x))


class ArcFace(nn.Module):
    """Faces in [-1, 1], (B, 3, 112, 112) RGB, to features (B, 512), not of unit length."""

    with_reference = True

    def __init__(self, blocks: tuple[int, ...] = BLOCKS) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.prelu = nn.PReLU(64)
        channels = 64
        for number, count in enumerate(blocks):
            first = Block(channels, 64 * 2**number, 2)
            channels = 64 * 2**number
            stage = nn.Sequential(first, *(Block(channels, channels, 1) for _ in range(count - 1)))
            self.add_module(f"layer{number + 1}", stage)
        self.bn2 = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels * (SIZE // 16) ** 2, FEATURES)
        self.features = nn.BatchNorm1d(FEATURES)

    def forward(self, faces: Tensor) -> Tensor:
        x = self.prelu(self.bn1(self.conv1(faces)))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return self.features(self.fc(self.bn2(x).flatten(1)))

    def of_pictures(self, pictures: Tensor) -> Tensor:
        """Features (B, 512) of pictures (B, 3, H, W) in [0, 1], resized whole: no face is looked for."""
        faces = F.interpolate(pictures, (SIZE, SIZE), mode="bilinear", align_corners=False)
        return self((faces - 0.5) / 0.5)

    @staticmethod
    def rows_of(frames: int) -> int:
        """How many rows `features_of` gives for so many frames: the first rows are those of the first frames."""
        return -(-frames // STRIDE)

    @torch.inference_mode()
    def features_of(self, frames: np.ndarray) -> np.ndarray:
        """Features, float32 (⌈T / STRIDE⌉, 512), of uint8 (T, H, W, 3) frames."""
        chosen, device, found = frames[::STRIDE], self.fc.weight.device, []
        for start in range(0, len(chosen), BATCH):
            pictures = to_tensor(chosen[start : start + BATCH]).to(device).float() / 255
            found.append(self.of_pictures(pictures).cpu().numpy())
        return np.concatenate(found)


def load(path: Path | str) -> ArcFace:
    """The network with the weights of a file; ConfigError if it does not hold them."""
    return fit_state("arcface", path, ArcFace(), read_state("arcface", path, WANTED), WANTED)


NETWORK = Network(
    slot="arcface",
    load=load,
    file="backbone.pth",
    page="https://github.com/deepinsight/insightface/tree/master/recognition/arcface_torch",
    licence="insightface's weights: non-commercial research only, trained on MS1MV3",
    megabytes=261.1,
)
