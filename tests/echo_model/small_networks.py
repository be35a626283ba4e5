"""Untrained networks of a whole ECHO, small enough for tests."""

import torch

from echo_model.backbones.phi import Phi, PhiOptions
from echo_model.backbones.vae import FaceVAE, VAEOptions, small_sizes
from echo_model.model.generator import EchoGenerator
from echo_model.model.lcu import LCU
from echo_model.model.options import SamplingOptions
from echo_model.stream import Networks

GUIDED = {"steps": 2, "guide_user": 2.0, "guide_emotion": 1.5, "guide_audio": 1.5, "lead": 8}
SAMPLING = SamplingOptions(**GUIDED, solver="angular", span=0.9, span_time=0.9)  # as the study's, all of it


def networks(options, seed=0):
    torch.manual_seed(seed)
    vae = FaceVAE(VAEOptions(width=16)).eval()
    vae.mask_lip[8:14] = 0.8
    vae.mask_face.copy_(1 - vae.mask_lip)
    generator = EchoGenerator(options, vae.mask_lip, vae.mask_face)
    if generator.colour is not None:
        generator.fit_spread([torch.randn(400, 17, 8).cumsum(0) / 20])
    lcu = LCU(options, vae.mask_lip + vae.mask_face > 0, small_sizes(options.tubelet))
    with torch.no_grad():
        for p in (*generator.parameters(), *lcu.parameters()):
            p.add_(0.1 * torch.randn_like(p))
    phi = Phi(PhiOptions(layers=2, reach=6))
    return Networks(*(net.eval().requires_grad_(False) for net in (generator, lcu, vae, phi)))
