"""The probes that read faces and windows of video on their own: who it is, and how fast it moves."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dyads.contract import read_manifest
from dyads.media.video import read_video
from evaluation.probes import identity, video
from evaluation.probes.frames import FrameSet, spread_over_subjects, to_tensor
from evaluation.probes.identity import IdentityProbe, IdentityTask, verification
from evaluation.probes.video import VideoProbe, VideoTask, at_speed, speed_accuracy
from evaluation.probes.windows import WindowSet, sample_windows, windows

generator = torch.Generator().manual_seed


# Identity


def faces(count: int, seed: int = 0) -> FrameSet:
    """Pictures of four people, told apart by the colour of half their face, in two videos each."""
    rng = np.random.default_rng(seed)
    subject, video = np.arange(count) % 4, np.arange(count) % 8
    frames = rng.integers(100, 140, (count, 3, 32, 32)).astype(np.uint8)
    for picture, who in zip(frames, subject, strict=True):
        picture[who % 3, 8:24, : 16 if who < 3 else 32] = 230
    index = torch.from_numpy(subject)
    return FrameSet(
        torch.from_numpy(frames), torch.from_numpy(frames[:8]), torch.from_numpy(video), index, tuple("abcd"), None
    )


def test_margin_loss_is_cross_entropy_of_widened_angles():
    rng = torch.Generator().manual_seed(0)
    features = F.normalize(torch.randn(5, 6, generator=rng))
    subjects, subject = torch.randn(3, 6, generator=rng), torch.tensor([0, 1, 2, 0, 1])
    cosines = features.double() @ F.normalize(subjects.double()).T
    angles = torch.acos(cosines)
    angles[torch.arange(5), subject] += identity.MARGIN
    wanted = F.cross_entropy(identity.SCALE * torch.cos(angles), subject)
    assert identity.margin_loss(features, subjects, subject).item() == pytest.approx(wanted.item(), rel=1e-5)
    # opposite the own centre the loss still falls towards it
    behind = torch.tensor([[-1.0, 0.05, 0.0]], requires_grad=True)
    identity.margin_loss(F.normalize(behind), torch.eye(3)[[0, 2]], torch.tensor([0])).backward()
    assert torch.isfinite(behind.grad).all() and behind.grad[0, 1] < 0


def test_identity_probe_learns_who_it_is():
    torch.manual_seed(0)
    task = IdentityTask(IdentityProbe(32, 4, subjects=4), faces(64), batch_size=32)
    optimizer = torch.optim.AdamW(task.module.parameters(), lr=5e-3)
    before = verification(task.module.eval(), faces(32, seed=9))["auc"]
    task.module.train()
    for step in range(40):
        loss, _ = task.loss(task.batch(step, generator(step)), generator(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = verification(task.module.eval(), faces(32, seed=9))
    assert found["auc"] > max(0.95, before) and found["same"] > found["different"] + 0.3
    assert verification(task.module, faces(4)) == {"auc": None, "same": None, "different": None}  # one video each


def test_identity_features_have_unit_length_at_the_stated_frames():
    probe = IdentityProbe(32, 2).eval()
    frames = np.random.default_rng(0).integers(0, 256, (2 * identity.STRIDE + 1, 40, 48, 3), dtype=np.uint8)
    found = probe.features_of(frames)
    assert found.shape == (3, identity.FEATURES)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(probe.features_of(frames[[0, 10, 20]])[:1], found[:1], atol=1e-5)


# Windows of video


def test_windows_lie_whole_in_the_video():
    assert windows(40, 16, 16) == [(0, 16), (16, 32)] and windows(32, 16, 8) == [(0, 16), (8, 24), (16, 32)]
    assert windows(15, 16, 4) == [] and windows(0, 16, 4) == []


def test_sampled_windows_are_consecutive_and_repeat(world):
    dyads = read_manifest(world, "train")
    found = sample_windows(dyads, size=32, length=32, videos=3, per_video=4, seed=0)
    assert found.frames.shape == (12, 32, 3, 32, 32)
    again = sample_windows(list(reversed(dyads)), size=32, length=32, videos=3, per_video=4, seed=0)
    assert {w.numpy().tobytes() for w in found.frames} == {w.numpy().tobytes() for w in again.frames}
    _, dyad, role = spread_over_subjects(dyads, 3, 0)[0]
    whole = to_tensor(read_video(dyad.side(role).video))
    assert any(torch.equal(whole[k : k + 32], found.frames[0]) for k in range(len(whole) - 31))
    assert len(sample_windows(dyads, size=32, length=10_000, videos=3, per_video=4, seed=0)) == 0


def test_speeds_show_the_frames_they_say():
    shown = at_speed(torch.arange(4))
    assert shown[0].tolist() == [0] * 16 and shown[1].tolist() == [k // 2 for k in range(16)]
    assert shown[2].tolist() == list(range(16)) and shown[3].tolist() == list(range(0, 32, 2))
    assert video.SPEEDS == ("still", "half", "normal", "double") and int(shown.max()) < video.LONGEST


def bars(count: int, seed: int = 0) -> WindowSet:
    """A bar that moves down one row a frame, from a random row on."""
    rng = np.random.default_rng(seed)
    frames = np.full((count, video.LONGEST, 3, 32, 32), 60, np.uint8)
    for window, start in zip(frames, rng.integers(0, 32, count), strict=True):
        rows = (start + np.arange(video.LONGEST)) % 32
        window[np.arange(video.LONGEST), :, rows] = 220
    return WindowSet(torch.from_numpy(frames))


def test_video_probe_learns_speed():
    torch.manual_seed(0)
    task = VideoTask(VideoProbe(32, 4), bars(40), batch_size=16)
    optimizer = torch.optim.AdamW(task.module.parameters(), lr=5e-3)
    for step in range(60):
        loss, numbers = task.loss(task.batch(step, generator(step)), generator(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert speed_accuracy(task.module.eval(), bars(8, seed=9)) > 0.8
    assert speed_accuracy(task.module, WindowSet(torch.zeros(0, 32, 3, 32, 32, dtype=torch.uint8))) is None


def test_video_features_of_windows_and_of_too_short_a_clip():
    probe = VideoProbe(16, 2).eval()
    frames = np.random.default_rng(0).integers(0, 256, (40, 24, 24, 3), dtype=np.uint8)
    found = probe.features_of(frames)
    assert found.shape == (2, video.FEATURES)
    np.testing.assert_allclose(probe.features_of(frames[16:]), found[1:], rtol=1e-4, atol=1e-5)
    assert probe.features_of(frames[:15]).shape == (0, video.FEATURES)
