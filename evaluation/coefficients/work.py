"""What a worker process of `evaluation.coefficients` does: R-DGG of all rows, or every other metric of one row."""

import signal
import time
from contextlib import suppress
from pathlib import Path

from threadpoolctl import threadpool_limits

from dyads.coefficients.store import read_folder
from dyads.errors import DataError, UserError
from evaluation.cards import OK, Value, undefined
from evaluation.clips import Clip
from evaluation.coefficients import STILL, CoefficientOptions, Data, Row, clips
from evaluation.coefficients.reactions import Reactions, encounters, reactions
from evaluation.readings.clip import Tools
from evaluation.readings.stored import write_features
from evaluation.registry import modules
from evaluation.rows import WHOLE_SET
from evaluation.run import measure, promised

# Files of metrics that ask for motion alone.
MOTION = (
    *("lip_opening", "lip_stability", "lve_controls", "motion_fd", "motion_mse", "mouth", "paired_fd", "rpcc", "sid"),
    *("sts", "tlcc", "var"),
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


_study: dict = {}  # of a worker process: data, rows, options


def begin(place: Path, split: str, options: CoefficientOptions, rows: dict[str, Row], threads: int) -> None:
    """What a worker process knows, and how many threads it has."""
    import sklearn.cluster  # noqa: F401  its threads are limited only where it is loaded already

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # who began it says in one line that it was interrupted
    threadpool_limits(threads)
    try:
        folder = read_folder(place, split)
        named = {row.source for row in rows.values()} & set(folder.systems)
        data = Data(folder, [name for name in folder.systems if name in named], folder.encoders[options.encoder])
    except UserError as error:  # a pool says of a worker that does not begin only that it is broken
        _study.update(fault=error)
        return
    _study.update(data=data, rows=rows, options=options, split=split, threads=threads)


def prepare_reactions() -> None:
    """Read what R-DGG needs of the dialogues, which takes little memory but some time."""
    if "fault" not in _study:
        with suppress(DataError):  # said when it is needed
            encounters(_study["data"], _study["options"].rdgg, _study["threads"])


def reaction_values() -> Reactions:
    if "fault" in _study:
        raise _study["fault"]
    return reactions(_study["data"], _study["rows"], _study["options"].rdgg, _study["threads"])


def row_values(name: str, path: Path) -> tuple[list[tuple[str, Value]], dict]:
    """A row's values and what its provenance says, with its own `seconds`; its readings are written."""
    started = time.monotonic()
    if "fault" in _study:
        raise _study["fault"]
    data, row = _study["data"], _study["rows"][name]
    found, kept = measured(data, row)
    header = {
        "method": name, "dataset": data.folder.dataset, "split": _study["split"],
        "seed": 0, "names": list(data.encoder.names), "groups": data.encoder.groups, "probe": data.encoder.name,
        "emotions": [], "truth_names": [], "clips": [[clip.dyad_id, clip.frames, clip.status] for clip in kept],
        "people": {each.dyad_id: [each.avatar_id, each.user_id] for each in data.folder.dialogues},
        "protocol": row.protocol, "still": STILL,
    }  # fmt: skip
    write_features(path.with_suffix(".features.safetensors"), kept, header)
    seen = sum(int(clip.frames if clip.valid is None else clip.valid.sum()) for clip in kept)
    facts = {
        "clips": len(kept), "frames": seen, "frames_not_seen": sum(clip.frames for clip in kept) - seen,
        "failed_clips": {clip.dyad_id: clip.status for clip in kept if clip.status != OK},
        "seconds": time.monotonic() - started,
        "probes": {"motion": {"kind": f"coefficients of {data.encoder.name}", "channels": len(data.encoder.names)}},
    }  # fmt: skip
    return found, facts
