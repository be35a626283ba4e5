"""The loop against closed forms, its stops, and what it leaves of the caller's state."""

import json
import time
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_training import LinearTask, ToyTask, options

from benchmarks.report import alternating
from dyads.errors import ConfigError
from dyads.seeding import derive, torch_generator
from training.engine import precision
from training.engine.batches import Batches
from training.engine.loop import read_summary, train
from training.engine.optim import build_optimizer, learning_rate, update_ema
from training.errors import TrainingError
from training.options import TrainOptions

PLAIN = {
    "ema_decay": 0.0,
    "accumulate": 1,
    "schedule": "constant",
    "warmup_steps": 0,
    "checkpoint_every": 1000,
}


def run(task, folder, stage="linear", **changes):
    return train(task, options(**{**PLAIN, **changes}), folder, seed=5, stage=stage, identity={}, device="cpu")


def rows_of(folder):
    return [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]


def reference(steps, accumulate, settings):
    """The same training with one big batch, written out; also the weights after each step."""
    task, history = LinearTask(), []
    trained = dict(task.module.named_parameters())
    optimizer = torch.optim.AdamW(
        [
            {"params": [task.module.weight], "weight_decay": settings.weight_decay},
            {"params": [task.module.bias], "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
    )
    for step in range(steps):
        x = [
            task.batch(step, torch_generator(5, "linear", "batch", step, micro, 0))["x"] for micro in range(accumulate)
        ]
        optimizer.zero_grad()
        task.loss({"x": torch.cat(x), "step": torch.tensor(step)}, None)[0].backward()
        norm = torch.nn.utils.clip_grad_norm_(trained.values(), settings.clip_norm)
        optimizer.step()
        history.append({name: p.detach().clone() for name, p in trained.items()} | {"norm": norm})
    return history


@pytest.mark.parametrize("accumulate", [1, 3])
def test_accumulated_micro_batches_equal_one_big_batch(tmp_path, accumulate):
    module = run(LinearTask(), tmp_path, steps=10, accumulate=accumulate, log_every=1)
    history = reference(10, accumulate, options(**PLAIN))
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, history[-1][name], rtol=1e-5, atol=1e-6)
    norms = [row["grad_norm"] for row in rows_of(tmp_path)]  # Adam would hide a factor on the gradient
    assert norms == pytest.approx([float(weights["norm"]) for weights in history], rel=1e-5)


def test_result_is_the_moving_average_of_the_weights(tmp_path):
    module = run(LinearTask(), tmp_path, steps=25, ema_decay=0.6)
    average = dict(LinearTask().module.state_dict())
    for step, weights in enumerate(reference(25, 1, options(**PLAIN))):
        decay = min(0.6, (1 + step) / (10 + step))
        average = {name: decay * average[name] + (1 - decay) * weights[name] for name in average}
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, average[name], rtol=1e-5, atol=1e-6)


def test_ema_of_constant_weights_is_geometric():
    weight = torch.nn.Parameter(torch.full((3,), 2.0))
    ema, step = {"w": torch.zeros(3)}, 10**6  # long after the warm-up of the decay
    for count in range(1, 6):
        update_ema(ema, {"w": weight}, 0.9, step)
        torch.testing.assert_close(ema["w"], torch.full((3,), 2.0 * (1 - 0.9**count)))


@given(st.integers(1, 200), st.integers(0, 50))
def test_schedule(steps, warmup):
    settings = options(steps=steps, warmup_steps=warmup, learning_rate=2.0)
    rates = [learning_rate(settings, step) for step in range(steps)]
    assert all(rate == pytest.approx(2.0 * (k + 1) / warmup) for k, rate in enumerate(rates[:warmup]))
    decay = rates[warmup:]
    assert decay == sorted(decay, reverse=True)
    if decay:
        assert decay[0] == pytest.approx(2.0)
        middle = learning_rate(settings, (steps + warmup) / 2)
        assert middle == pytest.approx(1.0)
        assert learning_rate(settings, steps) == pytest.approx(0.0, abs=1e-12)
    constant = options(steps=steps, warmup_steps=warmup, schedule="constant", learning_rate=2.0)
    assert {learning_rate(constant, step) for step in range(warmup, steps)} <= {2.0}


def test_optimizer_groups_scale_rates_and_spare_vectors():
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.LayerNorm(3), torch.nn.Linear(3, 1))
    module[2].bias.requires_grad_(False)
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    groups = [{"params": list(module[2].parameters()), "lr_scale": 0.1}]
    optimizer = build_optimizer(groups, trained, options(weight_decay=0.3))
    found = {
        id(p): (group["lr_scale"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]
    }
    expected = {
        "0.weight": (1.0, 0.3),
        "0.bias": (1.0, 0.0),
        "1.weight": (1.0, 0.0),
        "1.bias": (1.0, 0.0),
        "2.weight": (0.1, 0.3),
    }
    assert {name: found[id(p)] for name, p in trained.items()} == expected and len(found) == len(expected)
    with pytest.raises(ConfigError, match="twice"):
        build_optimizer([*groups, {"params": [module[2].weight]}], trained, options())


def test_parameter_groups_reach_the_optimizer(tmp_path):
    task = LinearTask()
    before = task.module.bias.detach().clone()
    task.parameter_groups = lambda: [{"params": [task.module.bias], "lr_scale": 0.0}]
    module = run(task, tmp_path, steps=3)
    assert (module.bias == before).all() and (module.weight != LinearTask().module.weight).all()


def test_frozen_parameters_stay(tmp_path):
    task = ToyTask()
    task.module[3].requires_grad_(False)
    before = task.module[3].weight.clone()
    module = run(task, tmp_path, steps=3)
    assert (module[3].weight == before).all() and (module[0].weight != ToyTask().module[0].weight).any()


def test_nothing_to_train(tmp_path):
    task = LinearTask()
    task.module.requires_grad_(False)
    with pytest.raises(ConfigError, match="no parameter to train"):
        run(task, tmp_path)


def test_nan_loss_stops_and_names_step_and_samples(tmp_path):
    class Poisoned(ToyTask):
        def batch(self, step, generator):
            batch = super().batch(step, generator)
            if step == 4:
                batch["x"][2, 3] = float("nan")
            return batch

    before = ToyTask().module.state_dict()
    message = r"stage 'linear', seed 5, step 4: the loss is nan on batch \[clip4-0, clip4-1, clip4-2, clip4-3\]"
    task = Poisoned()
    with pytest.raises(TrainingError, match=message):
        run(task, tmp_path)
    weights = [p for name, p in task.module.named_parameters()]
    assert all(torch.isfinite(p).all() for p in weights)  # the step was not taken
    assert any((p != before[name]).any() for name, p in task.module.named_parameters())
    with pytest.raises(TrainingError, match=message):  # and it stays so when run again
        run(Poisoned(), tmp_path)


def test_infinite_gradient_stops_and_names_the_position(tmp_path):
    class Steep(LinearTask):
        def loss(self, batch, generator):
            loss, numbers = super().loss(batch, generator)
            at_zero = torch.zeros((), requires_grad=True) * self.module.weight.sum()
            return loss + (at_zero.sqrt() * 1.0 if int(batch["step"]) == 3 else 0.0), numbers

    message = r"step 3: the gradient norm is (nan|inf) on batch at \(step, micro, rank\) \(3, 0, 0\)"
    with pytest.raises(TrainingError, match=message):
        run(Steep(), tmp_path)


def test_exploding_loss_stops(tmp_path):
    task = LinearTask(loss_scale=lambda step: 1e6 if step == 25 else 1.0)
    message = r"step 25: the loss exploded to .* times its running median, on batch .*\(25, 0, 0\)"
    with pytest.raises(TrainingError, match=message):
        run(task, tmp_path / "a", explode_factor=100.0)
    task = LinearTask(loss_scale=lambda step: 1e6 if step == 25 else 1.0)
    run(task, tmp_path / "b", explode_factor=0.0)  # off


def test_one_odd_batch_of_a_converged_training_is_no_explosion(tmp_path):
    scale = [1.0] + [1e-8] * 24 + [1e-5] + [1e-8] * 4
    run(LinearTask(loss_scale=scale.__getitem__), tmp_path, explode_factor=10.0)


def test_callers_random_state_is_left_alone(tmp_path):
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    run(ToyTask(), tmp_path, steps=2)
    assert (torch.rand(3) == expected).all()


def test_every_micro_step_has_its_own_randomness(tmp_path):
    seen = {"batch": [], "loss": [], "layers": []}

    class Watched(LinearTask):
        def batch(self, step, generator):
            seen["batch"].append(generator.initial_seed())
            return super().batch(step, generator)

        def loss(self, batch, generator):
            seen["loss"].append(generator.initial_seed())
            seen["layers"].append(torch.initial_seed())
            return super().loss(batch, generator)

    run(Watched(), tmp_path, steps=3, accumulate=2)
    positions = [(step, micro, 0) for step in range(3) for micro in range(2)]
    expected = {use: [derive(5, "linear", use, *position) for position in positions] for use in seen}
    assert seen == expected
    assert len({seed for seeds in seen.values() for seed in seeds}) == 18


def test_callers_random_state_does_not_matter(tmp_path):
    modules = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        modules.append(run(ToyTask(), tmp_path / str(seed), steps=4))
    assert all((a == b).all() for a, b in zip(*(m.parameters() for m in modules), strict=True))


def test_bf16_computes_in_bfloat16_and_keeps_weights(tmp_path):
    seen = []

    class Watched(LinearTask):
        def loss(self, batch, generator):
            seen.append(self.module(batch["x"]).dtype)
            return super().loss(batch, generator)

    module = run(Watched(), tmp_path, steps=2, precision="bf16")
    assert set(seen) == {torch.bfloat16} and module.weight.dtype == torch.float32


@pytest.mark.parametrize(("pays", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_computes_in_what_is_faster_here_and_says_so(tmp_path, monkeypatch, capsys, pays, dtype):
    monkeypatch.setattr(precision, "bf16_pays", lambda: pays)
    seen = []

    class Watched(LinearTask):
        def loss(self, batch, generator):
            seen.append(self.module(batch["x"]).dtype)
            return super().loss(batch, generator)

    run(Watched(), tmp_path, steps=2, precision="auto")
    name = "bf16" if pays else "fp32"
    assert set(seen) == {dtype} and f"computed in {name}" in capsys.readouterr().err
    assert read_summary(tmp_path)["precision"] == name


def test_a_training_that_goes_on_elsewhere_says_in_what_it_was_computed(tmp_path, monkeypatch, capsys):
    def kill(step):
        if step == 3:
            raise KeyboardInterrupt

    killed = LinearTask()
    killed.on_step_end = kill
    monkeypatch.setattr(precision, "bf16_pays", lambda: True)
    with pytest.raises(KeyboardInterrupt):
        run(killed, tmp_path, steps=4, precision="auto", checkpoint_every=2)
    monkeypatch.setattr(precision, "bf16_pays", lambda: False)
    run(LinearTask(), tmp_path, steps=4, precision="auto", checkpoint_every=2)
    assert "computed in fp32" in capsys.readouterr().err
    assert read_summary(tmp_path)["precision"] == "bf16+fp32"


def test_what_pays_is_measured_also_where_the_library_says_yes(monkeypatch):
    """AVX-512 without BF16: oneDNN computes bfloat16 there, through float32 and at half the speed."""
    for asked, factor, expected in ((True, 2.0, False), (True, 0.6, True), (False, 0.6, False)):
        monkeypatch.setattr(precision, "supported", lambda asked=asked: asked)
        monkeypatch.setattr(precision, "_seconds", lambda step: step())
        monkeypatch.setattr(
            precision, "convolution_step", lambda factor=factor: lambda name: factor if name == "bf16" else 1.0
        )
        precision.bf16_pays.cache_clear()
        assert precision.bf16_pays() is expected
    precision.bf16_pays.cache_clear()


def test_what_pays_agrees_with_the_clock():
    """On this very processor: the chosen precision of a step is not the slower one by more than a tenth."""
    step = precision.convolution_step()
    times = alternating({name: partial(step, name) for name in ("fp32", "bf16")}, 5, time.process_time)
    chosen = "bf16" if precision.bf16_pays() else "fp32"
    assert times[chosen] <= 1.1 * min(times.values())


def test_tensorboard_events(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run(LinearTask(), tmp_path, steps=4, log_every=2, tensorboard=True)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("loss")
    rows = rows_of(tmp_path)
    assert [(e.step, pytest.approx(e.value)) for e in events] == [(row["step"], row["loss"]) for row in rows]


def test_logged_values_are_means_since_the_last_row(tmp_path):
    losses = []

    class Watched(LinearTask):
        def loss(self, batch, generator):
            loss, _ = super().loss(batch, generator)
            losses.append(loss.item())
            return loss, {"half": loss.item() / 2}

    run(Watched(), tmp_path, steps=7, log_every=3)
    rows = rows_of(tmp_path)
    assert [row["step"] for row in rows] == [3, 6, 7]
    for row, part in zip(rows, (losses[:3], losses[3:6], losses[6:]), strict=True):
        assert row["loss"] == pytest.approx(sum(part) / len(part))
        assert row["half"] == pytest.approx(row["loss"] / 2)


def test_batches_made_ahead_are_the_same():
    def made(ahead):
        positions = iter([(step, micro, 0) for step in range(3) for micro in range(2)])
        batches = Batches(
            lambda place, g: ToyTask().batch(place[0], g), (0, "s"), positions, torch.device("cpu"), ahead
        )
        found = [batches.next() for _ in range(6)]
        batches.close()
        return [(position, batch["x"].tolist(), batch["ids"]) for position, batch in found]

    assert made(True) == made(False)


def test_errors_in_batches_made_ahead_arrive():
    def broken(step, generator):
        raise RuntimeError("no such clip")

    batches = Batches(broken, (0, "s"), iter([(0, 0, 0)]), torch.device("cpu"), True)
    with pytest.raises(RuntimeError, match="no such clip"):
        batches.next()
    batches.close()


def test_on_step_end_counts_steps_done(tmp_path):
    task, seen = LinearTask(), []
    task.on_step_end = seen.append
    run(task, tmp_path, steps=3)
    assert seen == [1, 2, 3]


def test_options_are_checked():
    for key, value in {"steps": 0, "ema_decay": 1.0, "clip_norm": -1.0, "learning_rate": 0.0}.items():
        with pytest.raises(ConfigError, match=key):
            TrainOptions(**{"steps": 1, "batch_size": 1, "learning_rate": 0.1, key: value})
