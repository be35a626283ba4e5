"""Generate a split's videos with one method: `python -m training.generate --method NAME ... --out DIR`.

Writes `<dyad_id>.mp4` with the avatar's own sound, `generate.jsonl` (one line a finished dyad: speed, hash),
`provenance.json`, and last `index.csv`, which therefore means complete. Run the same command again to resume.
"""

import csv
import io
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from dyads.contract import FPS, Dyad, file_sha256, read_manifest
from dyads.errors import run_cli
from dyads.files import write_text
from dyads.media.sound import fitted_blocks
from dyads.media.video import probe, read_audio, write_video
from dyads.media.writer import VideoWriter
from dyads.shards import add_shard
from training.command import method_from, method_parser
from training.engine.checkpoint import lock, notice
from training.engine.journal import Bar, append_line, keep_lines
from training.errors import MethodError
from training.method import Method
from training.options import options_hash
from training.provenance import content_hash, write_provenance
from training.source import source_hash

INDEX_COLUMNS = (
    "dyad_id",
    "file",
    "frames",
    "seconds",
    "status",
)  # seconds of video; status ok, or why no file


def main(arguments: list[str] | None = None) -> None:
    """Parse `arguments` (default: the command line) and generate what is not there yet."""
    parser = method_parser("Generate a split's videos with one method; run the same command again to resume.")
    parser.add_argument("--weights", required=True, type=Path, help="what training.fit wrote")
    parser.add_argument("--split", default="test")
    parser.add_argument("--out", required=True, type=Path, help="folder for the videos and index.csv")
    parser.add_argument("--crf", type=int, default=12, help="h264 quality; lower is better")
    add_shard(parser)
    args = parser.parse_args(arguments)
    started = time.monotonic()
    method, options, backbones = method_from(args)
    dyads = read_manifest(args.data, args.split, args.shard)
    if not args.weights.exists():
        raise MethodError(f"weights {args.weights} do not exist; run training.fit for {args.method} first.")
    signature = options_hash(
        {
            "method": [args.method, args.cls, options, args.seed, args.split, args.crf],
            "weights": {name: content_hash(path) for name, path in {"": args.weights, **backbones}.items()},
            "data": file_sha256(args.data / "manifest.csv"),
            "code": source_hash([type(method)]),
        }
    )
    own, index = args.shard.folder_in(args.out), args.shard.list_in(args.out)
    with lock(own):
        rows = _finished(own, args.out, index, signature)
        todo = [dyad for dyad in dyads if dyad.dyad_id not in rows]
        if todo:
            index.unlink(missing_ok=True)
            method.load(args.weights)
        bar = Bar(f"{args.method} seed {args.seed}", len(dyads) - len(todo), len(dyads), "dyad")
        for dyad in todo:
            row = _generate(method, dyad, args.seed, args.out, args.crf)
            append_line(own / "generate.jsonl", {**row, "signature": signature})
            rows[dyad.dyad_id] = row
            bar.show(len(rows), dyad.dyad_id)
        bar.close()
        rows = {dyad.dyad_id: rows[dyad.dyad_id] for dyad in dyads}
        _write_results(args, options, backbones, rows, signature, started)


def _finished(own: Path, out: Path, index: Path, signature: str) -> dict[str, dict[str, Any]]:
    """Rows already done by the same method, weights, data and code; videos of others are removed.

    `own`: the folder of this shard's journal, `out` that of the videos.
    """
    others: list[dict[str, Any]] = []

    def wanted(row: dict[str, Any]) -> bool:
        same = row.get("signature") == signature
        if not same:
            others.append(row)
        return same and (not row["file"] or (out / row["file"]).is_file())

    rows = keep_lines(own / "generate.jsonl", wanted)
    if others:
        notice(f"{out} holds videos of other options, weights, data or code: they are made again.")
        index.unlink(missing_ok=True)
        for row in others:
            if row.get("file"):
                (out / row["file"]).unlink(missing_ok=True)
    return {row["dyad_id"]: row for row in rows}


def _generate(method: Method, dyad: Dyad, seed: int, out: Path, crf: int) -> dict[str, Any]:
    """One dyad's video, and its row; the seconds are the method's own, without the writing."""
    clock = Stopwatch()
    with clock:
        frames = method.generate(dyad, seed)
    row: dict[str, Any] = {"dyad_id": dyad.dyad_id, "file": "", "frames": 0, "status": method.absent}
    if frames is not None:
        row.update(file=f"{dyad.dyad_id}.mp4", status="ok")
        sound = dyad.avatar.audio, dyad.avatar.audio_channel
        if isinstance(frames, Iterator):
            frames = checked(clock.over(frames), dyad, method.name)
            row["frames"] = write_stacks(out / row["file"], frames, *sound, crf)
        else:
            write_video(out / row["file"], checked(frames, dyad, method.name), read_audio(*sound), crf=crf)
            row["frames"] = len(frames)
        row["sha256"] = file_sha256(out / row["file"])
        row["clip_frames"] = method.clip_frames
    return row | {"wall_seconds": round(clock.wall, 3), "cpu_seconds": round(clock.cpu, 3)}


def write_stacks(path: Path, stacks: Iterator[np.ndarray], audio: Path, channel: int | None, crf: int) -> int:
    """`write_video` of frames that come in stacks, a file's sound too, none of it kept; how many there were."""
    first, count = next(stacks), 0
    with VideoWriter(path, *first.shape[1:3], crf=crf) as writer:
        for stack in chain([first], stacks):
            for picture in stack:
                writer.write(picture)
            count += len(stack)
        writer.finish(fitted_blocks(audio, channel, count))
    return count


class Stopwatch:
    """Wall and CPU seconds of what runs inside it."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    def __enter__(self) -> None:
        self.start = time.monotonic(), time.process_time()

    def __exit__(self, *_: object) -> None:
        self.wall += time.monotonic() - self.start[0]
        self.cpu += time.process_time() - self.start[1]

    def over(self, stacks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """The same stacks; what making each takes is counted."""
        while True:
            with self:
                stack = next(stacks, None)
            if stack is None:
                return
            yield stack


def checked(frames: Any, dyad: Dyad, method: str) -> Any:
    """What `Method.generate` gave, if it is uint8 (T, H, W, 3), as long and large as the dyad's avatar, or stacks of
    frames that come to it; else a MethodError, of stacks as soon as it shows.
    """
    wanted = (probe(dyad.avatar.video).frames, dyad.avatar.height, dyad.avatar.width, 3)
    if isinstance(frames, Iterator):
        return _checked_stacks(frames, wanted, dyad, method)
    if not isinstance(frames, np.ndarray):
        raise _refused(f"a {type(frames).__name__}", wanted, dyad, method)
    if frames.dtype != np.uint8 or frames.shape != wanted:
        raise _refused(f"{frames.dtype} {frames.shape}", wanted, dyad, method)
    return frames


def _checked_stacks(stacks: Iterator[np.ndarray], wanted: tuple[int, ...], dyad: Dyad, method: str) -> Iterator[Any]:
    count = 0
    for stack in stacks:
        count += len(stack)
        if stack.dtype != np.uint8 or stack.shape[1:] != wanted[1:] or count > wanted[0]:
            raise _refused(f"{stack.dtype} {(count, *stack.shape[1:])}", wanted, dyad, method)
        yield stack
    if count != wanted[0]:
        raise _refused(f"{count} frames", wanted, dyad, method)


def _refused(got: str, wanted: tuple[int, ...], dyad: Dyad, method: str) -> MethodError:
    return MethodError(
        f"method {method!r} gave {got} for dyad {dyad.dyad_id!r}, which needs uint8 {wanted}; "
        "correct the method's generate."
    )


def _write_results(
    args: Any,
    options: dict[str, Any],
    backbones: dict[str, Path],
    rows: dict[str, dict[str, Any]],
    signature: str,
    started: float,
) -> None:
    """provenance.json, then index.csv."""
    frames = sum(row["frames"] for row in rows.values())
    write_provenance(
        args.shard.folder_in(args.out) / "provenance.json",
        options,
        args.seed,
        {"weights": args.weights, **backbones},
        started=started,
        method=args.method,
        implementation=args.cls,
        split=args.split,
        signature=signature,
        dyads=len(rows),
        frames=frames,
        generate_seconds=round(sum(row["wall_seconds"] for row in rows.values()), 3),
        generate_cpu_seconds=round(sum(row["cpu_seconds"] for row in rows.values()), 3),
    )
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(INDEX_COLUMNS)
    for row in rows.values():
        seconds = f"{row['frames'] / FPS:.2f}"
        writer.writerow([row["dyad_id"], row["file"], row["frames"], seconds, row["status"]])
    write_text(args.shard.list_in(args.out), buffer.getvalue())


if __name__ == "__main__":
    run_cli(main)
