"""Another dialogue is of the same split and never the same; short ones run back and forth in time."""

import numpy as np
import pytest

from dyads.contract import read_manifest
from dyads.other_dialogues import mirrored, other_dyad
from dyads.synthetic.world import WorldOptions, write_world


@pytest.mark.parametrize(
    "frames, wanted, places",
    [(3, 2, [0, 1]), (3, 3, [0, 1, 2]), (3, 8, [0, 1, 2, 2, 1, 0, 0, 1]), (1, 3, [0, 0, 0])],
)
def test_what_is_too_short_runs_back_and_forth(frames, wanted, places):
    np.testing.assert_array_equal(mirrored(frames, wanted), places)


def test_another_dialogue_is_of_the_split_and_drawn_by_its_address(tmp_path):
    write_world(tmp_path, WorldOptions(train=1, test=4, size=16, seconds=(4.0, 4.2), workers=1), progress=False)
    dyads, same = read_manifest(tmp_path, "test"), set()
    for dyad in dyads:
        drawn = {other_dyad(tmp_path, dyad, seed, "a").dyad_id for seed in range(20)}
        assert drawn == {one.dyad_id for one in dyads} - {dyad.dyad_id}
        assert other_dyad(tmp_path, dyad, 0, "a") == other_dyad(tmp_path, dyad, 0, "a")
        same |= {(other_dyad(tmp_path, dyad, seed, "a") == other_dyad(tmp_path, dyad, seed, "b")) for seed in range(20)}
    assert same == {True, False}  # the stage counts too
    (alone,) = read_manifest(tmp_path, "train")
    assert other_dyad(tmp_path, alone, 0, "a") is None
