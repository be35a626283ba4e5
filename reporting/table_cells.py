"""What a person reads of a table: cells, best values, notes, Markdown and LaTeX."""

import math
from typing import Any

import pandas as pd

from analysis.people import LEAST_SHARE
from evaluation.cards import OK, STATUSES, MetricCard, extrapolated_part, interval_parts, truth_part
from evaluation.rows import WHOLE_SET

BUDGET = ("steps", "samples", "parameters")


def cells_of(summary: pd.DataFrame) -> dict[tuple[str, str, str], dict[str, Any]]:
    """(method, metric, part) -> that line of `analysis.summary.summarise`, which pandas takes a millisecond to find."""
    return summary.to_dict("index")


def truth_value(card: MetricCard, part: str, summary: pd.DataFrame) -> float:
    """The truth's own value of a 'truth' metric, which no method changes; NaN if unknown."""
    level = summary.index
    found = summary.loc[(level.get_level_values(1) == card.name) & (level.get_level_values(2) == truth_part(part))]
    return float(found["mean"].dropna().median()) if len(found) else math.nan


def decimals(values: pd.Series) -> int:
    """Digits after the point that give a column three significant ones."""
    size = values.abs()[lambda v: v > 0].median()
    return 3 if not math.isfinite(size) else min(max(2 - math.floor(math.log10(size)), 0), 6)


def competing(table: pd.DataFrame, card: MetricCard, part: str) -> pd.DataFrame:
    """The lines that can be best: no controls, with a value of every seed and of nine tenths of the dialogues."""
    name = f"{card.name}/{part}"
    own = table[(table["group"] != "control") & table[f"{name}_mean"].notna()]
    if card.per == "set" and f"{name}_undefined" in own:
        own = own[own[f"{name}_undefined"] == 0]  # a seed without a value makes no winner of the others
    return own[own[f"{name}_lacking"] <= 1 - LEAST_SHARE + 1e-9] if f"{name}_lacking" in own else own


def ranks(table: pd.DataFrame, card: MetricCard, part: str, truth: float) -> dict[int, int]:
    """Line -> 1 (best) or 2 (second) among the `competing`; equal as printed is equal.

    By what verdicts compare: where nearer to the truth is better, the mean over seeds of the distance to it. None is
    best where unequal counts bias the values differently.
    """
    name = f"{card.name}/{part}"
    own = competing(table, card, part)
    if len(own) < 2 or (card.direction == "truth" and not math.isfinite(truth)):
        return {}
    if f"{name}_samples" in own and own[f"{name}_samples"].nunique() > 1:
        return {}
    digits = decimals(table[f"{name}_mean"])
    mean = _as_printed(own[f"{name}_mean"], digits)
    if card.direction == "truth":
        badness = _printed_distance(own, name, truth, digits)
    else:
        badness = -mean if card.direction == "higher" else mean
    order = sorted(set(badness))[:2]
    return {line: order.index(value) + 1 for line, value in badness.items() if value in order}


def _printed_distance(own: pd.DataFrame, name: str, truth: float, digits: int) -> pd.Series:
    """Distance to the truth as a reader would take it from what is printed; rows that print alike have the same.

    Where seeds miss on both sides, or a row has a truth of its own, the printed mean does not tell it: there it is the
    distance itself, rounded.
    """
    mean, distance = own[f"{name}_mean"], own[f"{name}_distance"]
    told = (distance - (mean - truth).abs()).abs() <= 10.0**-digits / 100
    shown = _as_printed(mean, digits)
    near = _as_printed((shown - float(f"{truth:.{digits}f}")).abs(), digits)
    found = near.where(told, _as_printed(distance, digits))
    spread = _as_printed(own.get(f"{name}_sd", pd.Series(math.nan, own.index)), digits)
    return found.groupby([shown, spread], dropna=False).transform("min")


def _as_printed(values: pd.Series, digits: int) -> pd.Series:
    """Rounded as text is, which ties tell from numpy's rounding."""
    return values.map(lambda value: float(f"{value:.{digits}f}"))


def shown_table(
    table: pd.DataFrame,
    columns,
    summary: pd.DataFrame,
    style: str,
    marks: dict[tuple[str, str, str], str] | None = None,
) -> pd.DataFrame:
    """The table a person reads, as text cells; `style` is 'md' or 'tex', `marks` of `comparisons.marks`."""
    clean = tex if style == "tex" else lambda text: str(text).replace("|", "\\|")
    pairs = zip(table["seeds"], table["seeds_asked"], strict=True)
    seeds = [f"{run}" if run >= asked else f"{run} of {asked}" for run, asked in pairs]
    shown = pd.DataFrame({"method": table["label"].map(clean), "seeds": seeds})
    for key in BUDGET:
        shown[key] = [clean("–") if pd.isna(v) else f"{int(v):,}" for v in table[key]]
    for card, part in columns:
        name, truth = f"{card.name}/{part}", truth_value(card, part, summary)
        digits, rank = decimals(table[f"{name}_mean"]), ranks(table, card, part, truth)
        head = f"{card.label} {card.arrow}" if len(card.parts) == 1 else f"{card.label}, {part} {card.arrow}"
        if card.direction == "truth" and math.isfinite(truth):
            head += f" {truth:.{digits}f}"
        signs = [(marks or {}).get((method, card.name, part), "") for method in table["method"]]
        cells = [_cell(line, name, digits, rank.get(i), style) for i, line in table.iterrows()]
        if card.interval:
            cells = [
                cell + clean(interval_text(method, card, part, summary, digits))
                for cell, method in zip(cells, table["method"], strict=True)
            ]
        shown[clean(head)] = [f"{cell} {clean(sign)}".strip() for cell, sign in zip(cells, signs, strict=True)]
    if (table["status"] != OK).any():
        shown["status"] = table["status"].map(clean)
    return shown


def interval_text(method: str, card: MetricCard, part: str, summary: pd.DataFrame, digits: int) -> str:
    """' [low, high], p' of a value that is never told without; the mean over seeds of each, '' without one."""
    keys = [(method, card.name, name) for name in interval_parts(part)]
    low, high, p = (summary.loc[key, "mean"] if key in summary.index else math.nan for key in keys)
    return f" [{low:.{digits}f}, {high:.{digits}f}], p {p:.3f}" if math.isfinite(low + high + p) else ""


def _cell(line: pd.Series, name: str, digits: int, rank: int | None, style: str) -> str:
    clean = tex if style == "tex" else str
    mean, failed = line[f"{name}_mean"], line[f"{name}_undefined"]
    if not math.isfinite(mean):
        return clean(f"– ({line[f'{name}_status']})")
    text = f"{mean:.{digits}f}"
    if math.isfinite(line[f"{name}_sd"]):
        text += f" ± {line[f'{name}_sd']:.{digits}f}"
    text = clean(text)
    if rank:
        mark = {"md": ("**{}**", "<u>{}</u>"), "tex": (r"\textbf{{{}}}", r"\underline{{{}}}")}[style][rank - 1]
        text = mark.format(text)
    return text + (clean(f" [{failed}/{line[f'{name}_total']} undefined]") if failed else "")


def notes(table: pd.DataFrame, columns, rows: pd.DataFrame, note: str) -> list[str]:
    """What a reader must know: spread, arrows, counts, undefined values, unequal clips, protocols."""
    clips = rows.loc[rows["clip"] != WHOLE_SET].groupby("method")["clip"].nunique()
    shown = clips[clips.index.isin(table["method"])]
    found = [note] if note else []
    numbers = "/".join(map(str, sorted(set(shown))))
    dataset, split = ("".join(rows[key].unique()) or "unknown" for key in ("dataset", "split"))
    found.append(
        f"{numbers or 0} clips, data set {dataset}, split {split}. Mean ± standard deviation (N - 1) over seeds; per "
        "seed, the mean over clips in which the metric is defined, or one value of the whole set. One seed has no ±."
    )
    found.append(
        "↑ higher is better, ↓ lower is better, → nearer to the truth's own value, which stands after the arrow (mean "
        "over seeds of the distance to it). Best in bold and second best underlined, among rows that are no controls "
        "and have a value of every seed in nine tenths of the dialogues; equal as printed is equal."
    )
    if shown.nunique() > 1:
        listed = ", ".join(f"{name} {number}" for name, number in shown.items())
        found.append(f"Unequal test sets, not comparable: {listed}.")
    states = {s for c, p in columns for s in table[f"{c.name}/{p}_status"]} - {OK}
    found += [f"{status}: {STATUSES.get(status, 'unknown status')}." for status in sorted(states)]
    seen = dict.fromkeys((card.name, card) for card, _ in columns)
    found += [f"{card.label} [{card.unit}]: {card.protocol}." for _, card in seen]
    return found


def estimates(table: pd.DataFrame, columns, summary: pd.DataFrame) -> list[str]:
    """Of every Frechet distance of a set: its count, and what is left of each row's value without that count's bias."""
    found = []
    for card, part in columns:
        name = f"{card.name}/{part}_samples"
        counts = table.set_index("method")[name].dropna() if name in table else []
        if not len(counts):
            continue
        head = card.label if len(card.parts) == 1 else f"{card.label}, {part}"
        own = competing(table, card, part).set_index("method")[name].dropna()
        if own.nunique() > 1:
            text = "unequal counts bias it differently, so no row is best and none compared with one of another count"
            found.append(f"{head}: {text}: {_counted(counts)}.")
            continue
        usual = own.iloc[0] if len(own) else counts.mode().iloc[0]
        others = counts[counts != usual]
        keys = [(method, card.name, extrapolated_part(part)) for method in counts.index]
        values = {key[0]: summary.loc[key, "mean"] for key in keys if key in summary.index}
        digits = decimals(pd.Series(values, dtype=float))
        shown = [f"{method} {value:.{digits}f}" for method, value in values.items() if math.isfinite(value)]
        text = f"{head}: {usual:,.0f} samples a side"
        text += f" (other counts bias it differently: {_counted(others)})" if len(others) else ""
        found.append(f"{text}; extrapolated to infinitely many: {', '.join(shown)}." if shown else f"{text}.")
    return found


def own_truths(table: pd.DataFrame, columns, summary: pd.DataFrame) -> list[str]:
    """Which rows stand against another truth than the one printed, because their frames were cut otherwise."""
    apart = set()
    for card, part in columns:
        truth, digits = truth_value(card, part, summary), decimals(table[f"{card.name}/{part}_mean"])
        if card.direction != "truth" or not math.isfinite(truth):
            continue
        keys = [(method, card.name, truth_part(part)) for method in table["method"]]
        values = {key[0]: summary.loc[key, "mean"] for key in keys if key in summary.index}
        apart |= {m for m, v in values.items() if math.isfinite(v) and f"{v:.{digits}f}" != f"{truth:.{digits}f}"}
    if not apart:
        return []
    listed = ", ".join(method for method in table["method"] if method in apart)
    return [
        f"Measured over other frames than most rows, hence in every column against a truth of their own: {listed}. "
        "Best and second best are told among all rows, each by its own truth."
    ]


def _counted(counts: pd.Series) -> str:
    return ", ".join(f"{method} {number:,.0f}" for method, number in counts.items())


def markdown(title: str, shown: pd.DataFrame, lines: list[str]) -> str:
    """A heading, a table and a list of notes."""
    right = ("left", *("right",) * (len(shown.columns) - 1))
    body = shown.to_markdown(index=False, colalign=right, disable_numparse=True) if len(shown) else "(no rows)"
    return f"## {title}\n\n{body}\n\n" + "".join(f"- {line}\n" for line in lines)


def latex(title: str, shown: pd.DataFrame, lines: list[str], label: str) -> str:
    """A `table*` with booktabs rules, scaled to the text's width; needs booktabs and graphicx.

    The notes are a box in the caption: classes measure a caption as one line, and TeX knows none that long.
    """
    body = [" & ".join(shown.columns), *(" & ".join(line) for line in shown.itertuples(index=False))]
    rules = [f"{body[0]} \\\\", "\\midrule", *(f"{line} \\\\" for line in body[1:])]
    notes = rf"\protect\\ \protect\parbox[t]{{\linewidth}}{{\scriptsize {tex(' '.join(lines))}}}"
    return "\n".join(
        [
            *(r"\begin{table*}", r"\centering", rf"\caption[{tex(title)}]{{{tex(title)}.{notes}}}"),
            *(rf"\label{{tab:{label}}}", r"\resizebox{\textwidth}{!}{%"),
            rf"\begin{{tabular}}{{l{'r' * (len(shown.columns) - 1)}}}",
            *(r"\toprule", *rules, r"\bottomrule", r"\end{tabular}}", r"\end{table*}", ""),
        ]
    )


def tex(text: str) -> str:
    escaped = {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
    escaped |= {c: "\\" + c for c in "&%$#_{}"} | {"<": "$<$", ">": "$>$", "|": "$|$"}
    escaped |= {"±": r"$\pm$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "→": r"$\rightarrow$"}
    escaped |= {"▲": r"$^{+}$", "▼": r"$^{-}$", "≈": r"$\approx$", "×": r"$\times$"}
    escaped |= {"²": r"\textsuperscript{2}", "½": r"$\frac{1}{2}$", "–": "--"}
    return "".join(escaped.get(c, c) for c in str(text))
