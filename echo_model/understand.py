"""What Phi and Psi make of each dialogue, written once: S_usr and E_txt(y_emo). `python -m echo_model.understand`."""

import argparse
import os
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from dyads.contract import FPS, Dyad, read_manifest
from dyads.errors import run_cli
from dyads.features import read_features, write_features
from dyads.files import write_text
from echo_model.backbones.phi import Phi, steps_of
from echo_model.backbones.psi import affect_sentence
from echo_model.backbones.text import encode_text
from echo_model.encode import load_inputs
from echo_model.train_phi import load_phi
from training.device import limit_threads


@torch.no_grad()
def understand(phi: Phi, dyad: Dyad, inputs: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """S_usr (S, 64) over the steps of the dialogue, and y_emo at the start of every step.

    Phi is causal and Psi reads the turns that ended by then, so a row never depends on what comes after it.
    Returns {s_usr, text (sentences, words, 32), text_index (S,)} and the sentences themselves.
    """
    stride = phi.options.stride
    s_usr = phi(steps_of(inputs["user_audio"], stride)[None], steps_of(inputs["user_latents"], stride)[None])[0]
    spoken = [affect_sentence(dyad.turns, step * stride / FPS) for step in range(len(s_usr))]
    sentences = sorted(set(spoken))
    index = torch.tensor([sentences.index(sentence) for sentence in spoken])
    return {
        "s_usr": s_usr,
        "text": torch.stack([encode_text(s) for s in sentences]),
        "text_index": index,
    }, sentences


def load_context(folder: Path, dyad_id: str) -> dict[str, Tensor]:
    return read_features(folder / f"{dyad_id}.safetensors")[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--phi", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    limit_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    phi, names = load_phi(arguments.phi), ["dyad_id"]
    for dyad in tqdm(read_manifest(arguments.data), "understand", disable=None):
        tensors, sentences = understand(phi, dyad, load_inputs(arguments.features, dyad.dyad_id))
        write_features(arguments.out / f"{dyad.dyad_id}.safetensors", tensors, {"y_emo": sentences})
        names.append(dyad.dyad_id)
    write_text(arguments.out / "index.csv", "\n".join(names) + "\n")


if __name__ == "__main__":
    run_cli(main)
