"""Every real clip and ten made of them, right or refused: `python -m benchmarks.clip_table --clips DIR`.

Each is adapted as a user's side: what must hold is that the whole face is inside the crop and the mesh found in the
result, or that one sentence says why not. `made` clips are written into a temporary folder and never kept.
"""

import argparse
import csv
import json
import shutil
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from tabulate import tabulate

import faces
from dyads.adapters.engine.convert import convert
from dyads.adapters.engine.options import AdaptOptions
from dyads.adapters.pairs import Pair, Source
from dyads.errors import DataError
from dyads.media.sound import read_audio
from dyads.media.video import iter_video, write_video

SECONDS = 1.2  # of each
ONE = 1 << 16
KINDS = (".mp4", ".avi", ".mov", ".mkv", ".webm")


def clip(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The first seconds of a recording: frames and sound."""
    frames = np.stack(list(iter_video(path, end=SECONDS)))
    frames = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]
    sound = read_audio(path)[: len(frames) * 640]
    return frames, np.pad(sound, (0, len(frames) * 640 - len(sound)))


def laid(frames: np.ndarray, width: int, height: int, side: int, place) -> np.ndarray:
    """Frames, made `side` high, on a dark wall of width x height; `place`(k) is their left top corner."""
    out = np.full((len(frames), height, width, 3), 70, np.uint8)
    for k, frame in enumerate(frames):
        small = cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA)
        x, y = place(k)
        x0, x1 = max(0, x), min(width, x + side)
        out[k, y : y + side, x0:x1] = small[:, x0 - x : x1 - x]
    return out


def with_matrix(path: Path, matrix: tuple[int, ...]) -> None:
    """Write a display matrix (a, b, u, c, d) into an mp4's track header."""
    content = bytearray(path.read_bytes())
    unit = b"".join(value.to_bytes(4, "big") for value in (ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30))
    place = content.index(unit, content.index(b"tkhd"))
    values = [(value << 16) % (1 << 32) for value in matrix] + [0, 0, 0, 1 << 30]
    content[place : place + 36] = b"".join(value.to_bytes(4, "big") for value in values)
    path.write_bytes(content)


def encoded(path: Path, frames: np.ndarray, sound: np.ndarray, rate: Fraction, *, late: float = 0.0, **kind) -> None:
    """A file by PyAV: `rate`, container and codecs as asked; `late`: seconds by which the sound starts later."""
    options = {"format": kind.get("format")} if kind.get("format") else {}
    target = kind.get("target", str(path))
    with av.open(target, "w", **options) as container:
        video = container.add_stream(kind.get("video", "h264"), rate=rate, options=kind.get("options", {}))
        video.height, video.width, video.pix_fmt = *frames.shape[1:3], kind.get("pix_fmt", "yuv420p")
        audio = container.add_stream(kind.get("audio", "aac"), rate=kind.get("audio_rate", 16000), layout="mono")
        context = video.codec_context
        for name, value in kind.get("colour", {}).items():
            setattr(context, name, value)
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb48le" if picture.dtype == np.uint16 else "rgb24")
            if "colour" in kind:
                frame = frame.reformat(format=video.pix_fmt, dst_colorspace=9, dst_color_range=1)
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        resampler = av.AudioResampler(format=audio.format.name, layout="mono", rate=audio.rate, frame_size=960)
        whole = av.AudioFrame.from_ndarray(sound[None].astype(np.float32), format="fltp", layout="mono")
        whole.sample_rate, whole.pts, whole.time_base = 16000, round(late * 16000), Fraction(1, 16000)
        for piece in (*resampler.resample(whole), *resampler.resample(None)):
            container.mux(audio.encode(piece))
        container.mux(audio.encode(None))


def hlg(frames: np.ndarray) -> np.ndarray:
    """Standard-range frames as HLG codes, uint16, reference white at 203 cd/m2."""
    from dyads.media.colour import LUMA, TO_709

    light = np.clip((frames / 255) ** 2.4 @ np.linalg.inv(TO_709.T), 0, None) * 0.203
    light = light * np.maximum(light @ LUMA, 1e-6)[..., None] ** (1 / 1.2 - 1)
    bright = 0.17883277 * np.log(np.maximum(12 * light - 0.28466892, 1e-9)) + 0.55991073
    return np.rint(65535 * np.where(light <= 1 / 12, np.sqrt(3 * light), bright)).astype(np.uint16)


class Unseekable:
    """A file that can only be written forwards, as a browser's recorder does."""

    def __init__(self, path: Path) -> None:
        self.file = open(path, "wb")

    def write(self, data) -> int:
        return self.file.write(data)


def made(one: Path, other: Path, out: Path) -> dict[str, Path]:
    """Ten clips made of two real ones."""
    frames, sound = clip(one)
    second, _ = clip(other)
    square = np.stack([cv2.resize(f, (512, 512), interpolation=cv2.INTER_AREA) for f in frames])
    found = {
        name: out / name
        for name in (
            *("face of 8 percent.mp4", "turned by its matrix.mp4", "mirrored by its matrix.mp4", "HDR (HLG).mp4"),
            *("WebM without duration.webm", "29.97 fps.mp4", "late sound.mp4", "two faces.mp4", "drifting.mp4"),
            "4K portrait phone.mp4",
        )
    }
    paths = list(found.values())
    write_video(paths[0], laid(square, 1920, 1080, 256, lambda k: (1300, 500)), sound)
    write_video(paths[1], np.ascontiguousarray(np.rot90(square, 1, (1, 2))), sound)
    with_matrix(paths[1], (0, 1, 0, -1, 0))
    write_video(paths[2], np.ascontiguousarray(square[:, :, ::-1]), sound)
    with_matrix(paths[2], (-1, 0, 0, 0, 1))
    colour = {"color_primaries": 9, "color_trc": 18, "colorspace": 9, "color_range": 1}
    hdr = {"video": "libx265", "pix_fmt": "yuv420p10le", "options": {"x265-params": "crf=12:log-level=none"}}
    encoded(paths[3], hlg(square), sound, Fraction(25), colour=colour, **hdr)
    webm = {"format": "webm", "video": "libvpx", "audio": "libopus", "audio_rate": 48000, "options": {"crf": "10"}}
    stream = Unseekable(paths[4])
    encoded(paths[4], square, sound, Fraction(25), target=stream, **webm)
    stream.file.close()
    encoded(paths[5], square, sound, Fraction(30000, 1001))
    encoded(paths[6], square, sound, Fraction(25), late=0.3)
    both = np.concatenate([square, [cv2.resize(f, (512, 512)) for f in second[: len(square)]]], 2)
    write_video(paths[7], both, sound)
    write_video(paths[8], laid(square, 1280, 720, 360, lambda k: (10 + 16 * k, 200)), sound)
    write_video(paths[9], laid(square[:15], 2160, 3840, 1400, lambda k: (300, 900)), sound[: 15 * 640], crf=23)
    return found


def judged(path: Path, out: Path, end: float | None = None, **source) -> dict:
    """What becomes of a recording: right (crop, whole face inside, mesh found in the result) or refused, and why."""
    side = Source("a", path, path, **source)
    try:
        other = Source("b", None, None)
        options = AdaptOptions(size=128, silent_sides="keep", audio_tolerance=1.0)
        told = convert(Pair("x", "test", side, other, end=end), out, options)
    except DataError as error:
        return {"clip": path.name, "outcome": "refused", "inside": "", "found": "", "frames": "", "says": str(error)}
    line = next(line for line in told["report"] if line["role"] == "user")
    track = faces.read(out / "test" / "x" / "user.mp4")
    good = track.coverage > 0.95 and float(line["inside"] or 0) > 0.8
    outcome = "right" if good else "WRONG"
    fields = {"inside": line["inside"], "found": round(track.coverage, 3), "frames": line["frames"]}
    return {"clip": path.name, "outcome": outcome, **fields, "says": f"crop {line['crop']}"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clip_table", description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, required=True, help="a folder of talking faces")
    parser.add_argument("--out", type=Path, help="a CSV of the table")
    args = parser.parse_args()
    clips = sorted(path for path in args.clips.iterdir() if path.suffix in KINDS)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "made").mkdir()
        for path in (*clips, *made(clips[1], clips[2], work / "made").values()):
            rows.append(judged(path, work / "out", SECONDS if path in clips else None))
            print(rows[-1]["clip"], rows[-1]["outcome"], flush=True)
            if path.name == "two faces.mp4":
                for which in ("left", "right"):
                    rows.append({**judged(path, work / "out", which=which), "clip": f"two faces, {which}"})
            shutil.rmtree(work / "out", ignore_errors=True)
    for row in rows:
        row["says"] = row["says"].replace(folder, "").replace(str(args.clips), "").replace("/made/", "").lstrip("/")
    if args.out:
        with open(args.out, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    print(tabulate(rows, headers="keys"))
    counts = {kind: sum(row["outcome"] == kind for row in rows) for kind in ("right", "refused", "WRONG")}
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
