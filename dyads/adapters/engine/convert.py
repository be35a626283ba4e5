"""One dialogue of recordings becomes dyad folders: both sides are read in step and written as they come.

Memory does not grow with the recording: of the pictures a few frames are held, the sound lies in a temporary file.
What stood in a dialogue's folder before stays until the new one is complete.
"""

import math
import os
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from dyads.adapters.engine.camera import Planned, camera
from dyads.adapters.engine.crop_plan import CropPlan
from dyads.adapters.engine.options import AdaptOptions
from dyads.adapters.engine.sounds import Sound, fitted, one_track, silences, spool
from dyads.adapters.engine.unpack import unpacked
from dyads.adapters.pairs import Known, Pair, Skipped, Source
from dyads.errors import DataError
from dyads.manifest import file_sha256, same_content
from dyads.media.containers import FPS, SAMPLES_PER_FRAME, probe
from dyads.media.sound import pcm16, wav_writer
from dyads.media.writer import VideoWriter
from dyads.records import ROLES, Turn, read_turns, write_turns


class Segment:
    """The dyad folder that frames are being written to, under a temporary name."""

    def __init__(self, staging: Path, pair: Pair, dyad_id: str, start: int, options: AdaptOptions) -> None:
        self.dyad_id, self.start, self.count, self.options = dyad_id, start, 0, options
        self.folder = staging / dyad_id
        self.folder.mkdir(parents=True)
        self.stack = ExitStack()
        size = options.size
        self.writers = {
            role: self.stack.enter_context(VideoWriter(self.folder / f"{role}.mp4", size, size, crf=options.crf))
            for role in ROLES
        }

    def write(self, pictures: dict[str, np.ndarray]) -> None:
        """The next frame of both sides."""
        for role, writer in self.writers.items():
            writer.write(pictures[role])
        self.count += 1

    def finish(self, sounds: dict[str, Sound]) -> None:
        """Sound into both videos and beside them."""
        first, samples = self.start * SAMPLES_PER_FRAME, self.count * SAMPLES_PER_FRAME
        for role, writer in self.writers.items():
            writer.finish(sounds[role].part(first, samples))
        self.stack.close()
        for role in ROLES:
            with wav_writer(self.folder / f"{role}.wav") as file:
                for block in sounds[role].part(first, samples):
                    file.writeframes(pcm16(block))

    def drop(self) -> None:
        """It is not wanted after all."""
        self.stack.pop_all()
        shutil.rmtree(self.folder)


def cut_turns(turns: tuple[Turn, ...], start: float, stop: float) -> list[Turn]:
    """Turns between two times, clipped and counted from `start`; one across a cut is in both parts."""
    return [
        replace(turn, start=max(turn.start, start) - start, end=min(turn.end, stop) - start)
        for turn in turns
        if turn.end > start and turn.start < stop
    ]


def at_frames(valid: np.ndarray, frames: int, first: float, seconds: float) -> np.ndarray:
    """bool (frames,) of flags spread evenly over `seconds`, from time `first` on: their count decides the rate."""
    if not len(valid):
        return np.zeros(frames, bool)
    times = first + (np.arange(frames) + 0.5) / FPS
    return np.asarray(valid, bool)[np.clip((times / seconds * len(valid)).astype(int), 0, len(valid) - 1)]


def convert(pair: Pair, out: Path, options: AdaptOptions) -> dict:
    """Write the dialogue folders of one pair; returns its manifest rows, report lines and remarks."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making.", dir=out) as scratch:
        folder = Path(scratch)
        return _convert(unpacked(pair, folder), out, folder, options)


def _convert(pair: Pair, out: Path, scratch: Path, options: AdaptOptions) -> dict:
    sources = {role: pair.source(role) for role in ROLES}
    if all(source.video is None for source in sources.values()):
        raise DataError(f"{pair.dyad_id}: neither side has a video; give at least one.")
    length = min(probe(source.video).duration for source in sources.values() if source.video is not None)
    known = pair.notes.read(lambda path: path, length) if pair.notes else Known()
    turns = read_turns(pair.turns) if pair.turns else known.turns
    pair = replace(pair, mixed=one_track(pair))
    sounds = {role: spool(sources[role], pair.start + sources[role].offset, scratch, role) for role in ROLES}
    remarks = list(known.remarks) + silences(pair, sounds, turns, options)
    cameras = {role: camera(source, *_span(pair, source), options) for role, source in sources.items()}
    counts, segments = _write(pair, cameras, sounds, scratch / "segments", options)
    plans = {role: one.plan for role, one in cameras.items()}
    _two_faces(sources, plans)
    if any(one.off for one in cameras.values()):
        shutil.rmtree(scratch / "segments")
        cameras = {
            role: Planned(source, *_span(pair, source), plans[role]) if source.video is not None else cameras[role]
            for role, source in sources.items()
        }
        counts, segments = _write(pair, cameras, sounds, scratch / "segments", options)
    frames = min(count for role, count in counts.items() if sources[role].video is not None)
    for role, source in sources.items():
        if pair.end is not None and source.video is not None and counts[role] < (pair.end - pair.start) * FPS - 1:
            seconds = pair.start + counts[role] / FPS
            raise DataError(
                f"{source.video}: the video ends at {seconds:.2f} s, before end {pair.end:g} s; correct end."
            )
    fits = {
        role: fitted(source, sounds[role], counts[role], pair.end, options.audio_tolerance)
        for role, source in sources.items()
    }
    kept, dropped = [], 0
    for segment in segments:
        origin = pair.start + segment.start / FPS
        valid = {role: at_frames(flags, segment.count, origin, length) for role, flags in known.valid.items()}
        share = min((float(flags.mean()) for flags in valid.values()), default=1.0)
        if share < options.least_valid:
            remarks.append(
                f"left out {origin:.1f}-{origin + segment.count / FPS:.1f} s: valid in {share:.0%} of the frames"
            )
            segment.drop()
            dropped += segment.count
            continue
        write_turns(segment.folder / "turns.jsonl", cut_turns(turns, origin, origin + segment.count / FPS))
        if valid:
            np.savez_compressed(segment.folder / "valid.npz", **valid)
        kept.append(segment)
    if not kept:
        raise Skipped(f"{pair.dyad_id}: no part of it is valid in {options.least_valid:.0%} of its frames; left out.")
    rows = [row for segment in kept for row in _placed_rows(segment, pair, out, plans, options)]
    report = [
        {
            "dyad_id": pair.dyad_id,
            "role": role,
            "source": sources[role].video.name if sources[role].video else "",
            "source_fps": round(probe(sources[role].video).fps, 3) if sources[role].video else 0.0,
            "crop": plans[role].origin if plans[role] else "none",
            "inside": "" if plans[role] is None or math.isnan(plans[role].inside) else round(plans[role].inside, 4),
            "frames": frames,
            "cut_seconds": (counts[role] - frames) / FPS if sources[role].video else 0.0,
            "dropped_seconds": (frames - sum(segment.count for segment in kept)) / FPS,
            "sound_fitted_seconds": round(fits[role], 4),
        }
        for role in ROLES
    ]
    return {"rows": rows, "report": report, "remarks": remarks}


def _span(pair: Pair, source: Source) -> tuple[float, float | None]:
    """Start and end of the dialogue in the seconds of a side's recording."""
    return pair.start + source.offset, None if pair.end is None else pair.end + source.offset


def _two_faces(sources: dict[str, Source], plans: dict[str, CropPlan | None]) -> None:
    """DataError where both roles are cut out of one recording at the same place."""
    user, avatar = (sources[role].video for role in ROLES)
    if user is None or avatar is None or (user != avatar and not same_content(user, avatar)):
        return
    first, second = (plans[role].squares.mean(0) for role in ROLES)
    apart = np.abs(first[:2] + first[2] / 2 - second[:2] - second[2] / 2).max()
    if apart < 0.25 * max(first[2], second[2]) and sources["user"].offset == sources["avatar"].offset:
        raise DataError(
            f"{user}: both roles are cut from the same place of one recording; give a box of each person (user_box, "
            "avatar_box), or left and right (user_face, avatar_face), or the other person's own recording."
        )


def _write(
    pair: Pair, cameras: dict, sounds: dict[str, Sound], staging: Path, options: AdaptOptions
) -> tuple[dict[str, int], list[Segment]]:
    """All frames of both sides, as far as both go: frames of each side, and the finished segments."""
    pictures = {role: one.pictures(options.size) for role, one in cameras.items()}
    counts, done, current = dict.fromkeys(ROLES, 0), [], None
    length = round(options.segment_seconds * FPS) if options.segment_seconds else math.inf
    while True:
        both = {}
        for role, iterator in pictures.items():
            picture = next(iterator, None)
            if picture is not None:
                counts[role] += 1
                both[role] = picture
        if len(both) < len(ROLES):
            break
        if current is not None and current.count == length:
            current.finish(sounds)
            done.append(current)
            current = None
        if current is None:
            start = counts["avatar"] - 1
            name = f"{pair.dyad_id}_s{len(done):03d}" if options.segment_seconds else pair.dyad_id
            current = Segment(staging, pair, name, start, options)
        current.write(both)
    for role, iterator in pictures.items():  # how much longer the other side is
        if role in both and pair.source(role).video is not None:
            counts[role] += sum(1 for _ in iterator)
    if current is not None:
        if done and current.count < options.minimum_seconds * FPS:
            current.drop()
        else:
            current.finish(sounds)
            done.append(current)
    return counts, done


def _placed_rows(segment: Segment, pair: Pair, out: Path, plans: dict, options: AdaptOptions) -> list[dict]:
    """Move a finished segment to its place, and its mirror's links beside it; their manifest rows."""
    ids = [(segment.dyad_id, {role: role for role in ROLES})]
    if pair.mirror:
        name = pair.mirror + segment.dyad_id.removeprefix(pair.dyad_id)
        ids.append((name, {"user": "avatar", "avatar": "user"}))
        _mirror(segment.folder, segment.folder.with_name(name))
    rows = []
    for dyad_id, source_of in ids:
        folder, staged = out / pair.split / dyad_id, segment.folder.with_name(dyad_id)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            shutil.rmtree(folder)  # left by other options or another version of the sources
        os.replace(staged, folder)
        for role in ROLES:
            plan = plans[source_of[role]]
            rows.append(
                {
                    "dataset": options.dataset,
                    "split": pair.split,
                    "dyad_id": dyad_id,
                    "role": role,
                    "subject_id": pair.source(source_of[role]).subject_id,
                    "video": f"{pair.split}/{dyad_id}/{role}.mp4",
                    "audio": f"{pair.split}/{dyad_id}/{role}.wav",
                    "audio_channel": "",
                    "mixed_audio": "true" if pair.mixed_audio else "false",
                    "fps": FPS,
                    "width": options.size,
                    "height": options.size,
                    "licence": pair.licence,
                    "crop": plan.origin if plan else "none",
                    "sha256": file_sha256(folder / f"{role}.mp4"),
                }
            )
    return rows


def _mirror(folder: Path, target: Path) -> None:
    """The same dialogue with the roles exchanged: links to the same files, turns and validity the other way round."""
    target.mkdir()
    other = dict(zip(ROLES, reversed(ROLES), strict=True))
    for role in ROLES:
        for suffix in (".mp4", ".wav"):
            source = folder / f"{role}{suffix}"
            try:
                os.link(source, target / f"{other[role]}{suffix}")
            except OSError:
                shutil.copy2(source, target / f"{other[role]}{suffix}")
    turns = [replace(turn, role=other[turn.role]) for turn in read_turns(folder / "turns.jsonl")]
    write_turns(target / "turns.jsonl", turns)
    if (folder / "valid.npz").is_file():
        with np.load(folder / "valid.npz") as flags:
            np.savez_compressed(target / "valid.npz", **{other[role]: flags[role] for role in flags.files})
