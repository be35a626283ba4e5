"""CPU seconds and memory of encode, generate, evaluate and gather over dialogues: `python -m benchmarks.dialogues`.

Tiny dialogues in shards of 80, one job each: ten times the dialogues may cost ten times the work and a little, and no
job more memory. Dialogues are links to a few drawn ones under names and people of their own; networks are untrained.
Numbers of dialogues below a shard cost mostly the start of one process.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from benchmarks.report import show
from dyads.manifest import write_manifest
from dyads.synthetic.world import WorldOptions, write_world
from echo_model.backbones.vae import FaceVAE, VAEOptions
from evaluation.probes.image import ImageProbe
from evaluation.probes.motion import MotionProbe
from evaluation.probes.store import save_probe
from training.engine.weights import save_weights

ROOT = Path(__file__).resolve().parents[1]
SHARD = 80
DRAWN = 2
STAGES = ("encode", "generate", "evaluate", "gather")


def make_data(folder: Path, base: Path, dialogues: int) -> None:
    """A data folder of so many test dialogues, hard links to the drawn ones."""
    with open(base / "manifest.csv", encoding="utf-8", newline="") as file:
        drawn = list(csv.DictReader(file))
    rows = []
    for number in range(dialogues):
        name, source = f"t{number:06d}", f"test_{number % DRAWN:04d}"
        (folder / "test" / name).mkdir(parents=True)
        for path in (base / "test" / source).iterdir():
            os.link(path, folder / "test" / name / path.name)
        for row in drawn:
            if row["dyad_id"] == source:
                places = {key: row[key].replace(source, name) for key in ("video", "audio")}
                rows.append({**row, **places, "dyad_id": name, "subject_id": f"{row['role']}{number}"})
    write_manifest(folder, rows)


def networks(folder: Path) -> None:
    """Untrained ones: what they cost does not depend on what they learned."""
    torch.manual_seed(0)
    options = VAEOptions(size=32)
    save_weights(folder / "vae.safetensors", FaceVAE(options).eval(), {"options": vars(options)})
    save_probe(folder / "probes/motion.safetensors", MotionProbe(32, 4), "motion", {"size": 32, "width": 4}, {})
    save_probe(folder / "probes/image.safetensors", ImageProbe(32, 2), "image", {"size": 32, "subjects": 2}, {})


def job(*arguments: str) -> tuple[float, float]:
    """CPU seconds and peak MiB of one stage's job."""
    process = subprocess.Popen([sys.executable, "-m", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL,
                               env={**os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(arguments)} failed")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def measure(scratch: Path, dialogues: int) -> dict[str, tuple[float, float]]:
    """Stage -> CPU seconds of all shards, and the most MiB of one."""
    data, made = scratch / f"data{dialogues}", scratch / f"made{dialogues}"
    make_data(data, scratch / "base", dialogues)
    probes, vae = str(scratch / "probes"), str(scratch / "vae.safetensors")
    shards = -(-dialogues // SHARD)
    found = {stage: (0.0, 0.0) for stage in STAGES}
    where = ["--data", str(data)]
    row = ["--method", "truth", "--class", "baselines.controls:GroundTruth", "--backbones", "{}", "--seed", "0"]
    for number in range(1, shards + 1):
        cut = ["--shard", f"{number}-of-{shards}"] if shards > 1 else []
        commands = {
            "encode": ["echo_model.commands.encode", *where, "--vae", vae, "--out", str(made / "features"), *cut],
            "generate": ["training.generate", *row, *where, "--features", str(made / "features"), "--weights",
                         str(data / "manifest.csv"), "--out", str(made / "videos"), *cut],
            "evaluate": ["evaluation.run", "--method", "truth", "--videos", str(made / "videos"), *where, "--probes",
                         probes, "--out", str(made / f"metrics/{number}.csv"), *cut],
        }  # fmt: skip
        for stage, command in commands.items():
            seconds, memory = job(*command)
            found[stage] = found[stage][0] + seconds, max(found[stage][1], memory)
    if shards > 1:
        parts = [str(made / f"metrics/{number}.csv") for number in range(1, shards + 1)]
        found["gather"] = job("evaluation.readings.gather", "--parts", *parts, "--out", str(made / "metrics/all.csv"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dialogues", description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[16, 160, 1600])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        scratch = Path(place)
        write_world(scratch / "base", WorldOptions(train=0, test=DRAWN, size=32, seconds=(4.0, 4.1)), progress=False)
        networks(scratch)
        found = {count: measure(scratch, count) for count in args.counts}
    rows, figures = [], {}
    for before, count in zip([None, *args.counts], args.counts, strict=False):
        for stage in STAGES:
            seconds, memory = found[count][stage]
            if not seconds:
                continue
            line = {"dialogues": count, "stage": stage, "CPU seconds": seconds, "peak MiB of a job": memory}
            if before and found[before][stage][0]:
                more = found[before][stage]
                figures[f"{stage}_{count}_cpu_ratio"] = round(seconds / more[0] / (count / before) * 10, 2)
                figures[f"{stage}_{count}_memory_ratio"] = round(memory / more[1], 3)
                line |= {"times per tenfold": figures[f"{stage}_{count}_cpu_ratio"]}
            rows.append(line)
    show(f"Dialogues in shards of {SHARD}", rows, figures)


if __name__ == "__main__":
    main()
