"""A small made-up study on disk, with values, tables, models, videos and what they came from."""

import json
from pathlib import Path

from study_rows import ROWS, write_result

from reporting.tables import TableOptions, write_tables


def provenance(seed: int, **more) -> dict:
    return {
        "git_commit": "abc", "git_dirty": False,
        "options": {"train": {"steps": 6, "learning_rate": 0.002}}, "options_hash": "1234", "seed": seed,
        "weights": {"result": "00ff"}, "versions": {"torch": "2.15.0"},
        "hardware": {"cpu": "X", "gpus": []}, "wall_seconds": 3.4, **more,
    }  # fmt: skip


def write_study(folder: Path) -> Path:
    """Two methods, two seeds, with models, videos and tables."""
    files = []
    for method in ("echo", "no_lcu"):
        for seed in (0, 1):
            hard = lambda metric, part, clip: "no_speech" if metric == "psnr" and clip == "b" else 0.5  # noqa: E731
            files.append(write_result(folder / "metrics", method, seed, hard))
            files[-1].with_suffix(".json").write_text(json.dumps(provenance(seed, cpu_seconds=5.0)))
            for place in (f"models/{method}/seed{seed}.json", f"videos/{method}/seed{seed}/provenance.json"):
                (folder / place).parent.mkdir(parents=True, exist_ok=True)
                card = {"card": {"parameters": 10, "train_seconds": 0.2}}
                (folder / place).write_text(json.dumps(provenance(seed, **card)))
            (folder / f"videos/{method}/seed{seed}/a.mp4").write_bytes(b"video")
    write_tables(files, {name: ROWS[name] for name in ("echo", "no_lcu")}, TableOptions(), folder / "tables")
    return folder
