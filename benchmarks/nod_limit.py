"""How well nods can be learned at all: `python -m benchmarks.nod_limit [--dialogues 40 160 640]`.

A network with nothing else to do hears both voices, frame by frame, and predicts the true avatar's pitch: a causal
convolution over the last two seconds. Nothing is drawn. What it learns from is
one of three:

- pitch: the true avatar's, as every method of a study meets it: its nods, of which a part is left out by chance, on
  top of a head that moves freely;
- quick: the same less its mean over a second, which free motion is most of;
- oracle: the expected pitch: no free motion, nothing left out. Nobody has it; it says what the voices tell.

Judged as `nod_correlation` is, on dialogues of people it never met, but from coefficients, not from pictures (the
autoencoder alone keeps about 0.7 of them). The true avatar's own value is the row `truth`.
"""

import argparse
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from tqdm import tqdm

from benchmarks.report import show
from dyads.errors import run_cli
from dyads.synthetic.coefficients import INDEX
from dyads.synthetic.world import generate_dialogue
from echo_model.backbones.audio import encode_audio
from evaluation.metrics.reaction.nods import nods

TARGETS = ("pitch", "quick", "oracle")
KERNEL, DILATIONS = 5, (1, 2, 4, 8)
REACH = (KERNEL - 1) * sum(DILATIONS)  # frames before the present one that are heard: 2.4 s
WINDOW = REACH + 100  # frames of a training sample
SECOND = 25


@dataclass
class Listened:
    """One dialogue: both voices (T, D) and the avatar's pitch less its rest, true and expected, (T,)."""

    voices: Tensor
    pitch: Tensor
    oracle: Tensor
    speaking: np.ndarray


def listened(seed: int, split: str, number: int) -> Listened:
    made = generate_dialogue(seed, split, number)
    heard = torch.cat([encode_audio(made.sound[role]) for role in ("user", "avatar")], 1)
    true, expected = made.faces.avatar[:, INDEX["pitch"]], made.faces.expected[:, INDEX["pitch"]]
    frames = min(len(heard), len(true))
    pitch, oracle = (torch.from_numpy(side[:frames].astype(np.float32)) - float(true[0]) for side in (true, expected))
    return Listened(heard[:frames], pitch, oracle, made.speaking[:frames, 1].astype(bool))


def quick(pitch: Tensor) -> Tensor:
    """(T,) less its mean over the second around each frame."""
    padded = F.pad(rearrange(pitch, "t -> 1 1 t"), (SECOND // 2, SECOND // 2), mode="replicate")
    return pitch - F.avg_pool1d(padded, SECOND, 1)[0, 0]


class Listener(nn.Module):
    """Voices (B, T, D) -> pitch (B, T); a frame hears itself and `REACH` frames before it."""

    def __init__(self, features: int, width: int = 48):
        super().__init__()
        self.enter = nn.Linear(features, width)
        self.blocks = nn.ModuleList(nn.Conv1d(width, width, KERNEL, dilation=each) for each in DILATIONS)
        self.dropout = nn.Dropout(0.1)
        self.leave = nn.Linear(width, 1)

    def forward(self, voices: Tensor) -> Tensor:
        hidden = rearrange(self.enter(voices), "b t w -> b w t")
        for block in self.blocks:
            past = F.pad(self.dropout(hidden), ((KERNEL - 1) * block.dilation[0], 0))
            hidden = hidden + torch.relu(block(past))
        return self.leave(rearrange(hidden, "b w t -> b t w"))[..., 0]


def learn(train: list[Listened], target: str, steps: int, seed: int) -> Listener:
    """The listener after `steps` steps of 16 samples; its input is normalised inside its first layer's weights."""
    wanted = [quick(each.pitch) if target == "quick" else getattr(each, target) for each in train]
    every = torch.cat([each.voices for each in train])
    mean, spread = every.mean(0), every.std(0) + 1e-3
    scale = torch.cat(wanted).std()
    torch.manual_seed(seed)
    net, draw = Listener(every.shape[1]), np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps)
    for _ in tqdm(range(steps), desc=f"{target}, {len(train)} dialogues", leave=False):
        chosen = draw.integers(len(train), size=16)
        picked = [train[k] for k in chosen]
        begins = [int(draw.integers(max(len(each.voices) - WINDOW, 0) + 1)) for each in picked]
        heard = torch.stack(
            [(each.voices[k : k + WINDOW] - mean) / spread for each, k in zip(picked, begins, strict=True)]
        )
        moved = torch.stack([wanted[which][k : k + WINDOW] for which, k in zip(chosen, begins, strict=True)])
        loss = ((net(heard) - moved)[:, REACH:] / scale).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        net.enter.weight.div_(spread)
        net.enter.bias.sub_(net.enter.weight @ mean)
    return net.eval()


@torch.no_grad()
def judged(test: list[Listened], net: Listener | None = None) -> dict[str, float]:
    """`nod_correlation` of what the listener predicts, or of the true avatar."""
    made = [(net(each.voices[None])[0] if net else each.pitch).double().numpy() for each in test]
    correlation, delay = nods(made, [each.oracle.double().numpy() for each in test], [each.speaking for each in test])
    return {"nods": correlation, "delay": delay}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nod_limit", description=__doc__.splitlines()[0])
    parser.add_argument("--dialogues", type=int, nargs="+", default=[40, 160, 640], help="that it learns from")
    parser.add_argument("--test", type=int, default=72, help="dialogues that it is judged on")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=TARGETS)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    most = max(given.dialogues)
    train = [listened(given.seed, "train", k) for k in tqdm(range(most), desc="train", leave=False)]
    test = [listened(given.seed, "validation", k) for k in tqdm(range(given.test), desc="test", leave=False)]
    rows: list[dict] = [{"learned from": "truth", "dialogues": 0, **judged(test)}]
    for target in given.targets:
        for count in given.dialogues:
            net = learn(train[:count], target, given.steps, given.seed)
            rows.append({"learned from": target, "dialogues": count, **judged(test, net)})
    show("Nods that a dedicated listener makes where they are due", rows, {"rows": rows})


if __name__ == "__main__":
    run_cli(main)
