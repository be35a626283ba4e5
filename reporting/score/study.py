"""Score videos made elsewhere: `python -m reporting.score --generated DIR --data DIR --probes DIR --out DIR`.

Policy, file by file, in files.csv and on the screen: a video is `<dyad_id>.mp4`. Another frame rate is resampled to
25 fps by timestamps and another size is rescaled to the true one's, both said; another length, an unreadable or a
missing file leaves that clip without values (never cut or stretched to fit), and set-level metrics then have none
either, for fewer clips would be another test set. Files of no test dialogue are named and left alone.
"""

import argparse
import csv
import glob
import io
import sys
from pathlib import Path

from dyads.contract import Dyad, read_manifest
from dyads.errors import ConfigError, DataError, run_cli
from dyads.files import write_text
from dyads.media.containers import FPS, probe
from dyads.media.video import iter_video
from evaluation.run import main as measure
from reporting.score.items import SUFFIXES
from reporting.tables import main as tables

COLUMNS = ("file", "dyad_id", "status", "fps", "width", "height", "frames", "wanted_frames", "note")
UNEVEN = 0.01  # seconds that a frame may lie beside its place at 25 a second
SCORED = ("ok", "resampled", "rescaled")


def times_of(path: Path) -> list[float]:
    """Times of a video's frames as they will be decoded: of one cut by stream copy the header counts others."""
    return list(iter_video(path, convert=lambda frame, aspect, reformatter: frame.time))


def look_at(path: Path, dyad: Dyad) -> dict:
    """One line of files.csv: what the file is, and what the policy makes of it."""
    wanted = len(times_of(dyad.avatar.video))
    line = dict.fromkeys(COLUMNS, "") | {"file": path.name, "dyad_id": dyad.dyad_id, "wanted_frames": wanted}
    if not path.is_file():
        others = sorted(each.name for each in path.parent.glob(f"{glob.escape(path.stem)}.*") if is_video(each))
        note = f"{others[0]} is there, but mp4 alone is read; convert or rename it" if others else "no such file"
        return line | {"status": "missing_video", "note": f"{note}: the clip has no values"}
    try:
        info, times = probe(path), times_of(path)
        frames = len(times)
    except DataError as error:
        return line | {"status": "missing_video", "note": str(error)}
    line |= {"fps": round(info.fps, 3), "width": info.width, "height": info.height, "frames": frames}
    notes, status = [], "ok"
    if (info.height, info.width) != (dyad.avatar.height, dyad.avatar.width):
        status = "rescaled"
        notes.append(f"rescaled to {dyad.avatar.width}x{dyad.avatar.height}")
    uneven = max(abs(time - times[0] - k / FPS) for k, time in enumerate(times)) > UNEVEN
    if abs(info.fps - FPS) > 1e-3 or uneven:
        status = "resampled"
        why = "frames at uneven times, " if abs(info.fps - FPS) <= 1e-3 else ""
        notes.append(f"{why}resampled to {FPS} fps by timestamps")
    if frames != wanted:
        note = f"lasts {frames} frames, the truth {wanted}: no values (--true in place of --data can take --common)"
        return line | {"status": "length_mismatch", "note": note}
    return line | {"status": status, "note": "; ".join(notes)}


def survey(folder: Path, dyads: list[Dyad]) -> list[dict]:
    """A line for every test dialogue, then one for every other video."""
    if not folder.is_dir():
        raise ConfigError(f"--generated {folder} is no folder; give one with <dyad_id>.mp4 files.")
    lines = [look_at(folder / f"{dyad.dyad_id}.mp4", dyad) for dyad in dyads]
    known = {dyad.dyad_id for dyad in dyads}
    for path in sorted(filter(is_video, folder.iterdir())):
        if path.stem not in known or path.suffix != ".mp4":
            of_one = path.stem in known
            note = "no mp4 file: left alone" if of_one else "belongs to no test dialogue: left alone"
            lines.append(dict.fromkeys(COLUMNS, "") | {"file": path.name, "status": "extra", "note": note})
    if not any(line["status"] in (*SCORED, "length_mismatch") for line in lines):
        example = dyads[0].dyad_id if dyads else "dyad_id"
        raise DataError(f"{folder} has no readable video of a test dialogue; name the files as {example}.mp4.")
    return lines


def is_video(path: Path) -> bool:
    """Whether a file has a video's name."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def report(lines: list[dict], out: Path) -> None:
    """files.csv, and on the screen every file that is not simply fine."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    write_text(out / "files.csv", buffer.getvalue())
    for line in lines:
        if line["status"] != "ok":
            print(f"{line['file']}: {line['status']}; {line['note']}")
    fine = sum(line["status"] in SCORED for line in lines)
    print(f"{fine} of {sum(line['status'] != 'extra' for line in lines)} test dialogues can be scored\n", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command's work; 0 if every test dialogue was scored, 3 if some were, 2 if none was."""
    parser = argparse.ArgumentParser(prog="python -m reporting.score", description=__doc__.splitlines()[0])
    parser.add_argument("--generated", required=True, type=Path, help="folder with <dyad_id>.mp4")
    parser.add_argument("--data", required=True, type=Path, help="folder with manifest.csv")
    parser.add_argument("--probes", required=True, nargs="+", help="as of evaluation.run")
    parser.add_argument("--name", default="external", help="name of the row")
    parser.add_argument("--weights", default="{}", help="JSON object or @file, as of evaluation.run")
    parser.add_argument("--split", default="test")
    parser.add_argument("--out", required=True, type=Path, help="folder for files.csv, metrics and the table")
    args = parser.parse_args(arguments)
    lines = survey(args.generated, read_manifest(args.data, args.split))
    report(lines, args.out)
    rows = args.out / args.name / "seed0.csv"
    measure(
        [
            *("--method", args.name, "--videos", str(args.generated), "--data", str(args.data)),
            *("--probes", *args.probes, "--split", args.split, "--weights", args.weights, "--out", str(rows)),
        ]
    )
    tables(["--metrics", str(rows), "--out", str(args.out)])
    sys.stdout.write((args.out / "main_table.md").read_text(encoding="utf-8"))
    wanted = [line for line in lines if line["status"] != "extra"]
    fine = sum(line["status"] in SCORED for line in wanted)
    return 0 if fine == len(wanted) else 3 if fine else 2


if __name__ == "__main__":
    run_cli(main)
