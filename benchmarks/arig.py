"""ARIG's frame-wise loop in frames a second, and with its frames rendered: `python -m benchmarks.arig`.

One dialogue, one thread; seconds are the processor's, so that a busy machine does not count. The networks are
untrained, of the default size: their cost is the same.
"""

import argparse
import time
from functools import partial

import numpy as np
import torch

from baselines.arig.model import ARIGNetwork, ModelOptions
from baselines.arig.sampling import SamplingOptions, rollout
from baselines.motion.method import MotionDialogue
from baselines.motion.renderer import DIRECTIONS, MotionRenderer, RendererOptions
from benchmarks.report import alternating, show
from dyads.contract import FPS
from dyads.seeding import torch_generator
from echo_model.backbones.audio import AUDIO_DIM
from echo_model.backbones.vae import to_frames


def dialogue(frames: int) -> MotionDialogue:
    """Noise for both voices, the user's motion and the avatar's face."""
    draw, size = torch_generator(0, "arig", frames), RendererOptions().size
    user, avatar, motion = (torch.randn(frames, n, generator=draw) for n in (AUDIO_DIM, AUDIO_DIM, DIRECTIONS))
    image = torch.randint(256, (3, size, size), generator=draw, dtype=torch.uint8)
    return MotionDialogue("noise", user, avatar, motion, None, image)


def move(network: ARIGNetwork, given: MotionDialogue) -> torch.Tensor:
    """Motion (T, K), with the default guidance and steps."""
    return rollout(network, given, SamplingOptions(), torch_generator(0, "arig", "noise"))


@torch.no_grad()
def show_each(network: ARIGNetwork, renderer: MotionRenderer, given: MotionDialogue) -> np.ndarray:
    """Motion, and each frame of it rendered by itself, as a stream would have to."""
    reference = given.reference_image[None] / 255.0
    origin = renderer.origin(reference)
    frames = (renderer.decode(one, reference, origin) for one in move(network, given).split(1))
    return np.concatenate([to_frames(frame) for frame in frames])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--lengths", type=int, nargs="+", default=[125, 250, 500], help="frames")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network, renderer, rows = ARIGNetwork(ModelOptions()).eval(), MotionRenderer(RendererOptions()).eval(), []
    for frames in arguments.lengths:
        given = dialogue(frames)
        ways = {"motion": partial(move, network, given), "rendered": partial(show_each, network, renderer, given)}
        seconds = alternating(ways, arguments.repeats, time.process_time)
        rows.append(
            {
                "frames": frames,
                "motion, ms a frame": 1e3 * seconds["motion"] / frames,
                "motion, frames a second": frames / seconds["motion"],
                "with rendering, frames a second": frames / seconds["rendered"],
            }
        )
    first, last = rows[0], rows[-1]
    figures = {
        "frames_per_second": round(last["motion, frames a second"], 1),
        "rendered_frames_per_second": round(last["with rendering, frames a second"], 1),
        "times_real_time": round(last["motion, frames a second"] / FPS, 2),
        "longest_over_shortest": round(last["motion, ms a frame"] / first["motion, ms a frame"], 3),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "torch": torch.__version__,
    }
    show("ARIG frame by frame, default size, guidance and steps, one dialogue, one core", rows, figures)


if __name__ == "__main__":
    main()
