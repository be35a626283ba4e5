"""Videos too long to be held are decoded piece by piece, with the same values; readings are cut with their frames."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from clip_factory import smooth
from hypothesis import given
from hypothesis import strategies as st

from dyads.media.containers import probe
from dyads.media.video import read_audio, read_video, write_video
from evaluation.metrics.pictures.perceptual import lpips_distance, shared_lpips
from evaluation.networks import arcface, dlib_identity, i3d, inception
from reporting.page.media import place_video
from reporting.score import frames as score_frames
from reporting.score.__main__ import main
from reporting.score.clips import cut
from reporting.score.frames import Frames, first, read_frames
from reporting.score.videos import Video


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "clip.mp4"
    write_video(path, smooth(41, 80, 96), None)
    return path


def test_pieces_are_the_frames_of_the_whole(clip: Path, monkeypatch):
    whole = read_video(clip)
    monkeypatch.setattr(score_frames, "HELD_BYTES", 0)
    frames = read_frames(clip, 512)
    assert isinstance(frames, Frames) and frames.shape == whole.shape == np.shape(frames)
    for a, b in ((0, 16), (12, 30), (29, 41), (3, 9), (40, 60), (5, 5)):  # on, overlapping, back, beyond, empty
        np.testing.assert_array_equal(frames[a:b], whole[a:b])
    every = frames[::4]
    assert len(every) == 11
    np.testing.assert_array_equal(every[2:7], whole[::4][2:7])
    np.testing.assert_array_equal(np.stack(list(first(frames, 9)[::4])), whole[:9:4])
    half = read_frames(clip, 48)
    assert half.shape == (41, 40, 48, 3)


def test_a_long_video_has_the_values_of_a_held_one(clip: Path, tmp_path: Path, monkeypatch):
    for side in ("true", "generated"):
        (tmp_path / side).mkdir()
    (tmp_path / "true" / "a.mp4").hardlink_to(clip)
    write_video(tmp_path / "generated" / "a.mp4", read_video(clip), None, crf=30)
    found = []
    for held in (1 << 30, 0):
        monkeypatch.setattr(score_frames, "HELD_BYTES", held)
        out = tmp_path / f"out{held}"
        given = ["--generated", str(tmp_path / "generated"), "--true", str(tmp_path / "true"), "--out", str(out)]
        assert main([*given, "--no-page", "--metrics", "psnr", "ssim", "cpbd"]) == 0
        found.append(pd.read_csv(out / "rows.csv"))
    assert (found[0]["status"] == "ok").sum() >= 2
    pd.testing.assert_frame_equal(*found)


MODULES = {"inception": inception, "arcface": arcface, "i3d": i3d, "dlib": dlib_identity}
READERS = {
    "inception": inception.Inception, "arcface": arcface.ArcFace, "i3d": i3d.I3D, "dlib": dlib_identity.DlibIdentity,
}  # fmt: skip


@given(st.integers(1, 400), st.integers(1, 400))
def test_readings_are_cut_with_their_frames(frames: int, kept: int):
    """A frame's row where every frame has one, a row every so-manieth frame, and one a whole window."""
    kept = min(kept, frames)
    read = {name: np.arange(0, frames, network.STRIDE) for name, network in MODULES.items()}
    read["i3d"] = np.arange(0, frames - i3d.WINDOW + 1, i3d.STRIDE)
    pictures = np.zeros((frames, 2, 2, 3), np.uint8)
    video = Video(Path("a.mp4"), "", 25, (2, 2), pictures, None, read | {"points": np.arange(frames)})
    found = cut(video, kept, READERS).readings
    assert len(found["points"]) == kept
    for name in ("inception", "arcface", "dlib"):
        np.testing.assert_array_equal(found[name], read[name][read[name] < kept])
    np.testing.assert_array_equal(found["i3d"], read["i3d"][read["i3d"] + i3d.WINDOW <= kept])


def test_lpips_of_several_systems_sees_the_truth_once():
    lpips = pytest.importorskip("lpips")
    torch.manual_seed(0)
    network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval().requires_grad_(False)
    seen = []
    network.net.register_forward_hook(lambda *_: seen.append(1))
    rng = np.random.default_rng(0)
    true, one, other = (rng.integers(0, 256, (length, 64, 64, 3), np.uint8) for length in (18, 18, 17))
    found = shared_lpips(network, [one, other], true)
    assert len(seen) == 2 * 3  # two batches of the truth and of each
    np.testing.assert_allclose(found[0], lpips_distance(network, one, true), rtol=1e-5)
    np.testing.assert_allclose(found[1], lpips_distance(network, other, true[:17]), rtol=1e-5)


def test_a_page_is_written_again_over_itself_and_keeps_the_sound_of_what_it_makes(clip: Path, tmp_path: Path):
    target, sound = tmp_path / "page" / "a.mp4", np.sin(np.arange(41 * 640) / 20).astype(np.float32)
    for _ in range(2):  # a link to the same file stands there the second time
        assert not place_video(clip, target)
    write_video(tmp_path / "odd.mp4", smooth(32, 64, 64), sound[: 32 * 800], fps=20)
    assert place_video(tmp_path / "odd.mp4", tmp_path / "made.mp4", own_sound=True)
    assert probe(tmp_path / "made.mp4").has_audio and abs(read_audio(tmp_path / "made.mp4")).max() > 0.5
