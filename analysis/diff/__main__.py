"""Compare two result folders: `python -m analysis.diff results/default other/results/default`.

Compares every measured value, every cell of the tables, and in every row's provenance the options, code, versions,
hardware and the hashes of weights and data. Times, speeds, memory and dates may differ and are ignored
(`--show-ignored` lists them). Exit code 0: equal, 1: differences, 2: an error.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from analysis.diff import CATEGORIES, PATTERNS, Difference, Tolerance, compare_folders
from dyads.errors import ConfigError, run_cli

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
    left_out = sorted({one.category for one in found} & skipped - {"ignored"})
    note = f"; not counted: {', '.join(left_out)}" if left_out else ""
    if not counted:
        return f"Equal {within}{note}."
    counts = [f"{sum(one.category == name for one in counted)} {name}" for name in CATEGORIES]
    return f"Different {within}: {', '.join(count for count in counts if not count.startswith('0 '))}{note}."


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


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m analysis.diff", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("a", type=Path, help="results/<profile>")
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
    parser.add_argument("--videos", action="store_true", help="also hash every generated video")
    parser.add_argument("--show-ignored", action="store_true", help="list times, speeds, memory and dates too")
    parser.add_argument("--limit", type=int, default=20, help="lines per category; 0: all")
    parser.add_argument("--json", action="store_true", help="print everything as JSON instead")
    args = parser.parse_args(arguments)
    if args.limit < 0:
        raise ConfigError(f"--limit is {args.limit}, but must be at least 0.")
    if args.videos and "videos" not in args.only:
        raise ConfigError("--videos needs the stage videos; name it in --only, or leave --only out.")
    tolerance, skipped = Tolerance(args.absolute, args.relative), {*args.ignore, "ignored"}
    found = compare_folders(args.a, args.b, tolerance, tuple(args.only), args.videos)
    if not args.show_ignored:
        found = [one for one in found if one.category != "ignored"]
    names = (str(args.a), str(args.b))
    text = as_json(found, skipped, names, tolerance) if args.json else None
    print(text or as_text(found, skipped, names, tolerance, args.limit), flush=True)
    return int(any(one.category not in skipped for one in found))


if __name__ == "__main__":
    run_cli(main)
