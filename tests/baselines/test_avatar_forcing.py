"""Avatar Forcing: mask, kept keys, guidance, preference loss, no look at the future, and two stages that learn."""

import math
from dataclasses import replace

import pytest
import torch

from baselines.avatar_forcing.method import AvatarForcing
from baselines.avatar_forcing.model import CausalDFoT, look_ahead_mask, near_mask
from baselines.avatar_forcing.options import ModelOptions, PreferenceOptions, StageOptions
from baselines.avatar_forcing.sampling import Cached, Uncached, guidance, rollout, spans
from baselines.avatar_forcing.stages import INPUTS, ForcingTask, PreferenceTask, dpo_loss, errors, make_losers
from baselines.motion.method import MotionDialogue
from baselines.motion.renderer import MotionRenderer, RendererOptions
from dyads.errors import ConfigError
from training.engine.weights import save_weights
from training.method import Resources, Run

SMALL = {"d": 32, "heads": 2, "layers": 2, "window": 20, "block": 5}


def draw(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(**options) -> CausalDFoT:
    """A small network none of whose weights is zero."""
    torch.manual_seed(0)
    net = CausalDFoT(ModelOptions(**(SMALL | options))).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net


def dialogue(frames: int, seed: int = 0) -> MotionDialogue:
    """Half of the avatar's motion follows its voice, the other half the user's slow motion one frame ago."""
    g = draw(seed)
    user_audio, avatar_audio = torch.randn(2, frames, 50, generator=g)
    user_motion = torch.randn(frames, 20, generator=g)
    for k in range(1, frames):
        user_motion[k] = 0.9 * user_motion[k - 1] + 0.44 * user_motion[k]
    motion = torch.cat([avatar_audio[:, :2].repeat(1, 5), user_motion.roll(1, 0)[:, :2].repeat(1, 5)], 1)
    return MotionDialogue(f"toy_{seed}", user_audio, avatar_audio, user_motion, motion)


def roll(net, inputs, branches, seed=3, kind=Cached, steps=3):
    g = draw(seed)
    batch = len(inputs[0])
    return rollout(net, inputs, branches, steps, lambda n: torch.randn(batch, n, 20, generator=g), kind)


def inputs_of(frames: int, batch: int = 1, seed: int = 1) -> tuple[torch.Tensor, ...]:
    g = draw(seed)
    return tuple(torch.randn(batch, frames, width, generator=g) for width in (50, 50, 20))


@pytest.mark.parametrize(("block", "look", "window"), [(10, 2, 50), (4, 0, 12), (5, 3, 20)])
def test_masks_are_the_released_rule(block, look, window):
    options = ModelOptions(**(SMALL | {"block": block, "look": look, "window": window}))
    frames = torch.arange(window)
    self_mask, cross_mask = look_ahead_mask(frames, frames, options), near_mask(frames, frames, options.reach)
    for q in range(window):
        earlier_blocks = set(range(q // block * block))
        seen = earlier_blocks | {k for k in range(window) if k <= q + look}
        assert set(self_mask[q].nonzero()[:, 0].tolist()) == seen
        assert set(cross_mask[q].nonzero()[:, 0].tolist()) == set(range(max(0, q - 2), min(window, q + 3)))


@pytest.mark.parametrize("frames", [7, 20, 23, 61])
@pytest.mark.parametrize("options", [{}, {"look": 0, "reach": 0}, {"look": 3, "reach": 4}])
def test_kept_keys_give_the_motion_of_a_full_recomputation(frames, options):
    net, inputs, branches = network(**options), inputs_of(frames, batch=2), guidance(2.0, 1.0)
    cached = roll(net, inputs, branches)
    assert cached.shape == (2, frames, 20)
    assert torch.allclose(cached, roll(net, inputs, branches, kind=Uncached), atol=1e-5)


def test_the_kept_past_matters_and_has_the_papers_length():
    net, inputs = network(window=50, block=10), inputs_of(70)
    assert spans(70, net.options) == [(0, 50, 0), (48, 60, 2), (58, 70, 2)]
    evaluate = Cached(net, torch.zeros(1, 70, 32))
    evaluate(torch.randn(1, 50, 20, generator=draw(0)), torch.ones(1, 50), spans(70, net.options)[0], commit=True)
    assert [kv.shape[3] for kv in evaluate.past] == [38, 38]

    class Forgetful(Cached):
        def __call__(self, x, t, span, commit=False):
            if not commit and self.past:
                self.past = [torch.zeros_like(kv) for kv in self.past]
            return super().__call__(x, t, span, commit)

    kept, lost = roll(net, inputs, guidance(1, 1)), roll(net, inputs, guidance(1, 1), kind=Forgetful)
    assert torch.equal(kept[:, :50], lost[:, :50]) and not torch.allclose(kept[:, 50:], lost[:, 50:], atol=1e-3)


def test_guidance():
    net, inputs = network(), inputs_of(20)
    for audio, user in ((2.0, 1.0), (1.0, 1.0), (0.5, 3.0)):
        assert sum(weight for _, weight in guidance(audio, user)) == pytest.approx(1.0)
    only = {keep: roll(net, inputs, [(keep, 1.0)], steps=1) for keep in ((0, 0, 0), (1, 0, 0), (0, 1, 1))}
    v_0, v_a, v_u = only.values()
    by_hand = v_0 + 2.0 * (v_a - v_0) + 3.0 * (v_u - v_0)
    assert torch.allclose(roll(net, inputs, guidance(2.0, 3.0), steps=1), by_hand, atol=1e-5)
    assert guidance(1.0, 0.0) == [((1, 0, 0), 1.0)] and guidance(0.0, 1.0) == [((0, 1, 1), 1.0)]
    assert guidance(0.0, 0.0) == [((0, 0, 0), 1.0)]
    other = inputs_of(20, seed=2)
    assert torch.equal(roll(net, other, guidance(0.0, 0.0), steps=1), v_0)  # knows nothing
    mixed = (inputs[0], *other[1:])
    assert torch.equal(roll(net, mixed, guidance(1.0, 0.0), steps=1), v_a)  # knows the avatar's audio only
    mixed = (other[0], *inputs[1:])
    assert torch.equal(roll(net, mixed, guidance(0.0, 1.0), steps=1), v_u)  # knows the user only
    assert not torch.allclose(v_a, v_0, atol=1e-3) and not torch.allclose(v_u, v_0, atol=1e-3)


def test_the_preference_loss_by_hand():
    e_w, e_l = (torch.tensor([v], requires_grad=True) for v in (0.20, 0.50))
    e_w_ref, e_l_ref = (torch.tensor([v], requires_grad=True) for v in (0.25, 0.40))
    loss = dpo_loss(e_w, e_l, e_w_ref, e_l_ref, beta=10.0)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-10 * (0.05 + 0.10))))
    assert dpo_loss(e_w, e_l, e_w, e_l, beta=10.0).item() == pytest.approx(math.log(2))
    loss.backward()
    slope = 10 / (1 + math.exp(1.5))
    assert e_w.grad.item() == pytest.approx(slope, rel=1e-5)  # a step down lowers the winner's error
    assert e_l.grad.item() == pytest.approx(-slope, rel=1e-5)  # and raises the loser's


def test_errors_do_not_count_what_is_beyond_the_end():
    x_1, there = torch.zeros(1, 4, 20), torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    x_hat, t = torch.full((1, 4, 20), 2.0), torch.tensor([[0.0, 0.5, 0.9, 0.9]])
    x_hat[:, 2:] = 100.0
    assert errors(x_hat, x_1, t, there, StageOptions()).item() == pytest.approx(2.0)
    assert errors(x_hat, x_1, t, there, StageOptions(norm="l2")).item() == pytest.approx(4.0)
    assert errors(x_hat, x_1, t, there, StageOptions(sharpest=0.8)).item() == pytest.approx((2 + 2 / 0.5) / 2)


def test_windows_noise_and_what_is_dropped():
    task = ForcingTask(network(), [dialogue(9), dialogue(20, 1), dialogue(70, 2)], StageOptions(joint=0.5), 64)
    batch = task.batch(0, draw(0))
    assert batch["x_1"].shape == (64, 20, 20) and set(batch["there"].sum(1).tolist()) == {9.0, 20.0}
    short = batch["there"].sum(1) == 9
    assert (batch["x_1"][short][:, 9:] == batch["x_1"][short][:, 8:9]).all()
    assert (batch["x_1"][..., :2] == batch["avatar_audio"][..., :2]).all()  # windows of all streams agree
    _, t, keep = task.draws(batch["x_1"], draw(1))
    blocks = t.unflatten(1, (4, 5))
    assert (blocks == blocks[..., :1]).all()
    alike = (t == t[:, :1]).all(1)
    assert 0.3 < alike.float().mean() < 0.7
    assert {(1.0, 1.0, 1.0), (1.0, 0.0, 0.0), (0.0, 0.0, 0.0)} <= set(map(tuple, keep.tolist()))
    loss, _ = task.loss(batch, draw(2))
    assert loss.isfinite() and loss.requires_grad


@pytest.mark.parametrize("start", [20, 25, 45])
def test_no_input_after_a_block_changes_it(start):
    """Exact, for each stream: the allowance of the paper is the block, and the first window."""
    net, inputs, branches = network(), inputs_of(58), guidance(2.0, 1.0)
    before = roll(net, inputs, branches)
    for stream in range(3):
        changed = [x.clone() for x in inputs]
        changed[stream][:, start:] += 1.0
        after = roll(net, tuple(changed), branches)
        assert torch.equal(before[:, :start], after[:, :start])
        assert not torch.allclose(before[:, start : start + 5], after[:, start : start + 5], atol=1e-4)


def test_training_looks_ahead_within_its_mask_only():
    """One layer: a block's estimate sees two frames ahead, the condition the whole block, cross-attention two more."""
    net = network(layers=1)
    x, c, t = torch.randn(1, 20, 20, generator=draw(0)), torch.randn(1, 20, 32, generator=draw(1)), torch.zeros(1, 20)
    for at in (7, 11):
        moved = x.clone()
        moved[:, at] += 1.0
        seen = (net(x, t, c) != net(moved, t, c)).any(-1)[0].nonzero()[:, 0].tolist()
        assert seen == list(range(at - 2, 20))
    moved = c.clone()
    moved[:, 11] += 1.0
    assert (net(x, t, c) != net(x, t, moved)).any(-1)[0].nonzero()[:, 0].tolist() == [9, 10, 11, 12, 13]


@pytest.fixture(scope="module")
def method_of(tmp_path_factory):
    """A method over toy dialogues instead of recordings."""
    root = tmp_path_factory.mktemp("avatar_forcing")
    options = {"size": 32, "width": 8}
    save_weights(root / "renderer.safetensors", MotionRenderer(RendererOptions(**options)), {"options": options})

    class Toy(AvatarForcing):
        def dialogue(self, dyad, training=False):
            return dialogue(*dyad)

        def identity(self, dyads):
            return {"options": self.options, "data": dyads}

    def make(**options):
        train = {"steps": 6, "batch_size": 4, "learning_rate": 2e-3, "tensorboard": False}
        resources = Resources(root, None, {"renderer": root / "renderer.safetensors"}, device="cpu")
        sections = {"model": SMALL, "train": train | options.pop("train", {})}
        sections["preference"] = {"share": 0.5, "frames": 25, "batch": 2} | options.pop("preference", {})
        return Toy(sections | options, resources)

    return make


def test_both_stages_fit_resume_and_share_the_steps(method_of, tmp_path):
    dyads = [(12, 0), (33, 1), (40, 2)]
    method = method_of()
    for name in ("a", "b"):  # the second run finds the first one's stages finished
        method.fit(dyads, Run(tmp_path / "run", 0, tmp_path / f"{name}.safetensors"))
    method.fit(dyads, Run(tmp_path / "fresh", 0, tmp_path / "c.safetensors"))
    assert {p.name for p in (tmp_path / "run").iterdir()} == {"0-forcing", "1-preference"}
    first, *others = ((tmp_path / f"{name}.safetensors").read_bytes() for name in "abc")
    assert others == [first, first]
    assert method.meta["steps"] == 6
    plain = method_of(preference={"share": 0.0})
    plain.fit(dyads, Run(tmp_path / "plain", 0, tmp_path / "plain.safetensors"))
    assert plain.meta["steps"] == 6 and [p.name for p in (tmp_path / "plain").iterdir()] == ["0-forcing"]
    with pytest.raises(ConfigError, match=r"model.window is 25"):
        method_of(model={"window": 25})


def test_a_video_of_any_length_the_same_again(method_of):
    method, net = method_of(), network()
    for frames in (1, 19, 20, 33):
        given = replace(dialogue(frames), avatar_motion=None)
        motion = method.sample(net, given, draw(0))
        assert motion.shape == (frames, 20) and motion.isfinite().all()
        assert torch.equal(motion, method.sample(net, given, draw(0)))
        assert not torch.equal(motion, method.sample(net, given, draw(1)))
    plain = method_of(sampling={"cache": False}).sample(net, given, draw(0))
    assert torch.allclose(plain, method.sample(net, given, draw(0)), atol=1e-5)


def test_the_second_stage_sees_what_the_first_has_trained(method_of):
    method, net = method_of(), network()
    dialogues = [dialogue(33, 1), dialogue(9, 2)]
    stages = method.tasks(net, dialogues)
    assert next(stages)[0] == "forcing"
    with torch.no_grad():
        net.out.bias.add_(1.0)
    name, task, schedule = next(stages)
    assert name == "preference" and schedule.steps == 3 and torch.equal(task.reference.out.bias, net.out.bias)
    assert [(start + len(motion) <= d.frames) for (start, motion), d in zip(task.losers, dialogues, strict=True)]
    assert [len(motion) for _, motion in task.losers] == [25, 9]
    moved = [replace(d, user_motion=d.user_motion + 1, user_audio=d.user_audio + 1) for d in dialogues]
    again = make_losers(net, moved, method.settings["preference"], steps=6)
    assert all(torch.equal(a[1], b[1]) for a, b in zip(task.losers, again, strict=True))  # they do not know the user
    with pytest.raises(StopIteration):
        next(stages)


def test_preference_steps_widen_the_margin_and_leave_the_reference():
    net, dialogues = network(), [dialogue(40, seed) for seed in range(4)]
    preference = PreferenceOptions(frames=25, weight=1.0)
    task = PreferenceTask(net, dialogues, make_losers(net, dialogues, preference, 2), StageOptions(), preference, 16)
    frozen = [p.clone() for p in task.reference.parameters()]
    batch = task.batch(0, draw(0))
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    loss, logs = task.loss(batch, draw(1))
    assert logs["preference"].item() == pytest.approx(math.log(2)) and logs["margin"].item() == 0
    for _ in range(3):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss, logs = task.loss(batch, draw(1))
    assert logs["margin"] > 0 and logs["preference"] < math.log(2)
    assert all(torch.equal(a, b) for a, b in zip(frozen, task.reference.parameters(), strict=True))


def test_it_learns_to_follow_its_voice_and_the_user():
    torch.manual_seed(0)
    net, steps = CausalDFoT(ModelOptions(**(SMALL | {"layers": 1}))), 300
    task = ForcingTask(net, [dialogue(200, seed) for seed in range(20)], StageOptions(), 16)
    optimizer = torch.optim.Adam(net.parameters(), 4e-3)
    for step in range(steps):
        loss, _ = task.loss(task.batch(step, draw(2 * step)), draw(2 * step + 1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        optimizer.param_groups[0]["lr"] = 4e-3 * (1 - step / steps)
    unseen = [dialogue(60, 100 + seed) for seed in range(8)]
    inputs = tuple(torch.stack([getattr(d, name) for d in unseen]) for name in INPUTS)
    true = torch.stack([d.avatar_motion for d in unseen]).flatten(0, 1)

    def correlation(branches, dimensions):
        made = roll(net.eval(), inputs, branches, steps=6).flatten(0, 1)
        return torch.corrcoef(torch.stack([made[:, dimensions].flatten(), true[:, dimensions].flatten()]))[0, 1]

    voice, answer = slice(0, 10), slice(10, 20)
    assert correlation(guidance(1.0, 1.0), voice) > 0.7
    assert abs(correlation(guidance(0.0, 1.0), voice)) < 0.2  # without its audio it cannot know
    assert correlation(guidance(1.0, 1.0), answer) > correlation(guidance(1.0, 0.0), answer) + 0.2
