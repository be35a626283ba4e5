"""Tries settings of a method on validation dialogues, one row each: `python -m benchmarks.tuning --help`.

What is chosen here is chosen without the test dialogues: training on the split `train`, videos and metrics of the split
`validation` (WorldOptions.validation), whose people are in no other split. A study folder gives data, backbones,
features and probes; `--settings` is a JSON list such as

    [{"name": "no mixing", "model": {"mixing": 0}, "stage2": {"stage": {"time_shift": 0.0}}, "sampling": {"steps": 8}}]

with sections as in workflow/config, merged into that profile's. A setting that names a `class` is a baseline's and has
`options` instead. Trainings that several settings share are made once, and whatever is there is not made again.
"""

import argparse
import csv
import json
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.report import show
from dyads.contract import data_folders
from dyads.errors import ConfigError, run_cli
from dyads.files import write_text
from echo_model.plan import merged
from evaluation import run as measure
from training import fit, generate
from training.engine.journal import append_line
from training.options import options_hash, parse_json

COLUMNS = {  # of the table: metric/part
    "FID": "fid_small/frame",
    "FVD": "fvd_small/window",
    "expression": "expression_correlation/all",
    "amplitude": "expression_amplitude/all",
    "voice": "expression_correlation/cue_voice",
    "words": "expression_correlation/cue_words",
    "mouth": "mouth_opening_correlation/speech",
    "border": "clip_border/picture",
    "shake": "shake/picture",
    "shake, truth": "shake/picture_truth",
    "nods": "nod_correlation/due",
}
METRICS = ("fid_small", "fvd", "expression", "mouth", "clip_border", "shake", "nods")  # files of evaluation/metrics


def train(study: Path, out: Path, cls: str, options: dict, backbones: dict[str, Path], seed: int) -> Path:
    """The weights of one training, named by what decides them."""
    names = {slot: str(path) for slot, path in backbones.items()}
    key = options_hash([cls, options, seed, names])[:12]
    weights = out / "models" / f"{key}.safetensors"
    if not weights.is_file():
        started = time.process_time()
        fit.main([
            "--method", "tried", "--class", cls, "--options", json.dumps(options), "--data", str(data_of(study)),
            "--features", str(study / "features"), "--backbones", json.dumps(names), "--seed", str(seed),
            "--checkpoints", str(out / "checkpoints" / key), "--out", str(weights),
        ])  # fmt: skip
        write_text(weights.with_suffix(".cpu"), f"{time.process_time() - started:.1f}")
    return weights


def data_of(study: Path) -> Path:
    """The study's only data set."""
    found = data_folders(study)
    if len(found) != 1:
        raise ConfigError(f"{study / 'data'} holds {len(found)} data sets, but one is needed; give --study a study.")
    return found[0]


def seconds(weights: Path) -> float:
    """CPU seconds that a training took; 0 where it was made elsewhere."""
    file = weights.with_suffix(".cpu")
    return float(file.read_text()) if file.is_file() else 0.0


def try_setting(setting: dict, config: dict, study: Path, out: Path, seed: int) -> dict[str, Any]:
    """Train what the setting needs, make its validation videos and measure them: one row."""
    small = {"vae": study / "backbones/vae.safetensors"}
    motion = {"renderer": study / "backbones/renderer.safetensors", "motion": study / "motion"}
    cpu = 0.0
    if "class" in setting:
        cls, options, backbones = setting["class"], setting.get("options", {}), small | motion
    else:
        cls = "echo_model.method:Echo"
        backbones = small | {"context": study / "context", "phi": study / "backbones/phi.safetensors"}
        model = {"model": merged(config["model"], setting.get("model", {}))}
        options = merged(model, config["stage2"], setting.get("stage2", {}))
        if setting.get("stage1", True):
            first = merged(model, config["stage1"], setting.get("stage1", {}))
            backbones["stage1"] = train(study, out, "echo_model.method:Talking", first, small, seed)
            cpu += seconds(backbones["stage1"])
    weights = train(study, out, cls, options, backbones, seed)
    sampling = merged({} if "class" in setting else config["sampling"], setting.get("sampling", {}))
    options = options | ({"sampling": sampling} if sampling else {})
    place = out / "videos" / options_hash([weights.stem, options])[:12]
    names = {slot: str(path) for slot, path in backbones.items()}
    data = str(data_of(study))
    started = time.process_time()
    generate.main([
        "--method", "tried", "--class", cls, "--options", json.dumps(options), "--data", data,
        "--features", str(study / "features"), "--backbones", json.dumps(names), "--seed", str(seed),
        "--weights", str(weights), "--split", "validation", "--out", str(place),
    ])  # fmt: skip
    made = time.process_time() - started
    measure.main([
        "--method", "tried", "--seed", str(seed), "--videos", str(place), "--data", data,
        "--probes", str(study / "probes"), "--split", "validation",
        "--options", json.dumps({"metrics": METRICS}), "--out", str(place / "measured.csv"),
    ])  # fmt: skip
    row = {"setting": setting["name"], **read_row(place / "measured.csv")}
    return row | {"CPU min": (cpu + seconds(weights)) / 60, "sampling s": made}


def read_row(measured: Path) -> dict[str, float | None]:
    """The table's figures: of the whole set, else the mean over the clips that have a value; None where none has."""
    with measured.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["value"]]
    found = {}
    for name, key in COLUMNS.items():
        own = [row for row in rows if f"{row['metric']}/{row['part']}" == key]
        own = [row for row in own if row["clip"] == measure.WHOLE_SET] or own
        found[name] = sum(float(row["value"]) for row in own) / len(own) if own else None
    return found


def settings_of(text: str) -> list[dict[str, Any]]:
    """The settings to try; ConfigError unless each is an object with a name."""
    try:
        found = json.loads(Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text)
    except (OSError, json.JSONDecodeError) as error:
        raise ConfigError(f"--settings cannot be read ({error}); give a JSON list, or @file with one.") from error
    if not isinstance(found, list) or not all(isinstance(item, dict) and "name" in item for item in found):
        raise ConfigError('--settings is no list of objects with a "name"; see python -m benchmarks.tuning --help.')
    known = ("name", "model", "stage1", "stage2", "sampling", "class", "options")
    for item in found:
        if unknown := sorted(set(item) - set(known)):
            told = ", ".join(known)
            raise ConfigError(f"--settings: {item['name']!r} has the unknown key {unknown[0]!r}; known are {told}.")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tuning", description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, required=True, help="results/<profile> with backbones and probes")
    parser.add_argument("--settings", required=True, help="JSON list or @file")
    parser.add_argument("--profile", type=Path, default=Path("workflow/config/default.yaml"))
    parser.add_argument("--base", default="{}", help="JSON merged into the profile first, such as shorter trainings")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder of trainings, videos and rows")
    args = parser.parse_args()
    config = yaml.safe_load(args.profile.read_text(encoding="utf-8"))
    config = merged(config, parse_json(args.base, "--base"))
    rows = []
    for setting in settings_of(args.settings):
        rows.append(try_setting(setting, config, args.study, args.out, args.seed))
        show("Settings on validation dialogues", rows, rows[-1])
        append_line(args.out / "rows.jsonl", rows[-1] | {"tried": setting, "base": args.base, "seed": args.seed})


if __name__ == "__main__":
    run_cli(main)
