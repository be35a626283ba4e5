"""Is this the published file? By the SHA-256 that is published, else by the one recorded when it was first used."""

import hashlib
import json
from pathlib import Path

from dyads.errors import ConfigError
from dyads.files import write_json
from evaluation.networks import Network

RECORD = "sha256.json"  # file name -> digest, beside the weights; for files of which no digest is published


def digest_of(path: Path) -> str:
    """SHA-256 in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fits(published: str, digest: str) -> bool:
    """Whether a digest is the published one: whole, its leading digits, or leading and last ones around `…`."""
    head, _, tail = published.partition("…")
    return digest.startswith(head) and digest.endswith(tail)


def verified(network: Network, path: Path | str, place: Path | None = None) -> tuple[str, str]:
    """Digest of a weights file, and whose word it agrees with: published, recorded, or first use.

    `place`: where the file is to lie, if not at `path`: what is recorded there counts.
    ConfigError: no such file, or a digest other than the published or the recorded one.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(
            f"{network.slot} weights {path} do not exist; give {network.file} "
            f"(`python -m evaluation.weights list` says where from)."
        )
    digest = digest_of(path)
    if network.sha256:
        if not fits(network.sha256, digest):
            raise ConfigError(
                f"{network.slot} weights {path} are not the published {network.file}: SHA-256 {digest[:12]}… instead "
                f"of {network.sha256}; fetch them again (`python -m evaluation.weights fetch {network.slot}`)."
            )
        return digest, "published"
    place = place or path
    known = recorded(place.parent).get(place.name)
    if known is None:
        return digest, "first use"
    if known != digest:
        raise ConfigError(
            f"{network.slot} weights {place} have changed: SHA-256 {digest[:12]}… instead of {known[:12]}…, recorded "
            f"in {place.with_name(RECORD)}; restore the file, or delete its line there to use the new one."
        )
    return digest, "recorded"


def recorded(folder: Path) -> dict[str, str]:
    """The digests recorded in a folder; ConfigError if the record is damaged."""
    path = folder / RECORD
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON ({error}); delete it to record the weights' digests again.") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds no object of digests; delete it to record the weights' digests again.")
    return content


def record(path: Path, digest: str) -> bool:
    """Remember the digest of a file beside it; False where the folder cannot be written to."""
    try:
        write_json(path.parent / RECORD, {**recorded(path.parent), path.name: digest})
    except OSError:
        return False
    return True
