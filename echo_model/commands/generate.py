"""Make an avatar's video from one's own files: `python -m echo_model.commands.generate --help`."""

import argparse
import os
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dyads.adapters.engine.options import AdaptOptions
from dyads.adapters.engine.planning import crop_plan
from dyads.adapters.face_crop import apply_crop, centre_crop, picture_crop
from dyads.adapters.pairs import Source
from dyads.contract import FPS
from dyads.errors import ConfigError, run_cli
from dyads.media.containers import probe
from dyads.media.pictures import read_picture
from dyads.media.regions import iter_views
from dyads.media.sound import read_audio
from dyads.media.video import write_video
from dyads.records import read_turns
from echo_model.backbones.audio import FRAME
from echo_model.pretrained import Echo, clips_of
from training.device import pick_device


def face(image: np.ndarray, size: int, name: str, crop: bool) -> np.ndarray:
    """The face in a picture, uint8 (size, size, 3); DataError where none is seen in it."""
    return apply_crop(image, picture_crop(image, name) if crop else centre_crop(image), size)


def read_user(path: Path, size: int, crop: bool) -> np.ndarray:
    """The user's face, uint8 (T, size, size, 3), at 25 fps, in a crop that follows it; DataError without a face."""
    plan = crop_plan(Source("user", path, None), 0.0, None, AdaptOptions(crop="tracked" if crop else "centre"))
    return np.stack([view.square(*plan.at(k), size) for k, view in enumerate(iter_views(path))])


def read_user_sound(path: Path, sound: Path | None, frames: int) -> np.ndarray:
    """The user's voice as long as the video; silence where the file has no sound track."""
    if sound is None and not probe(path).has_audio:
        print(f"{path} has no sound track: the user is taken as silent.")
        return np.zeros(frames * FRAME, np.float32)
    return stretch(read_audio(sound or path), frames)


def stretch(audio: np.ndarray, frames: int) -> np.ndarray:
    """Cut, or continued by silence, to the frames' length."""
    audio = audio[: frames * FRAME]
    return np.pad(audio, (0, frames * FRAME - len(audio)))


def check_out(path: Path) -> None:
    """ConfigError, before any work, where no video can be written."""
    if path.is_dir():
        raise ConfigError(f"--out {path} is a folder; name a file in it, such as {path / 'avatar.mp4'}.")
    if path.suffix.lower() not in (".mp4", ".mov", ".mkv"):
        raise ConfigError(f"--out {path} has no name of a video; end it with .mp4.")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ConfigError(f"--out {path} cannot be written: {folder} is no folder that this user may write to.")


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
    check_out(arguments.out)
    echo = Echo.from_pretrained(arguments.checkpoint, map_location=str(pick_device(None)))
    size, crop = echo.vae.options.size, not arguments.no_crop
    reference = face(read_picture(arguments.reference), size, str(arguments.reference), crop)
    frames = read_user(arguments.user, size, crop)
    heard = read_user_sound(arguments.user, arguments.user_audio, len(frames))
    voice = read_audio(arguments.avatar_audio)
    if abs(len(voice) / FRAME - len(frames)) > 1:
        print(
            f"{arguments.avatar_audio} lasts {len(voice) / FRAME / FPS:.2f} s and {arguments.user} "
            f"{len(frames) / FPS:.2f} s: the video's length is kept, the voice cut or followed by silence."
        )
    voice = stretch(voice, len(frames))
    turns = read_turns(arguments.turns) if arguments.turns else ()
    stream = echo.stream(reference, arguments.seed, **({} if arguments.steps is None else {"steps": arguments.steps}))
    clips = clips_of(stream, frames, heard, voice, turns)
    made = list(tqdm(clips, "generate", -(-len(frames) // echo.model.clip), unit="clip", disable=None))
    write_video(arguments.out, np.concatenate(made), voice)
    print(f"{arguments.out}: {len(frames)} frames of {size}x{size}, with sound")


if __name__ == "__main__":
    run_cli(main)
