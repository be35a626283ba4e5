"""How well faces of 64 px crops are read: `python -m benchmarks.small_faces [--clips DIR]`.

With clips: the first seconds of each are read as they are and as a tracked crop of 64 pixels; correlations over frames.
Without: test dialogues of the synthetic world against the coefficients they were drawn from, and a frozen face.
"""

import argparse
import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
from safetensors.numpy import load_file
from tabulate import tabulate

import faces
from dyads.contract import ROLES, read_manifest
from dyads.media.video import iter_video, read_video, write_video
from dyads.synthetic.coefficients import INDEX
from dyads.synthetic.world import WorldOptions, write_world
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


def frozen(folder: Path, frame: np.ndarray) -> float:
    """The largest variance of any coefficient over two seconds of one picture, after the codec."""
    write_video(folder / "still.mp4", np.repeat(frame[None], 50, 0), None)
    return float(faces.coefficients(faces.read(folder / "still.mp4")).values.var(0).max())


def drawn(dialogues: int = 8) -> dict[str, float]:
    """Pooled r and the median r of a recording with the drawn truth, printed; pooled r by name."""
    names = [name for name in faces.NAMES if name in INDEX]
    read, true, still = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder) / "world"
        write_world(world, WorldOptions(train=0, test=dialogues, size=SIZE))
        for dyad in read_manifest(world):
            told = load_file(dyad.truth_path)
            for role in ROLES:
                frames = read_video(dyad.side(role).video)
                read.append(faces.coefficients(faces.read_frames(frames)).column(*names))
                true.append(np.asarray(told[f"{role}_coefficients"])[:, [INDEX[name] for name in names]])
                still.append(frozen(Path(folder), frames[0]) if len(still) < 4 else 0.0)
    pooled, rows = {}, []
    for k, name in enumerate(names):
        pairs = [(a[:, k], b[:, k]) for a, b in zip(read, true, strict=True)]
        moving = [(a, b) for a, b in pairs if b.std() > 0.01]
        about = [(a - a.mean(), b - b.mean()) for a, b in pairs]  # what a recording's own neutral is worth
        pooled[name], centred = (
            float(np.corrcoef(*map(np.concatenate, zip(*x, strict=True)))[0, 1]) for x in (pairs, about)
        )
        each = float(np.median([np.corrcoef(a, b)[0, 1] for a, b in moving]))
        row = {"name": name, "pooled r": pooled[name], "about each recording's mean": centred}
        rows.append({**row, "median r of a recording": each, "recordings in which it moves": len(moving)})
    print(tabulate(rows, headers="keys", floatfmt=".3f", tablefmt="github"))
    print(f"{len(read)} recordings; a frozen face: variance up to {max(still):.1e}")
    return pooled | {"frozen": max(still)}


def of_clips(folder: Path) -> dict[str, float]:
    """The clips' table, printed; r of the opening by clip."""
    rows = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in KINDS:
            frames = list(iter_video(path, RATE, end=SECONDS))
            source = faces.read_frames(frames)
            small = faces.read_frames(cropped(frames, source))
            rows.append({"clip": path.name, **beside(source, small)})
    print(tabulate(rows, headers="keys", floatfmt=".3f", tablefmt="github"))
    return {row["clip"]: float(row["jaw_open"]) for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.small_faces", description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, help="a folder of recordings with one face each")
    clips = parser.parse_args().clips
    found = drawn() if clips is None else of_clips(clips)
    print(json.dumps({name: float(f"{value:.3g}") for name, value in found.items()}))


if __name__ == "__main__":
    main()
