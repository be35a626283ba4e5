"""Weights of the reference networks: `python -m evaluation.weights list`, `fetch SLOT ...` or `check --weights JSON`.

`list` says of each network which file it needs, from where, under which licence, how large and with which SHA-256.
`fetch` downloads files whose address is known; nothing else in this project ever downloads. `check` refuses missing
and wrong files; one without published digest is recorded on first use in sha256.json beside it, and refused if it
changes.
"""

import argparse
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from dyads.errors import ConfigError, DataError, run_cli
from dyads.files import atomic_path, write_json
from evaluation.networks import Network, known, networks
from evaluation.networks.files import record, verified
from training.options import parse_json

TIMEOUT = 60  # seconds without an answer
NO_WEIGHTS = (b"<", b"version https://git-lfs")  # how pages and pointers begin
TOLERANCE = 0.02  # of a file's size


def listed() -> str:
    """One paragraph per network."""
    lines = []
    for network in networks().values():
        lines += [
            f"{network.slot}: {network.file}",
            f"    size     {network.megabytes:g} MB",
            f"    licence  {network.licence}",
            f"    sha256   {network.sha256 or 'none published; recorded on first use'}",
            f"    from     {network.url or f'no direct address, see {network.page}'}",
        ]
    return "\n".join(lines) + "\n"


def fetch(network: Network, folder: Path) -> Path:
    """Download a network's file into a folder, whole and verified or not at all; one that is there is only verified.

    ConfigError: no address is known, or the digest is wrong. DataError: the server gave something else.
    """
    target = folder / network.file
    if not target.is_file():
        if not network.url:
            raise ConfigError(
                f"{network.slot}: {network.file} has no direct address; get it by hand from {network.page} "
                f"({network.licence}) and save it as {target}."
            )
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as temporary:
            _download(network, temporary)
            _plausible(network, temporary)
            verified(network, temporary, target)
    digest, word = verified(network, target)
    if word == "first use":
        record(target, digest)
    print(f"{network.slot}: {target}, sha256 {digest} ({word})", flush=True)
    return target


def _download(network: Network, temporary: Path) -> None:
    try:
        with urllib.request.urlopen(network.url, timeout=TIMEOUT) as answer, temporary.open("wb") as file:
            shutil.copyfileobj(answer, file)
            wanted = answer.headers.get("Content-Length")
    except (OSError, urllib.error.URLError) as error:  # refused, not found, timed out, broken off, disk full
        raise DataError(
            f"{network.slot}: {network.url} could not be fetched ({error}); get {network.file} by hand from "
            f"{network.page} and name it under weights."
        ) from error
    if wanted is not None and temporary.stat().st_size != int(wanted):
        raise DataError(f"{network.slot}: {network.url} broke off early; fetch it again.")


def _plausible(network: Network, path: Path) -> None:
    """DataError for a page, a pointer or a file of another size, before anybody takes it for weights."""
    with path.open("rb") as file:
        start = file.read(512).lstrip()
    if start.startswith(NO_WEIGHTS) or not start:
        raise DataError(
            f"{network.slot}: {network.url} gave a page and no weights; get {network.file} by hand from {network.page}."
        )
    size = path.stat().st_size / 1e6
    if abs(size - network.megabytes) > TOLERANCE * network.megabytes:
        raise DataError(
            f"{network.slot}: {network.url} gave {size:.1f} MB, but {network.file} has {network.megabytes:g} MB; "
            f"get it by hand from {network.page}."
        )


def check(weights: dict[str, str]) -> dict[str, dict[str, str]]:
    """Slot -> file, SHA-256 and whose word it agrees with, of every entry; ConfigError for the first that is wrong."""
    found = {}
    for slot, path in sorted(weights.items()):
        digest, word = verified(known(slot), path)
        if word == "first use" and not record(Path(path), digest):
            print(f"{slot}: {path} lies where nothing can be recorded; compare its sha256 yourself", flush=True)
        found[slot] = {"file": str(path), "sha256": digest, "agrees_with": word}
        print(f"{slot}: {path}, sha256 {digest} ({word})", flush=True)
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m evaluation.weights", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what each network needs")
    fetching = commands.add_parser("fetch", help="download files whose address is known")
    fetching.add_argument("slots", nargs="+", metavar="SLOT", help="; ".join(networks()))
    fetching.add_argument("--to", type=Path, default=Path("weights"), help="folder; default: weights")
    checking = commands.add_parser("check", help="refuse missing and wrong files")
    checking.add_argument("--weights", required=True, help="JSON object or @file: slot -> file")
    checking.add_argument("--out", type=Path, help="a .json to write what was found to")
    args = parser.parse_args(arguments)
    if args.command == "list":
        print(listed(), end="")
    elif args.command == "fetch":
        for network in [known(slot) for slot in args.slots]:
            fetch(network, args.to)
    else:
        found = check(parse_json(args.weights, "--weights"))
        if args.out:
            write_json(args.out, found)


if __name__ == "__main__":
    run_cli(main)
