"""The latent space `wan`: AutoencoderKLWan of Wan 2.1 (8 x 8 x 4) or Wan 2.2 (16 x 16 x 4), frozen, from a folder."""

from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from dyads.errors import ConfigError, DataError
from echo_model.backbones.checkpoint import class_name, open_diffusers
from echo_model.model.latent import LatentLayout


class WanLatents:
    """Videos of 4n + 1 frames <-> latent steps (n + 1, c, h, w), normalised by the checkpoint's own mean and scale.

    `AutoencoderKLWan` drops a tail without a word and leaves the normalising to its pipelines: here other lengths are
    a DataError, and `encode` and `decode` normalise. The mode of the posterior is taken, so nothing is drawn.

    Args:
        path: folder of the checkpoint.
        size: side of a frame in pixels.
        tiles: decode in overlapping tiles; less memory, faint seams.
    """

    def __init__(
        self,
        path: Path,
        size: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        tiles: bool = False,
    ):
        from diffusers import AutoencoderKLWan

        if (kind := class_name(path)) != "AutoencoderKLWan":
            raise ConfigError(f"{path} is a {kind}, but the latent space wan is an AutoencoderKLWan; name its folder.")
        self.vae = open_diffusers(AutoencoderKLWan, path, device, dtype)
        config = self.vae.config
        scale = config.scale_factor_spatial
        if size % (2 * scale):
            raise ConfigError(f"generator.size is {size}; with this autoencoder it must be a multiple of {2 * scale}.")
        self.size, self.channels, self.tiles = size, config.z_dim, tiles
        self.rows = self.cols = size // scale
        self.layout = LatentLayout((self.channels, self.rows, self.cols), config.scale_factor_temporal, 1)
        self.mean, self.std = (
            torch.tensor(values, device=device).view(1, -1, 1, 1, 1)
            for values in (config.latents_mean, config.latents_std)
        )

    def to(self, device: torch.device | str) -> "WanLatents":
        self.vae.to(device)
        self.mean, self.std = self.mean.to(device), self.std.to(device)
        return self

    @torch.no_grad()
    def encode(self, frames: np.ndarray, reference: np.ndarray | None = None) -> Tensor:
        """uint8 (T, size, size, 3), T = 4n + 1 -> float32 (n + 1, c, h, w) on the CPU; no reference is looked at."""
        self.layout.steps(len(frames))
        if frames.shape[1:] != (self.size, self.size, 3) or frames.dtype != np.uint8:
            raise DataError(
                f"frames are {frames.dtype} {frames.shape[1:]}, but uint8 ({self.size}, {self.size}, 3) is needed; "
                "make the data with this size, or set generator.size."
            )
        x = rearrange(torch.from_numpy(frames).to(self.vae.device), "t h w c -> 1 c t h w")
        z = self.vae.encode(x.to(self.vae.dtype) / 127.5 - 1.0).latent_dist.mode().float()
        return rearrange((z - self.mean) / self.std, "1 c t h w -> t c h w").cpu()

    @torch.no_grad()
    def decode(self, steps: Tensor, reference: np.ndarray | None = None) -> np.ndarray:
        """Latent steps (n + 1, c, h, w) -> uint8 (4n + 1, size, size, 3)."""
        self.vae.use_tiling = self.tiles  # not for encoding, where the features of training have no seams
        try:
            images = self.pictures(steps[None].to(self.vae.device))[0]
        finally:
            self.vae.use_tiling = False
        return ((images + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()

    def pictures(self, steps: Tensor) -> Tensor:
        """Latent steps (b, n + 1, c, h, w) -> frames (b, 4n + 1, 3, H, W) in [-1, 1], with gradients."""
        z = rearrange(steps, "b t c h w -> b c t h w") * self.std + self.mean
        return rearrange(self.vae.decode(z.to(self.vae.dtype)).sample.float(), "b c t h w -> b t c h w")
