"""DIM as a method: a toy it must learn, its three stages, its options, and the two leaks of the released evaluation."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_dim import TINY, dialogue, gen

from baselines.dim.method import DIM
from baselines.dim.options import LeakOptions, ModelOptions, SamplingOptions, StageOptions
from baselines.dim.sampling import distance, rollout
from baselines.motion.encode import load_avatar_motion
from baselines.motion.renderer import MotionRenderer, RendererOptions
from dyads.errors import ConfigError
from dyads.features import write_features
from dyads.files import write_text
from training.engine.weights import save_weights
from training.method import Resources, Run


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Feature files of dialogues in which the avatar's motion is its audio, mixed and smoothed."""
    root = tmp_path_factory.mktemp("dim")
    torch.manual_seed(0)
    options = {"size": 32, "width": 16}
    save_weights(root / "renderer.safetensors", MotionRenderer(RendererOptions(**options)), {"options": options})
    mixing = torch.randn(3, 20, generator=gen(1))
    dyads = []
    for k in range(12):
        frames, name = 40 + 3 * k, f"d{k}"
        audio = torch.randn(frames + 4, 3, generator=gen(100 + k)).unfold(0, 5, 1).mean(-1) * 5**0.5
        sound = torch.cat([audio, torch.zeros(frames, 47)], 1)
        other, motion = dialogue(frames, seed=200 + 10 * k), torch.tanh(audio) @ mixing / 3**0.5
        image = torch.zeros(3, 32, 32, dtype=torch.uint8)
        inputs = {"user_audio": other.user_audio, "avatar_audio": sound, "reference_image": image}
        write_features(root / f"features/{name}.safetensors", inputs, {})
        write_features(root / f"motion/{name}.safetensors", {"user_motion": other.user_motion}, {})
        write_features(root / f"motion/{name}.target.safetensors", {"avatar_motion": motion}, {})
        dyads.append(SimpleNamespace(dyad_id=name, side=lambda role: SimpleNamespace(sha256=role)))
    for folder in ("features", "motion"):
        write_text(root / folder / "index.csv", "dyad_id\n")
    backbones = {"motion": root / "motion", "renderer": root / "renderer.safetensors"}
    return root, Resources(root, root / "features", backbones, "cpu"), dyads


TOY = {
    "model": TINY | {"d": 32, "vq_d": 32},
    "stages": {"clip": 16, "codes_share": 0.4, "pretrain_share": 0.1},
    "sampling": {"temperature": 0.5},
}
SCHEDULE = {"steps": 180, "batch_size": 6, "learning_rate": 1e-2, "schedule": "cosine", "tensorboard": False}


def method(study, **sections) -> DIM:
    made = DIM(TOY | sections, study[1])
    made.name = "dim"
    return made


@pytest.fixture(scope="module")
def trained(study):
    """Trained on all dialogues but the last two."""
    root, _, dyads = study
    made = method(study, train=SCHEDULE)
    made.fit(dyads[:-2], Run(root / "run", 0, root / "dim.safetensors"))
    return made


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    a, b = a - a.mean(0), b - b.mean(0)
    return float(((a * b).sum(0) / (a.norm(dim=0) * b.norm(dim=0) + 1e-6)).mean())


def test_it_learns_to_move_with_the_avatars_voice(study, trained):
    root, _, dyads = study
    made = method(study)
    made.load(root / "dim.safetensors")
    assert made.card()["steps"] == SCHEDULE["steps"] and made.card()["leaks"] == "none"
    found = []
    for dyad in dyads[-2:]:
        motion = made.sample(made.module, made.dialogue(dyad), gen())
        found.append(correlation(motion, load_avatar_motion(root / "motion", dyad.dyad_id)))
    assert np.mean(found) > 0.6, found


def test_the_codes_stay_as_stage_one_left_them(study, trained):
    """Later stages may not move what their tokens mean."""
    root = study[0]
    made, final = load_file(root / "run/0-codes/weights.safetensors"), load_file(root / "dim.safetensors")
    names = [name for name in final if name.startswith("codes.")]
    assert names and all(torch.equal(made[name], final[name]) for name in names)


def test_without_a_leak_the_truth_is_untouched(study, trained, monkeypatch):
    root, _, dyads = study

    def read(*_):
        raise AssertionError("the truth was read")

    monkeypatch.setattr("baselines.motion.method.load_avatar_motion", read)
    made = method(study)
    made.load(root / "dim.safetensors")
    video = made.generate(dyads[0], seed=0)
    assert video.shape == (40, 32, 32, 3) and video.dtype == np.uint8
    for leak in ({"first_token": True}, {"best_of": 2}):
        leaking = method(study, leaks=leak)
        leaking.load(root / "dim.safetensors")
        with pytest.raises(AssertionError, match="truth was read"):
            leaking.generate(dyads[0], seed=0)


def test_with_a_leak_the_first_token_is_the_truths_and_the_card_says_so(study, trained):
    root, _, dyads = study
    made = method(study, leaks={"first_token": True, "best_of": 10})
    made.load(root / "dim.safetensors")
    assert made.card()["leaks"] == "first token, best of 10"
    given = made.dialogue(dyads[0])
    given.avatar_motion[0] += torch.linspace(-2, 2, 20)  # far from the reference
    codes = made.module.codes["avatar"]
    first = codes.to_tokens(given.avatar_motion[:1])[0]
    free = rollout(made.module, given, made.settings["sampling"], gen())
    led = rollout(made.module, given, made.settings["sampling"], gen(), first)
    assert torch.equal(led[0], first) and not torch.equal(free[0], first)


def test_the_best_of_some_samples_is_the_nearest_to_the_truth(study, trained):
    root, _, dyads = study
    made = method(study, leaks={"best_of": 3})
    made.load(root / "dim.safetensors")
    given, codes, generator = made.dialogue(dyads[0]), made.module.codes["avatar"], gen(2)
    each = [codes.to_motion(rollout(made.module, given, made.settings["sampling"], generator)) for _ in range(3)]
    far = [float(distance(motion, given.avatar_motion)) for motion in each]
    chosen = made.sample(made.module, given, gen(2))
    assert torch.equal(chosen, each[far.index(min(far))]) and len(set(far)) == 3


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (ModelOptions, {"d": 10}),
        (ModelOptions, {"groups": 0}),
        (ModelOptions, {"codes": 1}),
        (StageOptions, {"codes_share": 0.9, "pretrain_share": 0.2}),
        (StageOptions, {"mask": 0.0}),
        (StageOptions, {"drop_previous": 1.5}),
        (SamplingOptions, {"top": 0.0}),
        (SamplingOptions, {"temperature": 0.0}),
        (LeakOptions, {"best_of": 0}),
    ],
)
def test_impossible_options_are_refused(kind, wrong):
    with pytest.raises(ConfigError):
        kind(**wrong)


def test_too_few_steps_for_three_stages_are_refused(study):
    made = method(study, train=SCHEDULE | {"steps": 2})
    with pytest.raises(ConfigError, match="three stages"):
        list(made.tasks(made.build(), [dialogue(30, truth=True)]))
