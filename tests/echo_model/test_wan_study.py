"""ECHO on the generator `wan` from recordings to videos: alignment, causality, lengths, training, saving, errors."""

import json
import shutil
import weakref
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from wan_study import MODEL, randomise, study, understood, write_index

from dyads.contract import load_arrays, read_manifest
from dyads.errors import ConfigError, DataError
from dyads.features import read_features, write_features
from dyads.media.video import write_video, write_wav
from echo_model.backbones.readers import weights_sha256
from echo_model.commands import inspect
from echo_model.model.latent import LatentLayout
from echo_model.model.options import SamplingOptions
from echo_model.pretrained import Echo as SmallEcho
from echo_model.wan import package, sampling
from echo_model.wan.clips import DialogueClips, Encoded, TrainingClips, count_clips
from echo_model.wan.encode import Encoders, encode_dyad
from echo_model.wan.encoders.latents import WanLatents
from echo_model.wan.encoders.voice import Voice
from echo_model.wan.method import Echo, RoundTrip, Talking, own_state
from echo_model.wan.options import LookOptions, Pretrained, VoiceOptions
from echo_model.wan.pretrained import EchoAdapter
from echo_model.wan.tasks import InteractiveTask, TalkingTask
from tests import tiny_checkpoints as tiny
from training.engine.checkpoint import fingerprint
from training.method import Resources, Run
from training.options import plain

FRAME = 640
TRAIN = {
    "steps": 2,
    "batch_size": 2,
    "learning_rate": 1e-2,
    "ema_decay": 0.9,
    "checkpoint_every": 1,
    "tensorboard": False,
}
STAGE = {"context_rate": 0.5, "align_weight": 0.1, "drop_previous": 0.5}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return study(tmp_path_factory.mktemp("study"))


def encoded(made):
    return Encoded(made.root / "clips", made.root / "context")


def options(made, **sections):
    known = {"generator": asdict(made.options), "model": asdict(made.model), "sampling": {"steps": 1}}
    return known | {"train": TRAIN, "stage": STAGE} | sections


def method(made, cls, stage1=None, **sections):
    backbones = {"context": made.root / "context"}
    backbones |= {"stage1": stage1} if stage1 else {}
    return cls(options(made, **sections), Resources(made.root / "data", made.root / "clips", backbones, "cpu"))


def fitted(made, cls, name, stage1=None, **sections):
    row = method(made, cls, stage1, **sections)
    out = made.root / f"{name}.safetensors"
    row.fit(read_manifest(made.root / "data", "train"), Run(made.root / "checkpoints" / name, 0, out))
    return out


@pytest.fixture(scope="module")
def talking(made):
    return fitted(made, Talking, "talking")


@pytest.fixture(scope="module")
def echo(made, talking):
    return fitted(made, Echo, "echo", talking)


def test_a_latent_step_is_four_frames_after_the_first(made):
    latents = made.encoders.latents
    for frames in (1, 5, 25):
        steps = latents.encode(np.zeros((frames, 64, 64, 3), np.uint8))
        assert len(steps) == latents.layout.steps(frames) == 1 + (frames - 1) // 4
        assert len(latents.decode(steps)) == latents.layout.frames(len(steps)) == frames
    for frames in (2, 4, 48):
        with pytest.raises(
            DataError, match=rf"keeps 4n \+ 1 of them and would drop the rest; cut it to {(frames - 1) // 4 * 4 + 1}"
        ):
            latents.encode(np.zeros((frames, 64, 64, 3), np.uint8))
    with pytest.raises(DataError, match="a multiple of 4"):
        LatentLayout((17, 8), 4, 4).steps(6)


def test_latents_are_normalised_by_the_checkpoints_own_numbers(made):
    latents, frames = made.encoders.latents, np.random.default_rng(0).integers(0, 255, (5, 64, 64, 3), dtype=np.uint8)
    x = torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    with torch.no_grad():
        raw = latents.vae.encode(x).latent_dist.mode()[0].permute(1, 0, 2, 3)
    config = latents.vae.config
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (config.latents_mean, config.latents_std))
    torch.testing.assert_close(latents.encode(frames), (raw - mean) / std)


@pytest.mark.parametrize("version", ["wan21", "wan22"])
def test_decoding_in_tiles_leaves_encoding_as_it_is(made, version):
    whole, tiled = (WanLatents(made.root / "checkpoints" / version, 288, tiles=tiles) for tiles in (False, True))
    z = torch.randn(1, *whole.layout.step, generator=torch.Generator().manual_seed(0))
    one, other = whole.decode(z).astype(int), tiled.decode(z).astype(int)
    assert one.shape == other.shape == (1, 288, 288, 3)
    assert 0 < np.abs(one - other).mean() < 0.1 * one.std()  # seams, faint
    frame = np.random.default_rng(0).integers(0, 255, (1, 288, 288, 3), dtype=np.uint8)
    assert torch.equal(whole.encode(frame), tiled.encode(frame))


def test_clips_follow_one_another_without_a_gap(made):
    """Clip k's window is I_ref, the last T_prev frames of clip k - 1 and its own; the last frame goes on at the end."""
    dyad, row = read_manifest(made.root / "data", "train")[0], made.rows[1]
    arrays, latents = load_arrays(dyad), made.encoders.latents
    frames, stored = arrays.avatar_frames, read_features(made.root / "clips" / f"{dyad.dyad_id}.target.safetensors")[0]
    assert len(stored["latents"]) == count_clips(len(frames), MODEL) and row["frames"] == len(frames)
    for k, steps in enumerate(stored["latents"]):
        place = np.clip(np.arange(k * 16 - 8, k * 16 + 16), 0, len(frames) - 1)
        window = np.concatenate([frames[:1], frames[place]])
        assert torch.equal(steps, latents.encode(window).bfloat16())
    clips = DialogueClips(encoded(made), dyad.dyad_id, MODEL)
    whole = clips.targets(0, len(frames))
    assert len(whole["previous"]) == 3 and len(whole["x_1"]) == 4 and whole["there"].tolist() == [1, 1, 1, 1]
    last = count_clips(len(frames), MODEL) - 1
    assert int(clips.targets(last, len(frames))["there"].sum()) == (len(frames) - last * 16) // 4


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert"])
def test_voice_features_lie_at_their_frames(made, kind):
    """Sound later by a clip gives features later by a clip; a frame that sounds otherwise changes its own feature."""
    voice = Voice(made.root / "checkpoints" / kind, kind, -1, 16, 32)
    sound = np.random.default_rng(0).standard_normal(96 * FRAME).astype(np.float32) * 0.1
    late = np.concatenate([np.random.default_rng(1).standard_normal(16 * FRAME).astype(np.float32) * 0.1, sound])
    assert voice.encode(sound).shape == (96, 32)
    torch.testing.assert_close(voice.encode(late)[64:112], voice.encode(sound)[48:96])
    convolutions = voice.model.feature_extractor  # before attention mixes all frames
    voice.model = lambda x, **_: SimpleNamespace(hidden_states=[convolutions(x).transpose(1, 2)])
    voice.model.dtype, voice.normalise = torch.float32, False
    for frame in (40, 41, 47):
        other = sound.copy()
        other[frame * FRAME : (frame + 1) * FRAME] *= -1.0
        change = (voice.encode(other) - voice.encode(sound)).abs().sum(1)
        near = change[frame - 4 : min(frame + 5, 48)]
        middle = float((near * torch.arange(frame - 4, min(frame + 5, 48))).sum() / near.sum())
        assert int(change.argmax()) == frame and abs(middle - frame) < 0.35 and not change[:32].any()


def test_a_shifted_voice_shifts_what_the_mouth_hears(made, tmp_path):
    """The windows of a latent step are those of its own four frames, and move with the sound."""
    o, frames = MODEL, 64
    voice = torch.arange(frames).float()[:, None].expand(-1, 3).contiguous()
    write_features(tmp_path / "a.safetensors", {"voice": voice}, {})
    write_features(tmp_path / "b.safetensors", {"voice": torch.cat([voice[:1].expand(4, -1), voice])[:frames]}, {})
    one, other = (DialogueClips(Encoded(tmp_path), name, o) for name in "ab")
    heard = one.heard(32)[..., 0].view(-1, 4, 5)
    assert torch.equal(heard[:, :, 2].flatten(), torch.arange(24, 48).float())  # middles: T_prev, then the clip
    assert torch.equal(heard[2, 0], torch.tensor([30.0, 31, 32, 33, 34]))
    assert heard.max() == 47  # the voice after the clip is not looked at
    assert torch.equal(other.heard(32)[:-1] + 4, one.heard(32)[:-1])
    assert torch.equal(other.heard(32)[1:, 0], one.heard(32)[:-1, 0])  # one latent step later


def altered(made, tmp_path, change):
    """The study again, with one recording of the test dialogue changed by `change(arrays)`, encoded anew."""
    shutil.copytree(made.root / "data", tmp_path / "data")
    dyad = read_manifest(tmp_path / "data", "test")[0]
    arrays = load_arrays(dyad)
    change(dyad, arrays)
    encoders = Encoders(made.options, MODEL)
    row = {"dyad_id": dyad.dyad_id, "split": "test", "file": f"{dyad.dyad_id}.safetensors", "frames": 0, "made_by": ""}
    row["frames"] = len(arrays.user_audio) // FRAME
    out = tmp_path / "clips"
    write_features(out / row["file"], encoders.inputs(dyad, row["frames"]), {})
    write_index(out, [row], encoders)
    return dyad, row["frames"]


def videos(made, echo, clips, context, dyad, frames):
    row = method(made, Echo)
    row.load(echo)
    randomise_all(row)
    dialogue = DialogueClips(Encoded(clips, context), dyad.dyad_id, MODEL)
    stacks = sampling.sample_dialogue(
        row.generator, row.lcu, row.space, dialogue, frames, SamplingOptions(steps=1), 0, (4, tiny.TEXT)
    )
    return np.concatenate(list(stacks))


def randomise_all(row):
    for module in (row.generator, row.lcu):
        module.requires_grad_(False)
    for _, p in (*row.generator.adapter_parameters(row.generator.adapter), *row.generator.shared_parameters()):
        p.requires_grad_(True)
    row.lcu.requires_grad_(True)
    randomise(row.generator, row.lcu, scale=0.3)


@pytest.mark.parametrize("what", ["user_sound", "user_video", "avatar_sound", "reading", "turns"])
def test_what_comes_later_changes_nothing_before(made, echo, tmp_path, what):
    """Recordings, readings and turns after the second clip's end are others: two clips stay, bit for bit."""
    cut, context = 32, made.root / "context"

    def change(dyad, arrays):
        if what.endswith("sound"):
            side = dyad.side(what.split("_")[0])
            sound = (arrays.user_audio if side is dyad.user else arrays.avatar_audio).copy()
            sound[cut * FRAME :] = np.random.default_rng(5).uniform(-0.9, 0.9, len(sound) - cut * FRAME)
            write_wav(side.audio, sound)

    dyad, frames = altered(made, tmp_path, change)
    if what == "user_video":  # lossy video would differ before the cut too: the features of later frames are others
        file = tmp_path / "clips" / f"{dyad.dyad_id}.safetensors"
        tensors, meta = read_features(file)
        tensors["user_look"][cut // MODEL.tubelet :] += 1.0
        write_features(file, tensors, meta)
    if what in ("reading", "turns"):
        context, known = tmp_path / "context", understood(tmp_path / "context", dyad.dyad_id, frames)
        known["s_usr"][2:] += 1.0 if what == "reading" else 0.0
        if what == "turns":
            known["text_index"][cut // MODEL.stride :] = 1 - known["text_index"][cut // MODEL.stride :]
        write_features(context / f"{dyad.dyad_id}.safetensors", known, {})
    before = videos(made, echo, made.root / "clips", made.root / "context", dyad, cut + 10)
    after = videos(made, echo, tmp_path / "clips", context, dyad, cut + 10)
    assert np.array_equal(before[:cut], after[:cut])
    assert not np.array_equal(before[cut:], after[cut:])


class Painter:
    """Stands for the three networks: frames that tell their own number."""

    current, voice_in = 4, torch.zeros(1)

    def __init__(self):
        self.layout, self.shown = LatentLayout((1, 2, 2), 4, 1), 0

    def encode(self, frames, reference=None):
        self.layout.steps(len(frames))
        return torch.zeros(self.layout.steps(len(frames)), 1, 2, 2)

    def decode(self, steps, reference=None):
        count, clip = self.layout.frames(len(steps)), MODEL.clip
        values = np.arange(self.shown - (count - clip), self.shown + clip) % 251
        self.shown += clip
        return np.broadcast_to(values[:, None, None, None], (count, 2, 2, 3)).astype(np.uint8)


def test_lengths_are_exact_from_1_to_200_frames(monkeypatch, tmp_path):
    """Every length, through the loop over clips: each frame once, in order, none lost at a clip's end."""
    monkeypatch.setattr(sampling, "sample_clip", lambda *a: torch.zeros(4, 1, 2, 2))
    still = {"reference_image": torch.zeros(2, 2, 3), "still": torch.zeros(3, 1, 2, 2)}
    write_features(tmp_path / "one.safetensors", still, {})
    dialogue = DialogueClips(Encoded(tmp_path), "one", MODEL)
    monkeypatch.setattr(dialogue, "inputs", lambda k, user: {"still": torch.zeros(3, 1, 2, 2)})
    for frames in range(1, 201):
        painter = Painter()
        stacks = sampling.sample_dialogue(painter, None, painter, dialogue, frames, SamplingOptions(), 0, (1, 1))
        shown = np.concatenate(list(stacks))[:, 0, 0, 0]
        assert np.array_equal(shown, np.arange(frames) % 251), frames


def shortened(dyad, arrays, frames, folder):
    """The dialogue cut, or repeated, to so many frames."""
    sides = {}
    for role, shown, sound in (
        ("user", arrays.user_frames, arrays.user_audio),
        ("avatar", arrays.avatar_frames, arrays.avatar_audio),
    ):
        files = {kind: folder / f"{role}{frames}.{kind}" for kind in ("mp4", "wav")}
        write_video(files["mp4"], shown[np.arange(frames) % len(shown)], None)
        write_wav(files["wav"], np.resize(sound, frames * FRAME))
        changed = {"video": files["mp4"], "audio": files["wav"], "sha256": f"{role}{frames}"}
        sides[role] = replace(dyad.side(role), **changed)
    return replace(dyad, dyad_id=f"of{frames}", **sides)


def test_dialogues_of_any_length_are_encoded_trained_on_and_sampled_to_the_frame(made, echo, tmp_path):
    """By the networks themselves, at lengths around a latent step's, T_prev's and a clip's."""
    dyad, arrays = (dyad := read_manifest(made.root / "data", "train")[0]), load_arrays(dyad)
    lengths, rows, dyads = (1, 2, 4, 5, 8, 15, 16, 17, 31, 33, 200), [], []
    for frames in lengths:
        dyads.append(shortened(dyad, arrays, frames, tmp_path))
        rows.append(encode_dyad(made.encoders, dyads[-1], tmp_path / "clips", "test"))
        understood(tmp_path / "context", dyads[-1].dyad_id, frames)
    write_index(tmp_path / "clips", rows, made.encoders)
    found = Encoded(tmp_path / "clips", tmp_path / "context")
    assert list(found.frames().values()) == list(lengths)
    resources = Resources(made.root / "data", found.clips, {"context": found.context}, "cpu")
    for cls, weights in ((Echo, echo), (RoundTrip, None)):
        row = cls(options(made), resources)
        row.load(weights)
        assert [sum(map(len, row.generate(dyad, 0))) for dyad in dyads] == list(lengths)
    clips = TrainingClips(found, dyads, MODEL, True, 0)
    learnt = sum(float(clips.at(k)["there"].sum()) for k in range(len(clips.places)))
    assert learnt == sum(min(frames - start, 16) // 4 for frames in lengths for start in range(0, frames, 16))


def test_videos_and_round_trips_are_as_long_as_the_dialogue(made, echo, talking):
    dyad = read_manifest(made.root / "data", "test")[0]
    frames = next(row["frames"] for row in made.rows if row["dyad_id"] == dyad.dyad_id)
    for cls, weights in ((Echo, echo), (Talking, talking), (RoundTrip, None)):
        row = method(made, cls)
        row.load(weights)
        stacks = list(row.generate(dyad, 0))
        assert sum(map(len, stacks)) == frames and {s.shape[1:] for s in stacks} == {(64, 64, 3)}


def test_no_clip_is_held_after_the_next(made, talking):
    row = method(made, Talking)
    row.load(talking)
    held = []
    for stack in row.generate(read_manifest(made.root / "data", "train")[0], 0):
        held.append(weakref.ref(stack if stack.base is None else stack.base))
        alive = sum(ref() is not None for ref in held)
        assert alive <= 2
    assert len(held) > 3


def test_every_clip_comes_once_an_epoch_in_an_order_of_its_own(made):
    dyads = read_manifest(made.root / "data", "train")
    clips = TrainingClips(encoded(made), dyads, MODEL, False, 0)
    count = len(clips.places)
    assert count == sum(
        1
        for d in dyads
        for k in range(count_clips(clips.frames[d.dyad_id], MODEL))
        if clips.frames[d.dyad_id] - k * 16 >= 4
    )
    epochs = [[fingerprint({"x": clips.at(e * count + k)["x_1"]}) for k in range(count)] for e in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) and epochs[0] != epochs[1] and len(set(epochs[0])) == count
    again = TrainingClips(encoded(made), dyads, MODEL, False, 0)
    assert fingerprint({"x": again.at(count + 1)["x_1"]}) == epochs[1][1]  # by position alone


def test_weights_hold_echos_own_alone_and_come_back_equal(made, echo, talking):
    row = method(made, Echo)
    row.load(echo)
    tensors, _ = read_features(echo)
    base = {f"generator.base.{name}" for name in row.generator.base.state_dict() if ".lora_" not in name}
    assert set(tensors) == set(own_state(row.generator, row.lcu))
    added = (".sdcm.", ".add_k_proj", ".add_v_proj", ".norm_added_k", "image_embedder")
    assert all(any(mark in name for mark in added) for name in base & set(tensors)) and base - set(tensors)
    dyad = read_manifest(made.root / "data", "test")[0]
    first = np.concatenate(list(row.generate(dyad, 0)))
    again = method(made, Echo)
    again.load(echo)
    assert np.array_equal(first, np.concatenate(list(again.generate(dyad, 0))))
    assert row.card()["steps"] == 4 and len(row.card()["base_sha256"]) == 64
    assert fingerprint(read_features(talking)[0]) != fingerprint(tensors)


def test_killed_and_run_again_it_ends_with_the_same_bytes(made, talking, monkeypatch):
    whole = fitted(made, Echo, "whole", talking)

    class Killed(Exception):
        pass

    def stop(self, step):
        raise Killed

    monkeypatch.setattr(InteractiveTask, "on_step_end", stop, raising=False)
    with pytest.raises(Killed):
        fitted(made, Echo, "killed", talking)
    monkeypatch.delattr(InteractiveTask, "on_step_end")
    assert fitted(made, Echo, "killed", talking).read_bytes() == whole.read_bytes()
    state = made.root / "checkpoints" / "killed" / "weights.safetensors"
    assert not any(".attn1." in name or ".base.ffn." in name for name in read_features(state)[0])


@pytest.mark.parametrize(
    "change", [{"use_lcu": False}, {"use_lpe": False}, {"use_hbcu": False}, {"use_lau": False}, {"masks": "binary"}]
)
def test_ablations_train_and_sample(made, talking, change):
    model = asdict(replace(MODEL, **change))
    name = f"ablation_{next(iter(change))}"
    out = fitted(made, Echo, name, talking, model=model, train=TRAIN | {"steps": 1})
    row = method(made, Echo, model=model)
    row.load(out)
    assert len(next(row.generate(read_manifest(made.root / "data", "test")[0], 0))) == 16


def test_single_stage_and_entangled_train_from_the_start(made):
    model, stage = asdict(replace(MODEL, use_sdcm=False)), STAGE | {"align_weight": 0.0}
    out = fitted(made, Echo, "single", model=model, stage=stage, train=TRAIN | {"steps": 1})
    row = method(made, Echo, model=model)
    row.load(out)
    assert row.card()["steps"] == 1
    with pytest.raises(ConfigError, match="without stage-1 weights to align with; set it to 0"):
        fitted(made, Echo, "none")


def test_what_is_dropped_is_a_dialogues_beginning_and_losses_are_the_papers(made):
    dyads = read_manifest(made.root / "data", "train")
    row = method(made, Talking)
    generator, clips = row.build(0), TrainingClips(encoded(made), dyads, MODEL, False, 0)
    stage = replace(row.stage, drop_previous=1.0, drop_audio=0.0, lip_weight=1.0)
    task = TalkingTask(row.latents(), (4, tiny.TEXT), generator, None, clips, stage, 2)
    batch = task.batch_at(1)
    arguments, t, wanted = task.noised(batch, torch.Generator().manual_seed(0))
    assert torch.equal(arguments["previous"], batch["still"])
    x_0 = batch["x_1"] - wanted
    torch.testing.assert_close(
        arguments["x_t"], t.view(-1, 1, 1, 1, 1) * batch["x_1"] + (1 - t).view(-1, 1, 1, 1, 1) * x_0
    )
    there = batch["there"] * 0
    there[:, :2] = 1
    loss, _ = task.flow(torch.zeros_like(wanted), wanted, batch | {"there": there})
    torch.testing.assert_close(loss, wanted[:, :2].square().mean())
    loss, logs = task.loss(batch, torch.Generator().manual_seed(0))
    assert {"flow", "pixel", "lips", "face"} <= set(logs) and torch.isfinite(loss)


def test_missing_wrong_and_other_checkpoints_are_one_sentence(made, echo, tmp_path):
    folder = made.root / "checkpoints"
    cases = [
        (made.options, {"vae": Pretrained(folder / "clip")}, "is no folder of a diffusers model"),
        (made.options, {"vae": Pretrained(folder / "ti2v")}, "is a WanTransformer3DModel, but the latent space wan"),
        (made.options, {"vae": Pretrained()}, "generator.vae.path is not set; name the folder"),
        (made.options, {"vae": Pretrained(folder / "wan22", "00")}, "but 00 is recorded; take the checkpoint"),
        (made.options, {"voice": VoiceOptions(folder / "hubert", reach=32)}, "is a hubert, but generator.voice.kind"),
        (made.options, {"voice": VoiceOptions(folder / "wav2vec2", reach=20)}, "must be a multiple of model.clip"),
        (made.options, {"voice": VoiceOptions(folder / "wav2vec2", reach=32, layer=9)}, "has 2 layers; give -1 to 2"),
        (made.options, {"look": LookOptions(folder / "wav2vec2")}, "reads a CLIP vision tower"),
        (made.options, {"look": LookOptions(folder / "clip", grid=9)}, "sees 4 x 4 patches"),
        (made.options, {"look": LookOptions(folder / "clip", every=3)}, "must be a multiple of generator.look.every"),
        (made.options, {"size": 72}, "must be a multiple of 32"),
    ]
    for wan, change, sentence in cases:
        with pytest.raises(ConfigError, match=sentence):
            Encoders(replace(wan, **change), MODEL)
    with pytest.raises(ConfigError, match="set model.patch to that"):
        Encoders(made.options, replace(MODEL, patch=8))
    with pytest.raises(ConfigError, match="must be a multiple of 4"):
        replace(MODEL, clip=18)
    for section, change, sentence in (
        ("generator", {"transformer": {"path": folder / "wan22"}}, "is a AutoencoderKLWan, but the generator wan"),
        ("model", {"text_width": 99}, "model.text_width is 99; name the text encoder"),
        ("generator", {"transformer": {"path": folder / "t2v"}}, "name a transformer and an autoencoder of one model"),
    ):
        changed = options(made)
        row = Echo(changed | {section: changed[section] | change}, method(made, Echo).resources)
        with pytest.raises(ConfigError, match=sentence):
            row.build(0)
    tiny.wan(tmp_path / "other", seed=7)
    row = method(made, Echo, generator=asdict(replace(made.options, transformer=Pretrained(tmp_path / "other"))))
    with pytest.raises(ConfigError, match="was trained on a base with sha256"):
        row.load(echo)
    broken = tmp_path / "broken"
    shutil.copytree(folder / "wan22", broken)
    (broken / "diffusion_pytorch_model.safetensors").write_bytes(b"no")
    with pytest.raises(ConfigError, match="cannot be read as AutoencoderKLWan"):
        WanLatents(broken, 64)
    with pytest.raises(DataError, match="frames are uint8 .32, 32, 3., but uint8 .64, 64, 3. is needed"):
        made.encoders.latents.encode(np.zeros((5, 32, 32, 3), np.uint8))
    with pytest.raises(DataError, match="has no readable index.csv"):
        Encoded(tmp_path).frames()


def test_a_dialogue_is_not_encoded_again_unless_something_changed(made):
    dyad = read_manifest(made.root / "data", "test")[0]
    file = made.root / "clips" / f"{dyad.dyad_id}.safetensors"
    stamp = file.stat().st_mtime_ns
    encode_dyad(made.encoders, dyad, made.root / "clips", "test")
    assert file.stat().st_mtime_ns == stamp
    encode_dyad(made.encoders, dyad, made.root / "clips", "another")
    assert file.stat().st_mtime_ns > stamp
    assert json.loads((made.root / "clips/encoders.json").read_text())["sizes"]["user_tokens"] == 16


def packaged(made, weights, out, *more):
    """`python -m echo_model.wan.package` of a trained row."""
    told = {"dyads": 2, "seed": 0, "git_commit": None, "options_hash": "x", "card": {"steps": 4, "samples": 8}}
    told["card"]["parameters_trained"] = 3
    weights.with_suffix(".json").write_text(json.dumps(told))
    encoders = json.loads((made.root / "clips/encoders.json").read_text())
    folder = made.root / "checkpoints"
    encoders["sha256"] = {name: weights_sha256(folder / part) for name, part in (("vae", "wan22"), ("look", "clip"))}
    (made.root / "encoders.json").write_text(json.dumps(encoders))
    given = {"weights": weights, "options": json.dumps(plain(options(made))), "encoders": made.root / "encoders.json"}
    words = [str(word) for name, value in (given | {"out": out}).items() for word in (f"--{name}", value)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["package", *words, *more])
        package.main()
    return out


def test_an_adapter_is_shared_without_its_base_and_refuses_another(made, echo, tmp_path):
    folder, dyad = made.root / "checkpoints", read_manifest(made.root / "data", "test")[0]
    shared = packaged(made, echo, tmp_path / "shared", "--full")
    assert {path.name for path in shared.iterdir()} == {"adapter.safetensors", "config.json", "README.md"}
    card = (shared / "README.md").read_text()
    assert weights_sha256(folder / "ti2v") in card and "base_model_relation: adapter" in card and "{{" not in card
    assert str(made.root) not in card + (shared / "config.json").read_text()  # folders of this machine stay here
    adapter = EchoAdapter.from_pretrained(shared, folder / "ti2v", folder / "wan22", "cpu")
    row = method(made, Echo)
    row.load(echo)
    wanted = np.concatenate(list(row.generate(dyad, 0)))
    assert np.array_equal(np.concatenate(list(adapter.generate(encoded(made), dyad.dyad_id, 0))), wanted)
    half = packaged(made, echo, tmp_path / "half")
    sizes = [(path / "adapter.safetensors").stat().st_size for path in (half, shared)]
    assert sizes[0] < 0.7 * sizes[1]
    with pytest.raises(ConfigError, match="is recorded; take the checkpoint"):
        EchoAdapter.from_pretrained(shared, tiny.wan(tmp_path / "other", seed=9), folder / "wan22", "cpu")
    with pytest.raises(ConfigError, match="does not stream; load it by echo_model.wan.pretrained.EchoAdapter"):
        SmallEcho.from_pretrained(shared)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(ConfigError, match="no state is there to look into"):
        row = ["--method", "echo", "--class", "echo_model.wan.method:Echo"]
        asked = [*row, "--data", ".", "--weights", ".", "--out", "."]
        patch.setattr("sys.argv", ["inspect", *asked])
        inspect.main()
    with pytest.raises(DataError, match="has no config.json and no adapter.safetensors"):
        EchoAdapter.from_pretrained(tmp_path, folder / "ti2v", folder / "wan22", "cpu")
