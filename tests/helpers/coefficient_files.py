"""Small corpora of motion coefficients for tests: SI-184's layout made up, and files of one's own."""

from pathlib import Path

import numpy as np

from dyads.adapters import si184
from dyads.synthetic.si184 import CorpusOptions

TINY = CorpusOptions(sessions=3, dialogues=1, people=6, seconds=(9.0, 10.0), voice=6, turn=(3.0, 4.0))


def stems(corpus: Path) -> list[str]:
    return sorted(si184.read_pairs(corpus / "pairs184.txt"))


def change(path: Path, **arrays) -> None:
    """An .npz with some arrays replaced, or removed where None."""
    with np.load(path) as file:
        kept = {key: file[key] for key in file.files}
    kept |= arrays
    np.savez(path, **{key: value for key, value in kept.items() if value is not None})


def write_own(root: Path, **person) -> None:
    (root / "people").mkdir(parents=True)
    (root / "systems" / "mine").mkdir(parents=True)
    generator, names = np.random.default_rng(0), np.array(["a", "b", "jaw_open"])
    groups = np.array(["expression", "pose", "pose lips"])
    lines = ["dyad_id,split,session,avatar,user,avatar_id,user_id"]
    for i, (avatar, user) in enumerate((("x", "y"), ("y", "x"))):
        lines.append(f"d{i},test,s,{avatar},{user},p{avatar},p{user}")
        motion = {"motion": generator.normal(size=(300, 3)), "names": names, "fps": 30.0, "groups": groups}
        rest = {
            "speech": np.array([[1.0, 2.0]]),
            "seconds": 10.0,
            "voice": generator.normal(size=(500, 4)),
            "voice_fps": 50.0,
        }
        np.savez(root / "people" / f"{avatar}.npz", **(motion | rest | person))
        np.savez(root / "systems" / "mine" / f"d{i}.npz", **motion)
    (root / "pairs.csv").write_text("\n".join(lines) + "\n")
