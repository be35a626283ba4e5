"""InceptionV3 of FID (Heusel et al. 2017) in pytorch-fid's key layout: 2,048 pooled features of a picture."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.networks import Network
from evaluation.networks._folding import folded
from evaluation.networks._state import fit_state, read_state
from evaluation.probes.frames import to_tensor

WANTED = "pytorch-fid's pt_inception-2015-12-05-6726825d.pth"
FEATURES, SIZE, BATCH = 2048, 299, 16
STRIDE = 4  # of the frames read, from the first one on
# Between input and features; the pools and all but the Mixed blocks of FID are torchvision's.
LAYERS = (
    *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2"),
    *("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    *("Mixed_7a", "Mixed_7b", "Mixed_7c", "avgpool"),
)


class Inception(nn.Module):
    """Pictures in [0, 1], (B, 3, H, W), to features (B, 2048), as `pytorch_fid.inception.InceptionV3` with block 3."""

    def __init__(self) -> None:
        super().__init__()
        from pytorch_fid import inception as fid  # imports torchvision: seconds, only where needed
        from torchvision.models import inception_v3

        self.network = inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False)
        for name, pooled in (("5b", 32), ("5c", 64), ("5d", 64)):
            self._replace(f"Mixed_{name}", fid.FIDInceptionA, pool_features=pooled)
        for name, channels in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
            self._replace(f"Mixed_{name}", fid.FIDInceptionC, channels_7x7=channels)
        self._replace("Mixed_7b", fid.FIDInceptionE_1)
        self._replace("Mixed_7c", fid.FIDInceptionE_2)

    def _replace(self, name: str, block: type[nn.Module], **arguments: int) -> None:
        old = getattr(self.network, name)
        setattr(self.network, name, block(old.branch1x1.conv.in_channels, **arguments))

    def forward(self, pictures: Tensor) -> Tensor:
        x = F.interpolate(pictures, (SIZE, SIZE), mode="bilinear", align_corners=False) * 2 - 1
        for name in LAYERS:
            x = getattr(self.network, name)(x)
        return x.flatten(1)

    @staticmethod
    def rows_of(frames: int) -> int:
        """How many rows `features_of` gives for so many frames: the first rows are those of the first frames."""
        return -(-frames // STRIDE)

    @torch.inference_mode()
    def features_of(self, frames: np.ndarray) -> np.ndarray:
        """Features, float32 (⌈T / STRIDE⌉, 2048), of uint8 (T, H, W, 3) frames."""
        chosen, device = frames[::STRIDE], next(self.parameters()).device
        batches = (to_tensor(chosen[start : start + BATCH]) for start in range(0, len(chosen), BATCH))
        return torch.cat([self(batch.to(device) / 255).cpu() for batch in batches]).numpy()


def load(path: Path | str) -> Inception:
    """The network with the weights of a file; ConfigError if it does not hold them."""
    state = read_state("inception", path, WANTED)
    network = Inception()
    fit_state("inception", path, network.network, state, WANTED, spare=("AuxLogits.",))
    return folded(network)


NETWORK = Network(
    slot="inception",
    load=load,
    file="pt_inception-2015-12-05-6726825d.pth",
    page="https://github.com/mseitzer/pytorch-fid",
    url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
    licence="Apache-2.0, converted from TensorFlow's release, trained on ImageNet",
    megabytes=95.7,
    sha256="6726825d",
)
