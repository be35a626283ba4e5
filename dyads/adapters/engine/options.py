"""How recordings are adapted, whatever data set they are of."""

import json
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from dyads.errors import ConfigError


@dataclass(frozen=True)
class AdaptOptions:
    """Side in pixels, seconds, and the quality of the stored video (x264 crf).

    `crop`: `tracked` follows the head with one scale a recording, `fixed` is one square for all of it, `centre` looks
    for no face and takes the picture's largest square (recordings that are face crops already). `broken_share`:
    the share of dialogues that may be broken, and left out, without failing the whole.
    """

    dataset: str = "folder"
    size: int = 64
    segment_seconds: float = 0.0  # 0 keeps every dialogue whole
    minimum_seconds: float = 2.0  # a shorter rest after the last whole segment is dropped, and reported
    audio_tolerance: float = 0.5  # how far sound and its own video may differ in length
    crf: int = 12
    crop: str = "tracked"
    least_valid: float = 0.5  # of a part's frames, where the data set says which are
    only: str = ""  # train or test: dialogues of that split alone
    silent_sides: str = "keep"  # or "skip": dialogues with a side in which nothing was recorded
    broken_share: float = 0.0

    def __post_init__(self) -> None:
        if self.size < 16 or self.size % 2:
            raise ConfigError(f"size is {self.size}; give an even number of pixels from 16.")
        if self.segment_seconds < 0 or 0 < self.segment_seconds < self.minimum_seconds:
            raise ConfigError(
                f"segment_seconds is {self.segment_seconds:g}; give 0 or at least minimum_seconds "
                f"({self.minimum_seconds:g})."
            )
        for key, known in (
            ("crop", ("tracked", "fixed", "centre")),
            ("silent_sides", ("keep", "skip")),
            ("only", ("", "train", "test")),
        ):
            if getattr(self, key) not in known:
                raise ConfigError(f"{key} is {getattr(self, key)!r}; give one of {', '.join(known)}.")
        for key in ("least_valid", "broken_share"):
            if not 0 <= getattr(self, key) <= 1:
                raise ConfigError(f"{key} is {getattr(self, key):g}; give a share from 0 to 1.")


Options = TypeVar("Options")


def parse_options(kind: type[Options], text: str | None, **given: object) -> Options:
    """Options from a JSON object; arguments that are not None win, unknown keys and wrong types are a `ConfigError`."""
    try:
        values = json.loads(text) if text else {}
    except ValueError as error:
        raise ConfigError(f"--options is not JSON ({error}); give an object.") from error
    known: dict[str, Any] = {field.name: type(field.default) for field in fields(kind)}
    if not isinstance(values, dict):
        raise ConfigError('--options is no JSON object; give one such as {"size": 64}.')
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"--options: unknown key {key!r}; use one of {', '.join(known)}.")
        wanted = (int, float) if known[key] is float else known[key]
        if not isinstance(value, wanted) or isinstance(value, bool) != (known[key] is bool):
            raise ConfigError(f"--options: {key} is {value!r}; give a {known[key].__name__}.")
    return kind(**{**values, **{key: value for key, value in given.items() if value is not None}})
