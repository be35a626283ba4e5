"""R-DGG written straight from its definition: the whole design in memory, one time shift after the other."""

import numpy as np

from evaluation.granger import Encounter, RdggOptions, runs
from evaluation.granger.design import folds, seen, shifts


def rows_of(encounter: Encounter, valid: np.ndarray, options: RdggOptions) -> list[tuple[int, int]]:
    """(frame, start of its stretch) of every predicted frame."""
    return [
        (t, a)
        for a, b in runs(encounter.listening & valid)
        if b - a >= options.stretch
        for t in range(max(a + options.skip, options.reach), b)
    ]


def centred(motion: np.ndarray, encounter: Encounter, valid: np.ndarray, options: RdggOptions) -> np.ndarray:
    """Motion with every stretch's mean taken off."""
    made = np.array(motion, float)
    for a, b in runs(encounter.listening & valid):
        if b - a >= options.stretch:
            made[a:b] -= made[a:b].mean(0)
    return made


def filled(motion: np.ndarray) -> np.ndarray:
    mean = motion[seen(motion)].mean(0)
    return np.where(seen(motion)[:, None], motion, mean) - mean


def lagged(series: np.ndarray, rows, lags, shift: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Design (rows, lags, channels) read in a circle, and which entries lie within the stretch."""
    t = np.array([row[0] for row in rows])
    depth = t - np.array([row[1] for row in rows])
    index = (t[:, None] - np.array(lags) - shift) % len(series)
    return series[index], np.array(lags) <= depth[:, None]


def standard(x: np.ndarray, keep: np.ndarray):
    mean, sd = np.zeros(x.shape[1:]), np.ones(x.shape[1:])
    for i in range(x.shape[1]):
        mean[i], sd[i] = x[keep[:, i], i].mean(0), x[keep[:, i], i].std(0)
    return mean, sd


def flat(x, mean, sd, keep):
    return np.where(keep[:, :, None], (x - mean) / sd, 0.0).reshape(len(x), -1)


def ridge(x: np.ndarray, y: np.ndarray, share: float) -> np.ndarray:
    square = x.T @ x
    return np.linalg.solve(square + share * np.trace(square) / len(square) * np.eye(len(square)), x.T @ y)


def own_design(chosen, motion, valid, options):
    blocks = []
    for streams in ("motion", "voice"):
        xs, keeps = [], []
        for each in chosen:
            rows = rows_of(each, valid[each.name], options)
            series = (
                centred(motion[each.name], each, valid[each.name], options) if streams == "motion" else each.own_audio
            )
            x, keep = lagged(series, rows, options.lags)
            xs.append(x), keeps.append(keep)
        x, keep = np.concatenate(xs), np.concatenate(keeps)
        blocks.append(flat(x, *standard(x, keep), keep))
    return np.concatenate(blocks, 1)


def targets(chosen, motion, valid, options):
    made = [
        centred(motion[each.name], each, valid[each.name], options)[
            [t for t, _ in rows_of(each, valid[each.name], options)]
        ]
        for each in chosen
    ]
    return np.concatenate(made)


def plain(encounters, rows: dict, options: RdggOptions) -> dict[str, dict[str, float]]:
    """Net gains by row: audio given motion, and both against the own past; and the energies by person."""
    truth = {each.name: each.motion for each in encounters}
    valid = {each.name: seen(each.motion) for each in encounters}
    fitted = [each for each in encounters if rows_of(each, valid[each.name], options)]
    of = folds(fitted, options.folds)
    everything = targets(fitted, truth, valid, options)
    variance = everything.var(0)
    scale = 1 / np.sqrt(variance + np.median(variance))
    operators = {}
    for fold in sorted(set(of.values())):
        chosen = [each for each in fitted if of[each.name] != fold]
        y = targets(chosen, truth, valid, options)
        y = (y - y.mean(0)) * scale
        own = own_design(chosen, truth, valid, options)
        for channel in ("audio", "motion"):
            xs, keeps = [], []
            for each in chosen:
                stream = each.speaker_audio if channel == "audio" else filled(each.speaker_motion)
                x, keep = lagged(stream, rows_of(each, valid[each.name], options), options.lags)
                xs.append(x), keeps.append(keep)
            x, keep = np.concatenate(xs), np.concatenate(keeps)
            mean, sd = standard(x, keep)
            weights = ridge(np.concatenate([own, flat(x, mean, sd, keep)], 1), y, options.ridge)[own.shape[1] :]
            operators[fold, channel] = mean, sd, weights
    common = {
        each.name: np.logical_and.reduce([seen(motion[each.name]) for motion in rows.values()]) for each in encounters
    }
    chosen = [each for each in encounters if rows_of(each, common[each.name], options)]
    who = np.concatenate([[each.person] * len(rows_of(each, common[each.name], options)) for each in chosen])
    found = {}
    for name, motion in rows.items():
        y = targets(chosen, motion, common, options)
        y = (y - y.mean(0)) * scale
        own = own_design(chosen, motion, common, options)
        own_weights = ridge(own, y, options.ridge)
        left = y - own @ own_weights
        square_own = own.T @ own
        square_own += options.ridge * np.trace(square_own) / len(square_own) * np.eye(len(square_own))
        energies = {"both": [], "motion": []}
        for k in range(options.nulls + 1):
            made = []
            for each in chosen:
                shift = shifts(each, options)[k]
                parts = []
                for channel in ("audio", "motion"):
                    stream = each.speaker_audio if channel == "audio" else filled(each.speaker_motion)
                    mean, sd, weights = operators[of[each.name], channel]
                    x, keep = lagged(stream, rows_of(each, common[each.name], options), options.lags, shift)
                    parts.append(flat(x, mean, sd, keep) @ weights)
                made.append(np.concatenate(parts, 1))
            made = np.concatenate(made)
            made = (made - made.mean(0)) / made.std(0)
            for key, s in (("both", made), ("motion", made[:, made.shape[1] // 2 :])):
                if not options.joint and options.refit == "fold":
                    fold = np.concatenate(
                        [[of[each.name]] * len(rows_of(each, common[each.name], options)) for each in chosen]
                    )
                    rest = np.empty_like(left)
                    for one in sorted(set(fold)):
                        here = fold == one
                        rest[here] = left[here] - s[here] @ ridge(s[here], left[here], options.refit_ridge)
                elif options.joint:
                    shrink = options.refit_ridge * np.trace(s.T @ s) / s.shape[1] * np.eye(s.shape[1])
                    whole = np.block([[square_own, own.T @ s], [s.T @ own, s.T @ s + shrink]])
                    weights = np.linalg.solve(whole, np.concatenate([own.T @ y, s.T @ y]))
                    rest = y - np.concatenate([own, s], 1) @ weights
                else:
                    rest = left - s @ ridge(s, left, options.refit_ridge)
                energies[key].append(np.square(rest).sum(1))
        sums = {
            key: np.array([[e[who == p].sum() for p in sorted(set(who))] for e in values])
            for key, values in energies.items()
        }
        own_sum = np.array([np.square(left).sum(1)[who == p].sum() for p in sorted(set(who))])
        gain = np.log(sums["motion"].sum(1) / sums["both"].sum(1))
        whole = np.log(own_sum.sum() / sums["both"].sum(1))
        found[name] = {
            "audio_given_motion": gain[0] - gain[1:].mean(),
            "audio_and_motion": whole[0] - whole[1:].mean(),
            "both": sums["both"],
            "motion": sums["motion"],
        }
    return found
