"""Who lives in the synthetic world: looks and voice of each identity, drawn from (world seed, identity)."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dyads.errors import ConfigError
from dyads.records import SPLITS
from dyads.seeding import rng
from dyads.synthetic.parameters import PARAMETERS

HAIR_STYLES = ("short", "side", "fringe", "long", "bob", "bun", "curly", "receding", "bald", "scarf")
NECKLINES = ("crew", "vee", "turtle", "shirt")
BACKGROUNDS = ("flat", "gradient", "two_tone", "blobs")
SKINS = (
    (0.98, 0.85, 0.75), (0.95, 0.78, 0.65), (0.90, 0.71, 0.57), (0.84, 0.63, 0.47), (0.74, 0.53, 0.38),
    (0.62, 0.43, 0.30), (0.50, 0.34, 0.24), (0.40, 0.27, 0.20),
)  # fmt: skip
HAIRS = (
    (0.09, 0.07, 0.07), (0.20, 0.13, 0.09), (0.36, 0.22, 0.13), (0.55, 0.35, 0.18), (0.80, 0.62, 0.32),
    (0.90, 0.78, 0.52), (0.62, 0.26, 0.12), (0.62, 0.61, 0.62), (0.86, 0.85, 0.84),
)  # fmt: skip
EYES = ((0.30, 0.18, 0.09), (0.42, 0.27, 0.12), (0.25, 0.45, 0.65), (0.30, 0.50, 0.32), (0.42, 0.46, 0.50))


@dataclass(frozen=True)
class Person:
    """Appearance (lengths in half image widths, colours RGB in [0, 1]) and voice of one identity."""

    index: int
    female: bool
    skin: tuple[float, float, float]
    hair: tuple[float, float, float]
    brow: tuple[float, float, float]
    iris: tuple[float, float, float]
    lips: tuple[float, float, float]
    cloth: tuple[float, float, float]
    cloth2: tuple[float, float, float]
    backdrop: tuple[float, float, float]
    backdrop2: tuple[float, float, float]
    background: str
    neckline: str
    style: str
    face_width: float
    face_top: float
    face_bottom: float
    taper: float
    square: float
    eye_gap: float
    eye_y: float
    eye_width: float
    eye_height: float
    eye_tilt: float
    iris_size: float
    brow_thick: float
    brow_arch: float
    brow_gap: float
    nose_length: float
    nose_width: float
    mouth_y: float
    mouth_width: float
    lip_upper: float
    lip_lower: float
    neck: float
    shoulders: float
    beard: float
    moustache: float
    glasses: int
    freckles: float
    freckle_spots: tuple[tuple[float, float], ...]  # across and down the cheeks, in [-1, 1]
    blush: float
    light: float
    light_y: float
    f0: float
    tract: float
    tilt: float
    articulation: float


def split_of(identity: int) -> str:
    """The split an identity belongs to; no identity is in two."""
    return next(split for split in SPLITS if identity in identities_of(split))


def circles_of(split: str) -> tuple[range, ...]:
    """Identity numbers of a split, in the circles that meet among themselves."""
    first, last = PARAMETERS.train_identities, PARAMETERS.identities
    validated = last + PARAMETERS.validation_identities
    everyone = {
        "train": (range(first),),
        "test": (range(first, last), range(validated, known_people())),
        "validation": (range(last, validated),),
    }
    return everyone[split]


def identities_of(split: str) -> tuple[int, ...]:
    """Identity numbers of a split."""
    return tuple(identity for circle in circles_of(split) for identity in circle)


def known_people() -> int:
    """How many identities a world has."""
    return PARAMETERS.identities + PARAMETERS.validation_identities + PARAMETERS.further_test_identities


def _hsv(h: float, s: float, v: float) -> np.ndarray:
    k = (np.array([5.0, 3.0, 1.0]) + h * 6.0) % 6.0
    return v - v * s * np.clip(np.minimum(k, 4.0 - k), 0.0, 1.0)


def _rgb(values: np.ndarray) -> tuple[float, float, float]:
    r, g, b = (float(v) for v in np.clip(values, 0.0, 1.0))
    return r, g, b


@lru_cache(maxsize=512)
def person(identity: int, world_seed: int) -> Person:
    """Draw identity `identity` of the world `world_seed`; raises ConfigError for a number that no split has."""
    known = known_people()
    if not 0 <= identity < known:
        raise ConfigError(f"identity {identity} is outside 0..{known - 1}; choose one inside.")
    g = rng(world_seed, "synthetic.identity", identity)
    female = bool(g.random() < 0.5)
    tone = float(g.uniform(0, len(SKINS) - 1.001))
    lower = int(tone)
    skin = np.array(SKINS[lower]) * (1 - tone + lower) + np.array(SKINS[lower + 1]) * (tone - lower)
    skin = skin * g.uniform(0.96, 1.03, 3)
    choices = (0, 1, 2, 7) if tone > 4 else range(len(HAIRS))
    hair = np.array(HAIRS[int(g.choice(list(choices)))]) * g.uniform(0.9, 1.1)
    dyed = bool(g.random() < 0.06)
    if dyed:
        hair = _hsv(g.random(), 0.65, 0.75)
    styles = ("long", "bob", "fringe", "bun", "curly", "side", "scarf") if female else HAIR_STYLES[:3] + (
        "short", "side", "curly", "receding", "bald")  # fmt: skip
    style = str(g.choice(list(styles)))
    beard = 0.0 if female or g.random() < 0.5 else float(g.uniform(0.35, 0.95))
    moustache = 1.0 if not female and (beard > 0 or g.random() < 0.2) and g.random() < 0.7 else 0.0
    hue = g.random()
    backdrop = _hsv(g.random(), g.uniform(0.15, 0.55), g.uniform(0.45, 0.92))
    backdrop2 = np.clip(backdrop * g.uniform(0.55, 0.8) + g.uniform(-0.06, 0.1, 3), 0, 1)
    blend = 0.45 if female else 0.3
    rose = np.array([0.78, 0.25, 0.28]) if female else np.array([0.70, 0.33, 0.30])
    lip = skin * np.array([0.92, 0.72, 0.70]) * (1 - blend) + rose * blend * (0.75 + 0.3 * skin[0])
    spots = rng(world_seed, "synthetic.freckles", identity).uniform(-1, 1, (10, 2))
    return Person(
        index=identity, female=female, skin=_rgb(skin), hair=_rgb(hair), iris=_rgb(np.array(EYES[
            0 if tone > 4.5 else int(g.integers(len(EYES)))]) * g.uniform(0.85, 1.15)),
        brow=_rgb(skin * 0.35 if dyed or style == "scarf" else np.minimum(hair * 0.7, skin * 0.55)),
        lips=_rgb(lip), cloth=_rgb(_hsv(hue, g.uniform(0.2, 0.75), g.uniform(0.25, 0.9))),
        cloth2=_rgb(_hsv((hue + g.uniform(0.2, 0.8)) % 1, g.uniform(0.1, 0.6), g.uniform(0.5, 0.95))),
        backdrop=_rgb(backdrop), backdrop2=_rgb(backdrop2),
        background=str(g.choice(list(BACKGROUNDS))), neckline=str(g.choice(list(NECKLINES))), style=style,
        face_width=float(g.uniform(0.485, 0.55) * (0.97 if female else 1.02)),
        face_top=float(g.uniform(0.66, 0.72)), face_bottom=float(g.uniform(0.64, 0.72)),
        taper=float(g.uniform(0.08, 0.24) + (0.04 if female else 0.0)),
        square=float(g.uniform(0.0, 0.25) + (0.0 if female else 0.2)),
        eye_gap=float(g.uniform(0.212, 0.24)), eye_y=float(g.uniform(-0.05, 0.01)),
        eye_width=float(g.uniform(0.138, 0.16)), eye_height=float(g.uniform(0.086, 0.106)),
        eye_tilt=float(g.uniform(-0.12, 0.06)), iris_size=float(g.uniform(0.072, 0.084)),
        brow_thick=float(g.uniform(0.022, 0.032) * (0.9 if female else 1.12)),
        brow_arch=float(g.uniform(0.02, 0.06)), brow_gap=float(g.uniform(0.15, 0.175)),
        nose_length=float(g.uniform(0.20, 0.26)), nose_width=float(g.uniform(0.07, 0.11)),
        mouth_y=float(g.uniform(0.335, 0.385)), mouth_width=float(g.uniform(0.20, 0.24)),
        lip_upper=float(g.uniform(0.028, 0.042)), lip_lower=float(g.uniform(0.04, 0.058)),
        neck=float(g.uniform(0.2, 0.24) * (0.9 if female else 1.1)),
        shoulders=float(g.uniform(0.78, 0.88) * (0.95 if female else 1.08)),
        beard=beard, moustache=moustache, glasses=int(g.choice([0, 0, 0, 1, 2])),
        freckles=float(g.uniform(0.5, 1.0) if tone < 3 and g.random() < 0.3 else 0.0),
        freckle_spots=tuple(tuple(map(float, spot)) for spot in spots),
        blush=float(g.uniform(0.2, 0.6) * (1.2 if female else 0.8)),
        light=float(g.choice([-1, 1]) * g.uniform(0.3, 1.0)), light_y=float(g.uniform(0.2, 0.8)),
        f0=float(g.uniform(*(PARAMETERS.f0_female if female else PARAMETERS.f0_male))),
        tract=float(g.uniform(*(PARAMETERS.tract_female if female else PARAMETERS.tract_male))),
        tilt=float(g.uniform(-2.0, 0.5)), articulation=float(g.uniform(0.88, 1.08)),
    )  # fmt: skip
