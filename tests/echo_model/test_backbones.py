"""The small audio, text, affect and understanding backbones."""

import numpy as np
import pytest
import torch

from dyads.contract import Turn
from dyads.errors import DataError
from dyads.features import write_features
from echo_model.backbones.audio import AUDIO_DIM, encode_audio, frame_energy
from echo_model.backbones.phi import Phi, PhiOptions
from echo_model.backbones.psi import affect_sentence, prompt, reading
from echo_model.backbones.text import TEXT_DIM, WORDS, encode_text
from echo_model.commands.encode import load_inputs, load_targets


def voice(f0, frames=20):
    time = np.arange(frames * 640) / 16000
    return sum(np.sin(2 * np.pi * k * f0 * time) / k for k in range(1, 12)).astype(np.float32) * 0.1


@pytest.mark.parametrize("f0", [95.0, 150.0, 240.0, 380.0])
def test_pitch_of_a_harmonic_tone(f0):
    features = encode_audio(voice(f0))
    assert features.shape == (20, AUDIO_DIM)
    torch.testing.assert_close(features[3:-3, -2], torch.full((14,), float(np.log2(f0 / 150))), atol=0.06, rtol=0)
    assert (features[3:-3, -1] > 0.5).all()


def test_silence_and_noise_are_unvoiced():
    noise = np.random.default_rng(0).standard_normal(12800).astype(np.float32) * 0.1
    assert encode_audio(np.zeros(12800, np.float32))[:, -2:].abs().max() == 0
    assert encode_audio(noise)[:, -1].mean() < 0.3


def test_features_belong_to_their_frame():
    audio = np.zeros(20 * 640, np.float32)
    audio[10 * 640 : 11 * 640] = voice(150.0, 1)
    loud = encode_audio(audio)[:, :-2].mean(1)
    assert loud.argmax() == 10 and (loud[:9] == loud[0]).all() and (loud[13:] == loud[-1]).all()
    assert frame_energy(audio).argmax() == 10


def test_no_sample_after_a_frame_reaches_its_features():
    audio = voice(150.0)
    changed = audio.copy()
    changed[12 * 640 :] = np.random.default_rng(0).standard_normal(8 * 640)
    before, after = encode_audio(audio), encode_audio(changed)
    assert torch.equal(before[:12], after[:12]) and not torch.equal(before[12], after[12])


def test_words_have_fixed_vectors():
    one, two = encode_text("Happy and warm now"), encode_text("should look happy, WARM")
    assert one.shape == (WORDS, TEXT_DIM)
    assert torch.equal(one[:2], two[:2]) and two[2:].abs().max() == 0 and one[2].abs().max() > 0


@pytest.mark.parametrize(
    ("text", "emotion"),
    [
        ("that was a wonderful day", "joy"),
        ("i feel terrible and sad", "sadness"),
        ("i am furious about it", "anger"),
        ("wow i was so surprised", "surprise"),
        ("we spoke about the printer", None),
    ],
)
def test_readings(text, emotion):
    assert reading(text) == emotion


@pytest.mark.parametrize("apostrophe", "’ʼ′")
def test_typesetting_does_not_turn_a_sentence_round(apostrophe):
    for text in ("I don't like it", "this isn't good, it's terrible", "I can't say I'm happy"):
        assert reading(text.replace("'", apostrophe)) == reading(text) != "joy"


def test_psi_reads_only_what_was_said_before_and_forgets():
    history = [Turn(1.0, 2.0, "user", "that was wonderful"), Turn(4.0, 5.0, "user", "i am furious about it")]
    happy, tense = prompt()["emotions"]["joy"], prompt()["emotions"]["anger"]
    assert affect_sentence(history, 1.9) == prompt()["neutral"]
    assert happy in affect_sentence(history, 2.5) and "just now" in affect_sentence(history, 2.5)
    assert "moments ago" in affect_sentence(history, 4.9)
    assert tense in affect_sentence(history, 5.5)
    assert affect_sentence(history, 60.0) == prompt()["neutral"]
    avatar = [Turn(1.0, 2.0, "avatar", "that was wonderful")]
    assert affect_sentence(avatar, 2.5) == prompt()["neutral"]


def test_phi_is_causal_and_looks_back_a_bounded_way():
    torch.manual_seed(0)
    phi = Phi(PhiOptions(layers=1, reach=4)).eval()
    audio, video = torch.randn(1, 30, 4 * AUDIO_DIM), torch.randn(1, 30, 4 * 17 * 8)
    changed = audio.clone()
    changed[:, 10] += 1
    moved = (phi(audio, video) - phi(changed, video)).abs().amax((0, 2)) > 1e-6
    assert not moved[:10].any() and moved[10] and not moved[10 + 4 + 4 :].any()


def test_features_shorter_than_their_dialogue_are_refused(tmp_path):
    tensors = {"user_latents": torch.zeros(9, 17, 8), "energy": torch.zeros(10), "reference": torch.zeros(4, 4)}
    write_features(tmp_path / "a.safetensors", tensors, {"frames": 10})
    with pytest.raises(DataError, match="'user_latents' has 9 frames, but the dialogue has 10; delete the file"):
        load_inputs(tmp_path, "a")
    write_features(tmp_path / "a.safetensors", tensors | {"user_latents": torch.zeros(10, 17, 8)}, {"frames": 10})
    assert len(load_inputs(tmp_path, "a")["user_latents"]) == 10
    write_features(tmp_path / "a.target.safetensors", {"avatar_latents": torch.zeros(8, 17, 8)}, {"frames": 10})
    with pytest.raises(DataError, match="'avatar_latents' has 8 frames"):
        load_targets(tmp_path, "a")
