"""Finding the crop of a recording."""

import math

from dyads.adapters.engine.crop_plan import CropPlan, every, fixed
from dyads.adapters.engine.options import AdaptOptions
from dyads.adapters.face_crop import SAMPLES, choose_crop
from dyads.adapters.pairs import Source
from dyads.media.containers import FPS, probe
from dyads.media.regions import iter_views


def crop_plan(source: Source, start: float, end: float | None, options: AdaptOptions) -> CropPlan:
    """The crop of a recording, from frames spread over the span that is used."""
    name = str(source.video)
    if source.box is not None:
        return fixed(choose_crop([next(iter_views(source.video, start=start, end=end)).rgb()], source.box, name))
    info = probe(source.video)
    span = min(end or math.inf, info.duration) - start
    rate = min(SAMPLES / span if span > 0 else FPS, FPS)
    views = every(iter_views(source.video, rate, start, end), 1)
    return fixed(choose_crop([view.rgb() for view in views], None, name))
