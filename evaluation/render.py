"""How tables look: Markdown for people, LaTeX for papers; arrows and labels come from the metric cards."""

import math
from collections.abc import Sequence

import pandas as pd

from evaluation.cards import OK, STATUSES
from evaluation.registry import cards

Columns = Sequence[tuple[str, str]]
BUDGET = {"parameters": "params", "steps": "steps", "samples": "samples"}
TEX = {
    "\\": r"\textbackslash{}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "²": r"$^2$", "±": r"$\pm$",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "→": r"$\rightarrow$", "*": r"$^{*}$",
}  # fmt: skip


def ranks(table: pd.DataFrame, key: str) -> dict[str, int]:
    """Names of the best (1) and second (2) method of a column, by mean; controls are left out."""
    rated = table[(table["group"] != "control") & (table[f"{key}/status"] == OK)]
    if len(rated) < 2:
        return {}
    ordered = rated.sort_values(f"{key}/distance", kind="stable")
    return {name: place + 1 for place, name in enumerate(ordered["name"].iloc[:2])}


def number(value: float) -> str:
    """A value with digits that suit its size: 0.123, 1.23, 12.3, 123."""
    size = abs(value)
    return f"{value:.{3 if size < 1 else 2 if size < 10 else 1 if size < 100 else 0}f}"


def cell(line: pd.Series, key: str, usual: int) -> str:
    """Mean ± sd, or the status in words; `*` marks a value undefined on more clips than `usual`."""
    if line[f"{key}/status"] != OK:
        return line[f"{key}/status"].replace("_", " ")
    sd = line[f"{key}/sd"]
    text = number(line[key]) + ("" if math.isnan(sd) else f" ± {number(sd)}")
    return text + ("*" if line[f"{key}/undefined"] > usual else "")


def heading(metric: str, part: str) -> str:
    """Label, part where it says something, and the arrow of the card."""
    card = cards()[metric]
    shown = f" {part}" if len(card.parts) > 1 and part != "all" else ""
    return f"{card.label}{shown} {card.arrow}"


def text_table(table: pd.DataFrame, columns: Columns, best: tuple[str, str]) -> pd.DataFrame:
    """The table as text: method, the columns, seeds, and the budget where model cards tell it.

    `best` are the formats of the best and the second value of a column, such as ("**{}**", "{}").
    """
    keys = {f"{metric}/{part}": heading(metric, part) for metric, part in columns}
    places = {key: ranks(table, key) for key in keys}
    usual = {}
    for key in keys:
        defined = table.loc[table[f"{key}/status"] == OK, f"{key}/undefined"]
        usual[key] = int(defined.min()) if len(defined) else 0
    lines = []
    for _, line in table.iterrows():
        shown = {"method": line["method"]}
        for key, label in keys.items():
            place = places[key].get(line["name"])
            text = cell(line, key, usual[key])
            shown[label] = best[place - 1].format(text) if place else text
        shown["seeds"] = str(line["seeds"]) if line["seeds"] else "-"
        for key, label in BUDGET.items():
            if table[key].notna().any():
                shown[label] = "-" if pd.isna(line[key]) else f"{int(line[key]):,}"
        lines.append(shown)
    return pd.DataFrame(lines)


def caption(title: str, rows: pd.DataFrame, note: str, dropped: dict[str, str]) -> str:
    """What a reader must know in one paragraph: clips, data, seeds, arrows, marks."""
    clips = rows.loc[rows["clip"] != "*", "clip"].nunique()
    sets = sorted({f"{row.dataset} ({row.split})" for row in rows[["dataset", "split"]].drop_duplicates().itertuples()})
    parts = [
        f"{title}: {clips} clips of {', '.join(sets)}; mean over clips, then mean ± sd over seeds.",
        "↑ higher is better, ↓ lower is better, → nearer to the true video's own value is better.",
        "Best in bold, without the controls. * defined on fewer clips than other rows.",
        "Words instead of a number say why there is none.",
    ]
    for status in sorted(set(dropped.values())):
        names = ", ".join(name for name, why in dropped.items() if why == status)
        parts.append(f"Not measured: {names} ({STATUSES[status]}).")
    return " ".join([*parts, *([note] if note else [])])


def protocol(columns: Columns) -> str:
    """One line per metric: label, unit and protocol."""
    known, names = cards(), dict.fromkeys(metric for metric, _ in columns)
    return "\n".join(f"- {known[name].label} [{known[name].unit}]: {known[name].protocol}." for name in names)


def markdown(frame: pd.DataFrame, title: str, *paragraphs: str) -> str:
    """A Markdown page: title, table, paragraphs."""
    align = ("left",) + ("right",) * (frame.shape[1] - 1)
    table = frame.to_markdown(index=False, colalign=align, disable_numparse=True)
    return "\n\n".join([f"# {title}", table, *paragraphs]) + "\n"


def escaped(text: str) -> str:
    """`text` for LaTeX."""
    return "".join(TEX.get(letter, letter) for letter in text)


def latex(frame: pd.DataFrame, text: str, label: str, escape_cells: bool = True) -> str:
    """A booktabs table as wide as the page; needs \\usepackage{booktabs,graphicx}."""
    clean = escaped if escape_cells else str
    lines = [
        r"\begin{table*}[t]\centering",
        rf"\caption{{{escaped(text)}}}\label{{tab:{label}}}",
        r"\resizebox{\textwidth}{!}{\begin{tabular}{l" + "r" * (frame.shape[1] - 1) + "}",
        r"\toprule",
        " & ".join(escaped(column) for column in frame.columns) + r" \\",
        r"\midrule",
        *(" & ".join(clean(str(value)) for value in row) + r" \\" for row in frame.itertuples(index=False)),
        r"\bottomrule",
        r"\end{tabular}}\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def latex_best(frame: pd.DataFrame) -> pd.DataFrame:
    """Escape a text table whose best and second cells are marked `<b>...</b>` and `<u>...</u>`."""

    def clean(value: str) -> str:
        value = escaped(value)
        for tag, command in (("b", "textbf"), ("u", "underline")):
            value = value.replace(f"<{tag}>", rf"\{command}{{").replace(f"</{tag}>", "}")
        return value

    return frame.map(clean)
