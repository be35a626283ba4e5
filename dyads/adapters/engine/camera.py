"""Pictures of a face cut out of a recording: in one pass where the recording allows it, else a plan first and then the
pictures.

One pass needs the size of the square before the recording was seen: it is taken from a few key frames over its whole
length. The place of a square depends on little more than a second to either side, so frames wait that long. What
comes out is compared with the plan that follows from all looks; where they differ, the recording is read again.
"""

from collections import deque
from collections.abc import Iterator
from functools import cached_property

import av
import numpy as np

from dyads.adapters.engine.crop_plan import CropPlan, Rows, between
from dyads.adapters.engine.options import AdaptOptions
from dyads.adapters.engine.planning import LONGEST, STEP, Followed, crop_plan
from dyads.adapters.pairs import Source
from dyads.errors import DataError
from dyads.media.containers import FPS, opened, promised_end, video_stream
from dyads.media.regions import View, iter_views, key_views
from faces import crops
from faces.finding.track import Options, Tracker

GREY = 128  # of a side that nobody filmed
LOOKS = 12  # key frames that the square's size is guessed from
LEAST_LOOKS = 4
WAITING_BYTES = 128 << 20  # of decoded frames
SIZE_OFF = 0.08  # how far the guessed side may lie from the one that follows from all looks
PLACE_OFF = 0.05  # and the place of a square, in sides
RATE = FPS / STEP
ROOM = crops.room_of(RATE)


class Empty:
    """Pictures of a side that nobody filmed; they do not end."""

    plan = None
    off = False

    def pictures(self, size: int) -> Iterator[np.ndarray]:
        while True:
            yield np.full((size, size, 3), GREY, np.uint8)


class Planned:
    """Pictures by a plan that is known."""

    off = False

    def __init__(self, source: Source, start: float, end: float | None, plan: CropPlan) -> None:
        self.source, self.start, self.end, self.plan = source, start, end, plan

    def pictures(self, size: int) -> Iterator[np.ndarray]:
        """Faces uint8 (size, size, 3) at 25 frames a second."""
        for frame, view in enumerate(iter_views(self.source.video, FPS, self.start, self.end)):
            yield view.square(*self.plan.at(frame), size)


class Following:
    """Pictures of a face that is followed while they are made; `plan` and `off` are known after the last one."""

    def __init__(self, source: Source, start: float, end: float | None, side: float) -> None:
        self.source, self.start, self.end, self.side = source, start, end, side
        self.followed = Followed(source)
        self.squares = Rows(3)

    def _place(self, last: bool) -> None:
        """Squares of the looks that are decided."""
        boxes = self.followed.boxes
        until = len(boxes) if last else len(boxes) - ROOM
        if until <= len(self.squares):
            return
        first = max(0, len(self.squares) - 2 * ROOM)
        part = boxes[first:]
        if np.isfinite(part[:, 0]).any():
            placed = crops.tracked(part, self.followed.width, self.followed.height, RATE, self.side)
            self.squares.extend(placed[len(self.squares) - first : until - first])
        else:  # nobody is seen for seconds: the square waits
            held = self.squares[-1] if self.squares else np.array([0.0, 0.0, self.side])
            self.squares.extend(np.tile(held, (until - len(self.squares), 1)))

    def pictures(self, size: int) -> Iterator[np.ndarray]:
        """Faces uint8 (size, size, 3) at 25 frames a second."""
        waiting: deque[View] = deque()
        done = 0
        for frame, view in enumerate(iter_views(self.source.video, FPS, self.start, self.end)):
            if frame % STEP == 0:
                self.followed.look(view)
                self._place(last=False)
            waiting.append(view)
            del view
            while waiting and done // STEP + 1 < len(self.squares):
                yield waiting.popleft().square(*between(self.squares, done / STEP), size)
                done += 1
        self._place(last=True)
        while waiting:
            yield waiting.popleft().square(*between(self.squares, done / STEP), size)
            done += 1

    @cached_property
    def plan(self) -> CropPlan:
        """What was done, or, where it was off, what is to be done. DataError: no face, or two of them."""
        return self._wanted if self.off else self.followed.planned("tracked", self.squares[:], STEP)

    @cached_property
    def _wanted(self) -> CropPlan:
        return self.followed.plan("tracked")

    @cached_property
    def off(self) -> bool:
        """Whether the pictures are not what the whole recording asks for."""
        used, wanted = self.squares[:], self._wanted.squares
        middle, other = (squares[:, :2] + squares[:, 2:] / 2 for squares in (used, wanted))
        side = wanted[0, 2]
        too_far = np.abs(middle - other).max() > PLACE_OFF * side
        return bool(too_far or abs(np.log(self.side / side)) > SIZE_OFF)


def guessed_side(source: Source, start: float, end: float | None) -> float | None:
    """The side of a recording's squares by its face in a few key frames; None where those do not tell, or where frames
    are too large to wait."""
    try:
        with opened(source.video) as container:
            stream = video_stream(container, source.video)
            stop = promised_end(stream) if end is None else end
            held = 1.5 * stream.width * stream.height * STEP * (ROOM + 2)
        if stop - start <= 0 or held > WAITING_BYTES:
            return None
        boxes, size = [], (0, 0)
        for view in key_views(source.video, start, stop, LOOKS):
            picture, scale = view.small(LONGEST)
            size = view.size
            points = Tracker(Options(which=source.which or "largest", eyes=False))(picture).points
            if points is not None:
                boxes.append((0, 0, *(points[:, :2].max(0) - points[:, :2].min(0)) * scale))
    except (DataError, av.FFmpegError):  # told by whoever reads it whole
        return None
    return crops.side_of(np.array(boxes), size[1], size[0]) if len(boxes) >= LEAST_LOOKS else None


def camera(source: Source, start: float, end: float | None, options: AdaptOptions) -> Empty | Planned | Following:
    """What gives a side's pictures. DataError as `crop_plan`, then or when the pictures were made."""
    if source.video is None:
        return Empty()
    if options.crop == "tracked" and source.box is None:
        side = guessed_side(source, start, end)
        if side is not None:
            return Following(source, start, end, side)
    return Planned(source, start, end, crop_plan(source, start, end, options))
