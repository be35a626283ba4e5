"""R-DGG: equal to its plain formulation; finds reactions and planted delays, and nothing where none is."""

from dataclasses import replace

import numpy as np
import plain_rdgg
import pytest

from evaluation.granger import Encounter, RdggOptions
from evaluation.granger.gain import energies
from evaluation.granger.interval import PARTS, nets
from evaluation.granger.operator import fit_operator

SMALL = RdggOptions(lags=(1, 2, 3, 5, 8), skip=2, stretch=12, nulls=4, draws=200)


def smooth(generator, frames: int, width: int, keep: float) -> np.ndarray:
    series = generator.normal(size=(frames, width))
    for t in range(1, frames):
        series[t] = keep * series[t - 1] + np.sqrt(1 - keep**2) * series[t]
    return series


def meet(index: int, people: tuple[str, str], frames: int = 150, seed: int = 0, holes: float = 0.0) -> Encounter:
    """Two people in a dialogue; the listener (first) reacts to the other's voice two frames later."""
    generator = np.random.default_rng([seed, index])
    voice, motion = smooth(generator, frames, 4, 0.8), smooth(generator, frames, 3, 0.9)
    listener = smooth(generator, frames, 5, 0.9)
    listener[2:] += voice[:-2] @ generator.normal(size=(4, 5)) * 0 + voice[:-2] @ np.ones((4, 5)) * 0.5
    listening = np.zeros(frames, bool)
    for start in range(3, frames - 20, 45):
        listening[start : start + int(generator.integers(20, 40))] = True
    listener[generator.random(frames) < holes] = np.nan
    motion[generator.random(frames) < holes] = np.nan
    return Encounter(
        f"d{index}", people[0], people, listener, motion, voice, smooth(generator, frames, 4, 0.8), listening
    )


PAIRS = [("a", "b"), ("b", "a"), ("c", "d"), ("d", "c"), ("e", "f"), ("f", "e")]


def party(**given) -> list[Encounter]:
    return [meet(i, pair, **given) for i, pair in enumerate(PAIRS)]


def noise(encounters, seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {each.name: smooth(generator, len(each.motion), each.motion.shape[1], 0.9) for each in encounters}


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_plain_formulation(joint, seed):
    encounters = party(seed=seed, holes=0.004)
    options = replace(SMALL, joint=joint, seed=seed)
    rows = {"truth": {each.name: each.motion for each in encounters}, "noise": noise(encounters, seed)}
    found = energies(encounters, rows, fit_operator(encounters, options), options)
    wanted = plain_rdgg.plain(encounters, rows, options)
    for name, energy in found.items():
        ones = np.ones((1, len(energy.people)))
        for part in PARTS:
            assert nets(energy, ones, part)[0] == pytest.approx(wanted[name][part], abs=1e-6)
        np.testing.assert_allclose(energy.both, wanted[name]["both"], rtol=1e-6)
        np.testing.assert_allclose(energy.motion, wanted[name]["motion"], rtol=1e-6)
