"""Measure a row again from what the probes read: `python -m evaluation.recompute --features FILE --out CSV`.

Nothing is decoded and no network runs. All metrics of the whole set are computed, and of those per clip the ones whose
card says `from_readings`; rows of the other metrics are taken over from --rows, the row's old .csv, if it is given.
"""

import argparse
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from dyads.errors import DataError, run_cli
from evaluation.cards import OK, Value
from evaluation.clips import Clip, Truth
from evaluation.readings.clip import Tools
from evaluation.readings.stored import read_features
from evaluation.rows import read_rows
from evaluation.run import measure, write_rows

MOTION = {"generated", "true", "user", "reference"}  # `motion_...` of a Clip
TRUTH = {"truth", "expected", "emotion", "cue"}
CLIP_FIELDS = {field.name for field in fields(Clip)}


def restored(path: Path) -> tuple[list[Clip], dict[str, Any]]:
    """The clips of a features file without their frames, failed ones too, in the order measured; and its header."""
    stored, meta = read_features(path)
    if "clips" not in meta:
        raise DataError(f"{path} does not say which clips failed; run `python -m evaluation.run` for this row again.")
    clips = []
    for dyad_id, frames, status in meta["clips"]:
        clip = Clip(dyad_id, frames, status, np.zeros(frames, bool), names=tuple(meta["names"]))
        clip.groups, clip.people = meta.get("groups"), meta.get("people", {}).get(dyad_id)
        if status == OK:
            for key, array in stored[dyad_id].items():
                name = f"motion_{key}" if key in MOTION else key
                if name in CLIP_FIELDS and key not in TRUTH:
                    setattr(clip, name, array)
                elif key not in TRUTH:
                    clip.features[key] = array
            clip.speaking = clip.speaking.astype(bool)
            clip.speaker_known = bool(np.all(clip.speaker_known))
            clip.valid = None if clip.valid is None else clip.valid.astype(bool)
            clip.truth = _truth(stored[dyad_id], clip, meta)
        clips.append(clip)
    return clips, meta


def _truth(stored: dict[str, np.ndarray], clip: Clip, meta: dict[str, Any]) -> Truth | None:
    """The oracle's side of the truth; the user's true coefficients are not stored."""
    if "expected" not in stored:
        return None
    return Truth(
        names=tuple(meta["truth_names"]),
        user=np.full_like(stored["truth"], math.nan),
        avatar=stored["truth"],
        expected=stored["expected"],
        speaking=clip.speaking,
        emotion=stored["emotion"],
        cue=stored["cue"],
        emotions=tuple(meta["emotions"]),
    )


def recomputed(clips: list[Clip]) -> list[tuple[str, Value]]:
    """(clip id or '*', value) of every metric that needs no frames."""
    rows, _ = measure(iter(clips), Tools(), readings_only=True)
    return rows


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m evaluation.recompute", description=__doc__.splitlines()[0])
    parser.add_argument("--features", required=True, type=Path, help="<name>.features.safetensors of evaluation.run")
    parser.add_argument("--rows", type=Path, help="the row's .csv, for the metrics that need frames")
    parser.add_argument("--out", required=True, type=Path, help="the .csv to write")
    args = parser.parse_args(arguments)
    clips, meta = restored(args.features)
    rows = recomputed(clips)
    if args.rows:
        old = read_rows([args.rows])
        if set(zip(old["method"], old["seed"], strict=True)) != {(meta["method"], meta["seed"])}:
            raise DataError(f"{args.rows} is not of {meta['method']} seed {meta['seed']}, as {args.features} is.")
        done = {(clip, value.metric, value.part) for clip, value in rows}
        for row in old.itertuples():
            if (row.clip, row.metric, row.part) not in done:
                rows.append((row.clip, Value(row.metric, row.part, row.value, row.status)))
    write_rows(args.out, rows, meta["method"], meta["seed"], meta["dataset"], meta["split"])
    print(f"{meta['method']} seed {meta['seed']}: {len(rows)} values of {len(clips)} clips -> {args.out}", flush=True)


if __name__ == "__main__":
    run_cli(main)
