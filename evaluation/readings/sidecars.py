"""What lies beside a method's videos and belongs to single ones: how long each took, and what a judge thinks of it."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dyads.contract import file_sha256
from dyads.errors import DataError
from dyads.shards import WHOLE, Shard
from evaluation.cards import OK, STATUSES

TIMES, RATINGS = "generate.jsonl", "ratings.json"
SCALE = (1.0, 5.0)


@dataclass(frozen=True)
class Timing:
    """One dialogue's generation: frames, seconds of the clock and of the processor, both above 0."""

    frames: int
    wall: float
    cpu: float


@dataclass(frozen=True)
class Rating:
    """A judge's rating in [1, 5]; None: the judge gave none, or rated another version of the video."""

    value: float | None


@dataclass(frozen=True)
class Beside:
    """Entries of generate.jsonl and ratings.json by dyad; each names the video it is about by its SHA-256."""

    folder: Path
    times: dict[str, dict[str, Any]] = field(default_factory=dict)
    ratings: dict[str, dict[str, Any]] | None = None

    def told(self, clip: Any) -> Any:
        """The clip, with timing and rating of its video, and how many frames it was made of at a time."""
        clip.timing, clip.rating = self.of(clip.dyad_id)
        clip.border = int(self.times.get(clip.dyad_id, {}).get("clip_frames") or 0)
        return clip

    def absent(self, dyad_id: str) -> str:
        """Status of a dyad without a video: what its generation said, such as no_truth, else missing_video."""
        said = self.times.get(dyad_id, {}).get("status")
        return said if said in STATUSES and said != OK else "missing_video"

    def of(self, dyad_id: str) -> tuple[Timing | None, Rating | None]:
        """Timing and rating of a dyad's video as it is now; None where there is none, or nobody rates."""
        video, time = self.folder / f"{dyad_id}.mp4", self.times.get(dyad_id)
        if not video.is_file() or (time is None and self.ratings is None):
            return None, None if self.ratings is None else Rating(None)
        sha256 = file_sha256(video)
        timing = rating = None
        if time is not None and time.get("sha256") == sha256:
            timing = _timing(time, self.folder)
        if self.ratings is not None:
            entry = self.ratings.get(dyad_id, {})
            rating = Rating(entry.get("rating") if entry.get("sha256") == sha256 else None)
        return timing, rating


def read_beside(folder: Path, shard: Shard = WHOLE) -> Beside:
    """What lies in a folder of videos; DataError for a damaged file. A shard's times lie in its own."""
    times: dict[str, dict[str, Any]] = {}
    path = shard.folder_in(folder) / TIMES
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            entry = _json(line, path)
            if isinstance(entry, dict) and "dyad_id" in entry:
                times[entry["dyad_id"]] = entry
    ratings = read_ratings(folder)
    return Beside(folder, times, None if ratings is None else ratings["ratings"])


def read_ratings(folder: Path) -> dict[str, Any] | None:
    """ratings.json: judge, prompt and `ratings`, dyad -> {rating, sha256, ...}; None without that file.

    DataError if it is damaged or a rating is off the scale.
    """
    path = folder / RATINGS
    if not path.is_file():
        return None
    content = _json(path.read_text(encoding="utf-8"), path)
    ratings = content.get("ratings") if isinstance(content, dict) else None
    if not isinstance(ratings, dict) or not all(isinstance(entry, dict) for entry in ratings.values()):
        raise DataError(f"{path} holds no object 'ratings'; make it with `python -m evaluation.judge`.")
    for dyad_id, entry in ratings.items():
        if entry.get("rating") is not None:
            entry["rating"] = on_scale(entry["rating"], f"{path}: {dyad_id}")
    return content


def on_scale(rating: Any, where: str) -> float:
    """A rating as float; DataError unless it is a number in [1, 5]."""
    number = isinstance(rating, (int, float)) and not isinstance(rating, bool)
    if not (number and math.isfinite(rating) and SCALE[0] <= rating <= SCALE[1]):
        raise DataError(f"{where}: {rating!r} is no rating; it must be a number from {SCALE[0]:g} to {SCALE[1]:g}.")
    return float(rating)


def _timing(entry: dict[str, Any], folder: Path) -> Timing | None:
    """None where a time is 0, as of a copy too fast for the clock's resolution."""
    try:
        timing = Timing(int(entry["frames"]), float(entry["wall_seconds"]), float(entry["cpu_seconds"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder / TIMES} lacks times of {entry['dyad_id']} ({error}); generate again.") from error
    return timing if min(timing.frames, timing.wall, timing.cpu) > 0 else None


def _json(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is not JSON ({error}); delete it, or make it again.") from error
