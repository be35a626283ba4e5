"""LPIPS (Zhang et al. 2018): the lpips package with AlexNet's weights from a file."""

from pathlib import Path

from torch import nn

from evaluation.networks import Network
from evaluation.networks._state import fit_state, read_state

WANTED = "torchvision's AlexNet weights, alexnet-owt-7be5be79.pth"


def load(path: Path | str) -> nn.Module:
    """LPIPS with torchvision's AlexNet weights (`features.N.weight` ... or the package's own names) and its v0.1 heads.

    Raises ConfigError if the file does not hold them. No download is ever tried.
    """
    import lpips  # imports torchvision: seconds, only where needed

    network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    state = read_state("lpips", path, WANTED)
    by_layer = {name.split(".", 1)[1]: name for name in network.net.state_dict()}  # "0.weight" -> "slice1.0.weight"
    state = {by_layer.get(name.removeprefix("features."), name): tensor for name, tensor in state.items()}
    fit_state("lpips", path, network.net, state, WANTED, spare=("classifier.",))
    return network.eval().requires_grad_(False)


NETWORK = Network(
    slot="lpips",
    load=load,
    file="alexnet-owt-7be5be79.pth",
    page="https://docs.pytorch.org/vision/stable/models/alexnet.html",
    url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    licence="BSD-3-Clause (torchvision), trained on ImageNet; the heads in the lpips package are BSD-2-Clause",
    megabytes=244.4,
    sha256="7be5be79",
)
