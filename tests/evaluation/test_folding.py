"""A folded network finds the same features, with nothing left to normalise."""

import pytest
import torch
from torch import nn

from evaluation.networks._folding import folded


class Block(nn.Module):
    """A convolution, its normalisation and one more normalisation that follows no convolution."""

    def __init__(self, name: str, kind: type[nn.Module], norm: type[nn.Module], a: int, b: int) -> None:
        super().__init__()
        self.name = name
        self.add_module(name, kind(a, b, 3, padding=1, bias=False))
        self.bn = norm(b, eps=1e-3)
        self.other = norm(b)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.other(torch.relu(self.bn(getattr(self, self.name)(x)))))


def test_neighbours_in_a_sequence_are_folded_and_others_are_not():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.BatchNorm2d(4), nn.Linear(5, 6)
    )
    x = torch.randn(4, 3, 7, 7)
    for _ in range(3):
        network(x * 3 + 1)
    with torch.no_grad():
        wanted = network.eval()(x)
        torch.testing.assert_close(folded(network)(x), wanted, rtol=1e-5, atol=1e-5)
    assert [isinstance(layer, nn.Identity) for layer in network] == [False, False, True, False, False, False]


@pytest.mark.parametrize("dims", [2, 3])
def test_features_stay_and_normalisation_goes(dims):
    torch.manual_seed(0)
    parts = {2: ("conv", nn.Conv2d, nn.BatchNorm2d), 3: ("conv3d", nn.Conv3d, nn.BatchNorm3d)}[dims]
    network = nn.Sequential(Block(*parts, 3, 8), Block(*parts, 8, 4))
    x = torch.randn(4, 3, *(9, 8, 7)[:dims])
    for _ in range(3):
        network(x * 3 + 1)  # statistics that are not 0 and 1
    with torch.no_grad():
        wanted = network.eval()(x)
        assert folded(network) is network
        torch.testing.assert_close(network(x), wanted, rtol=1e-5, atol=1e-5)
    for block in network:
        assert isinstance(block.bn, nn.Identity) and not isinstance(block.other, nn.Identity)
        assert getattr(block, block.name).bias is not None
        layout = {2: torch.channels_last, 3: torch.channels_last_3d}[dims]
        assert getattr(block, block.name).weight.is_contiguous(memory_format=layout)
    assert not any(parameter.requires_grad for parameter in network.parameters())
