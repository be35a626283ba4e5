"""E-Consis ratings by your own judge: `python -m evaluation.judge --videos DIR --data DIR --judge pkg.module:Class`.

A judge is a class, made with --options; an instance is called with a `Question` and returns a number from
1 to 5, or None where it cannot say. Ratings made elsewhere, by people or another program, come in by --ratings FILE, a
JSON object of dyad_id and rating. Either way DIR/ratings.json holds them, each bound to its video's SHA-256, and
`python -m evaluation.run` finds them there; without that file E-Consis has no value.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dyads.contract import Dyad, file_sha256, read_manifest
from dyads.errors import ConfigError, DataError, run_cli
from dyads.files import write_json
from evaluation.readings.sidecars import RATINGS, on_scale, read_ratings
from training.method import load_class
from training.options import options_hash, parse_json

# Ours: the paper's prompt is not public.
PROMPT = (
    "You see two videos of the same person in the same conversation, with the voice of that person: first the "
    "recording, then a computer-generated version. Rate how consistent the generated person's emotions are with the "
    "recorded ones, considering facial expression, its strength and its timing, and ignoring picture quality: "
    "1 contradictory, 2 mostly inconsistent, 3 partly consistent, 4 mostly consistent, 5 the same. Answer by a number."
)


@dataclass(frozen=True)
class Question:
    """One video to rate.

    `generated`: an mp4 with the avatar's voice; `dyad`: the dialogue, with paths of both people's true videos and
    sounds (`dyad.avatar.video`, `dyad.user.audio`) and, where known, who says what when (`dyad.turns`).
    """

    dyad: Dyad
    generated: Path
    prompt: str = PROMPT


class Judge(Protocol):
    """What rates a video."""

    def __call__(self, question: Question) -> float | None:
        """A rating from 1 to 5; None where the judge cannot say."""


def rate(dyad: Dyad, video: Path, judge: Judge) -> dict[str, Any]:
    """The entry of ratings.json. A judge that fails gives no rating, and the entry says why."""
    entry: dict[str, Any] = {"rating": None, "sha256": file_sha256(video)}
    try:
        rating = judge(Question(dyad, video))
        return entry | {"rating": None if rating is None else on_scale(rating, f"the judge on {dyad.dyad_id}")}
    except Exception as error:  # a service may fail in any way, and hours of ratings should not be lost by it
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        print(f"{dyad.dyad_id}: no rating; {reason}", flush=True)
        return entry | {"reason": reason}


def rate_folder(videos: Path, dyads: list[Dyad], judge: Judge, name: str) -> dict[str, dict[str, Any]]:
    """Ratings of all of a folder's videos, written after each one; what this judge has rated already stays."""
    about = {"judge": name, "prompt": options_hash(PROMPT)}
    known = _same_judge(videos, about)
    ratings = {}
    for dyad in dyads:
        video = videos / f"{dyad.dyad_id}.mp4"
        if not video.is_file():
            continue
        old = known.get(dyad.dyad_id, {})
        done = old.get("rating") is not None and old.get("sha256") == file_sha256(video)
        ratings[dyad.dyad_id] = old if done else rate(dyad, video, judge)
        write_json(videos / RATINGS, about | {"ratings": known | ratings})
    write_json(videos / RATINGS, about | {"ratings": ratings})
    return ratings


def take_over(videos: Path, dyads: list[Dyad], given: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """Ratings from elsewhere, bound to the videos as they are now."""
    unknown = sorted(set(given) - {dyad.dyad_id for dyad in dyads})
    if unknown:
        raise DataError(f"--ratings names {unknown[0]!r}, which is no dialogue of this split; name it by its dyad_id.")
    ratings = {}
    for dyad_id, rating in given.items():
        video = videos / f"{dyad_id}.mp4"
        if not video.is_file():
            raise DataError(f"--ratings rates {dyad_id!r}, but {videos} has no such video; leave it out.")
        value = None if rating is None else on_scale(rating, f"--ratings: {dyad_id}")
        ratings[dyad_id] = {"rating": value, "sha256": file_sha256(video)}
    write_json(videos / RATINGS, {"judge": name, "prompt": None, "ratings": ratings})
    return ratings


def _same_judge(videos: Path, about: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Ratings that are there already, if the same judge gave them to the same prompt."""
    found = read_ratings(videos) or {}
    return found["ratings"] if found and {key: found.get(key) for key in about} == about else {}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m evaluation.judge", description=__doc__.splitlines()[0])
    parser.add_argument("--videos", required=True, type=Path, help="folder with <dyad_id>.mp4; ratings.json goes there")
    parser.add_argument("--data", required=True, type=Path, help="folder with manifest.csv")
    parser.add_argument("--split", default="test")
    judged = parser.add_mutually_exclusive_group(required=True)
    judged.add_argument("--judge", help="pkg.module:Class, called with a Question")
    judged.add_argument("--ratings", type=Path, help="JSON object of dyad_id and rating (null: none)")
    parser.add_argument("--options", default="{}", help="JSON object or @file: arguments of the judge's class")
    parser.add_argument("--name", help="the judge's name in ratings.json; default: its class or the file's name")
    args = parser.parse_args(arguments)
    if not args.videos.is_dir():
        raise ConfigError(f"--videos {args.videos} is no folder; generate first (python -m training.generate).")
    dyads, options = read_manifest(args.data, args.split), parse_json(args.options, "--options")
    if args.ratings:
        given = parse_json(f"@{args.ratings}", "--ratings")
        ratings = take_over(args.videos, dyads, given, args.name or args.ratings.name)
    else:
        try:
            judge = load_class(args.judge)(**options)
        except TypeError as error:
            raise ConfigError(f"--judge {args.judge} cannot be made of --options {options} ({error}).") from error
        if not callable(judge):
            raise ConfigError(f"--judge {args.judge} cannot be called; give its class a __call__(question).")
        ratings = rate_folder(args.videos, dyads, judge, args.name or f"{args.judge} {options_hash(options)}")
    rated = sum(entry["rating"] is not None for entry in ratings.values())
    print(f"{rated} of {len(dyads)} videos rated -> {args.videos / RATINGS}", flush=True)


if __name__ == "__main__":
    run_cli(main)
