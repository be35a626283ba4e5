"""Put a trained adapter into one folder for `EchoAdapter.from_pretrained`: `python -m echo_model.wan.package`."""

import argparse
import json
import shutil
from pathlib import Path

import pandas as pd

from dyads.errors import ConfigError, run_cli
from echo_model.commands.package import measured
from echo_model.wan.pretrained import config_of, save_adapter
from training.engine.weights import read_meta
from training.options import parse_json


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m echo_model.wan.package", description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="of `training.fit`, with its .json beside it")
    parser.add_argument("--options", default="{}", help="JSON options of the row, sampling included")
    parser.add_argument("--label", default="ECHO")
    parser.add_argument("--encoders", type=Path, required=True, help="encoders.json of `echo_model.wan.encode`")
    parser.add_argument("--readers", type=Path, help="readers.json of `echo_model.commands.understand`")
    parser.add_argument("--metrics", type=Path, help="tidy csv of `evaluation.run` for the card")
    parser.add_argument("--full", action="store_true", help="float32, as trained; twice as large")
    parser.add_argument("--out", type=Path, required=True, help="folder")
    arguments = parser.parse_args()
    told = json.loads(arguments.weights.with_suffix(".json").read_text(encoding="utf-8"))
    meta, metrics = read_meta(arguments.weights), arguments.metrics
    if "base_sha256" not in meta:
        raise ConfigError(f"{arguments.weights} names no base; give what `training.fit` wrote of a row on wan.")
    encoders = parse_json(f"@{arguments.encoders}", str(arguments.encoders))
    parts = {"transformer": meta["base_sha256"], **encoders["sha256"]}
    if arguments.readers is not None and arguments.readers.is_file():
        readers = parse_json(f"@{arguments.readers}", str(arguments.readers))
        parts |= {
            f"{slot} ({reader['kind']})": reader["sha256"] for slot, reader in readers.items() if reader["sha256"]
        }
    facts = {
        "label": arguments.label,
        "data set": str(pd.read_csv(metrics)["dataset"].iloc[0]) if metrics else "unknown",
        "training dialogues": told["dyads"],
        "steps, both stages": told["card"]["steps"],
        "samples": told["card"]["samples"],
        "parameters trained": told["card"]["parameters_trained"],
        "seed": told["seed"],
        "commit": told["git_commit"],
        "options hash": told["options_hash"],
        "results": measured(metrics),
    }
    config = config_of(parse_json(arguments.options, "--options"), encoders["sizes"], parts)
    if arguments.out.is_dir():
        shutil.rmtree(arguments.out)
    save_adapter(arguments.out, arguments.weights, config, facts, half=not arguments.full)
    print(arguments.out)


if __name__ == "__main__":
    run_cli(main)
