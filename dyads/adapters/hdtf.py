"""Adapter for HDTF: talkers alone, from cut clips or from raw videos and the annotations: `--kind hdtf --root DIR`.

`HDTF_dataset/{RD,WDA,WRA}_*.txt` list videos, spans and crops (their files are spelled `annotion_time`). A clip
`<video>_<i>.mp4` is taken as it is; where only `<video>.mp4` is there, its span and crop are. Nobody is filmed on the
user's side, which is grey and silent. There is no official split: 50 videos are drawn by a seed, and their people are
taken out of training.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from dyads.adapters.engine.options import AdaptOptions
from dyads.adapters.pairs import Box, Pair, Source
from dyads.errors import ConfigError, DataError
from dyads.media.containers import probe
from dyads.seeding import rng

LICENCE = "annotations CC BY 4.0; videos of their authors (HDTF)"
PARTS = ("RD", "WDA", "WRA")
SUFFIXES = (".mp4", ".mkv", ".webm")
SPAN = re.compile(r"(?:(\d+):)?(\d+):(\d+)-(?:(\d+):)?(\d+):(\d+)")


@dataclass(frozen=True)
class HdtfOptions(AdaptOptions):
    """`test_videos`: how many videos make the test side, drawn by `seed`."""

    dataset: str = "hdtf"
    crop: str = "tracked"
    test_videos: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.test_videos < 0:
            raise ConfigError(f"test_videos is {self.test_videos}; give a number from 0.")


OPTIONS = HdtfOptions


@dataclass
class Video:
    """One video of the lists: spans in seconds, and by clip its crop (x, y, w, h) at `resolution` lines of picture."""

    name: str
    part: str
    spans: list[tuple[float, float]] = field(default_factory=list)
    crops: dict[int, Box] = field(default_factory=dict)
    resolution: int = 0

    @property
    def person(self) -> str:
        """Of WDA_BarackObama_001 it is BarackObama; a radio show's video is a person of its own."""
        stem = self.name.removeprefix(f"{self.part}_")
        return stem if self.part == "RD" else re.sub(r"_?\d+$", "", stem) or stem


def _lines(path: Path) -> list[list[str]]:
    if not path.is_file():
        return []
    return [line.split() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]


def read_videos(folder: Path) -> dict[str, Video]:
    """Videos by name from the annotation files. `DataError` for lines that are none."""
    found: dict[str, Video] = {}
    for part in PARTS:
        for name, *_ in _lines(folder / f"{part}_video_url.txt"):
            found[name] = Video(name, part)
        for name, *spans in _lines(folder / f"{part}_annotion_time.txt"):
            video = found.setdefault(Path(name).stem, Video(Path(name).stem, part))
            for text in spans:
                match = SPAN.fullmatch(text)
                if match is None:
                    raise DataError(
                        f"{folder / f'{part}_annotion_time.txt'}: {text!r} is no span mm:ss-mm:ss; fetch it again."
                    )
                first, last = _seconds(*match.groups()[:3]), _seconds(*match.groups()[3:])
                video.spans.append((first, last))
        for name, *numbers in _lines(folder / f"{part}_crop_wh.txt"):
            stem, _, index = Path(name).stem.rpartition("_")
            if stem in found:
                path = folder / f"{part}_crop_wh.txt"
                values = [_number(text, path) for text in (index, *numbers)]
                if len(values) != 5 or min(values[2], values[4]) <= 0:
                    raise DataError(f"{path}: {name} has no crop min_w w min_h h; fetch it again.")
                left, width, top, height = values[1:]
                found[stem].crops[int(values[0])] = (left, top, width, height)
        path = folder / f"{part}_resolution.txt"
        for name, *lines in _lines(path):
            if Path(name).stem in found:
                found[Path(name).stem].resolution = int(_number(lines[-1] if lines else "", path))
    return found


def _number(text: str, path: Path) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise DataError(f"{path}: {text!r} is no number; fetch it again.") from error


def _seconds(hours: str | None, minutes: str, seconds: str) -> float:
    return 3600 * int(hours or 0) + 60 * int(minutes) + int(seconds)


def _files(root: Path) -> dict[str, Path]:
    """Video files by stem, an index without leading zeros, and without the part's prefix where there is one."""
    found: dict[str, Path] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in SUFFIXES:
            stem = re.sub(r"_0*(\d+)$", r"_\1", path.stem)
            for name in (path.stem, stem, re.sub(rf"^({'|'.join(PARTS)})_", "", stem)):
                found.setdefault(name, path)
    return found


def _height(path: Path, video: Video) -> int:
    """Lines of a video; of one that cannot be read those of its annotation, for it is told where it is adapted."""
    try:
        return probe(path).height
    except DataError:
        return video.resolution


def _clips(video: Video, files: dict[str, Path]) -> list[tuple[int, Source, float, float | None]]:
    """(clip, side, start, end) of what there is of a video."""
    found = []
    for index, (start, end) in enumerate(video.spans or [(0.0, 0.0)]):
        cut = files.get(f"{video.name}_{index}")
        if cut is not None:
            found.append((index, Source(video.person, cut, cut), 0.0, None))
        elif video.name in files and video.spans:
            path, box = files[video.name], video.crops.get(index)
            if box is not None and video.resolution:
                scale = _height(path, video) / video.resolution  # the file may have been fetched at another size
                box = tuple(value * scale for value in box)
            found.append((index, Source(video.person, path, path, box=box), start, end))
    return found


def pairs(root: Path, options: HdtfOptions) -> tuple[list[Pair], dict[str, str], list[str]]:
    """The pairs of what is there, what is left out with the reason, and remarks."""
    folder = root / "HDTF_dataset" if (root / "HDTF_dataset").is_dir() else root
    videos = read_videos(folder)
    if not videos:
        raise DataError(f"{root}: this is no HDTF folder; give the one with HDTF_dataset/ and the videos.")
    files = _files(root)
    there = {name: clips for name, video in sorted(videos.items()) if (clips := _clips(video, files))}
    skipped = {}
    for name, video in sorted(videos.items()):
        lacking = len(video.spans or [None]) - len(there.get(name, ()))
        if lacking:
            skipped[name] = f"{name}: {lacking} of its clips are missing; fetch {name}.mp4 or {name}_0.mp4 and so on."
    if not there:
        first = next(iter(videos))
        raise DataError(f"{root}: none of the {len(videos)} listed videos is there; put {first}_0.mp4 below it.")
    names = sorted(there)
    drawn = rng(options.seed, "adapters.hdtf").permutation(len(names))[: options.test_videos]
    test = {names[k] for k in drawn}
    people = {videos[name].person for name in test}
    if len(test) >= len(names):
        raise DataError(
            f"{root}: {len(names)} videos are there, {options.test_videos} of them are to be the test side; give fewer "
            "(option test_videos)."
        )
    chosen = []
    for name, clips in there.items():
        split = "test" if name in test else "train"
        if split == "train" and videos[name].person in people:
            skipped[name] = f"{name}: {videos[name].person} is also in the test split; left out of training."
            continue
        for index, side, start, end in clips:
            nobody = Source(f"nobody_{split}", None, None)
            chosen.append(
                Pair(f"{name}_{index}", split, nobody, side, licence=LICENCE, start=start, end=end, mixed=False)
            )
    return chosen, skipped, []
