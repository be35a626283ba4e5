"""Ratings files of raters whose preferences are known, for studies without videos."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from user_study.design import Design, DesignOptions, make_design
from user_study.make import key_of

# How a simulated rater answers a pair: (method left, method right, generator) -> appro left, right, and the choices.
Behaviour = Callable[[str, str, np.random.Generator], tuple[tuple[int, int], dict[str, str]]]


def study(methods=("echo", "dim", "infp"), dialogues=6, **options) -> tuple[Design, dict]:
    """A design and its key, as if videos had been made."""
    names = tuple(f"test_{number:04d}" for number in range(dialogues))
    design = make_design(tuple(methods), names, DesignOptions(**options))
    return design, key_of(design, tuple(methods), dict.fromkeys(design.stimuli, "00"))


def preferring(quality: dict[str, float], mood: float = 0.0) -> Behaviour:
    """Prefers by Bradley-Terry with these strengths, and rates 3 + strength + its own mood + noise."""

    def answer(left: str, right: str, rng: np.random.Generator):
        gap = quality[left] - quality[right]
        rated = [int(np.clip(np.rint(3 + quality[m] + mood + rng.normal(0, 0.7)), 1, 5)) for m in (left, right)]
        wins = rng.random(2) < 1 / (1 + np.exp(-gap))
        return (rated[0], rated[1]), {
            n: "left" if w else "right" for n, w in zip(("lips", "reaction"), wins, strict=True)
        }

    return answer


def guessing(left: str, right: str, rng: np.random.Generator):
    """Answers at random."""
    rated = rng.integers(1, 6, 2)
    return (int(rated[0]), int(rated[1])), {
        name: str(rng.choice(["left", "same", "right"])) for name in ("lips", "reaction")
    }


def ratings(key: dict, design: Design, rater: str, index: int, behaviour: Behaviour, seed=0, attentive=True) -> dict:
    """The content of one ratings file; `attentive` raters pass every check, others take the wrong side."""
    rng = np.random.default_rng([seed, index, *rater.encode()])
    answers = []
    for trial in design.lists[index]:
        kinds = design.stimuli[trial.left], design.stimuli[trial.right]
        if trial.answer:
            wrong = "right" if trial.answer == "left" else "left"
            appro, choice = (3, 3), dict.fromkeys(("lips", "reaction"), trial.answer if attentive else wrong)
        else:
            appro, choice = behaviour(kinds[0].method, kinds[1].method, rng)
        entry = {"trial": len(answers), "left": trial.left, "right": trial.right, "done": True, "broken": False}
        answers.append(entry | {"appro": {"left": appro[0], "right": appro[1]}, "seconds": 20.5} | choice)
    return {"study": key["study"], "rater": rater, "list": index, "answers": answers}


def write_all(folder: Path, key: dict, contents: list[dict]) -> tuple[list[Path], Path]:
    """The files and the key on disk."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for content in contents:
        paths.append(folder / f"ratings_{content['rater']}.json")
        paths[-1].write_text(json.dumps(content))
    (folder / "key.json").write_text(json.dumps(key))
    return paths, folder / "key.json"
