"""The shared motion-latent renderer: one-shot, identity code plus motion along orthogonal directions -> frame."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dyads.errors import ConfigError
from echo_model.backbones.vae import AFFINE, WORKING, Modulated, affine_grid, conv, warp

DIRECTIONS = 20  # K; LIA and FLOAT keep as many
CODE = 128  # width of z; theirs is 512, for 512 x 512 frames


@dataclass(frozen=True)
class RendererOptions:
    """`size` is the frame's side in pixels, a multiple of 32."""

    size: int = 64
    width: int = 24
    coefficients: int = 0  # how many motion coefficients a linear head on m must tell; 0 = the data set has none
    noise: float = 0.05  # standard deviation added to m in training, in its raw units

    def __post_init__(self) -> None:
        if self.size % WORKING:
            raise ConfigError(f"renderer.size is {self.size}; it must be a multiple of {WORKING}.")


class MotionRenderer(nn.Module):
    """z = z_S + m Q^T, frame = G(z, I_ref): LIA (Wang et al. 2022) as FLOAT and Avatar Forcing use it.

    The same: one code of identity, K = 20 motion coefficients along learned orthonormal directions Q (by QR), a
    generator that warps the reference by flows which z modulates. Different, and why: m is read from frame and
    reference together and is zero at the reference itself (some sixty identities are too few for a canonical pose);
    the first four coefficients also move the head as a whole, as the autoencoder's pose token does; no adversarial
    loss. Public methods use whitened motion: `encode` gives it, `decode` takes it, zeros mean "the reference".
    """

    def __init__(self, options: RendererOptions):
        super().__init__()
        self.options = options
        width, self.patch = options.width, options.size // WORKING
        pixels = 3 * self.patch**2
        self.pose_net = nn.Sequential(
            conv(2 * pixels, 24, 2), conv(24, 32, 2), conv(32, 48, 2), nn.Flatten(), nn.Linear(48 * 16, AFFINE)
        )
        nn.init.zeros_(self.pose_net[-1].bias)
        self.pose_net[-1].weight.data.mul_(0.1)
        self.encoder = nn.Sequential(
            conv(2 * pixels, width), conv(width, 48, 2), conv(48, 64, 2), conv(64, 64, 2),
            nn.Flatten(), nn.Linear(64 * 16, DIRECTIONS - AFFINE),
        )  # fmt: skip
        self.reference_32 = conv(pixels, width)
        self.reference_16 = conv(width, 32, 2)
        self.reference_8 = conv(32, 48, 2)
        self.reference_4 = conv(48, 64, 2)
        self.identity = nn.Sequential(nn.Flatten(), nn.Linear(64 * 16, CODE))  # z_S
        self.directions = nn.Parameter(torch.randn(CODE, DIRECTIONS))
        self.decode_4 = Modulated(64, 64)
        self.decode_8 = Modulated(64 + 48, 64)
        self.decode_16 = Modulated(64 + 32, 40)
        self.decode_32 = Modulated(40 + width, width)
        self.heads = nn.Conv2d(width, 3 + pixels, 3, 1, 1)  # flow x, y, residual's mask, residual
        self.matte = nn.Sequential(conv(32, 16), nn.Conv2d(16, 1, 3, 1, 1))
        self.refine = nn.Sequential(conv(2 * pixels + 1, 24), nn.Conv2d(24, pixels, 3, 1, 1))
        for head in (self.heads, self.refine[-1]):
            head.weight.data.mul_(0.1)
            nn.init.zeros_(head.bias)
        self.tell = nn.Linear(DIRECTIONS, options.coefficients) if options.coefficients else None
        self.register_buffer("mean", torch.zeros(DIRECTIONS))
        self.register_buffer("scale", torch.ones(DIRECTIONS))

    def split(self, frames: Tensor) -> Tensor:
        return F.pixel_unshuffle(frames * 2 - 1, self.patch)

    def basis(self) -> Tensor:
        """Q (CODE, K), orthonormal columns."""
        return torch.linalg.qr(self.directions.float())[0]

    def encode_raw(self, frames: Tensor, reference: Tensor) -> Tensor:
        """(B, 3, S, S) twice -> raw motion (B, K)."""
        small = self.split(reference)
        pose = 0.3 * torch.tanh(self.pose_net(torch.cat([self.split(frames), small], 1)))
        canonical = warp(frames, affine_grid(pose, self.options.size, inverse=True))
        return torch.cat([pose, self.encoder(torch.cat([self.split(canonical), small], 1))], 1)

    def decode_raw(self, motion: Tensor, reference: Tensor) -> Tensor:
        """Raw motion (B, K) and references (B, 3, S, S) -> frames (B, 3, S, S), nearly in [0, 1]."""
        size = self.options.size
        at_32 = self.reference_32(self.split(reference))
        at_16 = self.reference_16(at_32)
        at_8 = self.reference_8(at_16)
        at_4 = self.reference_4(at_8)
        z = self.identity(at_4) + motion @ self.basis().to(motion).T
        hidden = self.decode_4(at_4, z)
        hidden = self.decode_8(torch.cat([F.interpolate(hidden, scale_factor=2.0), at_8], 1), z)
        hidden = self.decode_16(torch.cat([F.interpolate(hidden, scale_factor=2.0), at_16], 1), z)
        heads = self.heads(self.decode_32(torch.cat([F.interpolate(hidden, scale_factor=2.0), at_32], 1), z))

        def full(x: Tensor) -> Tensor:
            return F.interpolate(x, size=(size, size), mode="bilinear", align_corners=False)

        pose = motion[:, :AFFINE]
        still = affine_grid(torch.zeros_like(pose), size, inverse=False)
        moved = warp(reference, still + 0.25 * full(heads[:, :2]).permute(0, 2, 3, 1))
        blend = full(torch.sigmoid(heads[:, 2:3] - 2))
        canonical = moved + blend * (F.pixel_shuffle(heads[:, 3:], self.patch) + 0.5 - moved)
        matte = torch.sigmoid(full(self.matte(at_16)) + 1)
        posed = warp(torch.cat([canonical, matte], 1), affine_grid(pose, size, inverse=False))
        frame = posed[:, 3:] * posed[:, :3] + (1 - posed[:, 3:]) * reference
        context = torch.cat([self.split(frame), self.split(reference), F.avg_pool2d(posed[:, 3:], self.patch)], 1)
        return frame + F.pixel_shuffle(self.refine(context), self.patch)

    def forward(
        self, frames: Tensor, reference: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Reconstruct through noisy motion: (frames, motion, told coefficients or None)."""
        motion = self.encode_raw(frames, reference)
        noise = torch.randn(motion.shape, generator=generator).to(motion)
        scale = torch.ones(DIRECTIONS).to(motion)
        scale[:AFFINE] = 0.05  # pose is in radians and half-frames: the same noise would shake the head
        noisy = motion + self.options.noise * scale * noise
        told = self.tell(noisy) if self.tell is not None else None
        return self.decode_raw(noisy, reference), motion, told

    def origin(self, reference: Tensor) -> Tensor:
        """Raw motion of the reference seen as a frame: (B, K)."""
        return self.encode_raw(reference, reference)

    def encode(self, frames: Tensor, reference: Tensor) -> Tensor:
        """Frames (B, 3, S, S) and one reference (1 or B, 3, S, S) -> whitened motion (B, K)."""
        raw = self.encode_raw(frames, reference.expand_as(frames)) - self.origin(reference)
        return (raw - self.mean) / self.scale

    def decode(self, motion: Tensor, reference: Tensor, origin: Tensor | None = None) -> Tensor:
        """Whitened motion (B, K) and one reference (1 or B, 3, S, S) -> frames in [0, 1]."""
        origin = self.origin(reference) if origin is None else origin
        raw = motion * self.scale + self.mean + origin
        return self.decode_raw(raw, reference.expand(len(motion), -1, -1, -1)).clamp(0, 1)

    @torch.no_grad()
    def fit_whitening(self, raw: Tensor) -> None:
        """Set scale from raw motion relative to its origins, (N, K); the mean stays zero: "the reference"."""
        self.scale.copy_(raw.square().mean(0).sqrt().clamp_min(1e-4))
