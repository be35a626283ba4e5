"""What a metric owes its reader: a card with definition, direction, range, protocol, source, and what controls show.

docs/metrics.md is written from the cards: `python -m reporting.metrics_page`.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

Direction = Literal["higher", "lower", "truth"]

OK = "ok"
# Every other status leaves the value empty; a failure is never a score.
STATUSES = {
    OK: "defined",
    "missing_video": "the method wrote no readable video for this dialogue",
    "length_mismatch": "generated and true video have different numbers of frames",
    "constant_series": "a series without variation has no correlation or slope",
    "too_few_frames": "fewer frames than the metric needs",
    "too_few_people": "one person cannot say how far others would differ",
    "too_few_samples": "fewer generated samples of this clip were given than the metric compares",
    "too_few_clips": "fewer clips than an extrapolation to infinitely many needs, or no more than the dimensions",
    "frame_too_small": "the picture is smaller than the metric's window",
    "no_speech": "the avatar does not speak long enough in this clip",
    "speaker_unknown": "both voices share one track, which is not separated, and neither turns nor lips say who speaks",
    "no_face": "no face was found long enough where the metric needs one",
    "silent": "the sound is constant wherever the metric would listen",
    "no_blink": "the eyes never close, so closures have no length",
    "no_nod": "no nod is due in these frames, or none is made whose time could be told",
    "no_edges": "no block of any picture has edges to measure",
    "no_regions": "nothing says which vertices of this mesh are lips or upper face",
    "no_truth": "the data set has no true coefficients or oracle, or the probe has no named coefficients",
    "not_finite": "the computation overflowed or divided by zero",
    "weights_missing": "no weights file was given for this network",
    "no_user": "no video of the person talked to was given",
    "no_mesh": "nobody read points of these faces: of a drawn world the motion probe reads in the mesh's place",
    "not_timed": "nothing beside the video says how long it took to generate",
    "no_judge": "nobody has rated this method's videos",
    "no_rating": "the judge gave this video no rating, or rated another version of it",
    "not_run": "no result file for this method",
    "no_pictures": "the data are coefficients of motion alone, and this metric looks at pictures",
    "no_such_part": "the coefficients have no such group",
    "no_voice": "neither voice features nor who takes part is known, so nobody knows who reacts to whom",
    "no_clock": "frames were cut out and the rest closed up, so nothing says what was at the same time",
}
ARROWS = {"higher": "↑", "lower": "↓", "truth": "→"}


@dataclass(frozen=True)
class MetricCard:
    """One metric: name, label, unit, direction, range, per clip or per set, parts, protocol, source, controls.

    `direction` 'truth' means that nearer to the truth's own value is better; such a metric writes, for each part
    `p`, a second row `p_truth` with the value of the true video under the same protocol.
    `separates` lists (better, worse) pairs: two controls the metric must order, or one control and the value
    that it must reach. `blind` lists (right, wrong) pairs that it does not tell apart: the wrong one comes out nearer
    to the right one than to a still face. `separates_parts` names the parts on which both are checked. A card that
    does not promise truth before VAE round trip before a floor says why in `unordered`. `needs`: orders that the card
    does not promise, and without which, in a study, its differences between methods are no evidence: claims ask for
    them as for those of `separates`. `estimate`: a Frechet distance
    of the set, which its count biases; it writes, for each part `p`, also `p_count`, the samples on each side, and
    `p_extrapolated`, the distance without that bias. `interval`: it is never told without its interval, and writes, for
    each part `p`, also `p_low`, `p_high` (95 %) and `p_p`, the chance of as much where there is nothing.
    """

    name: str
    label: str
    unit: str
    direction: Direction
    range: tuple[float, float]
    per: Literal["clip", "set"]
    parts: tuple[str, ...]
    protocol: str
    source: str
    separates: tuple[tuple[str, str | float], ...] = ()
    separates_parts: tuple[str, ...] = ()
    clip_rows: bool = False  # a set metric that is also written per clip, for paired tests
    definition: str = ""  # what it is, in a sentence or two
    equation: str = ""  # LaTeX; y true, \hat y generated, x user, f frame; t frames, d dimensions, n clips
    disagreements: tuple[str, ...] = ()  # who computes something else under this name
    blind: tuple[tuple[str, str], ...] = ()
    unordered: str = ""
    needs: tuple[tuple[str, str], ...] = ()
    from_readings: bool = False  # of a clip metric: what the probes read is all it needs, see recompute.py
    estimate: bool = False
    interval: bool = False

    @property
    def arrow(self) -> str:
        return ARROWS[self.direction]

    @property
    def all_parts(self) -> tuple[str, ...]:
        """The parts, and for a 'truth' metric the truth's own, for an estimate what belongs to it."""
        truth = tuple(map(truth_part, self.parts)) if self.direction == "truth" else self.estimate_parts
        return self.parts + truth + self.interval_parts

    @property
    def interval_parts(self) -> tuple[str, ...]:
        """Of a value with an interval of its own, the parts that hold its ends and p."""
        return tuple(name for part in self.parts for name in interval_parts(part)) * self.interval

    @property
    def estimate_parts(self) -> tuple[str, ...]:
        """Of an estimate, the parts that hold counts and extrapolations."""
        return tuple(add(part) for part in self.parts for add in (count_part, extrapolated_part)) * self.estimate


def interval_parts(part: str) -> tuple[str, str, str]:
    """The parts under which an interval's ends and p are written."""
    return f"{part}_low", f"{part}_high", f"{part}_p"


class Value(NamedTuple):
    """One measured number: the metric's name, its part, the value (NaN if undefined) and the status."""

    metric: str
    part: str
    value: float
    status: str = OK


def undefined(metric: str, part: str, status: str) -> Value:
    """The NaN row of a metric that could not be computed, with the reason."""
    if status == OK or status not in STATUSES:
        raise ValueError(f"{status!r} is not a failure status; choose from {sorted(set(STATUSES) - {OK})}")
    return Value(metric, part, math.nan, status)


def truth_part(part: str) -> str:
    """The part under which the truth's own value of a 'truth' metric is written."""
    return f"{part}_truth"


def count_part(part: str) -> str:
    """The part under which the number of samples on each side of an estimate is written."""
    return f"{part}_count"


def extrapolated_part(part: str) -> str:
    """The part under which an estimate's extrapolation to infinitely many samples is written."""
    return f"{part}_extrapolated"
