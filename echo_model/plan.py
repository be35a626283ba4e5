"""What a study on the generator `wan` will cost, without a GPU: `python -m echo_model.plan --profile paper`."""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from dyads.errors import ConfigError, run_cli
from echo_model.model.options import ModelOptions, SamplingOptions, StageOptions
from echo_model.sampling import branches
from echo_model.wan.options import WanOptions
from echo_model.wan.planning.bases import LOOK, VAES, VOICE, known
from echo_model.wan.planning.costs import GIB, Cost, configuration, cost, depth_of, sizes_of
from training.options import TrainOptions, from_dict

CONFIG = Path(__file__).parents[1] / "workflow" / "config"
MACHINES = {"16 A100": (16, 312e12, 80), "8 H200": (8, 989e12, 141)}  # GPUs, dense bfloat16 FLOP/s, GB each
FPS = 25


@dataclass(frozen=True)
class Row:
    """A row's training, all seeds."""

    name: str
    cost: Cost
    steps: int
    samples: int  # of one step, on all GPUs
    seeds: int
    micro: int  # samples of one micro batch on one GPU
    parts: int  # processes over which FSDP cuts it; 1: each holds all

    @property
    def flops(self) -> float:
        return (self.cost.flops + self.cost.reference_flops) * self.steps * self.samples * self.seeds


def profile(name: str) -> dict[str, Any]:
    """A profile's configuration over the default one."""
    file = CONFIG / f"{name}.yaml"
    if not file.is_file():
        there = ", ".join(sorted(path.stem for path in CONFIG.glob("*.yaml")))
        raise ConfigError(f"there is no profile {name!r}; there are {there}.")
    both = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in (CONFIG / "default.yaml", file))
    return merged(*both)


def merged(*layers: dict[str, Any]) -> dict[str, Any]:
    """Later layers over earlier ones, mappings inside too."""
    out: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            inner = isinstance(value, dict) and isinstance(out.get(key), dict)
            out[key] = merged(out[key], value) if inner else value
    return out


def rows_of(config: dict[str, Any], gpus: int) -> list[Row]:
    """Every row of ECHO that is trained, costs shared where two rows are of one size."""
    wan = from_dict(WanOptions, config["generator"], "generator")
    rows, counted = [], {}
    for name, row in config["methods"].items():
        if row is None or not row["class"].startswith("echo_model.method:") or row.get("weights"):
            continue
        stage = config[f"stage{row['stage']}"]
        options = merged({"model": config["model"]}, stage, row.get("options", {}))
        model = from_dict(ModelOptions, options["model"], f"{name}: model")
        losses = from_dict(StageOptions, options.get("stage", {}), f"{name}: stage")
        train = from_dict(TrainOptions, options["train"], f"{name}: train")
        user = row["class"].endswith(":Echo")
        aligned = bool(user and row.get("start") and losses.align_weight)
        key = json.dumps([asdict(model), user, aligned, losses.align_blocks], sort_keys=True)
        if key not in counted:
            counted[key] = cost(wan, model, losses, user, aligned)
        samples = train.batch_size * train.accumulate * gpus
        seeds, parts = len(row.get("seeds") or config["seeds"]), gpus if train.parallel == "fsdp" else 1
        rows.append(Row(name, counted[key], train.steps, samples, seeds, train.batch_size, parts))
    if not rows:
        raise ConfigError("this profile has no row of ECHO; there is nothing to plan.")
    return rows


def encoding(config: dict[str, Any]) -> dict[str, float]:
    """FLOPs of one clip's encoders, and bytes of what they leave behind."""
    wan = from_dict(WanOptions, config["generator"], "generator")
    model = from_dict(ModelOptions, config["model"], "model")
    sizes, steps = sizes_of(wan, model), 1 + (model.previous + model.clip) // model.patch
    found: dict[str, float] = {"autoencoder": encoder_flops(wan, model)}
    found["voice"] = 2 * 2 * voice_weights(wan) * (wan.voice.reach + model.clip) * 2  # both people, two states a frame
    look = configuration(wan.look.path, LOOK)
    tokens = 1 + (look["image_size"] // look["patch_size"]) ** 2
    weights = look["num_hidden_layers"] * (
        4 * look["hidden_size"] ** 2 + 2 * look["hidden_size"] * look["intermediate_size"]
    )
    found["look"] = 2 * weights * tokens * model.clip / wan.look.every
    words = model.context / FPS * (25 + 2 * (wan.size / 28) ** 2 / 2)  # 25 sound tokens a second, 2 frames of patches
    found["Phi (7 B)"] = 2 * 7.6e9 * words if config["phi"].get("kind") == "qwen_omni" else 0.0
    found["bytes"] = 2 * (
        steps * sizes.channels * sizes.rows * sizes.cols
        + 2 * model.clip * sizes.voice
        + model.clip / model.tubelet * sizes.user_tokens * sizes.user_width
        + model.context / model.stride * model.phi_width
    )
    return found


def voice_weights(wan: WanOptions) -> float:
    voice = configuration(wan.voice.path, VOICE)
    return voice["num_hidden_layers"] * (
        4 * voice["hidden_size"] ** 2 + 2 * voice["hidden_size"] * voice["intermediate_size"]
    )


def encoder_flops(wan: WanOptions, model: ModelOptions) -> float:
    """The autoencoder's forward pass over one clip's window."""
    from diffusers import AutoencoderKLWan

    with torch.device("meta"):
        vae = AutoencoderKLWan(**known(VAES, wan.vae.path, wan.base_model))
        x = torch.randn(1, 3, 1 + model.previous + model.clip, wan.size, wan.size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        vae.encode(x)
    return counter.get_total_flops()


def plan(config: dict[str, Any], hours: float, test_hours: float, gpus: int, mfu: float) -> dict[str, Any]:
    """The whole study as numbers; see `main` for what they are."""
    if config["generator"].get("kind", "small") != "wan":
        raise ConfigError("this profile's generator is the small one; a plan is for generator.kind wan.")
    rows, each = rows_of(config, gpus), encoding(config)
    model = from_dict(ModelOptions, config["model"], "model")
    sampling = from_dict(SamplingOptions, config["sampling"], "sampling")
    blocks = depth_of(from_dict(WanOptions, config["generator"], "generator"))
    clips, test = hours * 3600 * FPS / model.clip, test_hours * 3600 * FPS / model.clip
    reading = sum(value for name, value in each.items() if name != "bytes")
    told = [
        {
            "row": row.name,
            "trained_millions": row.cost.trained / 1e6,
            "frozen_billions": row.cost.frozen / 1e9,
            "tokens": row.cost.tokens,
            "step_tflop_a_sample": row.cost.flops / 1e12,
            "overhead": row.cost.overhead,
            "reference_tflop": row.cost.reference_flops / 1e12,
            "weights_gib": row.cost.weights / GIB,
            "gradients_gib": row.cost.gradients / GIB,
            "optimiser_gib": row.cost.optimiser / GIB,
            "activations_gib": row.micro * row.cost.activations / GIB,
            "memory_gib": row.cost.memory(row.micro, row.parts, blocks) / GIB,
            "epochs": row.steps * row.samples / clips,
            "flop": row.flops,
            "hours": {name: row.flops / (count * peak * mfu) / 3600 for name, (count, peak, _) in MACHINES.items()},
        }
        for row in rows
    ]
    evaluations = sampling.steps * len(branches(sampling, True)[0])
    made = sum(row.cost.forward_flops * evaluations * test * row.seeds for row in rows)
    total = {"training": sum(row.flops for row in rows), "sampling": made, "encoding": reading * (clips + test)}
    return {
        "rows": told,
        "clips": clips,
        "cache_gb": each["bytes"] * (clips + test) / 1e9,
        "encoding_tflop_a_clip": {k: v / 1e12 for k, v in each.items() if k != "bytes"},
        "sampling_tflop_a_clip": rows[-1].cost.forward_flops * evaluations / 1e12,
        "flop": total,
        "hours": {
            name: {part: value / (count * peak * mfu) / 3600 for part, value in total.items()}
            | {"sum": sum(total.values()) / (count * peak * mfu) / 3600}
            for name, (count, peak, _) in MACHINES.items()
        },
        "fits": {
            name: all(t["memory_gib"] * GIB < 0.9e9 * size for t in told) for name, (*_, size) in MACHINES.items()
        },
    }


def shown(found: dict[str, Any], mfu: float) -> str:
    """The plan in words and a table."""
    names = list(MACHINES)
    head = [
        "row",
        "trained M",
        "frozen B",
        "tokens",
        "TFLOP/sample",
        "over LoRA",
        "GiB/GPU",
        "epochs",
        *(f"h, {n}" for n in names),
    ]
    lines = [
        [
            t["row"],
            *(f"{t[k]:.{d}f}" for k, d in (("trained_millions", 0), ("frozen_billions", 2), ("tokens", 0))),
            f"{t['step_tflop_a_sample'] + t['reference_tflop']:.0f}",
            f"{t['overhead']:.3f}",
            f"{t['memory_gib']:.1f}",
            f"{t['epochs']:.2f}",
            *(f"{t['hours'][n]:.1f}" for n in names),
        ]
        for t in found["rows"]
    ]
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    table = "\n".join("  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)) for line in [head, *lines])
    one = max(found["rows"], key=lambda t: t["memory_gib"])
    parts = ", ".join(f"{k} {one[f'{k}_gib']:.1f}" for k in ("weights", "gradients", "optimiser", "activations"))
    hours = "\n".join(
        f"{name}: "
        + ", ".join(f"{part} {value:,.0f} h" for part, value in times.items())
        + ("" if found["fits"][name] else "; a row does not fit its memory")
        for name, times in found["hours"].items()
    )
    return (
        f"{table}\n\nMemory of {one['row']}, GiB, uncut: {parts}.\n"
        f"Caches: {found['clips']:,.0f} clips, {found['cache_gb']:,.0f} GB in bfloat16.\n"
        f"A clip's encoders, TFLOP: {', '.join(f'{k} {v:.1f}' for k, v in found['encoding_tflop_a_clip'].items())}; "
        f"its sampling {found['sampling_tflop_a_clip']:,.0f}.\n"
        f"At {mfu:.0%} of the peak, all rows and seeds of ECHO:\n{hours}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m echo_model.plan", description=__doc__)
    parser.add_argument("--profile", default="paper")
    parser.add_argument("--hours", type=float, default=300.0, help="of training dialogues, each person's video once")
    parser.add_argument("--test-hours", type=float, default=3.0, help="of test dialogues")
    parser.add_argument("--gpus", type=int, help="processes of one training; without it the profile's gpus_per_job")
    parser.add_argument("--mfu", type=float, default=0.35, help="share of a GPU's peak that is reached; an assumption")
    parser.add_argument("--json", action="store_true", help="numbers alone")
    arguments = parser.parse_args()
    config = profile(arguments.profile)
    gpus = (config.get("gpus_per_job") or 1) if arguments.gpus is None else arguments.gpus
    if not 0 < arguments.mfu <= 1 or arguments.hours <= 0 or gpus < 1:
        raise ConfigError("--hours, --gpus and --mfu must be above 0, and --mfu at most 1.")
    found = plan(config, arguments.hours, arguments.test_hours, gpus, arguments.mfu)
    print(json.dumps(found) if arguments.json else shown(found, arguments.mfu))


if __name__ == "__main__":
    run_cli(main)
