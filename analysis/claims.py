"""Which of the paper's claims hold in this study, how surely: `python -m analysis.claims --help`.

A claim compares two methods on one metric, paired by dialogue and seed (`pairing.compare`), by the value that the
tables print. Its test treats people and seeds as samples (`stats.mean_crossed`); `about` says over what each verdict
generalises. Folders given as `--replicates` are studies that trained everything anew, backbones too.
"""

import argparse
import math
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import yaml

from analysis import bootstrap, stats, swap_table
from analysis.controls_check import control_name, out_of_order
from analysis.pairing import Compared, are_level, compare, compare_swaps
from analysis.summary import seed_values, summarise
from dyads.errors import ConfigError, DataError, run_cli
from dyads.files import write_text
from evaluation.cards import OK
from evaluation.cards import STATUSES as METRIC_STATUSES
from evaluation.readings import talking_listening
from evaluation.readings.by_row import Readings, readings_of, trainings_of
from evaluation.registry import cards
from evaluation.rows import read_rows, result_files
from training.options import from_dict

ALPHA = 0.05  # of the family-wise error
VERDICTS = ("supported", "contradicted", "inconclusive", "not_measured")


@dataclass(frozen=True)
class Claim:
    """One sentence as a hypothesis on d = metric(methods[0]) - metric(methods[1]).

    greater: d > margin; less: d < -margin; equivalent: |d| < margin. A margin below 0 turns greater and less into "no
    loss of more than that"; `reason` says why it is as large as it is. For a metric whose card says 'truth', the metric
    is the distance |value - truth| of each training. `family`: the claims that Holm's correction counts together, all
    of the file, measured or not. Readings kept beside the rows add the people to a metric of the whole set (`pairing`).
    `state`: over frames in which the avatar talks, or listens, alone (`states`); empty: over all. `of`: for the metric
    swap_change, the rows whose weights the two methods have; see `swap_table`.
    """

    text: str
    source: str
    metric: str
    part: str
    methods: tuple[str, str]
    kind: Literal["greater", "less", "equivalent"]
    family: str
    margin: float = 0.0
    reason: str = ""
    state: Literal["", "talking", "listening"] = ""
    of: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        card = swap_table.CARD if self.metric == swap_table.CARD.name else cards().get(self.metric)
        if card is None:
            raise ConfigError(f"metric {self.metric!r} is unknown; known are {', '.join(cards())}.")
        if self.part not in card.parts:
            raise ConfigError(f"{self.metric} has no part {self.part!r}; it has {', '.join(card.parts)}.")
        if self.methods[0] == self.methods[1]:
            raise ConfigError(f"methods names {self.methods[0]!r} twice; a claim compares two.")
        if (self.metric == swap_table.CARD.name) != (len(self.of) == 2) or (self.of and self.state):
            raise ConfigError(
                f"of names {len(self.of)} rows; {swap_table.CARD.name} needs two, and nothing else has any."
            )
        if not math.isfinite(self.margin) or (self.kind == "equivalent" and self.margin <= 0):
            raise ConfigError(f"margin is {self.margin}, but must be finite, and above 0 for an equivalence.")


@dataclass(frozen=True)
class Finding:
    """What the study says about a claim; NaN where undefined. `status`: ok, or why there is no test.

    `missing`: that in a sentence, empty where nothing is; `basis`: what was compared, of `pairing.BASES`; `about`: over
    what the verdict generalises; `level`: of the interval `low`, `high`; `p`: of this claim alone, `p_holm`: in its
    family; `hodges_lehmann` to `rank_biserial`: over people, seeds averaged; `bootstrap_low`, `bootstrap_high`: called
    95 %, but sure to hold the truth only in `bootstrap_covers` of studies (few seeds, see `bootstrap.covers`);
    `dialogues`: compared; `dropped`: without a value of some method and seed, of those that any row has.
    """

    verdict: str
    status: str
    missing: str
    basis: str
    about: str
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
    bootstrap_covers: float
    detectable: float
    pairs: int
    people: int
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
    """p for and p against the claim, each twice a one-sided p, so that together they err in 5 % of studies at most.

    The smaller one is the two-sided p at the margin. An equivalence is tested by TOST, its contradiction beyond either
    side: with TOST at 5 % and that at 2.5 %, 7.5 % of studies would get a verdict where the difference is the margin.
    """
    if claim.kind == "equivalent":
        within = stats.p_within(mean, claim.margin)
        beyond = min(stats.p_above(mean, claim.margin), stats.p_below(mean, -claim.margin))
        return min(1.0, 2 * within), min(1.0, 2 * beyond)
    sign = 1.0 if claim.kind == "greater" else -1.0
    sides = stats.p_above(mean, sign * claim.margin), stats.p_below(mean, sign * claim.margin)
    return tuple(min(1.0, 2 * p) for p in (sides if sign > 0 else sides[::-1]))


def decide(claims: list[Claim], means: list[stats.Mean]) -> list[tuple[str, float, float]]:
    """(verdict, p, Holm's p within its family) of every claim, from its mean difference.

    At most one of the two hypotheses of a claim is true, so the smaller p of the two can enter Holm's family. What was
    not measured counts in the family too: a verdict does not change because another row was left out of the run.
    """
    both = [
        chances(claim, mean) if mean.status == OK else (math.nan, math.nan)
        for claim, mean in zip(claims, means, strict=True)
    ]
    p = np.array([min(pair) for pair in both])
    adjusted = np.full(len(p), math.nan)
    for family in {claim.family for claim in claims}:
        own = [index for index, claim in enumerate(claims) if claim.family == family]
        adjusted[own] = stats.holm(p[own], len(own))
    found = []
    for (support, against), single, holm in zip(both, p, adjusted, strict=True):
        sure = "supported" if support <= against else "contradicted"
        found.append((sure if holm <= ALPHA else "inconclusive", float(single), float(holm)))
    return found


def judge(rows: pd.DataFrame, claims: list[Claim], readings: Readings | None = None) -> list[Finding]:
    """One finding per claim from tidy rows; a claim without data is `not_measured`, with the reason.

    So is one on a metric that does not order this study's controls as its card promises or needs: it is no evidence.
    """
    readings = readings or Readings()
    broken = out_of_order(
        {claim.metric for claim in claims if not claim.of},
        summarise(seed_values(rows[rows["metric"].isin({claim.metric for claim in claims})])),
        {method: control_name(method) for method in rows["method"].unique()},
        partial(are_level, rows, readings),
    )
    known = {state: _of_state(rows, claims, readings, state) for state in {claim.state for claim in claims}}
    compared = []
    for claim in claims:
        own, read = known[claim.state]
        if claim.of:
            compared.append(compare_swaps(claim.part, claim.methods, claim.of, read, swap_table.change_metric))
            continue
        found = compare(own, claim.metric, claim.part, claim.methods, read, resample=claim.metric not in broken)
        reason, _, method = found.status.partition(": ")
        if claim.state and reason == "not_run" and method in set(rows["method"]):
            found = replace(found, status=f"no_readings: {method}")
        if found.status == OK and claim.metric in broken:
            found = Compared(f"controls: {broken[claim.metric]}", found.basis)
        compared.append(found)
    decided = decide(claims, [found.mean for found in compared])
    return [_finding(*each) for each in zip(claims, compared, decided, strict=True)]


def _of_state(
    rows: pd.DataFrame, claims: list[Claim], readings: Readings, state: talking_listening.State | Literal[""]
) -> tuple[pd.DataFrame, Readings]:
    """Rows and readings of the frames of one state, as far as its claims ask for them; all of them for ''."""
    if not state:
        return rows, readings
    asked = [claim for claim in claims if claim.state == state]
    own = rows[rows["method"].isin({method for claim in asked for method in claim.methods})]
    columns = list(dict.fromkeys((cards()[claim.metric], claim.part) for claim in asked))
    cut = replace(readings, cut=lambda clip: talking_listening.masked(clip, state), _known={})
    return talking_listening.state_rows(own, readings.files, state, columns, cut.learn), cut


def _finding(claim: Claim, found: Compared, decision: tuple[str, float, float]) -> Finding:
    (verdict, p, holm), mean, rank = decision, found.mean, found.rank
    low, high = stats.limits(mean, 1 - ALPHA)
    status = mean.status if found.status == OK else found.status
    return Finding(
        verdict=verdict if found.status == OK else "not_measured",
        status=status,
        missing="" if status == OK else missing(status, claim.metric),
        basis=found.basis,
        about=found.about,
        estimate=mean.estimate,
        low=low,
        high=high,
        level=1 - ALPHA,
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
        # of given outputs no seed is drawn
        bootstrap_covers=bootstrap.covers(mean.seeds, 1 - ALPHA) if found.boot.status == OK else stats.NAN,
        detectable=stats.detectable(mean),
        pairs=mean.seeds * mean.people,
        people=mean.people,
        dialogues=found.dialogues,
        seeds=mean.seeds,
        dropped=found.total - found.dialogues,
    )


def missing(status: str, metric: str) -> str:
    """A status in words: what this profile lacks for a verdict."""
    reason, _, method = status.partition(": ")
    if reason == "not_run":
        return f"no rows of {method} in this profile"
    if reason == "controls":
        return f"{metric} does not order the controls here, so it is no evidence (not so: {method})"
    if reason == "no_readings":
        return f"no readings were kept of {method}, and without them nobody knows a state's frames"
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


def arguments_of(prog: str, description: str, arguments: list[str] | None, epilog: str = "") -> argparse.Namespace:
    """The command's arguments; those of `reporting.claims`, which shows the same lines, are the same."""
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog=prog, description=description, epilog=epilog, formatter_class=shape)
    parser.add_argument(
        "--metrics",
        nargs="+",
        type=Path,
        required=True,
        help="result files of the study, or a folder with <method>/seed<k>.csv, which are all judged",
    )
    parser.add_argument("--claims", type=Path, required=True, help="YAML: claims: [{text: ..., metric: ..., ...}]")
    parser.add_argument("--out", type=Path, required=True, help="folder for claims.csv (and .md, .tex where shown)")
    parser.add_argument("--manifest", type=Path, help="the data's manifest.csv: dialogues of one person go together")
    parser.add_argument("--backbones-per-seed", action="store_true", help="each seed has backbones of its own")
    parser.add_argument("--backbones", type=Path, help="the record beside the study's autoencoder, for what is given")
    parser.add_argument(
        "--given",
        nargs="+",
        default=[],
        metavar="ROW",
        help="rows of which one output is given, such as released systems: of two such rows people are the sample",
    )
    parser.add_argument(
        "--replicates",
        nargs="+",
        type=Path,
        default=[],
        metavar="FOLDER",
        help="metrics of replicates (--config backbones=train replicate=<k>), judged with --metrics as trainings of "
        "everything; those on the same shipped backbones count as one training",
    )
    return parser.parse_args(arguments)


def judged(args: argparse.Namespace) -> pd.DataFrame:
    """The lines of `as_table` from files; ConfigError or DataError where there is nothing to judge."""
    claims = read_claims(args.claims)
    given = [("--metrics", args.metrics), *(("--replicates", [folder]) for folder in args.replicates)]
    for option, paths in given:
        for path in paths:
            if not path.exists():
                raise ConfigError(f"{option} {path} does not exist; measure first (python -m evaluation.run).")
    studies = [result_files(paths) for _, paths in given]
    for (option, paths), files in zip(given, studies, strict=True):
        if not files:
            named = ", ".join(map(str, paths))
            raise DataError(
                f"{option} {named} holds no <method>/seed<k>.csv; measure first (python -m evaluation.run)."
            )
    files = [path for own in studies for path in own]
    readings = readings_of(files, args.manifest, trainings_of(studies, args.backbones_per_seed), args.given)
    return as_table(claims, judge(read_rows(files), claims, readings))


def write_lines(lines: pd.DataFrame, folder: Path) -> None:
    """claims.csv in `folder`."""
    write_text(folder / "claims.csv", lines.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def main(arguments: list[str] | None = None) -> None:
    args = arguments_of("python -m analysis.claims", __doc__, arguments)
    lines = judged(args)
    write_lines(lines, args.out)
    print(f"{counted(lines)} -> {args.out / 'claims.csv'}", flush=True)


if __name__ == "__main__":
    run_cli(main)
