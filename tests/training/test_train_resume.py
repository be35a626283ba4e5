"""A training killed at any moment and run again ends with the same bits as an unbroken one."""

import json
import random
import shutil
import signal
import time

import pytest
from toy_training import ToyTask, options, run, run_toy, start

from training.engine import checkpoint
from training.engine.loop import read_summary, train
from training.errors import TrainingError

pytestmark = pytest.mark.slow

CLOCKS = {"seconds", "samples_per_second", "max_memory_gib"}


def result(folder):
    """Hash of the weights, and the logged rows without clocks."""
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    rows = [{key: value for key, value in row.items() if key not in CLOCKS} for row in rows]
    return checkpoint.sha256_file(folder / "weights.safetensors"), rows


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    assert run(run_toy, folder) == 0
    return folder


def test_unbroken_run_logs_each_step_once(unbroken):
    _, rows = result(unbroken)
    assert [row["step"] for row in rows] == [5, 10, 15, 20, 25, 30]
    assert {"loss", "mse", "grad_norm", "learning_rate"} <= rows[0].keys()
    assert rows[0]["mse"] == pytest.approx(rows[0]["loss"])
    summary = read_summary(unbroken)
    assert summary["steps"] == 30 and summary["samples"] == 30 * 4 * 2 and summary["train_seconds"] > 0
    assert summary["parameters_trained"] == 6 * 16 + 16 + 16 + 16 + 16 + 1


def test_killed_after_chosen_steps(unbroken, tmp_path):
    for step in (1, 6, 13, 14, 29):
        assert run(run_toy, tmp_path, kill_at=step) == -signal.SIGKILL
    assert run(run_toy, tmp_path) == 0
    assert result(tmp_path) == result(unbroken)
    assert read_summary(tmp_path)["samples"] == 240


@pytest.mark.parametrize("save", [0, 2])
def test_killed_while_writing_a_checkpoint(unbroken, tmp_path, save):
    assert run(run_toy, tmp_path, kill_in_save=save) == -signal.SIGKILL
    assert list(tmp_path.glob(".step-*"))  # the half-written folder has no final name
    assert run(run_toy, tmp_path) == 0
    assert result(tmp_path) == result(unbroken)
    assert not list(tmp_path.glob(".step-*"))


def test_killed_at_random_moments(unbroken, tmp_path):
    moments = random.Random(1)
    for _ in range(6):
        process = start(run_toy, tmp_path, pause=0.01)
        while process.is_alive() and not (tmp_path / "options.json").exists():
            time.sleep(0.005)
        time.sleep(moments.uniform(0.05, 0.25))
        process.kill()
        process.join()
    assert run(run_toy, tmp_path) == 0
    assert result(tmp_path) == result(unbroken)


def test_finished_training_loads_at_once(unbroken):
    task = ToyTask()
    task.batch = None  # would fail if it trained
    module = train(task, options(), unbroken, seed=3, stage="toy", identity={"a": 1}, device="cpu")
    assert not module.training
    saved = checkpoint.load_finished(unbroken)
    assert saved.keys() == module.state_dict().keys()
    assert all((saved[name] == value).all() for name, value in module.state_dict().items())


def interrupted(folder):
    """A folder with checkpoints of steps 7 and 14."""
    assert run(run_toy, folder, kill_at=16) == -signal.SIGKILL
    assert checkpoint.steps(folder) == [7, 14]


def test_damaged_checkpoint_falls_back_to_the_one_before(unbroken, tmp_path, capsys):
    interrupted(tmp_path)
    file = tmp_path / "step-000000014" / "state.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    run_toy(tmp_path)
    message = capsys.readouterr().err
    assert "step-000000014" in message and "damaged" in message and "resumes from step 7" in message
    assert result(tmp_path) == result(unbroken)


def test_all_checkpoints_damaged_starts_over(unbroken, tmp_path, capsys):
    interrupted(tmp_path)
    (tmp_path / "step-000000014" / "state.safetensors").unlink()
    (tmp_path / "step-000000007" / "state.json").write_text("{")
    run_toy(tmp_path)
    assert "from the beginning" in capsys.readouterr().err
    assert result(tmp_path) == result(unbroken)


def test_damaged_result_is_trained_again(unbroken, tmp_path, capsys):
    shutil.copytree(unbroken, tmp_path, dirs_exist_ok=True)
    (tmp_path / "weights.safetensors").write_bytes(b"0" * 50)
    run_toy(tmp_path)
    assert "training again" in capsys.readouterr().err
    assert result(tmp_path) == result(unbroken)


def test_other_options_start_afresh_and_say_so(unbroken, tmp_path, capsys):
    interrupted(tmp_path)
    run_toy(tmp_path, learning_rate=0.02)
    message = capsys.readouterr().err
    assert "options.learning_rate" in message and "moved to stale-" in message
    (stale,) = tmp_path.glob("stale-*")
    assert checkpoint.steps(stale) == [7, 14] and (stale / "train.jsonl").exists()
    _, rows = result(tmp_path)
    assert [row["step"] for row in rows] == [5, 10, 15, 20, 25, 30]
    run_toy(tmp_path)  # back again: nothing stale is taken up, and one stale folder is kept
    assert result(tmp_path) == result(unbroken)
    assert len(list(tmp_path.glob("stale-*"))) == 1


def test_options_that_decide_no_weight_keep_the_checkpoint(unbroken, tmp_path, capsys):
    interrupted(tmp_path)
    run_toy(tmp_path, checkpoint_every=9, explode_factor=50.0)
    assert "stale" not in capsys.readouterr().err
    assert result(tmp_path) == result(unbroken)


def test_identity_seed_stage_and_frozen_weights_decide(tmp_path):
    def folder_hash(task, **changes):
        settings = {"seed": 3, "stage": "toy", "identity": {"a": 1}, **changes}
        train(task, options(steps=1), tmp_path, device="cpu", **settings)
        return json.loads((tmp_path / "options.json").read_text())["hash"]

    frozen, other = ToyTask(), ToyTask(seed=1)
    for task in (frozen, other):
        task.module[0].requires_grad_(False)
    hashes = [
        folder_hash(ToyTask()),
        folder_hash(ToyTask(), seed=4),
        folder_hash(ToyTask(), stage="other"),
        folder_hash(ToyTask(), identity={"a": 2}),
        folder_hash(frozen),
        folder_hash(other),
    ]
    assert len(set(hashes)) == len(hashes)
    assert folder_hash(ToyTask()) == hashes[0]


def test_changed_code_starts_afresh_unless_accepted(tmp_path, monkeypatch, capsys):
    def step(folder):
        train(ToyTask(), options(steps=1), folder, seed=0, stage="toy", identity={}, device="cpu")
        return capsys.readouterr().err

    step(tmp_path)
    monkeypatch.setattr("training.engine.loop.source_hash", lambda classes: "edited")
    monkeypatch.setenv("ECHO_ACCEPT_CODE", "1")
    assert "going on" in step(tmp_path)
    monkeypatch.setattr("training.engine.loop.source_hash", lambda classes: "edited again")
    monkeypatch.delenv("ECHO_ACCEPT_CODE")
    assert "differs in code" in step(tmp_path)


def test_second_process_is_told_who_holds_the_folder(tmp_path):
    with checkpoint.lock(tmp_path):
        with pytest.raises(TrainingError, match=r"is in use by another process \(\d+\); wait"):
            train(ToyTask(), options(), tmp_path, seed=0, stage="toy", identity={}, device="cpu")
    train(ToyTask(), options(steps=1), tmp_path, seed=0, stage="toy", identity={}, device="cpu")


def test_summary_of_an_unfinished_folder(tmp_path):
    with pytest.raises(checkpoint.DataError, match="no finished training"):
        read_summary(tmp_path)
