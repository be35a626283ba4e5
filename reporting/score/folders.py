"""Folders of videos against folders of videos: read, measured, compared, shown."""

import csv
import io
import sys
from argparse import Namespace
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from dyads.errors import ConfigError
from dyads.files import write_json, write_text
from evaluation.cards import OK, Value
from evaluation.networks import known as known_network
from evaluation.networks.files import verified
from evaluation.readings.clip import Tools
from evaluation.registry import cards, modules
from evaluation.rows import COLUMNS, WHOLE_SET
from evaluation.run import collect
from faces.finding.models import check_installed
from reporting.score.clips import Pair
from reporting.score.given import read_regions, refuse_some
from reporting.score.items import by_name, listed, samples_of, systems_of
from reporting.score.table import compared, headline, markdown, summary
from reporting.score.videos import IDENTITY, hashes
from reporting.score.work import Measured, Task, go_through, without
from training.options import parse_json

NOTHING, PARTLY = 2, 3
# What only a study has: its own probes, timings and ratings, sets of people, the truth, and where clips meet.
STUDY_ONLY = ("fid_small", "fvd_small", "speed", "efficiency", "e_appro", "rdgg", "expression", "nods", "clip_border")
FILES = ("name", "system", "status", "frames", "scored_frames", "notes")


def chosen_metrics(given: list[str]) -> tuple[str, ...]:
    """File names of the metrics to compute; `ConfigError` for an unknown one."""
    known = modules()
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ConfigError(f"--metrics names {unknown[0]!r}; known are {', '.join(known)}.")
    return tuple(given or (name for name in known if name not in STUDY_ONLY))


def check_weights(weights: dict[str, str]) -> None:
    """ConfigError: a file is missing, or is not the published one."""
    for slot, path in weights.items():
        if not Path(path).is_file():
            raise ConfigError(
                f"--weights {slot}: {path} is no file; `python -m evaluation.weights list` says what to get."
            )
        verified(known_network(slot), path)


def set_rows(found: list[Measured], system: str, metrics: tuple[str, ...]) -> list[tuple[str, str, Value]]:
    """(system, '*', value) of the metrics of the set, over the clips that were scored against a truth."""
    pairs = [pair for each in found for pair in each.pairs if pair.system == system]
    pairs = [pair for pair in pairs if pair.clip.status == OK and not pair.alone]
    if not pairs:
        return []
    answers, clips = all(pair.answers for pair in pairs), [pair.clip for pair in pairs]
    rows = []
    for name, module in modules().items():
        own = [card for card in module.CARDS if card.per == "set"]
        if name in metrics and own:
            values = collect(getattr(module, "set_values", None), clips, Tools(), own)
            rows += [(system, WHOLE_SET, without(value, False, answers)) for value in values]
    return rows


def table_of(rows: list[tuple[str, str, Value]]) -> pd.DataFrame:
    """Tidy rows as the suite writes them."""
    lines = [(system, 0, "folder", "all", clip, v.metric, v.part, v.value, v.status) for system, clip, v in rows]
    return pd.DataFrame(lines, columns=list(COLUMNS))


def files_csv(pairs: list[Pair]) -> str:
    """What became of every file."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(FILES)
    for pair in pairs:
        scored = pair.clip.frames if pair.clip.status == OK else 0
        writer.writerow([pair.item.name, pair.system, pair.clip.status, pair.frames, scored, "; ".join(pair.notes)])
    return buffer.getvalue()


def score_folders(given: Namespace) -> int:
    """The command's work; its exit code."""
    systems = systems_of(given.generated)
    samples = samples_of(given.samples, systems)
    found = (
        listed(given.pairs, systems, given.true, given.user, samples)
        if given.pairs
        else by_name(systems, given.true, given.user, samples)
    )
    metrics = chosen_metrics(list(given.metrics))
    weights = parse_json(given.weights, "--weights")
    check_weights(weights)
    cache = given.cache or given.out / "cache"
    regions = read_regions(given.regions)
    task = Task(found.systems, metrics, weights, cache, given.size, given.common, regions)
    refuse_some(found.items)
    if task.faces or task.identity:
        check_installed()  # now, not after the first video
    for line in found.unused:
        print(line)
    measured = list(
        tqdm(go_through(task, found.items, given.workers), "score", len(found.items), unit="video", file=sys.stderr)
    )
    values = [row for each in measured for row in each.rows]
    rows = table_of(values + [row for system in found.systems for row in set_rows(measured, system, metrics)])
    pairs = [pair for each in measured for pair in each.pairs]
    lonely = [pair for pair in pairs if pair.item.name in found.lonely and pair.clip.status == OK]
    for pair in lonely:
        pair.notes.append("no true video has its name: only what needs no truth is measured")
    scored = [pair for pair in pairs if pair.clip.status == OK]
    for pair in pairs:
        for note in pair.notes:
            print(f"{pair.system}/{pair.item.name}: {note}")
    write_text(given.out / "files.csv", files_csv(pairs))
    if not scored:
        print(
            f"error: none of {len(pairs)} videos could be scored; see {given.out / 'files.csv'}.",
            file=sys.stderr,
        )
        return NOTHING
    write_text(given.out / "rows.csv", rows.to_csv(index=False, float_format="%.9g"))
    lines = summary(rows, found.systems)
    if not len(lines):
        reasons = ", ".join(f"{n} {status}" for status, n in rows["status"].value_counts().items())
        print(f"error: no metric has a value ({reasons}); see {given.out / 'rows.csv'}.", file=sys.stderr)
        return NOTHING
    tests = compared(rows, found.systems)
    text = markdown(lines, tests, found.systems, pairs)
    write_text(given.out / "table.md", text)
    write_text(given.out / "table.csv", lines.to_csv(index=False, float_format="%.6g"))
    if len(tests):
        write_text(given.out / "comparisons.csv", tests.to_csv(index=False, float_format="%.6g"))
    told = {"systems": list(found.systems), "size": given.size, "common": given.common}
    told["samples"] = 1 + max(map(len, samples.values()))
    told["weights"] = hashes(weights) | ({"dlib": IDENTITY} if task.identity else {})
    used = {name: card.protocol for name, card in cards().items() if name in set(rows["metric"])}
    write_json(given.out / "score.json", told | {"metrics": list(metrics), "protocol": used})
    print(markdown(headline(lines), tests, found.systems, pairs))
    print(f"all {len(lines)} lines: {given.out / 'table.md'}; every video's own: {given.out / 'rows.csv'}", flush=True)
    if not given.no_page:
        from reporting.score.page import write_page

        print("the page is being written: videos that a browser cannot play are coded anew", flush=True)
        page = write_page(given.out, found, measured, lines, tests, rows)
        print(f"page: {page}")
    if len(scored) < len(pairs):
        missing = len(pairs) - len(scored)
        print(f"{missing} of {len(pairs)} videos have no values; see {given.out / 'files.csv'}.", file=sys.stderr)
    if lonely:
        print(
            f"{len(lonely)} of {len(pairs)} videos have no true video of their name; see {given.out / 'files.csv'}.",
            file=sys.stderr,
        )
    return PARTLY if lonely or len(scored) < len(pairs) else 0
