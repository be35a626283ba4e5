"""The command-line arguments that `training.fit` and `training.generate` share."""

import argparse
from pathlib import Path
from typing import Any

from dyads.errors import ConfigError
from training.device import limit_threads
from training.method import Method, Resources, load_method
from training.options import parse_json


def method_parser(description: str) -> argparse.ArgumentParser:
    """Arguments that name a method, its options and what it may read."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--method", required=True, help="name of the row in every table")
    parser.add_argument("--class", dest="cls", required=True, help="pkg.module:Class, a training.method.Method")
    parser.add_argument("--options", default="{}", help="the method's options: a JSON object, or @file")
    parser.add_argument("--data", required=True, type=Path, help="folder with manifest.csv")
    parser.add_argument("--features", type=Path, help="folder with one features file a dyad")
    parser.add_argument("--backbones", default="{}", help="JSON object or @file: slot name -> weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", help="cpu, cuda or cuda:<index>; default: ECHO_DEVICE, else a GPU if any")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch")
    return parser


def method_from(args: argparse.Namespace) -> tuple[Method, dict[str, Any], dict[str, Path]]:
    """The method that `args` name, its options, and the backbones' paths."""
    if args.threads < 1:
        raise ConfigError(f"--threads is {args.threads}, but must be at least 1.")
    limit_threads(args.threads)
    options = parse_json(args.options, "--options")
    backbones = {slot: Path(str(path)) for slot, path in parse_json(args.backbones, "--backbones").items()}
    resources = Resources(args.data, args.features, backbones, args.device)
    return load_method(args.cls, args.method, options, resources), options, backbones
