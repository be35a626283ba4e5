"""Options of a data set's adapter from a JSON object, every key and type checked."""

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from dyads.errors import ConfigError

Options = TypeVar("Options")


def parse_options(cls: type[Options], text: str) -> Options:
    """The dataclass `cls` from a JSON object or `@file`. ConfigError: no object, an unknown key, a wrong value."""
    try:
        given = json.loads(Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--options is no JSON object ({error}); give one, or @ and a file with one.") from error
    if not isinstance(given, dict):
        raise ConfigError('--options is no JSON object; give one such as {"dataset": "mine"}.')
    hints = get_type_hints(cls)
    fields = {field.name for field in dataclasses.fields(cls)}
    for key, value in given.items():
        if key not in fields:
            raise ConfigError(f"--options: unknown key {key!r}; use one of {', '.join(sorted(fields))}.")
        given[key] = _checked(key, value, hints[key])
    return cls(**given)


def _checked(key: str, value: Any, kind: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        if value in arguments:
            return value
        raise ConfigError(f"--options: {key} is {value!r}; use one of {', '.join(map(str, arguments))}.")
    if origin is tuple and isinstance(value, list):
        inner = arguments[0]
        if (arguments[-1] is ... or len(value) == len(arguments)) and all(_is(one, inner) for one in value):
            return tuple(value)
        kind = origin
    elif origin is None and _is(value, kind):
        return value
    raise ConfigError(f"--options: {key} is {value!r}, which is no {getattr(kind, '__name__', kind)} as needed.")


def _is(value: Any, kind: Any) -> bool:
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, int | float) if kind is float else isinstance(value, kind)
