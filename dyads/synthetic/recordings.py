"""Drawn people as somebody's recordings: `python -m dyads.synthetic.recordings --out DIR`.

Dialogues of the synthetic world in larger pictures, in which heads drift, with their sounds, a turns file each and a
pairs file, and no truth: what a folder of real recordings holds. For trying and testing the way of real data.
"""

import argparse
import csv
import io
import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np

from dyads.contract import ROLES, read_manifest, read_wav
from dyads.errors import run_cli
from dyads.files import write_text
from dyads.media.video import iter_video
from dyads.media.writer import VideoWriter
from dyads.synthetic.world import WorldOptions, write_world

WIDTH, HEIGHT, FACE = 320, 240, 128  # pixels; FACE is the side of the drawn square
DRIFT = 40  # pixels that a head wanders to either side within a recording
BACKGROUND = 96


def write_recordings(out: Path, train: int = 4, test: int = 2, seconds: float = 6.0) -> Path:
    """Write recordings of so many dialogues; the pairs file."""
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    with tempfile.TemporaryDirectory(dir=out) as folder:
        world = Path(folder) / "world"
        write_world(world, WorldOptions(train=train, test=test, size=FACE, seconds=(seconds, seconds)))
        for dyad in read_manifest(world):
            row = {"dyad_id": dyad.dyad_id, "split": dyad.split, "licence": dyad.avatar.licence}
            row["turns"] = f"{dyad.dyad_id}.jsonl"
            shutil.copy(dyad.folder / "turns.jsonl", out / row["turns"])
            for role in ROLES:
                side = dyad.side(role)
                row[f"{role}_video"], row[f"{role}_id"] = f"{dyad.dyad_id}_{role}.mp4", side.subject_id
                _record(out / row[f"{role}_video"], side.video, read_wav(side), 1 if role == "user" else -1)
            rows.append(row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(out / "pairs.csv", text.getvalue())
    return out / "pairs.csv"


def _record(path: Path, video: Path, sound: np.ndarray, way: int) -> None:
    """The face on a plain wall, drifting one `way` and back."""
    frames = list(iter_video(video))
    with VideoWriter(path, HEIGHT, WIDTH) as writer:
        for index, frame in enumerate(frames):
            picture = np.full((HEIGHT, WIDTH, 3), BACKGROUND, np.uint8)
            left = (WIDTH - FACE) // 2 + round(way * DRIFT * np.sin(2 * np.pi * index / len(frames)))
            top = (HEIGHT - FACE) // 2
            picture[top : top + FACE, left : left + FACE] = cv2.resize(frame, (FACE, FACE))
            writer.write(picture)
        writer.finish([sound])


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(prog="python -m dyads.synthetic.recordings", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--train", type=int, default=4, help="training dialogues")
    parser.add_argument("--test", type=int, default=2, help="test dialogues")
    parser.add_argument("--seconds", type=float, default=6.0)
    args = parser.parse_args()
    print(f"wrote {write_recordings(args.out, args.train, args.test, args.seconds)}")


if __name__ == "__main__":
    run_cli(main)
