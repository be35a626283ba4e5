"""The raters' files: read against the key, and judged by the attention checks."""

import json
from dataclasses import dataclass
from pathlib import Path

from dyads.errors import DataError
from user_study import CHOICES, QUESTIONS, SCALE, Trial
from user_study.make import trials_of

SIDES = ("left", "right")
USED, FAILED, UNCHECKED = "used", "failed_checks", "no_check"


@dataclass(frozen=True)
class Answer:
    """What a rater said of one trial: `appro` (left, right) in 1 to 5, `choice` by question."""

    trial: Trial
    appro: tuple[int, int]
    choice: dict[str, str]


@dataclass(frozen=True)
class Rater:
    """One file. `answers`: of pairs of methods, checks left out; `status`: used, or why not."""

    name: str
    status: str
    passed: int
    failed: int
    broken: int
    seconds: float
    answers: tuple[Answer, ...]


def read_json(path: Path, what: str) -> dict:
    """A JSON object; DataError if the file holds none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no {what} ({error}); give the file as it was saved.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} is no {what}, but a {type(content).__name__}; give the file as it was saved.")
    return content


def read_key(path: Path) -> dict:
    """The key that `make` wrote; DataError if parts are missing."""
    key = read_json(path, "key of a study")
    missing = [name for name in ("study", "methods", "stimuli", "lists") if name not in key]
    if missing:
        raise DataError(f"{path} has no {missing[0]!r}; give the key.json that `make` wrote.")
    return key


def read_raters(paths: list[Path], key: dict, allow_failed: int = 0) -> list[Rater]:
    """Every file as a rater. DataError: a file of another study, an altered one, or a rater who is there twice."""
    raters, seen = [], {}
    for path in sorted(paths):
        rater = read_rater(path, key, allow_failed)
        if rater.name in seen:
            raise DataError(f"{path} and {seen[rater.name]} are both of rater {rater.name}; keep one of them.")
        seen[rater.name] = path
        raters.append(rater)
    return raters


def read_rater(path: Path, key: dict, allow_failed: int = 0) -> Rater:
    """One file, judged: a rater with more failed checks than allowed, or with none answered, is not used."""
    content = read_json(path, "ratings file")
    if content.get("study") != key["study"]:
        raise DataError(
            f"{path} belongs to study {content.get('study')}, not {key['study']}; give the key of its study."
        )
    lists, number = trials_of(key), content.get("list")
    if type(number) is not int or not 0 <= number < len(lists):
        raise DataError(f"{path} names the list {number!r}, but the study has 0 to {len(lists) - 1}; it was altered.")
    trials, entries = lists[number], content.get("answers")
    if not isinstance(entries, list) or len(entries) != len(trials):
        raise DataError(f"{path} has not one answer for each of the {len(trials)} steps; it was altered.")
    if not isinstance(content.get("rater"), str) or not content["rater"]:
        raise DataError(f"{path} names no rater; it was altered.")
    answers, passed, failed, broken, seconds = [], 0, 0, 0, 0.0
    for step, (trial, entry) in enumerate(zip(trials, entries, strict=True), 1):
        if not isinstance(entry, dict) or (entry.get("left"), entry.get("right")) != (trial.left, trial.right):
            raise DataError(f"{path} shows other videos in step {step} than the key; it was altered.")
        seconds += float(entry.get("seconds") or 0)
        broken += bool(entry.get("broken"))
        if entry.get("broken") or not entry.get("done"):
            continue
        answer = _answer(path, step, trial, entry)
        if not trial.answer:
            answers.append(answer)
        elif answer.choice["lips"] == trial.answer:
            passed += 1
        else:
            failed += 1
    checked = any(trial.answer for trial in trials)
    status = FAILED if failed > allow_failed else UNCHECKED if checked and not passed + failed else USED
    return Rater(content["rater"], status, passed, failed, broken, round(seconds, 1), tuple(answers))


def _answer(path: Path, step: int, trial: Trial, entry: dict) -> Answer:
    """A finished step; DataError if an answer is missing or none that the page offers."""
    appro = entry.get("appro") if isinstance(entry.get("appro"), dict) else {}
    for side in SIDES:
        if type(appro.get(side)) is not int or appro[side] not in SCALE:
            raise DataError(f"{path} rates the {side} avatar of step {step} {appro.get(side)!r}, not 1 to 5.")
    for question in QUESTIONS:
        if entry.get(question) not in CHOICES:
            raise DataError(
                f"{path} answers {question} of step {step} {entry.get(question)!r}, not {' or '.join(CHOICES)}."
            )
    return Answer(trial, (appro["left"], appro["right"]), {question: entry[question] for question in QUESTIONS})
