"""Do intervals hold what another training of everything gives? `python -m analysis.replicates A B C`.

Each side is a replicate: a finished run (`--config replicate=<k>`), a reference, or a folder with values.csv. Of each
cell (row, metric, part) and replicate, the 95 % interval for one more replicate is made from the others and asked
whether it holds the one left out. Between 93 and 98 % of them should. Cells that some replicate lacks, or that no
training changes, are left out.
"""

import argparse
import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import special

from analysis.diff.reproduction import CELL, SAME, read_values
from dyads.errors import ConfigError, run_cli
from training.shipped import RECORD, require_one_kind, shipped_set

LEVEL = 0.95
SHOULD = (0.93, 0.98)
SHARED = 0.5  # of the values that trainings change: with more of them alike, two replicates are one training


def prediction(values: np.ndarray, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Student's interval for one more value after (replicates, cells), at least 2 of them: low and high, (cells,)."""
    n = len(values)
    reach = special.stdtrit(n - 1, (1 + level) / 2) * values.std(axis=0, ddof=1) * math.sqrt(1 + 1 / n)
    return values.mean(axis=0) - reach, values.mean(axis=0) + reach


def held(replicates: list[pd.DataFrame]) -> pd.DataFrame:
    """One line per cell and replicate left out: its value, the others' interval, and whether it is `inside`.

    Args:
        replicates: of `read_values`; a replicate's value is the mean over its seeds. Cells that are the same in all
            replicates (the truth's own) say nothing and are left out.
    """
    means = pd.concat([one.groupby(CELL)["value"].mean() for one in replicates], axis=1, join="inner")
    values = means.to_numpy(float).T
    varies = np.ptp(values, axis=0) > SAME * np.abs(values).max(axis=0) + 1e-12
    values, cells, lines = values[:, varies], means.index[varies], []
    for left in range(len(values)):
        low, high = prediction(np.delete(values, left, axis=0))
        own = pd.DataFrame({"replicate": left, "value": values[left], "low": low, "high": high}, index=cells)
        lines.append(own.assign(inside=(low <= values[left]) & (values[left] <= high)))
    return pd.concat(lines).reset_index()


def differences(values: pd.DataFrame, row: str) -> pd.DataFrame:
    """What claims are about: every other row's value minus `row`'s of the same seed, metric and part."""
    place = ["seed", "metric", "part"]
    base, rest = values[values["method"] == row].set_index(place)["value"], values[values["method"] != row]
    if base.empty:
        raise ConfigError(
            f"--against {row} is no row of every replicate; there are: {', '.join(rest['method'].unique())}."
        )
    other = base.reindex(pd.MultiIndex.from_frame(rest[place])).to_numpy()
    return rest.assign(value=rest["value"].to_numpy() - other).dropna(subset=["value"])


def refuse_copies(replicates: list[pd.DataFrame], names: list[Path]) -> None:
    """ConfigError where two replicates hold the same trainings: their agreement says nothing of another one."""
    tables = [one.set_index([*CELL, "seed"])["value"] for one in replicates]
    spread = pd.concat(tables).groupby(CELL).agg(lambda values: np.ptp(values) > SAME * np.abs(values).max())
    varies = spread.index[spread]
    for (one, other), (first, second) in zip(combinations(tables, 2), combinations(names, 2), strict=True):
        both = pd.concat([one, other], axis=1, join="inner")
        both = both[both.index.droplevel("seed").isin(varies)]
        alike = (both.iloc[:, 0] == both.iloc[:, 1]).mean() if len(both) else 0.0
        if alike > SHARED or one.equals(other):
            raise ConfigError(
                f"{first} and {second} hold the same trainings ({alike:.0%} of their values are equal); a replicate is "
                "trained anew: --config backbones=train replicate=<k>."
            )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m analysis.replicates", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("replicates", type=Path, nargs="+", help="three or more folders")
    parser.add_argument("--against", metavar="ROW", help="ask it of the other rows' differences to this one")
    args = parser.parse_args(arguments)
    if len(args.replicates) < 3:
        raise ConfigError(f"{len(args.replicates)} replicates leave no spread to predict from; give at least 3.")
    replicates = [read_values(folder) for folder in args.replicates]
    refuse_copies(replicates, args.replicates)
    require_one_kind(args.replicates)
    if args.against:
        replicates = [differences(one, args.against) for one in replicates]
    found = held(replicates)
    if found.empty:
        raise ConfigError("the replicates share no cell that a training changes; give runs of one profile.")
    by_metric = found.groupby("metric")["inside"].agg(["mean", "size"]).sort_values("mean")
    print(by_metric.rename(columns={"mean": "inside", "size": "intervals"}).round(3).to_markdown())
    share = f"{found['inside'].mean():.1%} of {len(found)} intervals ({LEVEL:.0%}) hold the replicate left out"
    print(f"\n{share}; {SHOULD[0]:.0%} to {SHOULD[1]:.0%} should.")
    left = found.groupby("replicate")["inside"].mean()
    each = ", ".join(f"{folder.name} {left[k]:.1%}" for k, folder in enumerate(args.replicates))
    print(f"By the one left out: {each}.")
    if any(shipped_set(folder / RECORD) for folder in args.replicates):
        print("All stand on the shipped backbones: this is how far other seeds go, not other trainings of everything.")
    if len({len(one.groupby("seed")) for one in replicates}) > 1:
        print("The replicates have unequal numbers of seeds, so their means vary unequally: give each as many.")
    most = max(one.groupby(CELL).ngroups for one in replicates)
    cells = len(found) // len(replicates)
    print(f"{cells} of {most} cells: the others are not in every replicate, or no training changes them.")


if __name__ == "__main__":
    run_cli(main)
