"""R-DGG: does the avatar move because of what the user says? A directed Granger gain by what true listeners do."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from dyads.errors import DataError
from evaluation.cards import MetricCard, Value, interval_parts, truth_part, undefined
from evaluation.clips import Clip
from evaluation.granger import Encounter, RdggOptions
from evaluation.granger.components import fit_components
from evaluation.granger.gain import Energies, energies
from evaluation.granger.interval import PARTS, Gain, difference
from evaluation.granger.operator import fit_operator
from evaluation.metrics._series import Undefined

SHORTEST = 75  # frames of listening, 3 s
MOST = 512  # dialogues: it needs their series side by side, and does not need all of very many
PAD = 5  # frames around the listener's own speech

CARDS = (
    MetricCard(
        name="rdgg",
        label="R-DGG",
        unit="nat",
        direction="truth",
        range=(-float("inf"), float("inf")),
        per="set",
        parts=PARTS,
        interval=True,
        definition="How much less of a listener's motion is left unexplained once one knows what true listeners would "
        "make of the user's voice just then: beyond the listener's own past and the user's motion "
        "(audio_given_motion), or voice and motion beyond the own past alone (audio_and_motion). It takes any true "
        "reaction for one, whatever it looks like in detail, and the same motion at another time for none.",
        equation=r"\log\frac{\sum\|r\mid y^{<t},\hat s_m\|^2}{\sum\|r\mid y^{<t},\hat s_m,\hat s_a\|^2}-"
        r"\frac1K\sum_k\log\frac{\sum\|r\mid y^{<t},\hat s_m^k\|^2}{\sum\|r\mid y^{<t},\hat s_m^k,\hat s_a^k\|^2},"
        r"\quad\hat s=B\,x^{<t},\;k\text{: time shifts}",
        protocol="as follows, unless the row's options (metrics/<row>/seed<k>.json) say otherwise: 25 Hz; stretches of "
        "at least 4 s in which the listener is silent and was seen in every row; lags of 1 to 100 frames; operator by "
        "ridge (1e-4) on true listeners of other people; its predictions refitted (ridge 0.1) to "
        "what the own past leaves, in each group of people left out by itself; less the mean over 100 time shifts; "
        "interval and p by the jackknife over people; own past not fitted anew beside each "
        "prediction, see docs/si184.md; of more than "
        f"{MOST} dialogues as many, evenly spread",
        source="Kravtsov et al. 2026 (Donfa1con/R-DGG)",
        disagreements=(
            "The published code refits the predictions to all people at once (option `refit: pooled`): two people's "
            "chance agreement then counts twice in the truth's own row, and once in its time shifts.",
            "The published code fits the own past anew beside every prediction (option `joint`, a design of several "
            "gigabytes); its interval is the percentile bootstrap over 13 people (boot_low, boot_high), which covers "
            "less than it says.",
            "Energies are of balanced, not whitened, channels, so those that move most count most.",
        ),
        separates=(("ground_truth", "shuffled_partner"), ("ground_truth", "frozen_reference")),
        separates_parts=("audio_given_motion",),
        unordered="the VAE's round trip keeps less of small motions than of large ones; a still face has no motion to "
        "explain, and is undefined",
    ),
)


def encounters(clips: Sequence[Clip], options: RdggOptions) -> list[Encounter]:
    """What R-DGG needs of measured clips. Undefined `no_voice`: voice features or who takes part are not known."""
    if any(clip.people is None or "voice_user" not in clip.features for clip in clips):
        raise Undefined("no_voice")
    voices = {
        side: [np.asarray(clip.features[f"voice_{side}"], np.float64) for clip in clips] for side in ("user", "avatar")
    }
    limits = options.pca_people, options.pca_rows, options.seed
    voice = fit_components([lambda v=v: v for v in voices["user"]], options.audio, *limits, "voice")
    motion = fit_components([lambda clip=clip: _filled(clip) for clip in clips], options.motion, *limits, "motion")
    return [
        Encounter(
            name=clip.dyad_id,
            person=clip.people[0],
            people=tuple(clip.people),
            motion=_open(clip, clip.motion_true),
            speaker_motion=motion.of(_filled(clip)),
            speaker_audio=voice.of(voices["user"][i]),
            own_audio=voice.of(voices["avatar"][i]),
            listening=listening(clip.speaking),
        )
        for i, clip in enumerate(clips)
    ]


def listening(speaking: np.ndarray) -> np.ndarray:
    """bool (T,): silences of at least 3 s, 0.2 s after and before the listener's own speech."""
    silent = ~(np.convolve(speaking, np.ones(2 * PAD + 1), "same") > 0)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], silent.astype(np.int8), [0]])))
    found = np.zeros(len(speaking), bool)
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        found[start:stop] = stop - start >= SHORTEST
    return found


def _open(clip: Clip, motion: np.ndarray) -> np.ndarray:
    """Motion, NaN in the frames that the clip says were not seen. Undefined: it is not finite elsewhere."""
    valid = np.ones(len(motion), bool) if clip.valid is None else clip.valid
    if not np.isfinite(motion[valid]).all():
        raise Undefined("not_finite")
    return np.where(valid[:, None], motion, np.nan)


def _filled(clip: Clip) -> np.ndarray:
    """The user's motion about its mean, which stands where nothing was seen."""
    motion = np.asarray(clip.motion_user, np.float64)
    good = np.isfinite(motion).all(1)
    if not good.any():
        return np.zeros_like(motion)
    return np.where(good[:, None], motion - motion[good].mean(0), 0.0)


def set_values(clips: Sequence[Clip], tools) -> Iterator[Value]:
    """Gains of the generated and of the true avatars over `clips`."""
    options, clips = RdggOptions(), _some(clips)
    if max(clip.frames for clip in clips) <= 2 * options.reach + 20:
        raise Undefined("too_few_frames")
    met = encounters(clips, options)
    rows = {
        side: {clip.dyad_id: _open(clip, getattr(clip, f"motion_{side}")) for clip in clips}
        for side in ("generated", "true")
    }
    try:
        found = energies(met, rows, fit_operator(met, options), options)
    except DataError as error:
        print(f"rdgg: {error}", flush=True)
        raise Undefined("too_few_frames") from error
    yield from values(found["generated"], found["true"], options)


def _some(clips: Collection[Clip]) -> list[Clip]:
    """At most `MOST` clips, evenly spread over the manifest, with what R-DGG needs of them."""
    chosen = {k * len(clips) // MOST for k in range(MOST)} if len(clips) > MOST else range(len(clips))
    voices = ("voice_user", "voice_avatar")
    return [
        replace(clip, image_generated=None, image_true=None, map_distance=None, truth=None,
                features={key: clip.features[key] for key in voices if key in clip.features})
        for k, clip in enumerate(clips)
        if k in chosen
    ]  # fmt: skip


def values(generated: Energies, true: Energies, options: RdggOptions) -> Iterator[Value]:
    """The card's rows from energies of both."""
    for part in PARTS:
        for energy, name in ((generated, part), (true, truth_part(part))):
            yield from gain_values(energy, part, name, options)


def gain_values(energy: Energies, part: str, name: str, options: RdggOptions) -> Iterator[Value]:
    """The gain and, for a part of the card itself, its interval and p."""
    names = [name] if name != part else [name, *interval_parts(name)]
    if not energy.own.sum() > 1e-12 * max(energy.total.sum(), 1e-300):
        yield from (undefined("rdgg", each, "constant_series") for each in names)
        return
    yield from _told(difference(energy, None, options.draws, options.seed, part), names)


def _told(gain: Gain, names: Sequence[str]) -> Iterator[Value]:
    told: Mapping[int, float] = dict(enumerate((gain.net, gain.low, gain.high, gain.p)))
    for i, name in enumerate(names):
        there = np.isfinite(told[i])
        yield Value("rdgg", name, told[i]) if there else undefined("rdgg", name, "too_few_people")
