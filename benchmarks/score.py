"""`evaluation.score` beside pytorch-fid, scikit-image, lpips and syncnet-python one after the other, on the same files:
`python -m benchmarks.score`.

Ours is the whole command in a process of its own: imports, readings, tables and page included, with the metrics that
those packages have. Theirs are the sides of `benchmarks.metrics`, whose seconds leave imports out; syncnet-python is
given crops of the right size and the sound as files, so neither its face detection nor FFmpeg counts. Ours tells
LSE of the true videos too (the row "ground truth" of every table), so it is asked for both; `alone` are the shares of
what the packages take without it. Both sides have the same number of threads: ours as worker processes, theirs as
threads within a network. Then ours for a second system: in another run, with the first one's cache, and in one run
with the first, with a cache of its own, where LPIPS sees the true videos once.

Weights are random, so the values mean nothing, but both sides must give the same ones: `relative_difference` (ours
tells no FID of fewer frames than dimensions; its features are read all the same).
`--kept DIR` keeps files and figures, and the same command goes on where it was stopped: `--minutes` starts no further
side after so many. Without it all is done in one go.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from benchmarks.metric_clips import WEIGHTS, Setting
from benchmarks.metrics import THREADS, child, prepare
from benchmarks.report import show
from dyads.errors import ConfigError, run_cli
from dyads.files import write_json
from dyads.media.video import read_audio, read_video, write_video, write_wav

PEERS = ("pytorch-fid", "scikit-image", "lpips", "syncnet-python")
SLOTS = {"pytorch-fid": "inception", "lpips": "lpips", "syncnet-python": "syncnet"}
FIRST, SECOND, BOTH = "evaluation.score", "a second system, later", "both systems at once"
# The command, which would refuse random weights by their digests
SCORE = (
    "import sys; from reporting.score import __main__, folders; folders.verified = lambda *given: None; "
    "sys.exit(__main__.main())"
)
METRICS = ("psnr", "ssim", "perceptual", "fid", "sync")
VALUES = {  # of the packages, as ours calls them
    "psnr": ("psnr", "frame"), "ssim": ("ssim", "frame"), "lpips": ("lpips", "frame"), "fid": ("fid", "frame"),
    "lse_d": ("lse_d_whole", "whole"), "lse_c": ("lse_c_whole", "whole"),
}  # fmt: skip


def make_files(folder: Path, setting: Setting) -> None:
    """Videos with their sound inside, the sound again as packages want it, and a second system: coarser videos."""
    prepare(folder, setting)
    for name in setting.names:
        sound = read_audio(folder / "true" / f"{name}.wav")
        for side, source, crf in (("second", "generated", 30), ("generated", "generated", 16), ("true", "true", 12)):
            write_video(folder / side / f"{name}.mp4", read_video(folder / source / f"{name}.mp4"), sound, crf=crf)
        wanted = setting.frames * 640
        heard = read_audio(folder / "generated" / f"{name}.mp4")
        write_wav(folder / "true" / f"{name}.wav", np.pad(heard, (0, max(0, wanted - len(heard))))[:wanted])


def scored(folder: Path, setting: Setting, *systems: str, cache: str = "cache") -> dict:
    """Seconds and, of the first system, values of the command. ConfigError if it fails."""
    weights = {SLOTS[peer]: str(folder / "weights" / WEIGHTS[peer]) for peer in setting.peers if peer in SLOTS}
    out = folder / f"out_{'_'.join(systems)}"
    command = [sys.executable, "-c", SCORE, "--true", str(folder / "true")]
    command += [word for system in systems for word in ("--generated", str(folder / system))]
    command += ["--out", str(out), "--cache", str(folder / cache), "--workers", str(setting.threads)]
    command += ["--weights", json.dumps(weights), "--metrics", *METRICS]
    environment = os.environ | dict.fromkeys(THREADS, "1")
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=said)
        cpu = processor_seconds(psutil.Process(done.pid))
        wall = time.perf_counter() - start
        if done.wait():
            said.seek(0)
            raise ConfigError(f"evaluation.score failed: {(said.read().strip().splitlines() or ['no word'])[-1]}")
    rows = pd.read_csv(out / "rows.csv")
    means = rows[rows["method"] == systems[0]].groupby(["metric", "part"])["value"].mean()
    values = {name: float(means[key]) for name, key in VALUES.items() if np.isfinite(means.get(key, np.nan))}
    return {"seconds": {"wall": wall, "cpu": cpu}, "values": values}


def processor_seconds(process: psutil.Process) -> float:
    """Of a process and all below it, once it is over; workers of a server are nobody's to wait for, so they are asked
    while they live."""
    seconds: dict[int, float] = {}
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        for each in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                times = each.cpu_times()
                seconds[each.pid] = times.user + times.system
        time.sleep(0.2)
    return sum(seconds.values())


def packaged(folder: Path, setting: Setting, peer: str) -> dict:
    """Processor seconds of a peer's network threads count too, as the clock of its process does."""
    told = child(folder, setting, "benchmarks.metric_sides", peer, str(folder))
    return {key: told[key] for key in ("seconds", "values", "sides")}


def compared(found: dict[str, dict]) -> dict:
    """Shares of time, and of each value the relative difference."""
    figures: dict = {"seconds": {name: told["seconds"] for name, told in found.items()}}
    for clock in ("wall", "cpu"):
        theirs = sum(found[peer]["seconds"][clock] for peer in PEERS)
        alone = theirs - found["syncnet-python"]["sides"]["true"][clock]
        first, second, both = (found[name]["seconds"][clock] for name in (FIRST, SECOND, BOTH))
        figures[f"{clock}_share_of_peers"] = round(first / theirs, 3)
        figures[f"{clock}_share_of_peers_alone"] = round(first / alone, 3)
        figures[f"{clock}_second_system_share"] = round((both - first) / first, 3)
        figures[f"{clock}_second_system_later_share"] = round(second / first, 3)
    theirs = {name: value for peer in PEERS for name, value in found[peer]["values"].items()}
    mine = found[FIRST]["values"]
    gaps = {name: abs(mine[name] - theirs[name]) / abs(theirs[name]) for name in mine if name in theirs}
    return figures | {"relative_difference": {name: float(f"{gap:.2g}") for name, gap in gaps.items()}}


def measured(folder: Path, setting: Setting, minutes: float) -> dict[str, dict]:
    """Each side's figures; those that a folder holds are not measured again."""
    kept, begun = folder / "figures.json", time.monotonic()
    found: dict[str, dict] = json.loads(kept.read_text()) if kept.is_file() else {}
    if found.get("setting", asdict(setting)) != json.loads(json.dumps(asdict(setting))) and found:
        raise ConfigError(f"--kept {folder} holds files of other options; give another folder.")
    sides: dict[str, Callable[[], dict]] = {
        "files": lambda: make_files(folder, setting) or {},
        FIRST: lambda: scored(folder, setting, "generated"),
        BOTH: lambda: scored(folder, setting, "generated", "second", cache="other_cache"),
        SECOND: lambda: scored(folder, setting, "second"),
        **{peer: lambda peer=peer: packaged(folder, setting, peer) for peer in PEERS},
    }
    for name, measure in sides.items():
        if name not in found:
            if time.monotonic() - begun > 60 * minutes:
                print(f"{name} and what follows are left for the same command again", file=sys.stderr)
                sys.exit(3)
            found[name] = measure()
            seconds = found[name].get("seconds", {}).get("wall", time.monotonic() - begun)
            print(f"{name}: {seconds:.1f} s", file=sys.stderr, flush=True)
            write_json(kept, {"setting": asdict(setting), **found})
    return {name: told for name, told in found.items() if "seconds" in told}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--frames", type=int, default=250)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2, help="of both sides (default 2)")
    parser.add_argument("--kept", type=Path, metavar="DIR", help="keep files and figures here, and go on from them")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no side after so many")
    given = vars(parser.parse_args())
    folder, minutes = given.pop("kept"), given.pop("minutes")
    setting = Setting(**given, peers=PEERS, lse_sides=("generated", "true"))
    with contextlib.ExitStack() as stack:
        found = measured(folder or Path(stack.enter_context(tempfile.TemporaryDirectory())), setting, minutes)
    rows = [
        {"side": name, "s": told["seconds"]["wall"], "cpu s": told["seconds"]["cpu"]} for name, told in found.items()
    ]
    title = f"{setting.clips} pairs of {setting.frames} frames, {setting.size} px, {setting.threads} thread(s)"
    show(f"{title}: {', '.join(METRICS)}", rows, compared(found))


if __name__ == "__main__":
    run_cli(main)
