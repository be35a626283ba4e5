"""Finding the crop of a recording: the face is followed on small pictures, or the recording is refused."""

import math
from dataclasses import dataclass, field

import numpy as np

from dyads.adapters.engine.crop_plan import CropPlan, Rows, every, fixed
from dyads.adapters.engine.options import AdaptOptions
from dyads.adapters.face_crop import box_crop, centre_crop
from dyads.adapters.pairs import Source
from dyads.errors import DataError
from dyads.media.containers import FPS
from dyads.media.regions import View, iter_views
from faces import crops
from faces.finding.track import Options, Tracker

STEP = 5  # frames from one look to the next
LONGEST = 640  # pixels of the pictures that are looked at
LEAST_FOUND = 0.5  # share of the looks that must see the face
MOST_RIVALS = 0.2  # share of the looks in which a second face may stand beside it


@dataclass
class Followed:
    """A face followed through a recording: boxes x, y, w, h in source pixels, one a look, NaN without a face."""

    source: Source
    boxes: Rows = field(default_factory=lambda: Rows(4))
    rivals: int = 0  # looks with a second face
    width: int = 0
    height: int = 0

    def __post_init__(self) -> None:
        looks_a_second = max(1, FPS // STEP)
        self.tracker = Tracker(Options(which=self.source.which or "largest", eyes=False, look_every=looks_a_second))

    @property
    def box(self) -> np.ndarray:
        """All boxes (N, 4)."""
        return self.boxes[:]

    def look(self, view: View) -> None:
        """At the next of every `STEP` frames."""
        picture, scale = view.small(LONGEST)
        self.height, self.width = view.size
        reading = self.tracker(picture)
        self.rivals += reading.others > 0
        if reading.points is None:
            self.boxes.extend(np.full(4, math.nan))
        else:
            low, high = reading.points[:, :2].min(0) * scale, reading.points[:, :2].max(0) * scale
            self.boxes.extend(np.concatenate([low, high - low]))

    def refuse(self) -> None:
        """DataError where no face, or not only one, can be followed."""
        found = float(np.isfinite(self.box[:, 0]).mean())
        if found < LEAST_FOUND:
            seen = "no face is found" if found == 0 else f"a face is found in {found:.0%} of the frames"
            raise DataError(
                f"{self.source.video}: {seen}; give the span in which it is seen (start, end), a box (x,y,w,h) round "
                'it, or {"crop": "centre"} for recordings that are face crops already.'
            )
        share = self.rivals / len(self.boxes)
        if share > MOST_RIVALS and not self.source.which:
            raise DataError(
                f"{self.source.video}: two faces are seen in {share:.0%} of the frames; say which one is meant, left "
                "or right (user_face, avatar_face) or by a box (user_box, avatar_box)."
            )

    def plan(self, crop: str) -> CropPlan:
        """The crop `tracked` or `fixed`, once the whole recording was looked at. DataError as `refuse`."""
        self.refuse()
        if crop == "tracked":
            squares, step = crops.tracked(self.box, self.width, self.height, FPS / STEP), STEP
        else:
            squares, step = crops.fixed(self.box, self.width, self.height), 1
        return self.planned(crop, squares, step)

    def planned(self, crop: str, squares: np.ndarray, step: int) -> CropPlan:
        """A plan of these squares, with what is to be said of it."""
        whole = np.repeat(squares, len(self.boxes), 0) if len(squares) == 1 else squares
        inside = float(crops.inside(self.box, whole).mean())
        x, y, side = squares[0]
        which = f" {self.source.which}" if self.source.which else ""
        return CropPlan(squares, step, f"{crop}:{x:.0f},{y:.0f},{side:.0f},{side:.0f}{which}", inside)


def crop_plan(source: Source, start: float, end: float | None, options: AdaptOptions) -> CropPlan:
    """The crop of a recording; a given box is the crop itself. DataError: no face, or two of them."""
    name = str(source.video)
    if source.box is not None or options.crop == "centre":
        picture = next(iter_views(source.video, start=start, end=end)).rgb()
        return fixed(centre_crop(picture) if source.box is None else box_crop(picture, source.box, name))
    followed = Followed(source)
    for view in every(iter_views(source.video, FPS, start, end), STEP):
        followed.look(view)
    return followed.plan(options.crop)
