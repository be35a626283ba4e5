"""The claims of `tables/claims.csv` as the page shows them: verdict, test, and the interval drawn to scale."""

import math
from dataclasses import dataclass, field

import pandas as pd

from analysis.claims import VERDICTS
from evaluation.cards import OK
from evaluation.registry import cards
from reporting.page.study_files import Study, reason

SYMBOLS = {"greater": ">", "less": "<", "equivalent": "≈"}
NEEDED = {"text", "source", "metric", "part", "kind", "family", "better", "worse", "verdict", "status"}


@dataclass(frozen=True)
class Finding:
    """One claim, at `anchor` on the page; `bar`: where low, high, estimate, zero and the margins lie, in percent."""

    text: str
    source: str
    test: str
    verdict: str
    why: str
    estimate: str
    p: str
    detectable: str
    pairs: str
    methods: tuple[str, ...]
    key: str
    anchor: str
    bar: dict[str, float] = field(default_factory=dict)
    margins: tuple[float, ...] = ()


@dataclass
class Claims:
    """All claims by family, the number of each verdict, how to read them; `problem` says why there are none."""

    families: dict[str, list[Finding]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problem: str = ""

    def said(self, verdict: str) -> int:
        """How many claims have this verdict."""
        return self.counts.get(verdict, 0)


def read_findings(study: Study) -> Claims:
    """The study's claims; without a readable file, a sentence on what to do."""
    path = study.results / "tables" / "claims.csv"
    if not path.exists():
        return Claims(
            problem=f"No claims were judged: {path} is not there. `python -m reporting.claims --metrics "
            f"{study.results}/metrics --claims workflow/claims.yaml --out {study.results}/tables` writes it."
        )
    try:
        table = pd.read_csv(path)
    except (ValueError, OSError) as error:
        return Claims(problem=f"{path}: cannot be read ({error}); judge the claims again.")
    if missing := sorted(NEEDED - set(table.columns)):
        return Claims(problem=f"{path}: has no column {missing[0]!r}; judge the claims again.")
    labels = {method.name: method.label for method in study.methods}
    found = Claims(counts={verdict: int((table["verdict"] == verdict).sum()) for verdict in VERDICTS})
    for number, line in enumerate(table.to_dict("records"), 1):
        found.families.setdefault(str(line["family"]), []).append(_finding(line, labels, number))
    page = path.with_suffix(".md")
    if page.exists():
        found.notes = [row[2:] for row in page.read_text(encoding="utf-8").splitlines() if row.startswith("- ")]
    return found


def _finding(line: dict, labels: dict[str, str], number: int) -> Finding:
    card = cards().get(line["metric"])
    metric = card.label if card else str(line["metric"])
    part = "" if card and len(card.parts) == 1 else f", {line['part']}"
    margin = _number(line, "margin") or 0.0
    beyond = f", margin {margin:g}" if margin else ""
    better, worse = (str(line[side]) for side in ("better", "worse"))
    nearer = " (distance from the truth)" if card and card.direction == "truth" else ""
    state = f", while {line['state']}" if isinstance(line.get("state"), str) and line["state"] else ""
    measured = line["status"] == OK
    bar, margins = _bar(line, margin) if measured else ({}, ())
    low, high, estimate = (_number(line, name) for name in ("low", "high", "estimate"))
    dropped = int(_number(line, "dropped") or 0)
    return Finding(
        text=str(line["text"]),
        source=str(line["source"]),
        test=f"{metric}{part}{state}{nearer}: {labels.get(better, better)} {SYMBOLS.get(line['kind'], line['kind'])} "
        f"{labels.get(worse, worse)}{beyond}",
        verdict=str(line["verdict"]),
        why="" if measured else _why(line),
        estimate=f"{estimate:+.3g} [{low:+.3g}, {high:+.3g}]" if bar else "",
        p=_shown(line, "p_holm", ".2g"),
        detectable=_shown(line, "detectable", ".2g"),
        pairs=_pairs(line) + (f" ({dropped} left out)" if dropped else ""),
        anchor=f"claim-{number}",
        methods=tuple(name for name in (better, worse) if name in labels),
        key=f"{line['metric']}/{line['part']}",
        bar=bar,
        margins=margins,
    )


def _why(line: dict) -> str:
    """Why there is no estimate: in the table's own words where it has them."""
    said = line.get("missing")
    return said if isinstance(said, str) and said else reason(str(line["status"]))


def _number(line: dict, name: str) -> float | None:
    value = line.get(name)
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _shown(line: dict, name: str, style: str) -> str:
    value = _number(line, name)
    return "" if value is None else format(value, style)


def _pairs(line: dict) -> str:
    dialogues, seeds = _number(line, "dialogues"), _number(line, "seeds")
    if dialogues is None or seeds is None:
        return ""
    what = "whole set" if line.get("basis") == "seeds" else f"{int(dialogues)} dialogues"
    return f"{what} × {int(seeds)} seeds"


def _bar(line: dict, margin: float) -> tuple[dict[str, float], tuple[float, ...]]:
    """Positions in percent; the axis spans the interval, zero and the margin with a tenth to spare."""
    marks = {name: _number(line, name) for name in ("low", "high", "estimate")}
    if any(value is None for value in marks.values()):
        return {}, ()
    limits = {"greater": (margin,), "less": (-margin,), "equivalent": (-margin, margin)}.get(line["kind"], ())
    limits = limits if margin else ()
    everything = [*marks.values(), 0.0, *limits]
    low, high = min(everything), max(everything)
    spare = 0.1 * (high - low) or 1.0
    percent = lambda value: round(100 * (value - low + spare) / (high - low + 2 * spare), 2)  # noqa: E731
    return {name: percent(value) for name, value in (marks | {"zero": 0.0}).items()}, tuple(map(percent, limits))
