"""Writes the synthetic world as an ordinary data folder, with the known truth of every dialogue beside it."""

import json
import multiprocessing
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save
from tqdm import tqdm

from dyads.contract import ROLES, SPLITS, Turn, file_sha256, write_manifest, write_turns
from dyads.errors import ConfigError, DataError
from dyads.files import atomic_path, write_json
from dyads.media.video import write_video, write_wav
from dyads.seeding import rng
from dyads.synthetic.coefficients import COEFFICIENTS, EMOTIONS, STATES
from dyads.synthetic.conversation import Conversation, phrases, plan, states
from dyads.synthetic.drawing.render import render_frames
from dyads.synthetic.expression import Faces, faces
from dyads.synthetic.identities import circles_of, person
from dyads.synthetic.voice import mix, speak

VERSION = 3  # raise when the same options give other bytes


@dataclass(frozen=True)
class WorldOptions:
    """Size of a world; `workers` does not change a byte."""

    train: int = 160
    test: int = 32
    validation: int = 0  # dialogues that options are chosen on, of people who are in neither of the other splits
    size: int = 64
    seed: int = 0
    seconds: tuple[float, float] = (8.0, 12.0)
    workers: int = 1

    def __post_init__(self):
        for key in ("train", "test", "validation", "size", "seed", "workers"):
            if not isinstance(getattr(self, key), int):
                raise ConfigError(f"{key} is {getattr(self, key)!r}; it must be a whole number.")
        span = self.seconds
        if not (isinstance(span, list | tuple) and len(span) == 2 and all(isinstance(s, int | float) for s in span)):
            raise ConfigError(f"seconds is {span!r}; give the shortest and the longest, such as [8, 12].")
        low, high = float(span[0]), float(span[1])
        object.__setattr__(self, "seconds", (low, high))
        counts = {split: getattr(self, split) for split in SPLITS}
        if min(counts.values()) < 0 or not any(counts.values()):
            told = ", ".join(f"{split}={count}" for split, count in counts.items())
            raise ConfigError(f"{told} make no dialogue; ask for at least one, and for no fewer than none.")
        if self.size < 16 or self.size % 2:
            raise ConfigError(f"size={self.size} is no frame side; give an even number of at least 16 pixels.")
        if not 4.0 <= low <= high <= 600.0:
            raise ConfigError(f"seconds={low:g} {high:g} is no range; give two rising numbers within 4 and 600.")
        if self.workers < 1:
            raise ConfigError(f"workers={self.workers} is too few; give at least 1.")


@dataclass(frozen=True)
class Dialogue:
    """One generated dialogue, before rendering: sound float32 (T * 640,) a role, coefficients and plan."""

    split: str
    dyad_id: str
    seed: int
    identity: dict[str, int]
    talk: Conversation
    sound: dict[str, np.ndarray]
    faces: Faces
    speaking: np.ndarray
    state: np.ndarray

    def frames(self, role: str, size: int) -> np.ndarray:
        """Rendered uint8 (T, size, size, 3)."""
        values = self.faces.user if role == "user" else self.faces.avatar
        return render_frames(self.identity[role], values, size, self.seed)


def cast(seed: int, split: str, number: int) -> dict[str, int]:
    """Who meets whom: every identity of the split is avatar, and user, equally often.

    A round has everyone of a circle once as each; a circle has two rounds, then comes the next one.
    """
    circles = circles_of(split)
    people = list(circles[number // (2 * len(circles[0])) % len(circles)])
    block, place = divmod(number, len(people))
    g = rng(seed, "synthetic.cast", split, block)
    order, distance = g.permutation(people), int(g.integers(1, len(people)))
    return {"user": int(order[(place + distance) % len(people)]), "avatar": int(order[place])}


def generate_dialogue(seed: int, split: str, number: int, seconds: tuple[float, float] = (8.0, 12.0)) -> Dialogue:
    """Generate dialogue `number` of a split; depends on these arguments only."""
    name = f"{split}_{number:04d}"
    g = rng(seed, "synthetic.dialogue", name)
    frames = int(round(float(g.uniform(*seconds)) * 25))
    identity = cast(seed, split, number)
    people = {role: person(identity[role], seed) for role in identity}
    talk = plan(seed, split, number, frames / 25)
    spoken = {role: phrases(talk, role, seed, name) for role in people}
    dry = {role: speak(spoken[role], people[role], frames, rng(seed, "synthetic.voice", name, role)) for role in people}
    sound = {
        role: mix(dry[role], dry[other], rng(seed, "synthetic.room", name, role))
        for role, other in (("user", "avatar"), ("avatar", "user"))
    }
    speaking, state = states(talk, frames)
    return Dialogue(split, name, seed, identity, talk, sound, faces(talk, spoken, people, frames, seed, name),
                    speaking, state)  # fmt: skip


def truth(dialogue: Dialogue, size: int) -> bytes:
    """The bytes of truth.safetensors."""
    f = dialogue.faces
    tensors = {
        "user_coefficients": f.user,
        "avatar_coefficients": f.avatar,
        "avatar_expected": f.expected,
        "user_emotion": f.user_emotion,
        "avatar_emotion": f.avatar_emotion,
        "speaking": dialogue.speaking,
        "state": dialogue.state,
        "event_cue": f.event_cue,
    }
    meta = {
        "coefficients": COEFFICIENTS,
        "emotions": EMOTIONS,
        "states": STATES,
        "identity": dialogue.identity,
        "world_seed": dialogue.seed,
        "size": size,
        "topic": dialogue.talk.topic,
        "events": [asdict(event) for event in dialogue.talk.events],
    }
    # One metadata key: safetensors does not keep the order of several, and the bytes must repeat.
    return save({key: np.ascontiguousarray(v) for key, v in tensors.items()}, {"meta": json.dumps(meta)})


def read_truth(path: Path | str) -> tuple[dict[str, np.ndarray], dict]:
    """Tensors and metadata of a truth.safetensors file; raises DataError where it is missing."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} is missing; only the synthetic world has known truth.")
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    return load_file(path), json.loads(header["__metadata__"]["meta"])


def write_dialogue(task: tuple[Path, WorldOptions, str, int]) -> list[dict]:
    """Generate and write one dialogue; its two manifest rows. A finished one is kept."""
    out, options, split, number = task
    name = f"{split}_{number:04d}"
    folder = out / split / name
    marker = folder / "truth.safetensors"  # written last
    if not marker.is_file():
        dialogue = generate_dialogue(options.seed, split, number, options.seconds)
        for role in ROLES:
            write_wav(folder / f"{role}.wav", dialogue.sound[role])
            write_video(folder / f"{role}.mp4", dialogue.frames(role, options.size), dialogue.sound[role])
        said = dialogue.talk.utterances
        write_turns(folder / "turns.jsonl", [Turn(round(u.start, 3), round(u.end, 3), u.role, u.text) for u in said])
        data = truth(dialogue, options.size)
        with atomic_path(marker) as temporary:
            temporary.write_bytes(data)
    _, meta = read_truth(marker)
    return [
        {
            "dataset": "synthetic", "split": split, "dyad_id": name, "role": role,
            "subject_id": f"person_{meta['identity'][role]:03d}", "video": f"{split}/{name}/{role}.mp4",
            "audio": f"{split}/{name}/{role}.wav", "audio_channel": None, "mixed_audio": "false", "fps": 25,
            "width": options.size, "height": options.size, "licence": "CC0-1.0", "crop": "synthetic",
            "sha256": file_sha256(folder / f"{role}.mp4"),
        }
        for role in ROLES
    ]  # fmt: skip


def _described(options: WorldOptions) -> dict:
    """What world.json says of a world."""
    wanted = {key: value for key, value in asdict(options).items() if key != "workers"}
    if not options.validation:
        del wanted["validation"]  # a world made before there was this split is the same world
    return json.loads(json.dumps({"version": VERSION, **wanted}))


def _found(record: Path) -> dict | None:
    """What a world.json says; None where there is none that can be read."""
    try:
        return json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def clear_world(out: Path, options: WorldOptions) -> None:
    """Remove a world that other options made; of `out` only what `write_world` writes, and only beside a world.json."""
    record = out / "world.json"
    found = _found(record)
    if found is None or "version" not in found or found == _described(options):
        return
    for name in ("manifest.csv", *SPLITS):  # the record last: what a kill leaves is still known as a world
        place = out / name
        if place.is_symlink() or place.is_file():
            place.unlink()
        elif place.is_dir():
            shutil.rmtree(place)
    record.unlink()


def write_world(out: Path, options: WorldOptions, progress: bool = True) -> bool:
    """Write the folder `out`; False where it is already complete. DataError if other options made it."""
    out = Path(out)
    wanted = _described(options)
    record = out / "world.json"
    if record.is_file():
        found = _found(record)
        if found != wanted:
            raise DataError(f"{out} holds a world made with other options ({found}); choose a new folder.")
        if (out / "manifest.csv").is_file():
            return False
    elif out.is_dir() and any(out.iterdir()):
        raise DataError(f"{out} is not empty and is no synthetic world; choose a new folder.")
    write_json(record, wanted)
    tasks = [(out, options, split, i) for split in SPLITS for i in range(getattr(options, split))]
    rows: list[dict] = []
    bar = tqdm(total=len(tasks), desc="dialogues", disable=not progress)
    workers = min(options.workers, len(tasks))
    if workers == 1:
        for task in tasks:
            rows += write_dialogue(task)
            bar.update()
    else:
        method = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"  # spawn reloads everything
        with multiprocessing.get_context(method).Pool(workers) as pool:
            for pair in pool.imap(write_dialogue, tasks):
                rows += pair
                bar.update()
    bar.close()
    write_manifest(out, rows)
    return True
