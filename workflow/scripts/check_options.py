"""Holds options against the dataclasses of the stages that read them: tasks as JSON in, one sentence out, exit code 2.

Each task is [kind, name, text]: a section of the configuration with its JSON, or a row with its class and options.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dyads.errors import ConfigError, UserError  # noqa: E402
from training.method import load_method  # noqa: E402
from training.options import TrainOptions, from_dict  # noqa: E402


class _Enough(Exception):
    """The method has read its options and asks for files, which are not there yet."""


class _NoFiles:
    """Stands for `training.method.Resources` where no stage has run yet."""

    data, device, backbones = Path("."), "cpu", {}

    @property
    def features(self) -> Path:
        raise _Enough

    def backbone(self, name: str) -> Path:
        raise _Enough


def check_row(name: str, text: str) -> None:
    """A method reads its options when it is made, before it asks for anything else."""
    path, _, options = text.partition(" ")
    given = json.loads(options)
    try:
        load_method(path, name, given, _NoFiles())
    except _Enough:
        pass
    if isinstance(given.get("train"), dict):
        from_dict(TrainOptions, given["train"], "train")


def sections(name: str, options: dict[str, Any], **kinds: type) -> None:
    """A section whose parts are dataclasses; a part that is missing has its defaults, where it has all."""
    for key in options:
        if key not in kinds:
            raise ConfigError(f"{name}: unknown section {key!r}; the allowed ones are {', '.join(sorted(kinds))}.")
    for key, kind in kinds.items():
        if key != "train" or options.get(key):
            from_dict(kind, options.get(key, {}), f"{name}.{key}")


def world(options: dict[str, Any]) -> None:
    from dyads.synthetic.world import WorldOptions

    from_dict(WorldOptions, options, "world")


def vae(options: dict[str, Any]) -> None:
    from echo_model.backbones.vae import VAEOptions

    if options.get("kind", "small") != "small":
        return  # read by its own stage
    on_frames("vae", {key: value for key, value in options.items() if key != "kind"}, VAEOptions)


def renderer(options: dict[str, Any]) -> None:
    from baselines.motion.renderer import RendererOptions

    on_frames("renderer", options, RendererOptions)


def on_frames(name: str, options: dict[str, Any], model: type) -> None:
    from echo_model.backbones.frames import FrameOptions
    from echo_model.commands.train_vae import start_of

    start_of(name, options)
    rest = {key: value for key, value in options.items() if key != "start"}
    sections(name, rest, model=model, frames=FrameOptions, train=TrainOptions)


def phi(options: dict[str, Any]) -> None:
    from echo_model.backbones.phi import PhiOptions

    if options.get("kind", "small") == "small":
        own = {key: value for key, value in options.items() if key not in ("kind", "length")}
        sections("phi", own, model=PhiOptions, train=TrainOptions)
        length = options.get("length", 48)
        if not isinstance(length, int) or isinstance(length, bool) or length < 1:
            raise ConfigError(f"phi.length is {length!r}, but must be a whole number of steps, at least 1.")


def probes(options: dict[str, Any]) -> None:
    from evaluation.fits.__main__ import PROBES, options_of

    for probe in PROBES:
        options_of(options, probe)


def evaluation(options: dict[str, Any]) -> None:
    from evaluation.coefficients import CoefficientOptions
    from evaluation.registry import modules
    from evaluation.run import RunOptions

    if {"encoder", "rdgg"} & set(options):  # of a study on coefficients
        from_dict(CoefficientOptions, options, "evaluation")
        return
    wanted = from_dict(RunOptions, options, "evaluation").metrics
    if unknown := sorted(set(wanted) - set(modules())):
        raise ConfigError(f"evaluation.metrics names {unknown[0]!r}; known are {', '.join(modules())}.")


def tables(options: dict[str, Any]) -> None:
    from reporting.tables import TableOptions

    from_dict(TableOptions, options, "tables")


def report(options: dict[str, Any]) -> None:
    from reporting.page.build import ReportOptions

    from_dict(ReportOptions, options, "report")


def claims(options: dict[str, Any]) -> None:
    """The file that `claims` names; it is judged last of all, after hours perhaps."""
    from analysis.claims import read_claims

    given, place = options["given"], Path(options["place"])
    remedy = "`python -m reporting.claims --help` lists the keys of a claim"
    if not place.is_file():
        raise ConfigError(f"claims is {given}, which is no file; name one that is there ({remedy}).")
    try:
        read_claims(place)
    except ConfigError as error:
        told = str(error).removeprefix(f"--claims {place} ").removesuffix(".")
        raise ConfigError(f"claims is {given}: {told} ({remedy}).") from error


SECTIONS: dict[str, Callable[[dict[str, Any]], None]] = {
    check.__name__: check for check in (world, vae, renderer, phi, probes, evaluation, tables, report, claims)
}


def main() -> int:
    for kind, name, text in json.load(sys.stdin):
        try:
            if kind == "row":
                check_row(name, text)
            elif name in SECTIONS:
                SECTIONS[name](json.loads(text))
        except UserError as error:
            where = "set in the row's options or, where it has a stage, in stage1, stage2, model or sampling"
            print(f"row '{name}' ({where}): {error}" if kind == "row" else f"configuration: {error}")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
