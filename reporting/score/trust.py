"""Which metrics move when a video gets worse: `python -m reporting.score.trust --true DIR --out DIR`.

Every true video is degraded in known ways and scored against itself by `evaluation.score`; the table says for each
metric and degradation whether it got worse. Without `--true`, on dialogues of the synthetic world, where the motion
itself can be halved too. `--write FILE` makes a page of several tables (`--tables`), such as docs/trust.md.
"""

import argparse
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from dyads.adapters.engine.camera import Planned
from dyads.adapters.engine.options import AdaptOptions
from dyads.adapters.engine.planning import crop_plan
from dyads.adapters.pairs import Source
from dyads.errors import ConfigError, DataError, run_cli
from dyads.files import write_text
from dyads.media.containers import FPS, SAMPLES_PER_FRAME, probe
from dyads.media.video import read_audio, write_video
from dyads.seeding import rng
from dyads.synthetic.drawing.render import render_frames
from dyads.synthetic.world import generate_dialogue
from evaluation.cards import OK, truth_part
from evaluation.registry import cards
from evaluation.rows import WHOLE_SET
from reporting.score.__main__ import main as score
from reporting.score.items import SUFFIXES

SIDE = 160
BASE = "coded again"  # the least that any method does to a video: what a degradation is compared with
SIGNIFICANT = 0.75  # share of the clips in which a metric must get worse (or better) to be said to move
WORDS = {"worse": "✓", "better": "✗", "still": "·", "": ""}
INTRODUCTION = """# Which metrics can be trusted, and for what

Every true video was degraded in known ways and scored against itself; a metric that can be trusted for a fault gets
worse by it. Compared with the same video coded once more: **✓** worse in three of four clips or more, **✗** *better*
in as many (the metric goes the wrong way), **·** neither (it does not see it); empty: no value. Of metrics of the set
(FD pooled, SID, E-FID ...) the set's one value is compared. A metric whose aim is the true video's own value gets worse
by moving away from it. Metrics of networks (FID, LPIPS, LSE, CSIM) are missing where no weights were given.

*Late 40 ms* is one frame. A metric with · under *another person* or *another time* cannot tell your avatar from any
lively face; one with ✗ under *frozen* rewards standing still; one with ✓ under *blur* alone speaks of pictures. A few
clips are a few clips: one sign says little. MEE, CE and diversity compare several samples of a clip, and every fault
here is one: they have no row.

Made by `python -m reporting.score.trust --out DIR`. For recordings of your own, `--true FOLDER` in addition, and
`--write FILE --tables "TITLE=DIR/verdicts.csv"` for the page.
"""


def late(frames: np.ndarray, count: int) -> np.ndarray:
    """Frames that come so many frames later; the first one stands until then."""
    return np.concatenate([frames[:1].repeat(count, 0), frames[: len(frames) - count]])


def blurred(frames: np.ndarray) -> np.ndarray:
    return np.stack([cv2.GaussianBlur(frame, (0, 0), frame.shape[0] / 128) for frame in frames])


def jittered(frames: np.ndarray, name: str) -> np.ndarray:
    """Each frame moved by up to one pixel in 80 of its side, at random."""
    most = frames.shape[1] / 80
    moves = rng(0, "trust.jitter", name).uniform(-most, most, (len(frames), 2))
    size = frames.shape[2], frames.shape[1]
    return np.stack(
        [
            cv2.warpAffine(frame, np.float32([[1, 0, x], [0, 1, y]]), size, borderMode=cv2.BORDER_REPLICATE)
            for frame, (x, y) in zip(frames, moves, strict=True)
        ]
    )


def degraded(videos: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Degradation -> name -> frames; each needs at least two videos of one length."""
    names = sorted(videos)
    other = dict(zip(names, [*names[1:], names[0]], strict=True))
    found: dict[str, Callable[[str], np.ndarray]] = {
        BASE: lambda name: videos[name],
        "late 40 ms": lambda name: late(videos[name], 1),
        "late 200 ms": lambda name: late(videos[name], 5),
        "late 400 ms": lambda name: late(videos[name], 10),
        "blur": lambda name: blurred(videos[name]),
        "jitter": lambda name: jittered(videos[name], name),
        "frozen": lambda name: videos[name][:1].repeat(len(videos[name]), 0),
        "another time": lambda name: videos[name][::-1],
        "another person": lambda name: videos[other[name]],
    }
    return {label: {name: make(name) for name in names} for label, make in found.items()}


def synthetic(count: int, seconds: float) -> tuple[dict, dict, dict[str, np.ndarray]]:
    """Frames, sounds and, under half of the motion, frames again, of so many dialogues of the world's test side."""
    videos, sounds, halved = {}, {}, {}
    for number in range(count):
        dialogue = generate_dialogue(0, "test", number, (max(4.0, seconds),) * 2)
        frames, name = round(seconds * FPS), f"d{number:02d}"
        motion = dialogue.faces.avatar[:frames]
        half = motion.mean(0) + 0.5 * (motion - motion.mean(0))
        videos[name] = render_frames(dialogue.identity["avatar"], motion, SIDE, dialogue.seed)
        halved[name] = render_frames(dialogue.identity["avatar"], half.astype(np.float32), SIDE, dialogue.seed)
        sounds[name] = dialogue.sound["avatar"][: frames * SAMPLES_PER_FRAME]
    return videos, sounds, halved


def recorded(folder: Path, seconds: float, size: int) -> tuple[dict, dict]:
    """Frames, a fixed square round the face, and sounds of a folder's videos, of one length; what is too short, or
    shows no face, is left out and said."""
    videos, sounds = {}, {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES:
            continue
        source, frames = Source(path.stem, path, None), round(seconds * FPS)
        try:
            plan = crop_plan(source, 0.0, None, AdaptOptions(crop="fixed"))
            found = list(islice(Planned(source, 0.0, None, plan).pictures(size), frames))
            sound = read_audio(path) if probe(path).has_audio else np.zeros(0, np.float32)
        except DataError as error:
            print(f"left out: {error}")
            continue
        if len(found) < frames:
            print(f"left out: {path} is shorter than {seconds:g} s")
            continue
        videos[path.stem], samples = np.stack(found), frames * SAMPLES_PER_FRAME
        sounds[path.stem] = np.pad(sound, (0, samples))[:samples]
    if len(videos) < 2:
        raise DataError(f"{folder} holds {len(videos)} videos of {seconds:g} s; give at least two.")
    return videos, sounds


def write(out: Path, label: str, videos: dict[str, np.ndarray], sounds: dict[str, np.ndarray], crf: int) -> Path:
    folder = out / "videos" / label
    for name, frames in videos.items():
        write_video(folder / f"{name}.mp4", frames, sounds[name], crf=crf)
    return folder


def gaps(rows: pd.DataFrame) -> pd.DataFrame:
    """How far each value is from perfect (higher: worse), by metric, part, clip and degradation."""
    known = cards()
    found = rows[rows["status"] == OK].copy()
    keys = ["method", "clip", "metric"]
    truths = found[found["part"].str.endswith("_truth")].copy()
    truths["part"] = truths["part"].str.removesuffix("_truth")
    found = found[[part in known[metric].parts for metric, part in zip(found["metric"], found["part"], strict=True)]]
    merged = found.merge(truths[[*keys, "part", "value"]], on=[*keys, "part"], how="left", suffixes=("", "_true"))
    directions = merged["metric"].map(lambda metric: known[metric].direction)
    merged["gap"] = merged["value"].where(directions == "lower", -merged["value"])
    aim = directions == "truth"
    merged.loc[aim, "gap"] = (merged["value"] - merged["value_true"]).abs()[aim]
    set_level = merged["metric"].map(lambda metric: known[metric].per == "set")
    return merged[(merged["clip"] == WHOLE_SET) == set_level]


def verdicts(rows: pd.DataFrame) -> pd.DataFrame:
    """metric, part x degradation -> worse, better, still, or '' without values."""
    table = gaps(rows).pivot_table(index=["metric", "part", "clip"], columns="method", values="gap", sort=False)
    lines = {}
    for key, own in table.groupby(level=[0, 1], sort=False):
        line = {}
        for label in own.columns.drop(BASE, errors="ignore"):
            both = own[[BASE, label]].dropna() if BASE in own else own.iloc[:0]
            difference = both[label] - both[BASE] if len(both) else pd.Series(dtype=float)
            small = 1e-9 * both.abs().max().max() if len(both) else 0.0
            worse, better = (difference > small).mean(), (difference < -small).mean()
            line[label] = (
                ""
                if not len(both)
                else "worse"
                if worse >= SIGNIFICANT
                else "better"
                if better >= SIGNIFICANT
                else "still"
            )
        lines[key] = line
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis(["metric", "part"])


def measure(true: Path | None, out: Path, count: int, seconds: float, size: int, weights: str) -> pd.DataFrame:
    """Degrade, score and judge; writes `verdicts.csv`."""
    halved = None
    if true is None:
        videos, sounds, halved = synthetic(count, seconds)
    else:
        videos, sounds = recorded(true, seconds, size)
    folders = {label: write(out, label, found, sounds, 23) for label, found in degraded(videos).items()}
    if halved is not None:
        folders["half the motion"] = write(out, "half the motion", halved, sounds, 23)
    truth = write(out, "truth", videos, sounds, 8)
    arguments = [word for label, folder in folders.items() for word in ("--generated", f"{label}={folder}")]
    code = score([*arguments, "--true", str(truth), "--out", str(out / "score"), "--no-page", "--weights", weights])
    if code:
        raise DataError(f"{out / 'score'}: not all of the degraded videos could be scored; see files.csv there.")
    found = verdicts(pd.read_csv(out / "score" / "rows.csv"))
    write_text(out / "verdicts.csv", found.to_csv())
    return found


def table(found: pd.DataFrame, title: str) -> str:
    """A section of the page."""
    known = cards()
    columns = list(found.columns)
    text = f"\n## {title}\n\n| metric | {' | '.join(columns)} |\n|---|{':-:|' * len(columns)}\n"
    for (metric, part), line in found.iterrows():
        if metric not in known or part not in known[metric].parts or part == truth_part(part):
            continue
        cells = [WORDS.get(line[column] if isinstance(line[column], str) else "", "") for column in columns]
        several = len(known[metric].parts) > 1
        name = f"[{known[metric].label.replace('|', chr(92) + '|')}](metrics.md#{metric})" + (
            f", {part}" if several else ""
        )
        text += f"| {name} | {' | '.join(cells)} |\n"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m reporting.score.trust", description=__doc__.splitlines()[0])
    parser.add_argument("--true", type=Path, help="folder of true videos; without it, the synthetic world")
    parser.add_argument("--out", type=Path, help="folder for the degraded videos and their values")
    parser.add_argument("--count", type=int, default=6, help="dialogues of the synthetic world (default 6)")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each video (default 6)")
    parser.add_argument("--size", type=int, default=256, help="side of recorded videos (default 256)")
    parser.add_argument("--weights", default="{}", help="as of evaluation.score")
    parser.add_argument("--write", type=Path, metavar="FILE", help="page to write of --tables")
    parser.add_argument(
        "--tables", nargs="*", default=(), metavar="TITLE=CSV", help="verdicts.csv files with their titles"
    )
    given = parser.parse_args()
    if given.write:
        text = INTRODUCTION
        for item in given.tables:
            title, _, path = item.rpartition("=")
            if not Path(path).is_file():
                raise ConfigError(f"--tables {item}: {path} is no file; make it with --out first.")
            text += table(pd.read_csv(path, keep_default_na=False).set_index(["metric", "part"]), title)
        write_text(given.write, text)
    elif given.out is None:
        raise ConfigError("give --out for a folder to measure in, or --write and --tables for a page.")
    else:
        measure(given.true, given.out, given.count, given.seconds, given.size, given.weights)


if __name__ == "__main__":
    run_cli(main)
