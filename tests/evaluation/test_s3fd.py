"""Face tracks and crops against syncnet-python's pipeline, and the detector's weights by path."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from noise_clips import pictures

from dyads.errors import ConfigError
from evaluation.networks import s3fd


def test_untrained_detector_finds_nobody_and_reads_weights(tmp_path):
    torch.manual_seed(0)
    finder = s3fd.FaceFinder()
    torch.save(finder.net.state_dict(), tmp_path / "sfd_face.pth")
    loaded = s3fd.load(tmp_path / "sfd_face.pth")
    assert torch.equal(loaded.net.vgg[0].weight, finder.net.vgg[0].weight)
    options = s3fd.FaceOptions(scale=1.0)
    assert loaded.boxes(pictures(1, 64)[0], options).shape == (0, 4)
    assert loaded.track(pictures(2, 64), options) is None
    with pytest.raises(ConfigError, match="s3fd weights .* do not exist"):
        s3fd.load(tmp_path / "nowhere.pth")


def pipeline():
    """syncnet-python's pipeline without its networks."""
    from syncnet_python.syncnet_pipeline import PipelineConfig, SyncNetPipeline

    found = SyncNetPipeline.__new__(SyncNetPipeline)
    found.cfg = PipelineConfig()
    return found


def drifting(frames: int, missing: tuple[int, ...] = ()) -> list[np.ndarray]:
    """One face that drifts, about 150 pixels, not detected in some frames."""
    rng = np.random.default_rng(0)
    boxes = np.array([200.0, 100, 350, 260]) + np.cumsum(rng.normal(size=(frames, 4)), axis=0)
    return [boxes[t : t + 1] if t not in missing else np.zeros((0, 4)) for t in range(frames)]


@pytest.mark.parametrize(
    "frames, missing", [(80, ()), (80, (0, 1, 20, 21, 22, 79)), (120, tuple(range(60, 90))), (50, ())]
)
def test_tracks_are_syncnet_pythons(frames, missing):
    detections = drifting(frames, missing)
    theirs = pipeline()._track(
        [[{"frame": t, "bbox": b.tolist()} for b in boxes] for t, boxes in enumerate(detections)]
    )
    ours = s3fd.face_tracks(detections, s3fd.FaceOptions())
    assert len(ours) == len(theirs) == (frames > 50)
    for a, b in zip(ours, theirs, strict=True):
        assert a.start == b["frame"][0]
        np.testing.assert_allclose(a.boxes, b["bbox"])


def test_two_faces_are_two_tracks_and_small_ones_none():
    one = drifting(80)
    other = [box + [300, 0, 300, 0] for box in drifting(80)]
    both = [np.concatenate(pair if t % 2 else pair[::-1]) for t, pair in enumerate(zip(one, other, strict=True))]
    found = s3fd.face_tracks(both, s3fd.FaceOptions())
    assert [len(track.boxes) for track in found] == [80, 80]  # whichever comes first in a frame
    np.testing.assert_allclose(sorted(track.boxes[:, 0].mean() for track in found), [
        np.mean([box[0, 0] for box in one]), np.mean([box[0, 0] for box in other])
    ])  # fmt: skip
    assert s3fd.face_tracks([box * 0.5 for box in one], s3fd.FaceOptions()) == []
    assert s3fd.options_for(1080, 1920) == s3fd.FaceOptions()
    assert s3fd.options_for(64, 64).scale == 1 and s3fd.options_for(64, 64).least_side == 16


def test_crops_are_syncnet_pythons(tmp_path, monkeypatch):
    """Theirs go to a video file and ffmpeg from here on; the pictures before that are compared."""
    import cv2
    from syncnet_python import syncnet_pipeline

    frames = np.random.default_rng(0).integers(0, 256, (60, 300, 400, 3), dtype=np.uint8)
    track = s3fd.face_tracks(drifting(60), s3fd.FaceOptions())[0]
    paths = []
    for t, frame in enumerate(frames):
        paths.append(str(tmp_path / f"{t}.png"))
        cv2.imwrite(paths[-1], frame[..., ::-1])
    written = []
    writer = SimpleNamespace(write=lambda picture: written.append(picture[..., ::-1]), release=lambda: None)
    monkeypatch.setattr(syncnet_pipeline.cv2, "VideoWriter", lambda *arguments: writer)
    monkeypatch.setattr(syncnet_pipeline.subprocess, "run", lambda *arguments, **options: None)
    monkeypatch.setattr(syncnet_pipeline.os, "remove", lambda path: None)
    whole = {"frame": np.arange(60), "bbox": track.boxes}
    pipeline()._crop(whole, paths, tmp_path / "a.wav", tmp_path / "crops" / "a")
    np.testing.assert_array_equal(s3fd.crops(frames, track), np.stack(written))
