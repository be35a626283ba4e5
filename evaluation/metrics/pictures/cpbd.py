"""CPBD: the share of a picture's edges that are too narrow to look blurred; it needs no truth."""

from collections.abc import Iterator

import numpy as np
from scipy.ndimage import correlate1d

from evaluation.cards import MetricCard, Value, truth_part, undefined
from evaluation.metrics._series import Undefined

BLOCK = 64
EDGE_SHARE = 0.002  # of a block's pixels that Canny must mark
BETA = 3.6
NARROW, WIDE, LOW_CONTRAST = 3.0, 5.0, 50  # just noticeable widths in pixels, above and up to this contrast
LONGEST = 100  # pixels that an edge is followed to either side
NOTICED = 63  # per cent
STRIDE = 5  # frames

CARDS = (
    MetricCard(
        name="cpbd",
        label="CPBD",
        unit="1",
        direction="truth",
        range=(0.0, 1.0),
        per="clip",
        parts=("frame",),
        definition="Cumulative probability of blur detection: the share of vertical edges whose width is at most the "
        "just "
        "noticeable one. A property of one picture, printed beside the true video's.",
        equation=r"P\left(p\le0.63\right),\quad p=1-\exp\left(-(w/w_0)^{3.6}\right)",
        protocol=f"grey (ITU-R 601) of frames at their own size; whole {BLOCK}x{BLOCK} blocks in which Canny (sigma 1) "
        f"marks more than {EDGE_SHARE:.1%}; thinned Sobel edges along rows; w0 = 3, or 5 at a block contrast of at "
        f"most "
        f"{LOW_CONTRAST}; every {STRIDE}th frame, mean; no edge: no value",
        source="Narvekar & Karam 2011; the Python package cpbd 1.0.7 (cpbd-py312 1.0.3)",
        disagreements=(
            "It rewards noise (0.9) and small pictures: half the size gives 0.93 for the same content, a quarter of "
            "the "
            "contrast 0.95 instead of 0.28. Compare at one size only.",
            "Only edges along rows count: a picture turned by 90 degrees can score 0.",
            "ATVGnet's copy excludes w = w0. The package gives 0 for a flat picture or one below 64 pixels, and wants "
            "grey values from 0 to 255 without saying so; and 0 for a picture in which brightness only rises to the "
            "right.",
        ),
        unordered="block artefacts and noise are sharp edges, so a decoder's output can come out sharper than the "
        "truth",
    ),
)


def thinned_edges(grey: np.ndarray) -> np.ndarray:
    """bool (H, W): pixels whose horizontal Sobel strength is above the threshold and a strict maximum along one
    axis."""
    gradient = (
        correlate1d(correlate1d(grey, [1.0, 2.0, 1.0], 0, mode="reflect"), [-1.0, 0.0, 1.0], 1, mode="reflect") / 8
    )
    strength = gradient**2
    strength[strength <= 2 * np.sqrt(strength.mean())] = 0
    padded = np.pad(strength, 1)
    along = (strength > padded[1:-1, :-2]) & (strength > padded[1:-1, 2:])
    across = (strength > padded[:-2, 1:-1]) & (strength > padded[2:, 1:-1])
    return along | across


def edge_widths(grey: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows, columns, widths) of the edges whose gradient runs along the row: how far brightness goes on changing."""
    down, right = np.gradient(grey)
    angle = np.degrees(np.arctan2(down, right))
    angle[right == 0] = 0.0  # as the package leaves them
    direction = np.round(angle / 45) * 45
    inside = edges.copy()
    inside[[0, -1]] = inside[:, [0, -1]] = False
    rows, columns = np.nonzero(inside & ((direction == 0) | (np.abs(direction) == 180)))
    rising = np.where(direction[rows, columns] == 0, 1.0, -1.0)
    width = np.zeros(len(rows), int)
    for side in (-1, 1):
        reach, going = np.zeros(len(rows), int), np.ones(len(rows), bool)
        for margin in range(LONGEST):
            inner, outer = columns + side * (1 + margin), columns + side * (2 + margin)
            here = going & (outer >= 0) & (outer < grey.shape[1])
            step = np.zeros(len(rows))
            step[here] = grey[rows[here], outer[here]] - grey[rows[here], inner[here]]
            going = here & (step * rising * side > 0)
            if not going.any():
                break
            reach += going
        width += reach + 1
    return rows, columns, width


def cpbd(grey: np.ndarray) -> float:
    """CPBD of a grey picture (H, W), 0 to 255.

    Undefined: `frame_too_small` below 64 pixels, `not_finite`, `no_edges` where no block has one.
    """
    from skimage.feature import canny

    grey = np.asarray(grey, np.float64)
    if min(grey.shape) < BLOCK:
        raise Undefined("frame_too_small")
    if not np.isfinite(grey).all():
        raise Undefined("not_finite")
    marked = canny(grey)
    rows, columns, widths = edge_widths(grey, thinned_edges(grey))
    high, wide = (length // BLOCK for length in grey.shape)
    blocks = (slice(high * BLOCK), slice(wide * BLOCK))

    def cut(picture: np.ndarray) -> np.ndarray:
        return picture[blocks].reshape(high, BLOCK, wide, BLOCK)

    counted = cut(marked).sum((1, 3)) > BLOCK * BLOCK * EDGE_SHARE
    contrast = (cut(grey).max((1, 3)) - cut(grey).min((1, 3))).astype(int)
    limits = np.where(contrast <= LOW_CONTRAST, WIDE, NARROW)
    whole = (rows < high * BLOCK) & (columns < wide * BLOCK)
    place = rows[whole] // BLOCK, columns[whole] // BLOCK
    found, limit = widths[whole][counted[place]], limits[place][counted[place]]
    if not len(found):
        raise Undefined("no_edges")
    noticed = np.round(100 * (1 - np.exp(-((found / limit) ** BETA))))
    return float((noticed <= NOTICED).mean())


def clip_cpbd(frames: np.ndarray) -> float:
    """Mean over every fifth of uint8 frames (T, H, W, 3); a frame without an edge is left out."""
    import cv2

    values = []
    for frame in frames[::STRIDE]:
        try:
            values.append(cpbd(cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)))
        except Undefined as failure:
            if failure.status != "no_edges":
                raise
    if not values:
        raise Undefined("no_edges")
    return float(np.mean(values))


def clip_values(clip, tools) -> Iterator[Value]:
    for side, name in (("generated", str), ("true", truth_part)):
        try:
            found = clip.once(f"cpbd_{side}", lambda side=side: np.array([clip_cpbd(getattr(clip, side))]))
            yield Value("cpbd", name("frame"), float(found[0]))
        except Undefined as failure:
            yield undefined("cpbd", name("frame"), failure.status)
