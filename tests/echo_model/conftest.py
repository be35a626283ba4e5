"""A random dialogue in features, and small model options, for every test of ECHO."""

from types import SimpleNamespace

import pytest
import torch

from echo_model.backbones.audio import AUDIO_DIM
from echo_model.backbones.phi import PHI_DIM
from echo_model.backbones.text import encode_text
from echo_model.clips import Dialogue
from echo_model.model.options import ModelOptions


@pytest.fixture
def options():
    return ModelOptions(d=32, blocks=2, context=96, precondition=True, mixing=3, neighbours=1, colour=True)


@pytest.fixture
def masks():
    m_lip = torch.zeros(17)
    m_lip[8:14] = 0.8
    return m_lip, 1 - m_lip


@pytest.fixture
def dialogue():
    g = torch.Generator().manual_seed(0)
    frames, steps = 130, 32
    inputs = {
        "user_latents": torch.randn(frames, 17, 8, generator=g),
        "user_audio": torch.randn(frames, AUDIO_DIM, generator=g),
        "avatar_audio": torch.randn(frames, AUDIO_DIM, generator=g),
        "energy": torch.rand(frames, generator=g),
        "reference": torch.randn(16, 32, generator=g),
        "user_reference": torch.randn(16, 32, generator=g),
        "reference_image": torch.randint(0, 255, (3, 64, 64), generator=g, dtype=torch.uint8),
        "user_reference_image": torch.randint(0, 255, (3, 64, 64), generator=g, dtype=torch.uint8),
    }
    context = {
        "s_usr": torch.randn(steps, PHI_DIM, generator=g),
        "text": torch.stack([encode_text("calm"), encode_text("happy and warm")]),
        "text_index": (torch.arange(steps) > 10).long(),
    }
    latents = torch.randn(frames, 17, 8, generator=g)
    return Dialogue(SimpleNamespace(dyad_id="one"), inputs, context, latents)
