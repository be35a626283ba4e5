"""What autoencoder and motion renderer share: un-pose a frame, look at I_ref, warp it, paint on it, re-pose it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from echo_model.backbones.alignment import aligning, composed

AFFINE = 4  # pose channels with a meaning: roll, shift x, shift y, log scale; the rest are free
WORKING = 32  # the networks work at 32 x 32, whatever the frame size

Looks = tuple[Tensor, Tensor, Tensor, Tensor]  # I_ref at 32, 16, 8 and 4 cells a side


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


def doubled(x: Tensor) -> Tensor:
    """Twice as many cells a side (F.interpolate copies too much, see findings/nearest_upsampling_copies.sh)."""
    x = torch.stack([x, x], -1).flatten(-2)
    return torch.stack([x, x], -2).flatten(-3, -2)


def warp(image: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(image.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)


class ReferenceWarper(nn.Module):
    """Base of networks that code a frame against I_ref and paint it by warping I_ref.

    A subclass has `options.looks`, `guess` (a first code), `pose_of` and `placed` (a code's pose, and the code with
    another one) and `decode_raw`. It names `pose_net` and `encoder`, then calls `see_reference` and `paint_by` where
    its constructor reaches them: the order in which weights are drawn is a study's randomness.
    """

    def __init__(self, size: int):
        super().__init__()
        self.size, self.patch = size, size // WORKING
        self.pixels = 3 * self.patch**2  # channels of a frame at 32 x 32

    def see_reference(self, width: int) -> None:
        """Layers of `reference_features`."""
        self.reference_32 = conv(self.pixels, width)
        self.reference_16 = conv(width, 32, 2)
        self.reference_8 = conv(32, 48, 2)
        self.reference_4 = conv(48, 64, 2)

    def paint_by(self, width: int, start: int) -> None:
        """Layers of `paint`, which begins with `start` channels at 4 x 4."""
        self.decode_4 = Modulated(start, 64)
        self.decode_8 = Modulated(64 + 48, 64)
        self.deepen_8 = Modulated(64, 64)
        self.decode_16 = Modulated(64 + 32, 48)
        self.deepen_16 = Modulated(48, 48)
        self.decode_32 = Modulated(48 + width, width)
        self.deepen_32 = Modulated(width, width)
        self.heads = nn.Conv2d(width, 3 + self.pixels, 3, 1, 1)  # flow x, y, residual's mask, residual
        self.matte = nn.Sequential(conv(32, 16), nn.Conv2d(16, 1, 3, 1, 1))
        self.look_again = conv(2 * self.pixels + 1, 24)
        self.look_around = nn.Sequential(conv(24, 48, 2), conv(48, 48))
        self.refine = nn.Conv2d(24 + 48, self.pixels, 3, 1, 1)
        for head in (self.heads, self.refine):
            head.weight.data.mul_(0.1)
            nn.init.zeros_(head.bias)

    def split(self, frames: Tensor) -> Tensor:
        """Frames (B, 3, S, S) in [0, 1] -> (B, pixels, 32, 32) in [-1, 1]."""
        return F.pixel_unshuffle(frames * 2 - 1, self.patch)

    def enlarged(self, x: Tensor) -> Tensor:
        """Any square map at the frames' size."""
        return F.interpolate(x, size=(self.size,) * 2, mode="bilinear", align_corners=False)

    def encode_raw(self, frames: Tensor, reference: Tensor) -> Tensor:
        """Frames (B, 3, S, S) and references (1 or B, 3, S, S) -> raw codes, whose head was looked at again."""
        code = self.guess(frames, reference)
        if not self.options.looks:
            return code
        overlooked = self.overlooked(code.detach(), frames, reference)
        return self.placed(code, composed(self.pose_of(code).float(), overlooked))

    @torch.no_grad()
    def overlooked(self, code: Tensor, frames: Tensor, reference: Tensor) -> Tensor:
        """How far what `code` paints lies beside the frames: a small pose (B, 4).

        A network overlooks a fraction of a pixel, and edges are worth more than a decibel. It is painted once, without
        the last touch, which costs a third and tells little more; each step lays that on the frame anew. Nothing is
        learned here: the gradient of what is painted passes to the guess as if that had been right.
        """
        first = self.decode_raw(code, reference, touched=False).float().clamp(0, 1)
        head = self.head(self.reference_features(reference)).expand(len(code), -1, -1, -1)
        with torch.autocast(code.device.type, enabled=False):  # its 4 x 4 equations want every digit
            first = torch.cat([first, warp(head, affine_grid(self.pose_of(code), self.size, inverse=False))], 1)
            found, there = first.new_zeros(len(code), AFFINE), first
            for step in range(self.options.looks):
                if step:
                    there = warp(first, affine_grid(found, self.size, inverse=False))
                found = composed(found, aligning(there[:, :3], frames.float(), there[:, 3:]))
        return found

    def compare(self, frames: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, 3, S, S) against references (1 or B, 3, S, S) -> pose (B, 4 or more), the encoder's view of the
        un-posed."""
        small = self.split(reference).expand(len(frames), -1, -1, -1)
        pose = self.pose_net(torch.cat([self.split(frames), small], 1))
        pose = torch.cat([0.3 * torch.tanh(pose[:, :AFFINE]), pose[:, AFFINE:]], 1)
        canonical = warp(frames, affine_grid(pose[:, :AFFINE], self.size, inverse=True))
        return pose, self.encoder(torch.cat([self.split(canonical), small], 1))

    def reference_features(self, reference: Tensor) -> Looks:
        """What I_ref looks like at 32, 16, 8 and 4 cells a side."""
        at_32 = self.reference_32(self.split(reference))
        at_16 = self.reference_16(at_32)
        at_8 = self.reference_8(at_16)
        return at_32, at_16, at_8, self.reference_4(at_8)

    def head(self, looks: Looks) -> Tensor:
        """Where the head is in the references, (B, 1, S, S) in (0, 1)."""
        return torch.sigmoid(self.enlarged(self.matte(looks[1])) + 1)

    def paint(
        self, start: Tensor, code: Tensor, pose: Tensor, looks: Looks, reference: Tensor, touched: bool = True
    ) -> Tensor:
        """Frames (B, 3, S, S), nearly in [0, 1]; not `touched`: without the last layers.

        From `start` (B, start, 4, 4), code (B, 128) and pose (B, 4); looks of the references, and these
        (B or 1, 3, S, S): one reference is looked at once, whatever B.
        """
        matte, small = self.head(looks), self.split(reference)
        fine, coarse, at_8, matte, small, reference = (
            x.expand(len(pose), -1, -1, -1) for x in (*looks[:3], matte, small, reference)
        )
        hidden = self.decode_4(start, code)
        hidden = self.decode_8(torch.cat([doubled(hidden), at_8], 1), code)
        hidden = self.decode_16(torch.cat([doubled(hidden + self.deepen_8(hidden, code)), coarse], 1), code)
        hidden = torch.cat([doubled(hidden + self.deepen_16(hidden, code)), fine], 1)
        hidden = self.decode_32(hidden, code)
        heads = self.heads(hidden + self.deepen_32(hidden, code))
        # In the pose of I_ref: how far to look aside, what to paint, where, and where the head is. All of it is moved
        # to the frame's pose before I_ref is looked up, so that its pixels are interpolated once.
        field = [self.enlarged(heads[:, :2]), self.enlarged(torch.sigmoid(heads[:, 2:3] - 2)), matte]
        field = torch.cat([*field, F.pixel_shuffle(heads[:, 3:], self.patch)], 1)
        posed = affine_grid(pose, self.size, inverse=False)
        aside, blend, matte, painted = warp(field, posed).split([2, 1, 1, 3], 1)
        moved = warp(reference, posed + 0.25 * aside.permute(0, 2, 3, 1))
        frame = matte * (moved + blend * (painted + 0.5 - moved)) + (1 - matte) * reference
        if not touched:
            return frame
        seen = self.look_again(torch.cat([self.split(frame), small, F.avg_pool2d(matte, self.patch)], 1))
        around = doubled(self.look_around(seen))
        return frame + F.pixel_shuffle(self.refine(torch.cat([seen, around], 1)), self.patch)
