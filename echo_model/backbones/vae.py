"""The small video autoencoder: reference-conditioned, so that a latent carries only what changed since I_ref."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from dyads.errors import ConfigError
from echo_model.backbones.audio import AUDIO_DIM
from echo_model.backbones.warping import AFFINE, WORKING, ReferenceWarper, conv
from echo_model.model.latent import LatentLayout, UserSizes

GRID = 4  # the face grid is GRID x GRID tokens
TOKENS = GRID * GRID + 1  # and one pose token
CHANNELS = 8  # channels of every token
AT_ONCE = 16  # frames that pass an autoencoder together on a CPU: more do not fit its cache and take twice as long each


@dataclass(frozen=True)
class VAEOptions:
    """Sizes of the autoencoder; `size` is the frame's side in pixels, a multiple of 32."""

    size: int = 64
    width: int = 24
    coefficients: int = 0  # how many motion coefficients a linear head on z must tell; 0 = the data set has none
    noise: float = 0.05
    looks: int = 3  # steps in which what the code paints is laid on the frame, and the head's pose corrected; 0: none

    def __post_init__(self) -> None:
        if self.size % WORKING:
            raise ConfigError(f"vae.size is {self.size}; it must be a multiple of {WORKING}.")
        if self.looks < 0:
            raise ConfigError(f"vae.looks is {self.looks}, but must be at least 0.")


class FaceVAE(ReferenceWarper):
    """E(frame, I_ref) -> z and D(z, I_ref) -> frame, with 16 face tokens and one pose token a frame.

    Frames are (B, 3, size, size) in [0, 1]; raw latents are (B, 17, 8). Training adds Gaussian noise of a fixed
    scale to z, which bounds what z can carry as a VAE's prior does. `encode` and `decode` use *whitened* latents,
    relative to E(I_ref, I_ref), so zeros mean "the reference image".
    """

    def __init__(self, options: VAEOptions):
        super().__init__(options.size)
        self.options = options
        width = options.width
        self.pose_net = nn.Sequential(
            conv(2 * self.pixels, 24, 2),
            conv(24, 32, 2),
            conv(32, 48, 2),
            nn.Flatten(),
            nn.Linear(48 * 16, CHANNELS),
        )
        nn.init.zeros_(self.pose_net[-1].bias)
        self.pose_net[-1].weight.data.mul_(0.1)
        self.encoder = nn.Sequential(
            conv(2 * self.pixels, width),
            conv(width, 48, 2),
            conv(48, 64),
            conv(64, 96, 2),
            conv(96, 96),
            conv(96, 96, 2),
            nn.Conv2d(96, CHANNELS, 1),
        )
        self.see_reference(width)
        self.code = nn.Sequential(nn.Linear(TOKENS * CHANNELS, 128), nn.SiLU())
        self.paint_by(width, CHANNELS + 64)
        self.tell = nn.Linear(TOKENS * CHANNELS, options.coefficients) if options.coefficients else None
        self.register_buffer("whiten_grid", torch.eye(CHANNELS))
        self.register_buffer("unwhiten_grid", torch.eye(CHANNELS))
        self.register_buffer("pose_mean", torch.zeros(CHANNELS))
        self.register_buffer("pose_scale", torch.ones(CHANNELS))
        self.register_buffer("mask_lip", torch.zeros(TOKENS))
        self.register_buffer("mask_face", torch.ones(TOKENS))

    def pose_of(self, latents: Tensor) -> Tensor:
        """What raw latents (B, 17, 8) say of the head as a whole, (B, 4); see `warping.affine_grid`."""
        return latents[:, -1, :AFFINE]

    def placed(self, latents: Tensor, pose: Tensor) -> Tensor:
        """The latents with another pose of the head."""
        token = torch.cat([pose, latents[:, -1, AFFINE:].float()], 1)
        return torch.cat([latents[:, :-1].float(), token[:, None]], 1)

    def guess(self, frames: Tensor, reference: Tensor) -> Tensor:
        """Frames (B, 3, S, S) and references (1 or B, 3, S, S) -> raw latents (B, 17, 8) at first sight."""
        pose, grid = self.compare(frames, reference)
        return torch.cat([rearrange(grid, "b c h w -> b (h w) c"), pose[:, None]], 1)

    def decode_raw(self, latents: Tensor, reference: Tensor, touched: bool = True) -> Tensor:
        """Raw latents (B, 17, 8) and references (1 or B, 3, S, S) -> frames (B, 3, S, S), nearly in [0, 1]."""
        grid = rearrange(latents[:, :-1], "b (h w) c -> b c h w", h=GRID)
        pose, code = latents[:, -1, :AFFINE], self.code(latents.flatten(1))
        looks = self.reference_features(reference)
        start = torch.cat([grid, looks[3].expand(len(latents), -1, -1, -1)], 1)
        return self.paint(start, code, pose, looks, reference, touched)

    def forward(
        self, frames: Tensor, reference: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Reconstruct through noisy latents: (frames, latents, told coefficients or None)."""
        latents = self.encode_raw(frames, reference)
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        scale = torch.ones(TOKENS, CHANNELS).to(latents)
        scale[-1, :AFFINE] = 0.01  # pose is in radians and half-frames: the same noise would shake the head
        noisy = latents + self.options.noise * scale * noise
        told = self.tell(noisy.flatten(1)) if self.tell is not None else None
        return self.decode_raw(noisy, reference), latents, told

    def origin(self, reference: Tensor) -> Tensor:
        """Raw latent of the reference seen as a frame, E(I_ref, I_ref): (B, 17, 8)."""
        return self.encode_raw(reference, reference)

    def encode(self, frames: Tensor, reference: Tensor, origin: Tensor | None = None) -> Tensor:
        """Frames (B, 3, S, S) and one reference (1 or B, 3, S, S) -> whitened latents (B, 17, 8)."""
        origin = self.origin(reference) if origin is None else origin
        raw = self.encode_raw(frames, reference) - origin
        pose = (raw[:, -1:] - self.pose_mean) / self.pose_scale
        return torch.cat([raw[:, :-1] @ self.whiten_grid, pose], 1)

    def decode(self, latents: Tensor, reference: Tensor, origin: Tensor | None = None) -> Tensor:
        """Whitened latents (B, 17, 8) and one reference (1 or B, 3, S, S) -> frames in [0, 1]."""
        origin = self.origin(reference) if origin is None else origin
        pose = latents[:, -1:] * self.pose_scale + self.pose_mean
        raw = torch.cat([latents[:, :-1] @ self.unwhiten_grid, pose], 1) + origin
        return self.decode_raw(raw, reference).clamp(0, 1)

    def reference_tokens(self, reference: Tensor) -> Tensor:
        """Appearance tokens of I_ref for the generator's cross-attention: (B, 16, 32)."""
        coarse = self.reference_features(reference)[1]
        return rearrange(F.adaptive_avg_pool2d(coarse, GRID), "b c h w -> b (h w) c")

    @torch.no_grad()
    def fit_whitening(self, raw: Tensor) -> None:
        """Set the whitening from raw latents relative to their origins, (N, 17, 8): channel PCA, pose apart."""
        grid = raw[:, :-1].reshape(-1, CHANNELS).double()
        values, vectors = torch.linalg.eigh(grid.T @ grid / len(grid))
        scale = values.clamp_min(1e-6 * values.max()).sqrt()
        self.whiten_grid.copy_(vectors / scale)
        self.unwhiten_grid.copy_((vectors * scale).T)
        self.pose_mean.copy_(raw[:, -1].mean(0))
        self.pose_scale.copy_(raw[:, -1].std(0).clamp_min(1e-4))


def small_layout(patch: int) -> LatentLayout:
    """Latent steps of `patch` frames each, side by side in the channels."""
    return LatentLayout((TOKENS, patch * CHANNELS), patch, patch)


def small_sizes(tubelet: int) -> UserSizes:
    """What LCU reads where audio features and latents are the small ones."""
    return UserSizes(AUDIO_DIM, TOKENS, tubelet * CHANNELS, told=TOKENS * CHANNELS)


class SmallLatents:
    """The latent space `small`: every frame against I_ref, `patch` frames in a step."""

    def __init__(self, vae: FaceVAE, patch: int):
        self.vae, self.patch, self.size = vae, patch, vae.options.size
        self.layout = small_layout(patch)

    def encode(self, frames: np.ndarray, reference: np.ndarray) -> Tensor:
        """uint8 (T, S, S, 3), T a multiple of `patch`, and I_ref (S, S, 3) -> steps (T / patch, 17, patch * 8)."""
        self.layout.steps(len(frames))
        return rearrange(encode_video(self.vae, frames, reference), "(f k) n c -> f n (k c)", k=self.patch)

    @torch.no_grad()
    def decode(self, steps: Tensor, reference: np.ndarray) -> np.ndarray:
        """Steps (n, 17, patch * 8) and I_ref -> uint8 (n * patch, S, S, 3)."""
        image = to_tensor(reference[None])
        origin, latents = self.vae.origin(image), rearrange(steps, "f n (k c) -> (f k) n c", k=self.patch)
        return np.concatenate([to_frames(self.vae.decode(x, image, origin)) for x in latents.split(AT_ONCE)])


def to_tensor(frames: np.ndarray) -> Tensor:
    """uint8 (T, H, W, 3) -> float (T, 3, H, W) in [0, 1]."""
    return torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255.0


def to_frames(images: Tensor) -> np.ndarray:
    """float (T, 3, H, W) in [0, 1] -> uint8 (T, H, W, 3)."""
    return (images.permute(0, 2, 3, 1) * 255.0).round().clamp(0, 255).to(torch.uint8).numpy()


@torch.no_grad()
def encode_video(vae: FaceVAE, frames: np.ndarray, reference: np.ndarray, chunk: int = AT_ONCE) -> Tensor:
    """uint8 frames (T, H, W, 3) and their reference (H, W, 3) -> whitened latents (T, 17, 8)."""
    anchor = to_tensor(reference[None])
    origin = vae.origin(anchor)
    parts = [vae.encode(to_tensor(frames[k : k + chunk]), anchor, origin) for k in range(0, len(frames), chunk)]
    return torch.cat(parts)
