"""INFP: memory banks, style, diffusion and guidance in closed form, windows that continue, and a toy training."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from baselines.infp.diffusion import branches, ddim, guided, noise_of
from baselines.infp.method import INFP, WindowTask
from baselines.infp.model import INFPNetwork
from baselines.infp.options import ModelOptions, SamplingOptions, StageOptions
from baselines.infp.windows import audio_windows, heard, single_sided, starts, training_window
from baselines.motion.method import MotionDialogue
from baselines.motion.noise import noised
from baselines.motion.renderer import DIRECTIONS, MotionRenderer, RendererOptions
from baselines.motion.voice import above_own_quiet
from dyads.errors import ConfigError
from echo_model.backbones.audio import AUDIO_DIM
from echo_model.clips import stack
from training.engine.weights import save_weights
from training.method import Resources, Run

TINY = {"d": 32, "blocks": 2, "heads": 2, "entries": 16, "style": 4, "window": 12, "previous": 4}
MODEL = ModelOptions(**TINY)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def network(seed=0, **options):
    torch.manual_seed(seed)
    return INFPNetwork(replace(MODEL, **options)).eval()


def dialogue(frames, seed=0, teach=True):
    """Voices that grow loud and soft; half of the avatar's motion follows its own loudness, half the user's."""
    smooth = torch.ones(1, 1, 5) / 5**0.5
    loud = [F.conv1d(random(1, 1, frames + 4, seed=2 * seed + k), smooth)[0, 0, :, None] for k in range(2)]
    noise = 0.2 * random(2, frames, AUDIO_DIM, seed=seed)
    own, other = (loud[k] * (1 + 0.2 * random(AUDIO_DIM, seed=k)) + noise[k] for k in range(2))
    motion = torch.cat([loud[0].expand(-1, 10), loud[1].expand(-1, DIRECTIONS - 10)], 1) * random(DIRECTIONS).sign()
    return MotionDialogue(f"d{seed}", other, own, random(frames, DIRECTIONS), motion if teach else None)


@pytest.fixture
def method(tmp_path):
    torch.manual_seed(0)
    options = {"size": 32, "width": 16}
    save_weights(tmp_path / "renderer.safetensors", MotionRenderer(RendererOptions(**options)), {"options": options})
    resources = Resources(tmp_path, None, {"renderer": tmp_path / "renderer.safetensors"}, "cpu")

    def make(**sections):
        return INFP({"model": TINY, "sampling": {"steps": 3}} | sections, resources)

    return make


def test_a_bank_is_softmax_attention_over_its_edited_entries():
    bank = network().guider.m_v
    query, s_m = random(3, 5, MODEL.d), random(3, MODEL.style, seed=1)
    got = bank(query, s_m)
    attention, c = bank.attention, MODEL.d // MODEL.heads
    for b in range(3):
        scale = 1 + bank.affine.weight @ s_m[b]
        memory = torch.stack([m * scale / (m * scale).square().mean().sqrt() for m in bank.entries])
        q, (k, v) = query[b] @ attention.q.weight.T, (memory @ attention.kv.weight.T).split(MODEL.d, 1)
        heads = []
        for h in range(MODEL.heads):
            part = slice(h * c, (h + 1) * c)
            weight = torch.exp(q[:, part] @ k[:, part].T / math.sqrt(c))
            heads.append(weight / weight.sum(1, keepdim=True) @ v[:, part])
        torch.testing.assert_close(got[b], attention.out(torch.cat(heads, 1)), atol=1e-4, rtol=1e-4)


def test_each_voice_queries_its_own_bank():
    guider = network().guider
    width = MODEL.hear * AUDIO_DIM
    own, other, s_m = random(1, 6, width), random(1, 6, width, seed=1), torch.zeros(1, MODEL.style)
    full = guider(own, other, s_m)
    assert not torch.allclose(full, guider(own, own, s_m)) and not torch.allclose(full, guider(other, other, s_m))
    with torch.no_grad():
        guider.m_nv.entries.zero_()  # an empty bank: the other voice has nothing to say
    assert torch.equal(guider(own, other, s_m), guider(own, own, s_m))
    assert not torch.allclose(guider(own, other, s_m), guider(other, other, s_m))


def test_the_null_style_edits_nothing_and_another_does():
    net = network()
    bank = net.guider.m_nv
    null = bank.styled(net.null_style(2))
    unit = F.normalize(bank.entries, dim=1) * MODEL.d**0.5
    torch.testing.assert_close(null, unit.expand(2, -1, -1), atol=1e-4, rtol=1e-4)
    edited = bank.styled(net.style(random(2, 12, DIRECTIONS)) * 10)
    assert (edited - null).abs().mean() > 0.01 and (edited[0] - edited[1]).abs().mean() > 0.001
    torch.testing.assert_close(edited.square().mean(-1), torch.ones(2, MODEL.entries), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("drop", [0.0, 1.0])
def test_the_style_reaches_the_estimate_where_it_is_kept(drop):
    task = WindowTask(network(), [dialogue(30)], StageOptions(drop_style=drop, drop_motion=0.0), 4, 1)
    batch = task.batch(0, torch.Generator().manual_seed(0))
    other = batch | {"style": random(4, 12, DIRECTIONS)}
    losses = [task.loss(b, torch.Generator().manual_seed(0))[0] for b in (batch, other)]
    assert (losses[0] == losses[1]) == (drop == 1.0)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_ddim_finds_what_a_perfect_predictor_knows_from_any_noise(steps):
    x = random(9, DIRECTIONS)
    for seed in (1, 2):
        torch.testing.assert_close(ddim(lambda x_t, t: x, random(9, DIRECTIONS, seed=seed), steps), x)


def test_one_step_of_ddim_by_hand():
    seen = []

    def predict(x_t, t):
        seen.append((t, x_t))
        return 0.3 * x_t

    noise = random(4, DIRECTIONS)
    made = ddim(predict, noise, 2)
    assert [t for t, _ in seen] == [1.0, 0.5]
    half = math.sqrt(0.5)
    torch.testing.assert_close(seen[1][1], half * 0.3 * noise + half * noise)  # at t = 1 the noise estimate is x_t
    torch.testing.assert_close(made, 0.3 * seen[1][1])


def test_ddim_carries_gaussian_noise_to_gaussian_data_and_repeats():
    """Data N(0, v): the best estimate is linear, and the exact path multiplies noise by sqrt(v)."""
    v, noise = 0.25, random(50, DIRECTIONS)

    def best(x_t, t):
        a, s = math.cos(t * math.pi / 2), math.sin(t * math.pi / 2)
        return a * v / (a * a * v + s * s) * x_t

    made = ddim(best, noise, 500)
    torch.testing.assert_close(made, math.sqrt(v) * noise, atol=0.01, rtol=0.02)
    assert torch.equal(made, ddim(best, noise, 500))


def test_noise_and_motion_estimates_tell_the_same():
    x, noise = random(3, 5, DIRECTIONS), random(3, 5, DIRECTIONS, seed=1)
    for t in (0.2, 0.7, 1.0):
        torch.testing.assert_close(noise_of(x, noised(x, noise, torch.full((3,), t)), t), noise, atol=1e-4, rtol=1e-4)
    assert torch.equal(noised(x, noise, torch.zeros(3)), x)


def test_guidance_at_scale_one_is_the_conditional_model_alone():
    kept, scales = branches(1.0, 1.0)
    assert kept.tolist() == [[1, 1]] and not scales
    estimate = random(1, 5, DIRECTIONS)
    assert torch.equal(guided(estimate, scales), estimate[0])


def test_guidance_pushes_away_from_each_dropped_condition():
    kept, scales = branches(2.0, 1.5)
    assert kept.tolist() == [[1, 1], [0, 1], [1, 0]] and scales == [2.0, 1.5]
    both, no_motion, no_previous = estimates = random(3, 5, DIRECTIONS)
    expected = both + (both - no_motion) + 0.5 * (both - no_previous)
    torch.testing.assert_close(guided(estimates, scales), expected)
    x_t = random(5, DIRECTIONS, seed=3)
    noises = torch.stack([noise_of(x, x_t, 0.6) for x in estimates])
    torch.testing.assert_close(guided(noises, scales), noise_of(expected, x_t, 0.6), atol=1e-4, rtol=1e-4)


def test_dropped_conditions_are_not_seen():
    net = network()
    x_t, t, f_m, previous = (
        random(2, 8, DIRECTIONS),
        torch.tensor([0.3, 0.8]),
        random(2, 8, MODEL.d),
        random(2, 4, DIRECTIONS),
    )
    on, off = torch.ones(2), torch.zeros(2)

    def told(keep_motion, keep_previous, **changed):
        given = {"x_t": x_t, "t": t, "f_m": f_m, "previous": previous} | changed
        return net.denoiser(**given, keep_motion=keep_motion, keep_previous=keep_previous)

    assert torch.equal(told(off, on), told(off, on, f_m=f_m + 1)) and not torch.equal(
        told(on, on), told(on, on, f_m=f_m + 1)
    )
    assert torch.equal(told(on, off), told(on, off, previous=previous + 1))
    assert not torch.allclose(told(on, on), told(on, on, previous=previous + 1))
    assert not torch.allclose(told(on, on), told(on, on, t=t / 2))  # the time token


def test_frames_after_the_end_change_nothing():
    net = network()
    short = dialogue(7)
    task = WindowTask(net, [short], StageOptions(drop_motion=0.0, drop_previous=0.0, drop_style=0.0), 1, 1)
    window = stack([training_window(short, 0, 2, MODEL)])
    assert window["valid"].sum() == 7 and (window["x"][:, 7:] == 0).all()
    loss = task.loss(window, torch.Generator().manual_seed(0))[0]
    filled = {name: window[name].clone() for name in ("a_self", "a_other", "x")}
    for value in filled.values():
        value[:, 7:] = 5.0
    torch.testing.assert_close(task.loss(window | filled, torch.Generator().manual_seed(0))[0], loss)


def test_audio_windows_end_with_the_window_and_begin_with_the_dialogue():
    audio = torch.arange(20.0)[:, None]
    assert audio_windows(audio, 0, 3, 5).tolist() == [[0, 0, 0, 1, 2], [0, 0, 1, 2, 2], [0, 1, 2, 2, 2]]
    assert audio_windows(audio, 6, 8, 3).tolist() == [[5, 6, 7], [6, 7, 7]]


def test_training_windows_hold_the_frames_before_and_sampling_hears_the_same():
    told = dialogue(40)
    window = training_window(told, 15, 3, MODEL)
    assert torch.equal(window["x"], told.avatar_motion[15:27]) and window["valid"].all()
    assert torch.equal(window["previous"], told.avatar_motion[11:15])
    assert torch.equal(window["style"], told.avatar_motion[3:15])
    assert torch.equal(window["a_self"], heard(told, 15, MODEL)["a_self"])
    first = training_window(told, 2, 35, MODEL)["previous"]
    assert (first[:2] == 0).all() and torch.equal(first[2:], told.avatar_motion[:2])


def test_single_sided_windows_come_first():
    told = dialogue(60)
    quiet = -1.4 * torch.ones(60, AUDIO_DIM) + 0.02 * random(60, AUDIO_DIM)
    told.avatar_audio, told.user_audio = quiet.clone(), quiet.clone()
    told.avatar_audio[10:30] += 1  # the avatar speaks, then both, then the user
    told.user_audio[20:50] += 1
    assert above_own_quiet(told.user_audio).nonzero()[:, 0].tolist() == list(range(20, 50))
    places = single_sided(told, MODEL).tolist()
    assert set(range(10)) <= set(places) and set(range(30, 54)) == {p for p in places if p >= 30}
    assert not set(range(13, 26)) & set(places)
    task = WindowTask(network(), [dialogue(5), told], StageOptions(single_sided=0.5), 16, 10)
    early, late = ({tuple(p) for p in t.tolist()} for t in (task.single, task.all))
    assert early < late and len(late) == len(starts(told, MODEL)) + 1
    assert task.single_steps == 5


def test_sampling_continues_from_the_last_frames_it_made(method):
    infp, net, told = method(), network(), dialogue(30, teach=False)
    seen = []
    net.denoiser.register_forward_hook(lambda m, given, out: seen.append((given[0].shape[1], given[3][0])))
    motion = infp.sample(net, told, torch.Generator().manual_seed(0))
    assert motion.shape == (30, DIRECTIONS) and motion.isfinite().all()
    assert [frames for frames, _ in seen] == [12] * 3 + [12] * 3 + [6] * 3
    assert (seen[0][1] == 0).all()
    assert torch.equal(seen[3][1], motion[8:12]) and torch.equal(seen[6][1], motion[20:24])


@pytest.mark.parametrize("frames", [1, 5, 12, 13])
def test_any_length_and_the_same_again(frames, method):
    infp, net, told = method(), network(), dialogue(frames, teach=False)
    first = infp.sample(net, told, torch.Generator().manual_seed(0))
    assert first.shape == (frames, DIRECTIONS)
    assert torch.equal(first, infp.sample(net, told, torch.Generator().manual_seed(0)))
    assert not torch.equal(first, infp.sample(net, told, torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("voice", ["user_audio", "avatar_audio"])
def test_nothing_after_a_window_is_heard_and_no_motion_is_seen(voice, method):
    infp, net = method(), network()
    told, other = dialogue(36, teach=False), dialogue(36)
    setattr(other, voice, getattr(other, voice).clone())
    getattr(other, voice)[24:] += 3.0
    other.user_motion = torch.full_like(other.user_motion, torch.nan)
    other.avatar_motion = torch.full_like(other.avatar_motion, torch.nan)
    before, after = (infp.sample(net, d, torch.Generator().manual_seed(0)) for d in (told, other))
    assert torch.equal(before[:24], after[:24])
    assert not torch.allclose(before[24:], after[24:])


def correlation(a, b):
    a, b = a - a.mean(0), b - b.mean(0)
    return (a * b).sum(0) / (a.norm(dim=0) * b.norm(dim=0))


def test_fits_files_and_follows_both_voices(method, tmp_path):
    """A toy world through `fit`, `load` and `sample`: unequal lengths, some shorter than a window."""
    train = {"steps": 120, "batch_size": 8, "learning_rate": 5e-3, "ema_decay": 0.97, "tensorboard": False}
    infp = method(train=train)
    lengths = [5, 23, *[60] * 12]
    told = {f"d{k}": dialogue(n, seed=k) for k, n in enumerate(lengths)}
    infp.dialogue = lambda dyad, training=False: told[dyad.dyad_id]
    dyads = [SimpleNamespace(dyad_id=name, side=lambda role: SimpleNamespace(sha256=role)) for name in told]
    infp.fit(dyads, Run(tmp_path / "run", 0, tmp_path / "infp.safetensors"))
    assert infp.card()["steps"] == 120 and infp.card()["parameters"] > 0
    again = method()
    again.load(tmp_path / "infp.safetensors")
    fresh = dialogue(60, seed=77)
    motion = again.sample(again.module, replace(fresh, avatar_motion=None), torch.Generator().manual_seed(0))
    found = correlation(motion, fresh.avatar_motion)
    assert found[:10].mean() > 0.7 and found[10:].mean() > 0.7


def test_wrong_options_are_refused(method):
    with pytest.raises(ConfigError, match="hear"):
        method(model={"hear": 4})
    with pytest.raises(ConfigError, match="steps"):
        SamplingOptions(steps=0)
    with pytest.raises(ConfigError, match="unknown section"):
        method(lips={})


def test_the_default_size_is_within_the_benchmark_s_band():
    assert 0.2e6 < sum(p.numel() for p in INFPNetwork(ModelOptions()).parameters()) < 0.9e6
