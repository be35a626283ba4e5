"""Which of the paper's claims hold in this study, how surely: `python -m evaluation.claims --help`.

A claim compares two methods on one metric, paired by dialogue and seed (`pairing.compare`). Its test treats both as
samples (`stats.mean_crossed`): the verdict is about other trainings and other dialogues, not about these weights.
"""

import argparse
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import yaml

from dyads.errors import ConfigError, DataError, run_cli
from dyads.files import write_text
from evaluation import stats
from evaluation.cards import OK
from evaluation.cards import STATUSES as METRIC_STATUSES
from evaluation.pairing import Compared, Readings, compare, readings_of
from evaluation.registry import cards
from evaluation.rendering import latex, tex
from evaluation.summary import read_rows, result_files
from training.options import from_dict

ALPHA = 0.05  # of the family-wise error
VERDICTS = ("supported", "contradicted", "inconclusive", "not_measured")
NOTES = (
    "A difference is the first method minus the second, mean over dialogues and seeds, in the metric's unit; of "
    "|value - truth| where nearer to the truth is better. Values per clip are averaged over clips, so they can differ "
    "from the pooled ones in the main table.",
    "supported / contradicted: Holm's p within the family is below 0.05, for or against the claim; inconclusive: this "
    "study cannot tell. Not finding a difference is no proof that there is none.",
    "Interval and p are those of a two-way analysis of variance with dialogues and seeds as samples; 95 %, and 90 % "
    "(TOST) for equivalence. A margin below 0 asks for 'no loss of more than that'. A metric of the whole set "
    "enters by jackknife pseudo-values, from readings kept of every dialogue; without those, by its value per seed.",
    "Detectable: the smallest difference that this many dialogues and seeds see with 80 % power before Holm. "
    "claims.csv adds rank tests over dialogues, which speak of these trainings only, and a bootstrap.",
)


@dataclass(frozen=True)
class Claim:
    """One sentence as a hypothesis on d = metric(methods[0]) - metric(methods[1]).

    greater: d > margin; less: d < -margin; equivalent: |d| < margin. A margin below 0 turns greater and less into "no
    loss of more than that". For a metric whose card says 'truth', the metric is the distance |value - truth|. `family`:
    the claims that Holm's correction counts together. `per` set: the value of the whole set; a
    metric without rows per clip is always taken so. Readings kept beside the rows add the dialogues (`pairing`).
    """

    text: str
    source: str
    metric: str
    part: str
    methods: tuple[str, str]
    kind: Literal["greater", "less", "equivalent"]
    family: str
    margin: float = 0.0
    per: Literal["clip", "set"] = "clip"

    def __post_init__(self) -> None:
        card = cards().get(self.metric)
        if card is None:
            raise ConfigError(f"metric {self.metric!r} is unknown; known are {', '.join(cards())}.")
        if self.part not in card.parts:
            raise ConfigError(f"{self.metric} has no part {self.part!r}; it has {', '.join(card.parts)}.")
        if self.methods[0] == self.methods[1]:
            raise ConfigError(f"methods names {self.methods[0]!r} twice; a claim compares two.")
        if not math.isfinite(self.margin) or (self.kind == "equivalent" and self.margin <= 0):
            raise ConfigError(f"margin is {self.margin}, but must be finite, and above 0 for an equivalence.")


@dataclass(frozen=True)
class Finding:
    """What the study says about a claim; NaN where undefined. `status`: ok, or why there is no test.

    `missing`: that in a sentence, empty where nothing is; `basis`: what was compared, of `pairing.BASES`; `level`: of
    the interval `low`, `high`; `p`: of this claim alone, `p_holm`: in its family; `hodges_lehmann` to `rank_biserial`:
    over dialogues, seeds averaged; `bootstrap_*`: 95 %; `dropped`: dialogues without a value of some method and seed.
    """

    verdict: str
    status: str
    missing: str
    basis: str
    estimate: float
    low: float
    high: float
    level: float
    p: float
    p_holm: float
    hodges_lehmann: float
    hodges_lehmann_low: float
    hodges_lehmann_high: float
    wilcoxon_p: float
    permutation_p: float
    rank_biserial: float
    bootstrap_low: float
    bootstrap_high: float
    detectable: float
    pairs: int
    dialogues: int
    seeds: int
    dropped: int


def read_claims(path: Path) -> list[Claim]:
    """The claims of a YAML file `claims: [{text: ..., ...}]`; a ConfigError names the entry that is wrong."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"--claims {path} cannot be read ({error.strerror}).") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"--claims {path} is not valid YAML ({' '.join(str(error).split())}).") from error
    entries = content.get("claims") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f"--claims {path} holds no list under the key 'claims'; give at least one claim.")
    return [from_dict(Claim, entry, f"claims[{index}]") for index, entry in enumerate(entries)]


def chances(claim: Claim, mean: stats.Mean) -> tuple[float, float]:
    """p for and p against the claim; for greater and less the smaller one is the two-sided p at the margin.

    An equivalence is tested by TOST, its contradiction by both sides of the margin.
    """
    if claim.kind == "equivalent":
        beyond = min(stats.p_above(mean, claim.margin), stats.p_below(mean, -claim.margin))
        return stats.p_within(mean, claim.margin), min(1.0, 2 * beyond)
    sign = 1.0 if claim.kind == "greater" else -1.0
    sides = stats.p_above(mean, sign * claim.margin), stats.p_below(mean, sign * claim.margin)
    return tuple(min(1.0, 2 * p) for p in (sides if sign > 0 else sides[::-1]))


def decide(claims: list[Claim], means: list[stats.Mean]) -> list[tuple[str, float, float]]:
    """(verdict, p, Holm's p within its family) of every claim, from its mean difference.

    At most one of the two hypotheses of a claim is true, so the smaller p of the two can enter Holm's family.
    """
    both = [
        chances(claim, mean) if mean.status == OK else (math.nan, math.nan)
        for claim, mean in zip(claims, means, strict=True)
    ]
    p = np.array([min(pair) for pair in both])
    adjusted = np.full(len(p), math.nan)
    for family in {claim.family for claim in claims}:
        own = [index for index, claim in enumerate(claims) if claim.family == family]
        adjusted[own] = stats.holm(p[own])
    found = []
    for (support, against), single, holm in zip(both, p, adjusted, strict=True):
        sure = "supported" if support <= against else "contradicted"
        found.append((sure if holm <= ALPHA else "inconclusive", float(single), float(holm)))
    return found


def judge(rows: pd.DataFrame, claims: list[Claim], readings: Readings | None = None) -> list[Finding]:
    """One finding per claim from tidy rows; a claim without data is `not_measured`, with the reason."""
    readings = readings or Readings()
    compared = [
        compare(rows, claim.metric, claim.part, claim.methods, readings, claim.per == "set") for claim in claims
    ]
    decided = decide(claims, [found.mean for found in compared])
    return [_finding(*each) for each in zip(claims, compared, decided, strict=True)]


def _finding(claim: Claim, found: Compared, decision: tuple[str, float, float]) -> Finding:
    (verdict, p, holm), mean, rank = decision, found.mean, found.rank
    level = 1 - 2 * ALPHA if claim.kind == "equivalent" else 1 - ALPHA
    low, high = stats.limits(mean, level)
    status = mean.status if found.status == OK else found.status
    return Finding(
        verdict=verdict if found.status == OK else "not_measured",
        status=status,
        missing="" if status == OK else missing(status, claim.metric),
        basis=found.basis,
        estimate=mean.estimate,
        low=low,
        high=high,
        level=level,
        p=p,
        p_holm=holm,
        hodges_lehmann=rank.estimate,
        hodges_lehmann_low=rank.low,
        hodges_lehmann_high=rank.high,
        wilcoxon_p=rank.wilcoxon_p,
        permutation_p=rank.flip_p,
        rank_biserial=rank.effect,
        bootstrap_low=found.boot.low,
        bootstrap_high=found.boot.high,
        detectable=stats.detectable(mean),
        pairs=mean.seeds * mean.dialogues,
        dialogues=mean.dialogues,
        seeds=mean.seeds,
        dropped=found.total - mean.dialogues,
    )


def missing(status: str, metric: str) -> str:
    """A status in words: what this profile lacks for a verdict."""
    reason, _, method = status.partition(": ")
    if reason == "not_run":
        return f"no rows of {method} in this profile"
    if method:
        return f"{metric} has no value for {method}: {METRIC_STATUSES.get(reason, reason)}"
    return stats.STATUSES.get(reason, "the two methods share no dialogue and seed")


def as_table(claims: list[Claim], findings: list[Finding]) -> pd.DataFrame:
    """One line per claim: what it says, then what was found."""
    lines = []
    for claim, finding in zip(claims, findings, strict=True):
        said = asdict(claim)
        better, worse = said.pop("methods")
        lines.append({"family": said.pop("family"), **said, "better": better, "worse": worse, **asdict(finding)})
    return pd.DataFrame(lines)


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
        "test": f"{line.metric}/{line.part}: {line.better} {symbol} {line.worse}{margin}",
        "verdict": f"**{line.verdict.replace('_', ' ')}**",
        "difference": found[0],
        "p (Holm)": found[1],
        "detectable": found[2],
        "pairs": f"{line.dialogues} × {line.seeds}{dropped}",
    }
    return cells


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m evaluation.claims", description=__doc__)
    parser.add_argument("--metrics", type=Path, required=True, help="folder with <method>/seed<k>.csv")
    parser.add_argument("--claims", type=Path, required=True, help="YAML: claims: [{text: ..., metric: ..., ...}]")
    parser.add_argument("--out", type=Path, required=True, help="folder for claims.csv, .md and .tex")
    parser.add_argument("--manifest", type=Path, help="the data's manifest.csv: dialogues of one person go together")
    args = parser.parse_args(arguments)
    claims = read_claims(args.claims)
    if not args.metrics.is_dir():
        raise ConfigError(f"--metrics {args.metrics} is no folder; measure first (python -m evaluation.run).")
    files = result_files([args.metrics])
    if not files:
        raise DataError(f"{args.metrics} holds no <method>/seed<k>.csv; measure first (python -m evaluation.run).")
    lines = as_table(claims, judge(read_rows(files), claims, readings_of(files, args.manifest)))
    write_text(args.out / "claims.md", shown(lines))
    write_text(args.out / "claims.tex", shown_tex(lines))
    write_text(args.out / "claims.csv", lines.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    counts = lines["verdict"].value_counts()
    print(", ".join(f"{counts[v]} {v}" for v in VERDICTS if v in counts), f"-> {args.out / 'claims.md'}", flush=True)


if __name__ == "__main__":
    run_cli(main)
