"""The shared motion-latent renderer: one-shot, identity code plus motion along orthogonal directions -> frame."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dyads.errors import ConfigError
from echo_model.backbones.warping import AFFINE, WORKING, ReferenceWarper, conv

DIRECTIONS = 20  # K; LIA and FLOAT keep as many
CODE = 128  # width of z; theirs is 512, for 512 x 512 frames


@dataclass(frozen=True)
class RendererOptions:
    """`size` is the frame's side in pixels, a multiple of 32."""

    size: int = 64
    width: int = 24
    coefficients: int = 0  # how many motion coefficients a linear head on m must tell; 0 = the data set has none
    noise: float = 0.05  # standard deviation added to m in training, in its raw units
    looks: int = 3  # steps in which what m paints is laid on the frame, and the head's pose corrected; 0: none

    def __post_init__(self) -> None:
        if self.size % WORKING:
            raise ConfigError(f"renderer.size is {self.size}; it must be a multiple of {WORKING}.")
        if self.looks < 0:
            raise ConfigError(f"renderer.looks is {self.looks}, but must be at least 0.")


class MotionRenderer(ReferenceWarper):
    """z = z_S + m Q^T, frame = G(z, I_ref): LIA (Wang et al. 2022) as FLOAT and Avatar Forcing use it.

    The same: one code of identity, K = 20 motion coefficients along learned orthonormal directions Q (by QR), a
    generator that warps the reference by flows which z modulates. Different, and why: m is read from frame and
    reference together and is zero at the reference itself (some sixty identities are too few for a canonical pose);
    the first four coefficients also move the head as a whole, as the autoencoder's pose token does; no adversarial
    loss. Public methods use whitened motion: `encode` gives it, `decode` takes it, zeros mean "the reference".
    """

    def __init__(self, options: RendererOptions):
        super().__init__(options.size)
        self.options = options
        width = options.width
        self.pose_net = nn.Sequential(
            conv(2 * self.pixels, 24, 2), conv(24, 32, 2), conv(32, 48, 2), nn.Flatten(), nn.Linear(48 * 16, AFFINE)
        )
        nn.init.zeros_(self.pose_net[-1].bias)
        self.pose_net[-1].weight.data.mul_(0.1)
        self.encoder = nn.Sequential(
            conv(2 * self.pixels, width), conv(width, 48, 2), conv(48, 64, 2), conv(64, 64, 2),
            nn.Flatten(), nn.Linear(64 * 16, DIRECTIONS - AFFINE),
        )  # fmt: skip
        self.see_reference(width)
        # z_S, as large as what moves it: without that it grew until the generator heard nothing of m
        self.identity = nn.Sequential(
            nn.Flatten(), nn.Linear(64 * 16, CODE), nn.LayerNorm(CODE, elementwise_affine=False)
        )
        self.directions = nn.Parameter(torch.randn(CODE, DIRECTIONS))
        self.paint_by(width, 64)
        self.tell = nn.Linear(DIRECTIONS, options.coefficients) if options.coefficients else None
        self.register_buffer("mean", torch.zeros(DIRECTIONS))
        self.register_buffer("scale", torch.ones(DIRECTIONS))

    def basis(self) -> Tensor:
        """Q (CODE, K), orthonormal columns."""
        return torch.linalg.qr(self.directions.float())[0]

    def pose_of(self, motion: Tensor) -> Tensor:
        """What raw motion (B, K) says of the head as a whole, (B, 4); see `warping.affine_grid`."""
        return motion[:, :AFFINE]

    def placed(self, motion: Tensor, pose: Tensor) -> Tensor:
        """The motion with another pose of the head."""
        return torch.cat([pose, motion[:, AFFINE:].float()], 1)

    def guess(self, frames: Tensor, reference: Tensor) -> Tensor:
        """Frames (B, 3, S, S) and references (1 or B, 3, S, S) -> raw motion (B, K) at first sight."""
        return torch.cat(self.compare(frames, reference), 1)

    def decode_raw(self, motion: Tensor, reference: Tensor, touched: bool = True) -> Tensor:
        """Raw motion (B, K) and references (B, 3, S, S) -> frames (B, 3, S, S), nearly in [0, 1]."""
        looks = self.reference_features(reference)
        z = self.identity(looks[3]) + motion @ self.basis().to(motion).T
        return self.paint(looks[3], z, motion[:, :AFFINE], looks, reference, touched)

    def forward(
        self, frames: Tensor, reference: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Reconstruct through noisy motion: (frames, motion, told coefficients or None)."""
        motion = self.encode_raw(frames, reference)
        noise = torch.randn(motion.shape, generator=generator).to(motion)
        scale = torch.ones(DIRECTIONS).to(motion)
        scale[:AFFINE] = 0.01  # pose is in radians and half-frames: the same noise would shake the head
        noisy = motion + self.options.noise * scale * noise
        told = self.tell(noisy) if self.tell is not None else None
        return self.decode_raw(noisy, reference), motion, told

    def origin(self, reference: Tensor) -> Tensor:
        """Raw motion of the reference seen as a frame: (B, K)."""
        return self.encode_raw(reference, reference)

    def encode(self, frames: Tensor, reference: Tensor, origin: Tensor | None = None) -> Tensor:
        """Frames (B, 3, S, S) and one reference (1 or B, 3, S, S) -> whitened motion (B, K)."""
        origin = self.origin(reference) if origin is None else origin
        return (self.encode_raw(frames, reference) - origin - self.mean) / self.scale

    def decode(self, motion: Tensor, reference: Tensor, origin: Tensor | None = None) -> Tensor:
        """Whitened motion (B, K) and one reference (1 or B, 3, S, S) -> frames in [0, 1]."""
        origin = self.origin(reference) if origin is None else origin
        raw = motion * self.scale + self.mean + origin
        return self.decode_raw(raw, reference.expand(len(motion), -1, -1, -1)).clamp(0, 1)

    @torch.no_grad()
    def fit_whitening(self, raw: Tensor) -> None:
        """Set scale from raw motion relative to its origins, (N, K); the mean stays zero: "the reference"."""
        self.scale.copy_(raw.square().mean(0).sqrt().clamp_min(1e-4))
