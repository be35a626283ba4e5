"""Synthetic dialogues in Seamless Interaction's layout: `python -m dyads.layouts.seamless OUT`.

`--traps` adds what the real tree holds beside sound recordings: people whose codes end in a letter, 29.97 frames a
second, features at 240 a second, a silent side, a side without voice activity, missing sides and archives, a person on
both sides of the splits, tar archives with the two sides of one interaction in different ones, and invalid frames.
"""

import argparse
import io
import json
import shutil
import tarfile
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from dyads.errors import ConfigError, run_cli
from dyads.files import write_text
from dyads.layouts.recordings import write_recording, write_sound
from dyads.records import ROLES
from dyads.synthetic.world import Dialogue, generate_dialogue

NTSC = Fraction(30_000, 1001)


@dataclass(frozen=True)
class Interaction:
    """One interaction of two people (codes such as P0947) and what is odd about it.

    `archives`: in which archive each side lies; `flag_rate`: of the features; `invalid`: share of invalid frames at the
    end; `silent`, `no_vad`, `no_json`, `no_npz`, `lacking`: the sides (0, 1) that it is true of.
    """

    interaction: str
    people: tuple[str, str]
    split: str = "train"
    label: str = "improvised"
    number: int = 0
    fps: Fraction | int = 30
    seconds: float = 6.0
    batch: int = 0
    archives: tuple[int, int] = (0, 0)
    flag_rate: float = 30.0
    invalid: float = 0.0
    silent: tuple[int, ...] = ()
    no_vad: tuple[int, ...] = ()
    no_json: tuple[int, ...] = ()
    no_npz: tuple[int, ...] = ()
    lacking: tuple[int, ...] = ()
    tar: bool = False

    def file_id(self, side: int) -> str:
        return f"{self.interaction}_{self.people[side]}"


def plain(train: int, test: int, seconds: float, dev: int = 0) -> list[Interaction]:
    """Sound interactions of people of their own, alternately at 30 and at 29.97 frames a second."""
    found = []
    for split, count, first in (("train", train, 0), ("dev", dev, 400), ("test", test, 700)):
        for k in range(count):
            people = f"P{first + 2 * k:04d}", f"P{first + 2 * k + 1:04d}"
            name = f"V00_S{first + k:04d}_I{first + k:08d}"
            label = "naturalistic" if k % 2 else "improvised"
            fps = NTSC if k % 2 else 30
            found.append(Interaction(name, people, split, label, k, fps, seconds, archives=(k % 3, k % 3)))
    return found


def traps(seconds: float) -> list[Interaction]:
    """One interaction for each trap; `test_seamless` says what must become of each."""
    base = Interaction("V01_S1000_I00001000", ("P1275", "P1277"), number=20, seconds=seconds)
    names = iter(range(1000, 2000))

    def trap(first: str, second: str, **odd) -> Interaction:
        number = next(names)
        return replace(
            base, interaction=f"V01_S{number}_I{number:08d}", people=(first, second), number=number % 50, **odd
        )

    return [
        trap("P1275A", "P1277A"),
        trap("P1275", "P1277"),  # other people than those with the letter
        trap("P2001", "P2002", fps=NTSC, flag_rate=240.0),
        trap("P2003", "P2004", flag_rate=191.233),
        trap("P2005", "P2006", silent=(1,)),
        trap("P2007", "P2008", silent=(0,), no_vad=(0,)),
        trap("P2009", "P2010", no_vad=(0, 1), no_json=()),
        trap("P2011", "P2012", no_vad=(1,)),
        trap("P2013", "P2014", lacking=(1,)),
        trap("P2015", "P2016", invalid=0.9),
        trap("P2017", "P2018", no_npz=(0, 1), no_json=(0, 1)),
        trap("P2019", "P2020", tar=True, archives=(28, 22), batch=42, label="naturalistic"),
        trap("P0700", "P2021"),  # the first is a person of the test side
        trap("P2022", "P2023", invalid=0.4),
    ]


def side_json(spec: Interaction, dialogue: Dialogue, side: int) -> dict:
    """What a side's .json says: its id, voice activity and transcript with words' times."""
    turns = [turn for turn in dialogue.talk.utterances if turn.role == ROLES[side] and turn.start < spec.seconds]
    transcript = []
    for turn in turns:
        words = turn.text.split()
        step = (turn.end - turn.start) / max(len(words), 1)
        timed = [
            {
                "word": word,
                "start": round(turn.start + k * step, 3),
                "end": round(turn.start + (k + 1) * step, 3),
                "score": 0.9,
            }
            for k, word in enumerate(words)
        ]
        transcript.append(
            {"words": timed, "start": round(turn.start, 3), "end": round(turn.end, 3), "transcript": turn.text}
        )
    voice = [{"start": round(turn.start, 2), "end": round(turn.end, 2)} for turn in turns]
    if side in spec.no_vad:
        voice, transcript = [], transcript if len(spec.no_vad) == 1 and side not in spec.silent else []
    return {"id": spec.file_id(side), "metadata:transcript": transcript, "metadata:vad": voice}


def side_arrays(spec: Interaction, frames: int) -> dict[str, np.ndarray]:
    """What a side's .npz holds: features with flags, each on its own clock."""
    count = round(spec.flag_rate * spec.seconds)
    valid = np.ones((count, 1), np.float32)
    valid[count - int(spec.invalid * count) :] = 0
    return {
        "smplh:is_valid": np.ones(count, bool),
        "movement:is_valid": valid,
        "movement:expression": np.zeros((count, 128), np.float32),
        "boxes_and_keypoints:is_valid_box": np.ones(frames, np.int64),
        "boxes_and_keypoints:box": np.tile(np.array([0.2, 0, 0.8, 1], np.float32), (frames, 1)),
    }


def write_interaction(root: Path, spec: Interaction, height: int = 144) -> None:
    """The files of both sides, as files or in archives; pictures are 16:9."""
    dialogue = generate_dialogue(0, "test" if spec.split == "test" else "train", spec.number, (spec.seconds,) * 2)
    batch = root / spec.label / spec.split / f"{spec.batch:04d}"
    for side, role in enumerate(ROLES):
        if side in spec.lacking:
            continue
        stem = batch / f"{spec.archives[side]:04d}" / spec.file_id(side)
        stem.parent.mkdir(parents=True, exist_ok=True)
        frames = write_recording(
            stem.with_suffix(".mp4"), dialogue, role, spec.fps, spec.seconds, height, height * 16 // 18 * 2
        )
        spoken = dialogue
        if side in spec.silent:
            spoken = replace(dialogue, sound={name: 0 * sound for name, sound in dialogue.sound.items()})
        write_sound(stem.with_suffix(".wav"), spoken, role, frames / float(spec.fps))
        if side not in spec.no_json:
            text = json.dumps(side_json(spec, dialogue, side), indent=4)
            stem.with_suffix(".json").write_text(text, encoding="utf-8")
        if side not in spec.no_npz:
            np.savez(stem.with_suffix(".npz"), **side_arrays(spec, frames))
        if spec.tar:
            _pack(stem.parent)


def _pack(folder: Path) -> None:
    """A folder as the hub gives it: one tar archive with bare names."""
    with tarfile.open(folder.with_suffix(".tar"), "a") as archive:
        for path in sorted(folder.iterdir()):
            data = path.read_bytes()
            info = tarfile.TarInfo(path.name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    shutil.rmtree(folder)


def write_seamless(root: Path, interactions: list[Interaction], height: int = 144) -> None:
    """A whole tree."""
    for spec in interactions:
        write_interaction(root, spec, height)


def as_bucket(root: Path) -> None:
    """Lay a tree of unpacked files out as the bucket holds it: a folder for each kind of file and each feature."""
    for path in [path for path in root.rglob("V*") if path.is_file()]:
        base, lines = path.parents[2], {}
        if path.suffix == ".json":
            content = json.loads(path.read_text(encoding="utf-8"))
            lines = {f"metadata/{kind}": content[f"metadata:{kind}"] for kind in ("vad", "transcript")}
            write_text(base / "annotations" / "1P-IS" / path.name, "[]")
        for folder, items in lines.items():
            write_text(base / folder / f"{path.stem}.jsonl", "".join(json.dumps(item) + "\n" for item in items))
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                for key in arrays.files:
                    target = base.joinpath(*key.split(":"), f"{path.stem}.npy")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    np.save(target, arrays[key])
        if path.suffix in (".mp4", ".wav"):
            target = base / {".mp4": "video", ".wav": "audio"}[path.suffix] / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
        else:
            path.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dyads.layouts.seamless", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder to write; must not be there")
    parser.add_argument("--train", type=int, default=4, help="interactions (default 4)")
    parser.add_argument("--test", type=int, default=2, help="interactions (default 2)")
    parser.add_argument("--dev", type=int, default=0, help="interactions (default 0)")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each (default 6)")
    parser.add_argument("--traps", action="store_true", help="add what the real tree holds beside sound recordings")
    given = parser.parse_args()
    if given.out.exists():
        raise ConfigError(f"{given.out} is there already; give a new folder.")
    if given.seconds < 4:
        raise ConfigError(f"--seconds {given.seconds:g} is too short for a dialogue; give at least 4.")
    found = plain(given.train, given.test, given.seconds, given.dev)
    write_seamless(given.out, found + (traps(given.seconds) if given.traps else []))
    print(f"{given.out}: {len(found)} interactions of Seamless Interaction's layout, synthetic")


if __name__ == "__main__":
    run_cli(main)
