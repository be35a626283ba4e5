"""`evaluation.score` beside pytorch-fid, scikit-image, lpips and syncnet-python one after the other, on the same files:
`python -m benchmarks.score`.

Ours is the whole command in a process of its own, imports, readings, tables and page included, with the metrics that
those packages have; theirs are the sides of `benchmarks.metrics`, whose seconds leave imports out. Then ours for a
second system: with the first one's cache in another run, and as a further system of the same run. Weights are random,
so the values mean nothing. Processor seconds hold on a busy machine.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.metric_clips import WEIGHTS, Setting
from benchmarks.metrics import THREADS, child, prepare
from benchmarks.report import show
from dyads.errors import ConfigError, run_cli
from dyads.media.video import read_audio, read_video, write_video

PEERS = ("pytorch-fid", "scikit-image", "lpips", "syncnet-python")
SLOTS = {"pytorch-fid": "inception", "lpips": "lpips", "syncnet-python": "syncnet"}
# The command, which would refuse random weights by their digests
SCORE = (
    "import sys; from reporting.score import __main__, folders; folders.verified = lambda *given: None; "
    "sys.exit(__main__.main())"
)
METRICS = ("psnr", "ssim", "perceptual", "fid", "sync")


def with_sound(folder: Path, setting: Setting) -> None:
    """Videos with their sound inside, and a second system: the first one's videos coded more coarsely."""
    for name in setting.names:
        sound = read_audio(folder / "true" / f"{name}.wav")
        for side, source, crf in (("second", "generated", 30), ("generated", "generated", 16), ("true", "true", 12)):
            write_video(folder / side / f"{name}.mp4", read_video(folder / source / f"{name}.mp4"), sound, crf=crf)


def scored(folder: Path, setting: Setting, out: str, systems: tuple[str, ...], cache: str) -> dict[str, float]:
    """Wall and processor seconds of the command. ConfigError if it fails."""
    weights = {SLOTS[peer]: str(folder / "weights" / WEIGHTS[peer]) for peer in setting.peers if peer in SLOTS}
    command = [sys.executable, "-c", SCORE, "--true", str(folder / "true"), "--out", str(folder / out)]
    command += [word for system in systems for word in ("--generated", str(folder / system))]
    command += ["--cache", str(folder / cache), "--weights", json.dumps(weights), "--metrics", *METRICS]
    environment = os.environ | {name: str(setting.threads) for name in THREADS}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise ConfigError(f"evaluation.score failed: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    return {"wall": wall, "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--frames", type=int, default=250)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    setting = Setting(**vars(parser.parse_args()), peers=PEERS)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        prepare(folder, setting)
        with_sound(folder, setting)
        found = {
            "evaluation.score": scored(folder, setting, "first", ("generated",), "cache"),
            "a second system, with its cache": scored(folder, setting, "second_out", ("second",), "cache"),
            "both systems in one run": scored(folder, setting, "both", ("generated", "second"), "other_cache"),
        }
        peers = {name: child(folder, setting, "benchmarks.metric_sides", name, str(folder)) for name in PEERS}
    found |= {name: told["seconds"] for name, told in peers.items()}
    first, second, both = list(found.values())[:3]
    figures = {"seconds": {name: {k: round(v, 1) for k, v in told.items()} for name, told in found.items()}}
    for clock in ("wall", "cpu"):
        theirs = sum(told["seconds"][clock] for told in peers.values())
        figures[f"{clock}_share_of_peers"] = round(first[clock] / theirs, 3)
        figures[f"{clock}_second_run_share"] = round(second[clock] / first[clock], 3)
        figures[f"{clock}_second_system_share"] = round((both[clock] - first[clock]) / first[clock], 3)
    rows = [{"side": name, "s": told["wall"], "cpu s": told["cpu"]} for name, told in found.items()]
    title = f"{setting.clips} pairs of {setting.frames} frames, {setting.size} px, {setting.threads} thread(s)"
    show(f"{title}: {', '.join(METRICS)}", rows, figures)


if __name__ == "__main__":
    run_cli(main)
