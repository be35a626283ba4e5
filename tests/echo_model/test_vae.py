"""The reference-conditioned autoencoder: exact re-posing, whitening, size-free, and masks that sit on the mouth."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from benchmarks.backbones import fitted
from dyads.errors import ConfigError
from dyads.synthetic.coefficients import INDEX, neutral
from dyads.synthetic.drawing.render import render_frames
from echo_model.backbones.frames import FrameOptions, FrameSample, head_motion, heavier, sample_frames
from echo_model.backbones.vae import CHANNELS, GRID, TOKENS, FaceVAE, VAEOptions
from echo_model.backbones.warping import affine_grid, doubled, warp
from echo_model.commands.train_vae import VAETask, latent_masks, load_vae, main, start_of
from training.errors import MethodError
from training.shipped import shipped
from training.shipped.start import start_from_shipped


def test_posing_undoes_unposing():
    pose = torch.tensor([[0.2, 0.1, -0.05, 0.1], [0.0, 0.0, 0.0, 0.0]])
    y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    blob = torch.exp(-8 * (x**2 + 2 * y**2))[None, None].expand(2, 1, 64, 64)
    there = warp(blob, affine_grid(pose, 64, inverse=True))
    back = warp(there, affine_grid(pose, 64, inverse=False))
    assert (back - blob).abs().max() < 0.02 and (there - blob)[0].abs().max() > 0.1
    torch.testing.assert_close(there[1], blob[1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [64, 128])
def test_latents_are_relative_to_the_reference(size):
    torch.manual_seed(0)
    vae = FaceVAE(VAEOptions(size=size, width=16)).eval()
    frames, reference = torch.rand(3, 3, size, size), torch.rand(1, 3, size, size)
    assert vae.encode(frames, reference).shape == (3, TOKENS, CHANNELS)
    assert vae.encode(reference, reference).abs().max() < 1e-5
    assert vae.decode(vae.encode(frames, reference), reference).shape == frames.shape


def test_whitening_makes_unit_channels_and_is_undone_by_decoding():
    torch.manual_seed(0)
    vae = FaceVAE(VAEOptions(width=16)).eval()
    raw = torch.randn(500, TOKENS, CHANNELS) @ torch.randn(CHANNELS, CHANNELS)
    vae.fit_whitening(raw)
    white = raw[:, :-1] @ vae.whiten_grid
    covariance = white.reshape(-1, CHANNELS).T @ white.reshape(-1, CHANNELS) / white[..., 0].numel()
    torch.testing.assert_close(covariance, torch.eye(CHANNELS), atol=2e-2, rtol=0)
    torch.testing.assert_close(white @ vae.unwhiten_grid, raw[:, :-1], atol=1e-3, rtol=1e-3)


class Reader(FaceVAE):
    """An encoder whose grid tokens read their own cells and whose head stays, so where a mask must sit is known."""

    def encode_raw(self, frames, reference):
        cells = F.adaptive_avg_pool2d(frames.mean(1, keepdim=True), GRID)
        return F.pad(cells.flatten(2).transpose(1, 2).expand(-1, -1, CHANNELS), (0, 0, 0, 1))


def pictures(videos=2, frames=4):
    """Frames that are dark and bright in turn: what one gets of another is all or nothing."""
    drawn = (200 * (torch.arange(videos * frames) % 2)).view(-1, 1, 1, 1).expand(-1, 3, 64, 64).to(torch.uint8)
    return FrameSample(drawn, drawn[::frames], torch.arange(videos).repeat_interleave(frames), None)


def test_masks_follow_what_the_tokens_answer_to():
    options = FrameOptions(lips=(0.5, 0.625, 0.2, 0.1))  # inside row 2 (0.5 to 0.75), columns 1 and 2
    m_lip, m_face = latent_masks(Reader(VAEOptions(width=16)), pictures(), options)
    rows = m_lip[:-1].view(GRID, GRID)
    assert max(rows[2, 1], rows[2, 2]) == 1 and min(rows[2, 1], rows[2, 2]) > 0.7
    assert rows[0].max() < 0.01 and rows[1].max() < 0.1 and rows[3].max() < 0.1 and m_lip[-1] == 0
    torch.testing.assert_close(m_lip + m_face, torch.ones(TOKENS))


def test_it_learns():
    torch.manual_seed(0)
    frames = torch.randint(0, 255, (8, 3, 8, 8)).float()
    frames = torch.nn.functional.interpolate(frames, size=(64, 64), mode="bilinear").to(torch.uint8)
    sample = FrameSample(frames, frames[:2], torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]), torch.randn(8, 17))
    task = VAETask(FaceVAE(VAEOptions(width=16, coefficients=17)), sample, FrameOptions(), 8)
    optimizer = torch.optim.AdamW(task.module.parameters(), 3e-3)
    losses = []
    for step in range(12):
        g = torch.Generator().manual_seed(step)
        loss, logs = task.loss(task.batch(step, g), g)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0] and {"psnr", "tell", "show"} == set(logs)


def test_where_nothing_tells_the_motion_each_frame_has_its_own_lips(recorded):
    sample = sample_frames(recorded, FrameOptions(videos=2, frames=5), 64)
    assert sample.coefficients is None and sample.masks.shape == (10, 2, 64, 64)
    assert sample.reference_masks.shape == (2, 2, 64, 64) and (sample.masks[:, 1].flatten(1) == 255).any(1).all()
    task = VAETask(FaceVAE(VAEOptions(width=16)), sample, FrameOptions(), 16)
    batch = task.batch(0, torch.Generator().manual_seed(0))
    whole = heavier(*(sample.masks.float() / 255).split(1, 1), FrameOptions())
    known = torch.cat([whole, whole.flip(-1)])
    for region in batch["region"]:  # a turned frame has turned weights
        assert (known - region).abs().flatten(1).amax(1).min() < 1e-6
    loss, logs = task.loss(batch, torch.Generator())
    assert torch.isfinite(loss) and set(logs) == {"psnr"}


def test_a_mask_of_its_own_moves_the_lips_tokens():
    sample = pictures()
    masks = torch.zeros(2, 2, 64, 64)
    masks[:, 0], masks[0, 1, 32:48, :16], masks[1, 1, 32:48, 48:] = 255, 255, 255  # row 2, its ends
    masks[:, 0] -= masks[:, 1]
    sample.reference_masks = masks
    rows = latent_masks(Reader(VAEOptions(width=16)), sample, FrameOptions())[0][:-1].view(GRID, GRID)
    assert rows[2, 0] == pytest.approx(1, abs=0.01) == rows[2, 3] and rows[2, 1] < 0.05 and rows[0].max() == 0


def test_the_told_head_motion_brings_a_moved_face_back():
    """Each of roll, yaw, pitch and shifts alone: un-posed by what they tell, the face lies nearer to the reference."""
    for name in ("roll", "yaw", "pitch", "shift_x", "shift_y"):
        values = neutral(2)
        values[1, INDEX[name]] = 0.5
        still, moved = torch.from_numpy(render_frames(3, values)).permute(0, 3, 1, 2) / 255.0
        change = torch.from_numpy(values[1:] - values[:1])
        pose = torch.cat([head_motion(change), torch.zeros(1, 1)], 1)
        back = warp(moved[None], affine_grid(pose, 64, inverse=True))[0]
        inside = (..., slice(16, 52), slice(16, 48))
        assert (back - still)[inside].abs().mean() < 0.7 * (moved - still)[inside].abs().mean(), name


def test_a_size_that_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="multiple of 32"):
        VAEOptions(size=100)


def test_a_training_on_other_people_goes_on_from_the_shipped_weights_but_for_what_it_tells():
    given = load_vae(shipped("vae"))
    own = FaceVAE(replace(given.options, coefficients=3))
    told = own.tell.weight.clone()
    start_from_shipped(own, "vae", ("tell.",), "vae.start")
    assert torch.equal(own.tell.weight, told)
    frames, reference = torch.rand(2, 3, 64, 64), torch.rand(1, 3, 64, 64)
    raw = own.eval().encode_raw(frames, reference.expand_as(frames))
    torch.testing.assert_close(raw, given.encode_raw(frames, reference.expand_as(frames)))
    torch.testing.assert_close(own.decode(torch.zeros(1, TOKENS, CHANNELS), reference), given.decode(
        torch.zeros(1, TOKENS, CHANNELS), reference))  # fmt: skip
    with pytest.raises(MethodError, match="vae.start: the shipped vae: tensor .* has shape"):
        start_from_shipped(FaceVAE(VAEOptions(width=16)), "vae", ("tell.",), "vae.start")


def test_a_start_that_is_not_known_is_one_sentence(tmp_path, monkeypatch):
    asked = ["train_vae", "--data", str(tmp_path), "--options", '{"start": "mine"}', "--checkpoints", str(tmp_path)]
    monkeypatch.setattr("sys.argv", [*asked, "--out", str(tmp_path / "vae.safetensors")])
    with pytest.raises(ConfigError, match="vae.model.width is 8, but the shipped vae, which vae.start names, has"):
        start_of("vae", {"start": "shipped", "model": {"width": 8}})
    assert start_of("vae", {"start": "shipped"}) == "shipped"
    with pytest.raises(ConfigError, match="vae.start is 'mine'; give shipped"):
        main()


def test_doubling_repeats_every_cell():
    x = torch.randn(3, 5, 4, 6, requires_grad=True)
    twice = doubled(x)
    assert torch.equal(twice, F.interpolate(x, scale_factor=2.0))
    twice.sum().backward()
    assert torch.equal(x.grad, torch.full_like(x, 4.0))


def test_fitted_codes_are_nearer_the_more_of_the_code_is_free():
    torch.manual_seed(0)
    vae = FaceVAE(VAEOptions(size=32)).eval().requires_grad_(False)
    videos = [torch.randint(0, 255, (31, 32, 32, 3), dtype=torch.uint8).numpy()]
    found = fitted(vae, videos, steps=5)
    assert found["encoded"] < found["roll_shift_size"] <= found["pose_token"] < found["whole_code"]
