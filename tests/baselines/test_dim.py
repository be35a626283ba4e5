"""DIM's networks: codes and their gradients, what carries loss, streaming order, and sampling."""

import pytest
import torch
import torch.nn.functional as F
from small_dim import TINY, dialogue, gen

from baselines.dim.layers import in_pieces, sliding
from baselines.dim.model import DyadicNetwork, Stream
from baselines.dim.options import ModelOptions, SamplingOptions, StageOptions
from baselines.dim.sampling import distance, draw, frechet, rollout, rollouts
from baselines.dim.stages import CodesTask, ListenerTask, PretrainTask, contrast, hidden_states, record
from baselines.dim.tokens import VQVAE, Quantiser
from baselines.motion.method import MotionDialogue
from baselines.motion.voice import speaking

SMALL = ModelOptions(**TINY)


def network(options: ModelOptions = SMALL, seed: int = 0) -> DyadicNetwork:
    """Untrained, with weights large enough that every input shows."""
    torch.manual_seed(seed)
    made = DyadicNetwork(options)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    return made.eval()


@pytest.fixture(scope="module")
def net():
    return network()


def batch_of(kind, net, frames=(30, 11), clip=20, **options):
    """A task over dialogues of unequal length, and one batch that holds a padded window."""
    recordings = [record(dialogue(n, seed=10 * k, truth=True)) for k, n in enumerate(frames)]
    task = kind(net, recordings, StageOptions(clip=clip, **options), 2)
    return task, task.batch(0, gen())


# Codes


def test_a_latent_becomes_its_nearest_codes_and_both_sides_approach():
    quantiser = Quantiser(2, 8, 4, beta=0.25)
    z = torch.randn(5, 8, generator=gen(), requires_grad=True)
    e, tokens, loss = quantiser(z)
    loss = loss.mean()
    parts, vectors = quantiser.parts(z), quantiser.vectors()
    for group in range(2):
        assert torch.equal(tokens[:, group], torch.cdist(parts[:, group], vectors[group]).argmin(1))
    assert torch.allclose(e, quantiser.lookup(tokens), atol=1e-6)
    gap = (parts.flatten(1) - e).square().sum(1).mean() / 2
    assert torch.allclose(loss, 1.25 * gap)
    loss.backward()
    committed, codes = z.grad.clone(), quantiser.codebooks.grad.clone()
    assert committed.abs().sum() > 0 and codes.abs().sum() > 0
    moved = Quantiser(2, 8, 4, beta=0.25)
    moved.codebooks.data.copy_(quantiser.codebooks - 0.1 * codes)
    assert moved(z.detach() - 0.1 * committed)[2].mean() < loss
    unused = [k for k in range(8) if k not in tokens[:, 0].tolist()]
    assert unused and not codes[0, unused].any()


def test_without_commitment_a_latent_is_not_pulled_to_its_code():
    quantiser = Quantiser(2, 8, 4, beta=0.0)
    z = torch.randn(5, 8, generator=gen(), requires_grad=True)
    quantiser(z)[2].mean().backward()
    assert not z.grad.any()


def test_the_gradient_of_a_code_goes_straight_to_the_latent():
    quantiser = Quantiser(2, 8, 4)
    z = torch.randn(5, 8, generator=gen(), requires_grad=True)
    weight = torch.randn(5, 8, generator=gen(1))
    (quantiser(z)[0] * weight).sum().backward()
    straight = torch.autograd.grad((quantiser.parts(z).flatten(1) * weight).sum(), z)[0]
    assert torch.allclose(z.grad, straight, atol=1e-6) and quantiser.codebooks.grad is None


def test_codebooks_start_at_latents_so_that_codes_are_used():
    quantiser = Quantiser(1, 16, 4)
    z = F.normalize(torch.tensor([1.0, 0, 0, 0]) + 0.1 * torch.randn(400, 4, generator=gen()), dim=-1)  # a narrow cone
    before = quantiser.tokens(z).unique().numel()
    quantiser.start_at(z)
    assert quantiser.tokens(z).unique().numel() == 16 > before


def test_neither_way_of_the_codes_looks_ahead_and_pieces_are_the_whole():
    torch.manual_seed(0)
    codes = VQVAE(SMALL, 0.25).eval()
    motion = torch.randn(1, 40, 20, generator=gen())
    changed = motion.clone()
    changed[:, 25:] += 1
    for run in (codes.latent, lambda x: codes.decode(codes.quantiser.parts(codes.latent(x)).flatten(-2))):
        a, b = run(motion), run(changed)
        assert torch.allclose(a[:, :25], b[:, :25], atol=1e-5) and not torch.allclose(a[:, 25], b[:, 25], atol=1e-3)
        # A decoded frame looks back through the decoder and the encoder.
        assert torch.allclose(in_pieces(run, motion, 2 * codes.reach, piece=7), a, atol=1e-5)
    assert codes.to_motion(codes.to_tokens(motion[0])).shape == (40, 20)


# What carries loss


def test_pretraining_predicts_hidden_frames_only_and_does_not_read_them(net):
    task, batch = batch_of(PretrainTask, net, cont_weight=0.0, mask=0.4)
    hidden = {party: task.hide(batch["valid"], g) for g in [gen(5)] for party in ("user", "avatar")}
    before = task.loss(batch, gen(5))[0]
    spared, told = batch["avatar_tokens"].clone(), batch["avatar_tokens"].clone()
    spared[~hidden["avatar"]] = (spared[~hidden["avatar"]] + 1) % 16
    told[hidden["avatar"]] = (told[hidden["avatar"]] + 1) % 16
    assert torch.equal(task.loss(batch | {"avatar_tokens": spared}, gen(5))[0], before)
    assert not torch.equal(task.loss(batch | {"avatar_tokens": told}, gen(5))[0], before)
    given = F.pad(hidden["avatar"], (1, 0))[:, :-1]  # the token before is an input where it was predicted itself
    for where, same in ((~given, True), (given, False)):
        moved = torch.where(where[..., None], (batch["avatar_previous"] + 1) % 16, batch["avatar_previous"])
        assert torch.equal(task.loss(batch | {"avatar_previous": moved}, gen(5))[0], before) == same
    for party in ("user", "avatar"):
        assert hidden[party].any() and not hidden[party][~batch["valid"]].any()
        motion, seen = batch[f"{party}_motion"].clone(), batch[f"{party}_motion"].clone()
        motion[hidden[party]] += 1
        seen[~hidden[party]] += 1
        assert torch.equal(task.loss(batch | {f"{party}_motion": motion}, gen(5))[0], before)
        assert not torch.equal(task.loss(batch | {f"{party}_motion": seen}, gen(5))[0], before)


def test_each_party_is_told_from_the_other_and_the_codes_are_frozen(net):
    task, batch = batch_of(PretrainTask, network(), mask=0.4)
    loss, logs = task.loss(batch, gen())
    loss.backward()
    assert set(logs) == {"nce", "user_ce", "user_cont", "avatar_ce", "avatar_cont"}
    gradients = {name: p.grad is not None for name, p in task.module.named_parameters()}
    assert not any(there for name, there in gradients.items() if name.startswith("codes."))
    assert all(there for name, there in gradients.items() if not name.startswith("codes."))


def test_the_listener_is_not_told_the_avatars_motion_but_through_known_tokens(net):
    task, batch = batch_of(ListenerTask, net, cont_weight=0.0, drop_previous=1.0)
    before = task.loss(batch, gen())[0]
    other = (batch["avatar_previous"] + 1) % 16
    changed = batch | {"avatar_previous": other, "avatar_motion": batch["avatar_motion"] + 1}
    assert torch.equal(task.loss(changed, gen())[0], before)
    told, _ = batch_of(ListenerTask, net, cont_weight=0.0, drop_previous=0.0, mask_previous=0.0)
    assert not torch.equal(told.loss(batch, gen())[0], told.loss(batch | {"avatar_previous": other}, gen())[0])


@pytest.mark.parametrize("kind", [CodesTask, PretrainTask, ListenerTask])
def test_padding_changes_nothing_and_batches_are_decided_by_their_generator(kind):
    task, batch = batch_of(kind, network())
    assert not batch["valid"].all()
    junk = {
        name: torch.where(batch["valid"].view(*batch["valid"].shape, *[1] * (x.dim() - 2)), x, torch.ones_like(x))
        for name, x in batch.items()
        if name != "valid"
    }
    state = torch.get_rng_state()
    loss = task.loss(batch, gen())[0]
    assert torch.allclose(task.loss(batch | junk, gen())[0], loss, atol=1e-5)
    again = task.batch(7, gen())
    assert all(torch.equal(x, again[name]) for name, x in batch.items())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_contrast_falls_when_parties_belong_together():
    valid = torch.ones(4, 3, dtype=torch.bool)
    s = torch.eye(4)[:, None].expand(4, 3, 4)
    assert contrast(s, s, valid, 0.05) < 1e-4 < contrast(s, s.roll(1, 0), valid, 0.05)
    junk = [torch.cat([x, torch.randn(4, 2, 4, generator=gen())], 1) for x in (s, s.roll(1, 0))]
    assert torch.allclose(contrast(*junk, F.pad(valid, (0, 2)), 0.05), contrast(s, s.roll(1, 0), valid, 0.05))


# Streaming order


def test_the_stream_equals_the_parallel_decoder(net):
    """Frame by frame with kept keys, beyond the window's length, against all frames at once."""
    recording = record(dialogue(30, truth=True))
    task = ListenerTask(net, [recording], StageOptions(clip=30), 1)
    batch = task.batch(0, gen())
    sees, known = sliding(30, SMALL.window), torch.ones(1, 30, dtype=torch.bool)
    with torch.no_grad():
        x = net.join([net.encode("user", batch["user_motion"], sees)], sees)[0]
        assert torch.allclose(net.seen(batch["user_motion"]), x, atol=1e-5)
        h, before = hidden_states(net, batch, "avatar", x, known, sees)
        stream = Stream(net, net.context("user", x, batch["user_audio"]))
        own, _ = net.voice(batch["avatar_audio"], batch["avatar_speaks"])
        own = own + net.heads["avatar"].previous(before, known)
        steps = torch.cat([stream.step(t, own[:, t : t + 1], None) for t in range(30)], 1)
    assert torch.allclose(steps, h, atol=1e-5)


@pytest.mark.parametrize("name", ["user_audio", "avatar_audio", "user_motion"])
@pytest.mark.parametrize("switch", ["soft", "hard"])
def test_a_frame_depends_on_no_later_input(name, switch):
    net, given = network(ModelOptions(**TINY, switch=switch)), dialogue(30)
    given.avatar_audio[5:, -1] = 0.0  # unvoiced: from frame 15 on it listens
    tokens = rollout(net, given, SamplingOptions(), gen())
    later = getattr(given, name).clone()
    later[18:] += 3 * torch.randn(later[18:].shape, generator=gen(9))
    changed = MotionDialogue(**(vars(given) | {name: later}))
    other = rollout(net, changed, SamplingOptions(), gen())
    assert torch.equal(tokens[:18], other[:18]) and not torch.equal(tokens[18:], other[18:])
    motion, other = net.codes["avatar"].to_motion(tokens), net.codes["avatar"].to_motion(other)
    assert torch.allclose(motion[:18], other[:18], atol=1e-5)


def test_a_hard_switch_blinds_the_speaker_and_deafens_the_listener():
    net = network(ModelOptions(**TINY, switch="hard"))
    audio = torch.randn(1, 6, 50, generator=gen())
    speaks = torch.tensor([[True, True, True, False, False, False]])
    heard, see = net.voice(audio, speaks)
    louder, _ = net.voice(audio + 1, speaks)
    assert see[0, :, 0].tolist() == [0, 0, 0, 1, 1, 1]
    assert torch.equal(heard[:, 3:], louder[:, 3:]) and not torch.allclose(heard[:, :3], louder[:, :3])
    assert network().voice(audio, speaks)[1] is None


def test_roles_follow_the_louder_voice_and_outlast_a_short_pause():
    own, other = torch.full((40, 50), -2.0), torch.full((40, 50), -2.0)
    own[:, -1] = other[:, -1] = 0.0
    own[10:15, :48], own[10:15, -1] = 1.0, 1.0
    other[10:15, :48], other[10:15, -1] = -1.5, 1.0  # bleed
    assert speaking(own, other).nonzero().flatten().tolist() == list(range(10, 25))
    assert not speaking(other, own).any()


# Sampling


def test_samples_are_decided_by_the_generator_alone(net):
    given = dialogue(20)
    state = torch.get_rng_state()
    first = rollout(net, given, SamplingOptions(), gen(3))
    assert torch.equal(first, rollout(net, given, SamplingOptions(), gen(3)))
    assert not torch.equal(first, rollout(net, given, SamplingOptions(top=1.0), gen(4)))
    assert torch.equal(torch.get_rng_state(), state)
    assert first.shape == (20, 2) and rollout(net, dialogue(1), SamplingOptions(), gen()).shape == (1, 2)


@pytest.mark.parametrize("switch", ["soft", "hard"])
def test_drafts_made_together_are_those_made_one_after_the_other(switch):
    net, given, options = network(ModelOptions(**TINY, switch=switch)), dialogue(20), SamplingOptions()
    for first in (None, torch.tensor([1, 0])):
        generator = gen(3)
        each = torch.stack([rollout(net, given, options, generator, first) for _ in range(4)])
        together = gen(3)
        assert torch.equal(rollouts(net, given, options, together, 4, first), each)
        assert torch.equal(generator.get_state(), together.get_state()) and not torch.equal(each[0], each[1])


def test_tokens_are_drawn_among_the_likeliest_as_often_as_they_are_likely():
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0])
    noise = torch.rand(2000, generator=gen())
    drawn = torch.stack([draw(logits, SamplingOptions(top=0.5), one) for one in noise])
    assert set(drawn.tolist()) == {1, 2}
    share = torch.tensor([1.0, 2.0]).softmax(0)[1]
    assert abs((drawn == 2).float().mean() - share) < 0.03
    assert draw(logits, SamplingOptions(top=0.01), torch.tensor(0.99)) == 1  # never fewer than two
    assert draw(logits, SamplingOptions(top=0.01, temperature=0.1), torch.tensor(0.99)) == 2


def test_the_distance_of_samples_is_frechets():
    a = torch.randn(4000, 20, generator=gen())
    assert distance(a, a).abs() < 1e-6
    assert abs(float(frechet(a[:, :3], 2 * a[:, :3] + 1)) - (3 + 3)) < 0.5  # means 1 apart, deviations 1 and 2
    assert torch.isfinite(distance(a[:1], a[1:2]))
