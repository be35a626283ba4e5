"""Noise that moves as faces do, and where faces lie: what true latents have in common over the face and over time."""

from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

LEAST = 1e-4  # of the largest variance: what moves less gets noise of that much, else it could not be divided by


class MotionNoise(nn.Module):
    """White noise (..., clip, n, c) -> noise with the covariance of true latents, over the face and over time.

    A head that turns moves every token at once, and slowly. Noise that is each token's own has hardly any of that, a
    few Euler steps cannot make it up, and heads then turn half as far as they should; noise that is each frame's own
    has most of its power where motion has none, and what is left of it is a head that trembles. The latents are taken
    apart into components that are uncorrelated now and one frame later (second-order blind identification: Tong et al.
    1991, "Indeterminacy and identifiability of blind identification"), so that slow heads and fast lips have one each;
    each component gets its own likeness over time.
    """

    def __init__(self, tokens: int, channels: int, clip: int):
        super().__init__()
        width = tokens * channels
        self.clip = clip
        self.register_buffer("components", torch.eye(width))  # rows: what unit of each looks like in latents
        self.register_buffer("over_time", torch.eye(clip).repeat(width, 1, 1))  # of each component
        self.register_buffer("pose_over_time", torch.eye(clip).repeat(channels, 1, 1))  # of the pose's channels

    @torch.no_grad()
    def fit(self, latents: list[Tensor]) -> None:
        """Set it from true latents, (T, n, c) each, about zero, which is the reference image."""
        flat = [rearrange(x.double(), "t n c -> t (n c)") for x in latents]
        components, white = apart(flat)
        self.components.copy_(components)
        self.over_time.copy_(likeness([x @ white for x in flat], self.clip))
        self.pose_over_time.copy_(likeness([x[:, -1].double() for x in latents], self.clip))

    def forward(self, noise: Tensor) -> Tensor:
        """Unit white noise (..., clip, n, c) -> noise of the same layout, at the latents' own scale."""
        parts = torch.einsum("kts,...sk->...tk", self.over_time, rearrange(noise, "... t n c -> ... t (n c)"))
        return rearrange(parts @ self.components, "... t (n c) -> ... t n c", c=noise.shape[-1])

    @torch.no_grad()
    def span(self, face: float, time: float) -> "Span":
        """Where true clips lie: the directions that hold the share `face` of the latents' variance over the face, and
        those that hold the share `time` of each component's over a clip's frames."""
        rows, roots = self.components.double(), self.over_time.double()
        back = rows @ principal(rows.T @ rows, face)
        return Span(torch.linalg.inv(rows).float(), principal(roots @ roots.mT, time).float(), back.float())

    def even_pose(self, pose: Tensor) -> Tensor:
        """Values of the pose token (..., clip, c), each frame's its own -> as alike over time as its true ones are."""
        return torch.einsum("cts,...sc->...tc", self.pose_over_time, pose)


class Span(NamedTuple):
    """Directions over the face and over time; calling it leaves of a clip (clip, n, c) what lies in them."""

    apart: Tensor  # (width, width): latents -> components
    over_time: Tensor  # (width, clip, clip): projection of each component
    back: Tensor  # (width, width): components -> latents, projected

    def __call__(self, frames: Tensor) -> Tensor:
        parts = torch.einsum("kts,sk->tk", self.over_time, rearrange(frames, "t n c -> t (n c)") @ self.apart)
        return rearrange(parts @ self.back, "t (n c) -> t n c", c=frames.shape[-1])


def principal(covariance: Tensor, share: float) -> Tensor:
    """Projections (..., n, n) on the fewest principal directions that hold `share` (0 to 1) of the variance."""
    values, vectors = torch.linalg.eigh(covariance)
    above = values.flip(-1).cumsum(-1) - values.flip(-1)  # variance of the larger ones
    kept = (above < share * values.sum(-1, keepdim=True)).flip(-1)
    return (vectors * kept[..., None, :]) @ vectors.mT


def apart(latents: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Latents (T, width) each, float64 -> (components, white), (width, width) both.

    `x @ white` has unit covariance, and no covariance between its columns one frame apart; `components` is its inverse.
    Columns come from the fastest to the slowest.
    """
    count = sum(len(x) for x in latents)
    values, vectors = torch.linalg.eigh(sum(x.T @ x for x in latents) / count)
    scale = values.clamp_min(LEAST * values.max()).sqrt()
    white = vectors / scale
    lagged = sum((x[1:] @ white).T @ (x[:-1] @ white) for x in latents) / count
    turn = torch.linalg.eigh(lagged + lagged.T)[1]
    return turn.T @ (vectors * scale).T, white @ turn


def likeness(tracks: list[Tensor], clip: int) -> Tensor:
    """Symmetric roots (k, clip, clip) of the correlation over a clip's frames of tracks (T, k), one for each column.

    Rows have unit length: noise keeps its variance.
    """
    windows = [x.double().unfold(0, clip, clip // 2) for x in tracks if len(x) >= clip]  # (w, k, clip)
    total = sum(torch.einsum("wkt,wks->kts", each, each) for each in windows)
    total = total + 1e-9 * torch.eye(clip)  # a column that never moves
    size = total.diagonal(dim1=-2, dim2=-1).rsqrt()
    values, vectors = torch.linalg.eigh(total * size[..., :, None] * size[..., None, :])
    return (vectors * values.clamp_min(0).sqrt()[..., None, :] @ vectors.mT).float()
