"""The small video autoencoder: reference-conditioned, so that a latent carries only what changed since I_ref."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from dyads.errors import ConfigError

GRID = 4  # the face grid is GRID x GRID tokens
TOKENS = GRID * GRID + 1  # and one pose token
CHANNELS = 8  # channels of every token
AFFINE = 4  # pose channels with a meaning: roll, shift x, shift y, log scale; the rest are free
WORKING = 32  # the networks work at 32 x 32, whatever the frame size


@dataclass(frozen=True)
class VAEOptions:
    """Sizes of the autoencoder; `size` is the frame's side in pixels, a multiple of 32."""

    size: int = 64
    width: int = 24
    coefficients: int = 0  # how many motion coefficients a linear head on z must tell; 0 = the data set has none
    noise: float = 0.07

    def __post_init__(self) -> None:
        if self.size % WORKING:
            raise ConfigError(f"vae.size is {self.size}; it must be a multiple of {WORKING}.")


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.GroupNorm(8, outputs), nn.SiLU())


class Modulated(nn.Module):
    """A convolution whose normalised output the whole latent code scales and shifts."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(inputs, outputs, 3, 1, 1), nn.GroupNorm(8, outputs)
        self.modulation = nn.Linear(128, 2 * outputs)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        scale, shift = self.modulation(code)[:, :, None, None].chunk(2, 1)
        return F.silu(self.norm(self.conv(x)) * (1 + scale) + shift)


def affine_grid(pose: Tensor, size: int, inverse: bool) -> Tensor:
    """Sampling grid (B, size, size, 2) that re-poses a canonical frame (`inverse=False`) or un-poses a frame.

    `pose` is (B, 4): roll in radians, shift x and y in half-frames, log scale. Both directions are exact inverses.
    """
    with torch.autocast(pose.device.type, enabled=False):  # half-precision coordinates would blur every warp
        return _affine_grid(pose.float(), size, inverse)


def _affine_grid(pose: Tensor, size: int, inverse: bool) -> Tensor:
    roll, shift, scale = pose[:, 0], pose[:, 1:3], pose[:, 3].exp()
    cos, sin = torch.cos(roll), torch.sin(roll)
    rotation = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)  # (B, 2, 2)
    if inverse:  # canonical point p reads the frame at s R p + shift
        matrix, offset = scale[:, None, None] * rotation, shift
    else:  # frame point q reads the canonical image at R^T (q - shift) / s
        matrix = rotation.transpose(1, 2) / scale[:, None, None]
        offset = -(matrix @ shift[:, :, None])[:, :, 0]
    theta = torch.cat([matrix, offset[:, :, None]], dim=2)
    return F.affine_grid(theta, [len(pose), 1, size, size], align_corners=False)


def warp(image: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(image.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)


class FaceVAE(nn.Module):
    """E(frame, I_ref) -> z and D(z, I_ref) -> frame, with 16 face tokens and one pose token a frame.

    Frames are (B, 3, size, size) in [0, 1]; raw latents are (B, 17, 8). Training adds Gaussian noise of a fixed
    scale to z, which bounds what z can carry as a VAE's prior does. `encode` and `decode` use *whitened* latents,
    relative to E(I_ref, I_ref), so zeros mean "the reference image".
    """

    def __init__(self, options: VAEOptions):
        super().__init__()
        self.options = options
        width, patch = options.width, options.size // WORKING
        pixels = 3 * patch * patch
        self.patch = patch
        self.pose_net = nn.Sequential(
            conv(2 * pixels, 24, 2),
            conv(24, 32, 2),
            conv(32, 48, 2),
            nn.Flatten(),
            nn.Linear(48 * 16, CHANNELS),
        )
        nn.init.zeros_(self.pose_net[-1].bias)
        self.pose_net[-1].weight.data.mul_(0.1)
        self.encoder = nn.Sequential(
            conv(2 * pixels, width),
            conv(width, 48, 2),
            conv(48, 64, 2),
            conv(64, 64, 2),
            nn.Conv2d(64, CHANNELS, 1),
        )
        self.reference_32 = conv(pixels, width)
        self.reference_16 = conv(width, 32, 2)
        self.reference_8 = conv(32, 48, 2)
        self.reference_4 = conv(48, 64, 2)
        self.code = nn.Sequential(nn.Linear(TOKENS * CHANNELS, 128), nn.SiLU())
        self.decode_4 = Modulated(CHANNELS + 64, 64)
        self.decode_8 = Modulated(64 + 48, 64)
        self.decode_16 = Modulated(64 + 32, 40)
        self.decode_32 = Modulated(40 + width, width)
        self.heads = nn.Conv2d(width, 3 + pixels, 3, 1, 1)  # flow x, y, residual's mask, residual
        self.matte = nn.Sequential(conv(32, 16), nn.Conv2d(16, 1, 3, 1, 1))
        self.refine = nn.Sequential(conv(2 * pixels + 1, 24), nn.Conv2d(24, pixels, 3, 1, 1))
        for head in (self.heads, self.refine[-1]):
            head.weight.data.mul_(0.1)
            nn.init.zeros_(head.bias)
        self.tell = nn.Linear(TOKENS * CHANNELS, options.coefficients) if options.coefficients else None
        self.register_buffer("whiten_grid", torch.eye(CHANNELS))
        self.register_buffer("unwhiten_grid", torch.eye(CHANNELS))
        self.register_buffer("pose_mean", torch.zeros(CHANNELS))
        self.register_buffer("pose_scale", torch.ones(CHANNELS))
        self.register_buffer("mask_lip", torch.zeros(TOKENS))
        self.register_buffer("mask_face", torch.ones(TOKENS))

    def split(self, frames: Tensor) -> Tensor:
        return F.pixel_unshuffle(frames * 2 - 1, self.patch)

    def enlarged(self, x: Tensor) -> Tensor:
        """Any square map at the frames' size."""
        return F.interpolate(x, size=(self.options.size,) * 2, mode="bilinear", align_corners=False)

    def encode_raw(self, frames: Tensor, reference: Tensor) -> Tensor:
        """(B, 3, S, S) twice -> raw latents (B, 17, 8)."""
        small = self.split(reference)
        pose = self.pose_net(torch.cat([self.split(frames), small], 1))
        pose = torch.cat([0.3 * torch.tanh(pose[:, :AFFINE]), pose[:, AFFINE:]], 1)
        canonical = warp(frames, affine_grid(pose[:, :AFFINE], self.options.size, inverse=True))
        grid = self.encoder(torch.cat([self.split(canonical), small], 1))
        return torch.cat([rearrange(grid, "b c h w -> b (h w) c"), pose[:, None]], 1)

    def reference_features(self, reference: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What I_ref looks like at 32, 16, 8 and 4 cells a side."""
        at_32 = self.reference_32(self.split(reference))
        at_16 = self.reference_16(at_32)
        at_8 = self.reference_8(at_16)
        return at_32, at_16, at_8, self.reference_4(at_8)

    def decode_raw(self, latents: Tensor, reference: Tensor) -> Tensor:
        """Raw latents (B, 17, 8) and references (1 or B, 3, S, S) -> frames (B, 3, S, S), nearly in [0, 1]."""
        size, count = self.options.size, len(latents)
        grid = rearrange(latents[:, :-1], "b (h w) c -> b c h w", h=GRID)
        pose, code = latents[:, -1], self.code(latents.flatten(1))
        looks = self.reference_features(reference)  # one reference is looked at once, whatever B
        matte = torch.sigmoid(self.enlarged(self.matte(looks[1])) + 1)
        small = self.split(reference)
        fine, coarse, at_8, at_4, matte, small, reference = (
            x.expand(count, -1, -1, -1) for x in (*looks, matte, small, reference)
        )
        hidden = self.decode_4(torch.cat([grid, at_4], 1), code)
        hidden = self.decode_8(torch.cat([F.interpolate(hidden, scale_factor=2.0), at_8], 1), code)
        hidden = self.decode_16(torch.cat([F.interpolate(hidden, scale_factor=2.0), coarse], 1), code)
        heads = self.heads(self.decode_32(torch.cat([F.interpolate(hidden, scale_factor=2.0), fine], 1), code))
        flow = self.enlarged(heads[:, :2])
        identity = affine_grid(torch.zeros(len(pose), AFFINE).to(pose), size, inverse=False)
        moved = warp(reference, identity + 0.25 * flow.permute(0, 2, 3, 1))
        blend = self.enlarged(torch.sigmoid(heads[:, 2:3] - 2))
        residual = F.pixel_shuffle(heads[:, 3:], self.patch)
        canonical = moved + blend * (residual + 0.5 - moved)
        posed = warp(torch.cat([canonical, matte], 1), affine_grid(pose[:, :AFFINE], size, inverse=False))
        frame = posed[:, 3:] * posed[:, :3] + (1 - posed[:, 3:]) * reference
        context = torch.cat([self.split(frame), small, F.avg_pool2d(posed[:, 3:], self.patch)], 1)
        return frame + F.pixel_shuffle(self.refine(context), self.patch)

    def forward(
        self, frames: Tensor, reference: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Reconstruct through noisy latents: (frames, latents, told coefficients or None)."""
        latents = self.encode_raw(frames, reference)
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        scale = torch.ones(TOKENS, CHANNELS).to(latents)
        scale[-1, :AFFINE] = 0.05  # pose is in radians and half-frames: the same noise would shake the head
        noisy = latents + self.options.noise * scale * noise
        told = self.tell(noisy.flatten(1)) if self.tell is not None else None
        return self.decode_raw(noisy, reference), latents, told

    def origin(self, reference: Tensor) -> Tensor:
        """Raw latent of the reference seen as a frame, E(I_ref, I_ref): (B, 17, 8)."""
        return self.encode_raw(reference, reference)

    def encode(self, frames: Tensor, reference: Tensor) -> Tensor:
        """Frames (B, 3, S, S) and one reference (1 or B, 3, S, S) -> whitened latents (B, 17, 8)."""
        origin = self.origin(reference)
        raw = self.encode_raw(frames, reference.expand_as(frames)) - origin
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
