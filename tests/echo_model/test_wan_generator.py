"""The generator `wan`: the stock model at the start to the last bit, and from there every difference is ECHO's."""

import pytest
import torch
from wan_study import MODEL, VARIANTS, checkpoints, randomise, wan_options

from dyads.errors import ConfigError
from echo_model.wan.options import Sizes, WanOptions
from echo_model.wan.sdcm import SDCM, EntangledFusion
from echo_model.wan.transformer import INTERACTIVE, TALKING, Conditions, EchoWan, padded
from tests import tiny_checkpoints as tiny
from training.engine.checkpoint import fingerprint

GIVEN, CURRENT, SIDE = 3, 4, 4  # latent steps ahead of the clip's, the clip's, and a row of the patch grid
TOKENS = SIDE * SIDE


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return checkpoints(tmp_path_factory.mktemp("wan"))


def stock(folder, variant):
    from diffusers import WanTransformer3DModel

    return WanTransformer3DModel.from_pretrained(folder / variant).eval()


def ours(folder, variant="ti2v", use_sdcm=True, **changes):
    channels = tiny.CHANNELS[VARIANTS[variant]]
    sizes = Sizes(channels, 2 * SIDE, 2 * SIDE, 4, 32, tiny.LOOK, 16, 24)
    torch.manual_seed(1)
    options = wan_options(folder, variant, **changes)
    return EchoWan(stock(folder, variant), options, sizes, 20, MODEL.d, GIVEN - 1, CURRENT, use_sdcm)


def given(batch=2, seed=0, variant="ti2v"):
    """Arguments of `EchoWan.forward`."""
    g, c = torch.Generator().manual_seed(seed), tiny.CHANNELS[VARIANTS[variant]]
    draw = lambda *shape: torch.randn(*shape, generator=g)  # noqa: E731
    lip = torch.zeros(batch, TOKENS)
    lip[:, 9:11] = 1.0
    return {
        "x_t": draw(batch, CURRENT, c, 2 * SIDE, 2 * SIDE),
        "t": torch.rand(batch, generator=g),
        "previous": draw(batch, GIVEN, c, 2 * SIDE, 2 * SIDE),
        "audio": draw(batch, GIVEN - 1 + CURRENT, 20, 32),
        "keep_audio": torch.ones(batch),
        "text": draw(batch, 5, tiny.TEXT),
        "image": draw(batch, 17, tiny.LOOK),
        "m_lip": lip,
        "m_face": 1 - lip,
        "f_pu": draw(batch, 4, MODEL.d),
    }


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("use_sdcm", [True, False])
@pytest.mark.parametrize("per_step", [False, True])
@torch.no_grad()
def test_it_starts_as_the_stock_model_to_the_last_bit(folder, variant, use_sdcm, per_step):
    base, echo, g = stock(folder, variant), ours(folder, variant, use_sdcm), torch.Generator().manual_seed(2)
    frames = GIVEN + CURRENT
    x = torch.randn(2, base.config.in_channels, frames, 2 * SIDE, 2 * SIDE, generator=g)
    text, image = torch.randn(2, 512, tiny.TEXT, generator=g), torch.randn(2, 17, tiny.LOOK, generator=g)
    sigma = 1000 * (torch.rand(2, frames, generator=g) if per_step else torch.rand(2, generator=g))
    by_token = sigma.repeat_interleave(TOKENS, 1) if per_step else sigma
    wanted = base(x, by_token, text, image if variant == "i2v" else None, return_dict=False)[0]
    masks = torch.rand(2, 1, TOKENS, 1, generator=g)
    conditions = Conditions(torch.randn(2, frames, 20, 16), torch.randn(2, 4, MODEL.d), masks, 1 - masks)
    features, time = echo.hidden(x, sigma, text, image, conditions)
    assert torch.equal(echo.answer(features[-1], time, x), wanted) and wanted.std() > 0.1
    randomise(echo)
    features, time = echo.hidden(x, sigma, text, image, conditions)
    assert (echo.answer(features[-1], time, x) - wanted).abs().max() > 1e-3


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_flow_times_and_the_given_steps_as_the_base_counts_them(folder, variant):
    """Ours runs from noise to data and answers data - noise; the base's sigma is 1 - t, its answer noise - data."""
    base, echo, a = stock(folder, variant), ours(folder, variant), given(variant=variant)
    _, velocity = echo(**a)
    x = torch.cat([a["previous"], a["x_t"]], 1).transpose(1, 2)
    sigma = torch.zeros(2, GIVEN + CURRENT)
    sigma[:, GIVEN:] = 1000 * (1 - a["t"][:, None])
    if variant == "i2v":
        known = torch.zeros(2, 4, GIVEN + CURRENT, 2 * SIDE, 2 * SIDE)
        known[:, :, :GIVEN] = 1
        clean = torch.cat([a["previous"], torch.zeros_like(a["x_t"])], 1).transpose(1, 2)
        x = torch.cat([x, known, clean], 1)
    text = torch.nn.functional.pad(a["text"], (0, 0, 0, 512 - 5))
    image = a["image"] if variant == "i2v" else None
    wanted = base(x, sigma.repeat_interleave(TOKENS, 1), text, image, return_dict=False)[0]
    assert torch.equal(velocity, -wanted[:, :, GIVEN:].transpose(1, 2))


@pytest.mark.parametrize("use_sdcm", [True, False])
def test_a_training_step_changes_it_and_nothing_frozen_moves(folder, use_sdcm):
    echo, a = ours(folder, use_sdcm=use_sdcm), given()
    frozen = {name: p for name, p in echo.named_parameters() if not p.requires_grad}
    before, start = fingerprint(frozen), echo(**a)[1].detach()
    optimizer = torch.optim.AdamW([p for p in echo.parameters() if p.requires_grad], 1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        echo(**a)[1].square().mean().backward()
        optimizer.step()
    assert all(p.grad is None for p in frozen.values()) and fingerprint(frozen) == before
    assert (echo(**a)[1] - start).abs().max() > 1e-4
    still = [name for name, p in echo.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert still == []


def test_only_lora_sdcm_and_the_maps_of_voice_and_reference_learn(folder):
    echo = ours(folder)
    learn = {name for name, p in echo.named_parameters() if p.requires_grad}
    marks = (".lora_", ".sdcm.", "voice", "image_embedder", ".add_", ".norm_added_k")
    assert learn and all(any(mark in name for mark in marks) for name in learn)
    assert {name for name, _ in echo.adapter_parameters(TALKING)} | {n for n, _ in echo.shared_parameters()} == set(
        echo.trained_state()
    )
    own = ours(folder, "i2v")  # has image attention of its own, which stays as it is
    assert not any("add_k_proj" in name for name, p in own.named_parameters() if p.requires_grad)


def test_f_ref_is_the_same_network_with_the_frozen_adapter(folder):
    echo, a = ours(folder), given()
    randomise(echo)
    base = sum(p.numel() for name, p in echo.named_parameters() if ".lora_" not in name and ".sdcm." not in name)
    with torch.no_grad():
        talking = echo(**a)[1]
        echo.continue_as(INTERACTIVE, copy=True)
        assert torch.equal(echo(**a)[1], talking)  # stage 2 starts where stage 1 ended
    for _, parameter in echo.adapter_parameters(TALKING):
        assert not parameter.requires_grad
    randomise(echo)
    with torch.no_grad(), echo.using(TALKING):
        assert torch.equal(echo(**a)[1], talking)
    assert (echo(**a)[1] - talking).abs().max() > 1e-3 and echo.adapter == INTERACTIVE
    again = sum(p.numel() for name, p in echo.named_parameters() if ".lora_" not in name and ".sdcm." not in name)
    assert again == base  # no second copy of the base
    alone = ours(folder)
    alone.continue_as(INTERACTIVE, copy=False)
    assert not any(f".{TALKING}." in name for name, _ in alone.named_parameters())


def test_checkpointed_gradients_are_equal_though_f_ref_computes_in_between(folder):
    found = []
    for checkpointing in (False, True):
        echo, a = ours(folder, checkpointing=checkpointing), given()
        randomise(echo)
        echo.continue_as(INTERACTIVE, copy=True)
        randomise(echo)
        features, answer = echo(**a)
        with torch.no_grad(), echo.using(TALKING):
            reference, _ = echo(**a, depth=1)
        ((features[0] - reference[0]).square().mean() + answer.square().mean()).backward()
        found.append({name: p.grad for name, p in echo.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys() and found[0]
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, msg=name)


def test_sdcm_is_the_papers_equation_and_keeps_the_user_out_of_the_lips():
    torch.manual_seed(0)
    sdcm = SDCM(24, 16, 2, 10, 6)
    torch.nn.init.normal_(sdcm.out.weight)
    h, audio, f_pu = torch.randn(2, 3, 5, 24), torch.randn(2, 3, 7, 10), torch.randn(2, 4, 6)
    lip = torch.tensor([0.0, 1.0, 0.0, 0.5, 0.0])[None, None, :, None].expand(2, -1, -1, -1)
    face = torch.tensor([1.0, 0.0, 1.0, 0.5, 0.0])[None, None, :, None].expand(2, -1, -1, -1)
    x = sdcm.norm(h)
    h_avt = torch.stack([sdcm.cross_avt(x[:, i], audio[:, i]) for i in range(3)], 1)
    h_usr = torch.stack([sdcm.cross_usr(x[:, i], f_pu) for i in range(3)], 1)
    g = torch.sigmoid(sdcm.gate(torch.cat([sdcm.conv_usr(h_usr), sdcm.conv_avt(h_avt)], -1)))
    wanted = sdcm.out(h_avt * lip + (g * h_avt + (1 - g) * h_usr) * face)
    made = sdcm(h, audio, f_pu, lip, face)
    torch.testing.assert_close(made, wanted)
    assert not made[:, :, 4].any()  # outside both masks
    other = sdcm(h, audio, torch.randn(2, 4, 6), lip, face)
    torch.testing.assert_close(other[:, :, 1], made[:, :, 1])
    assert (other - made)[:, :, 0].abs().max() > 1e-3


@pytest.mark.parametrize(("d", "width", "heads", "voice", "user"), [(24, 16, 2, 16, 6), (3072, 512, 4, 512, 512)])
def test_entangled_fusion_has_as_many_parameters_within_five_percent(d, width, heads, voice, user):
    with torch.device("meta"):
        one, other = (
            sum(p.numel() for p in kind(d, width, heads, voice, user).parameters()) for kind in (SDCM, EntangledFusion)
        )
    assert abs(other / one - 1) < 0.05


@torch.no_grad()
def test_a_steps_voice_reaches_that_step_alone_before_attention(folder):
    """Per-frame cross-attention: another voice in one latent step changes only that step in the first block."""
    echo, a = ours(folder), given()
    randomise(echo)
    b = dict(a, audio=a["audio"].clone())
    b["audio"][:, GIVEN - 1 + 2] += 1.0
    one, other = (echo(**x, depth=1)[0][0] for x in (a, b))
    assert [k for k in range(CURRENT) if (one - other)[:, k].abs().max() > 1e-6] == [2]


@torch.no_grad()
def test_lora_reaches_the_layers_it_was_told_to(folder):
    names = lambda echo: {n.split(".base.")[1].split(".lora_")[0] for n, _ in echo.named_parameters() if "lora_A" in n}  # noqa: E731
    assert names(ours(folder)) == {"attn2.to_q", "attn2.to_k", "attn2.to_v", "attn2.to_out.0"}
    assert names(ours(folder, targets=("ffn", "attn1.to_q"))) == {"ffn.net.0.proj", "ffn.net.2", "attn1.to_q"}


def test_what_does_not_fit_is_one_sentence(folder):
    with pytest.raises(ConfigError, match="a block has no linear layer attn3.to_q"):
        ours(folder, targets=("attn3.to_q",))
    with pytest.raises(ConfigError, match="the autoencoder's latents have 4; name a transformer and an autoencoder"):
        EchoWan(stock(folder, "ti2v"), wan_options(folder), Sizes(4, 8, 8, 4, 32, tiny.LOOK, 16, 24), 20, 8, 2, 4)
    with pytest.raises(ConfigError, match="image attention takes 24; name the CLIP"):
        EchoWan(stock(folder, "i2v"), wan_options(folder), Sizes(4, 8, 8, 4, 32, 99, 16, 24), 20, 8, 2, 4)
    with pytest.raises(ConfigError, match="c_emo has 600 tokens, but the base reads 512; lower model.words"):
        padded(torch.zeros(1, 600, 4), 512)
    with pytest.raises(ConfigError, match="generator.targets is empty"):
        WanOptions(targets=())
    with pytest.raises(ConfigError, match="no multiple of its 3 heads"):
        WanOptions(width=16, heads=3)
