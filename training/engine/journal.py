"""What a training reports while it runs: train.jsonl, TensorBoard events and a progress bar."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dyads.files import write_text

SECONDS_BETWEEN_LINES = 30


class Bar:
    """A progress bar on a terminal; elsewhere (logs) a line every half minute."""

    def __init__(self, title: str, start: int, total: int, unit: str) -> None:
        self.title, self.start, self.total, self.unit = title, start, total, unit
        self.started = self.last_line = time.monotonic()
        self.bar = None
        if sys.stderr.isatty():
            self.bar = tqdm(total=total, initial=start, desc=title, unit=unit, dynamic_ncols=True, file=sys.stderr)

    def show(self, done: int, note: str) -> None:
        """Show that `done` of all are done."""
        if self.bar is not None:
            self.bar.set_postfix_str(note, refresh=False)
            self.bar.update(done - self.bar.n)
        elif time.monotonic() - self.last_line > SECONDS_BETWEEN_LINES:
            self.last_line = time.monotonic()
            rate = (done - self.start) / (self.last_line - self.started)
            speed = f"{rate:.3g} {self.unit}s/s, {(self.total - done) / rate / 60:.1f} min left"
            line = f"{self.title}: {self.unit} {done}/{self.total}, {note}, {speed}"
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the terminal in order."""
        if self.bar is not None:
            self.bar.close()


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
        self.path = self.writer = self.bar = None
        if folder is None:
            return
        self.path = folder / "train.jsonl"
        keep_lines(self.path, lambda row: row["step"] <= start)
        self.writer = _event_writer(folder / "tensorboard", start) if tensorboard else None
        self.bar = Bar(title, start, total, "step")

    def step(self, done: int, loss: float) -> None:
        """Show that `done` steps are done."""
        if self.bar is not None:
            self.bar.show(done, f"loss {loss:.4g}")

    def log(self, row: dict[str, Any]) -> None:
        """Append one row, which holds `step`."""
        if self.path is None:
            return
        append_line(self.path, row)
        for name, value in row.items() if self.writer else ():
            if name != "step":
                self.writer.add_scalar(name, value, row["step"])

    def close(self) -> None:
        """Flush and release everything."""
        for part in (self.writer, self.bar):
            if part is not None:
                part.close()


def append_line(path: Path, row: dict[str, Any]) -> None:
    """Append one JSON line."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(row, allow_nan=False) + "\n")


def keep_lines(path: Path, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """Keep the JSON lines that are `wanted`, and return them; a line torn by a kill is dropped."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if wanted(row):
            rows.append(row)
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
    return rows


def _event_writer(folder: Path, start: int) -> Any:
    """A TensorBoard writer that hides events after `start`; None where the package is absent."""
    try:
        from torch.utils.tensorboard import SummaryWriter  # slow to import, hence only where wanted
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=start + 1)
