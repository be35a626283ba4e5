"""What the figures draw from, their colours (Okabe and Ito's), and how they are saved."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dyads.errors import DataError
from dyads.files import atomic_path

BLUE, ORANGE, GREEN, GREY, BLACK = "#0072B2", "#D55E00", "#009E73", "#8C8C8C", "#000000"
GROUP_COLOURS = {"main": BLUE, "baseline": GREEN, "ablation": ORANGE, "control": GREY}
TABLE_FILES = ("main_table.csv", "ablations_table.csv")


@dataclass(frozen=True)
class Study:
    """What the figures draw from: folders of one profile's results, and its rows (method, label, group)."""

    results: Path
    data: Path
    rows: pd.DataFrame

    def videos(self, method: str, seed: int) -> Path:
        return self.results / "videos" / method / f"seed{seed}"

    def features(self, method: str, seed: int) -> Path:
        return self.results / "metrics" / method / f"seed{seed}.features.safetensors"

    def label(self, method: str) -> str:
        return dict(zip(self.rows["method"], self.rows["label"], strict=True)).get(method, method)

    def seed(self, method: str, wanted: int) -> int:
        """`wanted` if the method has it, else its lowest seed (controls may have one only)."""
        folders = [*(self.results / "metrics" / method).glob("seed*.csv"), *self.videos(method, 0).parent.glob("seed*")]
        seeds = {int(path.stem[4:]) for path in folders if path.stem[4:].isdigit()}
        return wanted if wanted in seeds or not seeds else min(seeds)


def read_study(results: Path) -> Study:
    """The study in `results/<profile>`; DataError without tables or data."""
    tables = [results / "tables" / name for name in TABLE_FILES if (results / "tables" / name).exists()]
    if not tables:
        raise DataError(f"{results}/tables holds no table; make the tables first.")
    rows = pd.concat([pd.read_csv(table)[["method", "label", "group"]] for table in tables])
    data = sorted((results / "data").glob("*/manifest.csv"))
    if not data:
        raise DataError(f"{results}/data holds no manifest.csv; make the data first.")
    rows = rows.drop_duplicates("method")
    order = rows["group"].map(list(GROUP_COLOURS).index)
    rows = rows.iloc[order.argsort(kind="stable")].reset_index(drop=True)
    return Study(results, data[0].parent, rows)


def save(figure: Figure, path: Path) -> None:
    """Write `path`.png and `path`.pdf, without dates, so that the same data give the same files."""
    for suffix, metadata in ((".png", {}), (".pdf", {"CreationDate": None})):
        with atomic_path(path.with_name(path.name + suffix)) as temporary:
            figure.savefig(temporary, dpi=160, metadata=metadata, bbox_inches="tight")


def runs(series: np.ndarray) -> list[tuple[int, int]]:
    """(start, stop) of each stretch of equal values."""
    edges = np.flatnonzero(np.diff(series.astype(np.int64))) + 1
    return list(zip([0, *edges], [*edges, len(series)], strict=True)) if len(series) else []
