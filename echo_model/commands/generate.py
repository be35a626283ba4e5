"""Make an avatar's video from one's own files: `python -m echo_model.commands.generate --help`."""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from dyads.adapters.face_crop import SAMPLES, apply_crop, centre_crop, choose_crop
from dyads.contract import FPS
from dyads.errors import DataError, run_cli
from dyads.media.containers import probe
from dyads.media.sound import read_audio
from dyads.media.video import iter_video, write_video
from dyads.records import read_turns
from echo_model.backbones.audio import FRAME
from echo_model.pretrained import Echo, clips_of
from training.device import pick_device


def read_image(path: Path) -> np.ndarray:
    """uint8 (H, W, 3); DataError where there is none."""
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such image; give the avatar's face as a picture.") from error
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{path}: this is no readable image ({error}); give a PNG or JPEG file.") from error


def face(image: np.ndarray, size: int, name: str, crop: bool) -> np.ndarray:
    """The face in a picture, uint8 (size, size, 3)."""
    return apply_crop(image, choose_crop([image], None, name) if crop else centre_crop(image), size)


def read_user(path: Path, size: int, crop: bool) -> np.ndarray:
    """The user's face, uint8 (T, size, size, 3), at 25 fps in one fixed crop."""
    rate = min(FPS, SAMPLES / max(probe(path).duration, 1e-3))
    sampled = list(iter_video(path, rate)) if crop else [next(iter_video(path))]
    square = choose_crop(sampled, None, str(path)) if crop else centre_crop(sampled[0])
    return np.stack([apply_crop(frame, square, size) for frame in iter_video(path, FPS)])


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
    echo = Echo.from_pretrained(arguments.checkpoint, map_location=str(pick_device(None)))
    size, crop = echo.vae.options.size, not arguments.no_crop
    reference = face(read_image(arguments.reference), size, str(arguments.reference), crop)
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
    stream = echo.stream(reference, arguments.seed, **({"steps": arguments.steps} if arguments.steps else {}))
    clips = clips_of(stream, frames, heard, voice, turns)
    made = list(tqdm(clips, "generate", -(-len(frames) // echo.model.clip), unit="clip", disable=None))
    write_video(arguments.out, np.concatenate(made), voice)
    print(f"{arguments.out}: {len(frames)} frames of {size}x{size}, with sound")


if __name__ == "__main__":
    run_cli(main)
