"""Finding the crop of a recording: the face is followed on small pictures, or the recording is refused."""

import math
from dataclasses import dataclass

import numpy as np

from dyads.adapters.engine.crop_plan import CropPlan, every, fixed
from dyads.adapters.engine.options import AdaptOptions
from dyads.adapters.face_crop import box_crop, centre_crop
from dyads.adapters.pairs import Source
from dyads.errors import DataError
from dyads.media.containers import FPS
from dyads.media.regions import iter_views
from faces import crops
from faces.finding.track import Options, Tracker

STEP = 3  # frames from one look to the next
LONGEST = 640  # pixels of the pictures that are looked at
LEAST_FOUND = 0.5  # share of the looks that must see the face
MOST_RIVALS = 0.2  # share of the looks in which a second face may stand beside it


@dataclass
class Followed:
    """Boxes (N, 4) in source pixels, one a look, NaN without a face; share of looks with a second face; the size."""

    box: np.ndarray
    rivals: float
    width: int
    height: int


def follow(source: Source, start: float, end: float | None) -> Followed:
    """The face through the span that is used."""
    tracker = Tracker(Options(which=source.which or "largest", eyes=False, look_every=max(1, FPS // STEP)))
    rows, rivals, size = [], 0, (0, 0)
    for view in every(iter_views(source.video, FPS, start, end), STEP):
        picture, scale = view.small(LONGEST)
        size = view.size
        reading = tracker(picture)
        rivals += reading.others > 0
        if reading.points is None:
            rows.extend((math.nan,) * 4)
        else:
            low, high = reading.points[:, :2].min(0) * scale, reading.points[:, :2].max(0) * scale
            rows.extend((*low, *(high - low)))
    box = np.array(rows).reshape(-1, 4)
    return Followed(box, rivals / max(1, len(box)), size[1], size[0])


def refuse(source: Source, followed: Followed) -> None:
    """DataError where no face, or not only one, can be followed."""
    found = float(np.isfinite(followed.box[:, 0]).mean())
    if found < LEAST_FOUND:
        seen = "no face is found" if found == 0 else f"a face is found in {found:.0%} of the frames"
        raise DataError(
            f"{source.video}: {seen}; give the span in which it is seen (start, end), a box (x,y,w,h) round it, or "
            '{"crop": "centre"} for recordings that are face crops already.'
        )
    if followed.rivals > MOST_RIVALS and not source.which:
        raise DataError(
            f"{source.video}: two faces are seen in {followed.rivals:.0%} of the frames; say which one is meant, left "
            "or right (user_face, avatar_face) or by a box (user_box, avatar_box)."
        )


def crop_plan(source: Source, start: float, end: float | None, options: AdaptOptions) -> CropPlan:
    """The crop of a recording; a given box is the crop itself. DataError: no face, or two of them."""
    name = str(source.video)
    if source.box is not None or options.crop == "centre":
        picture = next(iter_views(source.video, start=start, end=end)).rgb()
        return fixed(centre_crop(picture) if source.box is None else box_crop(picture, source.box, name))
    followed = follow(source, start, end)
    refuse(source, followed)
    if options.crop == "tracked":
        squares, step = crops.tracked(followed.box, followed.width, followed.height, FPS / STEP), STEP
    else:
        squares, step = crops.fixed(followed.box, followed.width, followed.height), 1
    whole = np.repeat(squares, len(followed.box), 0) if len(squares) == 1 else squares
    inside = float(crops.inside(followed.box, whole).mean())
    x, y, side = squares[0]
    origin = f"{options.crop}:{x:.0f},{y:.0f},{side:.0f},{side:.0f}" + (f" {source.which}" if source.which else "")
    return CropPlan(squares, step, origin, inside)
