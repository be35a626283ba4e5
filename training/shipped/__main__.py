"""Put shipped backbones or readers where a study looks for them: `python -m training.shipped --take vae phi --out DIR`.

`--pack NAME` makes one: the weights of a training in half precision, and the card.
"""

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from dyads.errors import DataError, run_cli
from dyads.files import atomic_path, write_json
from training.engine.checkpoint import sha256_file
from training.engine.weights import read_meta, save_tensors
from training.options import parse_json
from training.provenance import write_provenance
from training.shipped import FOLDERS, card_of, set_hash, shipped

SMALL = 2048  # numbers: biases, scales and whitening keep their precision


def take(name: str, folder: Path) -> None:
    """Copy a shipped file into `folder` after a look at its hash, with a provenance that says so."""
    started, card, path, out = time.monotonic(), card_of(name), shipped(name), folder / f"{name}.safetensors"
    found = sha256_file(path)
    if found != card["sha256"]:
        raise DataError(
            f"{path}: its sha256 is {found[:12]}..., but on its card {card['sha256'][:12]}...; "
            "install the package again."
        )
    said = {"shipped": name, "sha256": found, "set": set_hash(), "card": card}
    write_provenance(out.with_suffix(".json"), card["options"], card["seed"], {name: path}, started=started, **said)
    with atomic_path(out) as temporary:
        shutil.copyfile(path, temporary)


def pack(name: str, trained: Path, data: dict[str, Any], quality: dict[str, Any]) -> None:
    """Make the shipped file of `name` and its card from a training's weights and the record beside them.

    Large tensors are stored as float16 and used as float32. `data`: what it was trained on; `quality`: how good it is.
    """
    tensors, out = load_file(trained), shipped(name)
    large = {key for key, value in tensors.items() if value.is_floating_point() and value.numel() > SMALL}
    stored = {key: value.half() if key in large else value for key, value in tensors.items()}
    for key in large:
        if not torch.isfinite(stored[key]).all():
            raise DataError(f"{trained}: tensor {key!r} does not fit half precision; ship it in float32.")
    save_tensors(out, stored, read_meta(trained))
    record = json.loads(trained.with_suffix(".json").read_text(encoding="utf-8"))
    kept = ("options", "seed", "steps", "samples", "precision", "train_seconds", "cpu_seconds", "hardware", "versions")
    card = {key: record[key] for key in kept if key in record}
    write_json(
        out.with_suffix(".json"), {"name": name, "sha256": sha256_file(out), "data": data, **card, "quality": quality}
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.shipped", description=__doc__)
    parser.add_argument("--take", choices=FOLDERS, nargs="+", default=[], metavar="NAME", help="what to copy")
    parser.add_argument("--out", type=Path, help="folder of the copies")
    parser.add_argument("--pack", choices=FOLDERS, metavar="NAME", help="what to make a shipped file of")
    parser.add_argument("--weights", type=Path, help="weights of its training")
    parser.add_argument("--data", type=Path, help="folder that it was trained on")
    parser.add_argument("--towns", default="{}", help="JSON or @file: the seeds and dialogues behind that folder")
    parser.add_argument("--quality", type=Path, help="JSON: name -> what was measured of it")
    args = parser.parse_args()
    if args.take and args.out is None or args.pack and None in (args.weights, args.data, args.quality):
        parser.error("--take needs --out, and --pack needs --weights, --data and --quality")
    if args.pack:
        measured = json.loads(args.quality.read_text(encoding="utf-8"))
        data = {"set": "synthetic", "size": 64, "sha256": sha256_file(args.data / "manifest.csv")}
        pack(args.pack, args.weights, data | parse_json(args.towns, "--towns"), measured.get(args.pack, {}))
    for name in args.take:
        take(name, args.out)


if __name__ == "__main__":
    run_cli(main)
