"""A live stream gives what the batch path gives, remembers a bounded past, and says what does not fit."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_networks import SAMPLING, networks

from dyads.contract import Turn
from dyads.errors import ConfigError, DataError
from echo_model.clips import Dialogue
from echo_model.commands.encode import encode_inputs
from echo_model.commands.understand import understand
from echo_model.pretrained import Echo
from echo_model.sampling import sample_dialogue
from echo_model.stream import EchoStream

TURNS = (
    Turn(start=0.2, end=1.1, role="user", text="I am so happy, this is wonderful"),
    Turn(start=1.5, end=3.0, role="avatar", text="I see"),
    Turn(start=3.1, end=5.2, role="user", text="but then I was so sad and terrible"),
)


def recording(frames, seed=0):
    g = np.random.default_rng(seed)
    pictures = g.integers(0, 255, (frames, 64, 64, 3), dtype=np.uint8)
    voices = [(0.1 * g.standard_normal(frames * 640)).astype(np.float32) for _ in range(2)]
    return pictures, *voices, g.integers(0, 255, (64, 64, 3), dtype=np.uint8)


def batch_path(nets, options, sampling, frames, user, heard, voice, reference):
    """Encoders on the whole recording, then `sample_dialogue`."""
    arrays = SimpleNamespace(user_frames=user, user_audio=heard, avatar_audio=voice, reference=reference)
    inputs = encode_inputs(nets.vae, arrays)
    dyad = SimpleNamespace(dyad_id="stream", turns=TURNS)
    dialogue = Dialogue(dyad, inputs, understand(nets.phi, dyad, inputs)[0])
    return sample_dialogue(nets.generator, nets.lcu, dialogue, options, sampling, seed=5)


def streamed(nets, options, sampling, frames, user, heard, voice, reference):
    stream = EchoStream(nets, options, sampling, reference, seed=5)
    parts = []
    for start in range(0, frames, options.clip):
        stop, now = start + options.clip, start / 25
        told = [turn for turn in TURNS if now - options.clip / 25 < turn.end <= now]  # as soon as they are over
        parts.append(
            stream.advance(user[start:stop], heard[start * 640 : stop * 640], voice[start * 640 : stop * 640], told)
        )
    return torch.cat(parts), stream


PLAIN = {"precondition": False, "mixing": 0, "neighbours": 0}


@pytest.mark.parametrize(
    "change", [{}, PLAIN, {"carry": False}, {"use_lpe": False}, {"use_lcu": False}, {"context": 24}]
)
@pytest.mark.parametrize("frames", [168, 157])
def test_a_stream_equals_the_batch_path(options, change, frames):
    """Longer than context and Phi's reach together, so that everything that is forgotten is tested too."""
    options = replace(options, **change)
    nets, given = networks(options), recording(frames)
    whole = batch_path(nets, options, SAMPLING, frames, *given)
    parts, _ = streamed(nets, options, SAMPLING, frames, *given)
    assert parts.shape == whole.shape == (frames, 17, 8)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-4)


def test_what_is_carried_matters(options):
    given = recording(168)
    nets = networks(options)
    a, b = (streamed(nets, replace(options, carry=on), SAMPLING, 168, *given)[0] for on in (True, False))
    torch.testing.assert_close(a[:24], b[:24], rtol=0, atol=1e-4)  # nothing came before
    assert (a[96:] - b[96:]).abs().max() > 1e-3


def size_of(value):
    """Numbers held by a stream, its networks left out."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return value.numel() if isinstance(value, torch.Tensor) else value.size
    if isinstance(value, dict):
        return sum(map(size_of, value.values()))
    if isinstance(value, tuple | list):
        return sum(map(size_of, value))
    return sum(map(size_of, vars(value).values())) if type(value).__name__ == "Ear" else 0


def test_memory_does_not_grow(options):
    nets, (user, heard, voice, reference) = networks(options), recording(24)
    stream, held = EchoStream(nets, options, replace(SAMPLING, steps=1), reference), []
    for k in range(14):
        stream.step(user, heard, voice, [Turn(start=k * 0.96, end=(k + 1) * 0.96, role="user", text="fine")])
        held.append((sum(size_of(v) for name, v in vars(stream).items() if name != "networks"), len(stream.turns)))
    assert held[8] == held[-1] and len({sizes for sizes, _ in held[5:]}) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heard": slice(0, 100)}, "samples of user audio"),
        ({"voice": slice(0, 0)}, "samples of avatar audio"),
        ({"user": slice(0, 0)}, "user frames, but got 0"),
    ],
)
def test_a_step_says_what_does_not_fit(options, change, message):
    user, heard, voice, reference = recording(24)
    stream = EchoStream(networks(options), options, SAMPLING, reference)
    given = {"user": user, "heard": heard, "voice": voice}
    given |= {name: given[name][part] for name, part in change.items()}
    with pytest.raises(DataError, match=message):
        stream.step(*given.values())


def test_other_sizes_and_steps_after_the_end_are_refused(options):
    user, heard, voice, reference = recording(10)
    with pytest.raises(DataError, match="needs uint8"):
        EchoStream(networks(options), options, SAMPLING, reference[:32, :32])
    with pytest.raises(ConfigError, match="batch path"):
        EchoStream(networks(options), replace(options, limit=True, carry=False), SAMPLING, reference)
    stream = EchoStream(networks(options), options, SAMPLING, reference)
    assert stream.step(user, heard, voice).shape == (10, 64, 64, 3)
    with pytest.raises(DataError, match="ended with a step shorter"):
        stream.step(user, heard, voice)


def test_silence_and_an_empty_history_work(options):
    user, _, _, reference = recording(24)
    quiet = np.zeros(24 * 640, np.float32)
    frames = EchoStream(networks(options), options, SAMPLING, reference).step(user, quiet, quiet)
    assert frames.shape == (24, 64, 64, 3) and frames.dtype == np.uint8


def test_saved_and_loaded_it_is_the_same(options, tmp_path):
    user, heard, voice, reference = recording(30)
    echo = Echo.of(networks(options), options, SAMPLING, {"label": "ECHO", "steps": 3, "results": {"PSNR": "18.8"}})
    echo.save_pretrained(tmp_path / "echo")
    assert {p.name for p in (tmp_path / "echo").iterdir()} == {"config.json", "model.safetensors", "README.md"}
    card = (tmp_path / "echo/README.md").read_text()
    assert "| PSNR | 18.8 |" in card and "steps: 3" in card and "license: apache-2.0" in card
    again = Echo.from_pretrained(tmp_path / "echo")
    given = (user, heard, voice, reference, TURNS)
    assert np.array_equal(echo.generate(*given), again.generate(*given))
    assert again.facts["steps"] == 3 and again.model == options


def test_weights_of_another_configuration_are_refused(options, tmp_path):
    Echo.of(networks(options), options, SAMPLING, {}).save_pretrained(tmp_path)
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace('"blocks": 2', '"blocks": 1'))
    with pytest.raises(ConfigError, match="different models"):
        Echo.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(config.replace('"blocks"', '"stones"'))
    with pytest.raises(ConfigError, match="stones"):
        Echo.from_pretrained(tmp_path)
