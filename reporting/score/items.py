"""Which videos belong together: by name over folders, or as a CSV file says; and what is left alone."""

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path

from dyads.errors import ConfigError, DataError
from dyads.manifest import header_fault

SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi")
TAKEN = ("metric", "part", "label", "better", "unit", "truth")  # columns of the table beside the systems


@dataclass(frozen=True)
class Item:
    """One name: its generated video in each system that has one, the true one and the user's where there are any."""

    name: str
    generated: dict[str, Path]
    true: Path | None = None
    user: Path | None = None
    samples: dict[str, tuple[Path, ...]] = field(default_factory=dict)  # further ones by system, there or not

    @property
    def all_generated(self) -> list[Path]:
        """Every generated video of this name that is there."""
        further = (path for paths in self.samples.values() for path in paths)
        return [*self.generated.values(), *filter(Path.is_file, further)]


@dataclass
class Items:
    """What there is to score, systems by name, lines about files that are not used, and names that lack a truth which
    others have."""

    systems: tuple[str, ...]
    items: list[Item]
    unused: list[str] = field(default_factory=list)
    lonely: frozenset[str] = frozenset()


def videos(folder: Path, option: str) -> dict[str, Path]:
    """Videos of a folder by stem. `ConfigError` for no folder, `DataError` for two files of one stem."""
    if not folder.is_dir():
        raise ConfigError(f"{option} {folder} is no folder; give one with videos ({', '.join(SUFFIXES)}).")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in found:
            raise DataError(f"{path}: {found[path.stem].name} has the same name; keep one of them.")
        found[path.stem] = path
    return found


def systems_of(given: list[str]) -> dict[str, Path]:
    """System -> folder of `NAME=DIR` or `DIR`, whose own name is then the system's."""
    found: dict[str, Path] = {}
    for text in given:
        name, mark, folder = text.partition("=")
        path = Path(folder if mark and not Path(text).is_dir() else text)
        name = name if mark and path != Path(text) else path.resolve().name
        if name in found:
            raise ConfigError(f"--generated names {name!r} twice; write --generated NAME={path} with another name.")
        if name in TAKEN:
            raise ConfigError(f"--generated {text}: {name!r} is a column of the tables; write NAME={path}.")
        if not name or set(name) & set("/\\,"):
            raise ConfigError(f"--generated {text}: {name!r} is no name for a system; write NAME={path}.")
        found[name] = path
    return found


def samples_of(given: list[str], systems: dict[str, Path]) -> dict[str, tuple[Path, ...]]:
    """System -> folders of further samples, of `NAME=DIR`, or `DIR` where there is one system. ConfigError: no such
    system or folder, a folder twice, or other numbers of samples, with which what compares them changes."""
    found: dict[str, tuple[Path, ...]] = dict.fromkeys(systems, ())
    for text in given:
        name, mark, folder = text.partition("=")
        if not mark or Path(text).is_dir():
            name, folder = (next(iter(systems)) if len(systems) == 1 else ""), text
        if name not in found:
            raise ConfigError(f"--samples {text}: whose? Write NAME=DIR with one of {', '.join(systems)}.")
        videos(Path(folder), "--samples")
        if Path(folder).resolve() in {path.resolve() for path in (systems[name], *found[name])}:
            raise ConfigError(f"--samples {text}: {folder} is given twice; a video is no second sample of itself.")
        found[name] += (Path(folder),)
    counts = {name: len(folders) for name, folders in found.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise ConfigError(f"--samples: {told}; MEE and CE fall with their number, give every system as many.")
    return found


def by_name(
    systems: dict[str, Path],
    true: Path | None,
    user: Path | None,
    samples: dict[str, tuple[Path, ...]] | None = None,
) -> Items:
    """Every name of a generated video, with the true and the user's video of that name."""
    further = {name: [(each, videos(each, "--samples")) for each in own] for name, own in (samples or {}).items()}
    generated = {name: videos(folder, "--generated") for name, folder in systems.items()}
    truths = videos(true, "--true") if true else {}
    users = videos(user, "--user") if user else {}
    for option, folder, found in (("--true", true, truths), ("--user", user, users)):
        if folder and not found:
            raise DataError(
                f"{option} {folder} holds no video; give a folder with {', '.join(SUFFIXES)} files, or none."
            )
    names = sorted({stem for found in generated.values() for stem in found} | set(truths))
    unused = [
        f"{path}: no generated video has its name; left alone" for stem, path in users.items() if stem not in names
    ]
    items = [
        Item(
            stem,
            {s: found[stem] for s, found in generated.items() if stem in found},
            truths.get(stem),
            users.get(stem),
            {s: tuple(found.get(stem, each / f"{stem}.mp4") for each, found in own) for s, own in further.items()},
        )
        for stem in names
    ]
    for name, found in generated.items():
        if not found:
            raise DataError(f"{systems[name]} holds no video; give a folder with {', '.join(SUFFIXES)} files.")
        if truths and not set(found) & set(truths):
            raise DataError(
                f"{systems[name]} and {true} have no name in common ({next(iter(found))}, {next(iter(truths))}); name "
                f"the "
                "files alike or list them in a CSV file (--pairs)."
            )
    return Items(tuple(systems), items, unused, frozenset(set(names) - set(truths)) if truths else frozenset())


def listed(
    path: Path,
    systems: dict[str, Path],
    true: Path | None,
    user: Path | None,
    samples: dict[str, tuple[Path, ...]] | None = None,
) -> Items:
    """The rows of a CSV file; paths are relative to their folder if that was given, else to the file's own."""
    if not path.is_file():
        raise ConfigError(f"--pairs {path} is no file; give a CSV file.")
    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""))
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a UTF-8 CSV file ({error}); save it as UTF-8 CSV.") from error
    columns = reader.fieldnames or ()
    named = {name: name if name in columns else "generated" for name in systems}
    if fault := header_fault(columns, ("name", *dict.fromkeys(named.values()))):
        raise DataError(f"{path}: {fault}.")
    if not rows:
        raise DataError(f"{path}: lists no rows; add some.")
    items, faults, seen = [], [], set()
    for number, row in enumerate(rows, 2):
        row = {key: (value or "").strip() for key, value in row.items() if key}
        if not row["name"] or row["name"] in seen:
            faults.append(f"{path} line {number}: name {row['name']!r} is empty or there already; give each its own.")
        seen.add(row["name"])
        found = {}
        for key, text, folder in (
            *((name, row[column], systems[name]) for name, column in named.items()),
            ("true", row.get("true", ""), true),
            ("user", row.get("user", ""), user),
        ):
            if text:
                found[key] = (folder or path.parent) / text
                if not found[key].is_file():
                    faults.append(f"{path} line {number}: {found[key]} does not exist; correct it.")
        generated = {name: found[name] for name in systems if name in found}
        further = {s: tuple(each / row[named[s]] for each in own) for s, own in (samples or {}).items()}
        items.append(Item(row["name"], generated, found.get("true"), found.get("user"), further))
    if faults:
        raise DataError("\n".join(faults))
    return Items(tuple(systems), items)
