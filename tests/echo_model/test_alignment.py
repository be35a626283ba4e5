"""The alignment of a painted head: known moves are found, poses compose as maps do, a wrong code is put right."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dyads.synthetic.coefficients import neutral
from dyads.synthetic.drawing.render import render_frames
from echo_model.backbones.alignment import FURTHEST, aligning, composed
from echo_model.backbones.vae import FaceVAE, VAEOptions
from echo_model.backbones.warping import affine_grid, warp

POSES = st.tuples(*[st.floats(-0.04, 0.04)] * 4).map(lambda pose: torch.tensor([pose]))
EVERYWHERE = torch.ones(1, 1, 64, 64)


def face(size: int = 64) -> torch.Tensor:
    return torch.from_numpy(render_frames(3, neutral(1), size)).permute(0, 3, 1, 2) / 255.0


def carried(points: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
    """Points (N, 2) after roll, size and shift."""
    cos, sin = torch.cos(pose[0, 0]), torch.sin(pose[0, 0])
    turned = torch.stack([cos * points[:, 0] - sin * points[:, 1], sin * points[:, 0] + cos * points[:, 1]], 1)
    return pose[0, 3].exp() * turned + pose[0, 1:3]


@given(POSES, POSES)
def test_composed_poses_carry_points_one_after_the_other(first, then):
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [-0.3, 0.7]])
    whole = carried(points, composed(first, then))
    torch.testing.assert_close(whole, carried(carried(points, first), then), rtol=0, atol=1e-6)


@given(POSES)
def test_a_move_of_a_pixel_is_found_within_a_tenth_after_two_steps(pose):
    still = face()
    moved, guess = warp(still, affine_grid(pose, 64, inverse=False)), torch.zeros(1, 4)
    for _ in range(2):
        guess = composed(guess, aligning(warp(still, affine_grid(guess, 64, inverse=False)), moved, EVERYWHERE))
    assert (guess - pose).abs().max() < 0.1 * 2 / 64


def test_what_is_outside_the_head_counts_for_nothing():
    still = face()
    other = still.clone()
    other[..., :32] = other[..., :32].flip(2)
    right = torch.zeros(1, 1, 64, 64)
    right[..., 33:] = 1
    torch.testing.assert_close(aligning(still, other, right), torch.zeros(1, 4), rtol=0, atol=1e-6)
    assert aligning(still, other, EVERYWHERE).abs().max() > 1e-3


def test_flat_pictures_and_far_ones_move_nothing_by_more_than_a_step():
    flat = torch.full((1, 3, 64, 64), 0.5)
    assert torch.equal(aligning(flat, flat, EVERYWHERE), torch.zeros(1, 4))
    far = aligning(face(), face().flip(-1).flip(-2), EVERYWHERE)
    assert far.abs().max() <= FURTHEST and torch.isfinite(far).all()


@pytest.mark.parametrize("looks, share", [(1, 0.5), (2, 0.25), (3, 0.2)])
def test_a_look_at_what_it_paints_corrects_a_codes_pose(looks, share):
    """An untrained painter warps I_ref: frames are what it paints of known codes, guessed with a wrong pose."""
    torch.manual_seed(0)
    vae, reference = FaceVAE(VAEOptions(width=16, looks=looks)).eval(), face()
    with torch.no_grad():
        vae.matte[-1].bias.fill_(9.0)  # all is head: nothing stays behind
        true = vae.guess(reference, reference)
        vae.guess = lambda frames, reference: vae.placed(true, composed(vae.pose_of(true), off))
        frames, off = vae.decode_raw(true, reference, touched=False), torch.tensor([[0.02, -0.02, 0.01, 0.01]])
        found = vae.encode_raw(frames, reference)
    assert (vae.pose_of(found) - vae.pose_of(true)).abs().max() < share * off.abs().max()
    torch.testing.assert_close(found[:, :-1], true[:, :-1])


def test_the_guess_learns_through_the_correction():
    torch.manual_seed(0)
    vae, frames = FaceVAE(VAEOptions(width=16)), torch.rand(2, 3, 64, 64)
    vae.pose_of(vae.encode_raw(frames, face())).sum().backward()
    assert vae.pose_net[-1].weight.grad.abs().sum() > 0 and vae.heads.weight.grad is None
