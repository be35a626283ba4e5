"""Avatar Forcing's rollout from kept keys and values against recomputing the past: `python -m benchmarks.kv_cache`.

Both give the same motion, up to rounding. The network is untrained, of the default size: its cost is the same.
"""

import argparse
from functools import partial

import torch

from baselines.avatar_forcing.method import INPUTS
from baselines.avatar_forcing.model import CausalDFoT
from baselines.avatar_forcing.options import ModelOptions, SamplingOptions
from baselines.avatar_forcing.sampling import Cached, Uncached, guidance, rollout
from baselines.motion.renderer import DIRECTIONS
from benchmarks.report import alternating, show
from dyads.contract import FPS
from dyads.seeding import torch_generator
from echo_model.backbones.audio import AUDIO_DIM

WIDTH = {"avatar_audio": AUDIO_DIM, "user_audio": AUDIO_DIM, "user_motion": DIRECTIONS}


def untrained() -> CausalDFoT:
    """The default network; weights that start at zero are random too, so that both ways have something to agree on."""
    torch.manual_seed(0)
    network = CausalDFoT(ModelOptions()).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return network


def motion(network: CausalDFoT, frames: int, kind: type) -> torch.Tensor:
    """One rollout over `frames` frames, with the default guidance and steps."""
    draw, options = torch_generator(0, "kv_cache", frames), SamplingOptions()
    inputs = tuple(torch.randn(1, frames, WIDTH[name], generator=draw) for name in INPUTS)
    branches = guidance(options.guide_audio, options.guide_user)
    return rollout(
        network, inputs, branches, options.steps, lambda n: torch.randn(1, n, DIRECTIONS, generator=draw), kind
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--lengths", type=int, nargs="+", default=[100, 200, 400], help="frames")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    network, rows = untrained(), []
    for frames in arguments.lengths:
        ways = {kind.__name__: partial(motion, network, frames, kind) for kind in (Cached, Uncached)}
        seconds = alternating(ways, arguments.repeats)
        rows.append(
            {
                "frames": frames,
                "cached, ms a frame": 1e3 * seconds["Cached"] / frames,
                "uncached, ms a frame": 1e3 * seconds["Uncached"] / frames,
                "uncached over cached": seconds["Uncached"] / seconds["Cached"],
                "largest difference": float((ways["Cached"]() - ways["Uncached"]()).abs().max()),
            }
        )
    figures = {
        "uncached_over_cached": {row["frames"]: round(row["uncached over cached"], 3) for row in rows},
        "largest_difference": max(row["largest difference"] for row in rows),
        "cached_frames_per_second": round(1e3 / rows[-1]["cached, ms a frame"], 1),
        "times_real_time": round(1e3 / rows[-1]["cached, ms a frame"] / FPS, 2),
        "torch": torch.__version__,
    }
    show("Avatar Forcing, default size and guidance, one dialogue, one thread", rows, figures)


if __name__ == "__main__":
    main()
