"""One person's frames lie near each other, another person's do not."""

import numpy as np
import pytest
from clip_factory import REAL_CLIPS, needs_real_clips

import faces
from dyads.media.video import iter_video
from faces.identity import SAME, embed


@needs_real_clips
def test_real_people_are_told_apart() -> None:
    found = {}
    for name in ("af_user.mp4", "hdtf_style_1.mp4"):
        frames = [
            frame for index, frame in zip(range(41), iter_video(REAL_CLIPS / name), strict=False) if index % 20 == 0
        ]
        found[name] = embed(np.stack(frames), faces.read_frames(frames).points)
    own = [np.linalg.norm(e[0] - e[1:], axis=1).max() for e in found.values()]
    apart = np.linalg.norm(found["af_user.mp4"][0] - found["hdtf_style_1.mp4"], axis=1).min()
    assert max(own) < SAME < apart


def test_a_frame_without_a_face_is_nan(drawn) -> None:
    points = np.array(drawn.track.points[:2])
    points[1] = np.nan
    found = embed(drawn.frames[:2], points)
    assert found.shape == (2, 128) and np.isfinite(found[0]).all() and np.isnan(found[1]).all()
    np.testing.assert_allclose(np.linalg.norm(embed(drawn.frames[:1], points[:1]) - found[0]), 0, atol=1e-5)


def test_a_missing_package_is_named(monkeypatch) -> None:
    from dyads.errors import ConfigError
    from faces import identity

    identity._network.cache_clear()
    monkeypatch.setattr(identity.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install dlib-bin"):
        identity._network()
