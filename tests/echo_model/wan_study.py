"""A study on the generator `wan` with random checkpoints: options, dialogues, encoders' and readers' files."""

import csv
import json
from dataclasses import asdict
from types import SimpleNamespace

import torch

from dyads.contract import read_manifest
from dyads.features import write_features
from dyads.synthetic.world import WorldOptions, write_world
from echo_model.model.options import ModelOptions
from echo_model.wan.encode import Encoders, encode_dyad
from echo_model.wan.options import LookOptions, Pretrained, VoiceOptions, WanOptions
from tests import tiny_checkpoints as tiny

MODEL = ModelOptions(
    d=32, clip=16, previous=8, context=48, tubelet=4, phi_width=12, text_width=tiny.TEXT, words=4, mamba_layers=1
)
VARIANTS = {"ti2v": "wan22", "t2v": "wan21", "i2v": "wan21"}


def checkpoints(root):
    """All that ECHO stands on, in one folder."""
    made = {"wav2vec2": tiny.wav2vec2, "hubert": tiny.hubert, "clip": tiny.clip}
    for name, write in made.items():
        write(root / name)
    for version in ("wan21", "wan22"):
        tiny.wan_vae(root / version, version)
    for variant in VARIANTS:
        tiny.wan(root / variant, variant)
    return root


def wan_options(root, variant="ti2v", **changes):
    parts = {"transformer": Pretrained(root / variant), "vae": Pretrained(root / VARIANTS[variant])}
    parts |= {"voice": VoiceOptions(root / "wav2vec2", reach=32), "look": LookOptions(root / "clip")}
    return WanOptions(**parts, size=64, width=16, heads=2, rank=4, dtype="fp32", **changes)


def understood(folder, dyad_id, frames, model=MODEL, seed=0):
    """What a pretrained Phi and Psi might have made of a dialogue."""
    g, clips = torch.Generator().manual_seed(seed), -(-frames // model.clip)
    steps = model.context // model.stride
    made = {
        "s_usr": torch.randn(clips, steps, model.phi_width, generator=g),
        "starts": torch.arange(clips) * model.clip,
        "clip": torch.tensor(model.clip),
        "text": torch.randn(2, model.words, model.text_width, generator=g),
        "text_index": (torch.arange(max(frames // model.stride, 1)) > 6).long(),
    }
    write_features(folder / f"{dyad_id}.safetensors", made, {})
    return made


def study(root, seconds=(4.0, 4.2)):
    """Three short dialogues, encoded for the generator of Wan 2.2 and read by a made-up Phi and Psi."""
    write_world(root / "data", WorldOptions(train=2, test=1, size=64, seconds=seconds, workers=1))
    options = wan_options(checkpoints(root / "checkpoints"))
    encoders, rows = Encoders(options, MODEL), []
    for dyad in read_manifest(root / "data"):
        rows.append(encode_dyad(encoders, dyad, root / "clips", "test"))
        understood(root / "context", dyad.dyad_id, rows[-1]["frames"])
    write_index(root / "clips", rows, encoders)
    return SimpleNamespace(root=root, options=options, model=MODEL, encoders=encoders, rows=rows)


def write_index(folder, rows, encoders):
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    (folder / "encoders.json").write_text(json.dumps({"sha256": {}, "sizes": asdict(encoders.sizes())}))


def randomise(*modules, scale=0.1, seed=3):
    """Leave no zero start, which would hide a path; frozen weights stay."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for module in modules:
            for p in module.parameters():
                if p.requires_grad:
                    p.add_(scale * torch.randn_like(p))
