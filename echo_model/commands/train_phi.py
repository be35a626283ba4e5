"""Train the small understanding model Phi on behaviour recognition: `python -m echo_model.commands.train_phi`."""

import argparse
import os
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from dyads.contract import FPS, Dyad, file_sha256, read_manifest
from dyads.errors import run_cli
from echo_model.backbones.audio import MELS
from echo_model.backbones.phi import AGES, Phi, PhiOptions, steps_of
from echo_model.commands.encode import load_inputs
from training.device import limit_threads
from training.engine.loop import TrainOptions, read_summary, train
from training.engine.weights import load_weights, read_options, save_weights
from training.options import from_dict, parse_json
from training.provenance import write_provenance


def emotion_labels(dyad: Dyad, steps: int, stride: int) -> Tensor:
    """The user's emotion at each step, or -1 where the data set has no labels."""
    if not dyad.truth_path.is_file():
        return torch.full((steps,), -1)
    emotion = load_file(dyad.truth_path)["user_emotion"]
    return emotion[: steps * stride].view(steps, stride).max(1).values.long()


def memory_labels(emotion: Tensor, stride: int) -> Tensor:
    """Which emotion was shown last and how long ago, as one class a step (`phi.MEMORIES`); -1 without labels."""
    label, last, age = torch.full_like(emotion, -1), 0, 0.0
    for step, now in enumerate(emotion.tolist()):
        if now < 0:
            continue
        last, age = (now, 0.0) if now > 0 else (last, age + stride / FPS)
        bin_ = next((k for k, limit in enumerate(AGES) if age <= limit), None)
        label[step] = 0 if last == 0 or bin_ is None else 1 + (last - 1) * len(AGES) + bin_
    return label


def crop(part: Tensor, start: int, length: int) -> Tensor:
    """part[start:start + length], continued by -1 (no label; silence) past the end."""
    inside = part[start : start + length]
    return F.pad(inside, (0, 0) * (part.dim() - 1) + (0, length - len(inside)), value=-1)


def other_voice(batch: int, stride: int, generator: torch.Generator) -> Tensor:
    """Offsets of level, tilt and pitch, one a sample, as another speaker or room has: (b, 1, stride * 50)."""
    level, tilt, octaves = (scale * torch.randn(batch, 1, generator=generator) for scale in (0.3, 0.2, 0.1))
    mel = level + tilt * torch.linspace(-1, 1, MELS)
    frame = torch.cat([mel, mel, octaves, torch.zeros(batch, 1)], 1)
    return frame.repeat(1, stride)[:, None]


class PhiTask:
    """Cross-entropy on the user's emotion where labelled, and squared error on the next step's signals always."""

    def __init__(self, phi: Phi, dyads: list[Dyad], features: Path, length: int, batch_size: int):
        self.module, self.length, self.batch_size = phi, length, batch_size
        stride, self.items = phi.options.stride, []
        for dyad in dyads:
            inputs = load_inputs(features, dyad.dyad_id)
            audio, video = steps_of(inputs["user_audio"], stride), steps_of(inputs["user_latents"], stride)
            moved = F.pad(torch.diff(video, dim=0).abs().mean(1), (1, 0))
            signals = torch.stack([audio[:, :20].mean(1), audio[:, 49::50].mean(1), moved], 1)
            emotion = emotion_labels(dyad, len(audio), stride)
            self.items.append((audio, video, emotion, memory_labels(emotion, stride), signals))

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        rows = []
        for pick in torch.randint(len(self.items), (self.batch_size,), generator=generator).tolist():
            steps = len(self.items[pick][0])
            start = int(torch.randint(max(steps - self.length, 0) + 1, (), generator=generator))
            rows.append([crop(part, start, self.length) for part in self.items[pick]])
        names = ("audio", "video", "emotion", "memory", "signals")
        return dict(zip(names, map(torch.stack, zip(*rows, strict=True)), strict=True))

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        b = len(batch["audio"])
        which = torch.rand(b, 1, 1, generator=generator).to(batch["audio"])
        drop = self.module.options.drop
        audio = batch["audio"] * (which > drop / 2)
        video = batch["video"] * (which < 1 - drop / 2)
        audio = audio + other_voice(b, self.module.options.stride, generator).to(audio)
        audio = audio + 0.3 * torch.randn(audio.shape, generator=generator).to(audio)
        video = video + 0.5 * torch.randn(video.shape, generator=generator).to(video)
        tokens = self.module(audio, video)
        emotion, memory = batch["emotion"].flatten(), batch["memory"].flatten()
        loss = F.mse_loss(self.module.signals(tokens[:, :-1]), batch["signals"][:, 1:].clamp(-3, 3))
        if (emotion >= 0).any():
            now, before = self.module.emotion(tokens).flatten(0, 1), self.module.memory(tokens).flatten(0, 1)
            weight = torch.tensor([0.3, 1.0, 1.0, 1.0, 1.0]).to(now)
            loss = 0.3 * loss + F.cross_entropy(now, emotion, weight, ignore_index=-1)
            loss = loss + F.cross_entropy(before, memory, ignore_index=-1)
            hits = {
                "emotion_recall": (now.argmax(-1) == emotion)[emotion > 0],
                "memory_recall": (before.argmax(-1) == memory)[memory > 0],
            }
            return loss, {name: float(hit.float().mean().nan_to_num()) for name, hit in hits.items()}
        return loss, {}


def load_phi(path: Path) -> Phi:
    """The frozen understanding model saved by this stage."""
    phi = Phi(from_dict(PhiOptions, read_options(path), str(path)))
    load_weights(path, phi)
    return phi.eval().requires_grad_(False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--options", default="{}", help="JSON with the sections model and train, and length in steps")
    parser.add_argument("--checkpoints", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.monotonic()
    limit_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    options = parse_json(arguments.options, "--options")
    model = from_dict(PhiOptions, options.get("model", {}), "phi.model")
    schedule = from_dict(TrainOptions, options.get("train", {}), "phi.train")
    torch.manual_seed(arguments.seed)
    phi = Phi(model)
    dyads = read_manifest(arguments.data, "train")
    task = PhiTask(phi, dyads, arguments.features, int(options.get("length", 48)), schedule.batch_size)
    identity = {
        "phi": model,
        "data": file_sha256(arguments.data / "manifest.csv"),
        "length": options.get("length", 48),
    }
    train(task, schedule, arguments.checkpoints, seed=arguments.seed, stage="phi", identity=identity)
    save_weights(arguments.out, phi, {"options": {k: getattr(model, k) for k in model.__dataclass_fields__}})
    summary = read_summary(arguments.checkpoints)
    trained = {key: summary[key] for key in ("steps", "samples", "precision", "train_seconds", "cpu_seconds")}
    resolved = {"model": model, "train": schedule, "length": task.length}
    write_provenance(
        arguments.out.with_suffix(".json"), resolved, arguments.seed, {"phi": arguments.out}, started=started, **trained
    )


if __name__ == "__main__":
    run_cli(main)
