"""What the figures draw from, their colours (Okabe and Ito's) and style, and how they are saved."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dyads.contract import data_folders
from dyads.errors import DataError
from dyads.files import atomic_path

BLUE, ORANGE, GREEN, GREY, BLACK = "#0072B2", "#D55E00", "#009E73", "#8C8C8C", "#000000"
PINK, SKY, AMBER = "#CC79A7", "#56B4E9", "#E69F00"
GROUP_COLOURS = {"main": BLUE, "baseline": GREEN, "ablation": ORANGE, "control": GREY, "swap": PINK}
GROUP_MARKERS = {"main": "o", "baseline": "s", "ablation": "^", "control": "D", "swap": "v"}
# Lines differ by colour and dash, so that they can be told apart in grey too.
LINES = tuple(
    {"color": colour, "linestyle": dash}
    for dash in ("-", (0, (4, 1.5)), (0, (1, 1)))
    for colour in (BLUE, ORANGE, GREEN, PINK, SKY, AMBER, GREY, BLACK)
)
STYLE = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.3,
    "pdf.fonttype": 42,  # text stays text
}
mpl.rcParams.update(STYLE)
TABLE_FILES = ("main_table.csv", "ablations_table.csv", "talking_table.csv")


@dataclass(frozen=True)
class Study:
    """What the figures draw from: folders of one profile's results, and its rows (method, label, group, status)."""

    results: Path
    data: Path
    rows: pd.DataFrame

    def videos(self, method: str, seed: int) -> Path:
        return self.results / "videos" / method / f"seed{seed}"

    def features(self, method: str, seed: int) -> Path:
        return self.results / "metrics" / method / f"seed{seed}.features.safetensors"

    def inspected(self, method: str, seed: int) -> Path:
        return self.results / "inspect" / method / f"seed{seed}.safetensors"

    def trained(self) -> list[str]:
        """Rows with a training of their own, finished or not."""
        costs = self.table("efficiency_table")
        own = costs[(costs["group"] != "control") & costs["weights"].isna() & ~costs["fixed"].astype(bool)]
        return list(own["method"])

    def label(self, method: str) -> str:
        return dict(zip(self.rows["method"], self.rows["label"], strict=True)).get(method, method)

    def group(self, method: str) -> str:
        return dict(zip(self.rows["method"], self.rows["group"], strict=True)).get(method, "ablation")

    def seed(self, method: str, wanted: int) -> int:
        """`wanted` if the method has it, else its lowest seed (controls may have one only)."""
        folders = [*(self.results / "metrics" / method).glob("seed*.csv"), *self.videos(method, 0).parent.glob("seed*")]
        seeds = {int(path.stem[4:]) for path in folders if path.stem[4:].isdigit()}
        return wanted if wanted in seeds or not seeds else min(seeds)

    def table(self, name: str) -> pd.DataFrame:
        """A tidy file of `tables/`; DataError if it is not there."""
        path = self.results / "tables" / f"{name}.csv"
        try:
            return pd.read_csv(path, dtype={"status": str, "reason": str, "missing": str, "better": str})
        except FileNotFoundError as error:
            raise DataError(f"{path} is not there; make the tables first.") from error
        except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
            raise DataError(f"{path} cannot be read ({error}); make the tables again.") from error

    @cached_property
    def values(self) -> pd.DataFrame:
        """One line per method, seed, metric and part; see `summary.seed_values`."""
        return self.table("values").fillna({"reason": ""})

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """What each metric is, by (metric, part): label, unit, direction, arrow, parts."""
        return self.table("metrics").set_index(["metric", "part"])

    def of(self, column: str) -> pd.DataFrame:
        """The lines of `values` of one `metric/part`."""
        metric, _, part = column.partition("/")
        return self.values[(self.values["metric"] == metric) & (self.values["part"] == part)]

    def title(self, column: str) -> str:
        """What a column is called, with the arrow that says which way is better."""
        metric, _, part = column.partition("/")
        if (metric, part) not in self.metrics.index:
            return column
        card = self.metrics.loc[(metric, part)]
        return f"{card['label']}{f', {part}' if card['parts'] > 1 else ''} {card['arrow']}"

    def truth(self, column: str) -> float:
        """The truth's own value of a metric that is better the nearer it comes to it; NaN for any other."""
        metric, _, part = column.partition("/")
        if (metric, part) not in self.metrics.index or self.metrics.loc[(metric, part), "direction"] != "truth":
            return float("nan")
        return float(self.of(f"{column}_truth")["value"].median())

    def columns(self, table: str) -> list[str]:
        """The `metric/part` of a table's columns."""
        return [name.removesuffix("_mean") for name in self.table(table) if name.endswith("_mean")]

    def measured(self, columns: Iterable[str]) -> tuple[list[str], list[str]]:
        """The columns that some row has a value of, and of every other one its name and why."""
        kept, gone = [], []
        for column in columns:
            own = self.of(column)
            if own["value"].notna().any():
                kept.append(column)
            else:
                why = ", ".join(sorted(set(own["reason"]) - {""})) or "not_run"
                gone.append(f"{self.title(column)} of every row ({why})")
        return kept, gone

    def absent(self, methods: Iterable[str], columns: Iterable[str] = ()) -> list[str]:
        """What is missing: rows and seeds that were not run, and values of `columns` that are undefined."""
        known, columns = self.rows.set_index("method")["status"], list(columns)
        found = []
        for method in methods:
            status = known.get(method, "no row of this profile")
            if status != "ok":
                found.append(f"{self.label(method)} ({status})")
            same: dict[tuple[str, str], list[str]] = {}  # (seeds, reason) -> columns
            for column in columns:
                own = self.of(column)
                own = own[own["method"] == method]
                for reason, gone in own[own["value"].isna()].groupby("reason", sort=False):
                    same.setdefault((", ".join(map(str, gone["seed"])), reason), []).append(self.title(column))
            found += [
                f"{self.label(method)}: {' / '.join(titles)}, seed {seeds} ({reason})"
                for (seeds, reason), titles in same.items()
            ]
        return found


def read_study(results: Path) -> Study:
    """The study in `results/<profile>`; DataError without tables or data."""
    tables = [results / "tables" / name for name in TABLE_FILES if (results / "tables" / name).exists()]
    if not tables:
        raise DataError(f"{results}/tables holds no table; make the tables first.")
    rows = pd.concat([pd.read_csv(table)[["method", "label", "group", "status"]] for table in tables])
    data = data_folders(results)
    if not data:
        raise DataError(f"{results}/data holds no manifest.csv; make the data first.")
    rows = rows.drop_duplicates("method")
    order = rows["group"].map({group: place for place, group in enumerate(GROUP_COLOURS)}).fillna(len(GROUP_COLOURS))
    rows = rows.iloc[order.argsort(kind="stable")].reset_index(drop=True)
    return Study(results, data[0], rows)


def save(figure: Figure, path: Path, dpi: int = 160) -> None:
    """Write `path`.png and `path`.pdf, without dates, so that the same data give the same files."""
    for suffix, metadata in ((".png", {}), (".pdf", {"CreationDate": None})):
        with atomic_path(path.with_name(path.name + suffix)) as temporary:
            figure.savefig(temporary, dpi=dpi, metadata=metadata, bbox_inches="tight")


def seed_of(path: Path) -> str:
    """'seed 3' of `<row>/seed3` or `<row>/seed3.csv`; any other folder's name as it is."""
    number = path.name.partition(".")[0].removeprefix("seed")
    return f"seed {number}" if number.isdigit() else path.name


def nothing(axes: Axes, text: str) -> None:
    """Say in an empty panel why it is empty."""
    axes.text(0.5, 0.5, text, ha="center", va="center", color=GREY, fontsize=8, wrap=True, transform=axes.transAxes)
    axes.set_xticks([])
    axes.set_yticks([])


def name_missing(figure: Figure, missing: Sequence[str]) -> None:
    """Below a figure, what it lacks; nothing where nothing is missing."""
    if missing:
        text = "Missing: " + "; ".join(dict.fromkeys(missing)) + "."
        figure.supxlabel(_wrapped(text, int(figure.get_figwidth() * 17)), fontsize=7, color=BLACK, x=0.01, ha="left")


def _wrapped(text: str, width: int) -> str:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > width and lines[-1]:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return "\n".join(lines)


def runs(series: np.ndarray) -> list[tuple[int, int]]:
    """(start, stop) of each stretch of equal values."""
    edges = np.flatnonzero(np.diff(series.astype(np.int64))) + 1
    return list(zip([0, *edges], [*edges, len(series)], strict=True)) if len(series) else []
