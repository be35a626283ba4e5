"""Draws a person from face coefficients: signed-distance shapes with analytic antialiasing, vectorised over frames.

Image coordinates run from -1 to 1 in x (right) and y (down). The head is a sphere-like surface: yaw and pitch move the
features over it (2.5D parallax), roll rotates, shift translates. Full scale of the pose coefficients: yaw 1 = 26 degrees
to the image's right, pitch 1 = 18 degrees downwards, roll 1 = 18 degrees clockwise, shift 1 = 0.16 half-widths.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dyads.errors import DataError
from dyads.seeding import rng
from dyads.synthetic.coefficients import COEFFICIENTS, INDEX, neutral
from dyads.synthetic.identities import Person, person

YAW, PITCH, ROLL, SHIFT = np.radians(26.0), np.radians(18.0), np.radians(18.0), 0.16
HEAD_Y = -0.10  # centre of the head
WHITE = np.array([0.97, 0.96, 0.95], np.float32)
INSIDE = np.array([0.22, 0.05, 0.07], np.float32)
TONGUE = np.array([0.72, 0.30, 0.32], np.float32)


def render_frames(identity: int, coefficients: np.ndarray, size: int = 64, world_seed: int = 0) -> np.ndarray:
    """Render coefficients (T, 17) of `identity` as uint8 RGB frames (T, size, size, 3)."""
    values = np.asarray(coefficients, np.float32)
    if values.ndim != 2 or values.shape[1] != len(COEFFICIENTS) or not np.isfinite(values).all():
        raise DataError(f"coefficients of shape {values.shape} must be finite and (frames, {len(COEFFICIENTS)}).")
    someone = person(identity, world_seed)
    backdrop = _backdrop(identity, size, world_seed)
    frames = np.empty((len(values), size, size, 3), np.uint8)
    step = int(np.clip(65_536 // (size * size), 1, 32))
    for first in range(0, len(values), step):
        image = _draw(someone, values[first : first + step], backdrop)
        np.clip(image, 0.0, 1.0, out=image)
        image *= 255.0
        image += 0.5
        frames[first : first + step] = image.astype(np.uint8).transpose(1, 2, 3, 0)
    return frames


def face_regions(identity: int, size: int = 64, world_seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Face and lip masks at the neutral pose, float32 (size, size) in [0, 1]; the lip mask covers an open mouth."""
    someone = person(identity, world_seed)
    head = _head(someone, neutral(1))
    canvas = _Canvas(np.zeros((3, 1, size, size), np.float32), head)
    box = canvas.everything()
    face = _cover(_face_distance(someone, head, *box[1:])[0], canvas.px)[0]
    width, top, bottom = someone.mouth_width * 1.3, someone.mouth_y - 0.10, someone.mouth_y + 0.22
    _, u, v = box
    distance = np.maximum(np.abs(u) - width, np.abs(v - (top + bottom) / 2) - (bottom - top) / 2)
    return face.astype(np.float32), _cover(distance, canvas.px)[0].astype(np.float32)


def _column(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32).reshape(-1, 1, 1)


@dataclass(frozen=True)
class _Head:
    """Per-frame pose and coefficient columns, each (N, 1, 1)."""

    x: np.ndarray
    y: np.ndarray
    cos: np.ndarray
    sin: np.ndarray
    yaw: np.ndarray
    pitch: np.ndarray
    value: dict[str, np.ndarray]

    def place(self, someone: Person, u: float, v: float, lift: float = 0.0) -> tuple[np.ndarray, ...]:
        """Where a surface point at neutral (u, v) stands after yaw and pitch, and its foreshortening (x, y)."""
        radius = someone.face_width * 1.12
        across = np.arcsin(np.clip(u / radius, -0.95, 0.95)) + self.yaw
        height = 0.74
        down = np.arcsin(np.clip(v / height, -0.95, 0.95)) + self.pitch
        scale_x = np.cos(across) / np.sqrt(1 - min((u / radius) ** 2, 0.9))
        scale_y = np.cos(down) / np.sqrt(1 - min((v / height) ** 2, 0.9))
        return (radius + lift) * np.sin(across), (height + lift) * np.sin(down), scale_x, scale_y


def _head(someone: Person, values: np.ndarray) -> _Head:
    value = {name: _column(values[:, i]) for name, i in INDEX.items()}
    roll = value["roll"] * ROLL
    return _Head(
        x=value["shift_x"] * SHIFT,
        y=HEAD_Y + value["shift_y"] * SHIFT,
        cos=np.cos(roll),
        sin=np.sin(roll),
        yaw=np.clip(value["yaw"] * YAW, -0.75, 0.75),
        pitch=np.clip(value["pitch"] * PITCH, -0.6, 0.6),
        value=value,
    )


class _Canvas:
    """An image stack (3, N, H, W) with head-aligned local coordinates in boxes."""

    def __init__(self, image: np.ndarray, head: _Head):
        self.image = image
        self.head = head
        self.size = image.shape[-1]
        self.px = self.size / 2.0
        self.axis = ((np.arange(self.size, dtype=np.float32) + 0.5) / self.px - 1.0).astype(np.float32)

    def everything(self):
        return self._coordinates(0, self.size, 0, self.size)

    def _coordinates(self, y0: int, y1: int, x0: int, x1: int):
        head = self.head
        x = self.axis[x0:x1].reshape(1, 1, -1) - head.x
        y = self.axis[y0:y1].reshape(1, -1, 1) - head.y
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
        x0, y0 = (self._pixel(min(p[i] for p in low), -1) for i in (0, 1))
        x1, y1 = (self._pixel(max(p[i] for p in high), 2) for i in (0, 1))
        return self._coordinates(y0, max(y1, y0 + 1), x0, max(x1, x0 + 1))

    def _pixel(self, position: float, margin: int) -> int:
        return int(np.clip(np.floor((position + 1.0) * self.px) + margin, 0, self.size - (margin < 0)))

    def paint(self, index, alpha: np.ndarray, colour) -> None:
        """Composite `colour` (three floats or three arrays) with coverage `alpha`."""
        for channel in range(3):
            layer = self.image[channel][index]
            layer += alpha * (colour[channel] - layer)


def _cover(distance: np.ndarray, px: float) -> np.ndarray:
    """Pixel coverage of a signed distance (negative inside)."""
    return np.clip(0.5 - distance * np.float32(px), 0.0, 1.0)


def _soft(distance: np.ndarray, width: float) -> np.ndarray:
    """Soft step: 1 inside, 0 outside, over `width`."""
    return np.clip(0.5 - distance / np.float32(width), 0.0, 1.0)


def _ellipse(u, v, a, b):
    """Approximate signed distance to an axis-aligned ellipse."""
    x, y = u / a, v / b
    return (x * x + y * y - 1.0) * 0.5 / np.sqrt((x / a) ** 2 + (y / b) ** 2 + 1e-6)


def _blob(u, v, a, b):
    x, y = u / a, v / b
    return np.exp(-(x * x + y * y))


def _face_distance(someone: Person, head: _Head, u, v, grow: float = 0.0):
    """Signed distance to the face outline, and normalised coordinates (un, vn, r2)."""
    bottom = someone.face_bottom + 0.045 * head.value["jaw_open"] - 0.06 * head.pitch
    top = someone.face_top + 0.05 * head.pitch
    lower = np.maximum(v, 0.0) / (bottom + grow)
    vn = lower + np.minimum(v, 0.0) / (top + grow)
    width = (someone.face_width + grow) * (1.0 - someone.taper * lower * lower)
    un = (u - (0.16 * np.sin(head.yaw)) * lower) / width
    u2, v2 = un * un, vn * vn
    r2 = u2 + v2 - np.float32(someone.square) * u2 * v2
    slope = np.sqrt(u2 / (someone.face_width**2) + v2 / 0.47 + 1e-6)
    return (r2 - 1.0) * 0.5 / slope, un, vn, r2


def _draw(someone: Person, values: np.ndarray, backdrop: np.ndarray) -> np.ndarray:
    head = _head(someone, values)
    image = np.repeat(backdrop[:, None], len(values), axis=1)
    canvas = _Canvas(image, head)
    _hair_back(canvas, someone)
    _neck(canvas, someone)
    _ears(canvas, someone)
    _face(canvas, someone)
    _nose(canvas, someone)
    _mouth(canvas, someone)
    for side in (-1, 1):
        _eye(canvas, someone, side)
    _hair_front(canvas, someone)
    for side in (-1, 1):
        _brow(canvas, someone, side)
    if someone.glasses:
        _glasses(canvas, someone)
    return image


def _shaded_hair(someone: Person, u, v):
    """Hair colour with a soft highlight and strands, as three arrays."""
    shade = 0.92 + 0.30 * np.exp(-(((v + 0.62 + 0.1 * u) / 0.13) ** 2)) + 0.06 * np.sin(u * 38.0 + 2.0 * v)
    shade = shade + 0.10 * someone.light * u
    return [shade * np.float32(c) + 0.01 for c in someone.hair]


def _hair_back(canvas: _Canvas, someone: Person) -> None:
    style, wide, top = someone.style, someone.face_width, someone.face_top
    if style in ("long", "bob"):
        end = 0.98 if style == "long" else 0.52
        index, u, v = canvas.box(-wide - 0.3, wide + 0.3, -top - 0.15, end + 0.05)
        width = wide * 1.16 + 0.07 * np.clip(v + 0.1, 0.0, 1.0) - 0.02 * np.sin(v * 9.0)
        body = np.maximum(np.abs(u) - width, v - end)
        distance = np.where(v < -0.1, _ellipse(u, v + 0.1, wide * 1.16, top + 0.01), np.maximum(body, -v - 0.12))
    elif style == "curly":
        index, u, v = canvas.box(-wide - 0.3, wide + 0.3, -top - 0.3, 0.3)
        bumps = 0.022 * np.sin(11.0 * np.arctan2(v + 0.18, u))
        distance = _ellipse(u, v + 0.2, wide * 1.26, top * 0.93) + bumps
    elif style == "bun":
        x, y, _, _ = canvas.head.place(someone, 0.0, -0.2)
        index, u, v = canvas.box(-0.6, 0.6, -top - 0.4, -top + 0.2)
        distance = _ellipse(u + 0.4 * x, v + top + 0.08, 0.23, 0.2)
    elif style == "scarf":
        index, u, v = canvas.box(-wide - 0.35, wide + 0.35, -top - 0.2, 1.0)
        width = wide * 1.17 - 0.10 * np.clip(v, 0.0, 0.6) + 0.5 * np.clip(v - 0.55, 0.0, 1.0)
        distance = np.where(v < -0.05, _ellipse(u, v + 0.05, wide * 1.17, top + 0.04), np.abs(u) - width)
        fold = 0.82 + 0.08 * np.sin(u * 13.0 + v * 7.0)
        canvas.paint(index, _cover(distance, canvas.px), [fold * np.float32(c) for c in someone.cloth2])
        return
    else:
        return
    canvas.paint(index, _cover(distance, canvas.px), [0.78 * c for c in _shaded_hair(someone, u, v)])


def _neck(canvas: _Canvas, someone: Person) -> None:
    """The neck joins the moving head to the resting shoulders; its lower end is the neckline."""
    px = canvas.px
    first, last = int(1.30 * px), min(int(1.86 * px) + 1, canvas.size)
    reach = someone.neck + 0.25
    left, right = int((1 - reach) * px), int((1 + reach) * px) + 1
    y = canvas.axis[first:last].reshape(1, -1, 1)
    x = canvas.axis[left:right].reshape(1, 1, -1)
    along = np.clip((y - 0.3) / 0.4, 0.0, 1.0)
    head = canvas.head
    x = x - (1.0 - along) * (head.x + 0.45 * head.sin * -0.9)
    width = someone.neck * (1.0 + 0.10 * along * along)
    depth = 0.66
    if someone.neckline in ("crew", "turtle"):
        end = depth + 0.10 * np.sqrt(np.maximum(1.0 - (x / width) ** 2, 0.0))
    else:
        end = depth + 0.16 * (1.0 - np.abs(x) / width)
    distance = np.maximum(np.abs(x) - width, y - end)
    shadow = _soft(y - head.y - (someone.face_bottom + 0.09), 0.2)
    shade = (0.93 - 0.26 * shadow) * (1.0 + 0.18 * someone.light * x)
    colour = someone.cloth if someone.neckline == "turtle" else someone.skin
    if someone.style == "scarf":
        colour = tuple(0.8 * c for c in someone.cloth2)
    index = (slice(None), slice(first, last), slice(left, right))
    canvas.paint(index, _cover(distance, px), [shade * np.float32(c) for c in colour])


def _ears(canvas: _Canvas, someone: Person) -> None:
    if someone.style in ("long", "bob", "scarf"):
        return
    for side in (-1, 1):
        x = side * someone.face_width * 0.99 * np.cos(canvas.head.yaw) - 0.05 * np.sin(canvas.head.yaw)
        y = someone.eye_y + 0.11 - 0.2 * np.sin(canvas.head.pitch)
        index, u, v = canvas.box(x - 0.1, x + 0.1, y - 0.18, y + 0.18)
        distance = _ellipse(u - x, v - y, 0.075, 0.135)
        shade = 0.90 + 0.10 * someone.light * side - 0.18 * _blob(u - x, v - y, 0.035, 0.08)
        canvas.paint(index, _cover(distance, canvas.px), [shade * np.float32(c) for c in someone.skin])


def _face(canvas: _Canvas, someone: Person) -> None:
    head, wide = canvas.head, someone.face_width
    index, u, v = canvas.box(-wide - 0.05, wide + 0.05, -someone.face_top - 0.05, someone.face_bottom + 0.12)
    distance, un, vn, r2 = _face_distance(someone, head, u, v)
    facing = un - 0.5 * np.sin(head.yaw)
    shade = 1.05 + (0.10 * someone.light) * facing - (0.07 * someone.light_y) * vn - 0.13 * r2 * r2
    cheek, smile = head.value["cheek"], np.maximum(head.value["smile"], 0.0)
    blush = 0.0
    for side in (-1, 1):
        x, y, scale, _ = head.place(someone, side * 0.27, 0.17)
        spot = _blob(u - x, v - y + 0.04 * cheek, 0.13 * np.maximum(scale, 0.3), 0.10)
        blush = blush + spot * (0.10 * someone.blush + 0.10 * cheek)
        shade = shade + spot * (0.05 * cheek)
    frown = head.value["brow_furrow"]
    x, y, _, _ = head.place(someone, 0.0, someone.eye_y - 0.15)
    shade = shade - (0.16 * np.maximum(frown, 0.0)) * _blob(u - x, v - y, 0.05, 0.07)
    x, y, _, _ = head.place(someone, 0.0, someone.mouth_y + 0.13)
    shade = shade - 0.07 * _blob(u - x, v - y - 0.05 * head.value["jaw_open"], 0.12, 0.035)
    for side in (-1, 1):  # fold from the nose to the corner of a smiling mouth
        x, y, _, _ = head.place(someone, side * (someone.mouth_width + 0.035), someone.mouth_y - 0.06)
        shade = shade - (0.15 * smile) * _blob(u - x - side * 0.35 * (v - y), v - y, 0.022, 0.09)
    if someone.beard:
        x, y, _, _ = head.place(someone, 0.0, someone.mouth_y)
        line = v - y + 0.10 - 1.1 * (u - x) ** 2
        area = np.maximum(-line, _ellipse(u - x, v - y + 0.02, someone.mouth_width * 0.92, 0.09) * -1.0)
        mix = _soft(area, 0.05) * np.float32(someone.beard)
    colour = []
    for c, (base, tint) in enumerate(zip(someone.skin, (0.10, -0.55, -0.45), strict=True)):
        tone = np.float32(base) * (shade + blush * np.float32(tint))
        if someone.beard:
            tone = tone + mix * (np.float32(someone.hair[c] * 0.75) * shade - tone)
        colour.append(tone)
    canvas.paint(index, _cover(distance, canvas.px), colour)


def _nose(canvas: _Canvas, someone: Person) -> None:
    head = canvas.head
    tip = someone.eye_y + someone.nose_length
    x, y, _, _ = head.place(someone, 0.0, tip, lift=0.10)
    bx, by, _, _ = head.place(someone, 0.0, someone.eye_y, lift=0.03)
    wide = someone.nose_width
    index, u, v = canvas.box(
        np.minimum(x, bx) - wide - 0.07, np.maximum(x, bx) + wide + 0.07, by - 0.05, y + 0.09
    )
    along = np.clip((v - by) / np.maximum(y - by, 0.05), 0.0, 1.0)
    middle = bx + (x - bx) * along
    side = -np.sign(someone.light)
    bridge = np.exp(-(((u - middle - side * 0.05) / 0.028) ** 2)) * along * _soft(v - y, 0.08)
    shadow = 0.13 * bridge + 0.22 * _blob(u - x, v - y - 0.045, wide * 1.05, 0.026)
    for s in (-1, 1):
        shadow = shadow + 0.32 * _blob(u - x - s * wide * 0.5, v - y - 0.028, 0.026, 0.018)
    light = 0.13 * _blob(u - x + side * 0.02, v - y + 0.015, 0.04, 0.04) + 0.06 * np.exp(
        -(((u - middle + side * 0.01) / 0.03) ** 2)) * _soft(v - y, 0.1) * along  # fmt: skip
    canvas.paint(index, np.clip(shadow, 0, 1), [c * 0.42 for c in someone.skin])
    canvas.paint(index, light, (1.0, 0.97, 0.93))
    if someone.freckles:
        for i in range(10):
            angle = rng(someone.index, "synthetic.freckle", i).uniform(-1, 1, 2)
            fx, fy, _, _ = head.place(someone, 0.30 * angle[0], 0.10 + 0.06 * angle[1])
            at, u, v = canvas.box(fx - 0.03, fx + 0.03, fy - 0.03, fy + 0.03)
            canvas.paint(at, 0.3 * someone.freckles * _blob(u - fx, v - fy, 0.014, 0.014), (0.45, 0.25, 0.14))


def _mouth(canvas: _Canvas, someone: Person) -> None:
    head, value = canvas.head, canvas.head.value
    x, y, sx, sy = head.place(someone, 0.0, someone.mouth_y, lift=0.03)
    sx = np.maximum(sx, 0.4)
    smile, jaw, press = value["smile"], np.clip(value["jaw_open"], 0.0, 1.3), np.clip(value["lip_press"], 0.0, 1.0)
    spread, pucker = value["lip_width"], np.clip(value["lip_round"], 0.0, 1.2)
    wide = someone.mouth_width * sx * (1.0 + 0.22 * spread - 0.36 * pucker + 0.20 * np.maximum(smile, 0) - 0.06 * press)
    wide = np.maximum(wide, 0.05)
    reach = 0.42
    index, u, v = canvas.box(x - reach, x + reach, y - 0.22, y + 0.36)
    s = (u - x) / wide
    v = v - y
    s2 = s * s
    arch = np.maximum(1.0 - s2, 0.0)
    round_arch = np.sqrt(arch)
    gap = jaw * (1.0 - press)
    shape = arch + 0.35 * (round_arch - arch)  # between parabola and ellipse
    corner = -0.085 * smile * (np.minimum(s2, 1.6) - 0.55)  # corners up when smiling
    upper_inner = corner - 0.028 * gap * shape
    lower_inner = corner + 0.215 * gap * shape
    thin = (1.0 - 0.55 * press) * (1.0 + 0.35 * pucker) * (1.0 - 0.15 * np.abs(smile))
    bow = 1.0 - 0.22 * np.exp(-((s / 0.16) ** 2)) * (1.0 - pucker)
    upper_outer = upper_inner - (someone.lip_upper * thin * bow) * round_arch
    lower_outer = lower_inner + (someone.lip_lower * thin) * round_arch
    ends = (np.abs(s) - 1.0) * wide
    lips = _cover(np.maximum(np.maximum(upper_outer - v, v - lower_outer), ends), canvas.px)
    if someone.moustache:
        bar = np.abs(v - upper_outer + 0.045 + 0.03 * np.minimum(s2, 1.5) * -1.0) - 0.034 * np.sqrt(
            np.maximum(1.0 - (s / 1.12) ** 2, 0.0))  # fmt: skip
        hair = [c * 0.8 for c in someone.hair]
        canvas.paint(index, _cover(np.maximum(bar, (np.abs(s) - 1.12) * wide), canvas.px) * 0.9, hair)
    crease = _soft(np.abs(v - corner) - 0.002, 0.022) * _soft(ends - 0.012, 0.03)
    tone = 1.0 - 0.16 * _soft(v - corner, 0.02) + 0.12 * _blob(s, (v - lower_inner - 0.022) / 0.02, 0.45, 1.0)
    canvas.paint(index, lips, [tone * np.float32(c) for c in someone.lips])
    dark = [0.42 * c for c in someone.lips]
    canvas.paint(index, crease * (0.75 * np.clip(1.0 - 4.0 * gap, 0.0, 1.0)), dark)
    opening = np.maximum(np.maximum(upper_inner - v, v - lower_inner), ends)
    inside = _cover(opening, canvas.px) * np.clip(gap * 14.0, 0.0, 1.0)
    canvas.paint(index, inside, INSIDE)
    tongue = inside * _soft(_ellipse(s, v - lower_inner - 0.015, 0.62, 0.02 + 0.075 * gap), 0.2)
    canvas.paint(index, tongue * 0.85, TONGUE)
    teeth = inside * _cover(v - upper_inner - (0.012 + 0.05 * np.minimum(gap * 2.0, 1.0)) * shape, canvas.px)
    canvas.paint(index, teeth * (1.0 - 0.6 * np.clip(pucker, 0, 1)), WHITE * 0.97)


def _eye(canvas: _Canvas, someone: Person, side: int) -> None:
    head, value = canvas.head, canvas.head.value
    x, y, sx, sy = head.place(someone, side * someone.eye_gap, someone.eye_y)
    sx, sy = np.clip(sx, 0.35, 1.25), np.clip(sy, 0.6, 1.1)
    wide = someone.eye_width * sx
    high = someone.eye_height * sy
    is_open = np.clip(value["eye_open"], 0.0, 1.35)
    squint = np.clip(value["cheek"], 0.0, 1.0)
    index, u, v = canvas.box(x - 0.2, x + 0.2, y - 0.18, y + 0.13)
    s = (u - x) / wide
    v = v - y - (side * someone.eye_tilt * wide) * s
    arch = 1.0 - s * s
    lower_high = 0.62 * high * (1.0 - 0.40 * squint) + 0.05 * high * np.maximum(is_open - 1.0, 0.0)
    upper_high = -0.75 * lower_high + (0.95 * high + 0.75 * lower_high) * is_open ** 0.9
    upper = -upper_high * (arch + 0.25 * (np.sqrt(np.maximum(arch, 0.0)) - np.maximum(arch, 0.0)))
    lower = lower_high * arch
    shut = np.clip(1.2 * is_open * 4.0, 0.0, 1.0)
    hollow = _blob(s, (v - upper) / (0.09 * sy), 1.15, 1.0)
    canvas.paint(index, 0.16 * hollow, [0.45 * c for c in someone.skin])
    eye = _cover(np.maximum(upper - v, v - lower), canvas.px * 0.85) * shut
    shade = 1.0 - 0.35 * _soft(v - upper - 0.018, 0.035)
    canvas.paint(index, eye, [shade * c for c in WHITE])
    gx = x + np.clip(value["gaze_x"] + 0.25 * np.sin(head.yaw), -1, 1) * 0.055 * sx
    gy = np.clip(value["gaze_y"], -1, 1) * 0.035 - 0.01
    distance = np.sqrt(((u - gx) / np.maximum(sx, 0.6)) ** 2 + (v - gy) ** 2)
    iris = someone.iris_size
    ring = [np.float32(c) * (1.15 - 0.45 * _soft(iris * 0.75 - distance, 0.03)) for c in someone.iris]
    canvas.paint(index, eye * _cover(distance - iris, canvas.px), ring)
    canvas.paint(index, eye * _cover(distance - iris * 0.5, canvas.px), (0.03, 0.03, 0.04))
    glint = _cover(np.sqrt((u - gx - 0.025 * np.sign(someone.light)) ** 2 + (v - gy + 0.028) ** 2) - 0.019, canvas.px)
    canvas.paint(index, eye * glint * 0.95, (1.0, 1.0, 1.0))
    span = _soft(np.abs(s) - 1.06, 0.12)
    thick = 0.017 if someone.female else 0.012
    lash = _cover(np.abs(v - upper) - thick, canvas.px) * span
    canvas.paint(index, lash * 0.9, [0.22 * c for c in someone.skin] if not someone.female else (0.08, 0.06, 0.06))
    canvas.paint(index, _cover(np.abs(v - lower) - 0.004, canvas.px) * span * (0.35 + 0.3 * squint),
                 [0.4 * c for c in someone.skin])  # fmt: skip


def _brow(canvas: _Canvas, someone: Person, side: int) -> None:
    head, value = canvas.head, canvas.head.value
    raised, furrow, inner = value["brow_raise"], value["brow_furrow"], value["brow_inner"]
    x, y, sx, sy = head.place(someone, side * (someone.eye_gap + 0.005), someone.eye_y - someone.brow_gap)
    sx = np.clip(sx, 0.35, 1.25)
    x = x - side * 0.028 * furrow * sx
    wide = (someone.eye_width + 0.025) * sx
    y = y - 0.085 * raised + 0.035 * furrow - 0.015 * inner
    index, u, v = canvas.box(x - 0.22, x + 0.22, y - 0.2, y + 0.17)
    s = side * (u - x) / wide  # -1 at the nose, +1 at the temple
    toward_nose = 0.5 * (1.0 - s)
    curve = -(someone.brow_arch + 0.03 * raised) * (1.0 - s * s)
    curve = curve + furrow * 0.085 * (toward_nose - 0.3) - inner * 0.125 * (toward_nose - 0.35)
    thick = someone.brow_thick * (1.0 + 0.25 * furrow) * np.clip(1.05 - 0.35 * np.maximum(s, 0.0) - 0.1 * s, 0.3, 1.5)
    distance = np.maximum(np.abs(v - y - curve) - thick, (np.abs(s) - 1.0) * wide)
    canvas.paint(index, _cover(distance, canvas.px) * 0.95, someone.brow)


def _hair_front(canvas: _Canvas, someone: Person) -> None:
    style = someone.style
    if style == "bald":
        return
    head, wide, top = canvas.head, someone.face_width, someone.face_top
    x, y, _, _ = head.place(someone, 0.0, -0.35)
    line, bend, power = {
        "short": (-0.44, 1.15, 0.0), "side": (-0.43, 1.0, 0.0), "fringe": (-0.30, 0.1, 3.5), "long": (-0.47, 1.6, 2.0),
        "bob": (-0.31, 0.15, 5.5), "bun": (-0.46, 1.25, 0.0), "curly": (-0.42, 0.9, 1.0), "receding": (-0.60, 1.75, 0.0),
        "scarf": (-0.42, 0.75, 4.0),
    }[style]  # fmt: skip
    low = 0.55 if style in ("long", "bob", "scarf") else 0.12
    index, u, v = canvas.box(-wide - 0.1, wide + 0.1, -top - 0.16, low)
    w = u - x
    w2 = w * w
    edge = line + (y - 0.74 * np.sin(np.arcsin(-0.35 / 0.74))) * 0.9 + bend * w2 + power * w2 * w2
    if style == "side":
        edge = edge + 0.16 * w + 0.05 * np.sin(6.0 * w + 1.0)
    elif style in ("fringe", "bob"):
        edge = edge + 0.012 * np.sin(34.0 * w)
    elif style == "curly":
        edge = edge + 0.02 * np.sin(24.0 * w)
    grow = {"curly": 0.07, "scarf": 0.07, "receding": 0.015, "short": 0.035}.get(style, 0.05)
    outer = _ellipse(u, v, wide + grow, top + grow)
    distance = np.maximum(outer, np.maximum((v - edge) * 0.8, v - low + 0.04))
    shadow = _soft(np.maximum(outer + 0.05, (v - edge - 0.05) * 0.8), 0.12)
    canvas.paint(index, 0.16 * shadow, [0.4 * c for c in someone.skin])
    if style == "scarf":
        fold = 0.98 + 0.07 * np.sin(u * 9.0 + v * 11.0)
        colour = [fold * np.float32(c) for c in someone.cloth2]
    else:
        colour = _shaded_hair(someone, w, v)
    canvas.paint(index, _cover(distance, canvas.px), colour)


def _glasses(canvas: _Canvas, someone: Person) -> None:
    head = canvas.head
    rim = 0.014 if someone.glasses == 1 else 0.019
    frame = (0.10, 0.09, 0.10) if someone.glasses == 1 else tuple(0.45 * c for c in someone.cloth2)
    for side in (-1, 1):
        x, y, sx, _ = head.place(someone, side * (someone.eye_gap + 0.005), someone.eye_y + 0.015, lift=0.03)
        sx = np.clip(sx, 0.35, 1.2)
        index, u, v = canvas.box(x - 0.26, x + 0.26, y - 0.19, y + 0.19)
        distance = _ellipse(u - x, v - y, 0.19 * sx, 0.15)
        canvas.paint(index, 0.05 * _cover(distance, canvas.px), (1.0, 1.0, 1.0))
        canvas.paint(index, _cover(np.abs(distance) - rim, canvas.px), frame)
    x, y, _, _ = head.place(someone, 0.0, someone.eye_y - 0.01, lift=0.05)
    index, u, v = canvas.box(x - 0.06, x + 0.06, y - 0.05, y + 0.05)
    canvas.paint(index, _cover(np.maximum(np.abs(v - y + 0.01) - rim, np.abs(u - x) - 0.045), canvas.px), frame)


@lru_cache(maxsize=160)
def _backdrop(identity: int, size: int, world_seed: int) -> np.ndarray:
    """Background and shoulders of a person, float32 (3, size, size), supersampled; they rest."""
    someone, fine = person(identity, world_seed), size * 3
    axis = ((np.arange(fine, dtype=np.float32) + 0.5) / fine) * 2 - 1
    x, y = axis[None, :], axis[:, None]
    one, two = np.array(someone.backdrop, np.float32), np.array(someone.backdrop2, np.float32)
    g = rng(world_seed, "synthetic.backdrop", identity)
    if someone.background == "flat":
        mix = 0.25 * (x * x + y * y) * np.ones_like(x + y)
    elif someone.background == "gradient":
        mix = 0.5 + 0.5 * np.clip(y * g.uniform(0.6, 1.0) + x * g.uniform(-0.5, 0.5), -1, 1)
    elif someone.background == "two_tone":
        slope, place = g.uniform(-0.4, 0.4), g.uniform(-0.1, 0.5)
        mix = np.clip(0.5 + (y - place - slope * x) * size, 0, 1) * 0.9 + 0.05
    else:
        mix = np.zeros((fine, fine), np.float32)
        for _ in range(6):
            px, py, r = g.uniform(-1, 1), g.uniform(-1, 0.7), g.uniform(0.12, 0.4)
            mix = np.maximum(mix, 0.8 * np.exp(-(((x - px) / r) ** 2 + ((y - py) / r) ** 2) ** 2))
    image = one[:, None, None] * (1 - mix) + two[:, None, None] * mix
    cloth, cloth2 = (np.array(c, np.float32)[:, None, None] for c in (someone.cloth, someone.cloth2))
    shoulder = 0.66 + 0.36 * np.abs(x / someone.shoulders) ** 2.6 - 0.03 * (np.abs(x) < 0.01)
    body = np.clip(0.5 - (shoulder - y) * size * 1.5, 0, 1) * (np.abs(x) < 1.2)
    fold = 0.93 + 0.10 * someone.light * x - 0.10 * np.exp(-(((np.abs(x) - 0.55 - 0.3 * (y - 0.7)) / 0.05) ** 2))
    image = image * (1 - body) + body * cloth * (fold - 0.25 * np.clip(0.74 - y, 0, 0.1))
    trim = someone.neck * 1.1
    if someone.neckline == "shirt":
        flap = (np.abs(np.abs(x) - (trim - 0.08) * (1.15 - (y - 0.66) * 2.2)) < 0.075) & (y > 0.655) & (y < 0.9)
        image = np.where(flap, np.clip(cloth2 * 0.5 + 0.48, 0, 1) * (0.9 + 0.1 * someone.light * x), image)
    elif someone.neckline == "crew":
        ring = np.abs(np.sqrt((x / (trim + 0.05)) ** 2 + ((y - 0.66) / 0.15) ** 2) - 0.95) < 0.12
        image = np.where(ring & (y > 0.66), cloth * 0.78, image)
    small = image.reshape(3, size, 3, size, 3).mean(axis=(2, 4))
    return np.ascontiguousarray(small, np.float32)
