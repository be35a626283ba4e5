"""R-DGG finds the reactions of the synthetic world, and none where nobody reacts to this user at this time."""

import pytest

from benchmarks.rdgg_world import OPTIONS, compared, world
from dyads.errors import ConfigError
from evaluation.granger.gain import Energies
from evaluation.granger.interval import Gain, difference


@pytest.fixture(scope="module", params=["expressed", "voice"])
def rows(request) -> dict[str, Energies]:
    return world(160, (8.0, 12.0), request.param)  # as in docs/si184.md: by the voice alone less is not enough


def gain(energy: Energies, part: str, other: Energies | None = None) -> Gain:
    return difference(energy, other, OPTIONS.draws, part=part)


@pytest.mark.parametrize("row", ["truth", "oracle"])
def test_who_knows_the_user_is_found(rows, row):
    """The oracle has no free motion, which nothing explains: it has the larger gain."""
    found = gain(rows[row], "audio_and_motion")
    assert found.low > 0 and found.p < 1e-3 and found.people > 12
    for other in ("shuffled", "random", "shifted"):
        assert gain(rows[row], "audio_and_motion", rows[other]).low > 0


@pytest.mark.parametrize("part", ["audio_and_motion", "audio_given_motion"])
@pytest.mark.parametrize("row", ["shuffled", "random", "shifted"])
def test_who_cannot_know_the_user_includes_zero(rows, row, part):
    found = gain(rows[row], part)
    assert found.low < 0 < found.high


def test_what_is_said_tells_what_the_face_does_not(rows):
    assert gain(rows["oracle"], "audio_given_motion").low > 0


def test_a_row_to_compare_with_must_be_there(tmp_path):
    for row in ("echo", "no_lcu", "dim"):
        (tmp_path / "metrics" / row).mkdir(parents=True)
        (tmp_path / "metrics" / row / "seed0.features.safetensors").touch()
    assert compared(tmp_path, None) == ("no_lcu",) and compared(tmp_path, ["dim"]) == ("dim",)
    with pytest.raises(ConfigError, match="no_luc is no row .* there are: dim, echo, no_lcu"):
        compared(tmp_path, ["dim", "no_luc"])
