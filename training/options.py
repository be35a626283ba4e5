"""Options of the training engine, and dataclasses from configuration with every key and type checked."""

import dataclasses
import hashlib
import json
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from dyads.errors import ConfigError

Options = TypeVar("Options")


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """How long and how fast to train; the same fields serve every trained module."""

    steps: int  # optimiser steps
    batch_size: int  # samples of one micro batch on one process
    learning_rate: float  # after warm-up
    weight_decay: float = 0.01  # AdamW; parameters with fewer than two dimensions get none
    warmup_steps: int = 0  # linear from learning_rate / warmup_steps
    schedule: Literal["constant", "cosine"] = "constant"  # cosine: down to 0 at `steps`
    ema_decay: float = 0.0  # 0 = off
    clip_norm: float = 1.0  # global gradient norm; 0 = off
    accumulate: int = 1  # micro batches of one optimiser step
    precision: Literal["fp32", "bf16", "auto"] = "fp32"  # bf16: autocast, weights stay fp32; auto: where that is faster
    parallel: Literal["ddp", "fsdp"] = "ddp"  # several processes: each holds all, or a part (FSDP2)
    checkpoint_every: int = 500
    log_every: int = 50
    explode_factor: float = 100.0  # stop when loss > this x running median; 0 = off
    tensorboard: bool = True

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulate", "checkpoint_every", "log_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, but must be at least 1.")
        for name in ("weight_decay", "warmup_steps", "clip_norm", "explode_factor"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, but must not be negative; 0 turns it off.")
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate is {self.learning_rate}, but must be above 0.")
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"ema_decay is {self.ema_decay}, but must lie in [0, 1); 0 turns it off.")


RESULT_FIELDS = (  # what decides the weights; the rest may change in the middle of a training
    *(
        "steps",
        "batch_size",
        "learning_rate",
        "weight_decay",
        "warmup_steps",
        "schedule",
        "ema_decay",
        "clip_norm",
    ),
    *("accumulate", "precision"),
)


def from_dict(cls: type[Options], mapping: Mapping[str, Any], where: str) -> Options:
    """Build the dataclass `cls` from configuration values.

    Args:
        cls: a dataclass; its annotations decide what is accepted: int, float, bool, str, Path, Literal,
            unions, lists, tuples, dicts and other dataclasses. An int passes as float, a list as tuple.
        mapping: the values; fields with a default may be missing.
        where: name of this section in messages, for example `train.stage1`.

    Raises:
        ConfigError: an unknown or missing key, or a value of the wrong type, named with its section.
    """
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"{where} is {mapping!r}, but must be a mapping of options.")
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    for key in mapping:
        if key not in fields:
            raise ConfigError(f"{where}: unknown option {key!r}; the allowed ones are {', '.join(sorted(fields))}.")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in mapping:
            raise ConfigError(f"{where}: option {name!r} is missing and has no default.")
    hints = get_type_hints(cls)
    values = {key: _checked(value, hints[key], f"{where}.{key}") for key, value in mapping.items()}
    try:
        return cls(**values)
    except (ConfigError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from error


def _checked(value: Any, kind: Any, where: str) -> Any:
    """`value` as `kind`, or a ConfigError naming `where`."""
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin is Literal:
        if not any(value == part and type(value) is type(part) for part in parts):
            raise ConfigError(f"{where} is {value!r}, but must be one of {', '.join(map(repr, parts))}.")
        return value
    if origin in (Union, types.UnionType):
        problem = None
        for part in parts:
            try:
                return _checked(value, part, where)
            except ConfigError as error:
                problem = problem or error
        raise problem
    if dataclasses.is_dataclass(kind):
        return value if isinstance(value, kind) else from_dict(kind, value, where)
    if origin in (list, tuple) and isinstance(value, list | tuple):
        if origin is list or parts[-1:] == (Ellipsis,):
            return origin(_checked(item, parts[0], f"{where}[{i}]") for i, item in enumerate(value))
        if len(value) != len(parts):
            raise ConfigError(f"{where} has {len(value)} entries, but needs {len(parts)}.")
        return tuple(_checked(v, part, f"{where}[{i}]") for i, (v, part) in enumerate(zip(value, parts, strict=True)))
    if origin is dict and isinstance(value, Mapping):
        return {_checked(k, parts[0], where): _checked(v, parts[1], f"{where}.{k}") for k, v in value.items()}
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    plain = origin or kind
    if isinstance(value, plain) and not (plain is int and isinstance(value, bool)):
        return value
    hint = ""
    if plain in (int, float) and isinstance(value, str) and _is_number(value):
        hint = " (it is text: YAML reads 1e-3 as text and 1.0e-3 as a number)"
    name = "null" if plain is type(None) else getattr(plain, "__name__", str(plain))
    raise ConfigError(f"{where} is {value!r}, but must be of type {name}{hint}.")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def plain(value: Any) -> Any:
    """Options (dataclasses, paths, tuples, nested) as values that JSON can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def options_hash(options: Any) -> str:
    """Twelve hexadecimal digits that change with any option; the order of keys does not matter."""
    text = json.dumps(plain(options), sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def parse_json(text: str, where: str) -> dict[str, Any]:
    """A JSON object given on a command line or as `@file`; ConfigError if it is not one."""
    source = Path(text[1:]) if text.startswith("@") else None
    try:
        value = json.loads(source.read_text(encoding="utf-8") if source else text)
    except OSError as error:
        raise ConfigError(f"{where}: {source} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise ConfigError(f"{where} is not valid JSON ({error}); it should look like '{{\"key\": 1}}'.") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{where} is {value!r}, but must be a JSON object such as '{{\"key\": 1}}'.")
    return value
