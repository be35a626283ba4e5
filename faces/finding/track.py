"""Following one face from picture to picture, with other faces counted once a second.

A picture that repeats the one before keeps its reading: the cut-out square stays where it is until the face has left
its middle, so that the same picture gives the same cut, and a cut that differs from the last one read by no more than
the noise of a codec is not read again. MediaPipe's own video mode moves the square with every reading instead, and
its points creep on a still picture.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from dyads.errors import ConfigError
from faces.finding.detect import Detections, detect, overlap
from faces.finding.eyes import with_eyes
from faces.finding.mesh import MINIMUM_SCORE, Square, cut, read_face, square_of_detection, square_of_points
from faces.finding.models import MESH_SIDE

CHOICES = ("largest", "left", "right")
RIVAL = 0.5  # a further face counts from this share of the followed one's size: not a picture on the wall
MESH_TO_BOX = 1.25  # extent of the points over that of the detector's box, which ends at the brows
SURE = 0.95  # presence of a face that no detector has seen
CELLS = 16  # a side, in which a change is looked for
SETTLE = 4  # readings of a first picture, at most, until its square stands still


@dataclass(frozen=True)
class Options:
    """How a face is followed.

    `which` face where there are several: the largest, or the one furthest left or right in the picture; `box`
    (x, y, w, h in source pixels) names it instead. `slack` is how far the face may move within its square, as a share
    of its side. `noise` is the mean absolute difference (of 255) up to which a cut counts as repeated, `noise_peak`
    the largest one in any of its 12 x 12 pixel cells. `look_every` is in frames.
    """

    which: str = "largest"
    box: tuple[float, float, float, float] | None = None
    slack: float = 0.025
    noise: float = 0.8
    noise_peak: float = 2.0
    look_every: int = 25
    tiles: bool = True
    eyes: bool = True  # read lids and brows by their own network too

    def __post_init__(self) -> None:
        if self.which not in CHOICES:
            raise ConfigError(f"which is {self.which!r}; give one of {', '.join(CHOICES)}.")
        if not 0 <= self.slack < 0.2 or self.look_every < 1:
            raise ConfigError(f"slack is {self.slack:g} and look_every {self.look_every}; give 0 to 0.2 and from 1.")


@dataclass(frozen=True)
class Reading:
    """One picture's face: points float64 (468, 3) in source pixels or None, presence, further faces, repeated."""

    points: np.ndarray | None
    score: float
    others: int
    repeated: bool


def _same(piece: np.ndarray, before: np.ndarray, options: Options) -> bool:
    """Whether two cuts differ by no more than a codec's noise."""
    change = cv2.absdiff(piece, before)
    if sum(cv2.mean(change)[:3]) / 3 > options.noise:
        return False
    cells = change.reshape(CELLS, MESH_SIDE // CELLS, CELLS, -1).mean((1, 3))
    return bool(cells.max() <= options.noise_peak)


class Tracker:
    """Takes one recording's pictures in order; see the module docstring."""

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self.square: Square | None = None
        self.piece: np.ndarray | None = None  # the cut that was last read
        self.points: np.ndarray | None = None  # the mesh's own: what the square follows
        self.shown: np.ndarray | None = None  # with lids and brows: what is handed out
        self.score = 0.0
        self.others = 0
        self.count = 0
        self.size: tuple[int, int] | None = None

    def _choose(self, found: Detections) -> int:
        """Which detection is to be followed."""
        options = self.options
        if options.box is not None:
            near = overlap(np.array(options.box, float), found.box)
            if near.max() > 0:
                return int(near.argmax())
            centre = np.array(options.box[:2]) + np.array(options.box[2:]) / 2
            return int(np.hypot(*(found.box[:, :2] + found.box[:, 2:] / 2 - centre).T).argmin())
        if self.points is not None:  # it was lost; the nearest one of like size is it
            low, high = self.points[:, :2].min(0), self.points[:, :2].max(0)
            away = np.hypot(*(found.box[:, :2] + found.box[:, 2:] / 2 - (low + high) / 2).T)
            return int((away + np.abs(found.box[:, 2] - (high - low).max())).argmin())
        if options.which == "largest":
            return int(found.box[:, 2].argmax())
        middle = found.box[:, 0] + found.box[:, 2] / 2
        return int(middle.argmin() if options.which == "left" else middle.argmax())

    def _found_anew(self, picture: np.ndarray, found: Detections) -> bool:
        """Start on a detected face; False where the mesh sees none there either."""
        rest = Detections(found.score, found.box, found.keypoints)
        while len(rest):
            index = self._choose(rest)
            square = square_of_detection(rest.box[index], rest.keypoints[index])
            for _ in range(SETTLE):
                piece = cut(picture, square)
                points, score = read_face(picture, square, piece)
                following = square_of_points(points)
                if score < MINIMUM_SCORE or square.near(following, self.options.slack):
                    break
                square = following
            if score >= MINIMUM_SCORE:
                self.square, self.piece, self.points, self.score = square, piece, points, score
                return True
            keep = np.arange(len(rest)) != index
            rest = Detections(rest.score[keep], rest.box[keep], rest.keypoints[keep])
        return False

    def _found_in_the_middle(self, picture: np.ndarray) -> bool:
        """Start on a face that fills a square picture (a crop) where the detector sees none: dark or tilted."""
        height, width = picture.shape[:2]
        if max(height, width) > 1.1 * min(height, width):
            return False
        for angle in (0.0, -0.5, 0.5):
            square = Square(width / 2, 0.54 * height, 0.95 * height, angle)
            for _ in range(SETTLE):
                piece = cut(picture, square)
                points, score = read_face(picture, square, piece)
                following = square_of_points(points)
                if score < SURE or square.near(following, self.options.slack):
                    break
                square = following
            if score >= SURE and 0.3 < square.side / (1.5 * height) < 1.2:
                self.square, self.piece, self.points, self.score = square, piece, points, score
                return True
        return False

    def _count_others(self, found: Detections) -> None:
        """Detections that are not the followed face."""
        if self.points is None or self.square is None:
            self.others = len(found)
            return
        low, high = self.points[:, :2].min(0), self.points[:, :2].max(0)
        own = np.concatenate([low, high - low])
        middle = found.box[:, :2] + found.box[:, 2:] / 2
        inside = ((middle >= low) & (middle <= high)).all(1)
        large = found.box[:, 2:].max(1) * MESH_TO_BOX >= RIVAL * own[2:].max()
        self.others = int((~inside & large & (overlap(own, found.box) < 0.1)).sum())

    def __call__(self, picture: np.ndarray) -> Reading:
        """The face in the next picture, uint8 RGB (H, W, 3)."""
        if self.size is not None and picture.shape[:2] != self.size:
            self.square = self.piece = self.points = None
        self.size = picture.shape[:2]
        look = self.count % self.options.look_every == 0
        self.count += 1
        repeated = False
        found: Detections | None = None
        if self.square is not None:
            repeated = self._follow(picture)
        if self.square is None:
            found = detect(picture, self.options.tiles)
            if not self._found_anew(picture, found) and not len(found):
                self._found_in_the_middle(picture)
        if look:
            found = detect(picture, False) if found is None else found
            self._count_others(found)
        if self.square is None:
            return Reading(None, 0.0, self.others, False)
        if not repeated or self.shown is None:
            self.shown = with_eyes(picture, self.points) if self.options.eyes else self.points
        return Reading(self.shown, self.score, self.others, repeated)

    def _follow(self, picture: np.ndarray) -> bool:
        """Read the face where it was; `square` becomes None where it is there no more. True for a repeated picture."""
        piece = cut(picture, self.square)
        if self.piece is not None and _same(piece, self.piece, self.options):
            return True
        points, score = read_face(picture, self.square, piece)
        if score < MINIMUM_SCORE:
            self.square = self.piece = None
            return False
        following = square_of_points(points)
        if not self.square.near(following, self.options.slack):
            if not self.square.near(following, 0.15):  # it jumped: the points come from the rim of the old square
                piece = cut(picture, following)
                points, score = read_face(picture, following, piece)
                if score < MINIMUM_SCORE:
                    self.square = self.piece = None
                    return False
            self.square, piece = following, cut(picture, following)  # so that a repeat is known at its new place
        self.piece, self.points, self.score = piece, points, score
        return False
