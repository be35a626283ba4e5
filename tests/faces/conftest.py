"""A drawn dialogue with its truth, read once."""

from types import SimpleNamespace

import pytest
from safetensors.numpy import load_file

import faces
from dyads.contract import read_manifest
from dyads.media.video import read_video
from dyads.synthetic.world import WorldOptions, write_world


@pytest.fixture(scope="session")
def drawn_world(tmp_path_factory):
    """Two short test dialogues of the synthetic world."""
    root = tmp_path_factory.mktemp("faces") / "world"
    write_world(root, WorldOptions(train=0, test=2, seconds=(8.0, 8.0), workers=1))
    return read_manifest(root)


@pytest.fixture(scope="session")
def drawn(drawn_world):
    """One side of the first: frames uint8 (T, 64, 64, 3), the true coefficients (T, 17) and the track."""
    dyad = drawn_world[0]
    frames = read_video(dyad.user.video)
    truth = load_file(str(dyad.truth_path))["user_coefficients"]
    return SimpleNamespace(dyad=dyad, frames=frames, truth=truth, track=faces.read_frames(frames))
