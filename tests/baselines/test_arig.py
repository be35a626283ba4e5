"""ARIG: rules of states, what a frame may know, step by step against all at once, a small training."""

import time
from dataclasses import asdict, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.arig.diffusion import DiffusionMLP
from baselines.arig.method import ARIG, FrameTask, Track
from baselines.arig.model import ARIGNetwork, ModelOptions
from baselines.arig.states import BY_VOICE, UNKNOWN, State, conversational_states
from baselines.motion.method import MotionDialogue
from baselines.motion.renderer import MotionRenderer, RendererOptions
from baselines.motion.voice import HANGOVER, voice_activity
from dyads.errors import ConfigError
from training.engine.loop import TrainOptions, train
from training.engine.weights import save_weights
from training.method import Resources

TINY = {"d": 16, "heads": 2, "capacity": 3, "context": 2, "width": 16, "blocks": 2}
STAGE = {"window": 26, "frames": 4}


def dialogue(frames: int, seed: int = 0) -> MotionDialogue:
    g = torch.Generator().manual_seed(seed)
    tensors = [torch.randn(frames, width, generator=g) for width in (50, 50, 20, 20)]
    for audio in tensors[:2]:  # both speak and fall silent by turns
        audio += torch.where(torch.rand(-(-frames // 15), 1, generator=g) < 0.5, -2.0, 0.0).repeat_interleave(15, 0)[
            :frames
        ]
    return MotionDialogue(f"d{seed}", *tensors)


def network(**options) -> ARIGNetwork:
    """With random weights everywhere, so that nothing is hidden behind a layer that starts at zero."""
    torch.manual_seed(0)
    net = ARIGNetwork(ModelOptions(**TINY | options)).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return net


@pytest.fixture(scope="module")
def resources(tmp_path_factory):
    path = tmp_path_factory.mktemp("arig") / "renderer.safetensors"
    options = RendererOptions(size=32, width=8)
    save_weights(path, MotionRenderer(options), {"options": asdict(options)})
    return Resources(path.parent, backbones={"renderer": path})


def method(resources, **sections) -> ARIG:
    return ARIG({"model": TINY, "stage": STAGE, "sampling": {"steps": 3}} | sections, resources)


def sample(resources, net, given, **sections):
    return method(resources, **sections).sample(net, given, torch.Generator().manual_seed(1))


def tracks(avatar: str, user: str):
    """'#' is voice; each character is five frames."""
    return [torch.tensor([c == "#" for c in line for _ in range(5)]) for line in (avatar, user)]


@pytest.mark.parametrize(
    ("avatar", "user", "expected"),
    [
        ("####", "....", "SPEAK " * 4),
        ("....", "####", "LISTEN " * 4),
        ("....", "....", "WAIT " * 4),
        ("##..#", ".....", "SPEAK SPEAK PAUSE PAUSE SPEAK"),
        (".....", "##..#", "LISTEN LISTEN WAIT WAIT LISTEN"),
        ("########", "..##....", "SPEAK SPEAK RECEIVE RECEIVE SPEAK SPEAK SPEAK SPEAK"),
        ("..##....", "########", "LISTEN LISTEN GIVE GIVE LISTEN LISTEN LISTEN LISTEN"),
        ("######......", "....########", "SPEAK " * 4 + "INTERRUPTED " * 2 + "LISTEN " * 6),
        ("..######..", "##########", "LISTEN " * 2 + "INTERRUPTED " * 6 + "LISTEN " * 2),  # 30 frames are no feedback
        ("####..####", "...##.....", "SPEAK SPEAK SPEAK RECEIVE LISTEN PAUSE " + "SPEAK " * 4),  # keeps the floor
        ("##.", "##.", "INTERRUPTED INTERRUPTED WAIT"),  # as long as each other: nobody's feedback
        ("######...", "....#....", "SPEAK " * 4 + "RECEIVE SPEAK " + "PAUSE " * 3),
    ],
)
def test_states_by_hand(avatar, user, expected):
    found = conversational_states(*tracks(avatar, user))
    assert [State(s).name for s in found[2::5].tolist()] == expected.split()
    assert (found.view(-1, 5) == found[::5, None]).all()


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(1, 40)), max_size=12))
@settings(max_examples=60, deadline=None)
def test_every_frame_has_a_state_that_its_voices_allow(parts):
    avatar, user = ([part[k] for part in parts for _ in range(part[2])] for k in (0, 1))
    found = conversational_states(torch.tensor(avatar), torch.tensor(user)).tolist()
    assert len(found) == len(avatar)
    assert all(State(s) in BY_VOICE[a, u] for s, a, u in zip(found, avatar, user, strict=True))


def test_voice_activity_hears_a_voice_holds_on_and_knows_no_future():
    audio = torch.full((60, 50), -1.5)
    audio[20:30] = -0.5
    active = voice_activity(audio)
    assert active.nonzero().flatten().tolist() == list(range(20, 30 + HANGOVER))
    assert not voice_activity(torch.full((10, 50), -2.0)).any()
    assert voice_activity(torch.full((10, 50), 0.0)).all()  # a voice from the first frame on
    audio[40:] = 1.0
    assert torch.equal(voice_activity(audio)[:40], active[:40])


@pytest.mark.parametrize("own_past", [1.0, 0.5])
@pytest.mark.parametrize("changed", ["user", "avatar_audio"])
def test_a_frame_knows_the_user_before_it_and_its_own_voice_up_to_it(resources, changed, own_past):
    net, given, place = network(), replace(dialogue(40), avatar_motion=None), 17
    options = {"steps": 3, "own_past": own_past}
    before = sample(resources, net, given, sampling=options)
    noise = dialogue(40, seed=5)
    for name in ("user_audio", "user_motion") if changed == "user" else ("avatar_audio",):
        x = getattr(given, name).clone()
        x[place:] = getattr(noise, name)[place:]
        given = replace(given, **{name: x})
    after = sample(resources, net, given, sampling=options)
    known = place + (changed == "user")  # frame `place` itself does not know the user's frame `place`
    assert torch.equal(before[:known], after[:known])
    assert not torch.allclose(before[known], after[known])


@pytest.mark.parametrize("shown", [None, 0.0, 1.0])
def test_step_by_step_is_what_is_trained_on(shown):
    """Same motions and states before each frame: the same z and logits; 40 frames overflow a cache of 3 chunks."""
    net, given = network(), dialogue(40)
    lead = net.options.lead
    track = Track(given, lead, 40)
    window = {name: x[None] for name, x in track.cut(0).items()}
    keep = None if shown is None else torch.full((1,), shown)
    with torch.no_grad():
        z, logits = net(window, torch.arange(40), keep, None if shown is None else keep.expand(1, 40))
        memory = net.start(given.avatar_audio[:1], keep)
        for frame in range(40):
            now = frame + lead
            memory.state = window["state"][:, now - 1]
            names = ("user_audio", "agent_motion", "user_motion")
            before = [window[name][:, now - 1] for name in names]
            active = torch.stack([window["active"][:, now, 0], window["active"][:, now - 1, 1]], 1)
            own, own_logits, memory = net.step(memory, window["agent_audio"][:, now], *before, active, keep)
            assert torch.allclose(own, z[:, frame], atol=1e-5)
            assert torch.allclose(own_logits, logits[:, frame], atol=1e-5)
        assert memory.context[0].shape[3] == net.options.capacity - 1


def test_a_few_frames_are_the_same_as_among_all():
    net, chunk = network(), 6
    window = {name: x[None] for name, x in Track(dialogue(40), net.options.lead, 40).cut(0).items()}
    frames = torch.tensor(sorted({*range(0, 40, chunk), 3, 8, 9, 31, 39}))
    with torch.no_grad():
        some, every = net(window, frames), net(window, torch.arange(40))
    for x, y in zip(some, every, strict=True):
        assert torch.allclose(x, y[:, frames], atol=1e-5)


def test_what_is_hidden_is_not_read():
    net = network()
    window = {name: x[None] for name, x in Track(dialogue(24), net.options.lead, 24).cut(0).items()}
    other = window | {"agent_motion": torch.randn(window["agent_motion"].shape)}
    frames, hidden = torch.arange(24), (torch.zeros(1), torch.zeros(1, 24))
    with torch.no_grad():
        assert torch.equal(net(window, frames, *hidden)[0], net(other, frames, *hidden)[0])
        seen = [(torch.ones(1), hidden[1]), (hidden[0], torch.ones(1, 24))]
        assert all(not torch.allclose(net(window, frames, *s)[0], net(other, frames, *s)[0]) for s in seen)
        shown = net(window, frames, torch.ones(1), torch.ones(1, 24))[0]
        assert torch.allclose(shown, net(window, frames)[0], atol=1e-6)


def test_memory_does_not_grow():
    net = network()
    memory, sizes = net.start(torch.zeros(1, 50)), []
    nothing = torch.zeros(1, 20)
    with torch.no_grad():
        for _ in range(120):
            audio = torch.zeros(1, 50)
            memory = net.step(memory, audio, audio, nothing, nothing, torch.zeros(1, 2, dtype=torch.long))[2]
            kept = [memory.voice, memory.past, memory.agent, memory.user, memory.state, *memory.context]
            sizes.append(sum(x.untyped_storage().nbytes() for x in kept))
    assert max(sizes[60:]) == max(sizes[30:60])
    assert memory.context[0].shape[3] == net.options.capacity - 1 and 0 <= memory.phase < 6


@pytest.mark.parametrize("frames", [1, 5, 30])
def test_sampling_any_length_depends_on_the_generator_alone(resources, frames):
    net, given = network(), replace(dialogue(frames), avatar_motion=None)
    first = sample(resources, net, given)
    assert first.shape == (frames, 20) and first.isfinite().all()
    torch.manual_seed(99)
    assert torch.equal(first, sample(resources, net, given))
    assert not torch.equal(first, method(resources).sample(net, given, torch.Generator().manual_seed(2)))


def test_guidance_by_almost_nothing_changes_almost_nothing(resources):
    net, given = network(), replace(dialogue(20), avatar_motion=None)
    plain, nearly, far = (
        sample(resources, net, given, sampling={"steps": 3, "own_past": scale}) for scale in (1.0, 0.99999, 0.0)
    )
    assert torch.allclose(plain, nearly, atol=1e-2) and not torch.allclose(plain, far, atol=1e-2)


def test_faster_than_the_film_at_default_size(resources):
    torch.manual_seed(0)
    net = ARIGNetwork(ModelOptions()).eval()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    clock = time.process_time()
    sample(resources, net, dialogue(50), sampling={})
    seconds = time.process_time() - clock
    torch.set_num_threads(threads)
    assert 50 / seconds > 25


def test_the_sampler_draws_from_the_distribution_of_an_ideal_estimate():
    head = DiffusionMLP(4000, 8, 8, 1)
    mean, sd = 1.5, 0.5
    head.denoise = lambda x, level, _: (
        mean + level[0] * sd**2 * (x - level[0] * mean) / ((level[0] * sd) ** 2 + level[1] ** 2)
    )
    with torch.no_grad():
        noise = torch.randn(60, 4000, generator=torch.Generator().manual_seed(0))
        drawn, calm = (
            head.sample(torch.zeros(1, 8), torch.ones(1, 1), noise, temperature) for temperature in (1.0, 0.0)
        )
    assert abs(drawn.mean() - mean) < 0.05 and abs(drawn.std() - sd) < 0.05
    assert abs(calm.mean() - mean) < 0.05 and calm.std() < 0.5 * sd


def test_a_batch_of_unequal_dialogues_learns_from_their_frames_only(resources):
    task = FrameTask(network(), [dialogue(9), dialogue(60, 1), dialogue(1, 2)], method(resources).settings["stage"], 6)
    batch = task.batch(0, torch.Generator().manual_seed(0))
    again = task.batch(0, torch.Generator().manual_seed(0))
    assert all(torch.equal(batch[name], again[name]) for name in batch)
    assert len(batch["frames"]) == 5 + 4 and 0 < batch["there"].float().mean() < 1
    loss = task.loss(batch, torch.Generator().manual_seed(1))[0]
    lead = task.module.options.lead
    spoiled = batch["agent_motion"].clone()
    spoiled[:, lead:][~batch["there"]] = 1e3
    assert torch.equal(loss, task.loss(batch | {"agent_motion": spoiled}, torch.Generator().manual_seed(1))[0])


def test_labels_know_of_the_user_what_the_frame_knows():
    given = dialogue(90)
    values = Track(given, 6, 10).values
    avatar, user = voice_activity(given.avatar_audio), voice_activity(given.user_audio)
    assert avatar.any() and user.any() and not user.all()
    states = values["state"][6:-10].tolist()
    heard = [False, *user[:-1].tolist()]
    assert all(State(s) in BY_VOICE[a, u] for s, a, u in zip(states, avatar.tolist(), heard, strict=True))
    assert (values["state"][:6] == UNKNOWN).all()


def test_a_short_training_makes_lips_follow_the_voice(resources, tmp_path):
    """Two features of the avatar's voice, of this frame and of the one before, move all of the face."""
    mix = torch.randn(2, 20, generator=torch.Generator().manual_seed(3))

    def spoken(seed):
        audio = torch.randn(80, 50, generator=torch.Generator().manual_seed(seed))
        motion = (audio[:, :2] + audio[:, 2:4].roll(1, 0)) @ (mix / mix.norm(dim=0)) / 2**0.5
        return replace(dialogue(80, seed), avatar_audio=audio, avatar_motion=motion)

    model = TINY | {"d": 32, "width": 64, "context": 1, "bidirectional": 1, "chunk": 3}
    stage = {"window": 12, "frames": 8, "repeats": 4}
    arig = method(resources, model=model, stage=stage, sampling={"steps": 6})
    arig.schedule = TrainOptions(steps=100, batch_size=12, learning_rate=5e-3, schedule="cosine", tensorboard=False)
    torch.manual_seed(0)
    module = arig.build()
    task = arig.task(module, [spoken(seed) for seed in range(24)])
    train(task, arig.schedule, tmp_path, seed=0, stage="motion", identity={}, device="cpu")
    true = spoken(100)
    made = arig.sample(module, replace(true, avatar_motion=None), torch.Generator().manual_seed(0))
    x, y = made - made.mean(0), true.avatar_motion - true.avatar_motion.mean(0)
    assert ((x * y).sum(0) / (x.norm(dim=0) * y.norm(dim=0))).min() > 0.7


@pytest.mark.parametrize(
    "sections",
    [{"model": {"d": 10, "heads": 4}}, {"model": {"voice": 1}}, {"stage": {"window": 0}}, {"sampling": {"steps": 0}}],
)
def test_options_that_cannot_be_are_refused(resources, sections):
    with pytest.raises(ConfigError):
        ARIG(sections, resources)
