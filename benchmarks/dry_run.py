"""Time and memory of planning a large study: `python -m benchmarks.dry_run`, on one core.

36,000 dialogues in shards of 256 through all rows of profile `paper`: a tree of recordings is made, and Snakemake's dry
run of everything is timed in a process of its own, as a user calls it.
"""

import argparse
import csv
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import show

ROOT = Path(__file__).resolve().parents[1]
TEST_EVERY = 10  # of the dialogues, one in so many is for testing
COLUMNS = ("dyad_id", "split", "user_video", "avatar_video", "user_id", "avatar_id")


def make_tree(folder: Path, dialogues: int) -> Path:
    """Recordings of so many dialogues, empty ones, and the pairs file that names them."""
    pairs = folder / "pairs.csv"
    with open(pairs, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(dialogues):
            name, split = f"d{number:06d}", "train" if number % TEST_EVERY else "test"
            place = folder / f"session{number // 1000:03d}"
            place.mkdir(exist_ok=True)
            videos = [place / f"{name}_{role}.mp4" for role in ("user", "avatar")]
            for video in videos:
                video.touch()
            people = [f"{split}{(number + k) % (dialogues // 4 + 2)}" for k in (0, 1)]
            writer.writerow([name, split, *(video.relative_to(folder) for video in videos), *people])
    return pairs


def plan(folder: Path, pairs: Path, shard: int, profile: str) -> tuple[int, str]:
    """Exit code and output of the dry run."""
    config = {
        "profile": profile,
        "results": str(folder / "results"),
        "shards": {"dialogues": shard},
        "dataset": {"kind": "folder", "pairs": str(pairs), "root": str(folder), "root_variable": ""},
    }
    given = folder / "given.yaml"
    given.write_text(json.dumps(config))  # JSON is YAML
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules", "--configfile", str(given)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with open(folder / "plan.txt", "w+", encoding="utf-8") as out:
        code = subprocess.run(command, cwd=ROOT, env=environment, stdout=out, stderr=out).returncode
        out.seek(0)
        return code, out.read()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dry_run", description=__doc__)
    parser.add_argument("--dialogues", type=int, default=36_000)
    parser.add_argument("--shard", type=int, default=256, help="dialogues of one job")
    parser.add_argument("--profile", default="paper")
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        pairs = make_tree(folder, args.dialogues)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        code, text = plan(folder, pairs, args.shard, args.profile)
        seconds = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = re.search(r"^total\s+(\d+)$", text, re.MULTILINE)
    if code or not total:
        print(text[-3000:], file=sys.stderr)
        return code or 1
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    row = {
        "dialogues": args.dialogues,
        "shard": args.shard,
        "jobs": int(total[1]),
        "seconds": seconds,
        "CPU seconds": cpu,
        "peak MiB": after.ru_maxrss / 1024,
    }
    figures = {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "peak_mib": round(after.ru_maxrss / 1024, 1),
        "jobs": int(total[1]),
        "seconds_bound": 15,
        "peak_mib_bound": 1024,
    }
    show(f"Dry run of profile {args.profile}", [row], figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
