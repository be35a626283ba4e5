"""Measure rows that are motion coefficients: `python -m evaluation.coefficients --data DIR --rows JSON --out DIR ...`.

All rows of a data folder of kind `coefficients` are measured together: true listeners, what systems generated for them,
and controls; on the same dialogues and, on the clock, on the frames that were seen on every side and in every system.
Writes for each row what `evaluation.run` writes, and reactions.csv: R-DGG of rows and of pairs of rows, with intervals.
Metrics that look at pictures say `no_pictures`.
"""

import argparse
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits

from dyads.coefficients import Folder
from dyads.coefficients.controls import CONTROLS
from dyads.coefficients.store import read_folder
from dyads.contract import file_sha256
from dyads.errors import ConfigError, run_cli
from dyads.files import write_text
from evaluation.cards import OK, Value, undefined
from evaluation.clips import Clip
from evaluation.coefficients import TRUTH, CoefficientOptions, Data, Row, clips
from evaluation.coefficients.reactions import Reactions, reactions
from evaluation.granger.interval import Gain
from evaluation.readings.clip import Tools
from evaluation.readings.stored import write_features
from evaluation.registry import modules
from evaluation.rows import WHOLE_SET
from evaluation.run import measure, promised, write_rows
from training.options import from_dict, parse_json
from training.provenance import write_provenance

# Files of metrics that ask for motion alone.
MOTION = (
    *("lip_opening", "lip_stability", "motion_fd", "motion_mse", "mouth", "paired_fd", "rpcc", "sid", "sts", "tlcc"),
    "var",
)
STATUS = {"speed": "not_timed", "judge": "no_judge", "expression": "no_truth"}  # else no_pictures


def measured(data: Data, row: Row) -> tuple[list[tuple[str, Value]], list[Clip]]:
    """Rows (clip id or '*', value) of every metric but R-DGG, and the clips."""
    found, kept = measure(clips(data, row), Tools(), MOTION)
    names = [clip.dyad_id for clip in kept]
    for name, module in modules().items():
        if name in MOTION or name == "rdgg":
            continue
        status = STATUS.get(name, "no_pictures")
        for card in module.CARDS:
            places = [WHOLE_SET] * (card.per == "set") + names * (card.per == "clip" or card.clip_rows)
            found += [(place, undefined(*pair, status)) for place in places for pair in promised([card])]
    return found, kept


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m evaluation.coefficients", description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=Path, help="a data folder of kind coefficients")
    parser.add_argument("--rows", default="{}", help="JSON or @file: row -> {source, protocol}; default: all there is")
    parser.add_argument("--options", default="{}", help="JSON object or @file; see CoefficientOptions")
    parser.add_argument("--split", default="test")
    parser.add_argument("--threads", type=int, default=1, help="worker processes, of one thread each")
    parser.add_argument(
        "--out", required=True, type=Path, help="folder that gets <row>/seed0.csv and what belongs to it"
    )
    args = parser.parse_args(arguments)
    started = time.monotonic()
    options = from_dict(CoefficientOptions, parse_json(args.options, "--options"), "evaluation")
    folder = read_folder(args.data, args.split)
    rows = _rows(parse_json(args.rows, "--rows"), folder)
    if options.encoder not in folder.encoders:
        raise ConfigError(f"evaluation.encoder is {options.encoder!r}; {args.data} has {', '.join(folder.encoders)}.")
    study = args.data, args.split, options, rows
    # One worker begins with R-DGG, which takes all rows at once; the others take the metrics row by row.
    with ProcessPoolExecutor(args.threads, get_context("spawn"), _begin, study) as pool:
        asked = pool.submit(_reactions)
        waiting = {name: pool.submit(_row, name, args.out / name / "seed0.csv") for name in rows}
        try:
            counted = {name: each.result() for name, each in waiting.items()}
            told = asked.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    for name, row in rows.items():
        values, facts = counted[name]
        values += [(WHOLE_SET, value) for value in told.values[name]]
        _write(args.out / name / "seed0.csv", name, row, values, facts, folder, options, args, started)
        print(f"{name}: {facts['clips']} dialogues -> {args.out / name}", flush=True)
    table = pd.DataFrame(told.table, columns=["row", "against", "part", *(f.name for f in fields(Gain))])
    write_text(args.out / "reactions.csv", table.to_csv(index=False, float_format="%.9g", lineterminator="\n"))


_study: dict = {}  # of a worker process: data, rows, options


def _begin(place: Path, split: str, options: CoefficientOptions, rows: dict[str, Row]) -> None:
    """What a worker process knows; each has one thread."""
    import sklearn.cluster  # noqa: F401  its threads are limited only where it is loaded already

    threadpool_limits(1)
    folder = read_folder(place, split)
    named = {row.source for row in rows.values()} & set(folder.systems)
    data = Data(folder, [name for name in folder.systems if name in named], folder.encoders[options.encoder])
    _study.update(data=data, rows=rows, options=options, split=split)


def _reactions() -> Reactions:
    return reactions(_study["data"], _study["rows"], _study["options"].rdgg)


def _row(name: str, path: Path) -> tuple[list[tuple[str, Value]], dict]:
    """A row's values and what its provenance says; its readings are written."""
    data, row = _study["data"], _study["rows"][name]
    found, kept = measured(data, row)
    header = {
        "method": name, "dataset": data.folder.dataset, "split": _study["split"],
        "seed": 0, "names": list(data.encoder.names), "groups": data.encoder.groups, "probe": data.encoder.name,
        "emotions": [], "truth_names": [], "clips": [[clip.dyad_id, clip.frames, clip.status] for clip in kept],
        "people": {each.dyad_id: [each.avatar_id, each.user_id] for each in data.folder.dialogues},
        "protocol": row.protocol,
    }  # fmt: skip
    write_features(path.with_suffix(".features.safetensors"), kept, header)
    seen = sum(int(clip.frames if clip.valid is None else clip.valid.sum()) for clip in kept)
    facts = {
        "clips": len(kept), "frames": seen, "frames_not_seen": sum(clip.frames for clip in kept) - seen,
        "failed_clips": {clip.dyad_id: clip.status for clip in kept if clip.status != OK},
        "probes": {"motion": {"kind": f"coefficients of {data.encoder.name}", "channels": len(data.encoder.names)}},
    }  # fmt: skip
    return found, facts


def _rows(given: Mapping, folder: Folder) -> dict[str, Row]:
    """Rows asked for, or truth, every system and the controls. ConfigError: a source that is not there."""
    if not given:
        given = {name: {"source": name} for name in (TRUTH, *folder.systems, *CONTROLS)}
    rows = {name: from_dict(Row, entry, f"rows.{name}") for name, entry in given.items()}
    known = (TRUTH, *folder.systems, *CONTROLS)
    for name, row in rows.items():
        if row.source not in known:
            raise ConfigError(f"rows.{name}.source is {row.source!r}; {folder.path} has {', '.join(known)}.")
    return rows


def _write(path: Path, name: str, row: Row, values, facts: dict, folder: Folder, options, args, started) -> None:
    write_provenance(
        path.with_suffix(".json"), options, 0, {}, started=started,
        method=name, dataset=folder.dataset, split=args.split,
        data_manifest_sha256=file_sha256(folder.path / "manifest.csv"),
        source=row.source,
        time=row.protocol,
        **facts,
        left_out=[list(each) for each in folder.left_out],
        protocol={card.name: card.protocol for module in modules().values() for card in module.CARDS},
    )  # fmt: skip
    write_rows(path, values, name, 0, folder.dataset, args.split)


if __name__ == "__main__":
    run_cli(main)
