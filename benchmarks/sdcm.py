"""A training step with SDCM against one with entangled fusion: `python -m benchmarks.sdcm`.

Two comparisons, each in turns in one run: a whole stage-2 step (both copies of the generator, LCU, both losses,
gradients) and the fusion module alone, forward and backward. Parameters are counted beside them.
"""

import argparse

import torch
from torch import Tensor

from benchmarks.report import alternating, show
from echo_model.backbones.audio import AUDIO_DIM
from echo_model.backbones.phi import PHI_DIM
from echo_model.backbones.text import TEXT_DIM, WORDS
from echo_model.backbones.vae import CHANNELS, TOKENS, small_sizes
from echo_model.model.generator import REFERENCE_DIM, EchoGenerator
from echo_model.model.lcu import LCU
from echo_model.model.options import ModelOptions, StageOptions
from echo_model.stages import InteractiveTask

NAMES = {"sdcm": True, "entangled": False}


def random_batch(o: ModelOptions, size: int) -> dict[str, Tensor]:
    """A batch as `clips.stack` makes it, of noise."""
    shapes = {
        "x_1": (o.clip // o.patch, TOKENS, o.patch * CHANNELS),
        "previous": (o.previous // o.patch, TOKENS, o.patch * CHANNELS),
        "audio": ((o.previous + o.clip) // o.patch, o.patch * o.window, AUDIO_DIM),
        "reference": (TOKENS - 1, REFERENCE_DIM),
        "user_audio": (o.context // o.stride, o.window, AUDIO_DIM),
        "user_video": (o.context // o.tubelet, TOKENS, o.tubelet * CHANNELS),
        "s_usr": (o.context // o.stride, PHI_DIM),
        "text": (WORDS, TEXT_DIM),
        "energy": (o.clip // o.patch,),
    }
    batch = {name: torch.randn(size, *shape) for name, shape in shapes.items()}
    return batch | {"energy": batch["energy"].abs()}


def build(use_sdcm: bool, d: int) -> InteractiveTask:
    torch.manual_seed(0)
    options = ModelOptions(d=d, use_sdcm=use_sdcm)
    m_lip = torch.zeros(TOKENS)
    m_lip[8:14] = 0.8
    generator, lcu = (
        EchoGenerator(options, m_lip, 1 - m_lip),
        LCU(options, torch.ones(TOKENS) > 0, small_sizes(options.tubelet)),
    )
    return InteractiveTask(generator, lcu, [], options, StageOptions(), 1)


def whole_step(task: InteractiveTask, batch: dict[str, Tensor]):
    """A function that does one training step but for the optimiser's own arithmetic."""
    noise = torch.Generator().manual_seed(0)

    def run() -> None:
        task.loss(batch, noise)[0].backward()
        task.module.zero_grad()

    return run


def fusion_alone(task: InteractiveTask, size: int):
    generator, o = task.module["generator"], task.options
    module, frames = generator.blocks[0].sdcm, (o.previous + o.clip) // o.patch
    h = torch.randn(size, frames, TOKENS, o.d, requires_grad=True)
    audio = torch.randn(size, frames, o.patch * o.window, o.d, requires_grad=True)
    f_pu = torch.randn(size, o.clip // o.stride, o.d, requires_grad=True)

    def run() -> None:
        module(h, audio, f_pu, generator.m_lip, generator.m_face).sum().backward()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--width", type=int, default=ModelOptions().d)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tasks = {name: build(use, arguments.width) for name, use in NAMES.items()}
    batch = random_batch(tasks["sdcm"].options, arguments.batch)
    step = alternating({name: whole_step(task, batch) for name, task in tasks.items()}, arguments.repeats)
    alone = alternating({name: fusion_alone(task, arguments.batch) for name, task in tasks.items()}, arguments.repeats)
    parameters = {name: sum(p.numel() for p in task.module.parameters()) for name, task in tasks.items()}
    rows = [
        {"fusion": n, "step ms": 1e3 * step[n], "module ms": 1e3 * alone[n], "parameters": parameters[n]} for n in NAMES
    ]
    figures = {
        "step_sdcm_over_entangled": round(step["sdcm"] / step["entangled"], 4),
        "module_sdcm_over_entangled": round(alone["sdcm"] / alone["entangled"], 4),
        "parameters_sdcm_over_entangled": round(parameters["sdcm"] / parameters["entangled"], 4),
        "batch": arguments.batch,
        "torch": torch.__version__,
    }
    show(f"stage-2 step, width {arguments.width}, batch {arguments.batch}, float32, one thread", rows, figures)


if __name__ == "__main__":
    main()
