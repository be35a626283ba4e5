"""SyncNet and LSE against syncnet-python with the same weights, and against the values that it publishes."""

import contextlib
import io
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from clip_factory import REAL_CLIPS, needs_real_clips
from noise_clips import measured, noise, pictures
from PIL import Image

from dyads.contract import SAMPLES_PER_FRAME
from dyads.errors import ConfigError
from dyads.media.video import read_audio, read_video, write_wav
from evaluation.fits.sync import shifted
from evaluation.networks import s3fd, syncnet
from evaluation.networks.syncnet import SyncNet, cepstra, lip_map, stacked
from evaluation.probes.sync import SyncProbe
from evaluation.readings.lip_sync import NORM, SHIFT, curve, distances, lse, reading, stretches

WEIGHTS = {slot: os.environ.get(f"ECHO_{slot.upper()}_WEIGHTS", "") for slot in ("syncnet", "s3fd")}
PUBLISHED = {"offset": 1, "lse_c": 4.529, "lse_d": 9.237}  # of syncnet-python 0.2.3's own example
needs_weights = pytest.mark.skipif(
    not all(Path(path).is_file() for path in WEIGHTS.values()),
    reason="set ECHO_SYNCNET_WEIGHTS and ECHO_S3FD_WEIGHTS to syncnet_v2.model and sfd_face.pth",
)


@pytest.fixture(scope="module")
def theirs():
    """syncnet-python's network, random, with batch statistics of real input so that features differ over time."""
    from syncnet_python import SyncNetModel

    torch.manual_seed(0)
    network = SyncNetModel()
    with torch.no_grad():
        for norm in (m for m in network.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)):
            norm.momentum = None  # average of all batches
        for seed in range(2):
            windows = stacked(torch.from_numpy(pictures(10, 224, seed)).permute(0, 3, 1, 2).float())
            network.forward_lip(windows.unflatten(1, (5, 3)).transpose(1, 2))
            network.forward_aud(torch.from_numpy(syncnet.sound_windows(cepstra(noise(30, seed)))))
    return network.eval()


@pytest.fixture(scope="module")
def ours(theirs):
    network = SyncNet()
    network.load_state_dict(theirs.state_dict())
    return network.eval()


def original(network, frames: np.ndarray, audio: np.ndarray, folder: Path, lossless: bool) -> tuple[float, float, int]:
    """(LSE-D, LSE-C, offset) by syncnet-python of frames (T, 224, 224, 3); OpenCV reads PNG from any file name."""
    from syncnet_python import SyncNetInstance

    for t, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{t:06d}.jpg", "PNG" if lossless else "JPEG", quality=95)
    write_wav(folder / "audio.wav", audio)
    options = SimpleNamespace(tmp_dir=str(folder), batch_size=20, vshift=SHIFT)
    with contextlib.redirect_stdout(io.StringIO()), torch.inference_mode():
        offset, confidence, distance = SyncNetInstance(network, device="cpu").evaluate(options)
    return distance, confidence, offset


# The network


def test_names_shapes_and_features_are_those_of_the_published_layout(theirs, ours):
    assert [(k, v.shape) for k, v in SyncNet().state_dict().items()] == [
        (k, v.shape) for k, v in theirs.state_dict().items()
    ]
    frames, audio = pictures(9, 224), noise(9)
    stack = torch.from_numpy(frames[..., ::-1].copy()).permute(3, 0, 1, 2).float()[None]
    mfcc = torch.from_numpy(cepstra(audio).T.copy())[None, None]
    with torch.inference_mode():
        lips = torch.cat([theirs.forward_lip(stack[:, :, t : t + 5]) for t in range(5)])
        voice = torch.cat([theirs.forward_aud(mfcc[..., 4 * t : 4 * t + 20]) for t in range(4)])
        again = ours.forward_lip(stack[:, :, :5])
    np.testing.assert_allclose(ours.look(frames), lips, rtol=1e-4, atol=1e-4 * lips.abs().max())
    np.testing.assert_allclose(ours.listen(audio)[:4], voice, rtol=1e-4, atol=1e-4 * voice.abs().max())
    torch.testing.assert_close(again, lips[:1], rtol=1e-4, atol=1e-4 * float(lips.abs().max()))
    assert lips.std(0).max() > 1e-3  # else any features would do


def test_training_computes_what_the_modules_say():
    """The 2-D way through the network, with statistics of the batch, is that of its own 3-D modules."""
    torch.manual_seed(0)
    network = SyncNet(1 / 32, 64).train()
    windows = torch.rand(6, 3, 5, 64, 64) * 255
    wanted = network.netfclip(network.netcnnlip(windows).flatten(1))
    statistics = network.netcnnlip[1].running_mean.clone()
    network.netcnnlip[1].reset_running_stats()
    torch.testing.assert_close(network.forward_lip(windows), wanted, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(network.netcnnlip[1].running_mean, statistics, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size, width", [(51, 1 / 32), (64, 1 / 8), (112, 1 / 16)])
def test_narrow_networks_take_small_pictures(size, width):
    network = SyncNet(width, size).eval()
    assert network.look(pictures(7, 40)).shape == (3, network.features) == (3, round(1024 * width))
    assert network.look(pictures(4, 40)).shape == (0, network.features)
    assert network.listen(noise(7)).shape == (2, network.features) and network.listen(noise(5)).shape[0] == 0


@pytest.mark.parametrize("side", [64, 256])
def test_pictures_are_resized_as_pillow_does_it_and_turned_to_bgr(side):
    frames = pictures(2, side)
    wanted = [Image.fromarray(frame).resize((224, 224), Image.Resampling.BICUBIC) for frame in frames]
    found = SyncNet(1 / 32).pictures(frames).permute(0, 2, 3, 1).flip(-1).numpy()
    off = np.abs(found - np.stack(wanted))
    assert off.max() <= 2 and (off > 0).mean() < 0.02  # the two round differently


def test_too_small_a_picture_is_refused():
    assert lip_map(224) == 6 and lip_map(50) < 1
    with pytest.raises(ConfigError, match="picture size is 50, but must be at least 51"):
        SyncNet(1, 50)


def test_a_file_of_other_tensors_is_refused(tmp_path):
    torch.save(SyncNet(1 / 8).state_dict(), tmp_path / "narrow.model")
    with pytest.raises(ConfigError, match="syncnet weights .* has the shape"):
        syncnet.load(tmp_path / "narrow.model")
    (tmp_path / "wrong.model").write_bytes(b"x")
    with pytest.raises(ConfigError, match="syncnet weights .* cannot be read"):
        syncnet.load(tmp_path / "wrong.model")


# LSE


def test_distances_are_the_originals():
    from syncnet_python.SyncNetInstance import calc_pdist

    rng = np.random.default_rng(0)
    lips, voice = rng.normal(size=(40, 64)).astype(np.float32), rng.normal(size=(40, 64)).astype(np.float32)
    voice[7] = lips[7]  # distance zero, where only the epsilon is left
    wanted = torch.stack(calc_pdist(torch.from_numpy(lips), torch.from_numpy(voice), SHIFT)).numpy()
    found = distances(lips, voice)
    np.testing.assert_allclose(found[:, :NORM], wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[:, NORM], np.linalg.norm(lips, axis=1), rtol=1e-5)


@pytest.mark.parametrize("lossless, tolerance", [(True, 1e-4), (False, 1e-2)])
def test_lse_is_syncnet_pythons_on_random_frames(theirs, ours, tmp_path, lossless, tolerance):
    """In memory to 1e-4; where only syncnet-python's frames went through JPEG, to 1e-2 of the distance."""
    frames, audio = pictures(40, 224), noise(40, 1)
    if not lossless:  # noise is the worst that JPEG can be given; pictures are smooth
        frames = np.asarray([np.asarray(Image.fromarray(f[:14, :14]).resize((224, 224))) for f in frames])
    compare(measured(ours, frames, audio), original(theirs, frames, audio, tmp_path, lossless), tolerance)


@needs_real_clips
@pytest.mark.parametrize("lossless, tolerance", [(True, 1e-4), (False, 1e-2)])
def test_lse_is_syncnet_pythons_on_a_real_clip(theirs, ours, tmp_path, lossless, tolerance):
    path = REAL_CLIPS / "hdtf_style_1.mp4"
    frames, audio = read_video(path, size=224)[:50], read_audio(path)[: 50 * SAMPLES_PER_FRAME]
    compare(measured(ours, frames, audio), original(theirs, frames, audio, tmp_path, lossless), tolerance)


def compare(found, wanted, tolerance: float) -> None:
    """Both are distances, and LSE-C is a small difference of two: its error is measured on the same scale."""
    assert found[0] == pytest.approx(wanted[0], rel=tolerance)
    assert found[1] == pytest.approx(wanted[1], abs=tolerance * wanted[0])
    assert found[2] == wanted[2]


@pytest.mark.parametrize("shift", [-12, -5, -1, 0, 3, 15])
def test_a_planted_shift_is_found_with_its_sign(shift):
    """A voice that comes late by n frames has the offset -n, as in the original."""
    features = np.random.default_rng(0).normal(size=(200, 32))
    lips, voice = features[50:150], features[50 - shift : 150 - shift]
    found = lse(curve(reading(lips, voice, noise(104)), [(0, 104)]))
    assert found[2] == -shift and found[0] < 0.25 * found[1] + 2
    assert lse(curve(reading(lips, features[50:150], noise(104)), [(0, 104)]))[2] == 0


def test_a_stretch_counts_as_if_it_were_cut_out(ours):
    small = SyncProbe(1 / 32, 64).eval()
    frames, audio = pictures(120, 32), noise(120)
    whole = reading(small.look(frames), small.listen(audio), audio)
    a, b = 30, 90
    cut = slice(a * SAMPLES_PER_FRAME, b * SAMPLES_PER_FRAME)
    alone = reading(small.look(frames[a:b]), small.listen(audio[cut]), audio[cut])
    # MFCC's pre-emphasis knows the sample before the cut, and nothing else differs
    np.testing.assert_allclose(curve(whole, [(a, b)]), curve(alone, [(0, b - a)]), rtol=2e-3)
    both = curve(whole, [(0, 30), (a, b)])
    weighted = (25 * curve(whole, [(0, 30)]) + 55 * curve(whole, [(a, b)])) / 80
    np.testing.assert_allclose(both, weighted, rtol=1e-9)


def test_stretches_of_speech():
    speaking = np.array([1, 1, 0, 1, 1, 1, 0, 0, 1], bool)
    assert stretches(speaking, 1) == [(0, 2), (3, 6), (8, 9)]
    assert stretches(speaking, 3) == [(3, 6)]
    assert stretches(np.zeros(9, bool), 1) == []


def test_shifted_sound_moves_the_voice_by_whole_frames():
    audio, small = noise(60), SyncProbe(1 / 32, 64).eval()
    voice = small.listen(audio)
    np.testing.assert_allclose(small.listen(shifted(audio, 7))[12:], voice[5:-7], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(small.listen(shifted(audio, -7))[1:40], voice[8:47], rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(shifted(audio, 0), audio)
    assert not shifted(audio, 7)[: 7 * SAMPLES_PER_FRAME].any() and len(shifted(audio, -3)) == len(audio)


# The published example


@needs_real_clips
@needs_weights
def test_the_published_example():
    """syncnet-python publishes offset 1, LSE-C 4.529, LSE-D 9.237; JPEG and XVID stand between, hence 0.3."""
    path = REAL_CLIPS / "syncnet_example.avi"
    frames, audio = read_video(path), read_audio(path)
    network, finder = syncnet.load(WEIGHTS["syncnet"]), s3fd.load(WEIGHTS["s3fd"])
    track = finder.track(frames)
    assert track is not None
    squares = s3fd.crops(frames, track, s3fd.options_for(*frames.shape[1:3]))
    sound = audio[track.start * SAMPLES_PER_FRAME : (track.start + len(squares)) * SAMPLES_PER_FRAME]
    distance, confidence, offset = measured(network, squares, sound)
    assert offset == PUBLISHED["offset"]
    assert distance == pytest.approx(PUBLISHED["lse_d"], abs=0.3)
    assert confidence == pytest.approx(PUBLISHED["lse_c"], abs=0.3)
