"""A tiny synthetic world for the tests of evaluation, made once, and the same without its truth."""

import shutil
import signal

import pytest
import torch
from browser import open_browser
from hypothesis import settings

from dyads.synthetic.world import WorldOptions, write_world
from evaluation.probes.identity import IdentityProbe
from evaluation.probes.image import ImageProbe
from evaluation.probes.motion import MotionProbe
from evaluation.probes.store import save_probe
from evaluation.probes.sync import SyncProbe
from evaluation.probes.video import VideoProbe

# A busy machine is no fault of the code: what takes how long is the benchmarks' matter.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
# A shell's background job ignores Ctrl-C, and so would all that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Files whose tests run whole DAGs first, so that no core waits for one of them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """Three training and two test dialogues of about four seconds at 32 pixels."""
    folder = tmp_path_factory.mktemp("world") / "data"
    write_world(folder, WorldOptions(train=3, test=2, size=32, seconds=(4.0, 4.4)), progress=False)
    return folder


@pytest.fixture(scope="session")
def recorded(world, tmp_path_factory):
    """The same dialogues as if they were recorded: nobody knows the true coefficients."""
    folder = tmp_path_factory.mktemp("recorded") / "data"
    shutil.copytree(world, folder)
    for truth in folder.rglob("truth.safetensors"):
        truth.unlink()
    return folder


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A headless Chromium; skips where the system has none."""
    opened = open_browser(tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.quit()


@pytest.fixture
def probes(tmp_path):
    """Untrained probes: the plumbing does not depend on what they learned."""
    torch.manual_seed(0)
    save_probe(tmp_path / "p/motion.safetensors", MotionProbe(32, 4), "motion", {"size": 32, "width": 4}, {})
    save_probe(tmp_path / "p/image.safetensors", ImageProbe(32, 2), "image", {"size": 32, "subjects": 2}, {})
    save_probe(tmp_path / "p/identity.safetensors", IdentityProbe(32, 2), "identity", {"size": 32, "width": 2}, {})
    save_probe(tmp_path / "p/video.safetensors", VideoProbe(16, 2), "video", {"size": 16, "width": 2}, {})
    build = {"size": 51, "width": 1 / 64}
    save_probe(tmp_path / "p/sync.safetensors", SyncProbe(**build), "sync", build, {})
    return tmp_path / "p"
