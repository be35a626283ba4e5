"""Values over the frames in which the avatar speaks, and over those in which it listens, from the probes' readings.

Nothing is decoded again: metrics per clip that need only readings are computed by their own modules on clips cut down
to those frames, metrics of the whole set from `set_level`. None of them looks at neighbouring frames, so cutting
changes no other frame's part. Metrics of pictures (PSNR, SSIM, LPIPS) keep no frame-wise values and are not split.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from dyads.synthetic.coefficients import COEFFICIENTS
from evaluation.cards import OK, STATUSES, MetricCard, Value, count_part, truth_part, undefined
from evaluation.clips import Clip, Truth
from evaluation.metrics._series import CONSTANT_SD, Undefined
from evaluation.readings.set_level import METRICS, SetMetric, set_metrics
from evaluation.readings.stored import each_clip, read_meta, seen_truth
from evaluation.registry import modules
from evaluation.rows import COLUMNS, WHOLE_SET

State = Literal["talking", "listening"]
Sums = Mapping[tuple[str, str], SetMetric | None]  # (metric, part) -> its sums, None where there are none
MINIMUM_FRAMES = 25  # one second
# Modules of metrics per clip that take readings alone and no notice of order in time.
MODULES = ("expression", "motion_mse", "rpcc", "var")
# What is read of every frame; other readers take some frames or windows, which may lie in both states.
PER_FRAME = {
    *("generated", "true", "user", "image_generated", "image_true", "speaking", "truth", "expected", "emotion", "cue"),
}
FAILED = ("missing_video", "length_mismatch")
OWN_PARTS: dict[State, str] = {"talking": "speech", "listening": "due"}  # metrics of these look at no other frames


def masked(stored: dict[str, np.ndarray], state: State) -> dict[str, np.ndarray] | None:
    """A clip's readings in the frames of one state; None if those are too few.

    `truth` keeps its first line, the reference image's own coefficients, whatever frames follow.
    """
    if "speaker_known" in stored:
        return None
    speaking = stored["speaking"].astype(bool)
    here = speaking if state == "talking" else ~speaking
    if "valid" in stored:
        here = here & stored["valid"].astype(bool)
    if here.sum() < MINIMUM_FRAMES:
        return None
    found = {key: array[here] for key, array in stored.items() if key in PER_FRAME}
    found["reference"] = stored["reference"]
    if "valid" in stored:  # whatever was seen of the row, so that rows share SID's clusters
        found["whole"] = seen_truth(stored["true"][speaking if state == "talking" else ~speaking])
    if "truth" in stored:
        found["truth"] = np.concatenate([stored["truth"][:1], found["truth"][1:]])
    return found


def cut(
    dyad_id: str, stored: dict[str, np.ndarray], kept: dict[str, np.ndarray] | None, meta: dict, state: State
) -> Clip:
    """A clip of one state's frames, `masked` of what is `stored`, without pictures; too few become a status."""
    if kept is None:
        if "speaker_known" in stored:
            return Clip(dyad_id, 0, "speaker_unknown", np.zeros(0, bool))
        return Clip(dyad_id, 0, "no_speech" if state == "talking" else "too_few_frames", np.zeros(0, bool))
    speaking, truth = kept["speaking"].astype(bool), None
    if "expected" in kept:
        truth = Truth(
            names=COEFFICIENTS,
            user=np.full_like(kept["truth"], np.nan),  # not among the readings
            avatar=kept["truth"],
            expected=kept["expected"],
            speaking=speaking,
            emotion=kept["emotion"],
            cue=kept["cue"],
            emotions=tuple(meta["emotions"]),
        )
    return Clip(
        dyad_id=dyad_id,
        frames=len(speaking),
        status=OK,
        speaking=speaking,
        truth=truth,
        names=tuple(meta["names"]),
        motion_generated=kept["generated"],
        motion_true=kept["true"],
        motion_user=kept["user"].astype(np.float32),
        motion_reference=kept["reference"],
        image_generated=kept.get("image_generated"),
        image_true=kept.get("image_true"),
        groups=meta.get("groups"),
        still=meta.get("still", CONSTANT_SD),
    )


def clip_values(
    columns: Sequence[tuple[MetricCard, str]], clips: list[Clip], broken: dict[str, str]
) -> Iterator[tuple[str, Value]]:
    """(clip, value) of the metrics per clip that readings give and some of `columns` ask for, and of those found with
    them; `broken`: clips that have none, with their status."""
    asked = {card.name for card, _ in columns}
    for name in MODULES:
        module = modules()[name]
        own = [card for card in module.CARDS if card.per == "clip" or card.clip_rows]
        if asked.isdisjoint(card.name for card in own):
            continue
        pairs = [(card.name, part) for card in own for part in card.all_parts]
        for clip in clips:
            try:
                yield from ((clip.dyad_id, value) for value in module.clip_values(clip, None))
            except Undefined as failure:
                yield from ((clip.dyad_id, undefined(*pair, failure.status)) for pair in pairs)
        for clip, status in broken.items():
            yield from ((clip, undefined(*pair, status)) for pair in pairs)


def set_values(
    columns: Sequence[tuple[MetricCard, str]],
    sums: Sums,
    some: bool,
    failed: str,
    reasons: Mapping[tuple[str, str], str] | None = None,
) -> Iterator[tuple[str, Value]]:
    """('*', value) of the set metrics among `columns`, with the truth's own and, of estimates, the count; `some`:
    whether there are clips; `failed`: a status that leaves none; `reasons`: why the whole study has no value."""
    for card, part in columns:
        if card.per != "set" or card.name not in METRICS:
            continue
        found = None if failed else sums.get((card.name, part))
        whole = None if found is None else found.cells.sum(0, keepdims=True)
        numbers = {part: math.nan if found is None else float(found.value(whole)[0])}
        if card.direction == "truth":
            numbers[truth_part(part)] = math.nan if found is None else float(found.truth(whole)[0])
        if card.estimate:  # sums of `frechet` begin with the generated side's count
            numbers[count_part(part)] = math.nan if found is None else float(whole[0, 0])
        why = (reasons or {}).get((card.name, part), "no_truth")
        status = failed or ("too_few_frames" if not some else why if found is None else "constant_series")
        for name, number in numbers.items():
            good = math.isfinite(number)
            yield WHOLE_SET, Value(card.name, name, number) if good else undefined(card.name, name, status)


def reasons_of(own: pd.DataFrame) -> dict[tuple[str, str], str]:
    """(metric, part) -> why none of these rows has a value; pairs with a value are left out."""
    groups = own.groupby(["metric", "part"])["status"]
    return {pair: states.mode().iloc[0] for pair, states in groups if not (states == OK).any()}


def state_rows(
    rows: pd.DataFrame,
    files: dict[tuple[str, int], Path],
    state: State,
    columns: Sequence[tuple[MetricCard, str]],
    learn: Callable[[Path, Sums], None] = lambda path, sums: None,
) -> pd.DataFrame:
    """Tidy rows of one state for every (method, seed) of `rows`, with the own names and parts of metrics in `columns`.

    Metrics of speech (parts named so) and of nods that are due are the whole study's, value or reason: they look at
    frames of one state only, that of speaking and that of listening.
    A row without a readings file keeps those alone. A clip with too few frames in the state is left out of the set; a
    failed one leaves the set without values, as in the whole study. `learn` is told the sums of set metrics.
    """
    found = [rows[rows["part"].str.startswith(OWN_PARTS[state])]]
    groups = [(files.get(key), own) for key, own in rows.groupby(["method", "seed"], sort=False)]
    groups = [(path, own) for path, own in groups if path is not None and path.exists()]
    found += (_rows_of(*group, state, columns, learn) for group in groups)
    return pd.concat(found, ignore_index=True)


def _rows_of(
    path: Path,
    own: pd.DataFrame,
    state: State,
    columns: Sequence[tuple[MetricCard, str]],
    learn: Callable[[Path, Sums], None],
) -> pd.DataFrame:
    """`state_rows` of one method and seed."""
    meta, kept, clips = read_meta(path), {}, []
    failing = own[own["status"].isin(FAILED) & (own["clip"] != WHOLE_SET)]
    broken = dict(zip(failing["clip"], failing["status"], strict=True))
    failed = next(iter(broken.values()), "")
    for name, stored in each_clip(path):
        few = masked(stored, state)
        clips.append(cut(name, stored, few, meta, state))
        if few is not None:
            kept[name] = few
    broken |= {clip.dyad_id: clip.status for clip in clips if clip.status != OK}
    values = [*clip_values(columns, [clip for clip in clips if clip.status == OK], broken)]
    sums = set_metrics([(card.name, part) for card, part in columns], kept, meta)
    learn(path, sums)
    values += set_values(columns, sums, bool(kept), failed, reasons_of(own))
    head = own[["method", "seed", "dataset", "split"]].iloc[0]
    lines = [(*head, clip, v.metric, v.part, v.value if v.status == OK else math.nan, v.status) for clip, v in values]
    return pd.DataFrame(lines, columns=list(COLUMNS))


def note(state: State) -> str:
    """What a state's table is about."""
    frames = "the avatar speaks" if state == "talking" else "the avatar does not speak"
    few = STATUSES["no_speech" if state == "talking" else "too_few_frames"]
    return (
        f"Only frames in which {frames}, at least {MINIMUM_FRAMES} of a dialogue (else: {few}); from the probes' "
        "readings. PSNR, SSIM and LPIPS are not split by state, for their values of single frames are not kept."
    )
