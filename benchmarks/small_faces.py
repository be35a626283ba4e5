"""How a face of 64 px crops is read beside its source: `python -m benchmarks.small_faces --clips DIR`.

The first seconds of every clip are read as they are and as a tracked crop of 64 pixels; correlations over the frames.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from tabulate import tabulate

import faces
from dyads.media.video import iter_video
from faces.crops import tracked

SECONDS, SIZE, RATE = 6.0, 64, 25
KINDS = (".mp4", ".avi", ".mov", ".mkv", ".webm")
NAMES = ("jaw_open", "lip_width", "eye_open", "roll", "yaw")


def cropped(frames: list[np.ndarray], track: faces.FaceTrack, size: int = SIZE) -> list[np.ndarray]:
    """The tracked crop of a read recording, (size, size, 3) a frame."""
    squares = tracked(np.asarray(track.box, float), track.width, track.height, RATE)
    out = []
    for frame, (x, y, side) in zip(frames, squares.round().astype(int), strict=True):
        part = frame[y : y + side, x : x + side]
        out.append(cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA))
    return out


def beside(source: faces.FaceTrack, small: faces.FaceTrack) -> dict[str, float]:
    """Correlation of each coefficient over the frames both found, and how much jaw_open moves in the source."""
    person = faces.person_of([source])
    one, two = faces.coefficients(source, person), faces.coefficients(small, person)
    both = source.found & small.found
    found = {name: np.corrcoef(one.column(name)[both, 0], two.column(name)[both, 0])[0, 1] for name in NAMES}
    return {**found, "sd": float(np.std(one.column("jaw_open")[both, 0])), "frames": int(both.sum())}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.small_faces", description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, required=True, help="a folder of recordings with one face each")
    rows = []
    for path in sorted(parser.parse_args().clips.iterdir()):
        if path.suffix.lower() in KINDS:
            frames = list(iter_video(path, RATE, end=SECONDS))
            source = faces.read_frames(frames)
            small = faces.read_frames(cropped(frames, source))
            rows.append({"clip": path.name, **beside(source, small)})
    print(tabulate(rows, headers="keys", floatfmt=".3f", tablefmt="github"))
    print(json.dumps({row["clip"]: round(float(row["jaw_open"]), 3) for row in rows}))


if __name__ == "__main__":
    main()
