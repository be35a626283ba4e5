"""Files of the report's folder: hard links where the disk allows it, and videos that a browser can play."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from dyads.contract import FPS, Side
from dyads.media.containers import SAMPLES_PER_FRAME, opened, probe, video_stream
from dyads.media.video import iter_video, read_audio
from dyads.media.writer import VideoWriter

PLAYABLE = {"h264": ("yuv420p", "yuvj420p"), "vp8": ("yuv420p",), "vp9": ("yuv420p",), "av1": ("yuv420p",)}
SUFFIXES = (".mp4", ".webm")
WIDEST = 2000  # pixels of a figure on the page; the file itself stays beside it
HEAVY = 1_000_000  # bytes of a PNG above which the page shows a lighter copy
REMOTE = re.compile(r"<script\b[^>]*>(?:(?!</script>).)*</script>|<link\b[^>]*>", re.DOTALL | re.IGNORECASE)


def place(source: Path, target: Path) -> None:
    """`source` at `target`, as a hard link where both lie on one disk, else as a copy.

    The project replaces files and never writes into them, so a link keeps what it showed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)  # of an earlier run; copying onto a link to the same file is an error
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def playable(path: Path) -> bool:
    """Whether browsers play this file, and frame k lies at k / 25 s. DataError if it cannot be opened."""
    with opened(path) as container:
        stream = video_stream(container, path)
        context, rate = stream.codec_context, stream.average_rate
        known = context.pix_fmt in PLAYABLE.get(context.name, ())
        return known and path.suffix in SUFFIXES and rate is not None and abs(float(rate) - FPS) < 1e-3


def place_video(source: Path, target: Path, side: Side | None = None, own_sound: bool = False) -> bool:
    """`source` at `target`, or h264 at 25 frames a second made of it; whether it had to be made.

    `side`: the recording whose sound belongs to it; a made video has no sound without, unless `own_sound` keeps what
    it has. DataError if unreadable.
    """
    if playable(source):
        place(source, target)
        return False
    height, width = (length // 2 * 2 for length in next(iter_video(source)).shape[:2])
    own_sound = own_sound and side is None and probe(source).has_audio
    sound = read_audio(side.audio, side.audio_channel) if side else read_audio(source) if own_sound else None
    with VideoWriter(target, height, width, sound=sound is not None) as writer:
        for frame in iter_video(source):
            writer.write(frame[:height, :width])
        wanted = writer.count * SAMPLES_PER_FRAME
        writer.finish([] if sound is None else [np.pad(sound, (0, max(0, wanted - len(sound))))[:wanted]])
    return True


def place_picture(source: Path, target: Path) -> Path:
    """A figure's PNG at `target`, and what the page shows: the PNG itself, or a lighter WebP beside it."""
    place(source, target)
    if source.stat().st_size <= HEAVY:
        return target
    shown = target.with_suffix(".webp")
    with Image.open(source) as picture:
        picture = picture.convert("RGB")
        picture.thumbnail((WIDEST, 16_000))
        picture.save(shown, quality=85, method=4)
    return shown


def place_notebook(source: Path, target: Path) -> None:
    """A notebook's page without the scripts that it would load from the network (its own output needs none)."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(offline(source.read_text(encoding="utf-8")), encoding="utf-8")


def offline(page: str) -> str:
    """A page without scripts and styles that lie in a network."""
    return REMOTE.sub(lambda found: "" if re.search(r"https?://", found[0]) else found[0], page)


def weight(folder: Path) -> tuple[int, int]:
    """Bytes of all files in a folder, and those of them that hard links share with the results."""
    sizes = [(file.stat().st_size, file.stat().st_nlink) for file in folder.rglob("*") if file.is_file()]
    return sum(size for size, _ in sizes), sum(size for size, links in sizes if links > 1)
