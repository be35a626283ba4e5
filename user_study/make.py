"""Writing a study: the page to hand out, and beside it the key that tells what each video is."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dyads.contract import data_folders, file_sha256
from dyads.errors import ConfigError, DataError
from dyads.files import atomic_path, write_json, write_text
from training.options import options_hash
from user_study import APPRO, CHOICES, CONSENT, QUESTIONS, SCALE, Trial
from user_study.design import Design, DesignOptions, make_design
from user_study.stimuli import VideoOptions, find_dialogues, spoken, write_stimuli

PAGE = Path(__file__).parent / "page"
FILES = ("index.html", "style.css", "study.js", "storage.js")


@dataclass(frozen=True)
class Source:
    """Where the videos are: `results` = results/<profile>, `data` a folder with manifest.csv."""

    results: Path
    data: Path
    split: str = "test"


def data_folder(results: Path) -> Path:
    """The one data folder of a profile; DataError if there is none, or more than one."""
    found = data_folders(results)
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise DataError(f"{results}/data should hold one data set, not {names}; name it by --data.")
    return found[0]


def choose(dyads: list, number: int, seed: int) -> list:
    """`number` dialogues drawn at random, in their order; ConfigError if there are not so many."""
    if not 1 <= number <= len(dyads):
        raise ConfigError(f"--dialogues is {number}, but must be 1 to {len(dyads)}, which every method has a video of.")
    chosen = np.random.default_rng([seed, 2]).choice(len(dyads), number, replace=False)
    return [dyads[index] for index in sorted(chosen)]


def read_consent(path: Path | None) -> tuple[str, ...]:
    """Paragraphs of a text file, or the default ones; ConfigError if it is empty or unreadable."""
    if path is None:
        return CONSENT
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--consent {path} cannot be read as text ({error}).") from error
    paragraphs = tuple(" ".join(part.split()) for part in text.split("\n\n") if part.strip())
    if not paragraphs:
        raise ConfigError(f"--consent {path} is empty; write what raters agree to.")
    return paragraphs


def make_study(
    out: Path,
    source: Source,
    methods: tuple[str, ...],
    dialogues: int,
    design_options: DesignOptions,
    video_options: VideoOptions,
    consent: tuple[str, ...] = CONSENT,
) -> Design:
    """Write `out`/page (self-contained, for the raters) and `out`/key.json (not for them).

    DataError: `out` exists, or videos are missing. ConfigError: options that do not fit the data.
    """
    if out.exists():
        raise DataError(f"{out} exists already; raters may have answered it, so name another folder or remove it.")
    common = find_dialogues(source.results, source.data, source.split, methods, video_options.row_seed)
    dyads = choose(common, dialogues, design_options.seed)
    names = tuple(dyad.dyad_id for dyad in dyads)
    design = make_design(methods, names, design_options, spoken(dyads) if design_options.checks else ())
    with atomic_path(out) as temporary:
        videos = temporary / "page" / "videos"
        videos.mkdir(parents=True)
        write_stimuli(videos, design.stimuli, dyads, source.results, video_options)
        hashes = {token: file_sha256(videos / f"{token}.mp4") for token in sorted(design.stimuli)}
        key = key_of(design, methods, hashes) | {
            "split": source.split,
            "options": {"design": asdict(design_options), "video": asdict(video_options), "dialogues": dialogues},
        }
        write_json(temporary / "key.json", key)
        for name in FILES:
            shutil.copyfile(PAGE / name, temporary / "page" / name)
        content = json.dumps(shown(key, consent), ensure_ascii=False, indent=1).replace("</", "<\\/")
        write_text(temporary / "page" / "data.js", f"const STUDY = {content};\n")
    return design


def key_of(design: Design, methods: tuple[str, ...], hashes: dict[str, str]) -> dict:
    """What only the experimenter knows; `study` identifies it in the raters' files."""
    lists = [[asdict(trial) for trial in trials] for trials in design.lists]
    content = {
        "methods": list(methods),
        "stimuli": {token: asdict(design.stimuli[token]) | {"sha256": hashes[token]} for token in sorted(hashes)},
        "lists": lists,
    }
    return {"study": options_hash(content), **content}


def shown(key: dict, consent: tuple[str, ...]) -> dict:
    """What the page knows: nothing of methods, dialogues and right answers."""
    return {
        "study": key["study"],
        "consent": list(consent),
        "appro": APPRO,
        "scale": {str(value): label for value, label in SCALE.items()},
        "questions": QUESTIONS,
        "choices": list(CHOICES),
        "lists": [[[trial["left"], trial["right"]] for trial in trials] for trials in key["lists"]],
    }


def trials_of(key: dict) -> list[list[Trial]]:
    """The lists of a key as trials."""
    return [[Trial(**trial) for trial in trials] for trials in key["lists"]]
