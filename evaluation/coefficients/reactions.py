"""R-DGG of all rows of a data folder of coefficients at once: one operator of true listeners, shared time shifts."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import numpy as np

from dyads.coefficients import Dialogue
from dyads.coefficients.clock import listening
from dyads.coefficients.controls import CONTROLS
from dyads.coefficients.store import read_voice
from dyads.errors import DataError
from evaluation.cards import Value, truth_part, undefined
from evaluation.coefficients import TRUTH, Data, Row
from evaluation.granger import Encounter, RdggOptions
from evaluation.granger.abreast import abreast
from evaluation.granger.components import fit_components
from evaluation.granger.gain import Energies, compared, energies_of
from evaluation.granger.interval import PARTS, Gain, difference
from evaluation.granger.operator import fit_operator
from evaluation.metrics.reaction.rdgg import gain_values
from evaluation.registry import modules
from evaluation.run import promised

EDGE = 2  # frames at both ends that R-DGG leaves out, as published


@lru_cache(maxsize=1)
def encounters(data: Data, options: RdggOptions, threads: int = 1) -> list[Encounter]:
    """What R-DGG needs of every dialogue: all encoders side by side, voices and the speaker's motion by components.

    Kept, so that it can be read before its turn.
    """
    dialogues, encoders = data.folder.dialogues, list(data.folder.encoders)
    limits = options.pca_people, options.pca_rows, options.seed
    users = list(dict.fromkeys(dialogue.user for dialogue in dialogues))
    voice = fit_components([lambda p=path: read_voice(p) for path in users], options.audio, *limits, "voice", threads)
    moves = [lambda d=dialogue: _filled(data.user(d, encoders)) for dialogue in dialogues]
    motion = fit_components(moves, options.motion, *limits, "motion", threads)

    def voiced(path: Path) -> np.ndarray:
        return voice.of(read_voice(path)).astype(np.float32)

    heard = dict(zip(data.people, abreast(voiced, data.people, threads), strict=True))

    def encounter(dialogue: Dialogue) -> Encounter:
        frames = data.frames(dialogue)
        inner = slice(EDGE, frames - EDGE)
        own, speech = (data.people[path].speech for path in (dialogue.avatar, dialogue.user))
        return Encounter(
            name=dialogue.dyad_id,
            person=dialogue.avatar_id,
            people=(dialogue.avatar_id, dialogue.user_id),
            motion=data.motion(TRUTH, dialogue, encoders)[inner],
            speaker_motion=motion.of(_filled(data.user(dialogue, encoders)))[inner].astype(np.float32),
            speaker_audio=_long(heard[dialogue.user], frames)[inner],
            own_audio=_long(heard[dialogue.avatar], frames)[inner],
            listening=listening(own, speech, frames)[inner],
        )

    return list(abreast(encounter, dialogues, threads))


def _long(series: np.ndarray, frames: int) -> np.ndarray:
    """The first `frames`, the last one held if there are fewer."""
    return series[:frames] if len(series) >= frames else series[np.minimum(np.arange(frames), len(series) - 1)]


def _filled(motion: np.ndarray) -> np.ndarray:
    good = np.isfinite(motion).all(1)
    if not good.any():
        return np.zeros_like(motion)
    return np.where(good[:, None], motion - motion[good].mean(0), 0.0)


@dataclass(frozen=True)
class Reactions:
    """R-DGG of rows: `values` by row, as the card promises them, and a `table`, one line per part and row, or per pair
    of rows that share their frames."""

    values: dict[str, list[Value]]
    table: list[dict]


def reactions(data: Data, rows: Mapping[str, Row], options: RdggOptions, threads: int = 1) -> Reactions:
    """R-DGG of every row, by `threads` threads.

    Truth and systems share their frames; controls are asked on those of them that they have.
    """
    promise = promised(modules()["rdgg"].CARDS)
    own = [pair for pair in promise if pair[1] not in map(truth_part, PARTS)]
    clocked = {name: row for name, row in rows.items() if row.protocol == "clock"}
    found = {name: [undefined(*pair, "no_clock") for pair in promise] for name in rows}
    truth = [undefined("rdgg", truth_part(part), "not_run") for part in PARTS]
    still = [name for name, row in clocked.items() if row.source == "still"]
    shared = [name for name, row in clocked.items() if row.source not in CONTROLS]
    moving = [name for name, row in clocked.items() if name not in shared + still and data.there(row.source)]
    few = [undefined(*pair, "too_few_frames") for pair in own]
    found |= {name: [undefined(*pair, "constant_series") for pair in own] for name in still}
    found |= {name: few for name, row in clocked.items() if not data.there(row.source)}
    table: list[dict] = []
    try:
        met = encounters(data, options, threads)
        operator = fit_operator(met, options, threads)
    except DataError as error:
        print(f"rdgg: {error}", flush=True)
        return Reactions({name: [undefined(*pair, "too_few_frames") for pair in promise] for name in rows}, [])
    inside = _inside(data, threads)
    sets, groups = [], []
    for group in filter(None, (shared, moving)):
        try:
            sets.append(compared(met, {n: _Motions(data, clocked[n].source, inside) for n in group}, options))
            groups.append(group)
        except DataError as error:
            print(f"rdgg of {', '.join(group)}: {error}", flush=True)
            found |= dict.fromkeys(group, few)
            if any(clocked[name].source == TRUTH for name in group):
                truth = [undefined("rdgg", truth_part(part), "too_few_frames") for part in PARTS]
    for group, energy in zip(groups, energies_of(sets, operator, options, threads), strict=True):
        for name in group:
            found[name] = [v for part in PARTS for v in gain_values(energy[name], part, part, options)]
        true = next((energy[name] for name in group if clocked[name].source == TRUTH), None)
        if true is not None:
            truth = [v for part in PARTS for v in gain_values(true, part, truth_part(part), options)]
        table += _lines(energy, options)
    return Reactions({name: values + truth * (name in clocked) for name, values in found.items()}, table)


def _lines(energy: Mapping[str, Energies], options: RdggOptions) -> list[dict]:
    """The gain of each row, then of each pair of rows the first one's lead, by part."""
    pairs = [(name, "") for name in energy] + list(combinations(energy, 2))
    return [
        {"row": a, "against": b, "part": part} | asdict(_gain(energy, a, b, part, options))
        for part in PARTS
        for a, b in pairs
    ]


def _gain(energy: Mapping[str, Energies], a: str, b: str, part: str, options: RdggOptions) -> Gain:
    return difference(energy[a], energy[b] if b else None, options.draws, options.seed, part)


def _inside(data: Data, threads: int) -> dict[str, np.ndarray]:
    """Dialogue -> bool (T,): frames in which every encoder saw truth and every system."""
    encoders = list(data.folder.encoders)

    def seen(dialogue: Dialogue) -> np.ndarray:
        sides = (data.motion(source, dialogue, encoders) for source in (TRUTH, *data.systems))
        return np.logical_and.reduce([np.isfinite(side).all(1) for side in sides])

    names = [dialogue.dyad_id for dialogue in data.folder.dialogues]
    return dict(zip(names, abreast(seen, data.folder.dialogues, threads), strict=True))


class _Motions(Mapping):
    """A row's dialogue -> motion of all encoders, NaN where truth or some system was not seen; each is read when asked
    for, because a row's are hundreds of megabytes."""

    def __init__(self, data: Data, source: str, inside: Mapping[str, np.ndarray]) -> None:
        self.data, self.source, self.inside = data, source, inside

    def __getitem__(self, dialogue: str) -> np.ndarray:
        encoders = list(self.data.folder.encoders)
        motion = self.data.motion(self.source, self.data.by_id[dialogue], encoders).astype(np.float32)
        motion[~self.inside[dialogue]] = np.nan
        return motion[EDGE : len(motion) - EDGE]

    def __contains__(self, dialogue: object) -> bool:  # without reading it
        return dialogue in self.inside

    def __iter__(self) -> Iterator[str]:
        return iter(self.inside)

    def __len__(self) -> int:
        return len(self.inside)
