"""What both sides of `benchmarks.metrics` read: clips of the synthetic world, and random weights of every network."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import nn

from dyads.contract import FPS, SAMPLES_PER_FRAME
from dyads.errors import ConfigError
from dyads.media.video import write_video, write_wav
from dyads.synthetic.drawing.render import render_frames
from dyads.synthetic.world import generate_dialogue
from evaluation.networks.i3d import WINDOW

DAMPED = 0.7  # what is left of the generated motion
# As the packages' own loaders look for them
INCEPTION = "pt_inception-2015-12-05-6726825d.pth"
ALEXNET = "alexnet-owt-7be5be79.pth"
SYNCNET, I3D = "syncnet_v2.model", "i3d_pretrained_400.pt"
MEASURED = {  # by each peer
    "pytorch-fid": ("fid",),
    "scikit-image": ("ssim", "psnr"),
    "lpips": ("lpips",),
    "syncnet-python": ("lse_d", "lse_c"),
    "cd-fvd": ("fvd",),
}
WEIGHTS = {"pytorch-fid": INCEPTION, "lpips": ALEXNET, "syncnet-python": SYNCNET, "cd-fvd": I3D}


@dataclass(frozen=True)
class Setting:
    """Number, length and size of the clips, threads of each side, the peers that ours is compared with, and the videos
    whose LSE syncnet-python is asked for."""

    clips: int = 40
    frames: int = 28
    size: int = 64
    threads: int = 1
    peers: tuple[str, ...] = tuple(MEASURED)
    lse_sides: tuple[str, ...] = ("generated",)

    def __post_init__(self) -> None:
        if "cd-fvd" in self.peers and not WINDOW <= self.frames < 2 * WINDOW:
            raise ConfigError(f"--frames {self.frames} is not one window for FVD; give {WINDOW} to {2 * WINDOW - 1}.")
        if self.clips < 2:
            raise ConfigError(f"--clips {self.clips} is too few; a Frechet distance needs at least 2.")

    @property
    def names(self) -> list[str]:
        return [f"{clip:04d}" for clip in range(self.clips)]


def write_clips(folder: Path, setting: Setting) -> None:
    """`true/<name>.mp4` and `<name>.wav`, and `generated/<name>.mp4`: the same face with damped motion, coarser."""
    for side in ("true", "generated"):
        (folder / side).mkdir(parents=True)
    seconds = max(4.0, setting.frames / FPS)
    for number, name in enumerate(setting.names):
        dialogue = generate_dialogue(0, "test", number, (seconds, seconds))
        motion = dialogue.faces.avatar[: setting.frames]
        damped = motion[:1] + DAMPED * (motion - motion[:1])
        for side, values, crf in (("true", motion, 12), ("generated", damped.astype(np.float32), 24)):
            frames = render_frames(dialogue.identity["avatar"], values, setting.size)
            write_video(folder / side / f"{name}.mp4", frames, None, crf=crf)
        write_wav(folder / "true" / f"{name}.wav", dialogue.sound["avatar"][: setting.frames * SAMPLES_PER_FRAME])


def write_weights(folder: Path, peers: Iterable[str]) -> None:
    """Random weights of the peers' networks under the names and keys of the published files.

    Batch normalisation takes its statistics from a batch of noise: without, an untrained network's features vanish.
    """
    folder.mkdir(parents=True)
    for peer in peers:
        if peer in WEIGHTS:
            torch.manual_seed(0)
            network, call = NETWORKS[peer]()
            for module in network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.momentum = 1.0
            with torch.no_grad():
                call(network.train())
            torch.save(network.state_dict(), folder / WEIGHTS[peer])


def _alexnet() -> tuple[nn.Module, Callable]:
    from torchvision.models import alexnet

    return alexnet(weights=None), lambda network: None


def _syncnet() -> tuple[nn.Module, Callable]:
    from syncnet_python import SyncNetModel

    def see_and_hear(network) -> None:
        network.forward_lip(torch.rand(4, 3, 5, 224, 224) * 255)
        network.forward_aud(torch.randn(16, 1, 13, 20) * 10)

    return SyncNetModel(), see_and_hear


def _i3d() -> tuple[nn.Module, Callable]:
    from cdfvd.third_party.i3d.pytorch_i3d import InceptionI3d

    return InceptionI3d(400, in_channels=3), lambda network: network(torch.rand(1, 3, WINDOW, 224, 224) * 2 - 1)


def _inception() -> tuple[nn.Module, Callable]:
    """pytorch-fid's network, which can only be made with weights: it is given its own."""
    from pytorch_fid import inception

    made, plain = [], inception._inception_v3

    def make(*args, **options):
        made.append(plain(*args, **options))
        return made[-1]

    with (
        mock.patch.object(inception, "_inception_v3", make),
        mock.patch.object(inception, "load_state_dict_from_url", lambda *args, **options: made[-1].state_dict()),
    ):
        network = inception.fid_inception_v3()
    return network, lambda network: network(torch.rand(4, 3, 299, 299) * 2 - 1)


NETWORKS = {"pytorch-fid": _inception, "lpips": _alexnet, "syncnet-python": _syncnet, "cd-fvd": _i3d}
