"""Small tables of a finished study, to commit: `python -m reporting.reference_tables --results results/full --out DIR`.

Writes values.csv (every metric per row and seed), swaps.csv where there is one, and provenance.json: per row and seed
the commit, options and hash of the weights, and the commit that measured it. `--keep` leaves rows of an earlier
reference that this study did not measure, with their own provenance.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd

from dyads.errors import DataError, run_cli
from dyads.files import atomic_path, write_json
from evaluation.efficiency import BUDGET, read_json


def origin(results: Path, method: str, seed: int) -> dict[str, Any]:
    """Where a row's seed comes from; None where nothing was trained. DataError without its measurement's provenance."""
    measured = read_json(results / "metrics" / method / f"seed{seed}.json")
    if not measured:
        raise DataError(f"{results}/metrics/{method}/seed{seed}.json is missing; measure this row again.")
    made = read_json(results / "videos" / method / f"seed{seed}" / "provenance.json")
    weights = made.get("weights", {}).get("weights")
    trained = [read_json(path) for path in sorted((results / "models").glob(f"*/seed{seed}.json"))]
    card = next((one for one in trained if weights and one.get("weights", {}).get("result") == weights), {})
    return {
        "measured_by": measured.get("git_commit"),
        "generated_by": made.get("git_commit"),
        "trained_by": card.get("git_commit"),
        "options": made.get("options"),
        "options_hash": made.get("options_hash"),
        "weights_sha256": weights,
        "versions": measured.get("versions"),
        "hardware": measured.get("hardware"),
        **{key: card.get("card", {}).get(key) for key in (*BUDGET, "train_seconds")},
    }


def gather(results: Path) -> tuple[pd.DataFrame, dict[str, dict[str, Any]]]:
    """Values of the study, and {row: {seed: origin}} of what was measured. DataError if it has no tables."""
    file = results / "tables" / "values.csv"
    if not file.is_file():
        raise DataError(f"{file} is missing; finish the study first (snakemake main_table).")
    values = pd.read_csv(file)
    values = values[values["status"] != "not_run"]
    rows: dict[str, dict[str, Any]] = {}
    for method, seed in values[["method", "seed"]].drop_duplicates().itertuples(index=False):
        rows.setdefault(method, {})[f"seed{seed}"] = origin(results, method, int(seed))
    return values, rows


def kept(folder: Path, rows: dict[str, Any]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Values and origins of an earlier reference's rows that are not among `rows`."""
    earlier = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))["rows"]
    values = pd.read_csv(folder / "values.csv")
    return values[~values["method"].isin(rows)], {name: row for name, row in earlier.items() if name not in rows}


def write_csv(path: Path, table: pd.DataFrame) -> None:
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n", float_format="%.6g")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m reporting.reference_tables", description=__doc__)
    parser.add_argument("--results", required=True, type=Path, help="results/<profile> of a finished study")
    parser.add_argument("--out", required=True, type=Path, help="folder to write, such as results/reference/full")
    parser.add_argument("--keep", action="store_true", help="keep rows of --out that this study did not measure")
    args = parser.parse_args(arguments)
    values, rows = gather(args.results)
    if args.keep and (args.out / "values.csv").is_file():
        before, origins = kept(args.out, rows)
        values, rows = pd.concat([values, before]), {**rows, **origins}
    values = values.sort_values(["method", "seed", "metric", "part"], kind="stable")
    write_csv(args.out / "values.csv", values)
    if (swaps := args.results / "tables" / "swaps.csv").is_file():
        write_csv(args.out / "swaps.csv", pd.read_csv(swaps))
    write_json(args.out / "provenance.json", {"profile": args.results.name, "rows": dict(sorted(rows.items()))})
    print(f"{len(rows)} rows -> {args.out}", flush=True)


if __name__ == "__main__":
    run_cli(main)
