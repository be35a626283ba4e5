"""Do intervals hold what another training of everything gives? `python -m analysis.replicates A B C`.

Each side is a replicate: a finished run (`--config replicate=<k>`), a reference, or a folder with values.csv. Of each
cell (row, metric, part) and replicate, the 95 % interval for one more replicate is made from the others and asked
whether it holds the one left out. Between 93 and 98 % of them should.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import special

from analysis.diff.reproduction import CELL, SAME, read_values
from dyads.errors import ConfigError, run_cli

LEVEL = 0.95


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


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m analysis.replicates", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("replicates", type=Path, nargs="+", help="three or more folders")
    args = parser.parse_args(arguments)
    if len(args.replicates) < 3:
        raise ConfigError(f"{len(args.replicates)} replicates leave no spread to predict from; give at least 3.")
    found = held([read_values(folder) for folder in args.replicates])
    by_metric = found.groupby("metric")["inside"].agg(["mean", "size"]).sort_values("mean")
    print(by_metric.rename(columns={"mean": "inside", "size": "intervals"}).round(3).to_markdown())
    print(f"\n{found['inside'].mean():.1%} of {len(found)} intervals ({LEVEL:.0%}) hold the replicate left out.")


if __name__ == "__main__":
    run_cli(main)
