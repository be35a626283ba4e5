"""docs/metrics.md from the cards: `python -m reporting.metrics_page --write docs/metrics.md`, or `--check` it."""

import argparse
import sys
from pathlib import Path

from dyads.errors import ConfigError, DataError, run_cli
from dyads.files import write_text
from evaluation.cards import OK, STATUSES, MetricCard
from evaluation.registry import cards, modules

DIRECTIONS = {
    "higher": "higher is better",
    "lower": "lower is better",
    "truth": "nearer to the truth's own value is better",
}
INTRODUCTION = """# Metrics

Written from the cards by `python -m reporting.metrics_page --write docs/metrics.md`; a test holds the two equal.
Values come from `python -m evaluation.run`, for every clip or for the whole set, and stand in the tables and in
`full_table.md`. `python -m evaluation.recompute` makes them again from what the probes read, without decoding. Classes
for training loops with the same values, mergeable over processes, are in `evaluation.torch_metrics`.

**Symbols.** $x$ user, $y$ true avatar, $\\hat y$ generated avatar, as motion coefficients of $T$ frames and $D$
dimensions; $f$ and $\\hat f$ true and generated frames; $N$ clips; $r$ Pearson's correlation; $j$ the mouth's opening.

**Parts.** *expression* (smile, brows, cheek), *pose* (head), *lips*, *eyes*, and *all* coefficients together. Motion
is read by the study's own probe in a drawn world, and by the mesh of 468 points in recordings (there with 50 numbers
of its fixed basis in *expression* and *all*); of a PCA's dimensions, which have no names, only *all* is measured.

**Points.** What asks for points on the face (M-LMD and the like, LVE, FDD, MOD, blinks, beats, E-FID) has values where
the mesh reads: in studies of recordings and in `evaluation.score`, the same in both. In a study of the drawn world it
says `no_mesh`: to read the points of every video would take about as long as all the rest (10 ms a frame);
`evaluation.score` on the study's videos and its true ones tells them.

**Orders.** Every card names the controls that the metric must order, and those it cannot tell apart: *truth*, the true
video encoded once more; *VAE*, the true video through the autoencoder; *frozen*, the reference image throughout;
*shuffled*, true motion of another dialogue; *shifted*, the true video ten frames late; *oracle*, the world's expected
coefficients rendered. "A > B" means that A scores better than B; "A ~ B" that the metric does not see what is wrong
with B, which comes out nearer to A than to a still face. `tables/controls.md` says for each study which of these hold.

**Trust.** [trust.md](trust.md) shows for videos with known faults which metric gets worse, which does not see it, and
which goes the wrong way.

**A failure is never a score.** What cannot be computed has no value and one of these reasons, is counted in the tables
and enters no mean:
"""
NAMES = {
    "ground_truth": "truth",
    "vae_round_trip": "VAE",
    "frozen_reference": "frozen",
    "shuffled_partner": "shuffled",
    "time_shifted_audio": "shifted",
    "oracle_expression": "oracle",
    "random_training_clip": "random clip",
    "mirror_of_user": "mirror",
    "hard_cuts": "hard cuts",
}


def document() -> str:
    """The whole page."""
    text = INTRODUCTION + "\n" + "".join(f"- `{s}`: {why}.\n" for s, why in STATUSES.items() if s != OK)
    text += "\n| metric | label | better | per | file |\n|---|---|---|---|---|\n"
    for module in modules().values():
        file = module.__name__.removeprefix("evaluation.").replace(".", "/")
        for card in module.CARDS:
            per = "clip and set" if card.clip_rows else card.per
            text += f"| [`{card.name}`](#{card.name}) | {card.label} | {card.arrow} | {per} | `{file}.py` |\n"
    return text + "".join(map(section, cards().values()))


def section(card: MetricCard) -> str:
    """One metric's part of the page."""
    lines = [
        f"**Better:** {DIRECTIONS[card.direction]}. **Range:** {_range(card)}. **Unit:** {card.unit}. "
        f"**Per:** {'set, and per clip for paired tests' if card.clip_rows else card.per}. "
        f"**Parts:** {', '.join(card.parts)}.",
        f"**Protocol:** {card.protocol}.",
        f"**Source:** {card.source}.",
    ]
    orders = [
        f"{_name(better)} {'>' if worse in NAMES else 'reaches'} {_name(worse)}" for better, worse in card.separates
    ]
    if orders:
        lines.append(f"**Must order** (on {', '.join(card.separates_parts)}): {'; '.join(orders)}.")
    if card.needs:
        pairs = "; ".join(f"{_name(better)} > {_name(worse)}" for better, worse in card.needs)
        lines.append(f"**No claim on it unless a study also orders:** {pairs}.")
    if card.blind:
        pairs = "; ".join(f"{_name(right)} ~ {_name(wrong)}" for right, wrong in card.blind)
        lines.append(f"**Cannot tell apart:** {pairs}.")
    if card.unordered:
        lines.append(f"**No usual order:** {card.unordered}.")
    lines.append("[Which faults it sees](trust.md).")
    if card.disagreements:
        lines.append("**Known disagreements:**\n" + "\n".join(f"- {text}" for text in card.disagreements))
    head = f"\n## {card.name}\n\n**{card.label.rstrip('.')}.** {card.definition}\n\n$$\n{card.equation}\n$$\n\n"
    return head + "\n\n".join(lines) + "\n"


def _range(card: MetricCard) -> str:
    low, high = ("∞" if abs(end) == float("inf") else f"{abs(end):.4g}" for end in card.range)
    return f"{'-' if card.range[0] < 0 else ''}{low} to {'-' if card.range[1] < 0 else ''}{high}"


def _name(control: str | float) -> str:
    return NAMES.get(control, control) if isinstance(control, str) else f"{control:g}"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m reporting.metrics_page", description=__doc__)
    parser.add_argument("--write", type=Path, metavar="FILE", help="where to write the page")
    parser.add_argument("--check", type=Path, metavar="FILE", help="fail unless the file holds this page")
    args = parser.parse_args(arguments)
    if args.check and args.write:
        raise ConfigError("--write and --check are two wishes; give one of them.")
    page = document()
    if args.write:
        write_text(args.write, page)
    elif not args.check:
        sys.stdout.write(page)
    elif not args.check.is_file() or args.check.read_text(encoding="utf-8") != page:
        raise DataError(
            f"{args.check} is not what the cards say; run `python -m reporting.metrics_page --write` on it."
        )


if __name__ == "__main__":
    run_cli(main)
