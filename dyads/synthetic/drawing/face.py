"""Skin and features of a face, drawn in the order of `render.py` from the pose and the coefficients."""

import math

import numpy as np

from dyads.synthetic.drawing.canvas import Canvas, Head, blob, cover, ellipse, soft
from dyads.synthetic.identities import Person

WHITE = np.array([0.97, 0.96, 0.95], np.float32)
INSIDE = np.array([0.22, 0.05, 0.07], np.float32)
TONGUE = np.array([0.72, 0.30, 0.32], np.float32)


def face_distance(someone: Person, head: Head, u, v, grow: float = 0.0):
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


def ears(canvas: Canvas, someone: Person) -> None:
    if someone.style in ("long", "bob", "scarf"):
        return
    for side in (-1, 1):
        x = side * someone.face_width * 0.99 * np.cos(canvas.head.yaw) - 0.05 * np.sin(canvas.head.yaw)
        y = someone.eye_y + 0.11 - 0.2 * np.sin(canvas.head.pitch)
        index, u, v = canvas.box(x - 0.1, x + 0.1, y - 0.18, y + 0.18)
        distance = ellipse(u - x, v - y, 0.075, 0.135)
        shade = 0.90 + 0.10 * someone.light * side - 0.18 * blob(u - x, v - y, 0.035, 0.08)
        canvas.paint(index, cover(distance, canvas.px), [shade * np.float32(c) for c in someone.skin])


def skin(canvas: Canvas, someone: Person) -> None:
    head, wide = canvas.head, someone.face_width
    index, u, v = canvas.box(-wide - 0.05, wide + 0.05, -someone.face_top - 0.05, someone.face_bottom + 0.12)
    distance, un, vn, r2 = face_distance(someone, head, u, v)
    facing = un - 0.5 * np.sin(head.yaw)
    shade = 1.05 + (0.10 * someone.light) * facing - (0.07 * someone.light_y) * vn - 0.13 * r2 * r2
    cheek, smile = head.value["cheek"], np.maximum(head.value["smile"], 0.0)
    blush = 0.0
    for side in (-1, 1):
        x, y, scale, _ = head.place(someone, side * 0.27, 0.17)
        spot = blob(u - x, v - y + 0.04 * cheek, 0.13 * np.maximum(scale, 0.3), 0.10)
        blush = blush + spot * (0.10 * someone.blush + 0.10 * cheek)
        shade = shade + spot * (0.05 * cheek)
    frown = head.value["brow_furrow"]
    x, y, _, _ = head.place(someone, 0.0, someone.eye_y - 0.15)
    shade = shade - (0.16 * np.maximum(frown, 0.0)) * blob(u - x, v - y, 0.05, 0.07)
    x, y, _, _ = head.place(someone, 0.0, someone.mouth_y + 0.13)
    shade = shade - 0.07 * blob(u - x, v - y - 0.05 * head.value["jaw_open"], 0.12, 0.035)
    for side in (-1, 1):  # fold from the nose to the corner of a smiling mouth
        x, y, _, _ = head.place(someone, side * (someone.mouth_width + 0.035), someone.mouth_y - 0.06)
        shade = shade - (0.15 * smile) * blob(u - x - side * 0.35 * (v - y), v - y, 0.022, 0.09)
    if someone.beard:
        x, y, _, _ = head.place(someone, 0.0, someone.mouth_y)
        line = v - y + 0.10 - 1.1 * (u - x) ** 2
        area = np.maximum(-line, ellipse(u - x, v - y + 0.02, someone.mouth_width * 0.92, 0.09) * -1.0)
        mix = soft(area, 0.05) * np.float32(someone.beard)
    colour = []
    for c, (base, tint) in enumerate(zip(someone.skin, (0.10, -0.55, -0.45), strict=True)):
        tone = np.float32(base) * (shade + blush * np.float32(tint))
        if someone.beard:
            tone = tone + mix * (np.float32(someone.brow[c] * 1.05) * shade - tone)
        colour.append(tone)
    canvas.paint(index, cover(distance, canvas.px), colour)


def nose(canvas: Canvas, someone: Person) -> None:
    head = canvas.head
    tip = someone.eye_y + someone.nose_length
    x, y, _, _ = head.place(someone, 0.0, tip, lift=0.10)
    bx, by, _, _ = head.place(someone, 0.0, someone.eye_y, lift=0.03)
    wide = someone.nose_width
    index, u, v = canvas.box(np.minimum(x, bx) - wide - 0.14, np.maximum(x, bx) + wide + 0.14, by - 0.05, y + 0.13)
    along = np.clip((v - by) / np.maximum(y - by, 0.05), 0.0, 1.0)
    middle = bx + (x - bx) * along
    side = -math.copysign(1.0, someone.light)
    bridge = np.exp(-(((u - middle - side * 0.05) / 0.028) ** 2)) * along * soft(v - y, 0.08)
    shadow = 0.13 * bridge + 0.22 * blob(u - x, v - y - 0.045, wide * 1.05, 0.026)
    for s in (-1, 1):
        shadow = shadow + 0.32 * blob(u - x - s * wide * 0.5, v - y - 0.028, 0.026, 0.018)
    ridge = np.exp(-(((u - middle + side * 0.01) / 0.03) ** 2)) * soft(v - y, 0.1) * along
    light = 0.13 * blob(u - x + side * 0.02, v - y + 0.015, 0.04, 0.04) + 0.06 * ridge
    canvas.paint(index, np.clip(shadow, 0, 1), [c * 0.42 for c in someone.skin])
    canvas.paint(index, light, (1.0, 0.97, 0.93))
    if someone.freckles:
        for across, down in someone.freckle_spots:
            fx, fy, _, _ = head.place(someone, 0.30 * across, 0.10 + 0.06 * down)
            at, u, v = canvas.box(fx - 0.03, fx + 0.03, fy - 0.03, fy + 0.03)
            canvas.paint(at, 0.3 * someone.freckles * blob(u - fx, v - fy, 0.014, 0.014), (0.45, 0.25, 0.14))


def mouth(canvas: Canvas, someone: Person) -> None:
    head, value = canvas.head, canvas.head.value
    x, y, sx, sy = head.place(someone, 0.0, someone.mouth_y, lift=0.03)
    sx = np.maximum(sx, 0.4)
    smile = value["smile"]
    jaw, press = np.clip(value["jaw_open"], 0.0, 1.3), np.clip(value["lip_press"], 0.0, 1.0)
    spread, pucker = value["lip_width"], np.clip(value["lip_round"], 0.0, 1.2)
    stretch = 1.0 + 0.22 * spread - 0.36 * pucker + 0.24 * np.maximum(smile, 0.0) - 0.06 * press
    wide = np.maximum(someone.mouth_width * sx * stretch, 0.05)
    reach = 0.42
    index, u, v = canvas.box(x - reach, x + reach, y - 0.22, y + 0.36)
    s = (u - x) / wide
    v = v - y
    s2 = s * s
    arch = np.maximum(1.0 - s2, 0.0)
    round_arch = np.sqrt(arch)
    gap = jaw * (1.0 - press)
    shape = arch + 0.35 * (round_arch - arch)  # between parabola and ellipse
    corner = -0.100 * (smile + 0.10) * (np.minimum(s2, 1.6) - 0.55)  # corners up when smiling
    upper_inner = corner - 0.028 * gap * shape
    lower_inner = corner + 0.215 * gap * shape
    thin = (1.0 - 0.55 * press) * (1.0 + 0.35 * pucker) * (1.0 - 0.15 * np.abs(smile))
    bow = 1.0 - 0.22 * np.exp(-((s / 0.16) ** 2)) * (1.0 - pucker)
    upper_outer = upper_inner - (someone.lip_upper * thin * bow) * round_arch
    lower_outer = lower_inner + (someone.lip_lower * thin) * round_arch
    ends = (np.abs(s) - 1.0) * wide
    lips = cover(np.maximum(np.maximum(upper_outer - v, v - lower_outer), ends), canvas.px)
    if someone.moustache:
        height = 0.034 * np.sqrt(np.maximum(1.0 - (s / 1.12) ** 2, 0.0))
        bar = np.abs(v - upper_outer + 0.045 - 0.03 * np.minimum(s2, 1.5)) - height
        hair = [c * 0.95 for c in someone.brow]
        canvas.paint(index, cover(np.maximum(bar, (np.abs(s) - 1.12) * wide), canvas.px) * 0.9, hair)
    crease = soft(np.abs(v - corner) - 0.002, 0.022) * soft(ends - 0.012, 0.03)
    tone = 1.0 - 0.16 * soft(v - corner, 0.02) + 0.12 * blob(s, (v - lower_inner - 0.022) / 0.02, 0.45, 1.0)
    canvas.paint(index, lips, [tone * np.float32(c) for c in someone.lips])
    dark = [0.42 * c for c in someone.lips]
    canvas.paint(index, crease * (0.75 * np.clip(1.0 - 4.0 * gap, 0.0, 1.0)), dark)
    opening = np.maximum(np.maximum(upper_inner - v, v - lower_inner), ends)
    inside = cover(opening, canvas.px) * np.clip(gap * 14.0, 0.0, 1.0)
    canvas.paint(index, inside, INSIDE)
    tongue = inside * soft(ellipse(s, v - lower_inner - 0.015, 0.62, 0.02 + 0.075 * gap), 0.2)
    canvas.paint(index, tongue * 0.85, TONGUE)
    teeth = inside * cover(v - upper_inner - (0.012 + 0.05 * np.minimum(gap * 2.0, 1.0)) * shape, canvas.px)
    canvas.paint(index, teeth * (1.0 - 0.6 * np.clip(pucker, 0, 1)), WHITE * 0.97)


def eye(canvas: Canvas, someone: Person, side: int) -> None:
    head, value = canvas.head, canvas.head.value
    x, y, sx, sy = head.place(someone, side * someone.eye_gap, someone.eye_y)
    sx, sy = np.clip(sx, 0.35, 1.25), np.clip(sy, 0.6, 1.1)
    wide = someone.eye_width * sx
    high = someone.eye_height * sy
    is_open = np.clip(value["eye_open"], 0.0, 1.35)
    squint = np.clip(value["cheek"], 0.0, 1.0)
    index, u, v = canvas.box(x - 0.25, x + 0.25, y - 0.27, y + 0.13)
    s = (u - x) / wide
    v = v - y - (side * someone.eye_tilt * wide) * s
    arch = 1.0 - s * s
    lower_high = 0.62 * high * (1.0 - 0.40 * squint) + 0.05 * high * np.maximum(is_open - 1.0, 0.0)
    upper_high = -0.75 * lower_high + (0.95 * high + 0.75 * lower_high) * is_open**0.9
    upper = -upper_high * (arch + 0.25 * (np.sqrt(np.maximum(arch, 0.0)) - np.maximum(arch, 0.0)))
    lower = lower_high * arch
    shut = np.clip(1.2 * is_open * 4.0, 0.0, 1.0)
    hollow = blob(s, (v - upper) / (0.08 * sy), 0.85, 1.0)
    canvas.paint(index, 0.16 * hollow, [0.45 * c for c in someone.skin])
    shown = cover(np.maximum(upper - v, v - lower), canvas.px * 0.85) * shut
    shade = 1.0 - 0.35 * soft(v - upper - 0.018, 0.035)
    canvas.paint(index, shown, [shade * c for c in WHITE])
    gx = x + np.clip(value["gaze_x"] + 0.25 * np.sin(head.yaw), -1, 1) * 0.055 * sx
    gy = np.clip(value["gaze_y"], -1, 1) * 0.035 - 0.01
    distance = np.sqrt(((u - gx) / np.maximum(sx, 0.6)) ** 2 + (v - gy) ** 2)
    iris = someone.iris_size
    ring = [np.float32(c) * (1.15 - 0.45 * soft(iris * 0.75 - distance, 0.03)) for c in someone.iris]
    canvas.paint(index, shown * cover(distance - iris, canvas.px), ring)
    canvas.paint(index, shown * cover(distance - iris * 0.5, canvas.px), (0.03, 0.03, 0.04))
    across = u - gx - 0.025 * math.copysign(1.0, someone.light)
    glint = cover(np.sqrt(across**2 + (v - gy + 0.028) ** 2) - 0.019, canvas.px)
    canvas.paint(index, shown * glint * 0.95, (1.0, 1.0, 1.0))
    span = soft(np.abs(s) - 1.06, 0.12)
    thick = 0.017 if someone.female else 0.012
    lash = cover(np.abs(v - upper) - thick, canvas.px) * span
    colour = (0.08, 0.06, 0.06) if someone.female else [0.22 * c for c in someone.skin]
    canvas.paint(index, lash * 0.9, colour)
    line = cover(np.abs(v - lower) - 0.004, canvas.px) * span * (0.35 + 0.3 * squint)
    canvas.paint(index, line, [0.4 * c for c in someone.skin])


def brow(canvas: Canvas, someone: Person, side: int) -> None:
    head, value = canvas.head, canvas.head.value
    raised, furrow, inner = value["brow_raise"], value["brow_furrow"], value["brow_inner"]
    x, y, sx, sy = head.place(someone, side * (someone.eye_gap + 0.005), someone.eye_y - someone.brow_gap)
    sx = np.clip(sx, 0.35, 1.25)
    x = x - side * 0.028 * furrow * sx
    wide = (someone.eye_width + 0.025) * sx
    y = y - 0.100 * raised + 0.035 * furrow - 0.015 * inner
    index, u, v = canvas.box(x - 0.22, x + 0.22, y - 0.2, y + 0.17)
    s = side * (u - x) / wide  # -1 at the nose, +1 at the temple
    toward_nose = 0.5 * (1.0 - s)
    curve = -(someone.brow_arch + 0.03 * raised) * (1.0 - s * s)
    curve = curve + furrow * 0.105 * (toward_nose - 0.3) - inner * 0.145 * (toward_nose - 0.35)
    thick = someone.brow_thick * (1.0 + 0.25 * furrow) * np.clip(1.05 - 0.35 * np.maximum(s, 0.0) - 0.1 * s, 0.3, 1.5)
    distance = np.maximum(np.abs(v - y - curve) - thick, (np.abs(s) - 1.0) * wide)
    canvas.paint(index, cover(distance, canvas.px) * 0.95, someone.brow)


def glasses(canvas: Canvas, someone: Person) -> None:
    head = canvas.head
    rim = 0.014 if someone.glasses == 1 else 0.019
    frame = (0.10, 0.09, 0.10) if someone.glasses == 1 else tuple(0.45 * c for c in someone.cloth2)
    for side in (-1, 1):
        x, y, sx, _ = head.place(someone, side * (someone.eye_gap + 0.005), someone.eye_y + 0.015, lift=0.03)
        sx = np.clip(sx, 0.35, 1.2)
        index, u, v = canvas.box(x - 0.26, x + 0.26, y - 0.19, y + 0.19)
        distance = ellipse(u - x, v - y, 0.19 * sx, 0.15)
        canvas.paint(index, 0.05 * cover(distance, canvas.px), (1.0, 1.0, 1.0))
        canvas.paint(index, cover(np.abs(distance) - rim, canvas.px), frame)
    x, y, _, _ = head.place(someone, 0.0, someone.eye_y - 0.01, lift=0.05)
    index, u, v = canvas.box(x - 0.06, x + 0.06, y - 0.05, y + 0.05)
    canvas.paint(index, cover(np.maximum(np.abs(v - y + 0.01) - rim, np.abs(u - x) - 0.045), canvas.px), frame)
