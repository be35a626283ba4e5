"""Noise that moves as true latents do: its covariance, over the face and over time, in closed form."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dyads.errors import ConfigError
from echo_model.model.flow import integrate
from echo_model.model.generator import EchoGenerator
from echo_model.model.noise import LEAST, MotionNoise, apart, likeness, principal
from echo_model.model.options import SamplingOptions

CLIP = 8


def processes(mixing: torch.Tensor, alike: torch.Tensor, frames: int = 60_000) -> torch.Tensor:
    """(frames, width): first-order processes of unit variance, each `alike` to its last frame, through `mixing`."""
    fresh = torch.randn(frames, len(alike), dtype=torch.float64) * (1 - alike**2).sqrt()
    found = [torch.randn(len(alike), dtype=torch.float64)]
    for each in fresh[1:]:
        found.append(alike * found[-1] + each)
    return torch.stack(found) @ mixing


@pytest.fixture(scope="module")
def fitted():
    """MotionNoise of latents whose covariance a lag apart is known: (it, due covariance of each lag)."""
    torch.manual_seed(0)
    alike = torch.tensor([0.0, 0.3, 0.6, 0.8, 0.9, 0.95], dtype=torch.float64)
    mixing = torch.randn(6, 6, dtype=torch.float64)
    latents = processes(mixing, alike).float().reshape(-1, 3, 2)
    noise = MotionNoise(3, 2, CLIP)
    noise.fit([latents[:30_000], latents[30_000:], latents[:5]])
    return noise, torch.stack([mixing.T @ torch.diag(alike**lag) @ mixing for lag in range(CLIP)]).float()


def test_noise_has_the_covariance_of_true_latents_over_the_face_and_over_time(fitted):
    noise, due = fitted
    made = noise(torch.randn(40_000, CLIP, 3, 2)).flatten(2)
    for lag in (0, 1, 2, 4, 7):
        found = torch.einsum("bi,bj->ij", made[:, lag], made[:, 0]) / len(made)
        torch.testing.assert_close(found, due[lag], rtol=0, atol=0.06 * float(due[0].diagonal().max()))


def test_components_are_told_apart_by_how_fast_they_move(fitted):
    """Each found component is one process: the likeness a frame later is that of the six, from fast to slow."""
    noise, _ = fitted
    later = (noise.over_time @ noise.over_time.mT)[:, 0, 1]
    torch.testing.assert_close(later, torch.tensor([0.0, 0.3, 0.6, 0.8, 0.9, 0.95]), rtol=0, atol=0.05)


def test_white_is_the_inverse_of_the_components():
    torch.manual_seed(1)
    latents = processes(torch.randn(5, 5, dtype=torch.float64), torch.linspace(0, 0.9, 5, dtype=torch.float64), 4000)
    components, white = apart([latents])
    one = torch.eye(5, dtype=torch.float64)
    torch.testing.assert_close(white @ components, one)
    found = latents @ white
    torch.testing.assert_close(found.T @ found / len(found), one)
    lagged = found[1:].T @ found[:-1]
    off = (lagged + lagged.T) / 2 / len(found)
    torch.testing.assert_close(off, torch.diag(off.diagonal()))


def test_what_never_moves_gets_hardly_any_noise_and_each_frame_its_own():
    torch.manual_seed(2)
    latents = torch.randn(400, 3, 2)
    latents[:, 1, 1] = 0
    noise = MotionNoise(3, 2, CLIP)
    noise.fit([latents])
    made = noise(torch.randn(4000, CLIP, 3, 2))
    assert 0 < made[:, :, 1, 1].square().mean() < 4 * LEAST
    latents[:, -1] = 0
    noise.fit([latents])
    torch.testing.assert_close(noise.pose_over_time, torch.eye(CLIP).repeat(2, 1, 1))
    assert torch.isfinite(noise(torch.randn(CLIP, 3, 2))).all()


def test_roots_are_symmetric_with_rows_of_unit_length():
    torch.manual_seed(3)
    root = likeness([torch.randn(300, 4).cumsum(0), torch.randn(3, 4)], CLIP)
    torch.testing.assert_close(root, root.mT)
    torch.testing.assert_close(root.square().sum(-1), torch.ones(4, CLIP))


def test_a_few_steps_turn_the_head_as_far_as_true_heads_turn():
    """Why noise is that of the face: of a turn that moves 17 tokens alike, three Euler steps reach 0.6 of its range
    from such noise, whatever the turn's size, and from each token's own at most twice the noise."""
    turn = 10.0 * torch.ones(17) / 17**0.5  # one direction of standard deviation 10
    latents = torch.randn(20_000, 1) * turn
    covariance = torch.outer(turn, turn)
    for own, reached in ((torch.eye(17), 0.2), (covariance, 0.64)):

        def predict(x, t, own=own):  # the best linear estimate
            if t == 0:
                return torch.zeros_like(x)
            both = t**2 * covariance + (1 - t) ** 2 * own
            return x @ torch.linalg.pinv(both) @ (t * covariance)

        x_0 = torch.randn(20_000, 17) if own is not covariance else torch.randn(20_000, 1) * turn
        made = integrate(predict, x_0, 3) @ turn / turn.norm()
        assert float(made.std() / (latents @ turn / turn.norm()).std()) == pytest.approx(reached, abs=0.02)


def test_the_generator_colours_each_frame_of_a_step_and_not_without_the_option(masks, options):
    torch.manual_seed(4)
    generator = EchoGenerator(replace(options, colour=True), *masks)
    latents = torch.randn(2000, 17, 8) * torch.linspace(0.2, 3.0, 17)[:, None]
    latents = latents.cumsum(0) / torch.arange(1, 2001)[:, None, None] ** 0.5
    generator.fit_spread([latents])
    frames = torch.randn(5, options.clip, 17, 8)
    steps = frames.reshape(5, generator.current, options.patch, 17, 8).permute(0, 1, 3, 2, 4).flatten(3)
    made = generator.coloured(steps).reshape(5, generator.current, 17, options.patch, 8).permute(0, 1, 3, 2, 4)
    torch.testing.assert_close(made.reshape(frames.shape), generator.colour(frames))
    plain = EchoGenerator(replace(options, colour=False), *masks)
    assert plain.coloured(steps) is steps and not any(name.startswith("colour") for name in plain.state_dict())


@given(share=st.floats(0.0, 1.0), seed=st.integers(0, 99))
def test_the_fewest_directions_that_hold_a_share_of_the_variance(share, seed):
    """A projection: it repeats itself, is symmetric, and one direction less would hold less than the share."""
    g = torch.Generator().manual_seed(seed)
    root = torch.randn(5, 5, generator=g, dtype=torch.float64)
    covariance = root @ root.T
    made = principal(covariance, share)
    torch.testing.assert_close(made @ made, made)
    torch.testing.assert_close(made, made.mT)
    values = torch.linalg.eigvalsh(covariance).flip(0)
    kept = round(float(made.trace()))
    assert values[:kept].sum() >= share * values.sum() * (1 - 1e-9)
    assert kept == 0 or values[: kept - 1].sum() < share * values.sum()


@pytest.mark.parametrize("face, time, most", [(0.9, 1.0, 0.1), (1.0, 0.9, 0.1), (0.8, 0.8, 0.4)])
def test_true_clips_lie_in_their_own_span_and_white_noise_does_not(fitted, face, time, most):
    """Of true clips at most the share that was given up is lost, of what is no motion at all much more."""
    noise, _ = fitted
    torch.manual_seed(5)
    span = noise.span(face, time)

    def lost(clips):
        return float(sum((span(x) - x).square().sum() for x in clips) / clips.square().sum())

    true = lost(noise(torch.randn(2000, CLIP, 3, 2)))
    assert 0 < true < 1.05 * most and lost(torch.randn(2000, CLIP, 3, 2)) > 1.5 * true


def test_the_whole_span_changes_nothing(fitted):
    noise, _ = fitted
    clip = torch.randn(CLIP, 3, 2)
    torch.testing.assert_close(noise.span(1.0, 1.0)(clip), clip, rtol=1e-3, atol=1e-3)


def test_a_model_without_colour_has_no_span_and_says_so(masks, options):
    plain = EchoGenerator(replace(options, colour=False), *masks)
    assert plain.span(SamplingOptions()) is None
    for share in ({"span": 0.95}, {"span_time": 0.95}):
        with pytest.raises(ConfigError, match="model.colour.*set both to 1"):
            plain.span(SamplingOptions(**share))


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"solver": "rk4"}, {"span": 0.0}, {"span": 1.5}, {"span_time": -1.0}, {"span": float("nan")}],
)
def test_sampling_that_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SamplingOptions(**wrong)
