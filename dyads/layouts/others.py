"""Synthetic dialogues in the layouts of ViCo, HDTF and RealTalk: `python -m dyads.layouts.others KIND OUT`."""

import argparse
import csv
import json
from pathlib import Path

import numpy as np

from dyads.errors import ConfigError, run_cli
from dyads.layouts.recordings import WALL, write_recording, write_sound
from dyads.media.containers import FPS, SAMPLES_PER_FRAME
from dyads.media.writer import VideoWriter
from dyads.synthetic.world import Dialogue, generate_dialogue

SIDE = 96  # pixels of a face clip


def write_vico(root: Path, splits: tuple[str, ...] = ("train", "train", "test", "ood"), seconds: float = 4.0) -> None:
    """The full release: videos at 30 frames a second without sound, the speaker's sound apart, one table.

    People of `test` are those of `train`, people of `ood` are others. One listener answers two speakers.
    """
    rows = []
    for number, split in enumerate(splits):
        dialogue = generate_dialogue(0, "test" if split == "ood" else "train", number, (seconds,) * 2)
        video, audio = f"vid{number}_10_20", f"vid{number}_10_20"
        names = {"user": f"{number:02d}_speaker", "avatar": f"{number:02d}_listener"}
        for role, name in names.items():
            write_recording(root / "videos" / f"{name}.mp4", dialogue, role, 30, seconds, SIDE, SIDE)
        write_sound(root / "audios" / f"{audio}.wav", dialogue, "user", seconds, 44_100)
        person = 50 if split == "ood" else 1
        rows.append(("positive", video, names["avatar"], names["user"], person, person + number % 2, split))
    _table(
        root / "RLD_data.csv",
        rows,
        ("attitude", "audio", "listener", "speaker", "listener_id", "speaker_id", "data_split"),
    )


def write_vico_challenge(root: Path, seconds: float = 4.0) -> None:
    """The challenge's layout: listening_head/ with uuids for names and a table for each split."""
    folder = root / "listening_head"
    for number, split in enumerate(("train", "ood")):
        dialogue = generate_dialogue(0, "test" if split == "ood" else "train", number, (seconds,) * 2)
        uuid = f"a1b2c3d4e5f{number}"
        for role, side in (("user", "speaker"), ("avatar", "listener")):
            write_recording(folder / "videos" / f"{uuid}.{side}.mp4", dialogue, role, 30, seconds, SIDE, SIDE)
        write_sound(folder / "audios" / f"{uuid}.wav", dialogue, "user", seconds, 16_000)
        _table(
            folder / f"{split}.csv",
            [(f"v{number}", uuid, 7 + number, 9 + number)],
            ("video_id", "uuid", "speaker_id", "listener_id"),
        )


def _table(path: Path, rows: list[tuple], names: tuple[str, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(names)
        writer.writerows(rows)


def write_hdtf(root: Path, seconds: float = 4.0) -> None:
    """Annotation files and videos: cut clips of two, a raw video with span and crop of one, one that is missing.

    WDA_Ada_000 and WDA_Ada_001 show one person; frame rates are mixed; some clips have leading zeros and a prefix.
    """
    folder = root / "HDTF_dataset"
    folder.mkdir(parents=True)
    lists = {
        "RD_video_url": ["Radio1 https://example.org/1", "Radio2 https://example.org/2"],
        "RD_annotion_time": ["Radio1.mp4 00:00-00:04 00:10-00:14", "Radio2.mp4 00:01-00:03"],
        "RD_crop_wh": ["Radio2_0.mp4 112 288 0 288"],
        "RD_resolution": ["Radio1.mp4 288", "Radio2.mp4 288"],
        "WDA_video_url": [f"WDA_Ada_{k:03d} https://example.org/a{k}" for k in (0, 1)]
        + ["WDA_Bob_000 https://example.org/b"],
        "WDA_annotion_time": [f"WDA_{name}.mp4 00:00-00:04" for name in ("Ada_000", "Ada_001", "Bob_000")],
        "WRA_video_url": ["WRA_Gone_000 https://example.org/g"],
        "WRA_annotion_time": ["WRA_Gone_000.mp4 01:00:00-01:00:30"],
    }
    for name, lines in lists.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    clips = {"Radio1_0": 25, "RD_Radio1_001": 30, "WDA_Ada_000_0": 30, "WDA_Ada_001_0": 25, "WDA_Bob_000_000": 30}
    for number, (name, fps) in enumerate(clips.items()):
        dialogue = generate_dialogue(0, "train", number, (seconds,) * 2)
        write_recording(root / "clips" / f"{name}.mp4", dialogue, "avatar", fps, seconds, SIDE, SIDE, sound=True)
    raw = generate_dialogue(0, "train", 9, (seconds,) * 2)
    write_recording(root / "Radio2.mp4", raw, "avatar", 30, seconds, 144, 256, sound=True)


def write_realtalk(root: Path, seconds: float = 5.0) -> None:
    """Two people in one picture with one mixed track; realtalk.csv names two shots, one with boxes, one without."""
    rows = []
    for number, split in enumerate(("train", "test")):
        dialogue = generate_dialogue(0, split, number, (seconds,) * 2)
        name = f"talk{number}.mp4"
        write_two(root / name, dialogue, SIDE)
        turns = [
            {"start": turn.start, "end": turn.end, "speaker": f"{turn.role}{number}", "text": turn.text}
            for turn in dialogue.talk.utterances
        ]
        (root / f"talk{number}.jsonl").write_text("".join(json.dumps(turn) + "\n" for turn in turns), encoding="utf-8")
        boxes = (f"0,0,{SIDE},{SIDE}", f"{2 * SIDE},0,{SIDE},{SIDE}")
        rows.append(
            (name, split, f"user{number}", f"avatar{number}", 0.5, seconds - 0.5, *boxes, f"talk{number}.jsonl")
        )
    names = ("video", "split", "left_id", "right_id", "start", "end", "left_box", "right_box", "turns")
    _table(root / "realtalk.csv", rows, names)


def write_two(path: Path, dialogue: Dialogue, side: int) -> None:
    """Both people of a dialogue side by side, with the mean of their sounds."""
    faces = {role: dialogue.frames(role, side) for role in ("user", "avatar")}
    sound = (dialogue.sound["user"] + dialogue.sound["avatar"]) / 2
    picture = np.full((side, 3 * side, 3), WALL, np.uint8)
    with VideoWriter(path, side, 3 * side, FPS, crf=16) as writer:
        for left, right in zip(faces["user"], faces["avatar"], strict=True):
            picture[:, :side], picture[:, 2 * side :] = left, right
            writer.write(picture)
        writer.finish([sound[: len(faces["user"]) * SAMPLES_PER_FRAME]])


def main() -> None:
    writers = {"vico": write_vico, "hdtf": write_hdtf, "realtalk": write_realtalk}
    parser = argparse.ArgumentParser(prog="python -m dyads.layouts.others", description=__doc__)
    parser.add_argument("kind", choices=writers)
    parser.add_argument("out", type=Path, help="folder to write; must not be there")
    given = parser.parse_args()
    if given.out.exists():
        raise ConfigError(f"{given.out} is there already; give a new folder.")
    given.out.mkdir(parents=True)
    writers[given.kind](given.out)
    print(f"{given.out}: synthetic people in the layout of {given.kind}")


if __name__ == "__main__":
    run_cli(main)
