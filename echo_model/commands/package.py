"""Put a trained row into one folder for `Echo.from_pretrained`: `python -m echo_model.commands.package`."""

import argparse
import json
import shutil
from pathlib import Path

import pandas as pd

from dyads.errors import ConfigError, run_cli
from dyads.files import atomic_path
from echo_model.backbones.readers import Readers
from echo_model.commands.train_phi import load_phi
from echo_model.method import Echo as EchoMethod
from echo_model.pretrained import Echo
from echo_model.stream import Networks
from training.method import Resources, load_method
from training.options import from_dict, parse_json

CARD_METRICS = {  # metric, part -> how the card calls it
    ("mouth_opening_correlation", "speech"): "mouth-opening correlation while speaking",
    ("expression_correlation", "all"): "expression correlation with the oracle",
    ("expression_amplitude", "all"): "expression amplitude (1 is the truth's)",
    ("fid_small", "frame"): "FID, small probe (not comparable with published FID)",
    ("psnr", "frame"): "PSNR [dB]",
}


def measured(metrics: Path | None) -> dict[str, str]:
    """The card's results from a row's tidy csv: means over clips, with the number of clips."""
    if metrics is None:
        return {}
    rows = pd.read_csv(metrics)
    found = {}
    for (metric, part), label in CARD_METRICS.items():
        own = rows[(rows["metric"] == metric) & (rows["part"] == part)]
        whole, clips = own[own["clip"] == "*"]["value"].dropna(), own[own["clip"] != "*"]["value"].dropna()
        if len(whole):
            found[label] = f"{whole.iloc[0]:.3g}"
        elif len(clips):
            found[label] = f"{clips.mean():.3g} (mean of {len(clips)} clips)"
    return found


def package(
    weights: Path,
    cls: str,
    options: dict,
    vae: Path,
    phi: Path | None,
    facts: dict,
    out: Path,
    readers: Readers | None = None,
) -> Path:
    """Write config.json, model.safetensors and README.md; the folder appears whole or not at all.

    `phi` is the small Phi's weights. Of a pretrained Phi, Psi or E_txt among `readers` the folder holds where it lies
    and its weights' sha256, not the weights.
    """
    readers = readers or Readers()
    if phi is None and not readers.phi.pretrained:
        raise ConfigError(
            "the small Phi needs --phi, the weights that `python -m echo_model.commands.train_phi` wrote."
        )
    method = load_method(cls, facts.get("label", "ECHO"), options, Resources(Path(), None, {"vae": vae}))
    if not isinstance(method, EchoMethod):
        raise ConfigError(f"{cls} is no ECHO: it has no LCU to live on a stream; package a row of stage 2.")
    method.load(weights)
    networks = Networks(method.generator, method.lcu, method.vae, None if readers.phi.pretrained else load_phi(phi))
    echo = Echo.of(networks, method.model, method.sampling, facts, readers)
    with atomic_path(out) as temporary:
        echo.save_pretrained(temporary)
        if out.exists():
            shutil.rmtree(out)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m echo_model.commands.package", description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="of `training.fit`, with its .json beside it")
    parser.add_argument("--options", default="{}", help="JSON options of the row, sampling included")
    parser.add_argument("--class", dest="cls", default="echo_model.method:Echo")
    parser.add_argument("--label", default="ECHO")
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--phi", type=Path, help="weights of the small Phi")
    parser.add_argument("--readers", default="{}", help="JSON or @file: readers.json that `understand` wrote")
    parser.add_argument("--metrics", type=Path, help="tidy csv of `evaluation.run` for the card's table")
    parser.add_argument("--out", type=Path, required=True, help="folder")
    arguments = parser.parse_args()
    told = json.loads(arguments.weights.with_suffix(".json").read_text(encoding="utf-8"))
    metrics = arguments.metrics
    facts = {
        "label": arguments.label,
        "data set": str(pd.read_csv(metrics)["dataset"].iloc[0]) if metrics else "unknown",
        "training dialogues": told["dyads"],
        "steps, both stages": told["card"]["steps"],
        "samples": told["card"]["samples"],
        "seed": told["seed"],
        "commit": told["git_commit"],
        "options hash": told["options_hash"],
        "results": measured(metrics),
    }
    options = parse_json(arguments.options, "--options")
    readers = from_dict(Readers, parse_json(arguments.readers, "--readers"), "readers")
    package(arguments.weights, arguments.cls, options, arguments.vae, arguments.phi, facts, arguments.out, readers)
    print(arguments.out)


if __name__ == "__main__":
    run_cli(main)
