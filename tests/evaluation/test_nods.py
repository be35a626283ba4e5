"""Nods where one is due: the oracle is 1, a late head is late by what it is, and no nod is no value."""

import math

import numpy as np
import pytest

from dyads.synthetic.coefficients import COEFFICIENTS
from dyads.synthetic.world import generate_dialogue
from evaluation.metrics._series import Undefined
from evaluation.metrics.reaction.nods import due, nods, straightened

PITCH = list(COEFFICIENTS).index("pitch")


@pytest.fixture(scope="module")
def pitches():
    """(true, oracle, speaking) of a few dialogues; pitch less its rest."""
    dialogues = [generate_dialogue(0, "validation", number) for number in range(8)]
    true = [d.faces.avatar[:, PITCH] - d.faces.avatar[0, PITCH] for d in dialogues]
    oracle = [d.faces.expected[:, PITCH] - d.faces.avatar[0, PITCH] for d in dialogues]
    return true, oracle, [d.speaking[:, 1].astype(bool) for d in dialogues]


def test_the_oracle_is_one_the_truth_below_it_and_another_dialogue_near_none(pitches):
    true, oracle, speaking = pitches
    assert nods(oracle, oracle, speaking) == (pytest.approx(1.0), 0.0)
    correlation, delay = nods(true, oracle, speaking)
    assert 0.5 < correlation < 1.0 and delay == 0.0
    other = [np.resize(x, len(o)) for x, o in zip(true[1:] + true[:1], oracle, strict=True)]
    assert abs(nods(other, oracle, speaking)[0]) < 0.4


@pytest.mark.parametrize("late", [-4, 2, 4])
def test_a_delay_is_told_in_seconds(pitches, late):
    _, oracle, speaking = pitches
    shifted = [np.roll(x, late) for x in oracle]
    correlation, delay = nods(shifted, oracle, speaking)
    assert correlation < 0.6 and delay == abs(late) / 25


def test_slow_motion_of_the_head_does_not_count(pitches):
    _, oracle, speaking = pitches
    drifting = [x + 0.02 * np.arange(len(x)) for x in oracle]
    assert nods(drifting, oracle, speaking)[0] == pytest.approx(1.0)
    np.testing.assert_allclose(straightened(3 + 0.5 * np.arange(9)), 0, atol=1e-12)


def test_a_still_head_nods_nowhere_and_without_a_cue_nothing_is_due(pitches):
    _, oracle, speaking = pitches
    correlation, delay = nods([0 * x for x in oracle], oracle, speaking)
    assert correlation == 0.0 and math.isnan(delay)
    with pytest.raises(Undefined) as failure:
        nods(oracle, [0 * x for x in oracle], speaking)
    assert failure.value.status == "no_nod"
    with pytest.raises(Undefined) as failure:
        nods([oracle[0] * np.nan, *oracle[1:]], oracle, speaking)
    assert failure.value.status == "not_finite"
    assert due(oracle[0], np.ones(len(oracle[0]), bool)) == []
