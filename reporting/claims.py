"""Judged claims as people read them, by family, with how to read them: `python -m reporting.claims --help`."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.claims import VERDICTS, arguments_of, counted, judged, write_lines
from dyads.errors import run_cli
from dyads.files import write_text
from evaluation.cards import OK
from reporting.table_cells import latex, tex
from training.shipped import given

KEYS = """\
--claims names a YAML file with a list under `claims`; each claim compares two rows and has these keys:
  text     the claim in words
  source   who says so, and where
  metric   a metric's name (docs/metrics.md), or swap_change
  part     one of the metric's parts, such as expression, pose, lips
  methods  [A, B], two different rows; d = metric(A) - metric(B), or of the distances to the truth where that is better
  kind     greater (d > margin), less (d < -margin) or equivalent (|d| < margin)
  family   any name; Holm's correction counts the claims of one family together
and may have:
  margin   a finite number, 0 if not given; above 0 for equivalent, below 0 for 'no loss of more than that'
  reason   why the margin is as large as it is
  state    talking or listening: over those frames of the avatar alone; '' for all, if not given
  of       [A, B], rows whose weights the two have; for swap_change alone
workflow/claims.yaml is an example, workflow/claims_si184.yaml one for motion coefficients.
"""
NOTES = (
    "A difference is the first method minus the second, of the value that the tables print, mean over seeds, in the "
    "metric's unit; where nearer to the truth is better, of each training's distance to it.",
    "supported / contradicted: Holm's p within the family is below 0.05, for or against the claim; inconclusive: this "
    "study cannot tell. Not finding a difference is no proof that there is none. A family is all of its claims in the "
    "file, measured or not, so that a verdict does not hang on which rows were run.",
    "Interval (95 %) and p are those of a two-way analysis of variance with people and seeds as samples (generalised "
    "p, Tsui and Weerahandi 1989); a person counts with all dialogues, by leaving one out at a time. Equivalence: two "
    "one-sided tests at the same level. A margin below 0 asks for 'no loss of more than that'. A metric of the whole "
    "set has its people from readings kept of every dialogue; without those, it is tested over seeds alone.",
    "No verdict from fewer than six people, or where more than a tenth of the dialogues lack a value of some seed.",
    "Speaks of: over what a verdict generalises. 'Given these backbones': autoencoder, renderer and Phi were trained "
    "once, so other trainings of those may decide otherwise. 'Given these outputs': one output of each row is there, "
    "people are the sample, and another training or another sampling of the same system may decide otherwise.",
    "Detectable: the smallest difference that this many people and seeds see with 80 % power before Holm. "
    "claims.csv adds rank tests over people, which speak of these trainings only, and a bootstrap.",
)


def notes(backbones: Path | None) -> list[str]:
    """How to read the claims; with the record beside the autoencoder, which backbones were given."""
    known = given(backbones) if backbones else ""
    return [*NOTES, *([f"Backbones: {known}."] if known else [])]


def shown_tex(lines: pd.DataFrame, said: Sequence[str] = NOTES) -> str:
    """The same as one LaTeX table, family by family, with the notes in its caption."""
    cells = pd.DataFrame([{"family": line.family, **_cells(line)} for line in lines.itertuples(index=False)])
    cells["verdict"] = cells["verdict"].str.strip("*")
    bold = cells.map(tex).assign(verdict=[rf"\textbf{{{tex(verdict)}}}" for verdict in cells["verdict"]])
    return latex(f"Claims: {counted(lines)}", bold.rename(columns=tex), list(said), "claims")


def shown(lines: pd.DataFrame, said: Sequence[str] = NOTES) -> str:
    """Markdown: the count of each verdict, one table per family, and how to read them."""
    text = [f"# Claims\n\n{counted(lines)}.\n"]
    for family, own in lines.groupby("family", sort=False):
        cells = pd.DataFrame([_cells(line) for line in own.itertuples(index=False)])
        cells = cells.map(lambda text: text.replace("|", "\\|"))
        text.append(f"## {family}\n\n{cells.to_markdown(index=False, disable_numparse=True)}\n")
    return "\n".join([*text, *(f"- {note}" for note in said)]) + "\n"


def _cells(line) -> dict[str, str]:
    """One line of the Markdown table; what is undefined says why."""
    symbol = {"greater": ">", "less": "<", "equivalent": "≈"}[line.kind]
    margin = (
        f" (margin {line.margin:g}: {line.reason})"
        if line.reason
        else f" (margin {line.margin:g})"
        if line.margin
        else ""
    )
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
    units = "set" if line.basis == "seeds" else f"{line.people} people ({line.dialogues} dialogues)"
    cells = {
        "claim": line.text,
        "source": line.source,
        "test": f"{line.metric}/{line.part}{state}: {line.better} {symbol} {line.worse}{margin}",
        "verdict": f"**{line.verdict.replace('_', ' ')}**",
        "difference": found[0],
        "p (Holm)": found[1],
        "detectable": found[2],
        "pairs": f"{units} × {line.seeds}{dropped}",
        "speaks of": line.about or "–",
    }
    return cells


def main(arguments: list[str] | None = None) -> None:
    args = arguments_of("python -m reporting.claims", __doc__, arguments, KEYS)
    lines = judged(args)
    said = notes(args.backbones)
    write_text(args.out / "claims.md", shown(lines, said))
    write_text(args.out / "claims.tex", shown_tex(lines, said))
    write_lines(lines, args.out)
    counts = lines["verdict"].value_counts()
    print(", ".join(f"{counts[v]} {v}" for v in VERDICTS if v in counts), f"-> {args.out / 'claims.md'}", flush=True)


if __name__ == "__main__":
    run_cli(main)
