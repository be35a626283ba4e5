"""The flow's path, loss and solvers against closed forms."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from echo_model.model.flow import flow_loss, integrate, interpolate, preconditioning, sample_times, velocity

SPREADS = st.floats(0.05, 5.0)


def test_path_has_its_ends_and_a_constant_velocity():
    x_0, x_1 = torch.randn(3, 4, 5), torch.randn(3, 4, 5)
    assert torch.equal(interpolate(x_1, x_0, torch.zeros(3)), x_0)
    assert torch.equal(interpolate(x_1, x_0, torch.ones(3)), x_1)
    x_t = interpolate(x_1, x_0, torch.full((3,), 0.3))
    torch.testing.assert_close(velocity(x_1, x_t, 0.3), x_1 - x_0, rtol=1e-4, atol=1e-5)


def test_loss_is_the_squared_velocity_error():
    x_0, x_1, x_hat, t = torch.randn(2, 6), torch.randn(2, 6), torch.randn(2, 6), torch.tensor([0.1, 0.6])
    x_t = interpolate(x_1, x_0, t)
    error = velocity(x_hat, x_t, t[:, None]) - (x_1 - x_0)
    torch.testing.assert_close(flow_loss(x_hat, x_1, t, sharpest=0.9), error.square().mean(1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(flow_loss(x_hat, x_1, t), (x_hat - x_1).square().mean(1))


@given(spread=SPREADS, noise=SPREADS)
def test_preconditioning_reads_pure_noise_and_keeps_the_data(spread, noise):
    s, n = (torch.tensor(x, dtype=torch.float64) for x in (spread, noise))
    start, end = (preconditioning(torch.tensor(t, dtype=torch.float64), s, n) for t in (0.0, 1.0))
    torch.testing.assert_close(torch.stack(start), torch.stack([1 / n, torch.zeros_like(s), s]))
    torch.testing.assert_close(torch.stack(end), torch.stack([1 / s, torch.ones_like(s), torch.zeros_like(s)]))


@given(spread=SPREADS, noise=SPREADS, t=st.floats(0.0, 0.99))
def test_preconditioned_input_and_target_have_unit_variance_and_nothing_in_common(spread, noise, t):
    """In closed form, of x_1 ~ N(0, s^2), x_0 ~ N(0, n^2): nothing is left to answer but what x_t does not tell."""
    s, n, t = (torch.tensor(x, dtype=torch.float64) for x in (spread, noise, t))
    c = preconditioning(t, s, n)
    of_input = torch.stack([c.within * t * s, c.within * (1 - t) * n])  # weights of x_1 / s and x_0 / n
    of_target = torch.stack([(1 - c.skip * t) * s, -c.skip * (1 - t) * n]) / c.out
    one = torch.ones((), dtype=torch.float64)
    torch.testing.assert_close(of_input.square().sum(), one)
    torch.testing.assert_close(of_target.square().sum(), one)
    torch.testing.assert_close((of_input * of_target).sum(), 0 * one, atol=1e-9, rtol=0)


def test_a_silent_network_is_the_optimum_of_gaussian_data():
    """F = 0 is the best linear estimate of x_1 from x_t, as least squares finds it in samples."""
    torch.manual_seed(0)
    s, t = torch.tensor([0.3, 1.0, 2.5]), torch.tensor(0.4)
    n = torch.tensor([1.0, 0.5, 2.5])
    x_1, x_0 = s * torch.randn(200_000, 3), n * torch.randn(200_000, 3)
    x_t = t * x_1 + (1 - t) * x_0
    slope = (x_t * x_1).mean(0) / x_t.square().mean(0)
    torch.testing.assert_close(preconditioning(t, s, n).skip, slope, rtol=0.01, atol=0.005)


@pytest.mark.parametrize("steps", [2, 3, 6])
def test_what_is_not_known_keeps_its_variance_in_an_angular_step(steps):
    """Of N(0, 1) nothing is known but its scale: an angular step leaves x as it is, Euler's shrink it."""

    def predict(x, t):
        return x * t / (t**2 + (1 - t) ** 2)

    x_0 = torch.linspace(-2, 2, 41, dtype=torch.float64)
    torch.testing.assert_close(integrate(predict, x_0, steps, "angular"), x_0)
    left = {2: 0.5, 3: 0.64, 6: 0.806}[steps]
    torch.testing.assert_close(integrate(predict, x_0, steps), left * x_0, rtol=0, atol=0.005)


@pytest.mark.parametrize("solver", ["euler", "midpoint", "heun"])
@pytest.mark.parametrize("steps", [1, 4, 9])
def test_solvers_land_on_a_single_point(solver, steps):
    """With one data point x_hat is that point at every time, and the path is a straight line."""
    point = torch.randn(3, 4)
    torch.testing.assert_close(integrate(lambda x, t: point, torch.randn(3, 4), steps, solver), point)


def test_an_angular_step_nears_a_single_point_with_the_square_of_its_length():
    point, x_0 = torch.ones(3, 4, dtype=torch.float64), torch.zeros(3, 4, dtype=torch.float64)
    off = [float((integrate(lambda x, t: point, x_0, n, "angular") - 1).abs().max()) for n in (3, 6, 12)]
    assert off[0] < 0.12 and off[1] < off[0] / 3 and off[2] < off[1] / 3


def test_gaussian_data_is_sampled_with_its_variance_and_second_order_solvers_are_closer():
    """For x_1 ~ N(0, s^2) the posterior mean is linear, and the exact flow maps x_0 to s x_0."""
    s, x_0 = 0.5, torch.linspace(-2, 2, 41, dtype=torch.float64)

    def predict(x, t):
        return x * t * s**2 / (t**2 * s**2 + (1 - t) ** 2)

    errors = {name: (integrate(predict, x_0, 16, name) - s * x_0).abs().max() for name in ("euler", "midpoint", "heun")}
    assert errors["midpoint"] < 0.5 * errors["euler"] and errors["heun"] < 0.5 * errors["euler"]
    assert errors["euler"] < 0.15


def test_times_are_inside_the_unit_interval_and_follow_the_generator():
    draws = [sample_times(500, torch.Generator().manual_seed(7)) for _ in range(2)]
    assert torch.equal(*draws) and 0 < draws[0].min() and draws[0].max() < 1


def test_unknown_solver_is_refused():
    with pytest.raises(ValueError, match="euler, angular, midpoint, heun"):
        integrate(lambda x, t: x, torch.zeros(1), 1, "rk4")
