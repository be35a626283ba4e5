"""A dialogue's files out of archives: written into a folder, and the pair that names them there."""

from dataclasses import dataclass, replace
from pathlib import Path

from dyads.adapters.pairs import Known, Member, Pair, Source
from dyads.errors import DataError
from dyads.records import ROLES


def unpacked(pair: Pair, folder: Path) -> Pair:
    """The pair with its archived files written into a folder."""
    if not pair.members:
        return pair
    places = {member.path: folder / f"{k:02d}" / Path(member.name).name for k, member in enumerate(pair.members)}
    for member in pair.members:
        _extract(member, places[member.path])
    sides = {role: _placed(pair.source(role), places) for role in ROLES}
    notes = _PlacedNotes(pair.notes, places) if pair.notes else None
    return replace(pair, **sides, turns=places.get(pair.turns, pair.turns), notes=notes, members=())


def _extract(member: Member, target: Path) -> None:
    target.parent.mkdir()
    with open(member.archive, "rb") as source, open(target, "wb") as handle:
        source.seek(member.offset)
        left = member.size
        while left:
            piece = source.read(min(left, 1 << 20))
            if not piece:
                raise DataError(f"{member.archive}: ends within {member.name}; fetch the archive again.")
            handle.write(piece)
            left -= len(piece)


def _placed(source: Source, places: dict[Path, Path]) -> Source:
    return replace(source, video=places.get(source.video, source.video), audio=places.get(source.audio, source.audio))


@dataclass(frozen=True)
class _PlacedNotes:
    notes: object
    places: dict

    @property
    def files(self) -> tuple[Path, ...]:
        return self.notes.files

    def read(self, place, seconds: float) -> Known:
        return self.notes.read(lambda path: self.places.get(path, path), seconds)
