"""R-DGG of all rows of a data folder of coefficients at once: one operator of true listeners, shared time shifts."""

from collections.abc import Mapping, Sequence

import numpy as np

from dyads.coefficients.clock import listening
from dyads.coefficients.controls import CONTROLS
from dyads.coefficients.store import read_voice
from dyads.errors import DataError
from evaluation.cards import Value, truth_part, undefined
from evaluation.coefficients import TRUTH, Data, Row
from evaluation.granger import Encounter, RdggOptions
from evaluation.granger.components import fit_components
from evaluation.granger.gain import energies
from evaluation.granger.interval import PARTS
from evaluation.granger.operator import fit_operator
from evaluation.metrics.reaction.rdgg import gain_values
from evaluation.registry import modules
from evaluation.run import promised

EDGE = 2  # frames at both ends that R-DGG leaves out, as published


def encounters(data: Data, options: RdggOptions) -> list[Encounter]:
    """What R-DGG needs of every dialogue: all encoders side by side, voices and the speaker's motion by components."""
    folder, encoders = data.folder, list(data.folder.encoders)
    limits = options.pca_people, options.pca_rows, options.seed
    users = list(dict.fromkeys(dialogue.user for dialogue in folder.dialogues))
    voice = fit_components([lambda p=path: read_voice(p) for path in users], options.audio, *limits, "voice")
    moves = [lambda d=dialogue: _filled(data.user(d, encoders)) for dialogue in folder.dialogues]
    motion = fit_components(moves, options.motion, *limits, "motion")
    heard = {path: voice.of(read_voice(path)).astype(np.float32) for path in data.people}
    found = []
    for dialogue, move in zip(folder.dialogues, moves, strict=True):
        frames = data.frames(dialogue)
        inner = slice(EDGE, frames - EDGE)
        own, speech = (data.people[path].speech for path in (dialogue.avatar, dialogue.user))
        found.append(
            Encounter(
                name=dialogue.dyad_id,
                person=dialogue.avatar_id,
                people=(dialogue.avatar_id, dialogue.user_id),
                motion=data.motion(TRUTH, dialogue, encoders)[inner],
                speaker_motion=motion.of(move())[inner].astype(np.float32),
                speaker_audio=_long(heard[dialogue.user], frames)[inner],
                own_audio=_long(heard[dialogue.avatar], frames)[inner],
                listening=listening(own, speech, frames)[inner],
            )
        )
    return found


def _long(series: np.ndarray, frames: int) -> np.ndarray:
    """The first `frames`, the last one held if there are fewer."""
    return series[np.minimum(np.arange(frames), len(series) - 1)]


def _filled(motion: np.ndarray) -> np.ndarray:
    good = np.isfinite(motion).all(1)
    if not good.any():
        return np.zeros_like(motion)
    return np.where(good[:, None], motion - motion[good].mean(0), 0.0)


def reactions(data: Data, rows: Mapping[str, Row], options: RdggOptions) -> dict[str, list[Value]]:
    """R-DGG of every row. Truth and systems share their frames; a control is asked on those of them that it has."""
    promise = promised(modules()["rdgg"].CARDS)
    clocked = {name: row for name, row in rows.items() if row.protocol == "clock"}
    found = {name: [undefined(*pair, "no_voice") for pair in promise] for name in rows}
    truth = [undefined("rdgg", truth_part(part), "not_run") for part in PARTS]
    try:
        met = encounters(data, options)
        operator = fit_operator(met, options)
        shared = [name for name, row in clocked.items() if row.source not in CONTROLS]
        groups = [shared] if shared else []
        groups += [[name] for name in clocked if name not in shared]
        base = [TRUTH, *data.systems]
        inside: dict[str, np.ndarray] = {}
        for group in groups:
            energy = energies(met, _motions(data, {n: clocked[n] for n in group}, base, inside), operator, options)
            for name in group:
                found[name] = [v for part in PARTS for v in gain_values(energy[name], part, part, options)]
            true = next((energy[name] for name in group if clocked[name].source == TRUTH), None)
            if true is not None:
                truth = [v for part in PARTS for v in gain_values(true, part, truth_part(part), options)]
    except DataError as error:
        print(f"rdgg: {error}", flush=True)
        return {name: [undefined(*pair, "too_few_frames") for pair in promise] for name in rows}
    return {name: [*values, *truth] if name in clocked else values for name, values in found.items()}


def _motions(
    data: Data, rows: Mapping[str, Row], base: Sequence[str], inside: dict
) -> dict[str, dict[str, np.ndarray]]:
    """Row -> dialogue -> motion of all encoders, NaN where truth or some system was not seen."""
    encoders, made = list(data.folder.encoders), {name: {} for name in rows}
    for dialogue in data.folder.dialogues:
        frames = data.frames(dialogue)
        inner = slice(EDGE, frames - EDGE)
        if dialogue.dyad_id not in inside:
            sides = (data.motion(source, dialogue, encoders) for source in base)
            inside[dialogue.dyad_id] = np.logical_and.reduce([np.isfinite(side).all(1) for side in sides])
        for name, row in rows.items():
            motion = data.motion(row.source, dialogue, encoders)
            motion = np.where(inside[dialogue.dyad_id][:, None], motion, np.nan)
            made[name][dialogue.dyad_id] = motion[inner].astype(np.float32)
    return made
