"""Training step of ECHO at the paper's size, random weights: `python -m benchmarks.paper_step`.

Full size wants one GPU of 80 GB or more: time of a step beside the same base's with LoRA alone, MFU by the FLOPs that
`echo_model.plan` counts, and peak memory beside what it promises. `--tiny` runs all of it in seconds on a CPU, where
only the ratio of the two steps means anything. `--minutes A B` samples dialogues of these lengths by tiny networks, the
autoencoder's among them, into videos with sound, each in a process of its own, and prints their peak memory: it must
not grow.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.report import peak_mib, show
from dyads.contract import FPS
from dyads.errors import ConfigError, run_cli
from dyads.features import write_features
from dyads.media.sound import write_wav
from echo_model.backbones.audio import FRAME
from echo_model.model.options import ModelOptions, SamplingOptions, StageOptions
from echo_model.wan.adapters import add_lora
from echo_model.wan.clips import DialogueClips, Encoded
from echo_model.wan.encoders.latents import WanLatents
from echo_model.wan.method import build_lcu
from echo_model.wan.options import WanOptions
from echo_model.wan.planning.bases import TRANSFORMERS, VAES, known
from echo_model.wan.planning.costs import BYTES, Cost, arguments_on_meta, cost, sizes_of, user_on_meta
from echo_model.wan.sampling import sample_dialogue
from echo_model.wan.transformer import EchoWan
from training.device import autocast, pick_device
from training.generate import write_stacks

PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12}  # dense bfloat16 FLOP/s
LENGTHS = {"clip": 48, "previous": 8, "context": 384, "tubelet": 4, "words": 64}
PAPER = ModelOptions(**LENGTHS, d=512, heads=8, mamba_layers=4, carry=False, phi_width=3584, text_width=4096)
TINY = {
    "num_attention_heads": 2,
    "attention_head_dim": 24,
    "ffn_dim": 64,
    "num_layers": 2,
    "text_dim": 24,
    "freq_dim": 32,
}
TINY |= {"in_channels": 6, "out_channels": 6}
TINY_VAE = {"base_dim": 8, "decoder_base_dim": 8, "z_dim": 6, "dim_mult": [1, 2, 2, 2], "num_res_blocks": 1}
TINY_VAE |= {"is_residual": True, "in_channels": 12, "out_channels": 12, "patch_size": 2, "scale_factor_spatial": 16}
TINY_VAE |= {"latents_mean": [0.0] * 6, "latents_std": [1.0] * 6}


def options(base: str, tiny: bool) -> tuple[WanOptions, ModelOptions]:
    if not tiny:
        return WanOptions(base_model=base), PAPER
    model = replace(PAPER, d=32, heads=2, clip=16, context=48, mamba_layers=1, phi_width=64, text_width=24, words=8)
    return WanOptions(base_model="tiny", size=64, width=16, heads=2, rank=4, dtype="fp32"), model


def random_base(wan: WanOptions, device: torch.device) -> nn.Module:
    """The transformer with random weights, made where it is to run."""
    from diffusers import WanTransformer3DModel

    with torch.device(device):
        base = WanTransformer3DModel(**known(TRANSFORMERS, None, wan.base_model))
    kept = ("time_embedder", "scale_shift_table", "norm1", "norm2", "norm3")
    for name, parameter in base.named_parameters():
        if wan.dtype == "bf16" and not any(part in name for part in kept):
            parameter.data = parameter.data.bfloat16()
    return base


def real(meta: Tensor, device: torch.device) -> Tensor:
    return torch.randn(meta.shape, device=device)


def timed(step, count: int, device: torch.device) -> float:
    """Median seconds of a step, after one to warm up; CPU seconds on a CPU."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    times = []
    for _ in range(count + 1):
        start = clock()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(clock() - start)
    return sorted(times[1:])[count // 2]


def stepping(modules: list[nn.Module], loss, device: torch.device, precision: str):
    """One optimiser step of `loss` over what learns in `modules`."""
    trained = [p for module in modules for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, 1e-4, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast(device, precision):
            value = loss()
        value.backward()
        optimizer.step()

    return step


def echo_step(wan: WanOptions, model: ModelOptions, batch: int, device: torch.device):
    """A training step of stage 2 without f_ref: LoRA, SDCM and LCU."""
    sizes, precision = sizes_of(wan, model), wan.dtype
    base = random_base(wan, device)
    with torch.device(device):
        steps = model.previous // model.patch, model.clip // model.patch
        generator = EchoWan(base, wan, sizes, model.patch * model.window, model.d, *steps)
    lcu = build_lcu(model, sizes, 0).to(device)
    given = {k: real(x, device) for k, x in arguments_on_meta(wan, model, batch).items()}
    given["t"] = torch.rand(batch, device=device)
    watched = [real(x, device) for x in user_on_meta(wan, model, batch)]

    def loss() -> Tensor:
        return generator(**given, f_pu=lcu(*watched)[0])[1].square().mean()

    return stepping([generator, lcu], loss, device, precision)


def stock_step(wan: WanOptions, model: ModelOptions, batch: int, device: torch.device):
    """The same of the stock transformer with LoRA alone, on as many tokens."""
    base = random_base(wan, device)
    base.requires_grad_(False)
    given = {k: real(x, device) for k, x in arguments_on_meta(wan, model, batch).items()}
    x = torch.cat([given["previous"], given["x_t"]], 1).transpose(1, 2)
    x = torch.cat([x, x.new_zeros(batch, base.config.in_channels - x.shape[1], *x.shape[2:])], 1).to(base.dtype)
    text = torch.randn(batch, wan.text_tokens, base.config.text_dim, device=device).to(base.dtype)
    image = given["image"].to(base.dtype) if base.config.image_dim else None
    add_lora(base, "talking", wan, inside="")
    base.to(device)
    base.train()
    if wan.checkpointing:
        base.enable_gradient_checkpointing()
    sigma = 1000 * torch.rand(batch, device=device)

    def loss() -> Tensor:
        return base(x, sigma, text, image, return_dict=False)[0].float().square().mean()

    return stepping([base], loss, device, wan.dtype)


def measure(
    wan: WanOptions, model: ModelOptions, batch: int, steps: int, device: torch.device
) -> tuple[list[dict], dict]:
    """Rows for people, figures for machines."""
    promised: Cost = cost(wan, model, StageOptions(), user=True, aligned=False)
    seconds, peaks = {}, {}
    for name, build in (("LoRA alone", stock_step), ("ECHO", echo_step)):
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        step = build(wan, model, batch, device)
        seconds[name] = timed(step, steps, device)
        peaks[name] = torch.cuda.max_memory_allocated() if device.type == "cuda" else float("nan")
        del step
    peak = next((v for k, v in PEAKS.items() if device.type == "cuda" and k in torch.cuda.get_device_name()), None)
    flops = {"LoRA alone": promised.stock_flops, "ECHO": promised.flops}
    rows = [
        {
            "step": name,
            "seconds": seconds[name],
            "TFLOP": batch * flops[name] / 1e12,
            "MFU": batch * flops[name] / seconds[name] / peak if peak else None,
            "peak GiB": peaks[name] / 2**30 if peak else None,
        }
        for name in seconds
    ]
    plan = promised.memory(batch) - 4 * promised.trained  # no moving average here
    figures = {
        "flops_echo_over_lora": promised.overhead,
        "seconds_echo_over_lora": seconds["ECHO"] / seconds["LoRA alone"],
        "mfu": rows[1]["MFU"],
        "peak_over_plan": peaks["ECHO"] / plan if peak else None,
        "trained": promised.trained,
        "bytes_of_a_weight": BYTES[wan.dtype],
    }
    return rows, figures


def made_up(minutes: float, folder: Path) -> None:
    """Write the autoencoder, the avatar's sound, and the encoders' and the readers' files of a dialogue."""
    from diffusers import AutoencoderKLWan

    wan, model = options("", True)
    AutoencoderKLWan(**TINY_VAE).save_pretrained(folder / "vae")
    frames = round(minutes * 60 * FPS)
    write_wav(folder / "one.wav", 0.1 * np.random.default_rng(0).standard_normal(frames * FRAME))
    sizes, clips = sizes_of(wan, model), -(-frames // model.clip)
    whole, steps, g = clips * model.clip, model.previous // model.patch, torch.Generator().manual_seed(0)
    tokens, side = sizes.rows * sizes.cols // 4, wan.size

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g).bfloat16()

    inputs = {
        "voice": draw(whole, sizes.voice),
        "user_voice": draw(whole, sizes.voice),
        "energy": torch.rand(whole),
        "user_look": draw(whole // model.tubelet, sizes.user_tokens, sizes.user_width),
        "reference_tokens": draw(257, sizes.look),
        "still": draw(1 + steps, sizes.channels, sizes.rows, sizes.cols),
        "reference_image": torch.zeros(side, side, 3),
        "m_lip": torch.ones(tokens),
        "m_face": torch.zeros(tokens),
    }
    write_features(folder / "one.safetensors", inputs, {})
    read = {
        "s_usr": draw(clips, model.context // model.stride, model.phi_width),
        "starts": torch.arange(clips) * model.clip,
        "text": draw(1, model.words, model.text_width),
        "text_index": torch.zeros(whole // model.stride).long(),
    }
    write_features(folder / "context" / "one.safetensors", read, {})


def sample(minutes: float, folder: Path) -> dict:
    """Sample that dialogue with tiny networks into a video: its frames, and this process's peak memory and seconds."""
    wan, model = options("", True)
    sizes, frames = sizes_of(wan, model), round(minutes * 60 * FPS)
    torch.manual_seed(0)
    steps = model.previous // model.patch, model.clip // model.patch
    base = random_base(wan, torch.device("cpu"))
    generator = EchoWan(base, wan, sizes, model.patch * model.window, model.d, *steps).eval()
    lcu, space = build_lcu(model, sizes, 0).eval(), WanLatents(folder / "vae", wan.size)
    dialogue = DialogueClips(Encoded(folder, folder / "context"), "one", model)
    words, settings = (model.words, model.text_width), SamplingOptions(steps=1)
    stacks = sample_dialogue(generator, lcu, space, dialogue, frames, settings, 0, words)
    start = time.process_time()
    made = write_stacks(folder / "one.mp4", stacks, folder / "one.wav", None, 12)
    return {"frames": made, "peak_mib": peak_mib(), "cpu_seconds": time.process_time() - start}


def memory(minutes: list[float]) -> tuple[list[dict], dict]:
    """Peak memory of a process of its own for each length; another one has written what it reads."""
    rows = []
    for length in minutes:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "benchmarks.paper_step", "--folder", folder, "--minutes", str(length)]
            subprocess.run([*command, "--make"], check=True)
            made = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
        rows.append({"minutes": length, **json.loads(made)})
    return rows, {"peak_long_over_short": rows[-1]["peak_mib"] / rows[0]["peak_mib"]}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paper_step", description=__doc__)
    parser.add_argument("--base", default="Wan2.2-TI2V-5B", help=f"one of {', '.join(TRANSFORMERS)}")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--minutes", type=float, nargs="+", help="peak memory of sampling dialogues of these lengths")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)  # of one such process
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.tiny or arguments.minutes:
        TRANSFORMERS["tiny"], VAES["tiny"] = TINY, TINY_VAE
    if arguments.folder and arguments.make:
        made_up(arguments.minutes[0], arguments.folder)
        return
    if arguments.folder:
        print(json.dumps(sample(arguments.minutes[0], arguments.folder)))
        return
    if arguments.minutes:
        show("Sampling, tiny", *memory(arguments.minutes))
        return
    device = pick_device(None)
    if not arguments.tiny and device.type != "cuda":
        raise ConfigError("the full size needs a GPU; give --tiny on a CPU, or see `python -m echo_model.plan`.")
    wan, model = options(arguments.base, arguments.tiny)
    rows, figures = measure(wan, model, arguments.batch, arguments.steps, device)
    show(f"One training step, batch {arguments.batch}, {wan.base_model}", rows, figures)


if __name__ == "__main__":
    run_cli(main)
