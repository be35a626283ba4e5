"""Recordings adapted a CPU second, and memory, beside the adapter of an earlier commit: `python -m benchmarks.adapt`.

Both sides adapt the same 1080p recordings to 64 px in processes of their own, ours with the head followed, the
earlier one with its fixed square. Then both at two minutes of 720p for memory, and ours at both numbers of `--long`
minutes. The earlier code is taken out of the repository (`git archive`), so a clone with its history is needed. CPU
seconds count both sides of one dialogue, decoding to manifest. Lengths are multiples of ten seconds.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from benchmarks.report import show
from dyads.errors import ConfigError, run_cli
from dyads.media.containers import SAMPLE_RATE
from dyads.media.writer import VideoWriter
from dyads.synthetic.drawing.render import render_frames
from dyads.synthetic.world import generate_dialogue

EARLIER = "b3a32c1"
ROOT = Path(__file__).resolve().parents[1]
TELL = (
    "import json,resource,runpy,sys,time\n"
    "sys.argv=sys.argv[1:]\n"
    "try: runpy.run_module(sys.argv[0],run_name='__main__',alter_sys=True)\n"
    "except SystemExit as e:\n"
    "    if e.code: raise\n"
    "peak=[l for l in open('/proc/self/status') if l.startswith('VmHWM')][0].split()[1]\n"
    "print(json.dumps({'cpu':time.process_time(),'peak_mib':int(peak)/1024}))\n"
)


def write_recording(path: Path, height: int, seconds: float, role: str, fps: int = 30) -> None:
    """A talking face before a grainy, slowly moving room, 16:9; its ten seconds come again and again."""
    part = path.with_suffix(".part.mp4")
    dialogue = generate_dialogue(0, "train", 0, (10.0, 10.0))
    width, side = height * 16 // 9 // 2 * 2, height * 5 // 9 // 2 * 2
    values = dialogue.faces.user if role == "user" else dialogue.faces.avatar
    faces = render_frames(dialogue.identity[role], values, side, 0)
    grain = np.random.default_rng(0).integers(-12, 12, (height, width * 2, 3), np.int16)
    room = (np.linspace(90, 150, width * 2)[None, :, None] + grain).clip(0, 255).astype(np.uint8)
    once = min(seconds, 10.0)
    with VideoWriter(part, height, width, fps, crf=20, sound=False) as writer:
        for frame in range(round(once * fps)):
            shift = frame % width
            picture = room[:, shift : shift + width].copy()
            left = (width - side) // 2 + round(0.05 * width * np.sin(2 * np.pi * frame / (5 * fps)))
            picture[height - side :, left : left + side] = faces[round(frame * 25 / fps) % len(faces)]
            writer.write(picture)
        writer.finish()
    again(part, path, round(seconds / once), np.resize(dialogue.sound[role], round(seconds * SAMPLE_RATE)))
    part.unlink()


def again(part: Path, path: Path, times: int, sound: np.ndarray) -> None:
    """A video's packets so many times, none coded anew, and its sound (N,) at 16 kHz."""
    with av.open(str(path), "w") as out:
        with av.open(str(part)) as source:
            stream = source.streams.video[0]
            copy, length = out.add_stream_from_template(stream), stream.duration
            voice = out.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        for turn in range(times):
            with av.open(str(part)) as source:
                for packet in source.demux(source.streams.video[0]):
                    if packet.dts is not None:
                        packet.pts, packet.dts = packet.pts + turn * length, packet.dts + turn * length
                        packet.stream = copy
                        out.mux(packet)
        for first in range(0, len(sound), 1024):
            frame = av.AudioFrame.from_ndarray(sound[None, first : first + 1024].astype(np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, first, Fraction(1, SAMPLE_RATE)
            out.mux(voice.encode(frame))
        out.mux(voice.encode(None))


def write_pairs(folder: Path, name: str, height: int, seconds: float) -> Path:
    for role in ("user", "avatar"):
        write_recording(folder / f"{name}_{role}.mp4", height, seconds, role)
    pairs = folder / f"{name}.csv"
    pairs.write_text(
        f"dyad_id,split,user_video,avatar_video,user_id,avatar_id\n{name},train,{name}_user.mp4,{name}_avatar.mp4,a,b\n"
    )
    return pairs


def earlier_tree(folder: Path, commit: str) -> Path:
    """The earlier commit's code. `ConfigError` without it."""
    done = subprocess.run(["git", "-C", str(ROOT), "archive", commit, "dyads"], capture_output=True)
    if done.returncode:
        raise ConfigError(f"commit {commit} is not in this clone: {done.stderr.decode().strip()}; fetch the history.")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def adapted(tree: Path, module: str, pairs: Path, out: Path, options: dict) -> dict[str, float]:
    """CPU seconds and peak memory of an adapter's own process."""
    command = [
        sys.executable,
        "-c",
        TELL,
        module,
        "--pairs",
        str(pairs),
        "--out",
        str(out),
        "--options",
        json.dumps(options),
    ]
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    done = subprocess.run(
        command, cwd=tree, capture_output=True, text=True, env=os.environ | threads | {"PYTHONPATH": ""}
    )
    if done.returncode:
        raise ConfigError(f"{module} failed: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of the 1080p recordings (default 60)")
    parser.add_argument("--memory-seconds", type=float, default=120.0, help="of the 720p recordings (default 120)")
    parser.add_argument("--long", type=float, nargs=2, default=(1.0, 60.0), metavar="MINUTES", help="for flat memory")
    parser.add_argument("--long-height", type=int, default=144, help="lines of the long recordings (default 144)")
    given = parser.parse_args()
    ours, earlier = "dyads.adapters.folder", "dyads.folder"
    rows, figures = [], {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        before = earlier_tree(folder / "earlier", EARLIER)
        tracked = {"size": 64, "crop": "tracked"}
        cases = (("1080p", 1080, given.seconds), ("720p", 720, given.memory_seconds))
        for name, height, seconds in cases:
            pairs = write_pairs(folder, name, height, seconds)
            for side, tree, module, options in (
                ("ours, tracked", ROOT, ours, tracked),
                (f"{EARLIER}, fixed", before, earlier, {"size": 64}),
            ):
                told = adapted(tree, module, pairs, folder / f"{name}-{module}", options)
                rows.append({"recordings": name, "seconds": seconds, "side": side, **told})
                figures[f"{name}_{'ours' if side.startswith('ours') else 'earlier'}"] = told
        for minutes in given.long:
            name = f"{minutes:g} min"
            pairs = write_pairs(folder, f"long{minutes:g}", given.long_height, 60 * minutes)
            told = adapted(ROOT, ours, pairs, folder / name, tracked)
            rows.append({"recordings": name, "seconds": 60 * minutes, "side": "ours, tracked", **told})
            figures[name] = told
    figures["speed_ratio"] = round(figures["1080p_earlier"]["cpu"] / figures["1080p_ours"]["cpu"], 2)
    figures["memory_ratio"] = round(figures["720p_ours"]["peak_mib"] / figures["720p_earlier"]["peak_mib"], 3)
    first, last = (figures[f"{minutes:g} min"]["peak_mib"] for minutes in given.long)
    figures["memory_growth_mib"] = round(last - first, 1)

    show("Adapting one dialogue (both sides) to 64 px, one thread", rows, figures)


if __name__ == "__main__":
    run_cli(main)
