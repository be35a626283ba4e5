"""What a training reports while it runs: train.jsonl, TensorBoard events and a progress bar."""

import json
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dyads.files import write_text

SECONDS_BETWEEN_LINES = 30


class Journal:
    """Writes one line per logged step to `train.jsonl`; on resume, lines after `start` are dropped.

    Args:
        folder: where train.jsonl and tensorboard/ live; None: report nothing.
        start: steps already done.
        total: steps in all.
        title: shown before the progress.
        tensorboard: also write TensorBoard events (skipped where the package is absent).
    """

    def __init__(self, folder: Path | None, start: int, total: int, title: str, tensorboard: bool) -> None:
        self.folder, self.total, self.start, self.title = folder, total, start, title
        self.path = folder / "train.jsonl" if folder else None
        self.writer = self.bar = None
        self.started = self.last_line = time.monotonic()
        if folder is None:
            return
        _keep_lines(self.path, start)
        if tensorboard:
            self.writer = _event_writer(folder / "tensorboard", start)
        if sys.stderr.isatty():
            self.bar = tqdm(total=total, initial=start, desc=title, dynamic_ncols=True, file=sys.stderr)

    def step(self, done: int, loss: float) -> None:
        """Show that `done` steps are done."""
        if self.folder is None:
            return
        if self.bar is not None:
            self.bar.update(done - self.bar.n)
            self.bar.set_postfix_str(f"loss {loss:.4g}", refresh=False)
        elif time.monotonic() - self.last_line > SECONDS_BETWEEN_LINES:
            self.last_line = time.monotonic()
            rate = (done - self.start) / (self.last_line - self.started)
            left = (self.total - done) / rate / 60
            speed = f"{rate:.3g} steps/s, {left:.1f} min left"
            line = f"{self.title}: step {done}/{self.total}, loss {loss:.4g}, {speed}"
            print(line, file=sys.stderr, flush=True)

    def log(self, row: dict[str, Any]) -> None:
        """Append one row, which holds `step`."""
        if self.folder is None:
            return
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        for name, value in row.items() if self.writer else ():
            if name != "step":
                self.writer.add_scalar(name, value, row["step"])

    def close(self) -> None:
        """Flush and release everything."""
        if self.writer is not None:
            self.writer.close()
        if self.bar is not None:
            self.bar.close()


def _event_writer(folder: Path, start: int) -> Any:
    """A TensorBoard writer that hides events after `start`; None where the package is absent."""
    try:
        from torch.utils.tensorboard import SummaryWriter  # slow to import, hence only where wanted
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=start + 1)


def _keep_lines(path: Path, last_step: int) -> None:
    """Drop lines after `last_step` and a line torn by a kill."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= last_step:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue
    write_text(path, "".join(kept))
