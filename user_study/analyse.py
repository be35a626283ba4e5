"""From the raters' files to E-Appro means, Bradley-Terry ranks and agreement, as CSV and Markdown."""

from dataclasses import dataclass
from pathlib import Path

import krippendorff
import numpy as np
import pandas as pd

from dyads.errors import ConfigError, DataError
from dyads.files import write_text
from user_study import APPRO, QUESTIONS
from user_study.bradley_terry import rank_methods
from user_study.ratings import FAILED, UNCHECKED, USED, Rater, read_key, read_raters

NOTES = (
    "Intervals are 95 %, by resampling raters with replacement; they say how surely other raters of the same dialogues "
    "would answer alike, not how other dialogues would do. With few raters they are a little narrow: of 16 simulated "
    "raters they cover 90 to 92 %.",
    "Strength: Bradley-Terry log-odds of being preferred, mean 0 over methods; 'no difference' is half a win for each.",
    "Agreement: Krippendorff's alpha, 1 perfect, 0 as by chance; ordinal for E-Appro, nominal for choices; over what "
    "at least two raters saw.",
)


@dataclass(frozen=True)
class AnalysisOptions:
    """`allow_failed`: attention checks that a rater may fail; `resamples` of the bootstrap over raters."""

    allow_failed: int = 0
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("allow_failed", 0), ("resamples", 100), ("seed", 0)):
            if getattr(self, name) < least:
                option = name.replace("_", "-")
                raise ConfigError(f"--{option} is {getattr(self, name)}, but must be at least {least}.")


def appropriateness(raters: list[Rater], key: dict, options: AnalysisOptions) -> pd.DataFrame:
    """E-Appro: mean over all ratings of a method, with its interval; NaN where nobody rated it."""
    methods = key["methods"]
    sums, counts = np.zeros((2, len(raters), len(methods)))
    for row, rater in enumerate(raters):
        for answer in rater.answers:
            for token, value in zip((answer.trial.left, answer.trial.right), answer.appro, strict=True):
                column = methods.index(key["stimuli"][token]["method"])
                sums[row, column] += value
                counts[row, column] += 1
    low = high = np.full(len(methods), np.nan)
    with np.errstate(invalid="ignore"):
        mean = sums.sum(0) / counts.sum(0)
        if len(raters) > 1:
            rng = np.random.default_rng([options.seed, 0])
            draws = rng.integers(len(raters), size=(options.resamples, len(raters)))
            low, high = np.nanquantile(sums[draws].sum(1) / counts[draws].sum(1), [0.025, 0.975], axis=0)
    lines = {
        "method": methods,
        "mean": mean,
        "low": low,
        "high": high,
        "raters": (counts > 0).sum(0),
        "ratings": counts.sum(0).astype(int),
    }
    return pd.DataFrame(lines).sort_values("mean", ascending=False, kind="stable", ignore_index=True)


def wins_of(raters: list[Rater], key: dict, question: str) -> np.ndarray:
    """(raters, n, n): how often each rater preferred method i to method j; no difference is half for each."""
    methods = key["methods"]
    wins = np.zeros((len(raters), len(methods), len(methods)))
    for row, rater in enumerate(raters):
        for answer in rater.answers:
            sides = (answer.trial.left, answer.trial.right)
            left, right = (methods.index(key["stimuli"][token]["method"]) for token in sides)
            share = {"left": 1.0, "same": 0.5, "right": 0.0}[answer.choice[question]]
            wins[row, left, right] += share
            wins[row, right, left] += 1 - share
    return wins


def ranking(raters: list[Rater], key: dict, options: AnalysisOptions) -> pd.DataFrame:
    """One line per question and method, best first."""
    tables = []
    for number, question in enumerate(QUESTIONS):
        wins = wins_of(raters, key, question)
        found = rank_methods(wins, options.resamples, np.random.default_rng([options.seed, 1, number]))
        columns = ("strength", "low", "high", "rank", "rank_low", "rank_high")
        summed = wins.sum(0)
        lines = {"question": question, "method": key["methods"]} | {name: getattr(found, name) for name in columns}
        lines |= {"won": summed.sum(1), "compared": (summed + summed.T).sum(1).astype(int), "status": found.status}
        tables.append(pd.DataFrame(lines).sort_values("strength", ascending=False, kind="stable"))
    return pd.concat(tables, ignore_index=True)


def agreement(raters: list[Rater]) -> pd.DataFrame:
    """Krippendorff's alpha of each question; NaN with a status where no two raters saw the same, or all said one thing.

    A unit is a pair of videos, whichever side they stood on; for E-Appro, one video of a pair.
    """
    lines = []
    for question in ("appropriateness", *QUESTIONS):
        units: dict[tuple, dict[str, float]] = {}
        for rater in raters:
            for answer in rater.answers:
                left, right = answer.trial.left, answer.trial.right
                if question == "appropriateness":
                    units.setdefault((left, right), {})[rater.name] = answer.appro[0]
                    units.setdefault((right, left), {})[rater.name] = answer.appro[1]
                else:
                    side = {"left": 1, "same": 0, "right": -1}[answer.choice[question]]
                    units.setdefault(tuple(sorted((left, right))), {})[rater.name] = side if left < right else -side
        alpha, status = _alpha(units, "ordinal" if question == "appropriateness" else "nominal")
        shared = sum(len(said) > 1 for said in units.values())
        lines.append({"question": question, "alpha": alpha, "units": shared, "status": status})
    return pd.DataFrame(lines)


def _alpha(units: dict[tuple, dict[str, float]], level: str) -> tuple[float, str]:
    shared = [said for said in units.values() if len(said) > 1]
    if not shared:
        return np.nan, "no_overlap"
    if len({value for said in shared for value in said.values()}) == 1:
        return np.nan, "constant"  # agreement cannot be told from having one answer only
    names = sorted({name for said in shared for name in said})
    table = np.array([[said.get(name, np.nan) for said in shared] for name in names])
    return float(krippendorff.alpha(reliability_data=table, level_of_measurement=level)), "ok"


def analyse(paths: list[Path], key_path: Path, out: Path, options: AnalysisOptions) -> str:
    """Write raters.csv, appropriateness.csv, ranks.csv, agreement.csv and study.md; a sentence on whom they rest.

    DataError: no file is usable, or one is broken or foreign.
    """
    key = read_key(key_path)
    everyone = read_raters(paths, key, options.allow_failed)
    raters = [rater for rater in everyone if rater.status == USED and rater.answers]
    if not raters:
        raise DataError(
            f"none of the {len(everyone)} raters can be used; see their attention checks, or allow some to fail "
            "(--allow-failed)."
        )
    tables = {
        "raters": rater_table(everyone),
        "appropriateness": appropriateness(raters, key, options),
        "ranks": ranking(raters, key, options),
        "agreement": agreement(raters),
    }
    for name, table in tables.items():
        write_text(out / f"{name}.csv", table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    write_text(out / "study.md", shown(tables, key, options))
    return counted(everyone)


def rater_table(raters: list[Rater]) -> pd.DataFrame:
    """One line per rater."""
    return pd.DataFrame(
        {
            "rater": [rater.name for rater in raters],
            "status": [rater.status for rater in raters],
            "checks_passed": [rater.passed for rater in raters],
            "checks_failed": [rater.failed for rater in raters],
            "pairs": [len(rater.answers) for rater in raters],
            "unplayable": [rater.broken for rater in raters],
            "minutes": [rater.seconds / 60 for rater in raters],
        }
    )


def counted(raters: list[Rater]) -> str:
    """How many raters were used, and why others were not."""
    statuses = [rater.status if rater.status != USED or rater.answers else "no_answer" for rater in raters]
    reasons = {
        FAILED: "failed attention checks",
        UNCHECKED: "answered no attention check",
        "no_answer": "answered no pair",
    }
    left_out = [f"{statuses.count(name)} {text}" for name, text in reasons.items() if name in statuses]
    return f"{statuses.count(USED)} of {len(raters)} raters used" + (f" ({', '.join(left_out)})" if left_out else "")


def shown(tables: dict[str, pd.DataFrame], key: dict, options: AnalysisOptions) -> str:
    """What a person reads."""
    raters, means, order, alpha = (tables[name] for name in ("raters", "appropriateness", "ranks", "agreement"))
    used = raters[(raters["status"] == USED) & (raters["pairs"] > 0)]
    seen = f"{len(key['methods'])} methods, {len({entry['dialogue'] for entry in key['stimuli'].values()})} dialogues"
    text = [
        "# User study",
        f"{len(used)} of {len(raters)} raters used, {used['pairs'].sum()} pairs, {seen}. Left out: "
        f"{(raters['status'] == FAILED).sum()} raters who failed more than {options.allow_failed} attention checks, "
        f"{(raters['status'] == UNCHECKED).sum()} who answered none.",
        "## E-Appro",
        f"{APPRO} (1 to 5)",
        _markdown(
            means,
            {"method": "method", "raters": "raters", "ratings": "ratings"},
            {"mean": _interval(means, "mean", "low", "high", "{:.2f}")},
        ),
    ]
    for question, title in QUESTIONS.items():
        own = order[order["question"] == question]
        cells = {
            "strength": _interval(own, "strength", "low", "high", "{:+.2f}"),
            "rank": _interval(own, "rank", "rank_low", "rank_high", "{:.0f}"),
            "won": [f"{won:g} of {total}" for won, total in zip(own["won"], own["compared"], strict=True)],
        }
        status = own["status"].iloc[0]
        note = [] if status == "ok" else [f"Status: {status}."]
        text += [f"## {title}", *note, _markdown(own, {"method": "method"}, cells)]
    values = [f"{a:.2f}" if status == "ok" else f"– ({status})" for a, status in alpha[["alpha", "status"]].to_numpy()]
    text += [
        "## Agreement",
        _markdown(alpha, {"question": "question", "units": "seen by two or more"}, {"alpha": values}),
    ]
    return "\n\n".join([*text, "\n".join(f"- {note}" for note in NOTES)]) + "\n"


def _interval(table: pd.DataFrame, middle: str, low: str, high: str, form: str) -> list[str]:
    cells = []
    for value, below, above in table[[middle, low, high]].to_numpy(float):
        text = form.format(value) if np.isfinite(value) else "–"
        cells.append(text + (f" [{form.format(below)}, {form.format(above)}]" if np.isfinite(below) else ""))
    return cells


def _markdown(table: pd.DataFrame, columns: dict[str, str], cells: dict[str, list[str]]) -> str:
    frame = table[list(columns)].rename(columns=columns).astype(str).assign(**cells)
    return frame.map(lambda cell: cell.replace("|", "\\|")).to_markdown(index=False, disable_numparse=True)
