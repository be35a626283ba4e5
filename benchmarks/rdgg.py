"""R-DGG: its speed beside the plain formulation, and its error rates: `python -m benchmarks.rdgg [--simulate N]`.

Without options, both formulations on the same small input, in CPU seconds of one run. With --simulate, N made-up
studies each of 13 and of 50 people who react as strongly as --truth, and systems that react as strongly as --strengths,
the prediction refitted to each fold by itself and to all at once:
how often the interval holds the mean over studies (zero for those that do not react), how often p is at most 5 %.
"""

import argparse
import time
from dataclasses import replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from benchmarks.listeners import answers, listeners
from benchmarks.report import alternating, show
from evaluation.granger import Encounter, RdggOptions
from evaluation.granger.design import listener, seen, shifts
from evaluation.granger.gain import energies
from evaluation.granger.interval import difference
from evaluation.granger.operator import fit_operator

SMALL = RdggOptions(lags=(1, 2, 3, 4, 6, 8, 12, 16, 24), skip=10, stretch=50, nulls=20, draws=2000)
WIDE = replace(SMALL, lags=RdggOptions().lags, stretch=100, nulls=20)


def plain(encounters: list[Encounter], options: RdggOptions) -> tuple[np.ndarray, np.ndarray]:
    """(both, motion) energies by time shift, the whole design in memory and own past and operator fitted row by row."""
    found = [each for one in encounters if (each := listener(one, seen(one.motion), options))]
    operator = fit_operator(encounters, options)
    own, target = [], []
    for each in found:
        for stretch in each.stretches(each.encounter.motion, each.encounter.own_audio):
            times = np.arange(stretch.first, len(stretch.series))
            index = times[:, None] - np.array(options.lags)
            own.append(np.where((index >= 0)[:, :, None], stretch.series[index], np.nan))
            target.append(stretch.series[times, : len(operator.balance)])
    own, target = np.concatenate(own), np.concatenate(target)
    own = np.nan_to_num((own - np.nanmean(own, 0)) / np.nanstd(own, 0)).reshape(len(own), -1)
    target = (target - target.mean(0)) * operator.balance
    square = own.T @ own
    square += options.ridge * np.trace(square) / len(square) * np.eye(len(square))
    left = target - own @ cho_solve(cho_factor(square), own.T @ target)
    both, motion = [], []
    drawn = [shifts(each.encounter, options) for each in found]
    fold_of = np.repeat([operator.of[each.encounter.name] for each in found], [len(each.times) for each in found])
    for k in range(options.nulls + 1):
        made = []
        for each, shift in zip(found, drawn, strict=True):
            fold = operator.folds[operator.of[each.encounter.name]]
            driver = np.concatenate([each.encounter.speaker_audio, each.encounter.speaker_motion], 1)
            index = (each.times[:, None] - np.array(options.lags) - shift[k]) % len(driver)
            past = (driver[index] - fold.mean) * fold.scale
            past *= (np.arange(len(options.lags)) < each.reachable[:, None])[:, :, None]
            size = fold.audio.shape[1]
            parts = (
                np.einsum("tlc,lcd->td", past[:, :, :size], fold.audio),
                np.einsum("tlc,lcd->td", past[:, :, size:], fold.motion),
            )
            made.append(np.concatenate(parts, 1))
        made = np.concatenate(made)
        made = (made - made.mean(0)) / made.std(0)
        for energy, s in ((both, made), (motion, made[:, made.shape[1] // 2 :])):
            rest = 0.0
            for here in (fold_of == one for one in np.unique(fold_of)):
                square = s[here].T @ s[here]
                square += options.refit_ridge * np.trace(square) / len(square) * np.eye(len(square))
                rest += np.square(left[here] - s[here] @ np.linalg.solve(square, s[here].T @ left[here])).sum()
            energy.append(rest)
    return np.array(both), np.array(motion)


def ours(encounters: list[Encounter], options: RdggOptions) -> tuple[np.ndarray, np.ndarray]:
    rows = {"truth": {each.name: each.motion for each in encounters}}
    found = energies(encounters, rows, fit_operator(encounters, options), options)["truth"]
    return found.both.sum(1), found.motion.sum(1)


def speed() -> None:
    encounters = listeners(6, 1, 0.3, 0, frames=3000, widths=(40, 16, 24))
    found = {}

    def run(name, function):
        found[name] = function(encounters, WIDE)

    times = alternating({"plain": lambda: run("plain", plain), "ours": lambda: run("ours", ours)}, 3, time.process_time)
    apart = max(float(np.abs(a / b - 1).max()) for a, b in zip(found["ours"], found["plain"], strict=True))
    rows = [{"formulation": name, "CPU s": seconds} for name, seconds in times.items()]
    figures = {"cpu_seconds": times, "ratio": times["plain"] / times["ours"], "largest_relative_difference": apart}
    show(f"R-DGG, {len(encounters)} dialogues of 2 minutes, {WIDE.nulls} time shifts", rows, figures)


def simulate(studies: int, sizes: tuple[int, ...], strengths: tuple[float, ...], truths: tuple[float, ...]) -> None:
    rows = []
    for people, truth in ((people, truth) for truth in truths for people in sizes):
        gains: dict[tuple[str, float, str], list] = {}
        for study in range(studies):
            met = listeners(people, 1, truth, study)
            table = {("truth", truth): {each.name: each.motion for each in met}}
            table |= {("system", strength): answers(met, strength, study) for strength in strengths}
            operator = fit_operator(met, SMALL)
            for refit in ("fold", "pooled"):
                options = replace(SMALL, seed=study, refit=refit)
                for name, energy in energies(met, table, operator, options).items():
                    gains.setdefault((*name, refit), []).append(difference(energy, None, options.draws))
        for (row, strength, refit), told in gains.items():
            line = {"people": people, "true strength": truth, "row": row, "strength": strength, "refit": refit}
            rows.append({**line, "studies": studies, **_rates(told, strength)})
    show("R-DGG of made-up listeners, by how strongly they react", rows, {"rows": rows})


def _rates(gains, strength: float) -> dict[str, float]:
    """Mean net gain; how often intervals hold it (or zero, where there is nothing), and how often p is at most 5 %."""
    net = np.array([gain.net for gain in gains])
    aim = 0.0 if strength == 0 else net.mean()
    line = {"net x 1e4": float(1e4 * net.mean()), "its error": float(1e4 * net.std() / len(net) ** 0.5)}
    for name, low, high, p in (("jackknife", "low", "high", "p"), ("bootstrap", "boot_low", "boot_high", "boot_p")):
        line[f"{name} holds"] = float(np.mean([getattr(g, low) <= aim <= getattr(g, high) for g in gains]))
        line[f"{name} p<=5%"] = float(np.mean([getattr(g, p) <= 0.05 for g in gains]))
    return line


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rdgg", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--simulate", type=int, default=0, metavar="N", help="made-up studies of each size and strength"
    )
    parser.add_argument("--people", type=int, nargs="+", default=[13, 50])
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.0, 0.03, 0.1])
    parser.add_argument("--truth", type=float, nargs="+", default=[0.0, 0.1], help="how strongly true listeners react")
    args = parser.parse_args()
    if args.simulate:
        simulate(args.simulate, tuple(args.people), tuple(args.strengths), tuple(args.truth))
    else:
        speed()


if __name__ == "__main__":
    main()
