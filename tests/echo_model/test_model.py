"""LCU, SDCM and the generator: shapes, the paper's equations, ablations, and no look at the future."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from dyads.contract import Turn
from dyads.errors import ConfigError
from echo_model.backbones.phi import Phi, PhiOptions
from echo_model.backbones.psi import affect_sentence
from echo_model.backbones.text import encode_text
from echo_model.backbones.vae import small_sizes
from echo_model.clips import clip_inputs, clip_latents, pack, slice_padded, stack, unpack
from echo_model.model.generator import EchoGenerator
from echo_model.model.lcu import HBCU, LCU
from echo_model.model.options import ModelOptions, SamplingOptions, StageOptions
from echo_model.model.sdcm import SDCM, EntangledFusion
from echo_model.sampling import led_on, sample_dialogue
from echo_model.stages import InteractiveTask, TalkingTask

ABLATIONS = {"use_lcu": False, "use_lpe": False, "use_hbcu": False, "use_lau": False, "use_sdcm": False}


def count(module):
    return sum(p.numel() for p in module.parameters())


def build(options, masks, seed=0):
    torch.manual_seed(seed)
    return EchoGenerator(options, *masks), LCU(options, masks[0] > 0, small_sizes(options.tubelet))


def randomise(module):
    """Leave no zero start, which would hide a path."""
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.1 * torch.randn_like(p))


def test_sdcm_is_the_papers_equation(masks):
    torch.manual_seed(0)
    sdcm, h = SDCM(16, 2), torch.randn(2, 3, 17, 16)
    audio, f_pu = torch.randn(2, 3, 5, 16), torch.randn(2, 4, 16)
    m_lip, m_face = (m[:, None] for m in masks)
    h_avt = torch.stack([sdcm.cross_avt(h[:, i], audio[:, i]) for i in range(3)], 1)
    h_usr = torch.stack([sdcm.cross_usr(h[:, i], f_pu) for i in range(3)], 1)
    g = torch.sigmoid(sdcm.gate(torch.cat([sdcm.conv_usr(h_usr), sdcm.conv_avt(h_avt)], -1)))
    expected = h_avt * m_lip + (g * h_avt + (1 - g) * h_usr) * m_face
    torch.testing.assert_close(sdcm(h, audio, f_pu, m_lip, m_face), expected)


def test_sdcm_keeps_the_user_out_of_the_lips(masks):
    torch.manual_seed(0)
    sdcm, h = SDCM(16, 2), torch.randn(1, 3, 17, 16)
    audio, binary = torch.randn(1, 3, 5, 16), (masks[0] > 0.5).float()[:, None]
    ours, theirs = (sdcm(h, audio, torch.randn(1, 4, 16), binary, 1 - binary) for _ in range(2))
    lips = binary[:, 0] > 0
    torch.testing.assert_close(ours[:, :, lips], theirs[:, :, lips])
    assert (ours - theirs)[:, :, ~lips].abs().max() > 1e-3


def test_entangled_fusion_has_as_many_parameters_within_five_percent(masks):
    whole = [count(build(ModelOptions(use_sdcm=use), masks)[0]) for use in (True, False)]
    assert abs(whole[1] / whole[0] - 1) < 0.05 and abs(count(EntangledFusion(64, 2)) / count(SDCM(64, 2)) - 1) < 0.05


def inputs_of(generator, batch=2):
    """Random arguments of `EchoGenerator.forward`."""
    o, frames = generator.options, generator.previous + generator.current
    return {
        "x_t": torch.randn(batch, generator.current, *generator.layout.step),
        "t": torch.linspace(0.0, 1.0, batch),
        "previous": torch.randn(batch, generator.previous, *generator.layout.step),
        "keep_previous": torch.ones(batch),
        "audio": torch.randn(batch, frames, o.patch * o.window, 50),
        "keep_audio": torch.ones(batch),
        "reference": torch.randn(batch, 16, 32),
    }


@pytest.mark.parametrize("colour", [True, False])
def test_estimate_is_preconditioned_by_each_tokens_spread(masks, options, colour):
    """x_hat is x_t at t = 1 and s F at t = 0; a token read at unit scale gives the same answer at its own."""
    options = replace(options, colour=colour)
    generator = build(options, masks)[0].eval()
    randomise(generator)
    latents = torch.randn(500, 17, 8) * torch.linspace(0.2, 3.0, 17)[:, None]
    generator.fit_spread([latents[:200], latents[200:]])
    torch.testing.assert_close(generator.spread[:, 0], torch.linspace(0.2, 3.0, 17), rtol=0.1, atol=0)
    given = inputs_of(generator)
    with torch.no_grad():
        estimate = generator(**given)
        torch.testing.assert_close(estimate[1], given["x_t"][1])
        unit = build(options, masks)[0].eval()
        unit.load_state_dict(generator.state_dict() | {"spread": torch.ones(17, 1)})
        noise = given["x_t"] / generator.spread if colour else given["x_t"]  # of the latents' own scale, or of unit
        read = unit(**given | {"previous": given["previous"] / generator.spread, "x_t": noise})
    torch.testing.assert_close(estimate[0], generator.spread * read[0], rtol=1e-4, atol=1e-5)
    plain = build(replace(options, precondition=False), masks)[0]
    plain.load_state_dict(generator.state_dict())
    assert not torch.allclose(plain(**given)[1], given["x_t"][1], atol=0.1)


def test_a_clips_steps_are_mixed_with_their_neighbours_alone(masks, options):
    """One block without attention: a change of one step reaches those that the convolution and the embedding see."""
    generator = build(replace(options, blocks=1, neighbours=1, mixing=3), masks)[0].eval()
    randomise(generator)
    block = generator.blocks[0]
    for layer in (block.self_attention.out, block.cross_attention.out):
        torch.nn.init.zeros_(layer.weight)
    given = inputs_of(generator)
    other = given["x_t"].clone()
    other[:, 3] += 1.0
    with torch.no_grad():
        moved = generator(**given | {"x_t": other, "t": torch.zeros(2)}) - generator(**given | {"t": torch.zeros(2)})
    reached = (moved.abs().amax((0, 2, 3)) > 1e-6).tolist()
    assert reached == [abs(k - 3) <= 2 for k in range(generator.current)]


@pytest.mark.parametrize("scale, kept", [("guide_audio", "m_face"), ("guide_user", "m_lip")])
def test_decoupled_guidance_leaves_the_other_mask_alone(options, masks, dialogue, scale, kept):
    """One step of the flow: tokens that are wholly the face's are as without the voice's guidance, and so on."""
    binary = (masks[0] > 0.5).float()
    nets = build(options, (binary, 1 - binary))
    for net in nets:
        randomise(net)
        net.eval()
    off = {"steps": 1, "guide_user": 1.0, "guide_audio": 1.0}
    one, plain, own = (
        sample_dialogue(*nets, dialogue, options, SamplingOptions(**off | more), 0)[:24]
        for more in ({}, {scale: 3.0}, {scale: 3.0, "decoupled": True})
    )
    alone = getattr(nets[0], kept)[:, 0] > 0
    torch.testing.assert_close(own[:, alone], one[:, alone])
    torch.testing.assert_close(own[:, ~alone], plain[:, ~alone])
    assert (plain - one)[:, alone].abs().max() > 1e-3 < (plain - one)[:, ~alone].abs().max()


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_the_lips_noise_is_a_share_of_what_is_drawn(options, masks, dialogue, share, monkeypatch):
    """Every clip begins from its noise, less what the lips' mask takes of it."""
    nets, began = build(options, masks), []

    def begin(predict, x_0, *rest):
        began.append(x_0)
        return x_0

    monkeypatch.setattr("echo_model.sampling.integrate", begin)
    for each in (1.0, share):
        sample_dialogue(*nets, dialogue, options, SamplingOptions(steps=1, lip_noise=each), 0)
    whole, less = torch.stack(began).chunk(2)
    m_lip = nets[0].m_lip
    torch.testing.assert_close(less, whole * (1 - m_lip + share * m_lip))


def test_a_clip_is_led_on_from_the_frame_before_it_but_its_lips_are_not():
    """A jump of 5 is gone from the face at the border and stays from frame 8 on; speed goes on; lips keep theirs."""
    frames, before = torch.arange(24.0), torch.arange(-4.0, 0.0)

    def move(x):
        return pack(x[:, None, None].expand(-1, 17, 8).clone(), 4)

    m_face = torch.ones(17, 1)
    m_face[5] = 0.0
    led = unpack(led_on(move(frames + 5), move(before), m_face, 8, 4), 4)
    torch.testing.assert_close(led[0, 0], torch.zeros(8))
    torch.testing.assert_close(led[8:, 0], (frames[8:, None] + 5).expand(-1, 8))
    assert (led[1:, 0] > led[:-1, 0]).all()
    torch.testing.assert_close(led[:, 5], (frames[:, None] + 5).expand(-1, 8))
    smooth = move(frames)
    torch.testing.assert_close(led_on(smooth, move(before), m_face, 8, 4), smooth)
    assert led_on(move(frames + 5), move(before), m_face, 0, 4).equal(move(frames + 5))


def test_hbcu_starts_as_the_identity(options):
    p_usr = torch.randn(2, options.clip // options.stride, options.d)
    s_usr = torch.randn(2, options.context // options.stride, 64)
    hbcu = HBCU(options)
    assert torch.equal(hbcu(p_usr, s_usr), p_usr)
    hbcu.alpha.data.fill_(1.0)
    assert not torch.equal(hbcu(p_usr, s_usr), p_usr)


@pytest.mark.parametrize("ablation", [{}, *({key: value} for key, value in ABLATIONS.items())])
def test_both_stages_train_every_parameter_but_the_unused(options, masks, dialogue, ablation):
    options = replace(options, **ablation)
    generator, lcu = build(options, masks)
    task = InteractiveTask(generator, lcu, [dialogue], options, StageOptions(), 3)
    randomise(task.module)
    g = torch.Generator().manual_seed(0)
    loss, logs = task.loss(task.batch(0, g), g)
    loss.backward()
    assert torch.isfinite(loss) and set(logs) == {"flow", "context", "align", "lips", "face"}
    silent = [name for name, p in task.module.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not [name for name in silent if not name.endswith(("null_audio", "null_user", "null_emotion"))]


def test_stage_one_ignores_the_user_and_measures_pixels(options, masks, dialogue):
    from echo_model.backbones.vae import FaceVAE, VAEOptions

    generator, _ = build(options, masks)
    task = TalkingTask(generator, FaceVAE(VAEOptions(width=16)), [dialogue], options, StageOptions(), 2)
    g = torch.Generator().manual_seed(0)
    batch = task.batch(0, g)
    assert not {"user_audio", "user_video", "s_usr", "text"} & set(batch)
    loss, logs = task.loss(batch, g)
    assert torch.isfinite(loss) and logs["pixel"] > 0


def generate(options, masks, dialogue):
    generator, lcu = build(options, masks)
    randomise(generator), randomise(lcu)
    sampling = SamplingOptions(steps=2, guide_audio=1.5, lead=8)
    return sample_dialogue(generator, lcu, dialogue, options, sampling, seed=3)


def test_generation_is_deterministic_and_never_reads_the_true_latents(options, masks, dialogue):
    first = generate(options, masks, dialogue)
    dialogue.latents = None
    assert first.shape == (130, 17, 8) and torch.equal(first, generate(options, masks, dialogue))


@pytest.mark.parametrize("name", ["user_latents", "user_audio", "avatar_audio", "s_usr", "text_index"])
def test_no_look_at_the_future(options, masks, dialogue, name):
    """Clips end at frames 24, 48, ...: what happens from frame 48 on leaves the first two clips as they were."""
    before = generate(options, masks, dialogue)
    holder = dialogue.context if name in dialogue.context else dialogue.inputs
    cut = 48 // options.stride + 1 if name == "text_index" else 48 // options.stride if name == "s_usr" else 48
    changed = holder[name].clone()
    changed[cut:] = 1 - changed[cut:]
    holder[name] = changed
    after = generate(options, masks, dialogue)
    torch.testing.assert_close(before[:48], after[:48])
    assert (before[48:] - after[48:]).abs().max() > 1e-4


def test_clip_windows_are_aligned_with_their_frames(options, dialogue):
    dialogue.inputs["user_audio"] = torch.arange(130.0)[:, None].expand(130, 50) + 1
    dialogue.inputs["user_latents"] = (torch.arange(130.0)[:, None, None] + 1).expand(130, 17, 8)
    clip = clip_inputs(dialogue, 48, options)
    assert clip["user_audio"].shape == (24, 5, 50) and clip["user_video"].shape == (8, 17, 96)
    assert clip["user_audio"][-1, :, 0].tolist() == [
        68,
        69,
        70,
        71,
        72,
    ]  # ends with frame 71, counted from one
    assert clip["user_video"][-1, 0, ::8].tolist() == list(range(61, 73))
    assert clip["user_video"][0].abs().sum() == 0  # before the dialogue
    latents = clip_latents(dialogue, 0, options)
    assert latents["previous"].abs().sum() == 0 and latents["x_1"].shape == (6, 17, 32)


def test_packing_is_a_bijection(options):
    latents = torch.randn(24, 17, 8)
    assert torch.equal(unpack(pack(latents, 4), 4), latents)
    assert slice_padded(latents, -3, 30).shape[0] == 33
    assert set(stack([{"a": latents}, {"a": latents}])) == {"a"}


def test_a_limited_model_hears_of_its_window_alone(options, dialogue):
    """Phi and Psi forget what lies before the T frames; otherwise a short context would be a long one in disguise."""
    options = replace(options, context=48, limit=True, carry=False)
    dialogue.phi, dialogue.context = Phi(PhiOptions()).eval(), {}
    said = [
        Turn(start=0.1, end=0.6, role="user", text="I am so happy"),
        Turn(start=2.0, end=2.5, role="user", text="well"),
    ]
    dialogue.dyad = SimpleNamespace(dyad_id="one", turns=said)
    near, far = (clip_inputs(dialogue, start, options) for start in (24, 72))
    assert torch.equal(near["text"], encode_text(affect_sentence(said, 24 / 25)))
    assert not torch.equal(far["text"], encode_text(affect_sentence(said, 72 / 25)))
    for name in ("user_audio", "user_latents"):
        dialogue.inputs[name] = dialogue.inputs[name].clone()
        dialogue.inputs[name][:48] = 9.0
    again = clip_inputs(dialogue, 72, options)
    assert all(torch.equal(again[name], far[name]) for name in ("s_usr", "user_video"))
    assert not torch.equal(clip_inputs(dialogue, 24, options)["s_usr"], near["s_usr"])
    assert clip_inputs(dialogue, 120, options)["s_usr"].shape == (12, 64)  # the dialogue ends within this clip
    dialogue.inputs = {name: x[:122] if len(x) > 122 else x for name, x in dialogue.inputs.items()}
    assert not clip_inputs(dialogue, 120, replace(options, context=24))["s_usr"].any()  # no whole step in the window


@pytest.mark.parametrize(
    "change",
    [
        {"context": 0}, {"context": 100}, {"context": 16}, {"clip": 20}, {"masks": "hard"}, {"limit": True},
    ],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused_in_one_sentence(change):
    with pytest.raises(ConfigError, match=r"^model\.\w+ .*\.$"):
        ModelOptions(**change)
