"""The reference encoder, pretrained: CLIP's vision tower reads I_ref, and the user's face for LPE."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from dyads.errors import ConfigError
from echo_model.backbones.checkpoint import model_type, open_model, settings

TYPES = ("clip_vision_model", "clip")
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # CLIP's own


class Look:
    """Pictures -> hidden states of CLIP's vision tower.

    For the user's video the patches are averaged on a coarse grid over the face crop: a few tokens a frame that know
    expression and gaze, which a latent's pixels do not, at 0.3 TFLOP for a frame of ViT-H.

    Args:
        path: folder of a checkpoint; of a whole CLIP the vision tower is taken.
        layer: which hidden state.
        grid: cells a side for the user's video.
    """

    def __init__(self, path: Path, layer: int, grid: int, device: torch.device | str = "cpu"):
        from transformers import CLIPVisionModel

        if (kind := model_type(path)) not in TYPES:
            raise ConfigError(
                f"{path} is a {kind}, but generator.look reads a CLIP vision tower; name a folder with one."
            )
        told = settings(path, "preprocessor_config.json", needed=False)
        self.model = open_model(CLIPVisionModel, path, device)
        config = self.model.config
        patches = config.image_size // config.patch_size
        if not 1 <= grid <= patches:
            raise ConfigError(
                f"generator.look.grid is {grid}, but {path} sees {patches} x {patches} patches; give fewer."
            )
        self.width, self.tokens, self.layer, self.grid = config.hidden_size, 1 + patches**2, layer, grid
        self.size, self.patches, self.device = config.image_size, patches, device
        self.mean, self.std = (
            torch.tensor(told.get(name, default), device=device).view(1, 3, 1, 1)
            for name, default in (("image_mean", MEAN), ("image_std", STD))
        )

    @torch.no_grad()
    def read(self, frames: np.ndarray) -> Tensor:
        """uint8 (n, H, W, 3) -> (n, 1 + patches, D), the class token first; float32 on the CPU."""
        x = (
            rearrange(torch.from_numpy(np.ascontiguousarray(frames)).to(self.device), "n h w c -> n c h w").float()
            / 255.0
        )
        if x.shape[-1] != self.size:
            x = F.interpolate(x, (self.size, self.size), mode="bicubic", antialias=True, align_corners=False).clamp(
                0, 1
            )
        x = ((x - self.mean) / self.std).to(self.model.dtype)
        return self.model(x, output_hidden_states=True).hidden_states[self.layer].float().cpu()

    def face(self, frames: np.ndarray) -> Tensor:
        """uint8 (n, H, W, 3) -> patches averaged on the grid, (n, grid * grid, D), row by row."""
        patches = rearrange(self.read(frames)[:, 1:], "n (h w) d -> n d h w", h=self.patches)
        return rearrange(F.adaptive_avg_pool2d(patches, self.grid), "n d h w -> n (h w) d")
