"""A corpus in exactly SI-184's layout, made up: `python -m dyads.synthetic.si184 --out DIR`, for tests and sizes.

Two people take turns. A listener reacts to the other's voice, a known strength times a causal filter of it; systems
that hear the user react too, the others do not. With `traps` the corpus has what the real one has: arrays longer than
n_frames, frames without a face (rotations all zero), 30 against 25 fps, a truncated generation, a side without its
file. Its numbers say nothing of any system.
"""

import argparse
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.signal import lfilter
from scipy.spatial.transform import Rotation

from dyads.coefficients.encoders import SPLIT, SYSTEMS
from dyads.coefficients.options import parse_options
from dyads.errors import ConfigError, run_cli
from dyads.files import atomic_path, write_json, write_text
from dyads.seeding import rng

HEARING = ("AVTR-1", "dystream", "AvatarForcing")  # systems that see and hear the user
HIDDEN = 12  # numbers of a voice
MOVES = 24  # numbers of a motion, which both encoders are mixed from
MARK = "made_up.json"
DELAY = 10  # frames of 25 a second from the voice to the reaction, at least
TRUE_FPS, MADE_FPS, VOICE_FPS = 30, 25, 50


@dataclass(frozen=True)
class CorpusOptions:
    """`sessions` of `dialogues` each, between two of `people` (every session a new pair around a circle of groups of
    three); `seconds`: shortest and longest; `strength`: of the true reaction, in standard deviations of the motion;
    `systems_strength`: of the systems that hear the user; `voice`: width of the voice features; `traps`: see above.
    """

    sessions: int = 6
    dialogues: int = 2
    people: int = 6
    seconds: tuple[float, float] = (34.0, 40.0)
    strength: float = 0.6
    systems_strength: float = 0.4
    voice: int = 24
    turn: tuple[float, float] = (5.0, 12.0)
    traps: bool = True
    seed: int = 0


def write_corpus(out: Path, options: CorpusOptions) -> None:
    """The corpus folder, whole or not at all; an earlier one is replaced. ConfigError if `out` holds anything else."""
    if out.exists() and not (out / MARK).is_file() and any(out.iterdir()):
        raise ConfigError(f"--out {out} holds something else than a made-up corpus; name another folder or remove it.")
    if options.people < 3 or options.people % 3 or options.sessions < 1:
        raise ConfigError("people must be 3 or a multiple of it, sessions at least 1.")
    with atomic_path(out) as folder:
        folder.mkdir()
        pairs = [
            (session, number, _couple(session, options.people))
            for session in range(options.sessions)
            for number in range(options.dialogues)
        ]
        lines = []
        for session, number, couple in pairs:
            stems = [f"V00_S{2017 + session:04d}_I{1000 * session + number:08d}_P{1270 + p:04d}A" for p in couple]
            lines += [f"{a}.wav    {b}.wav\n" for a, b in (stems, stems[::-1])]
            _write_dialogue(folder, stems, couple, (session, number), options)
        if options.traps:
            _set_traps(folder, [line.split(".wav")[0] for line in lines])
        write_json(folder / MARK, asdict(options))
        write_text(folder / "pairs184.txt", "".join(lines))
        shutil.rmtree(out, ignore_errors=True)


def _couple(session: int, people: int) -> tuple[int, int]:
    """Two of the three people of a group; groups take turns, so that they are apart and nobody meets one alone."""
    group, turn = session % (people // 3), session // (people // 3)
    first, second = ((0, 1), (1, 2), (0, 2))[turn % 3]
    return 3 * group + first, 3 * group + second


def _write_dialogue(folder: Path, stems: list[str], couple, place: tuple[int, int], options: CorpusOptions) -> None:
    draw = rng(options.seed, "si184", *place)
    seconds = round(float(draw.uniform(*options.seconds)) * 25) / 25
    fine = round(seconds * 150)  # frames of one clock that all rates divide
    speech = _turns(seconds, options.turn, draw)
    voices = [_voice(fine, speech[side], draw) for side in (0, 1)]
    for side, stem in enumerate(stems):
        mixed = rng(options.seed, "si184.voice").normal(size=(HIDDEN, options.voice)) / np.sqrt(HIDDEN)
        voice = voices[side][:: 150 // VOICE_FPS] @ mixed
        voice += 0.1 * draw.normal(size=voice.shape)
        _save(folder / "GT", "hubert", stem, feat_l09=voice.astype(np.float16), layers=np.array([9]), fps=50.0)
        _save_speech(folder, stem, speech[side], seconds)
        reaction = _reaction(voices[1 - side], options.seed)
        own = _own(fine, voices[side], options.seed)
        motions = {"GT": (_free(fine, draw) + own + options.strength * reaction, TRUE_FPS)}
        for system in SYSTEMS:
            strength = options.systems_strength if system in HEARING else 0.0
            motions[system] = (_free(fine, draw) + own + strength * reaction, MADE_FPS)
        person = rng(options.seed, "si184.person", couple[side])
        base = 0.3 * person.normal(size=MOVES)
        for system, (motion, fps) in motions.items():
            _save_motion(folder / system, stem, motion[:: 150 // fps] + base, fps, options, draw)


def _turns(seconds: float, turn: tuple[float, float], draw: np.random.Generator) -> list[np.ndarray]:
    """Speech of two people, (k, 2) seconds each: turns with short pauses between."""
    speech: list[list[tuple[float, float]]] = [[], []]
    now, who = 0.3, int(draw.integers(2))
    while now < seconds - 1:
        end = min(now + draw.uniform(*turn), seconds)
        while now < end - 0.5:  # a turn's phrases
            stop = min(now + draw.uniform(1.5, 4.0), end)
            speech[who].append((now, stop))
            now = stop + draw.uniform(0.2, 0.6)
        now, who = max(now, end) + draw.uniform(0.1, 0.6), 1 - who
    return [np.array(side, np.float32).reshape(-1, 2) for side in speech]


def _smooth(frames: int, width: int, seconds: float, draw: np.random.Generator) -> np.ndarray:
    """A stationary series (frames, width) of unit variance that forgets itself within `seconds`, at 150 a second."""
    keep = np.exp(-1 / (150 * seconds))
    white = draw.normal(size=(frames, width))
    white[0] /= np.sqrt(1 - keep**2)
    return lfilter([np.sqrt(1 - keep**2)], [1, -keep], white, axis=0)


def _voice(frames: int, speech: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """(frames, HIDDEN): sound while they speak, next to nothing else."""
    loud = np.zeros(frames)
    for start, end in speech:
        loud[int(start * 150) : int(end * 150)] = 1.0
    return _smooth(frames, HIDDEN, 0.25, draw) * (0.05 + loud)[:, None]


def _mix(seed: int, name: str, rows: int, columns: int) -> np.ndarray:
    return rng(seed, f"si184.{name}").normal(size=(rows, columns)) / np.sqrt(rows)


def _reaction(voice: np.ndarray, seed: int) -> np.ndarray:
    """The same reaction in everyone: the other's voice, DELAY frames late and half a second long."""
    kernel = np.ones(75) / np.sqrt(75)
    late = np.concatenate([np.zeros((DELAY * 6, HIDDEN)), voice[: -DELAY * 6]])
    return lfilter(kernel, [1.0], late, axis=0) @ _mix(seed, "reaction", HIDDEN, MOVES) * 0.2


def _own(frames: int, voice: np.ndarray, seed: int) -> np.ndarray:
    return 0.5 * voice @ _mix(seed, "own", HIDDEN, MOVES)


def _free(frames: int, draw: np.random.Generator) -> np.ndarray:
    return _smooth(frames, MOVES, 0.8, draw)


def _save_motion(folder: Path, stem: str, motion: np.ndarray, fps: int, options: CorpusOptions, draw) -> None:
    """Both encoders' files; one in five has frames without a face, where nothing was written."""
    frames = len(motion)
    spare = 3 if options.traps else 0

    def mixed(name: str, width: int, size: float) -> np.ndarray:
        made = size * (motion @ _mix(options.seed, name, MOVES, width) + 0.05 * draw.normal(size=(frames, width)))
        return np.concatenate([made, np.full((spare, width), 7.0)])  # rows beyond n_frames mean nothing

    for encoder in ("emoca", "liveportrait"):
        ok = np.ones(frames + spare, np.uint8)
        if options.traps and draw.random() < 0.2:
            start = int(draw.integers(0, frames))
            ok[start : start + int(draw.integers(1, 6))] = 0
        head = {"n_frames": np.int32(frames), "fps": np.float32(fps), "face_ok": ok}
        if encoder == "emoca":
            arrays = {"posecode": mixed("pose", 6, 0.1), "expcode": mixed("exp", 50, 1.0)}
        else:
            rotation = Rotation.from_rotvec(mixed("rot", 3, 0.12)).as_matrix()
            arrays = {
                "R": rotation, "exp": mixed("lp", 63, 0.006).reshape(-1, 21, 3), "t": mixed("t", 3, 0.02),
                "scale": 1.4 + mixed("scale", 1, 0.03)[:, 0],
            }  # fmt: skip
        for array in arrays.values():
            array[ok == 0] = 0.0
        arrays = {key: array.astype(np.float32) for key, array in arrays.items()}
        _save(folder, encoder, stem, **head, **arrays)


def _save(folder: Path, kind: str, stem: str, **arrays) -> None:
    path = folder / f"{SPLIT}_{kind}" / f"{stem}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


def _save_speech(folder: Path, stem: str, speech: np.ndarray, seconds: float) -> None:
    mask = np.zeros(int(seconds * 25), np.uint8)
    for start, end in speech:
        mask[int(start * 25) : int(np.ceil(end * 25))] = 1
    _save(
        folder / "GT", "vad", stem, speech_starts=speech[:, 0], speech_ends=speech[:, 1],
        audio_seconds=np.float32(seconds), mask_25fps=mask, fps=np.int32(25),
    )  # fmt: skip


def _set_traps(folder: Path, stems: list[str]) -> None:
    """A truncated generation of one listener, and a true side that has no LivePortrait file."""
    for kind in ("emoca", "liveportrait"):
        path = folder / "dystream" / f"{SPLIT}_{kind}" / f"{stems[-1]}.npz"
        with np.load(path) as file:
            arrays = {key: file[key] for key in file.files}
        frames = int(arrays["n_frames"]) // 4
        cut = {key: array[:frames] if array.ndim else array for key, array in arrays.items()}
        np.savez(path, **(cut | {"n_frames": np.int32(frames)}))
    (folder / "GT" / f"{SPLIT}_liveportrait" / f"{stems[-3]}.npz").unlink()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m dyads.synthetic.si184", description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True, type=Path, help="the corpus folder to write")
    parser.add_argument("--options", default="{}", help="JSON object or @file; see CorpusOptions")
    args = parser.parse_args(arguments)
    write_corpus(args.out, parse_options(CorpusOptions, args.options))
    print(f"a made-up corpus in SI-184's layout -> {args.out}", flush=True)


if __name__ == "__main__":
    run_cli(main)
