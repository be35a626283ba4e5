"""The flow's path, loss and solvers against closed forms."""

import pytest
import torch

from echo_model.model.flow import flow_loss, integrate, interpolate, sample_times, velocity


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


@pytest.mark.parametrize("solver", ["euler", "midpoint", "heun"])
@pytest.mark.parametrize("steps", [1, 4, 9])
def test_solvers_land_on_a_single_point(solver, steps):
    """With one data point x_hat is that point at every time, and the path is a straight line."""
    point = torch.randn(3, 4)
    torch.testing.assert_close(integrate(lambda x, t: point, torch.randn(3, 4), steps, solver), point)


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
    with pytest.raises(ValueError, match="euler, midpoint or heun"):
        integrate(lambda x, t: x, torch.zeros(1), 1, "rk4")
