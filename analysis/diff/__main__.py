"""Compare two result folders: `python -m analysis.diff results/default other/results/default`.

Did it come out the same? Each side may be a finished run, a committed reference (results/reference/default) or a folder
that holds values.csv alone: how far every cell moved in units of its seeds' spread, whether as many moved as chance
moves, which verdicts changed and why. Exit code 0: a reproduction, 1: not one, or too few trainings to tell, 2: an
error.

Of two finished runs it says instead whether they are equal: every measured value, every cell of the tables, and in each
row's provenance the options, code, versions, hardware and the hashes of weights and data; `--cells FILE` asks them too
whether they reproduce each other. Times, speeds, memory and dates may differ and are ignored (`--show-ignored` lists
them). Records of machines of different kinds (instruction sets, library versions, threads, GPUs: `training.machine`)
need not agree in every bit: their hashes are shown and not counted, and values are equal within a tolerance, 0.001
relative where none is given. Exit code 0: equal, 1: differences, 2: an error.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from analysis.diff import (
    ACROSS_MACHINES,
    CATEGORIES,
    PATTERNS,
    Difference,
    Tolerance,
    compare_folders,
    files_of,
    machines_differ,
)
from analysis.diff.reproduction import CHANCE, LEVELS, Reproduction, read_values, reproduction, values_of
from analysis.diff.verdicts import Change, compared
from dyads.errors import ConfigError, run_cli
from dyads.files import write_text

WIDTH = 44


def grouped(found: list[Difference]) -> list[tuple[Difference, int]]:
    """One entry for what differs in the same way in several files of provenance, with how many they are."""
    groups: dict[tuple[str, ...], list[Difference]] = {}
    for one in found:
        each = (one.place,) if one.category in ("missing", "values", "tables", "videos") else ()
        groups.setdefault((one.category, one.what, one.a, one.b, *each), []).append(one)
    return [(same[0], len(same)) for same in groups.values()]


def short(text: str) -> str:
    """At most WIDTH characters; the full text is in --json."""
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


def relative(one: Difference) -> str:
    """|a - b| of two numbers, and that over the larger; '' for anything else."""
    try:
        a, b = float(one.a), float(one.b)
    except ValueError:
        return ""
    largest = max(abs(a), abs(b))
    return f"{abs(a - b):.3g} ({abs(a - b) / largest:.1e})" if largest else ""


def as_text(
    found: list[Difference], skipped: set[str], names: tuple[str, str], tolerance: Tolerance, limit: int
) -> str:
    """What a person reads: one table per category, then one line that sums up."""
    text = [f"A = {names[0]}", f"B = {names[1]}"]
    for category, title in CATEGORIES.items():
        entries = grouped([one for one in found if one.category == category])
        if not entries:
            continue
        lines = [
            {
                "where": short(one.place) + (f" and {count - 1} more" if count > 1 else ""),
                "what": short(one.what),
                "A": short(one.a) or "–",
                "B": short(one.b) or "–",
                "|A - B| (relative)": relative(one),
            }
            for one, count in entries[: limit or None]
        ]
        shown = pd.DataFrame(lines)
        if not any(line["|A - B| (relative)"] for line in lines):
            shown = shown.drop(columns="|A - B| (relative)")
        note = ", not counted" if category in skipped else ""
        text += [
            "",
            f"{category}: {title} ({len(entries)}{note})",
            shown.to_markdown(index=False, disable_numparse=True),
        ]
        if limit and len(entries) > limit:
            text.append(f"… and {len(entries) - limit} more; --limit 0 shows all.")
    return "\n".join([*text, "", summary(found, skipped, tolerance)])


def summary(found: list[Difference], skipped: set[str], tolerance: Tolerance) -> str:
    """One sentence: equal, or how many differences of which category."""
    counted = [one for one in found if one.category not in skipped]
    within = f"within {tolerance.absolute:g} absolute or {tolerance.relative:g} relative"
    within = within if tolerance != Tolerance() else "without any tolerance"
    left_out = sorted({one.category for one in found} & skipped - {"ignored", "machine"})
    note = f"; not counted: {', '.join(left_out)}" if left_out else ""
    other = any(one.category == "machine" for one in found)
    if not counted:
        if other:
            return f"Other machine kind: equal to tolerance ({within.removeprefix('within ')}){note}."
        return f"Equal {within}{note}."
    counts = [f"{sum(one.category == name for one in counted)} {name}" for name in CATEGORIES]
    kinds = "Other machine kind, and different " if other else "Different "
    return f"{kinds}{within}: {', '.join(count for count in counts if not count.startswith('0 '))}{note}."


def as_json(found: list[Difference], skipped: set[str], names: tuple[str, str], tolerance: Tolerance) -> str:
    """Every difference, and whether the folders count as equal."""
    equal = all(one.category in skipped for one in found)
    content = {
        "a": names[0],
        "b": names[1],
        "tolerance": asdict(tolerance),
        "equal": equal,
        "differences": [asdict(one) | {"counted": one.category not in skipped} for one in found],
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def is_run(folder: Path) -> bool:
    """Whether a folder holds what a finished run leaves, and not a table of values alone."""
    return any(files_of(folder, stage, suffix) for stage in PATTERNS for suffix in (".csv", ".json"))


def reproduced(args: argparse.Namespace) -> int:
    """Print how two sides stand to each other as runs of one study; 0 where they reproduce each other."""
    values = read_values(args.a), read_values(args.b)
    found = reproduction(*values)
    changes, how = compared(args.a, args.b, values, args.claims)
    if args.cells:
        write_text(args.cells, found.cells.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    if args.json:
        moved = dict(zip(map(str, LEVELS), found.moved if found.spread else (None, None), strict=True))
        facts = {"a": str(args.a), "b": str(args.b), "reproduction": found.same, "told": found.told}
        facts |= {"shared_cells": len(found.cells), "cells_with_spread": found.spread, "moved": moved}
        facts |= {
            "chance": found.chance if found.spread else None,
            "least": found.least,
            "fixed": found.fixed,
            "fixed_moved": found.fixed_moved,
            "fixed_far": found.fixed_far,
            "verdicts": how,
        }
        facts |= {"one_side_only": found.only, "changed": [asdict(one) for one in changes]}
        facts |= {"cells": json.loads(found.cells.to_json(orient="records", double_precision=6))}
        print(json.dumps(facts, indent=2, ensure_ascii=False), flush=True)
    else:
        print(as_report(found, changes, how, (str(args.a), str(args.b)), args.limit), flush=True)
    return int(not found.same)


def as_report(found: Reproduction, changes: list[Change], how: str, names: tuple[str, str], limit: int) -> str:
    """What a person reads of a reproduction: the cells that moved farthest, the verdicts that changed, one sentence."""
    far = found.cells[found.cells["moved"].notna() & (found.cells["p"] < LEVELS[0])]
    far, there = far.head(limit or None), len(far)
    text = [f"A = {names[0]}", f"B = {names[1]}", ""]
    if there:
        lines = [
            {"cell": f"{r.method}, {r.metric}/{r.part}", "A": f"{r.a:.4g}", "B": f"{r.b:.4g}", "seeds": f"{r.seeds_a}, "
             f"{r.seeds_b}", "moved": f"{r.moved:.1f}", "p": f"{r.p:.2g}"}
            for r in far.itertuples(index=False)
        ]  # fmt: skip
        text += [pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True), ""]
        text += [f"moved: in standard errors of the seeds of both sides; {there} cells with p below {LEVELS[0]:g}."]
    if changes:
        lines = [{"claim": one.text, "A": one.a, "B": one.b, "why": one.why} for one in changes]
        text += ["", pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True), ""]
    text += [f"{how}; {len(changes)} changed.", *(f"{one}." for one in found.only)]
    if found.fixed_moved and found.spread:
        told = f"{found.fixed_moved} of {found.fixed} cells that no seed changes differ, {found.fixed_far} of them by "
        told += "more than trainings do in that metric: "
        if found.apart:
            told += "the world, the probes or the backbones are not the same, so values do not share a scale."
        else:
            far = found.fixed_far > 0.01 * found.fixed
            told += "another machine's rounding" + (", or rows with one seed a side." if far else ".")
        text += [told]
    return "\n".join([*text, "", verdict(found)])


def verdict(found: Reproduction) -> str:
    """One sentence: a reproduction or not, or that nobody can tell."""
    if not len(found.cells):
        return "Not a reproduction: the two share no cell."
    both = f" of the {len(found.cells)} cells that both have" if found.partly else ""
    if not found.told:
        if found.spread:
            why = (
                f"{found.moved[0]:.1%} of {found.spread} cells with a spread are below {LEVELS[0]:g}, but with so few "
            )
            why += f"trainings p is {found.least:.2g} at best, where {CHANCE:g} is asked; run more seeds or rows"
        else:
            why = (
                f"{found.fixed_moved} of {found.fixed} cells differ, and one seed a side does not say how far another "
            )
            why += "training lies; run more seeds"
        return f"Nobody can tell whether this is a reproduction{both}: {why}."
    if not found.spread:
        return f"The same{both}: {found.fixed_moved} of {found.fixed} cells differ."
    shares = ", ".join(f"{share:.1%} below {level:g}" for share, level in zip(found.moved, LEVELS, strict=True))
    chance = f"p = {found.chance:.2g} if trainings changed sides by lot"
    moved = f"of {found.spread} cells with a spread {shares}"
    if found.same:
        return f"A reproduction{both}: {moved}, no more than chance moves ({chance})."
    if not found.chance < CHANCE:
        fixed = f"{found.fixed_far} of {found.fixed} cells that no seed changes lie farther apart than trainings do"
        return f"Not a reproduction: {fixed}; {moved} ({chance})."
    return f"Not a reproduction: {moved}, more than chance moves ({chance})."


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m analysis.diff", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("a", type=Path, help="results/<profile>, results/reference/<profile>, or where values.csv is")
    parser.add_argument("b", type=Path, help="another one")
    parser.add_argument("--absolute", type=float, default=0.0, help="largest |a - b| that counts as equal")
    parser.add_argument("--relative", type=float, default=0.0, help="largest |a - b| / max(|a|, |b|) that does")
    parser.add_argument(
        "--only", nargs="+", choices=tuple(PATTERNS), default=tuple(PATTERNS), help="stages to compare; default: all"
    )
    parser.add_argument(
        "--ignore",
        nargs="+",
        choices=tuple(CATEGORIES),
        default=(),
        metavar="CATEGORY",
        help="show but do not count: " + ", ".join(name for name in CATEGORIES if name != "ignored"),
    )
    parser.add_argument("--claims", type=Path, default=Path("workflow/claims.yaml"), help="whose verdicts to compare")
    parser.add_argument("--cells", type=Path, metavar="CSV", help="write how far each cell moved, all of them")
    parser.add_argument("--videos", action="store_true", help="also hash every generated video")
    parser.add_argument("--show-ignored", action="store_true", help="list times, speeds, memory and dates too")
    parser.add_argument("--limit", type=int, default=20, help="lines per category; 0: all")
    parser.add_argument("--json", action="store_true", help="print everything as JSON instead")
    args = parser.parse_args(arguments)
    if args.limit < 0:
        raise ConfigError(f"--limit is {args.limit}, but must be at least 0.")
    if args.videos and "videos" not in args.only:
        raise ConfigError("--videos needs the stage videos; name it in --only, or leave --only out.")
    tolerance, skipped = Tolerance(args.absolute, args.relative), {*args.ignore, "ignored", "machine"}
    sides = (args.a, args.b)
    bare = [folder for folder in sides if folder.is_file() or (not is_run(folder) and values_of(folder))]
    if bare or args.cells:
        exact = {"--absolute": args.absolute, "--relative": args.relative, "--ignore": args.ignore}
        exact |= {"--only": tuple(args.only) != tuple(PATTERNS)}
        exact |= {"--videos": args.videos, "--show-ignored": args.show_ignored}
        if given := [name for name, value in exact.items() if value]:
            why = f"{bare[0]} is not one" if bare else "--cells asks whether they reproduce each other"
            raise ConfigError(f"{given[0]} is of two finished runs compared exactly, and {why}; leave it out.")
        return reproduced(args)
    if tolerance == Tolerance() and machines_differ(args.a, args.b, tuple(args.only)):
        tolerance = ACROSS_MACHINES
    found = compare_folders(args.a, args.b, tolerance, tuple(args.only), args.videos)
    if not args.show_ignored:
        found = [one for one in found if one.category != "ignored"]
    names = (str(args.a), str(args.b))
    text = as_json(found, skipped, names, tolerance) if args.json else None
    print(text or as_text(found, skipped, names, tolerance, args.limit), flush=True)
    return int(any(one.category not in skipped for one in found))


if __name__ == "__main__":
    run_cli(main)
