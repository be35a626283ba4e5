"""TLCC: at which delay the avatar's motion goes most with the user's, and how much."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import fft

from evaluation.cards import MetricCard, Value, truth_part, undefined
from evaluation.clips import MOTION_PARTS, Clip
from evaluation.metrics._series import Undefined

FPS = 25
REACH = 2 * FPS - 1  # frames; 2 s as in REACT 2024
LEAST = 4  # pairs of frames at a delay
MINIMUM_FRAMES = 25
_FORMULA = r"\rho(\ell)=\frac1D\sum_d r\left(x_{t,d},\hat y_{t+\ell,d}\right),\quad|\ell|\le49"
_COMMON = {
    "direction": "truth",
    "per": "clip",
    "parts": MOTION_PARTS,
    "from_readings": True,
    "unordered": "a still face, which has no correlation, is undefined, and the delay of another dialogue's motion is "
    "as often near the truth's as far from it",
    "disagreements": (
        "REACT's compute_TLCC_mp returns after the first of ten predictions, and disagrees with its compute_TLCC; "
        "SI-184 cuts frames without a face, or with the listener's speech, out of both series before it pairs them, so "
        "that a lag of so many frames is no lag in time; here such frames stay on the clock and pair with nothing.",
        "With 99 delays to choose from, the greatest correlation of unrelated motion is above zero, and its delay is "
        "anywhere: about 25 frames on average. Only the distance to the truth's own value says anything.",
    ),
}


def _cards(state: str, label: str, frames: str) -> tuple[MetricCard, ...]:
    protocol = (
        f"motion probe; {frames}; per clip and delay of at most 49 frames (half the frames, where there are fewer), "
        "Pearson r of every channel over the pairs of frames that far apart, mean over the channels that move; "
    )
    source = "REACT 2024's FRSyn; SI-184's classic metrics (Donfa1con/R-DGG)"
    return (
        MetricCard(
            name=f"tlcc{state}_offset",
            label=f"TLCC |offset|{label}",
            unit="frame",
            range=(0.0, float(REACH)),
            definition="Size of the delay at which the avatar's motion goes most with the user's. Nearer to the "
            "truth's own is better.",
            equation=r"\left|\arg\max_\ell\rho(\ell)\right|,\quad" + _FORMULA,
            protocol=protocol + "the delay of the greatest mean, without its sign",
            source=source,
            **_COMMON,
        ),
        MetricCard(
            name=f"tlcc{state}_delay",
            label=f"TLCC delay{label}",
            unit="frame",
            range=(-float(REACH), float(REACH)),
            definition="The same delay with its sign: above zero the avatar follows the user.",
            equation=r"\arg\max_\ell\rho(\ell),\quad" + _FORMULA,
            protocol=protocol + "the delay of the greatest mean, above 0 where the avatar follows",
            source=source,
            **_COMMON,
        ),
        MetricCard(
            name=f"tlcc{state}_peak",
            label=f"TLCC peak{label}",
            unit="1",
            range=(-1.0, 1.0),
            definition="The greatest of these mean correlations.",
            equation=r"\max_\ell\rho(\ell),\quad" + _FORMULA,
            protocol=protocol + "the greatest mean",
            source=source + ", where it is auxiliary",
            **_COMMON,
        ),
    )


CARDS = (
    *_cards("", "", "all frames"),
    *_cards("_listening", ", listening", "frames in which the avatar is silent"),
)


@dataclass(frozen=True, eq=False)
class Sums:
    """Of one side, by lag, over the frames t for which t and t + lag count: how many (2 reach + 1, 1), and sums of it
    and of its squares (2 reach + 1, D)."""

    number: np.ndarray
    first: np.ndarray
    second: np.ndarray


def lagged_correlations(
    user: np.ndarray, avatar: np.ndarray, counted: np.ndarray, reach: int = REACH, of_user: Sums | None = None
) -> np.ndarray:
    """r (2 reach + 1, D) of user[t] with avatar[t + lag], over pairs of frames that both count; NaN where undefined.

    Args:
        user, avatar: (T, D) on one clock; what they hold where `counted` (T,) is False does not matter.
        of_user: `window_sums(user, counted, reach)`, where somebody has them already.
    """
    series = [_clean(side, counted) for side in (user, avatar)]
    size = fft.next_fast_len(len(counted) + reach, real=True)
    spectra = [fft.rfft(side, size, axis=0) for side in series]
    xy = fft.irfft(np.conj(spectra[0]) * spectra[1], size, axis=0)[np.arange(-reach, reach + 1)]
    x = of_user or _window_sums(series[0], counted, reach)
    y = _window_sums(series[1], counted, reach)
    number = x.number
    sum_y, sum_yy = y.first[::-1], y.second[::-1]  # an earlier frame counts where a later one of the other side does
    with np.errstate(invalid="ignore", divide="ignore"):
        spread_x, spread_y = x.second - x.first**2 / number, sum_yy - sum_y**2 / number
        found = (xy - x.first * sum_y / number) / np.sqrt(spread_x * spread_y)
        still = (spread_x <= 1e-9 * x.second + number * 1e-24) | (spread_y <= 1e-9 * sum_yy + number * 1e-24)
    return np.where(still | (number < LEAST), np.nan, found)


def window_sums(series: np.ndarray, counted: np.ndarray, reach: int) -> Sums:
    """`Sums` of (T, D) less its mean, over lags -reach to reach."""
    return _window_sums(_clean(series, counted), counted, reach)


def _window_sums(clean: np.ndarray, counted: np.ndarray, reach: int) -> Sums:
    m = counted.astype(np.float64)
    padded = np.concatenate([np.zeros(reach), m, np.zeros(reach)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(m))  # [i, t] = counted[t + i - reach]
    sums = windows @ np.concatenate([m[:, None], clean, clean**2], 1)
    return Sums(*np.split(sums, [1, 1 + clean.shape[1]], 1))


def _clean(series: np.ndarray, counted: np.ndarray) -> np.ndarray:
    series = np.asarray(series, np.float64)
    mean = series[counted].mean(0)
    return np.where(counted[:, None], series - mean, 0.0)


def tlcc(correlations: np.ndarray) -> tuple[int, float]:
    """(delay, peak) of the mean over channels of correlations (2 reach + 1, D). Undefined: no channel moves."""
    here = np.isfinite(correlations)
    count = here.sum(1)
    if not count.any():
        raise Undefined("constant_series")
    mean = np.where(count > 0, np.where(here, correlations, 0.0).sum(1) / np.maximum(count, 1), -np.inf)
    best = int(mean.argmax())
    return best - len(mean) // 2, float(mean[best])


def clip_values(clip: Clip, tools) -> Iterator[Value]:
    seen = np.ones(len(clip.speaking), bool) if clip.valid is None else clip.valid
    for state, counted in (("", seen), ("_listening", seen & ~clip.speaking)):
        found = {}
        for side, label in (("generated", str), ("true", truth_part)):
            found[side] = label, _by_part(clip, side, counted, state)
        for label, by_part in found.values():
            for part in MOTION_PARTS:
                yield from _values(state, label(part), by_part, part)


def _by_part(clip: Clip, side: str, counted: np.ndarray, state: str) -> Callable[[str], np.ndarray]:
    """Correlations of a part's channels; every channel is computed once, those of the truth once for all rows."""
    motion = getattr(clip, f"motion_{side}")
    if counted.sum() < MINIMUM_FRAMES:
        return lambda part: _fail("too_few_frames")
    if not (np.isfinite(motion[counted]).all() and np.isfinite(clip.motion_user[counted]).all()):
        return lambda part: _fail("not_finite")
    reach = min(REACH, (int(counted.sum()) - LEAST) // 2)

    def correlations() -> np.ndarray:
        of_user = clip.alike(f"tlcc{state}_user", lambda: window_sums(clip.motion_user, counted, reach))
        return lagged_correlations(clip.motion_user, motion, counted, reach, of_user)

    whole = correlations() if side == "generated" else clip.alike(f"tlcc{state}_true", correlations)

    def of(part: str) -> np.ndarray:
        found = clip.part(whole, part)
        return _fail("no_truth" if clip.groups is None else "no_such_part") if found is None else found

    return of


def _fail(status: str):
    raise Undefined(status)


def _values(state: str, label: str, by_part, part: str) -> Iterator[Value]:
    names = [f"tlcc{state}_{kind}" for kind in ("offset", "delay", "peak")]
    try:
        delay, peak = tlcc(by_part(part))
    except Undefined as failure:
        yield from (undefined(name, label, failure.status) for name in names)
        return
    yield from (Value(name, label, v) for name, v in zip(names, (abs(float(delay)), float(delay), peak), strict=True))
