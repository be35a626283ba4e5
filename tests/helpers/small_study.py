"""One profile's results in seconds, for the tests of the report: coded videos, made-up measurements, real tables."""

import json
import shutil
from pathlib import Path
from unittest.mock import patch

import yaml
from clip_factory import make_data, numbered, numbers
from study_rows import write_result

from analysis import claims, people
from dyads.media.video import write_video
from reporting import tables

__all__ = ["make_results", "numbers"]

FRAMES = 120  # 4.8 s; frame k of every video shows the bits of k
CLIPS = ("cat_dan", "eve_fay", "gil_hal")
ROWS = {
    "echo": {"label": "ECHO", "group": "main", "class": "", "seeds": [0, 1, 2]},
    "no_lcu": {"label": "w/o LCU", "group": "ablation", "class": "", "seeds": [0, 1, 2]},
    "dim": {"label": "DIM & Co", "group": "baseline", "class": "", "seeds": [0]},
    "broken": {"label": "Broken", "group": "baseline", "class": "", "seeds": [0]},
    "truth": {"label": "Ground truth", "group": "control", "class": "baselines.controls:GroundTruth", "seeds": [0]},
}
LEVEL = {"echo": 0.7, "no_lcu": 0.4, "dim": 0.5, "truth": 0.9}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def value(method: str, seed: int):
    """Metric values that differ by method, seed and clip; dialogue 0 is worst where higher is better."""

    def of(metric: str, part: str, clip: str) -> float | str:
        if metric.startswith("lse") or metric == "lpips":
            return "weights_missing"
        if method == "dim" and metric == "rpcc":
            return "constant_series"
        place = CLIPS.index(clip) if clip in CLIPS else 1
        base = 0.5 if part.endswith("_truth") else LEVEL[method]
        noise = 0.003 * ((7 * place + 5 * seed + len(method)) % 4)
        return base + 0.01 * place + 0.002 * seed + noise

    return of


def make_results(results: Path) -> Path:
    """`results/<profile>` with data, videos, metrics, tables and claims; row `broken` left nothing."""
    make_data(results / "data/tiny", FRAMES, 64, {"train": ["ann>bob"], "test": [c.replace("_", ">") for c in CLIPS]})
    coded = results / "coded.mp4"
    write_video(coded, numbered(FRAMES, 64), None)
    for method, row in ROWS.items():
        for seed in row["seeds"] if method != "broken" else ():
            make_run(results, method, seed, coded)
    coded.unlink()
    (results / "videos/dim/seed0/gil_hal.mp4").unlink()
    index = results / "videos/dim/seed0/index.csv"
    index.write_text(index.read_text().replace("gil_hal,gil_hal.mp4,120,4.80,ok", "gil_hal,,0,0.00,no_partner"))
    arguments = ["--metrics", str(results / "metrics"), "--rows", json.dumps(ROWS), "--out", str(results / "tables")]
    file = results / "claims.yaml"
    file.write_text(yaml.safe_dump({"claims": made_claims()}))
    with patch.object(people, "LEAST_PEOPLE", len(CLIPS)):  # marks and verdicts of three people, to have some
        tables.main(arguments)
        claims.main(["--metrics", arguments[1], "--claims", str(file), "--out", str(results / "tables")])
    return results


def make_run(results: Path, method: str, seed: int, video: Path) -> None:
    """One run's measurement, provenance and videos."""
    path = write_result(results / "metrics", method, seed, value(method, seed), CLIPS)
    facts = {
        "git_commit": COMMIT,
        "git_dirty": False,
        "options_hash": f"{method}{seed}",
        "seed": seed,
        "method": method,
    }
    facts |= {
        "dataset": "tiny",
        "split": "test",
        "clips": len(CLIPS),
        "frames": FRAMES * len(CLIPS),
        "wall_seconds": 3.2,
    }
    facts |= {"hardware": {"cpu": "a CPU", "cores": 2, "threads": 1, "gpus": []}, "versions": {"python": "3.11"}}
    path.with_suffix(".json").write_text(json.dumps(facts))
    folder = results / "videos" / method / f"seed{seed}"
    folder.mkdir(parents=True)
    for clip in CLIPS:
        shutil.copy(video, folder / f"{clip}.mp4")
    lines = [f"{clip},{clip}.mp4,{FRAMES},{FRAMES / 25:.2f},ok" for clip in CLIPS]
    (folder / "index.csv").write_text("\n".join(["dyad_id,file,frames,seconds,status", *lines, ""]))
    (folder / "provenance.json").write_text(json.dumps({"wall_seconds": 1.5, "weights": {}}))


def made_claims() -> list[dict]:
    """One claim that holds on these values, one that does not, and one about a row that is not there."""
    claim = {"source": "a test", "metric": "ssim", "part": "frame", "kind": "greater", "family": "parts"}
    return [
        claim | {"text": "LCU helps.", "methods": ["echo", "no_lcu"]},
        claim | {"text": "LCU harms.", "methods": ["no_lcu", "echo"]},
        claim | {"text": "LPE helps.", "methods": ["echo", "no_lpe"], "family": "others"},
    ]
