"""What `training.launch` starts in its tests: `-m launched_toy FOLDER HOW RANK STEP`, a rank that fails as told."""

import os
import signal
import sys
from pathlib import Path

from dyads.errors import run_cli
from training.errors import TrainingError


def fail(how: str) -> None:
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "say":
        raise TrainingError("stage 'toy': the loss is nan on batch [clip3]; check these samples.")
    raise ValueError("boom")


def main() -> None:
    folder, how, failing, at = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    rank = int(os.environ["RANK"])
    if at < 0:  # without a training, hence without torch
        if rank == failing:
            fail(how)
        signal.pause()
    import torch
    from toy_training import ToyTask, options

    from training.engine import checkpoint
    from training.engine.loop import train

    torch.set_num_threads(1)
    task = ToyTask()
    task.on_step_end = lambda step: fail(how) if (rank, step) == (failing, at) else None
    module = train(task, options(steps=16), folder, seed=3, stage="toy", identity={}, device="cpu")
    checkpoint.write_tensors(folder / f"rank{rank}.safetensors", module.state_dict())


if __name__ == "__main__":
    run_cli(main)
