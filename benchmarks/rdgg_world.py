"""R-DGG where the answer is known: rows of the synthetic world, and those of a study of it: `python -m
benchmarks.rdgg_world [--study results/default]`.

The world's avatars answer 1.0 to 1.5 s after what the user showed, said or voiced has ended, mostly while they speak
themselves, with the expressions of the face. So the gain is taken over all frames, with pasts of 2.4 s, on expressions
alone, in steps of 0.2 s, each the mean of its five frames: what a reader of pictures adds is noise from frame to frame,
and would be most of what a prediction of the next frame leaves.

What the user says is told by the emotion that he expresses just then, whatever he shows it by, as the world knows it
(`--speaker expressed`), or by components of his voice's sound (`voice`), from which no linear operator reads words.
In the table, as on the card: audio_given_motion is what that tells beyond the user's motion.

Without --study, the world's own coefficients: nothing is drawn or trained. With it, what the study's motion probe read,
its seeds together; the operator is of the true avatars of all its dialogues, those who share a person left out in turn.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from einops import reduce
from safetensors import safe_open
from safetensors.numpy import load_file

from benchmarks.report import show
from dyads.contract import Dyad, data_folders, read_manifest, read_wav
from dyads.errors import ConfigError, run_cli
from dyads.synthetic.coefficients import COEFFICIENTS, EMOTIONS, EXPRESSION
from dyads.synthetic.world import generate_dialogue
from evaluation.cards import OK
from evaluation.clips import Clip, read_truth
from evaluation.granger import Encounter, RdggOptions
from evaluation.granger.gain import Energies, energies
from evaluation.granger.interval import PARTS, Gain, difference
from evaluation.granger.operator import fit_operator
from evaluation.metrics.reaction.rdgg import encounters
from evaluation.readings.voice import voice_features

HOP = 5  # frames of a step
OPTIONS = RdggOptions(lags=tuple(range(1, 13)), skip=1, stretch=17, nulls=40, draws=2000, audio=12, motion=6)
SPEAKERS = ("expressed", "voice")
Motions = Mapping[str, np.ndarray]


def steps(series: np.ndarray) -> np.ndarray:
    """(T, D) at 25 Hz -> (T // HOP, D), means of whole steps."""
    return reduce(series[: len(series) // HOP * HOP], "(s hop) d -> s d", "mean", hop=HOP)


def answers(motion: np.ndarray) -> np.ndarray:
    """What answers the user: expressions, in steps."""
    return steps(motion[:, EXPRESSION].astype(np.float64))


def meetings(clips: list[Clip], speaker: str) -> list[Encounter]:
    """All that was said and done, in steps."""
    found = []
    for clip, each in zip(clips, encounters(clips, OPTIONS), strict=True):
        told = clip.features["expressed"] if speaker == "expressed" else each.speaker_audio
        found.append(
            replace(
                each,
                motion=answers(each.motion),
                listening=np.ones(len(each.motion) // HOP, bool),
                speaker_audio=steps(told),
                **{name: steps(getattr(each, name)) for name in ("speaker_motion", "own_audio")},
            )
        )
    return found


def clip_of(name: str, people: tuple[str, str], avatar: np.ndarray, user: np.ndarray, emotion: np.ndarray,
            sound: Motions) -> Clip:  # fmt: skip
    clip = Clip(name, len(avatar), OK, np.zeros(len(avatar), bool), names=COEFFICIENTS)
    clip.people, clip.motion_true, clip.motion_user = people, avatar, user
    clip.features = {f"voice_{role}": voice_features(voice, len(avatar)) for role, voice in sound.items()}
    clip.features["expressed"] = np.eye(len(EMOTIONS))[emotion][:, 1:]  # 0 is none
    return clip


def world(dialogues: int, seconds: tuple[float, float], speaker: str) -> dict[str, Energies]:
    """Energies of rows whose place is known.

    oracle: what the avatar was expected to do given what it could observe; shuffled: another dialogue's avatar;
    random: an avatar of the training people; shifted: the truth half its length late."""
    made = [generate_dialogue(0, "test", k, seconds) for k in range(dialogues)]
    faces = [each.faces.avatar for each in made]
    clips = []
    for each in made:
        people, seen = (str(each.identity["avatar"]), str(each.identity["user"])), each.faces
        clips.append(clip_of(each.dyad_id, people, seen.avatar, seen.user, seen.user_emotion, each.sound))
    strangers = [generate_dialogue(0, "train", k, seconds).faces.avatar for k in range(dialogues)]
    rows = {
        "truth": faces,
        "oracle": [each.faces.expected for each in made],
        "shuffled": [np.resize(faces[(k + dialogues // 2) % dialogues], face.shape) for k, face in enumerate(faces)],
        "random": [np.resize(stranger, face.shape) for stranger, face in zip(strangers, faces, strict=True)],
        "shifted": [np.roll(face, len(face) // 2, 0) for face in faces],
    }
    met = meetings(clips, speaker)
    operator = fit_operator(met, OPTIONS)
    found = {}
    for row, motions in rows.items():
        told = {clip.dyad_id: answers(motion) for clip, motion in zip(clips, motions, strict=True)}
        found[row] = energies(met, {row: told}, operator, OPTIONS)[row]
    return found


def heard(dyad: Dyad) -> Clip:
    """A dialogue of the study's data: its truth, and both voices. ConfigError: it has no truth."""
    truth = read_truth(dyad)
    if truth is None:
        raise ConfigError(f"{dyad.dyad_id} has no truth; give a study of the synthetic world.")
    people = (dyad.avatar.subject_id, dyad.user.subject_id)
    sound = {side.role: read_wav(side) for side in (dyad.user, dyad.avatar)}
    with safe_open(dyad.truth_path, "numpy") as file:
        emotion = file.get_tensor("user_emotion")
    return clip_of(dyad.dyad_id, people, truth.avatar, truth.user, emotion, sound)


def readings(study: Path) -> Iterator[tuple[str, list[dict[str, np.ndarray]]]]:
    """Each row's readings, a dictionary of arrays for every seed."""
    for folder in sorted((study / "metrics").iterdir()):
        if files := sorted(folder.glob("seed*.features.safetensors")):
            yield folder.name, [load_file(file) for file in files]


def together(seeds: list[Energies]) -> Energies:
    """The energies of all seeds' videos of the same people."""
    summed = [each.name for each in fields(Energies) if each.name != "people"]
    return replace(seeds[0], **{name: sum(getattr(one, name) for one in seeds) for name in summed})


def study(folder: Path, speaker: str) -> dict[str, Energies]:
    """Energies of a study's rows; a still one has none. ConfigError: it is no finished study of the world."""
    data = data_folders(folder)
    if len(data) != 1 or not (folder / "metrics").is_dir():
        raise ConfigError(f"{folder} is no finished study of the synthetic world; give its results folder.")
    met = meetings([heard(dyad) for dyad in read_manifest(data[0])], speaker)
    operator, found = fit_operator(met, OPTIONS), {}

    def energy(row: str, seeds: list[Motions], side: str) -> None:
        told = [{each.name: answers(motions[key]) for each in met if (key := f"{each.name}/{side}") in motions}
                for motions in seeds]  # fmt: skip
        if all(one and any(np.ptp(motion, axis=0).max() > 0 for motion in one.values()) for one in told):
            found[row] = together([energies(met, {row: one}, operator, OPTIONS)[row] for one in told])

    for row, seeds in readings(folder):
        if not found:
            energy("true, as read", seeds[:1], "true")
        energy(row, seeds, "generated")
    return found


def compared(folder: Path, asked: list[str] | None) -> tuple[str, ...]:
    """The rows that ECHO is compared with; by default no_lcu, if there. ConfigError: a row without readings."""
    rows = {file.parent.name for file in (folder / "metrics").glob("*/seed*.features.safetensors")}
    for row in ("echo", *(asked or ())):
        if asked and row not in rows:
            raise ConfigError(
                f"{row} is no row of {folder} with readings; there are: {', '.join(sorted(rows)) or 'none'}."
            )
    return tuple(asked or {"no_lcu"} & rows)


def tell(title: str, found: Mapping[str, Energies], against: tuple[str, ...]) -> None:
    pairs = [(row, None) for row in found] + [("echo", other) for other in against if {"echo", other} <= set(found)]
    lines = []
    for row, other in pairs:
        for part in PARTS:
            gain = difference(found[row], found[other] if other else None, OPTIONS.draws, part=part)
            lines.append({"row": f"{row} - {other}" if other else row, "part": part, **_line(gain)})
    show(f"{title}; gains in 1e-4 nat, intervals by people", lines, {"rows": lines})


def _line(gain: Gain) -> dict[str, float]:
    return {"net": 1e4 * gain.net, "low": 1e4 * gain.low, "high": 1e4 * gain.high, "p": gain.p, "people": gain.people}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dialogues", type=int, default=160)
    parser.add_argument("--seconds", type=float, nargs=2, default=[8.0, 12.0], help="of each dialogue")
    parser.add_argument("--speaker", choices=SPEAKERS, default="expressed", help="what tells what the user says")
    parser.add_argument("--study", type=Path, metavar="RESULTS", help="rows of a finished study instead")
    parser.add_argument("--against", nargs="*", metavar="ROW", help="rows that ECHO is compared with (no_lcu)")
    given = parser.parse_args()
    if given.study:
        against = compared(given.study, given.against)
        tell(f"R-DGG of {given.study}", study(given.study, given.speaker), against)
    else:
        tell(
            f"R-DGG on the synthetic world, {given.dialogues} dialogues",
            world(given.dialogues, given.seconds, given.speaker),
            (),
        )


if __name__ == "__main__":
    run_cli(main)
