"""Judged claims as people read them: counts, Markdown and LaTeX tables by family, and how to read them."""

import pandas as pd

from evaluation.cards import OK
from evaluation.rendering import latex, tex

VERDICTS = ("supported", "contradicted", "inconclusive", "not_measured")
NOTES = (
    "A difference is the first method minus the second, mean over dialogues and seeds, in the metric's unit; of "
    "|value - truth| where nearer to the truth is better. Values per clip are averaged over clips, so they can differ "
    "from the pooled ones in the main table.",
    "supported / contradicted: Holm's p within the family is below 0.05, for or against the claim; inconclusive: this "
    "study cannot tell. Not finding a difference is no proof that there is none.",
    "Interval and p are those of a two-way analysis of variance with dialogues and seeds as samples (generalised p, "
    "Tsui and Weerahandi 1989); 95 %, and 90 % (TOST) for equivalence. A margin below 0 asks for 'no loss of more than "
    "that'. A metric of the whole set enters by jackknife pseudo-values, from readings kept of every dialogue; without "
    "those, by its value per seed.",
    "Detectable: the smallest difference that this many dialogues and seeds see with 80 % power before Holm. "
    "claims.csv adds rank tests over dialogues, which speak of these trainings only, and a bootstrap.",
)


def counted(lines: pd.DataFrame) -> str:
    """'3 supported, 1 contradicted, 4 inconclusive, 9 not measured'."""
    return ", ".join(f"{(lines['verdict'] == verdict).sum()} {verdict}" for verdict in VERDICTS).replace("_", " ")


def shown_tex(lines: pd.DataFrame) -> str:
    """The same as one LaTeX table, family by family, with the notes in its caption."""
    cells = pd.DataFrame([{"family": line.family, **_cells(line)} for line in lines.itertuples(index=False)])
    cells["verdict"] = cells["verdict"].str.strip("*")
    bold = cells.map(tex).assign(verdict=[rf"\textbf{{{tex(verdict)}}}" for verdict in cells["verdict"]])
    return latex(f"Claims: {counted(lines)}", bold.rename(columns=tex), list(NOTES), "claims")


def shown(lines: pd.DataFrame) -> str:
    """Markdown: the count of each verdict, one table per family, and how to read them."""
    text = [f"# Claims\n\n{counted(lines)}.\n"]
    for family, own in lines.groupby("family", sort=False):
        cells = pd.DataFrame([_cells(line) for line in own.itertuples(index=False)])
        cells = cells.map(lambda text: text.replace("|", "\\|"))
        text.append(f"## {family}\n\n{cells.to_markdown(index=False, disable_numparse=True)}\n")
    return "\n".join([*text, *(f"- {note}" for note in NOTES)]) + "\n"


def _cells(line) -> dict[str, str]:
    """One line of the Markdown table; what is undefined says why."""
    symbol = {"greater": ">", "less": "<", "equivalent": "≈"}[line.kind]
    margin = f" (margin {line.margin:g})" if line.margin else ""
    state = f", {line.state}" if line.state else ""
    if line.status == OK:
        found = (
            f"{line.estimate:+.3g} [{line.low:+.3g}, {line.high:+.3g}]",
            f"{line.p_holm:.2g}",
            f"{line.detectable:.2g}",
        )
    else:
        found = f"not measured: {line.missing}" if line.verdict == "not_measured" else line.missing, "–", "–"
    dropped = f", {line.dropped} left out" if line.dropped else ""
    cells = {
        "claim": line.text,
        "source": line.source,
        "test": f"{line.metric}/{line.part}{state}: {line.better} {symbol} {line.worse}{margin}",
        "verdict": f"**{line.verdict.replace('_', ' ')}**",
        "difference": found[0],
        "p (Holm)": found[1],
        "detectable": found[2],
        "pairs": f"{'set' if line.basis == 'seeds' else line.dialogues} × {line.seeds}{dropped}",
    }
    return cells
