"""Published numbers with ours beside them, but only where metric, protocol, data set and split are the same."""

import json
from pathlib import Path

import pandas as pd

from analysis.published import FOLDER, NAMESAKE_COLUMNS, PARTS, Setup, comparable, compare, read_table
from analysis.summary import seed_values, summarise
from dyads.errors import DataError
from evaluation.rows import read_rows, result_files

OURS = "ours: "


def namesakes(path: Path = FOLDER / "namesakes.csv") -> pd.DataFrame:
    """Our metrics that bear a published name. A line shares a column only if `why_not` is empty and it then names

    `dataset`, `split_or_protocol` and `comparable_group` of the published numbers and the `protocol` on our card.
    DataError: a line with neither a reason nor all of these.
    """
    frame = read_table(path, NAMESAKE_COLUMNS)
    needed = frame[["dataset", "split_or_protocol", "comparable_group", "protocol"]] != ""
    bad = frame[(frame["why_not"] == "") & ~needed.all(axis=1)]
    if len(bad):
        raise DataError(
            f"{path} lets {bad.iloc[0].ours} share the column {bad.iloc[0].published} without naming set-up and "
            "protocol; fill in all four, or say why_not."
        )
    wrong = sorted(set(frame["published_part"]) - set(PARTS))
    if wrong:
        raise DataError(f"{path} has the published_part {wrong[0]!r}; known are {', '.join(PARTS)}.")
    return frame


def read_results(folder: Path) -> tuple[pd.DataFrame, dict[str, set[str]]]:
    """Result rows under `folder`/metrics, and the protocols in their provenance, by metric.

    DataError: no results there.
    """
    files = result_files([folder / "metrics"])
    if not files:
        raise DataError(f"{folder} holds no metrics/<method>/seed<k>.csv; measure first, or name another --results.")
    said: dict[str, set[str]] = {}
    for file in files:
        try:
            protocol = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))["protocol"]
        except (OSError, ValueError, KeyError) as error:
            raise DataError(
                f"{file.with_suffix('.json')} names no protocols ({error}); measure this row again."
            ) from error
        for metric, text in protocol.items():
            said.setdefault(metric, set()).add(text)
    return read_rows(files), said


def shared_columns(setup: Setup, known: pd.DataFrame, rows: pd.DataFrame, said: dict[str, set[str]]) -> pd.DataFrame:
    """The lines of `namesakes` whose column our rows may enter in `setup`."""
    if rows.empty:
        return known.iloc[:0]
    here = (rows["dataset"].iloc[0], rows["split"].iloc[0])
    found = known[
        (known["why_not"] == "")
        & (known["comparable_group"] == setup.group)
        & (known["dataset"] == setup.dataset)
        & (known["split_or_protocol"] == setup.split)
    ]
    same = [
        here == (setup.dataset, setup.split) and said.get(line.ours) == {line.protocol}
        for line in found.itertuples(index=False)
    ]
    return found[pd.Series(same, index=found.index, dtype=bool)]


def beside(published: pd.DataFrame, known: pd.DataFrame, rows: pd.DataFrame, said: dict[str, set[str]]) -> pd.DataFrame:
    """`compare(published)`, and below it our methods in the columns they share; DataError across set-ups.

    Our cells are the mean over seeds with the digits of the published column, then ± the standard deviation.
    """
    setup = comparable(published)
    table = compare(published)
    columns = {}
    for line in shared_columns(setup, known, rows, said).itertuples(index=False):
        printed = published[(published["metric"] == line.published) & (published["part"] == line.published_part)]
        if len(printed):
            name = line.published + ("" if line.published_part == "all" else f" {line.published_part}")
            name += {"up": " ↑", "down": " ↓", "": ""}[printed["dir"].iloc[0]]
            columns[name] = (line.ours, line.part, int(printed["decimals"].max()))
    if not columns:
        return table
    summary = summarise(seed_values(rows))
    own = pd.DataFrame("", index=[OURS + name for name in dict.fromkeys(rows["method"])], columns=table.columns)
    for name, (metric, part, decimals) in columns.items():
        for method in dict.fromkeys(rows["method"]):
            if (method, metric, part) in summary.index:
                own.loc[OURS + method, name] = _cell(summary.loc[method, metric, part], decimals)
    return pd.concat([table, own])


def _cell(found: pd.Series, decimals: int) -> str:
    """Mean and spread, or the status of what has no value."""
    if pd.isna(found["mean"]):
        return f"– ({found['status']})"
    spread = "" if pd.isna(found["sd"]) else f" ± {found['sd']:.{decimals}f}"
    return f"{found['mean']:.{decimals}f}{spread}"


def verdict(published: pd.DataFrame, known: pd.DataFrame, rows: pd.DataFrame, said: dict[str, set[str]]) -> str:
    """One sentence: which columns ours share with these numbers, or that none is."""
    setup = comparable(published)
    shared = list(dict.fromkeys(shared_columns(setup, known, rows, said)["published"]))
    if shared:
        return f"Ours stand beside {setup} in {', '.join(shared)}."
    here = f"data set {rows['dataset'].iloc[0]}, split {rows['split'].iloc[0]}" if len(rows) else "no rows"
    return f"No column of {setup} can hold a number of ours ({here}): metric, protocol, data set and split differ."
