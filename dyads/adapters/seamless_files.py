"""What lies where in a Seamless Interaction tree: unpacked files, the hub's tar archives, or both, listed by file id.

`<root>/<improvised|naturalistic>/<train|dev|test>/<batch>/<archive>/<id>.{mp4,wav,json,npz}`, with `<archive>.tar` in
place of a folder where it was not unpacked. An id is `V00_S0809_I00000582_P0947`, its person `P0947`; persons may end
in a letter (`P1275A`), which the package's own pattern drops, so that two people become one. The two sides of an
interaction can lie in different archives of a batch. A copy of the bucket has one folder a kind instead:
`<label>/<split>/{video,audio}/<id>.*`, `metadata/{vad,transcript}/<id>.jsonl`, `<features>/<name>/<id>.npy`.
"""

import re
import tarfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from dyads.adapters.pairs import Member
from dyads.errors import DataError
from dyads.layouts.recognise import seamless as looks_like_it

LABELS = ("improvised", "naturalistic")
SPLITS = ("train", "dev", "test")
KINDS = ("mp4", "wav", "json", "npz")
FLAGS = "movement:is_valid"  # of the face's features; boxes have their own
BOX_FLAGS = "boxes_and_keypoints:is_valid_box"
BUCKET = {  # folders of the bucket that are used, and what their files are of a recording
    ("metadata", "vad", ".jsonl"): "vad",
    ("metadata", "transcript", ".jsonl"): "transcript",
    ("movement", "is_valid", ".npy"): FLAGS,
    ("boxes_and_keypoints", "is_valid_box", ".npy"): BOX_FLAGS,
}
TEXTS = ("json", "vad", "transcript")
FEATURES = ("npz", FLAGS, BOX_FLAGS)
FILE_ID = re.compile(r"(V\d+_S\d+_I\d+)_(P\d+[A-Za-z]*)")
EXAMPLE = "improvised/train/0000/0005/V00_S0809_I00000582_P0947.mp4"


@dataclass
class Recording:
    """One person's files in one interaction: by kind, on disk or (then also in `members`) in an archive."""

    file_id: str
    label: str
    split: str
    files: dict[str, Path] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)

    @property
    def interaction(self) -> str:
        return FILE_ID.fullmatch(self.file_id)[1]

    @property
    def person(self) -> str:
        return FILE_ID.fullmatch(self.file_id)[2]


@dataclass
class Tree:
    """Recordings by (label, interaction) and person, and remarks on what is odd or missing."""

    recordings: dict[tuple[str, str], dict[str, Recording]]
    remarks: list[str]


def read_tree(root: Path, splits: tuple[str, ...] = SPLITS) -> Tree:
    """List a tree; only headers of archives are read. `DataError` for a root that holds no file of this data set."""
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder; give the folder that holds improvised/ and naturalistic/.")
    if not looks_like_it(root):
        inside = ", ".join(sorted(path.name for path in root.iterdir())[:4]) or "nothing"
        raise DataError(
            f"{root}: this is no Seamless Interaction tree (it holds {inside}); give the folder above improvised/ and "
            f"naturalistic/, with files such as {EXAMPLE}."
        )
    found: dict[tuple[str, str], dict[str, Recording]] = defaultdict(dict)
    remarks: list[str] = []
    for label in LABELS:
        for split in splits:
            for path in sorted((root / label / split).rglob("*")):
                if path.suffix == ".tar" and path.is_file():
                    _add_archive(found, remarks, path, label, split)
                elif (kind := _kind(path)) and path.is_file():
                    _add(found, remarks, kind, path.name, label, split, path, None)
                elif path.name.endswith((".incomplete", ".part", ".tmp")):
                    remarks.append(f"{path}: a download that did not end; fetch it again.")
    if not found:
        raise DataError(
            f"{root}: its folders hold no recording of the splits {', '.join(splits)}; download some "
            f"(files are named like {EXAMPLE}, archives like improvised/train/0000/0005.tar)."
        )
    return Tree(dict(found), remarks)


def _kind(path: Path) -> str:
    """What a file is of its recording, as a key of `Recording.files`; '' for one that is not used."""
    folders = ("", "", *path.parts[:-1])[-2:]
    if folders[0] == "annotations":  # of the bucket: named as a recording's .json, which holds other things
        return ""
    return BUCKET.get((*folders, path.suffix)) or (path.suffix[1:] if path.suffix[1:] in KINDS else "")


def _add(
    found, remarks: list[str], kind: str, name: str, label: str, split: str, path: Path, member: Member | None
) -> None:
    stem = name.rpartition(".")[0]
    match = FILE_ID.fullmatch(stem)
    if match is None:
        remarks.append(f"{path}: {name} is no file id such as V00_S0809_I00000582_P0947; left alone.")
        return
    people = found[label, match[1]]
    recording = people.setdefault(match[2], Recording(stem, label, split))
    if recording.split != split:
        remarks.append(f"{path}: {stem} is also in split {recording.split}; the first one counts.")
        return
    if kind in recording.files and (kind not in recording.members or member is not None):
        unpacked = member is not None and kind not in recording.members  # beside its archive: the file counts
        if kind == "mp4" and not unpacked:  # one line a recording
            remarks.append(f"{path}: {name} is there twice, also in {recording.files[kind].parent}; the first counts.")
        return
    recording.files[kind] = path if member is None else member.path
    if member is not None:
        recording.members[kind] = member
    else:
        recording.members.pop(kind, None)


def _add_archive(found, remarks: list[str], path: Path, label: str, split: str) -> None:
    size = path.stat().st_size
    try:
        with tarfile.open(path, "r:") as archive:
            for info in archive:
                kind = _kind(Path(info.name))
                if not info.isfile() or not kind:
                    continue
                if info.offset_data + info.size > size:
                    remarks.append(f"{path}: ends within {info.name}, a download that did not end; fetch it again.")
                    return
                member = Member(path, info.name, info.offset_data, info.size)
                _add(found, remarks, kind, Path(info.name).name, label, split, path, member)
    except (tarfile.TarError, OSError) as error:
        remarks.append(f"{path}: cannot be read as a tar archive to its end ({error}); fetch it again.")
