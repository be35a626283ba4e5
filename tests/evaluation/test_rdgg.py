"""R-DGG: equal to its plain formulation; finds reactions and planted delays, and nothing where none is."""

from dataclasses import replace

import numpy as np
import plain_rdgg
import pytest

from benchmarks.listeners import listeners
from dyads.contract import FPS
from dyads.errors import ConfigError, DataError
from evaluation.granger import LAGS, Encounter, RdggOptions, runs
from evaluation.granger.abreast import abreast
from evaluation.granger.components import fit_components
from evaluation.granger.design import folds, shifts
from evaluation.granger.gain import compared, energies, energies_of
from evaluation.granger.interval import PARTS, difference, nets
from evaluation.granger.moments import Stretch, moments
from evaluation.granger.operator import fit_operator
from evaluation.metrics.reaction.rdgg import CARDS, gain_values

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


@pytest.mark.parametrize("refit, joint", [("fold", False), ("pooled", False), ("pooled", True)])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_plain_formulation(refit, joint, seed):
    encounters = party(seed=seed, holes=0.004)
    options = replace(SMALL, refit=refit, joint=joint, seed=seed)
    rows = {"truth": {each.name: each.motion for each in encounters}, "noise": noise(encounters, seed)}
    found = energies(encounters, rows, fit_operator(encounters, options), options)
    wanted = plain_rdgg.plain(encounters, rows, options)
    for name, energy in found.items():
        ones = np.ones((1, len(energy.people)))
        for part in PARTS:
            assert nets(energy, ones, part)[0] == pytest.approx(wanted[name][part], abs=1e-6)
        np.testing.assert_allclose(energy.both, wanted[name]["both"], rtol=1e-6)
        np.testing.assert_allclose(energy.motion, wanted[name]["motion"], rtol=1e-6)


def test_in_pieces_and_on_disk_it_is_the_same(monkeypatch):
    """A corpus of hours is summed a few stretches at a time, and what is left of its rows lies on disk."""
    encounters = party(seed=2, holes=0.004)
    rows = {"truth": {each.name: each.motion for each in encounters}, "noise": noise(encounters, 2)}
    whole = energies(encounters, rows, fit_operator(encounters, SMALL), SMALL)
    monkeypatch.setattr("evaluation.granger.moments.SERIES_BYTES", 1)
    monkeypatch.setattr("evaluation.granger.held.IN_MEMORY", 1)
    pieces = energies(encounters, rows, fit_operator(encounters, SMALL), SMALL)
    for name in rows:
        for field in ("total", "own", "both", "motion"):
            np.testing.assert_allclose(getattr(pieces[name], field), getattr(whole[name], field), rtol=1e-9)


def test_no_bit_depends_on_threads_or_on_what_is_asked_beside():
    encounters = party(seed=3, holes=0.004)
    few = {each.name: each.motion for each in encounters[1:]}
    tables = [{"truth": {e.name: e.motion for e in encounters}, "noise": noise(encounters, 3)}, {"few": few}]
    alone = [energies(encounters, rows, fit_operator(encounters, SMALL), SMALL) for rows in tables]
    operator = fit_operator(encounters, SMALL, threads=3)
    sets = [compared(encounters, rows, SMALL) for rows in tables]
    for together, wanted in zip(energies_of(sets, operator, SMALL, threads=3), alone, strict=True):
        assert list(together) == list(wanted)
        for name, energy in wanted.items():
            assert together[name].people == energy.people
            for field in ("rows", "total", "own", "both", "motion"):
                np.testing.assert_array_equal(getattr(together[name], field), getattr(energy, field))


def test_items_side_by_side_come_in_order_and_a_fault_is_told():
    assert list(abreast(lambda number: number**2, range(7), 3)) == [number**2 for number in range(7)]
    assert list(abreast(str, (), 2)) == []
    with pytest.raises(ZeroDivisionError):
        list(abreast(lambda number: 1 / number, (1, 0, 2), 2))


def gain(encounters, rows: dict, options: RdggOptions = SMALL, row: str = "truth"):
    met = list(encounters)
    return difference(energies(met, rows, fit_operator(met, options), options)[row], None, options.draws)


def true(encounters) -> dict[str, dict[str, np.ndarray]]:
    return {"truth": {each.name: each.motion for each in encounters}}


REACTING = RdggOptions(lags=(1, 2, 3, 4, 6, 8, 12, 16), skip=8, stretch=50, nulls=12, draws=500)


@pytest.fixture(scope="module")
def crowd() -> list[Encounter]:
    return listeners(12, 1, 0.25, 0, frames=900)


def test_true_reactions_are_found_and_others_are_not(crowd):
    order = [each.name for each in crowd]
    motion = {each.name: each.motion for each in crowd}
    other = {name: motion[order[(i + 7) % len(order)]] for i, name in enumerate(order)}
    late = {name: np.roll(series, 450, axis=0) for name, series in motion.items()}
    rows = {"truth": motion, "other": other, "late": late, "still": {n: np.zeros_like(m) for n, m in motion.items()}}
    found = {name: gain(crowd, {**rows}, REACTING, name) for name in ("truth", "other", "late")}
    assert found["truth"].low > 0 and found["truth"].p < 1e-3
    for name in ("other", "late"):
        assert found[name].low < 0.1 * found["truth"].net and abs(found[name].net) < 0.1 * found["truth"].net
    energy = energies(crowd, rows, fit_operator(crowd, REACTING), REACTING)
    assert {v.status for v in gain_values(energy["still"], PARTS[0], PARTS[0], REACTING)} == {"constant_series"}


def test_a_planted_delay_is_found_where_it_is(crowd):
    """With the speaker's past cut off before the reaction begins, nothing is left to find."""
    early = replace(REACTING, lags=(1, 2, 3))
    whole, short = gain(crowd, true(crowd), REACTING), gain(crowd, true(crowd), early)
    assert whole.net > 3 * max(short.net, 0.0)


def test_stronger_reactions_gain_more():
    nets_ = [gain(met, true(met), REACTING).net for met in (listeners(9, 1, s, 3, frames=700) for s in (0.1, 0.3))]
    assert 0 < 3 * nets_[0] < nets_[1]


def test_moments_leave_out_what_lies_before_a_stretch():
    draw, lags = np.random.default_rng(0), (1, 2, 3, 5, 8, 13)
    stretches = [Stretch(draw.normal(size=(size, 3)), first) for size, first in ((30, 2), (25, 9), (14, 2), (60, 20))]
    found, rows, keeps = moments(stretches, lags), [], []
    for stretch in stretches:
        for t in range(stretch.first, len(stretch.series)):
            rows.append([stretch.series[t - lag] if t >= lag else np.zeros(3) for lag in (0, *lags)])
            keeps.append([t >= lag for lag in (0, *lags)])
    x, keep = np.array(rows), np.array(keeps)
    for i in range(len(lags) + 1):
        for j in range(len(lags) + 1):
            both = keep[:, i] & keep[:, j]
            np.testing.assert_allclose(found.block(i, j), x[both, i].T @ x[both, j], atol=1e-10)
            np.testing.assert_allclose(found.first[i, j], x[both, i].sum(0), atol=1e-10)
    assert found.count.tolist() == keep.sum(0).tolist()


def test_people_who_meet_share_a_fold_and_shifts_are_long():
    encounters = party()
    place = folds(encounters, 8)
    assert len(set(place.values())) == 3 and all(place[f"d{2 * i}"] == place[f"d{2 * i + 1}"] for i in range(3))
    assert len(set(folds(encounters, 2).values())) == 2
    linked = [replace(each, people=("a", *each.people)) for each in encounters]
    assert len(set(folds(linked, 8).values())) == 6  # all know one person: then by listener
    moved = shifts(encounters[0], SMALL)
    assert moved[0] == 0 and (moved[1:] >= 8).all() and (moved[1:] <= 150 - 8).all()


def test_one_person_has_no_interval():
    encounters = party()
    rows = true(encounters)
    energy = energies(encounters[:1], rows, fit_operator(encounters, SMALL), SMALL)["truth"]
    statuses = {value.part: value.status for value in gain_values(energy, PARTS[0], PARTS[0], SMALL)}
    assert statuses[PARTS[0]] == "ok" and statuses[f"{PARTS[0]}_p"] == "too_few_people"


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="lags"):
        RdggOptions(lags=(3, 1))
    with pytest.raises(DataError, match="dialogues in which the listener is silent"):
        fit_operator([replace(each, listening=np.zeros(150, bool)) for each in party()], SMALL)
    with pytest.raises(DataError, match="two people"):
        fit_operator([replace(each, person="a", people=("a",)) for each in party()], SMALL)
    with pytest.raises(DataError, match="no dialogue has"):
        blind = {each.name: np.full_like(each.motion, np.nan) for each in party()}
        energies(party(), {"blind": blind}, fit_operator(party(), SMALL), SMALL)
    parts = fit_components([lambda: np.random.default_rng(0).normal(size=(50, 4))], 3, 5, 100, 0, "voice")
    assert parts.of(np.zeros((2, 4))).shape == (2, 3)
    with pytest.raises(DataError, match="one feature extractor"):
        parts.of(np.zeros((2, 5)))
    with pytest.raises(DataError, match="not finite"):
        fit_components([lambda: np.full((9, 2), np.nan)], 1, 5, 100, 0, "voice")
    assert runs(np.array([True, True, False, True])) == [(0, 2), (3, 4)] and LAGS[-1] == 100


def test_truth_gains_nothing_where_nobody_reacts():
    """Refitted to all at once, two people's chance agreement counts twice in the truth's row; by fold it does not."""
    found, few = {"fold": [], "pooled": []}, replace(REACTING, lags=(1, 2, 4, 8), nulls=10, draws=10)
    for study in range(28):
        met = listeners(9, 1, 0.0, study, frames=700, widths=(16, 3, 8))
        operator = fit_operator(met, few)
        for refit, told in found.items():
            energy = energies(met, true(met), operator, replace(few, refit=refit, seed=study))["truth"]
            told.append(difference(energy, None, few.draws).net)
    z = {refit: np.mean(told) / (np.std(told) / np.sqrt(len(told))) for refit, told in found.items()}
    assert z["pooled"] > 3 and abs(z["fold"]) < 2, z


def test_the_protocol_tells_the_defaults_and_where_a_rows_own_options_stand():
    known, protocol = RdggOptions(), CARDS[0].protocol
    assert protocol.startswith("as follows, unless the row's options (metrics/<row>/seed<k>.json) say otherwise: ")
    assert f"of at least {known.stretch // FPS} s " in protocol and f"over {known.nulls} time shifts" in protocol
    assert f"lags of {known.lags[0]} to {known.lags[-1]} frames" in protocol
    assert f"(ridge {known.refit_ridge:g})" in protocol and known.refit == "fold"
