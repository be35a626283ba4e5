"""Tables of methods: which there are, what stands in one, and one of them written in three formats."""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from analysis import comparisons, people
from analysis.ranking import rank_table
from analysis.study_rows import Row
from analysis.summary import seed_values, summarise
from dyads.errors import ConfigError
from dyads.files import write_text
from evaluation.cards import STATUSES, MetricCard, count_part
from evaluation.readings import talking_listening
from evaluation.readings.by_row import Readings
from evaluation.registry import cards
from reporting.table_cells import BUDGET, cells_of, estimates, latex, markdown, notes, own_truths, shown_table, tex

DEFAULT_COLUMNS = (
    *("mouth_opening_correlation/speech", "expression_correlation/all", "expression_amplitude/all"),
    *("motion_mse/all", "motion_fd_clip/all", "motion_fd_pooled/all", "rpcc/expression", "sid/expression", "var/all"),
    *("fid_small/frame", "fvd_small/window", "csim_small/frame", "lse_d_small/speech", "lse_c_small/speech"),
    *("ssim/frame", "psnr/frame", "lpips_small/frame", "clip_border/picture", "shake/picture"),
    # By reference networks: shown where their weights are given, else named below the table.
    *("fid/frame", "fvd/window", "csim/frame", "lse_d/speech", "lse_c/speech", "lpips/frame"),
)
TALKING_COLUMNS = (
    *("mouth_opening_correlation/speech", "lse_d_small/speech", "lse_c_small/speech", "lse_d/speech", "lse_c/speech"),
    *("motion_mse/lips", "motion_fd_pooled/lips"),
    *("var/lips", "motion_mse/expression", "expression_correlation/all", "expression_amplitude/all"),
    *("motion_fd_pooled/pose", "fid_small/frame"),
)
LISTENING_COLUMNS = (
    *("expression_correlation/all", "expression_amplitude/all", "expression_valence/smile"),
    *("nod_correlation/due", "nod_delay/due"),
    *("motion_mse/expression", "motion_fd_pooled/expression", "motion_fd_pooled/pose", "rpcc/expression", "rpcc/pose"),
    *("sid/expression", "sid/pose", "var/expression", "var/pose", "fid_small/frame"),
)


@dataclass(frozen=True)
class Table:
    """A table of methods: which groups of rows, in which order; its columns, and whose frames count."""

    title: str
    groups: tuple[str, ...]
    columns: tuple[str, ...] = DEFAULT_COLUMNS
    state: talking_listening.State | None = None

    def asked(self, columns: tuple[str, ...]) -> list[tuple[MetricCard, str]]:
        """(card, part) of its columns; `columns`: what the study wants of tables of all frames, empty for these."""
        return chosen_columns(self.columns if self.state else columns or self.columns)


ROWS = ("main", "baseline", "ablation", "control")
TABLES = {
    "main_table": Table("Main results", ("main", "baseline", "control")),
    "ablations_table": Table("Ablations", ("main", "ablation", "control")),
    "talking_table": Table("While the avatar speaks", ROWS, TALKING_COLUMNS, "talking"),
    "listening_table": Table("While the avatar listens", ROWS, LISTENING_COLUMNS, "listening"),
}


@dataclass
class Study:
    """What the tables are made of: rows asked for or found, tidy values, readings, and where they come from.

    `given`: row name -> label, group and, optionally, class, seeds, start, weights, fixed (no seed changes it);
    `columns`: of the main and ablations tables, empty for the default.
    """

    rows: list[Row]
    values: pd.DataFrame
    given: dict[str, dict]
    readings: Readings = field(default_factory=Readings)
    budget: dict[str, dict] = field(default_factory=dict)
    note: str = ""
    columns: tuple[str, ...] = ()


def chosen_columns(names: tuple[str, ...]) -> list[tuple[MetricCard, str]]:
    """(card, part) of each column `metric/part`; ConfigError for a name no card has."""
    known, found = cards(), []
    for name in names:
        metric, _, part = name.partition("/")
        card = known.get(metric)
        if card is None:
            raise ConfigError(f"table column {name!r} names no metric; known are {', '.join(known)}.")
        part = part or card.parts[-1]
        if part not in card.all_parts:
            raise ConfigError(f"table column {name!r} names no part; {metric} has {', '.join(card.all_parts)}.")
        found.append((card, part))
    return found


def machine_table(
    rows: list[Row], columns, summary: pd.DataFrame, budget: dict[str, dict], values: pd.DataFrame | None = None
) -> pd.DataFrame:
    """The .csv: method, group, label, seeds, steps, samples, parameters, status, then mean, sd, n, undefined, total.

    `lacking`: the share of dialogues without a value of some seed (`people.lacking` of the tidy rows `values`), which
    decides whether the row can be best. Where nearer to the truth is better, the `distance` to it; of a set's Frechet
    distances the number of samples on each side.
    """
    lines, known = [], cells_of(summary)
    lack = {}
    for card, part in columns if values is not None else ():
        if card.per == "clip":
            lack[card.name, part] = people.lacking(values, card.name, part)
    for row in rows:
        line = {"method": row.method, "group": row.group, "seeds": row.seeds, "seeds_asked": row.asked}
        line |= {key: budget.get(row.method, {}).get(key) for key in BUDGET}
        line |= {"label": row.label, "status": row.status}
        for card, part in columns:
            name, key = f"{card.name}/{part}", (row.method, card.name, part)
            got = known.get(key)
            line[f"{name}_mean"] = math.nan if got is None else got["mean"]
            line[f"{name}_sd"] = math.nan if got is None else got["sd"]
            line[f"{name}_n"] = 0 if got is None else int(got["n"])
            line[f"{name}_undefined"] = 0 if got is None else int(got["undefined"])
            line[f"{name}_total"] = 0 if got is None else int(got["count"])
            line[f"{name}_status"] = "not_run" if got is None else got["status"]
            if (card.name, part) in lack:
                line[f"{name}_lacking"] = lack[card.name, part].get(row.method, 1.0)
            if card.direction == "truth":
                line[f"{name}_distance"] = math.nan if got is None else got["distance"]
            count = (row.method, card.name, count_part(part))
            if card.estimate:
                line[f"{name}_samples"] = known[count]["mean"] if count in known else math.nan
        lines.append(line)
    return pd.DataFrame(lines)


def unmeasured(table: pd.DataFrame, columns) -> dict[tuple[MetricCard, str], str]:
    """Columns that no row can fill because data or weights are missing, with that status."""
    found = {}
    for card, part in columns:
        states = set(table[f"{card.name}/{part}_status"]) - {"not_run", "missing_video", "length_mismatch"}
        if len(states) == 1 and states <= {"weights_missing", "no_truth", "no_mesh", "no_pictures"}:
            found[card, part] = states.pop()
    return found


def not_measured(dropped: dict[tuple[MetricCard, str], str]) -> list[str]:
    """A sentence for each reason, with the columns that it leaves out."""
    labels: dict[str, list[str]] = {}
    for (card, _), why in dropped.items():
        if card.label not in labels.setdefault(why, []):
            labels[why].append(card.label)
    return [f"Not measured, {STATUSES[why]}: {', '.join(found).removesuffix('.')}." for why, found in labels.items()]


def write_table(name: str, study: Study, summary: pd.DataFrame, out: Path) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """One of `TABLES` in three formats; its differences from the main row, and the ranks of its methods."""
    table, values = TABLES[name], study.values
    columns = table.asked(study.columns)
    readings = replace(study.readings, asked=[(card.name, part) for card, part in columns])
    if table.state:
        readings = replace(readings, cut=lambda clip: talking_listening.masked(clip, table.state), _known={})
        values = talking_listening.state_rows(values, readings.files, table.state, columns, readings.learn)
        summary = summarise(seed_values(values))
    order = [row for group in table.groups for row in study.rows if row.group == group] or study.rows
    machine = machine_table(order, columns, summary, study.budget, values)
    dropped = unmeasured(machine, columns)
    seen = [column for column in columns if column not in dropped]
    lines = notes(machine, seen, values, study.note)
    lines += estimates(machine, seen, summary) + own_truths(machine, seen, summary)
    if table.state:
        lines.insert(0, talking_listening.note(table.state))
    reference = next((row for row in order if row.group == "main"), None)
    differences = pd.DataFrame(columns=list(comparisons.COLUMNS))
    if reference is not None:
        methods = [row.method for row in order if row.group != "control"]
        fixed = [row.method for row in order if study.given.get(row.method, {}).get("fixed")]
        differences = comparisons.compare_rows(values, reference.method, methods, seen, readings, fixed)
        lines.append(comparisons.note(differences, reference.label))
        lines += filter(None, [comparisons.power_note(differences, seen)])
    lines += not_measured(dropped)
    write_csv(machine, out / f"{name}.csv")
    marks = comparisons.marks(differences)
    write_text(out / f"{name}.md", markdown(table.title, shown_table(machine, seen, summary, "md", marks), lines))
    in_tex = shown_table(machine, seen, summary, "tex", marks)
    in_tex = in_tex.rename(columns={key: tex(key) for key in ("method", *BUDGET)})
    write_text(out / f"{name}.tex", latex(table.title, in_tex, lines, name))
    differences = differences.assign(table=name)
    if table.state:
        return differences, None
    ranked = [row.method for row in study.rows if row.group in table.groups and row.group != "control"]
    return differences, rank_table(study.values, ranked, columns, study.readings.subjects).assign(table=name)


def write_csv(table: pd.DataFrame, path: Path) -> None:
    write_text(path, table.to_csv(index=False, float_format="%.9g", lineterminator="\n"))
