"""Who sees what: lists of blinded pairs, balanced over methods, dialogues and sides, with attention checks between."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from dyads.errors import ConfigError
from user_study import Stimulus, Trial

CHECK_KINDS = ("frozen", "shifted")
TRUE = "true"


@dataclass(frozen=True)
class DesignOptions:
    """`pairs`: of methods and dialogues a rater sees, 0 for all; `checks`: attention checks; `lists`: how many."""

    pairs: int = 24
    checks: int = 4
    lists: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("pairs", 0), ("checks", 0), ("lists", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"--{name} is {getattr(self, name)}, but must be at least {least}.")


@dataclass(frozen=True)
class Design:
    """`stimuli`: token -> what it is; `lists`: trials in the order they are shown."""

    stimuli: dict[str, Stimulus]
    lists: tuple[tuple[Trial, ...], ...]


def make_design(
    methods: tuple[str, ...], dialogues: tuple[str, ...], options: DesignOptions, spoken: tuple[str, ...] | None = None
) -> Design:
    """The study's lists; the same for the same arguments.

    Every list shows each pair of methods equally often, or once more, each time with another dialogue; each method
    stands left and right about equally often. Checks set the true video beside a frozen face or shifted sound, in
    `spoken` dialogues (default: all). ConfigError: fewer than two methods, a name twice, no dialogue, none spoken.
    """
    if len(methods) < 2 or len(set(methods)) < len(methods):
        raise ConfigError(f"--methods needs at least two different names, not {' '.join(methods)}.")
    if not dialogues or len(set(dialogues)) < len(dialogues):
        raise ConfigError("a study needs at least one dialogue, and each only once; give --dialogues N.")
    spoken = dialogues if spoken is None else spoken
    if options.checks and not spoken:
        raise ConfigError("in no dialogue the avatar speaks long enough for an attention check; give --checks 0.")
    rng = np.random.default_rng([options.seed, 0])
    names: set[str] = set()
    while len(names) < len(dialogues) * (len(methods) + 1 + len(CHECK_KINDS)):
        names.add(rng.bytes(6).hex())
    tokens = list(rng.permutation(sorted(names)))
    stimuli, token_of = {}, {}
    kinds = [("method", method) for method in methods] + [(kind, "") for kind in (TRUE, *CHECK_KINDS)]
    for dialogue in dialogues:
        for kind, method in kinds:
            token = str(tokens.pop())
            stimuli[token], token_of[kind, method, dialogue] = Stimulus(kind, method, dialogue), token
    lists = tuple(_one_list(methods, dialogues, spoken, options, index, token_of) for index in range(options.lists))
    used = {token for trials in lists for trial in trials for token in (trial.left, trial.right)}
    return Design({token: stimulus for token, stimulus in stimuli.items() if token in used}, lists)


def _one_list(methods, dialogues, spoken, options: DesignOptions, index: int, token_of) -> tuple[Trial, ...]:
    rng = np.random.default_rng([options.seed, 1, index])
    couples = list(combinations(methods, 2))
    wanted = min(options.pairs or len(couples) * len(dialogues), len(couples) * len(dialogues))
    # each couple walks through the dialogues from a start of its own, so none repeats and all are used evenly
    starts = rng.permutation(np.arange(len(couples)) + index)
    shown: list[tuple[tuple[str, str], str]] = []
    for step in range(len(dialogues)):
        for couple in rng.permutation(len(couples)):
            if len(shown) < wanted:
                shown.append((couples[couple], dialogues[(starts[couple] + step) % len(dialogues)]))
    trials, left = [], dict.fromkeys(methods, 0)
    for position in rng.permutation(len(shown)):
        (a, b), dialogue = shown[position]
        if left[a] > left[b] or (left[a] == left[b] and rng.random() < 0.5):
            a, b = b, a
        left[a] += 1
        left[b] -= 1
        trials.append(Trial(token_of["method", a, dialogue], token_of["method", b, dialogue]))
    checked = rng.choice(spoken, options.checks, replace=options.checks > len(spoken)) if options.checks else ()
    places = np.linspace(0, len(trials), options.checks + 2)[1:-1]  # spread over the list, not first
    for number, dialogue in enumerate(checked):
        right, wrong = token_of[TRUE, "", dialogue], token_of[CHECK_KINDS[number % len(CHECK_KINDS)], "", dialogue]
        turned = rng.random() < 0.5
        trial = Trial(wrong, right, "right") if turned else Trial(right, wrong, "left")
        trials.insert(int(places[number]) + number + int(rng.integers(2)), trial)
    return tuple(trials)
