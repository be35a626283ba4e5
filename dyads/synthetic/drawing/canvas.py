"""The drawing surface: head pose, head-aligned coordinates in pixel boxes, and antialiased compositing."""

import math
from dataclasses import dataclass

import numpy as np

from dyads.synthetic.coefficients import INDEX
from dyads.synthetic.identities import Person

YAW, PITCH, ROLL, SHIFT = math.radians(26.0), math.radians(18.0), math.radians(18.0), 0.16
HEAD_Y = -0.10  # centre of the head
HEIGHT = 0.74  # radius of the head for pitch
ZOOM, ZOOM_Y = 1.14, -0.40  # the picture magnifies the scene about (0, ZOOM_Y)


def axes(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Scene coordinates of the pixel centres, float32 (size,) each for x and y."""
    picture = (np.arange(size, dtype=np.float32) + 0.5) * (2.0 / size) - 1.0
    return picture / np.float32(ZOOM), (picture - np.float32(ZOOM_Y)) / np.float32(ZOOM) + np.float32(ZOOM_Y)


def _column(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32).reshape(-1, 1, 1)


@dataclass(frozen=True)
class Head:
    """Per-frame pose and coefficient columns, each (N, 1, 1)."""

    x: np.ndarray
    y: np.ndarray
    cos: np.ndarray
    sin: np.ndarray
    yaw: np.ndarray
    pitch: np.ndarray
    value: dict[str, np.ndarray]

    def place(self, someone: Person, u: float, v: float, lift: float = 0.0) -> tuple[np.ndarray, ...]:
        """Where the surface point (u, v) stands after yaw and pitch, and its foreshortening in x and y."""
        radius = someone.face_width * 1.12
        side, rise = min(max(u / radius, -0.95), 0.95), min(max(v / HEIGHT, -0.95), 0.95)
        across, down = math.asin(side) + self.yaw, math.asin(rise) + self.pitch
        scale_x = np.cos(across) / math.sqrt(1.0 - side * side)
        scale_y = np.cos(down) / math.sqrt(1.0 - rise * rise)
        return (radius + lift) * np.sin(across), (HEIGHT + lift) * np.sin(down), scale_x, scale_y


def pose(someone: Person, values: np.ndarray) -> Head:
    value = {name: _column(values[:, i]) for name, i in INDEX.items()}
    roll = value["roll"] * ROLL
    return Head(
        x=value["shift_x"] * SHIFT,
        y=HEAD_Y + value["shift_y"] * SHIFT,
        cos=np.cos(roll),
        sin=np.sin(roll),
        yaw=np.clip(value["yaw"] * YAW, -0.75, 0.75),
        pitch=np.clip(value["pitch"] * PITCH, -0.6, 0.6),
        value=value,
    )


class Canvas:
    """An image stack (3, N, H, W) with head-aligned local coordinates in boxes."""

    def __init__(self, image: np.ndarray, head: Head):
        self.image = image
        self.head = head
        self.size = image.shape[-1]
        self.px = self.size / 2.0 * ZOOM  # pixels per unit
        self.x, self.y = axes(self.size)

    def everything(self):
        return self._coordinates(0, self.size, 0, self.size)

    def _coordinates(self, y0: int, y1: int, x0: int, x1: int):
        head = self.head
        x = self.x[x0:x1].reshape(1, 1, -1) - head.x
        y = self.y[y0:y1].reshape(1, -1, 1) - head.y
        u = head.cos * x + head.sin * y
        v = head.cos * y - head.sin * x
        return (slice(None), slice(y0, y1), slice(x0, x1)), u, v

    def box(self, u0, u1, v0, v1):
        """The smallest pixel box over all frames holding the head-local rectangle; (index, u, v)."""
        head, low, high = self.head, [], []
        for u, v in ((u0, v0), (u0, v1), (u1, v0), (u1, v1)):
            x = head.x + head.cos * u - head.sin * v
            y = head.y + head.sin * u + head.cos * v
            low.append((float(x.min()), float(y.min())))
            high.append((float(x.max()), float(y.max())))
        x0, y0 = (self.pixel(min(p[i] for p in low), i, -1) for i in (0, 1))
        x1, y1 = (self.pixel(max(p[i] for p in high), i, 2) for i in (0, 1))
        return self._coordinates(y0, max(y1, y0 + 1), x0, max(x1, x0 + 1))

    def pixel(self, position: float, vertical: int, margin: int) -> int:
        centre = ZOOM_Y if vertical else 0.0
        picture = (position - centre) * ZOOM + centre
        pixel = math.floor((picture + 1.0) * self.size / 2.0) + margin
        return min(max(pixel, 0), self.size - (margin < 0))

    def paint(self, index, alpha: np.ndarray, colour) -> None:
        """Composite `colour` (three floats or three arrays) with coverage `alpha`."""
        for channel in range(3):
            layer = self.image[channel][index]
            layer += alpha * (colour[channel] - layer)


def cover(distance: np.ndarray, px: float) -> np.ndarray:
    """Pixel coverage of a signed distance (negative inside)."""
    return np.clip(0.5 - distance * np.float32(px), 0.0, 1.0)


def soft(distance: np.ndarray, width: float) -> np.ndarray:
    """Soft step: 1 inside, 0 outside, over `width`."""
    return np.clip(0.5 - distance / np.float32(width), 0.0, 1.0)


def ellipse(u, v, a, b):
    """Approximate signed distance to an axis-aligned ellipse."""
    x, y = u / a, v / b
    return (x * x + y * y - 1.0) * 0.5 / np.sqrt((x / a) ** 2 + (y / b) ** 2 + 1e-6)


def blob(u, v, a, b):
    x, y = u / a, v / b
    return np.exp(-(x * x + y * y))
