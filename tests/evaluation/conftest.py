"""A tiny synthetic world for the tests of evaluation, made once, and the same without its truth."""

import shutil

import pytest
from browser import open_browser

from dyads.synthetic.world import WorldOptions, write_world


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
