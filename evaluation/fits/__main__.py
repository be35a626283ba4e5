"""Train a probe on true frames of training identities: `python -m evaluation.fits --probe NAME --out FILE ...`.

A probe is a file in evaluation/fits. Writes its safetensors, and a .json beside it that says how good it is.
"""

import argparse
import importlib
import pkgutil
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import evaluation.fits
from dyads.errors import ConfigError, run_cli
from evaluation.fits import Job
from training.device import limit_threads
from training.options import TrainOptions, from_dict, parse_json

PROBES = tuple(sorted(info.name for info in pkgutil.iter_modules(evaluation.fits.__path__) if info.name != "__main__"))


@dataclass(frozen=True)
class Shared:
    """What every probe is given; `test_videos` videos of test identities are read to say how good it is.

    `start`: shipped, to train on from the package's readers, where a data set has few people.
    """

    test_videos: int = 24
    seed: int = 0
    start: Literal["shipped"] | None = None


def options_of(given: dict[str, Any], probe: str) -> tuple[Any, Shared]:
    """The probe's own options, from the section of its name, and the shared ones; ConfigError for unknown keys.

    A `train` section may name single fields: the rest comes from the defaults.
    """
    shared = {field.name for field in fields(Shared)}
    unknown = sorted(set(given) - set(PROBES) - shared)
    if unknown:
        raise ConfigError(
            f"probes: unknown option {unknown[0]!r}; allowed are {', '.join((*PROBES, *sorted(shared)))}."
        )
    cls = importlib.import_module(f"evaluation.fits.{probe}").Options
    section = given.get(probe, {})
    partial = isinstance(section, dict) and isinstance(section.get("train"), dict)
    own = from_dict(cls, {k: v for k, v in section.items() if k != "train"} if partial else section, f"probes.{probe}")
    if partial:
        train = from_dict(TrainOptions, {**vars(own.train), **section["train"]}, f"probes.{probe}.train")
        own = replace(own, train=train)
    return own, from_dict(Shared, {key: value for key, value in given.items() if key in shared}, "probes")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m evaluation.fits", description=__doc__)
    parser.add_argument("--probe", choices=PROBES, required=True)
    parser.add_argument("--data", required=True, type=Path, help="folder with manifest.csv")
    parser.add_argument("--options", default="{}", help="JSON object or @file: sections by probe, and Shared's options")
    parser.add_argument("--checkpoints", required=True, type=Path, help="folder of training states")
    parser.add_argument("--out", required=True, type=Path, help="the .safetensors to write")
    args = parser.parse_args(arguments)
    limit_threads(1)
    started = time.monotonic()
    options, shared = options_of(parse_json(args.options, "--options"), args.probe)
    job = Job(args.probe, args.data, args.checkpoints, args.out, shared.seed, shared.test_videos, started, shared.start)
    importlib.import_module(f"evaluation.fits.{args.probe}").fit(job, options)


if __name__ == "__main__":
    run_cli(main)
