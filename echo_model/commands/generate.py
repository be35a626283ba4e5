"""Make an avatar's video from one's own files: `python -m echo_model.commands.generate --help`."""

import argparse
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tqdm import tqdm

from dyads.adapters.engine.camera import Planned
from dyads.adapters.engine.options import AdaptOptions
from dyads.adapters.engine.planning import crop_plan
from dyads.adapters.engine.sounds import Sound, spool
from dyads.adapters.face_crop import apply_crop, centre_crop, picture_crop
from dyads.adapters.pairs import Source
from dyads.contract import FPS
from dyads.errors import ConfigError, run_cli
from dyads.media.containers import SAMPLE_RATE, probe
from dyads.media.pictures import read_picture
from dyads.media.writer import VideoWriter
from dyads.records import Turn, read_turns
from echo_model.backbones.audio import FRAME
from echo_model.pretrained import Echo
from echo_model.stream import EchoStream
from training.device import pick_device


def face(image: np.ndarray, size: int, name: str, crop: bool) -> np.ndarray:
    """The face in a picture, uint8 (size, size, 3); DataError where none is seen in it."""
    return apply_crop(image, picture_crop(image, name) if crop else centre_crop(image), size)


def user_pictures(path: Path, size: int, crop: bool) -> Iterator[np.ndarray]:
    """The user's face, uint8 (size, size, 3), at 25 fps, in a crop that follows it; DataError without a face."""
    source = Source("user", path, None)
    plan = crop_plan(source, 0.0, None, AdaptOptions(crop="tracked" if crop else "centre"))
    return Planned(source, 0.0, None, plan).pictures(size)


def sounds_of(user: Path, user_audio: Path | None, avatar_audio: Path, scratch: Path) -> tuple[Sound, Sound]:
    """Both voices, in temporary files; the user's is silence where the file has no sound track."""
    if user_audio is None and not probe(user).has_audio:
        print(f"{user} has no sound track: the user is taken as silent.")
        heard = Sound(None, 0)
    else:
        heard = spool(Source("user", None, user_audio or user), 0.0, scratch, "user")
    voice = spool(Source("avatar", None, avatar_audio), 0.0, scratch, "avatar")
    seconds, spoken = probe(user).duration, voice.samples / SAMPLE_RATE
    if seconds and abs(spoken - seconds) > 2 / FPS:
        print(
            f"{avatar_audio} lasts {spoken:.2f} s and {user} {seconds:.2f} s: the video's length is kept, the voice "
            "cut or followed by silence."
        )
    return heard, voice


def clips_from(
    stream: EchoStream, pictures: Iterator[np.ndarray], heard: Sound, voice: Sound, turns: Sequence[Turn]
) -> Iterator[np.ndarray]:
    """The avatar's frames, clip after clip, while the user's are read."""
    first = 0
    while seen := list(islice(pictures, stream.model.clip)):
        sounds = (np.concatenate(list(each.part(first * FRAME, len(seen) * FRAME))) for each in (heard, voice))
        yield stream.step(np.stack(seen), *sounds, () if first else turns)
        first += len(seen)


def check_out(path: Path) -> Path:
    """The folder, already there, that it will lie in; ConfigError, before any work, where no video can be written."""
    if path.is_dir():
        raise ConfigError(f"--out {path} is a folder; name a file in it, such as {path / 'avatar.mp4'}.")
    if path.suffix.lower() not in (".mp4", ".mov", ".mkv"):
        raise ConfigError(f"--out {path} has no name of a video; end it with .mp4.")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ConfigError(f"--out {path} cannot be written: {folder} is no folder that this user may write to.")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m echo_model.commands.generate", description=__doc__)
    parser.add_argument("--checkpoint", required=True, help="folder of Echo.save_pretrained, or a hub id")
    parser.add_argument("--user", type=Path, required=True, help="video of the person whom the avatar answers")
    parser.add_argument("--user-audio", type=Path, help="their voice, if it is not the video's own sound track")
    parser.add_argument("--avatar-audio", type=Path, required=True, help="what the avatar says, from time 0 on")
    parser.add_argument("--reference", type=Path, required=True, help="picture of the avatar's face")
    parser.add_argument("--turns", type=Path, help="turns.jsonl (start, end, role, text): the transcript, for LAU")
    parser.add_argument("--no-crop", action="store_true", help="take the centre square, do not look for the face")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="sampling steps; default: the checkpoint's")
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.steps is not None and arguments.steps < 1:
        raise ConfigError(f"--steps is {arguments.steps}, but sampling needs at least one step.")
    place = check_out(arguments.out)
    echo = Echo.from_pretrained(arguments.checkpoint, map_location=str(pick_device(None)))
    size, crop = echo.vae.options.size, not arguments.no_crop
    reference = face(read_picture(arguments.reference), size, str(arguments.reference), crop)
    pictures = user_pictures(arguments.user, size, crop)
    turns = read_turns(arguments.turns) if arguments.turns else ()
    stream = echo.stream(reference, arguments.seed, **({} if arguments.steps is None else {"steps": arguments.steps}))
    with ExitStack() as stack:  # memory does not grow with the recording: sound lies in files, frames go as they come
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix=".sound.", dir=place)))
        heard, voice = sounds_of(arguments.user, arguments.user_audio, arguments.avatar_audio, scratch)
        writer = stack.enter_context(VideoWriter(arguments.out, size, size))
        clips = clips_from(stream, pictures, heard, voice, turns)
        expected = math.ceil(probe(arguments.user).duration * FPS / echo.model.clip) or None
        for clip in tqdm(clips, "generate", expected, unit="clip", disable=None):
            for picture in clip:
                writer.write(picture)
        writer.finish(voice.part(0, writer.count * FRAME))
    print(f"{arguments.out}: {writer.count} frames of {size}x{size}, with sound")


if __name__ == "__main__":
    run_cli(main)
