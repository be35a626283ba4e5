"""What surrounds a face: hair, scarf, neck, shoulders and background."""

from functools import lru_cache

import numpy as np

from dyads.seeding import rng
from dyads.synthetic.drawing.canvas import Canvas, axes, cover, ellipse, soft
from dyads.synthetic.identities import Person, person

HAIRLINES = {  # height on the forehead, and its bend towards the temples (quadratic, quartic)
    "short": (-0.46, 1.15, 0.0),
    "side": (-0.47, 1.1, 0.0),
    "fringe": (-0.37, 0.1, 3.5),
    "long": (-0.49, 1.6, 2.0),
    "bob": (-0.38, 0.15, 5.5),
    "bun": (-0.47, 1.25, 0.0),
    "curly": (-0.44, 0.9, 1.0),
    "receding": (-0.60, 1.75, 0.0),
    "scarf": (-0.45, 0.75, 4.0),
}


def _shaded_hair(someone: Person, u, v):
    """Hair colour with a soft highlight and strands, as three arrays."""
    shade = 0.95 + 0.24 * np.exp(-(((v + 0.60 - 0.25 * u * u) / 0.12) ** 2)) + (0.10 * someone.light) * u
    shade += 0.035 * np.sin(u * (41.0 + 9.0 * v)) * np.sin(u * 17.0 + 3.0 * v + 1.0)
    return [shade * np.float32(c) + 0.01 for c in someone.hair]


def hair_back(canvas: Canvas, someone: Person) -> None:
    style, wide, top = someone.style, someone.face_width, someone.face_top
    if style in ("long", "bob"):
        end = 0.98 if style == "long" else 0.52
        index, u, v = canvas.box(-wide - 0.3, wide + 0.3, -top - 0.15, end + 0.05)
        width = wide * 1.16 + 0.07 * np.clip(v + 0.1, 0.0, 1.0) - 0.02 * np.sin(v * 9.0)
        body = np.maximum(np.abs(u) - width, v - end)
        distance = np.where(v < -0.1, ellipse(u, v + 0.1, wide * 1.16, top + 0.01), np.maximum(body, -v - 0.12))
    elif style == "curly":
        index, u, v = canvas.box(-wide - 0.3, wide + 0.3, -top - 0.3, 0.3)
        bumps = 0.022 * np.sin(11.0 * np.arctan2(v + 0.18, u))
        distance = ellipse(u, v + 0.2, wide * 1.26, top * 0.93) + bumps
    elif style == "bun":
        x, y, _, _ = canvas.head.place(someone, 0.0, -0.2)
        index, u, v = canvas.box(-0.6, 0.6, -top - 0.4, -top + 0.2)
        distance = ellipse(u + 0.4 * x, v + top + 0.08, 0.23, 0.2)
    elif style == "scarf":
        index, u, v = canvas.box(-wide - 0.35, wide + 0.35, -top - 0.2, 1.0)
        width = wide * 1.17 - 0.10 * np.clip(v, 0.0, 0.6) + 0.5 * np.clip(v - 0.55, 0.0, 1.0)
        distance = np.where(v < -0.05, ellipse(u, v + 0.05, wide * 1.17, top + 0.04), np.abs(u) - width)
        fold = 0.82 + 0.08 * np.sin(u * 13.0 + v * 7.0)
        canvas.paint(index, cover(distance, canvas.px), [fold * np.float32(c) for c in someone.cloth2])
        return
    else:
        return
    canvas.paint(index, cover(distance, canvas.px), [0.78 * c for c in _shaded_hair(someone, u, v)])


def hair_front(canvas: Canvas, someone: Person) -> None:
    style = someone.style
    if style == "bald":
        return
    head, wide, top = canvas.head, someone.face_width, someone.face_top
    x, y, _, _ = head.place(someone, 0.0, -0.35)
    line, bend, power = HAIRLINES[style]
    low = 0.55 if style in ("long", "bob", "scarf") else 0.12
    index, u, v = canvas.box(-wide - 0.1, wide + 0.1, -top - 0.16, low)
    w = u - x
    w2 = w * w
    edge = line + (y + 0.35) * 0.9 + bend * w2 + power * w2 * w2
    if style == "side":
        edge = edge + 0.13 * w + 0.04 * np.sin(6.0 * w + 1.0)
    elif style in ("fringe", "bob"):
        edge = edge + 0.012 * np.sin(34.0 * w)
    elif style == "curly":
        edge = edge + 0.02 * np.sin(24.0 * w)
    grow = {"curly": 0.07, "scarf": 0.07, "receding": 0.015, "short": 0.035}.get(style, 0.05)
    outer = ellipse(u, v, wide + grow * (np.clip(-2.5 * v, -0.4, 1.0) if low < 0.2 else 1.0), top + grow)
    distance = np.maximum(outer, np.maximum((v - edge) * 0.8, v - low + 0.04))
    shadow = soft(np.maximum(np.maximum(outer + 0.05, (v - edge - 0.05) * 0.8), v - low + 0.08), 0.12)
    canvas.paint(index, 0.16 * shadow, [0.4 * c for c in someone.skin])
    if style == "scarf":
        fold = 0.98 + 0.07 * np.sin(u * 9.0 + v * 11.0)
        colour = [fold * np.float32(c) for c in someone.cloth2]
    else:
        colour = _shaded_hair(someone, w, v)
    canvas.paint(index, cover(distance, canvas.px), colour)


def neck(canvas: Canvas, someone: Person) -> None:
    """The neck joins the moving head to the resting shoulders; its lower end is the neckline."""
    px = canvas.px
    first, last = canvas.pixel(0.30, 1, 0), canvas.pixel(0.86, 1, 1)
    reach = someone.neck + 0.25
    left, right = canvas.pixel(-reach, 0, 0), canvas.pixel(reach, 0, 1)
    y = canvas.y[first:last].reshape(1, -1, 1)
    x = canvas.x[left:right].reshape(1, 1, -1)
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
    shadow = soft(y - head.y - (someone.face_bottom + 0.09), 0.2)
    shade = (0.93 - 0.26 * shadow) * (1.0 + 0.18 * someone.light * x)
    colour = someone.cloth if someone.neckline == "turtle" else someone.skin
    if someone.style == "scarf":
        colour = tuple(0.8 * c for c in someone.cloth2)
    index = (slice(None), slice(first, last), slice(left, right))
    canvas.paint(index, cover(distance, px), [shade * np.float32(c) for c in colour])


@lru_cache(maxsize=160)
def backdrop(identity: int, size: int, world_seed: int) -> np.ndarray:
    """Background and shoulders of a person, float32 (3, size, size), supersampled; they rest."""
    someone, fine = person(identity, world_seed), size * 3
    x, y = axes(fine)
    x, y = x[None, :], y[:, None]
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
            mix = np.maximum(mix, 0.8 * np.exp(-((((x - px) / r) ** 2 + ((y - py) / r) ** 2) ** 2)))
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
