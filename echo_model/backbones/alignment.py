"""Where a painted head must go to lie on the frame's: one Gauss-Newton step (Lucas and Kanade 1981) per look."""

import torch
import torch.nn.functional as F
from torch import Tensor

FURTHEST = 0.05  # of a step, in radians, half-frames and log scale: pictures tell their slope for a pixel or two
OUTLIER = 0.15  # of the difference at a pixel, of 1: where an expression differs, the head's place is not told
DAMPING = 1e-3  # of the normal equations' diagonal


def composed(first: Tensor, then: Tensor) -> Tensor:
    """The pose (B, 4) that moves by `first`, then by `then`; see `warping.affine_grid`."""
    roll, shift, scale = then[:, 0], then[:, 1:3], then[:, 3]
    cos, sin = torch.cos(roll), torch.sin(roll)
    x, y = first[:, 1], first[:, 2]
    turned = scale.exp()[:, None] * torch.stack([cos * x - sin * y, sin * x + cos * y], 1) + shift
    return torch.cat([(first[:, 0] + roll)[:, None], turned, (first[:, 3] + scale)[:, None]], 1)


def slopes(image: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences along x and y of (B, C, S, S), per half-frame."""
    padded, per = F.pad(image, (1, 1, 1, 1), mode="replicate"), image.shape[-1] / 4
    across = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    return per * across, per * (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1])


@torch.no_grad()
def aligning(painted: Tensor, frames: Tensor, head: Tensor) -> Tensor:
    """The small pose (B, 4) that moves `painted` (B, C, S, S) onto `frames` where `head` (B, 1, S, S) says.

    Least squares over the head's pixels, of weights that fall with the difference; slopes are means of both
    pictures', which makes the step's error of second order. Pictures in [0, 1].
    """
    size = frames.shape[-1]
    along_x, along_y = ((a + b) / 2 for a, b in zip(slopes(painted), slopes(frames), strict=True))
    at = (torch.arange(size, device=frames.device) + 0.5) * (2 / size) - 1
    y, x = torch.meshgrid(at, at, indexing="ij")
    missing = frames - painted
    weight = head / (1 + missing.square().mean(1, keepdim=True) / OUTLIER**2)
    moves = [along_x * y - along_y * x, -along_x, -along_y, -(along_x * x + along_y * y)]
    change = torch.stack(moves, 1).flatten(2)  # (B, 4, C S S): what a unit of roll, shift and size adds to the picture
    weighed = change * weight.expand_as(missing).flatten(1)[:, None]
    normal = weighed @ change.transpose(1, 2)
    normal = normal + torch.diag_embed(normal.diagonal(dim1=1, dim2=2) * DAMPING + 1e-6)
    step = torch.linalg.solve(normal, (weighed @ missing.flatten(1)[:, :, None])[..., 0])
    return step.clamp(-FURTHEST, FURTHEST)
