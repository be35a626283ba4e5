"""Measure one method's videos with every metric: `python -m evaluation.run --method NAME --videos DIR ...`.

Each video is decoded once. Writes tidy rows (.csv), their provenance (.json) and what the probes read
(.features.safetensors), so that plots and statistics never decode again.
"""

import argparse
import csv
import io
import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from dyads.contract import file_sha256, read_manifest
from dyads.errors import ConfigError, run_cli
from dyads.files import write_text
from dyads.shards import add_shard
from evaluation.cards import OK, MetricCard, Value, undefined
from evaluation.clips import Clip
from evaluation.metrics._series import Undefined
from evaluation.probes.store import probe_files
from evaluation.readings.clip import Tools, load_tools, read_clip
from evaluation.readings.sidecars import read_beside
from evaluation.readings.stored import write_features
from evaluation.registry import modules
from training.device import limit_threads
from training.options import from_dict, parse_json
from training.provenance import write_provenance

COLUMNS = ("method", "seed", "dataset", "split", "clip", "metric", "part", "value", "status")
WHOLE_SET = "*"


@dataclass(frozen=True)
class RunOptions:
    """`metrics`: file names under evaluation/metrics to compute, empty for all.

    `keep_readings`: keep what the motion probe reads in true videos in a folder `readings` beside the probe.
    """

    metrics: tuple[str, ...] = ()
    keep_readings: bool = True


def promised(cards: Iterable[MetricCard]) -> list[tuple[str, str]]:
    """The (metric, part) pairs that cards promise."""
    return [(card.name, part) for card in cards for part in card.all_parts]


def collect(
    function: Callable[..., Iterable[Value]] | None, subject, tools: Tools, cards: list[MetricCard]
) -> list[Value]:
    """All rows that `cards` promise, in their order; what `function` leaves out gets its failure's status."""
    if function is None or not cards:
        return []
    found: dict[tuple[str, str], Value] = {}
    status = None
    try:
        for value in function(subject, tools):
            finite = value.status != OK or math.isfinite(value.value)
            found[value.metric, value.part] = value if finite else undefined(value.metric, value.part, "not_finite")
    except Undefined as failure:
        status = failure.status
    rows = []
    for pair in promised(cards):
        if pair not in found and status is None:
            raise RuntimeError(f"metric {pair[0]} promises part {pair[1]} on its card but did not write it")
        rows.append(found.get(pair) or undefined(*pair, status))
    return rows


def measure(
    clips: Iterator[Clip],
    tools: Tools,
    wanted: tuple[str, ...] = (),
    readings_only: bool = False,
    of_set: bool = True,
) -> tuple[list[tuple[str, Value]], list[Clip]]:
    """Rows (clip id or '*', value) of all metrics, and the clips without their frames.

    `readings_only`: leave out metrics of single clips that need more than what the probes read. `of_set` False: leave
    out metrics of the whole set, of which these clips are a part.
    """
    chosen = _chosen(wanted)
    rows, kept = [], []
    for clip in clips:
        for module in chosen.values():
            cards = [card for card in module.CARDS if card.per == "clip" or card.clip_rows]
            cards = [card for card in cards if card.from_readings or not readings_only]
            if clip.status == OK:
                values = collect(getattr(module, "clip_values", None), clip, tools, cards)
            else:
                values = [undefined(*pair, clip.status) for pair in promised(cards)]
            rows += [(clip.dyad_id, value) for value in values]
        clip.drop_pictures()
        kept.append(clip)
    if of_set:
        rows += set_rows(kept, [clip.status for clip in kept], tools, wanted)
    return rows, kept


def set_rows(
    clips: Collection[Clip], statuses: Iterable[str], tools: Tools, wanted: tuple[str, ...] = ()
) -> list[tuple[str, Value]]:
    """Rows ('*', value) of the metrics of the whole set; `clips` are gone through more than once, in order."""
    rows, failed = [], next((status for status in statuses if status != OK), None)
    for module in _chosen(wanted).values():
        cards = [card for card in module.CARDS if card.per == "set"]
        if failed:  # fewer clips would be another test set
            values = [undefined(*pair, failed) for pair in promised(cards)]
        else:
            values = collect(getattr(module, "set_values", None), clips, tools, cards)
        rows += [(WHOLE_SET, value) for value in values]
    return rows


def _chosen(wanted: tuple[str, ...]) -> dict[str, ModuleType]:
    return {name: module for name, module in modules().items() if not wanted or name in wanted}


def write_rows(path: Path, rows: list[tuple[str, Value]], method: str, seed: int, dataset: str, split: str) -> None:
    """Tidy CSV; an undefined value is empty."""
    write_text(path, "\n".join(value_lines(rows, method, seed, dataset, split)) + "\n")


def value_lines(rows: list[tuple[str, Value]], method: str, seed: int, dataset: str, split: str) -> list[str]:
    """The header and the lines of that CSV."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for clip, value in rows:
        number = f"{value.value:.9g}" if value.status == OK else ""
        writer.writerow([method, seed, dataset, split, clip, value.metric, value.part, number, value.status])
    return buffer.getvalue().splitlines()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m evaluation.run", description=__doc__)
    parser.add_argument("--method", required=True, help="name of the row in every table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--videos", required=True, type=Path, help="folder with <dyad_id>.mp4")
    parser.add_argument("--data", required=True, type=Path, help="folder with manifest.csv")
    parser.add_argument("--probes", required=True, nargs="+", help="folder with <name>.safetensors files, or name=file")
    parser.add_argument("--weights", default="{}", help="JSON object or @file: network -> file, see evaluation.weights")
    parser.add_argument("--options", default="{}", help="JSON object or @file; see RunOptions")
    parser.add_argument("--split", default="test")
    parser.add_argument("--out", required=True, type=Path, help="the .csv to write")
    add_shard(parser)
    args = parser.parse_args(arguments)
    started = time.monotonic()
    limit_threads(1)
    options = from_dict(RunOptions, parse_json(args.options, "--options"), "evaluation")
    unknown = sorted(set(options.metrics) - set(modules()))
    if unknown:
        raise ConfigError(f"evaluation.metrics names {unknown[0]!r}; known are {', '.join(modules())}.")
    if not args.videos.is_dir():
        raise ConfigError(f"--videos {args.videos} is no folder; generate first (python -m training.generate).")
    weights, files = parse_json(args.weights, "--weights"), probe_files(args.probes)
    dyads = read_manifest(args.data, args.split, args.shard)
    tools, probes = load_tools(files, weights, args.data, args.split, options.keep_readings, args.shard)
    beside = read_beside(args.videos, args.shard)
    videos = {dyad.dyad_id: args.videos / f"{dyad.dyad_id}.mp4" for dyad in dyads}
    clips = (beside.told(read_clip(d, videos[d.dyad_id], tools, beside.absent(d.dyad_id))) for d in dyads)
    rows, kept = measure(clips, tools, options.metrics, of_set=args.shard.whole)
    tools.save()

    dataset = ",".join(sorted({dyad.dataset for dyad in dyads}))
    files = {**{f"{name}_probe": path for name, path in files.items()}, **weights}
    truth = next((clip.truth for clip in kept if clip.truth is not None), None)
    meta = {"method": args.method, "dataset": dataset, "split": args.split}
    names = {
        "seed": args.seed,
        "names": list(tools.probes["motion"].names),
        "groups": getattr(tools.probes["motion"], "groups", None),
        "probe": probes["motion"].get("extractor", probes["motion"]["kind"]),
        "emotions": list(truth.emotions) if truth else [],
        "truth_names": list(truth.names) if truth else [],
    }
    order = {"clips": [[clip.dyad_id, clip.frames, clip.status] for clip in kept]}
    order["people"] = {clip.dyad_id: clip.people for clip in kept}
    write_features(args.out.with_suffix(".features.safetensors"), kept, {**meta, **names, **order})
    write_provenance(
        args.out.with_suffix(".json"), options, args.seed, files, started=started, **meta,
        data_manifest_sha256=file_sha256(args.data / "manifest.csv"),
        probes=probes,
        clips=len(kept),
        frames=sum(clip.frames for clip in kept if clip.status == OK),
        resized_clips=sum(clip.resized for clip in kept),
        failed_clips={clip.dyad_id: clip.status for clip in kept if clip.status != OK},
        cpu_seconds=round(time.process_time(), 1),
        protocol={card.name: card.protocol for module in modules().values() for card in module.CARDS},
    )  # fmt: skip
    write_rows(args.out, rows, args.method, args.seed, dataset, args.split)
    failed = sum(clip.status != OK for clip in kept)
    print(f"{args.method} seed {args.seed}: {len(kept)} clips ({failed} failed) -> {args.out}", flush=True)


if __name__ == "__main__":
    run_cli(main)
