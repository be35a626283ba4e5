"""SyncNet (Chung and Zisserman 2016): syncnet-python's network with weights from a file."""

from pathlib import Path
from typing import Any

from evaluation.networks import Network
from evaluation.networks._state import fit_state, read_state

WANTED = "syncnet_v2.model"


def load(path: Path | str) -> Any:
    """A SyncNetInstance with the weights of a file; ConfigError if it does not hold them."""
    from syncnet_python import SyncNetInstance, SyncNetModel  # imports OpenCV and scenedetect

    network = fit_state("syncnet", path, SyncNetModel(), read_state("syncnet", path, WANTED), WANTED)
    return SyncNetInstance(network, device="cpu")


NETWORK = Network(
    slot="syncnet",
    load=load,
    file="syncnet_v2.model",
    page="https://www.robots.ox.ac.uk/~vgg/software/lipsync/",
    url="https://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
    licence="CC-BY 4.0",
    megabytes=54.6,
    sha256="961e8696…5442",
)
