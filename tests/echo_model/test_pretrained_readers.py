"""Pretrained Phi, Psi and E_txt, as random checkpoints of the same classes: what they read, and what is refused."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_networks import SAMPLING, networks
from test_stream import TURNS, recording, streamed

from dyads.contract import Turn
from dyads.errors import ConfigError
from echo_model.backbones.causal_lm import NOTHING, CausalLM
from echo_model.backbones.phi import PHI_DIM
from echo_model.backbones.qwen_omni import QwenOmni, pooled, shown
from echo_model.backbones.readers import PhiReader, PsiReader, Readers, load_clip_phi, load_psi, load_text, recorded
from echo_model.backbones.t5 import T5
from echo_model.backbones.text import TEXT_DIM, WORDS
from echo_model.clips import Dialogue, clip_inputs, read_by_phi
from echo_model.commands import understand
from echo_model.commands.encode import encode_inputs
from echo_model.model.options import ModelOptions
from echo_model.sampling import sample_dialogue
from tests import tiny_checkpoints
from training.options import from_dict

MODEL = ModelOptions(d=32, blocks=2, context=96, phi_width=64, text_width=24, words=6, precondition=True, colour=True)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    made = {name: getattr(tiny_checkpoints, name)(root / name) for name in ("qwen_omni", "causal_lm", "t5")}
    return SimpleNamespace(**made)


@pytest.fixture(scope="module")
def phi(folders):
    return load_clip_phi(PhiReader("qwen_omni", folders.qwen_omni), MODEL)


@pytest.fixture(scope="module")
def psi(folders):
    return load_psi(PsiReader("causal_lm", folders.causal_lm, tokens=8))


@pytest.fixture(scope="module")
def text(folders):
    return load_text(from_dict(Readers, {"text": {"kind": "t5", "path": str(folders.t5)}}, "").text, MODEL)


def read(monkeypatch, given, *readers, turns=TURNS, every=24):
    """`understand_clips` of a recording that is not on disk."""
    arrays = SimpleNamespace(user_frames=given[0], user_audio=given[1])
    monkeypatch.setattr(understand, "load_arrays", lambda dyad, roles: arrays)
    dyad = SimpleNamespace(dyad_id="stream", turns=turns)
    return understand.understand_clips(readers[0], dyad, MODEL, every, *readers[1:])


def test_the_small_ones_are_the_default_and_load_none_of_the_pretrained_ones_libraries():
    assert (MODEL.phi_width, ModelOptions().phi_width) == (64, PHI_DIM)
    assert (ModelOptions().text_width, ModelOptions().words) == (TEXT_DIM, WORDS)
    names = ("understand", "package", "generate", "encode", "inspect", "train_vae", "train_phi")
    commands = (f"echo_model.commands.{name}" for name in names)
    methods = ("echo_model.method", "baselines.dim.method", "baselines.controls", "baselines.floors")
    rest = ("training.fit", "training.launch", "training.generate", "training.shipped.__main__", "echo_model.stream")
    rest += ("evaluation.run", "evaluation.fits.__main__", "reporting.tables", "reporting.claims", "reporting.page")
    stages = ", ".join((*commands, *methods, *rest))
    code = f"import sys, {stages}; sys.exit(bool({{'transformers', 'diffusers', 'peft'}} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_s_usr_has_a_row_a_step_and_follows_the_prompt(folders, phi):
    frames, audio, *_ = recording(98)
    s_usr = phi.read(frames, audio)
    assert s_usr.shape == (24, phi.width) and s_usr.diff(dim=0).abs().max() > 1e-2
    assert torch.equal(s_usr, phi.read(frames, audio))
    other = load_clip_phi(PhiReader("qwen_omni", folders.qwen_omni, prompt="think about the hands only"), MODEL)
    assert (other.read(frames, audio) - s_usr).abs().max() > 1e-3
    for changed in ((255 - frames, audio), (frames, -audio[::-1].copy())):
        assert (phi.read(*changed) - s_usr).abs().max() > 1e-3


def test_tokens_are_pooled_by_the_time_they_overlap():
    """Sound: one token a frame. Video at 2 frames a second, two in a token: 25 frames a token."""
    sound = pooled(torch.arange(8.0)[:, None], 1.0, 2, 4)
    assert sound[:, 0].tolist() == [1.5, 5.5]
    video = pooled(torch.tensor([[0.0], [1.0]]), 25.0, 12, 4)
    assert video[:6].sum() == 0 and video[6].item() == pytest.approx(0.75) and (video[7:] == 1).all()
    frames = np.arange(50)
    assert shown(frames, 2.0, 2).tolist() == [0, 12, 25, 37] and shown(frames[:3], 2.0, 2).tolist() == [0, 0]
    assert shown(frames[:30], 2.0, 2).tolist() == [0, 12, 25, 25]


def test_the_thinker_is_found_inside_a_whole_qwen_omni(folders, tmp_path):
    for file in folders.qwen_omni.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    own = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2_5_omni", "thinker_config": own}))
    weights = load_file(tmp_path / "model.safetensors")
    save_file({f"thinker.{k}": v for k, v in weights.items()}, tmp_path / "model.safetensors", {"format": "pt"})
    given = recording(24)[:2]
    alone, inside = (QwenOmni(path, 4, 2.0, "look", "cpu").read(*given) for path in (folders.qwen_omni, tmp_path))
    assert torch.equal(alone, inside)


def test_psi_reads_what_has_ended_and_follows_the_prompt(folders, psi):
    said = [Turn(0.0, 1.0, "user", "i am happy"), Turn(1.5, 3.0, "avatar", "it was wonderful")]
    before = psi.write(said, 2.0)
    assert before and before == psi.write([said[0], replace(said[1], text="terrible")], 2.0)
    assert before != psi.write(said, 3.0) != psi.write([said[0], replace(said[1], text="terrible")], 3.0)
    assert psi.write(said, 0.5) == psi.write([], 9.0) == psi.answer(psi.prompt.replace("{history}", NOTHING))
    other = load_psi(PsiReader("causal_lm", folders.causal_lm, prompt="only think: {history}", tokens=8))
    assert other.write(said, 2.0) != before


def test_psi_forgets_all_but_its_last_turns(folders, psi):
    few = CausalLM(folders.causal_lm, 2, 8, "{history}")
    turns = [Turn(k, k + 0.5, "user", word) for k, word in enumerate(("happy", "sad", "angry", "calm", "wonderful"))]
    kept = few.remembered(turns, 3.6)
    assert [turn.text for turn in kept] == ["angry", "calm", "wonderful"]
    assert few.write(kept, 3.6) == few.write(turns, 3.6)


def test_psi_answers_after_it_has_thought(folders, psi, monkeypatch):
    monkeypatch.setattr(psi.tokenizer, "decode", lambda *_, **__: "<think> so\n so </think>\n\nLook happy.\n")
    assert psi.answer("what?") == "Look happy."
    monkeypatch.setattr(psi.tokenizer, "decode", lambda *_, **__: "<think> so so")
    with pytest.raises(ConfigError, match=r"still reasoning after psi\.tokens 8; set psi\.tokens higher"):
        psi.answer("what?")


def test_words_of_y_emo_are_cut_or_padded(text):
    long, short = text("calm happy because the user said it was"), text("calm")
    assert long.shape == short.shape == (6, 24) and long.norm(dim=1).min() > 0
    assert short[0].norm() > 0 and not short[1:].any()
    assert not torch.equal(short, text("angry"))


@pytest.mark.parametrize("every", [24, 8])
def test_no_look_at_the_future(phi, psi, text, monkeypatch, every):
    """What is shown, heard and said from frame 48 on leaves S_usr and c_emo of the clips before it as they were."""
    given = recording(98)
    before, _ = read(monkeypatch, given, phi, psi, text, every=every)
    frames, audio = given[0].copy(), given[1].copy()
    frames[48:], audio[48 * 640 :] = 255 - frames[48:], -audio[48 * 640 :][::-1]
    turns = tuple(replace(turn, text="terrible") if turn.end > 1.0 else turn for turn in TURNS)
    after, _ = read(monkeypatch, (frames, audio), phi, psi, text, turns=turns, every=every)
    starts = before["starts"].tolist()
    early = [k for k, start in enumerate(starts) if start + MODEL.clip <= 48]
    assert starts == list(range(0, 98, every)) and torch.equal(before["s_usr"][early], after["s_usr"][early])
    late = [k for k, start in enumerate(starts) if 48 <= start < 96]
    assert all((before["s_usr"][k] - after["s_usr"][k]).abs().max() > 1e-3 for k in late)
    words = [context["text"][context["text_index"]] for context in (before, after)]
    assert torch.equal(words[0][:6], words[1][:6])
    assert not torch.equal(words[0][-1], words[1][-1])


def test_s_usr_lies_at_its_own_time(phi, psi, text, monkeypatch):
    """The first clip has nothing before it; a training clip between two readings gets the earlier one, moved back."""
    context, _ = read(monkeypatch, recording(98), phi, psi, text)
    s_usr = context["s_usr"].float()
    assert s_usr.shape == (5, 24, 64) and not s_usr[0, :18].any() and s_usr[0, 18:].abs().sum(1).min() > 0
    assert torch.equal(read_by_phi(context, 24, MODEL), s_usr[1])
    between = read_by_phi(context, 32, MODEL)
    assert torch.equal(between[:-2], s_usr[1, 2:]) and not between[-2:].any()
    assert not s_usr[4].sum(1)[-6:].any() and s_usr[4, :18].abs().sum(1).min() > 0  # two frames of a last clip


@pytest.mark.parametrize("frames", [120, 98, 10])
def test_a_stream_equals_the_batch_path(phi, psi, text, monkeypatch, frames):
    nets, given = networks(MODEL), recording(frames)
    nets.phi, nets.psi, nets.text = phi, psi, text
    context, _ = read(monkeypatch, given, phi, psi, text)
    names = ("user_frames", "user_audio", "avatar_audio", "reference")
    inputs = encode_inputs(nets.vae, SimpleNamespace(**dict(zip(names, given, strict=True))))
    dialogue = Dialogue(SimpleNamespace(dyad_id="stream", turns=TURNS), inputs, context)
    whole = sample_dialogue(nets.generator, nets.lcu, dialogue, MODEL, SAMPLING, seed=5)
    parts, stream = streamed(nets, MODEL, SAMPLING, frames, *given)
    torch.testing.assert_close(parts, whole, atol=1e-4, rtol=0)
    assert len(stream.shown[0]) <= MODEL.context - MODEL.clip and clip_inputs(dialogue, 0, MODEL)["text"].any()


@pytest.mark.parametrize(
    ("reader", "model", "sentence"),
    [
        ({"phi": {"kind": "qwen_omni"}}, {}, "needs path, the folder of its checkpoint"),
        ({"phi": {"kind": "qwen_omni", "path": "nowhere"}}, {}, "there is no such folder; download the checkpoint"),
        ({"phi": {"kind": "qwen_omni", "path": "."}}, {}, r"has no config\.json with \*\.safetensors"),
        ({"phi": {"kind": "qwen_omni", "path": "t5"}}, {}, "is a t5, but phi.kind qwen_omni reads Qwen2.5-Omni"),
        ({"phi": {"kind": "qwen_omni", "path": "qwen_omni"}}, {"phi_width": 8}, "set model.phi_width to 64"),
        ({"phi": {"kind": "qwen_omni", "path": "qwen_omni", "every": 10}}, {}, "phi.every is 10 frames, but must"),
        ({"phi": {"kind": "qwen_omni", "path": "qwen_omni", "fps": 50.0}}, {}, "phi.fps is 50.0, but must lie"),
        ({"phi": {"kind": "qwen_omni", "path": "qwen_omni", "sha256": "0"}}, {}, "but 0 is recorded; take the"),
        ({"psi": {"kind": "causal_lm", "path": "t5"}}, {}, "cannot be read as AutoModelForCausalLM"),
        ({"psi": {"kind": "causal_lm", "path": "causal_lm", "prompt": "be kind"}}, {}, "lacks {history}"),
        ({"psi": {"kind": "causal_lm", "path": "causal_lm", "turns": 0}}, {}, "psi.turns is 0, but must be"),
        ({"text": {"kind": "t5", "path": "causal_lm"}}, {}, "is a qwen2, but text.kind t5 reads"),
        ({"text": {"kind": "t5", "path": "t5"}}, {"text_width": 32}, "set model.text_width to 24"),
        ({"text": {"kind": "t5", "path": "t5", "width": 3}}, {}, "unknown option 'width'"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(folders, monkeypatch, reader, model, sentence):
    monkeypatch.chdir(folders.t5.parent)
    with pytest.raises(ConfigError) as caught:
        given, model = from_dict(Readers, reader, "readers"), replace(MODEL, **model)
        load_psi(given.psi), load_text(given.text, model), load_clip_phi(given.phi, model)
    assert sentence.replace("\\", "") in str(caught.value) and "\n" not in str(caught.value)


def test_a_checkpoint_without_some_weights_or_files_is_refused(folders, tmp_path):
    for file in folders.t5.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    del weights["encoder.final_layer_norm.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigError, match="lacks 1 weights of T5EncoderModel, such as encoder.final_layer_norm.weight"):
        T5(tmp_path, 6)
    for file in tmp_path.glob("*token*"):
        file.unlink()
    with pytest.raises(ConfigError, match="has no vocabulary .* copy the checkpoint's tokenizer"):
        T5(tmp_path, 6)


def test_a_record_holds_the_prompt_and_the_weights_hash(folders):
    told = recorded(PhiReader("qwen_omni", folders.qwen_omni))
    assert told.prompt.startswith("You watch and hear") and len(told.sha256) == 64
    assert recorded(told) == told
    assert "{history}" in recorded(PsiReader("causal_lm", folders.causal_lm)).prompt
