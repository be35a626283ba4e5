"""What Phi and Psi make of each dialogue, once: S_usr and E_txt(y_emo). `python -m echo_model.commands.understand`."""

import argparse
import os
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from dyads.contract import FPS, Dyad, file_sha256, load_arrays, read_manifest
from dyads.errors import ConfigError, run_cli
from dyads.features import read_features, write_features
from dyads.files import write_json, write_text
from dyads.shards import add_shard
from echo_model.backbones.audio import FRAME
from echo_model.backbones.phi import Phi, steps_of
from echo_model.backbones.psi import Lexicon
from echo_model.backbones.readers import (
    ClipPhi,
    Psi,
    Readers,
    TextEncoder,
    load_clip_phi,
    load_psi,
    load_text,
    read_clip,
    recorded,
)
from echo_model.backbones.text import encode_text
from echo_model.commands.encode import load_inputs
from echo_model.commands.train_phi import load_phi
from echo_model.model.options import ModelOptions
from training.device import limit_threads, pick_device
from training.options import from_dict, options_hash, parse_json, plain
from training.source import source_hash

READERS = "readers.json"  # which Phi, Psi and E_txt made this, with their weights' sha256 and their prompts


@torch.no_grad()
def understand(
    phi: Phi, dyad: Dyad, inputs: dict[str, Tensor], psi: Psi | None = None, text: TextEncoder = encode_text
) -> tuple[dict[str, Tensor], list[str]]:
    """S_usr (S, 64) over the steps of the dialogue, and y_emo at the start of every step.

    Phi is causal and Psi reads the turns that ended by then, so a row never depends on what comes after it.
    Returns {s_usr, text (sentences, words, D), text_index (S,)} and the sentences themselves.
    """
    stride = phi.options.stride
    s_usr = phi(steps_of(inputs["user_audio"], stride)[None], steps_of(inputs["user_latents"], stride)[None])[0]
    words, sentences = spoken(dyad, len(s_usr), stride, psi or Lexicon(), text)
    return {"s_usr": s_usr, **words}, sentences


@torch.no_grad()
def understand_clips(
    phi: ClipPhi, dyad: Dyad, model: ModelOptions, every: int, psi: Psi, text: TextEncoder
) -> tuple[dict[str, Tensor], list[str]]:
    """The same by a pretrained Phi, which reads the T frames of each clip that starts at a multiple of `every` frames.

    S_usr is (clips, S, D), `starts` (clips,) holds the clips' first frames and `clip` their length; see
    `clips.read_by_phi`.
    """
    arrays = load_arrays(dyad, ("user",))
    frames, audio = arrays.user_frames, arrays.user_audio
    starts, s_usr = range(0, len(frames), every), []
    for start in starts:
        stop = start + model.clip
        first = max(stop - model.context, 0)
        seen = frames[first:stop], audio[first * FRAME : stop * FRAME]
        s_usr.append(read_clip(phi, *seen, start - first, model))
    words, sentences = spoken(dyad, max(len(frames) // model.stride, 1), model.stride, psi, text)
    clips = {"s_usr": torch.stack(s_usr), "starts": torch.tensor(starts), "clip": torch.tensor(model.clip)}
    return clips | words, sentences


def spoken(dyad: Dyad, steps: int, stride: int, psi: Psi, text: TextEncoder) -> tuple[dict[str, Tensor], list[str]]:
    """{text (sentences, words, D), text_index (steps,)} of y_emo at the start of every step, and the sentences."""
    said = [psi.write(dyad.turns, step * stride / FPS) for step in range(steps)]
    sentences = sorted(set(said))
    index = torch.tensor([sentences.index(sentence) for sentence in said])
    return {"text": torch.stack([text(s).cpu() for s in sentences]), "text_index": index}, sentences


def load_context(folder: Path, dyad_id: str) -> dict[str, Tensor]:
    return read_features(folder / f"{dyad_id}.safetensors")[0]


def check_context(context: dict[str, Tensor], model: ModelOptions) -> None:
    """ConfigError if what Phi and Psi made does not have the sizes that `model` takes."""
    s_usr, text = context["s_usr"], context["text"]
    found = {"phi_width": s_usr.shape[-1], "words": text.shape[-2], "text_width": text.shape[-1]}
    if "starts" in context:
        found |= {"context": s_usr.shape[1] * model.stride, "clip": int(context["clip"])}
    for name, size in found.items():
        if getattr(model, name) != size:
            raise ConfigError(
                f"Phi and Psi were read for model.{name} {size}, but this row has {getattr(model, name)}; "
                f"set model.{name} to {size} in it, or for the whole study."
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--phi", type=Path, help="weights of the small Phi")
    parser.add_argument(
        "--readers", default="{}", help="JSON with phi, psi, text (echo_model.backbones.readers.Readers)"
    )
    parser.add_argument("--model", default="{}", help="JSON (echo_model.model.options.ModelOptions): T, widths")
    parser.add_argument("--out", type=Path, required=True)
    add_shard(parser)
    arguments = parser.parse_args()
    limit_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    readers = from_dict(Readers, parse_json(arguments.readers, "--readers"), "readers")
    model = from_dict(ModelOptions, parse_json(arguments.model, "--model"), "model")
    readers = Readers(*(recorded(reader) for reader in readers.each))
    device = pick_device(None) if readers.pretrained else "cpu"
    psi, text, names = load_psi(readers.psi, device), load_text(readers.text, model, device), ["dyad_id,sha256"]
    if readers.phi.pretrained:
        phi = load_clip_phi(readers.phi, model, device)
    elif arguments.phi is None:
        raise ConfigError(
            "the small Phi needs --phi, the weights that `python -m echo_model.commands.train_phi` wrote."
        )
    else:
        phi = load_phi(arguments.phi)
        readers = replace(readers, phi=replace(readers.phi, sha256=file_sha256(arguments.phi)))
    made_by = [replace(reader, path=Path()) for reader in readers.each]
    made_by.append(source_hash([type(phi), type(psi), type(text)]))
    for dyad in tqdm(read_manifest(arguments.data, shard=arguments.shard), "understand", disable=None):
        out, meta = arguments.out / f"{dyad.dyad_id}.safetensors", {}
        if readers.pretrained:  # hours of reading are not done again after a kill
            sizes = [model.context, model.clip, model.stride, model.words]
            meta["made_by"] = options_hash([made_by, sizes, dyad.user.sha256, dyad.turns])
            if out.is_file() and read_features(out)[1].get("made_by") == meta["made_by"]:
                names.append(f"{dyad.dyad_id},{file_sha256(out)}")
                continue
        if readers.phi.pretrained:
            made = understand_clips(phi, dyad, model, readers.phi.every or model.clip, psi, text)
        else:
            made = understand(phi, dyad, load_inputs(arguments.features, dyad.dyad_id), psi, text)
        write_features(out, made[0], {"y_emo": made[1], **meta})
        names.append(f"{dyad.dyad_id},{file_sha256(out)}")
    write_json(arguments.out / READERS, plain(readers))
    write_text(arguments.shard.list_in(arguments.out), "\n".join(names) + "\n")


if __name__ == "__main__":
    run_cli(main)
