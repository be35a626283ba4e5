"""Did another run come out the same? Cell by cell, how far the values moved, in units of what was to be expected.

A side is a finished run, a committed reference, or a folder that holds `values.csv` alone. A cell is a row's metric and
part; what was to be expected of it is the spread over its seeds. Cells of one training move together, so the share of
them that moved is held against the same share where trainings change sides by lot.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import special

from analysis.diff import may_differ
from dyads.errors import DataError
from evaluation.cards import count_part
from evaluation.registry import cards

CELL = ["method", "metric", "part"]
LEVELS = (0.05, 0.01)
SAME = 1e-5  # relative; values.csv of a reference has six digits
CHANCE = 0.05  # below it, more cells moved than chance moves
APART = 0.2  # share of fixed cells far apart that is another world; of rows with one seed a side a seventh may be
PART = 0.01  # share of a side's cells that the other may lack before a verdict says so


@dataclass(frozen=True)
class Reproduction:
    """`cells`: one line a cell, the farthest first; `moved`: share of cells with p below each of `LEVELS`.

    `chance`: p of so large a share, of the first level, if trainings had changed sides by lot; NaN where no cell has a
    spread. `least`: the smallest p that the lot can give with so many trainings. `fixed`, `fixed_moved`: cells that no
    seed changes or with one seed a side, and those that differ; `fixed_far`: by more than one training differs from
    another in that metric. Many of those: another world, other probes or backbones; few: another processor's
    rounding. `only`: cells that one side has alone; `partly`: more than a few.
    """

    cells: pd.DataFrame
    moved: tuple[float, ...]
    chance: float
    least: float
    fixed: int
    fixed_moved: int
    fixed_far: int
    only: tuple[str, ...]
    partly: bool

    @property
    def equal(self) -> bool:
        """Whether no cell that both have differs."""
        return bool(len(self.cells)) and not self.fixed_moved and not (self.cells["moved"] > 0).any()

    @property
    def apart(self) -> bool:
        """Whether what no training changes differs too: another world, other readers, no common scale."""
        return bool(self.spread) and self.fixed_far > APART * self.fixed

    @property
    def told(self) -> bool:
        """Whether there are trainings enough to see a movement; without, nothing is a reproduction but equal values."""
        return self.equal or self.apart or (self.spread > 0 and self.least < CHANCE)

    @property
    def same(self) -> bool:
        """Whether it may be called a reproduction: no more of the common cells moved than chance moves."""
        return bool(len(self.cells)) and self.told and not self.apart and not self.chance < CHANCE

    @property
    def spread(self) -> int:
        """Cells whose seeds have a spread, so that a movement has a measure."""
        return int(self.cells["moved"].notna().sum())


def values_of(folder: Path) -> Path | None:
    """The side's values per row and seed: of a finished run, of a reference or bare; None where there are none."""
    return next((path for path in (folder / "tables/values.csv", folder / "values.csv") if path.is_file()), None)


def read_values(folder: Path) -> pd.DataFrame:
    """Columns method, seed, metric, part, value of the cells that count, and of each how many dialogues it is of.

    `known`: dialogues with a value, NaN where the file does not say; DataError where the side has no values.
    """
    path = values_of(folder)
    if path is None:
        if not folder.is_dir():
            what = "is a file; give the folder that holds it" if folder.exists() else "does not exist"
            raise DataError(f"{folder} {what}: a finished run, a reference or where values.csv is.")
        raise DataError(f"{folder} holds neither tables/values.csv nor values.csv; give a finished run or a reference.")
    try:
        values = pd.read_csv(path, dtype={"method": str, "metric": str, "part": str})
        values = values.assign(part=values["part"].fillna(""), value=values["value"].astype(float))
        if not values["seed"].map(lambda seed: str(seed).isdigit()).all():
            raise ValueError("a seed is no whole number")
    except (KeyError, ValueError) as error:
        why = f"it has no column {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise DataError(f"{path} is no table of values per row and seed ({why}); make the tables again.") from error
    counts = {(card.name, count_part(part)) for card in cards().values() if card.estimate for part in card.parts}
    counted = [pair not in counts for pair in zip(values["metric"], values["part"], strict=True)]
    kept = ~values["metric"].map(lambda name: may_differ(name) or name == "frames_per_second")
    values = values[kept.astype(bool) & np.array(counted, bool) & np.isfinite(values["value"])]
    twice = values.duplicated([*CELL, "seed"])
    if twice.any():
        one = values[twice].iloc[0]
        what = f"{one['method']}, {one['metric']}/{one['part']}, seed {one['seed']}"
        raise DataError(f"{path} has {what} more than once; make the tables again.")
    if values.empty:
        raise DataError(f"{path} holds no value; measure first (python -m evaluation.run), and make the tables again.")
    blank = pd.Series(np.nan, index=values.index)
    asked, lost = (pd.to_numeric(values.get(name, blank), errors="coerce") for name in ("count", "undefined"))
    return values.assign(seed=values["seed"].astype(int), known=asked - lost)[[*CELL, "seed", "value", "known"]]


def reproduction(a: pd.DataFrame, b: pd.DataFrame, draws: int = 999, seed: int = 0) -> Reproduction:
    """How the values of `b` (see `read_values`) stand to those of `a`."""
    sides = [side.set_index([*CELL, "seed"])["value"].unstack("seed") for side in (a, b)]
    own = [len(one.index.difference(other.index)) for one, other in (sides, sides[::-1])]
    rows = [list(dict.fromkeys(side.index.get_level_values("method"))) for side in sides]
    alone = [", ".join(row for row in one if row not in other) for one, other in (rows, rows[::-1])]
    only = tuple(
        f"{name} has {number} cells of its own" + (f", all of {names} among them" if names else "")
        for name, number, names in zip("AB", own, alone, strict=True)
        if number
    )
    partly = any(number > PART * len(side) for number, side in zip(own, sides, strict=True))
    shared = sides[0].index.intersection(sides[1].index)
    x, y = (side.loc[shared].to_numpy(float) for side in sides)
    moved, p = movement(x, y)
    counts = np.isfinite(x).sum(1), np.isfinite(y).sum(1)
    means = [np.nansum(z, 1) / n for z, n in zip((x, y), counts, strict=True)]
    cells = pd.DataFrame(
        {"a": means[0], "b": means[1], "seeds_a": counts[0], "seeds_b": counts[1], "moved": moved, "p": p}, index=shared
    ).reset_index()
    fixed = np.isnan(moved)
    differ = np.abs(means[0] - means[1]) > SAME * np.maximum(np.abs(means[0]), np.abs(means[1])) + 1e-12
    far = fixed & differ & (np.abs(means[0] - means[1]) > _usual(x, y, moved, shared))
    known = p[np.isfinite(p)]
    shares = tuple(float((known < level).mean()) if len(known) else np.nan for level in LEVELS)
    methods = shared.get_level_values("method")
    chance = _by_lot(x, y, methods, shares[0], draws, seed) if len(known) else np.nan
    cells = cells.assign(_far=cells["moved"].fillna(-1)).sort_values("_far", ascending=False, kind="stable")
    counted = (int(each.sum()) for each in (fixed, fixed & differ, far))
    return Reproduction(cells.drop(columns="_far"), shares, chance, _least(x, y, methods), *counted, only, partly)


def movement(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """|mean difference| over its standard error, pooled over both sides' seeds, and Student's two-sided p: (cells,).

    One seed of a side is held against the spread of the other side's. NaN where both have one, or no seed changes it:
    nothing then says how far it may move.
    """
    n, m = np.isfinite(x).sum(1), np.isfinite(y).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_x, mean_y = np.nansum(x, 1) / n, np.nansum(y, 1) / m
        squares = _squares(x) + _squares(y)
        gap = np.abs(mean_x - mean_y)
        error = np.sqrt(squares / (n + m - 2) * (1 / n + 1 / m))
        floor = SAME * np.maximum(np.abs(mean_x), np.abs(mean_y)) + 1e-12
        moved = np.where(gap <= floor, 0.0, gap / error)
        p = 2 * special.stdtr(n + m - 2, -moved)
    known = (n > 0) & (m > 0) & (n + m > 2) & (np.sqrt(squares / (n + m)) > floor)
    return np.where(known, moved, np.nan), np.where(known, p, np.nan)


def _squares(x: np.ndarray) -> np.ndarray:
    """Squared distances of each cell's seeds from their mean, summed: (cells,)."""
    return np.nansum(np.square(x - (np.nansum(x, 1) / np.isfinite(x).sum(1))[:, None]), 1)


def _usual(x: np.ndarray, y: np.ndarray, moved: np.ndarray, cells: pd.MultiIndex) -> np.ndarray:
    """How far two trainings differ in 95 % of cases, median over rows, in each cell's metric and part; else 0."""
    freedom = np.isfinite(x).sum(1) + np.isfinite(y).sum(1) - 2
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.where(np.isfinite(moved), np.sqrt((_squares(x) + _squares(y)) / freedom), np.nan)
    by_metric = [cells.get_level_values(name) for name in CELL[1:]]
    return 2 * math.sqrt(2) * pd.Series(spread).groupby(by_metric).transform("median").fillna(0.0).to_numpy()


def _least(x: np.ndarray, y: np.ndarray, methods: pd.Index) -> float:
    """The smallest p of `_by_lot`: sides of as many trainings can also change places whole, which moves as much."""
    least = 1.0
    for method in methods.unique():
        n, m = (int(np.isfinite(side[methods == method]).any(axis=0).sum()) for side in (x, y))
        least *= (2 if n == m else 1) / math.comb(n + m, n)
    return least


def _by_lot(x: np.ndarray, y: np.ndarray, methods: pd.Index, share: float, draws: int, seed: int) -> float:
    """How often the share of cells below the first level is as large, each row's trainings dealt to sides by lot."""
    rng, both, n = np.random.default_rng(seed), np.concatenate([x, y], axis=1), x.shape[1]
    rows = [np.flatnonzero(methods == method) for method in methods.unique()]
    as_large = 0
    for _ in range(draws):
        dealt = both.copy()
        for row in rows:
            there = np.flatnonzero(np.isfinite(both[row]).any(axis=0))
            dealt[np.ix_(row, there)] = both[np.ix_(row, rng.permutation(there))]
        p = movement(dealt[:, :n], dealt[:, n:])[1]
        as_large += (p[np.isfinite(p)] < LEVELS[0]).mean() >= share - 1e-12
    return (as_large + 1) / (draws + 1)
