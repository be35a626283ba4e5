"""Ours beside the peers on the same clips, with the same weights, in one run: `python -m benchmarks.metrics`.

Ours decodes every video once and computes all values: FID, FVD, SSIM, PSNR, LPIPS, LSE. The peers run one after
another as their users run them: pytorch-fid on dumped frames, scikit-image and lpips frame by frame, syncnet-python on
folders of JPEG files, cd-fvd on arrays. Each side is a process of its own; seconds run from loading the network to the
last value, without imports. Decoding is by the suite's reader on both sides, so that the pixels are equal.

`outside` is what is left of the seconds without loading weights and without the networks' own forward passes.
`frechet` is the step from 256 x 2,048 features to FID, by `benchmarks.frechet`. `cpu_` ratios are of processor times,
which hold also on a busy machine.
Weights are random, so the values mean nothing; their relative differences say whether both sides compute the same
(cd-fvd divides covariances by N, and syncnet-python reads JPEG files).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.metric_clips import ALEXNET, INCEPTION, MEASURED, Setting, write_clips, write_weights
from benchmarks.report import show
from dyads.errors import ConfigError, run_cli
from evaluation.networks.i3d import WINDOW
from evaluation.networks.inception import STRIDE

OURS = "ours"
CLOCKS = ("wall", "cpu")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def child(folder: Path, setting: Setting, *command: str) -> dict:
    """The JSON of a child's last line; it finds weights where packages look for downloaded ones, and threads as set."""
    environment = os.environ | {name: str(setting.threads) for name in THREADS} | {"TORCH_HOME": str(folder / "torch")}
    done = subprocess.run([sys.executable, "-m", *command], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise ConfigError(f"{' '.join(command[:2])} failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def prepare(folder: Path, setting: Setting) -> None:
    """Clips, weights, and the weights again where torch.hub keeps its downloads."""
    write_clips(folder, setting)
    write_weights(folder / "weights", setting.peers)
    downloads = folder / "torch" / "hub" / "checkpoints"
    downloads.mkdir(parents=True)
    for name in (INCEPTION, ALEXNET):
        (downloads / name).symlink_to(folder / "weights" / name)
    (folder / "setting.json").write_text(json.dumps(asdict(setting)))


def outside(told: dict, clock: str) -> float:
    return told["seconds"][clock] - told["loading"].get(clock, 0.0) - told["network"].get(clock, 0.0)


def line(name: str, told: dict) -> dict:
    return {
        "side": name,
        "s": told["seconds"]["wall"],
        "loading s": told["loading"].get("wall", 0.0),
        "networks s": told["network"].get("wall", 0.0),
        "outside s": outside(told, "wall"),
        "cpu s": told["seconds"]["cpu"],
        "peak MiB": told["peak_mib"],
    }


def compared(ours: dict, peers: dict[str, dict]) -> dict:
    """Ratios peers over ours; of values that both have, relative differences."""
    figures: dict = {}
    for clock in CLOCKS:
        prefix = "" if clock == "wall" else f"{clock}_"
        total, network = (sum(told[key].get(clock, 0.0) for told in peers.values()) for key in ("seconds", "network"))
        figures[f"{prefix}total_ratio"] = round(total / ours["seconds"][clock], 2)
        others = sum(outside(told, clock) for told in peers.values())
        figures[f"{prefix}outside_ratio"] = round(others / outside(ours, clock), 2)
        mine = ours["network"].get(clock, 0.0)
        figures[f"{prefix}network_ratio"] = round(network / mine, 2) if mine else None
    figures["memory_ratio"] = round(max(told["peak_mib"] for told in peers.values()) / ours["peak_mib"], 2)
    values = {name: value for told in peers.values() for name, value in told["values"].items()}
    gaps = {name: abs(ours["values"][name] - value) / abs(value) for name, value in values.items()}
    figures["peers_gave_up_on"] = [name for peer in peers for name in MEASURED[peer] if name not in values]
    figures["relative_difference"] = {name: float(f"{gap:.2g}") for name, gap in gaps.items()}
    figures["samples"] = {name: told["samples"] for name, told in {OURS: ours, **peers}.items() if told["samples"]}
    figures["seconds"] = {name: round(told["seconds"]["wall"], 2) for name, told in {OURS: ours, **peers}.items()}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("clips", "frames", "size", "threads"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Setting, name))
    parser.add_argument("--peers", nargs="+", choices=MEASURED, default=list(MEASURED), help="and the same of ours")
    parser.add_argument("--frechet", type=int, nargs=2, default=(256, 2048), metavar=("SAMPLES", "DIMENSIONS"))
    arguments = vars(parser.parse_args())
    samples, dimensions = map(str, arguments.pop("frechet"))
    setting = Setting(**arguments | {"peers": tuple(arguments["peers"])})
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        prepare(folder, setting)
        for name in (OURS, *setting.peers):
            found[name] = child(folder, setting, "benchmarks.metric_sides", name, str(folder))
            print(f"{name}: {found[name]['seconds']['wall']:.1f} s", file=sys.stderr, flush=True)
        size = ("--samples", samples, "--dimensions", dimensions, "--threads", str(setting.threads))
        frechet = child(folder, setting, "benchmarks.frechet", *size)
    rows = [line(name, told) for name, told in found.items()]
    total = {key: sum(row[key] for row in rows[1:]) for key in rows[0] if key.endswith("s") and key != "side"}
    rows.append({"side": "peers together", **total, "peak MiB": max(row["peak MiB"] for row in rows[1:])})
    figures = compared(found.pop(OURS), found) | asdict(setting)
    figures |= {"frechet_ratio": frechet["ratio"], "cpu_frechet_ratio": frechet["cpu_ratio"]}
    figures["frechet"] = {key: frechet[key] for key in ("samples", "dimensions", "ours_ms", "pytorch_fid_s")}
    title = f"{setting.clips} clips of {setting.frames} frames, {setting.size} px, {setting.threads} thread(s)"
    show(f"{title}; FID on every {STRIDE}th frame, FVD on the first {WINDOW}, all else on all", rows, figures)


if __name__ == "__main__":
    run_cli(main)
