"""What an ECHO looks at: the scan as a matrix is the scan, no weight lies in the future, gates lie between 0 and 1."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from small_networks import SAMPLING, networks

from echo_model.commands.inspect import inspect_dialogue, scan_kernel, scan_weights
from echo_model.model.ssm import Mamba, scan_sequential


def method(options):
    nets = networks(options)
    return SimpleNamespace(generator=nets.generator, lcu=nets.lcu, model=options, sampling=SAMPLING)


def test_the_kernel_times_x_is_what_the_scan_gives():
    torch.manual_seed(0)
    mixer, u = Mamba(64).double(), torch.randn(1, 19, 64, dtype=torch.float64)
    x, kernel = scan_kernel(mixer, u)
    # the recurrence on the same x, b, c and steps, taken apart again as `Mamba.advance` does
    _, mixed, dt = mixer.in_proj(u).split([mixer.inner, mixer.inner + 2 * mixer.state, mixer.heads], -1)
    padded = torch.nn.functional.pad(mixed.transpose(1, 2), (3, 0))
    _, b, c = torch.nn.functional.silu(mixer.conv(padded).transpose(1, 2)).split([mixer.inner, 16, 16], -1)
    dt = torch.nn.functional.softplus(dt + mixer.dt_bias)
    y, _ = scan_sequential(x[None] * dt[..., None], -mixer.log_a.exp() * dt, b, c)
    torch.testing.assert_close(torch.einsum("hij,jhp->ihp", kernel, x), y[0])
    weights = scan_weights(mixer, u)
    assert not weights.triu(1).any() and torch.allclose(weights.sum(1), torch.ones(19, dtype=torch.float64))


def test_everything_that_is_written_has_its_shape_and_stays_in_the_past(options, dialogue):
    found = inspect_dialogue(method(options), dialogue, seed=0)
    steps, tubelets = (96 - 24 + 144) // 4, (96 - 24 + 144) // 12
    shapes = {name: tuple(value.shape) for name, value in found.items()}
    assert shapes == {
        "scan_audio": (2, steps, steps), "scan_video": (tubelets, tubelets), "influence_audio": (6, steps),
        "influence_video": (6, tubelets), "influence_phi": (6, 24), "gate": (2, 33, 17),
    }  # fmt: skip
    assert 0 < found["gate"].min() and found["gate"].max() < 1
    assert not found["scan_audio"].triu(1).any() and not found["scan_video"].triu(1).any()
    for clip, row in enumerate(found["influence_audio"]):
        assert not row[(96 + 24 * clip) // 4 :].any() and row.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("change", "absent"),
    [
        ({"use_sdcm": False}, {"gate"}),
        ({"use_lpe": False}, {"scan_video"}),
        ({"use_lcu": False}, {"scan_video", "scan_audio"}),
    ],
)
def test_what_a_variant_lacks_is_left_out(options, dialogue, change, absent):
    whole = {"gate", "scan_audio", "scan_video", "influence_audio", "influence_video", "influence_phi"}
    assert set(inspect_dialogue(method(replace(options, **change)), dialogue, seed=0)) == whole - absent


def test_gates_do_not_change_what_is_sampled(options, dialogue):
    from echo_model.sampling import sample_dialogue

    one = method(options)
    before = sample_dialogue(one.generator, one.lcu, dialogue, options, SAMPLING, 0)
    inspect_dialogue(one, dialogue, 0)
    assert torch.equal(before, sample_dialogue(one.generator, one.lcu, dialogue, options, SAMPLING, 0))
    assert not any(block.sdcm.gate._forward_hooks for block in one.generator.blocks)
