"""All dialogues of a data set into one data folder: resumable, in parallel; what is broken is listed and skipped.

A finished dialogue is kept when the same command runs again. The manifest is written last. A dialogue that cannot be
made any more keeps what stands in the manifest of an earlier run, if its files are still those.
"""

import csv
import hashlib
import io
import json
import math
import multiprocessing
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tqdm import tqdm

from dyads.adapters.engine.convert import convert
from dyads.adapters.engine.options import AdaptOptions
from dyads.adapters.pairs import Pair, Skipped
from dyads.errors import DataError
from dyads.files import write_json, write_text
from dyads.manifest import file_sha256, write_manifest
from dyads.shards import Shard

VERSION = 3  # raise when the output changes for the same input, so that finished dialogues are made again
REPORT = ("dyad_id", "role", "source", "source_fps", "crop", "inside", "frames")
REPORT += ("cut_seconds", "dropped_seconds", "sound_fitted_seconds")
BROKEN = 3  # exit code: some dialogues are broken, the others are made
AHEAD = 4  # dialogues handed to each worker before it asks


@dataclass
class Outcome:
    """What became of a data set: lines of report.csv, remarks, dialogues left out as known, and broken ones."""

    report: list[dict] = field(default_factory=list)
    rows: list[dict] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    made: int = 0
    kept: int = 0

    def code(self, options: AdaptOptions) -> int:
        """Exit code: 0, or 3 where more dialogues are broken than `broken_share` allows."""
        total = self.made + self.kept + len(self.broken)
        return BROKEN if len(self.broken) > options.broken_share * total else 0


def describe(line: dict) -> str:
    """One report line in words."""
    form = "{dyad_id} {role}: {frames} frames of {source} ({source_fps:g} fps), crop {crop}"
    text = (form if line["source"] else "{dyad_id} {role}: {frames} grey frames, nobody was filmed").format(**line)
    if line["inside"] != "":
        text += f", whole face inside in {line['inside']:.1%}"
    for key, words in (
        ("cut_seconds", "cut {:.2f} s from its end to match the other side"),
        ("dropped_seconds", "dropped {:.2f} s"),
        ("sound_fitted_seconds", "sound fitted by {:+.3f} s"),
    ):
        text += f", {words.format(line[key])}" if abs(line[key]) > 1e-9 else ""
    return text


def source_key(pair: Pair, options: AdaptOptions) -> str:
    """Hash of all that decides the output of one pair; files count by name, size and modification time."""
    members = {member.path: member for member in pair.members}
    stats = []
    for path in pair.files:
        member = members.get(path)
        found = (member.archive if member else path).stat()
        stats.append((str(path), member.size if member else found.st_size, found.st_mtime_ns))
    known = {key: value for key, value in asdict(options).items() if key not in ("broken_share", "only")}
    text = json.dumps([VERSION, repr(pair), known, stats], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def record_of(pair: Pair, out: Path) -> Path:
    """Where it is written down what a finished pair was made of."""
    return out / "sources" / f"{pair.dyad_id}.json"


def _finished(record: Path, key: str, out: Path) -> dict | None:
    """The record of a finished dialogue, None where it must be made."""
    if not record.is_file():
        return None
    try:
        value = json.loads(record.read_text(encoding="utf-8"))
        whole = all((out / row[kind]).is_file() for row in value["rows"] for kind in ("video", "audio"))
    except (ValueError, KeyError, TypeError):
        return None
    return value if value.get("key") == key and whole else None


def make(pair: Pair, out: Path, options: AdaptOptions) -> tuple[str, dict]:
    """('kept' | 'made', record), or ('skipped' | 'broken', {'why'}): one pair, in whatever process."""
    record = record_of(pair, out)
    try:
        key = source_key(pair, options)
        value = _finished(record, key, out)
        if value is not None:
            return "kept", value
        value = {"key": key, **convert(pair, out, options)}
        write_json(record, value)
    except Skipped as reason:
        return "skipped", {"why": str(reason)}
    except (DataError, OSError) as error:
        return "broken", {"why": str(error)}
    except Exception as error:  # one odd recording must not end the others
        traceback.print_exc()
        why = f"{pair.dyad_id}: {type(error).__name__}: {error}; see the error above, and check its files."
        return "broken", {"why": " ".join(why.split())}
    return "made", value


def _results(pairs: list[Pair], out: Path, options: AdaptOptions, workers: int) -> Iterator[tuple[Pair, str, dict]]:
    """Each pair with what became of it, as they are done."""
    if workers <= 1:
        for pair in pairs:
            yield (pair, *make(pair, out, options))
        return
    waiting, running = iter(pairs), {}
    context = multiprocessing.get_context("forkserver" if sys.platform != "win32" else "spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:

        def feed() -> None:
            while len(running) < workers * AHEAD:
                pair = next(waiting, None)
                if pair is None:
                    return
                running[pool.submit(make, pair, out, options)] = pair

        feed()
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield (pair := running.pop(future)), *_result(future, pair)
            feed()


def _result(future: Future, pair: Pair) -> tuple[str, dict]:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise DataError(
            f"{pair.dyad_id}: its process was killed, perhaps for want of memory; give fewer --workers and run again."
        ) from error


def adapt(
    pairs: list[Pair],
    out: Path,
    options: AdaptOptions,
    workers: int = 1,
    skipped: dict[str, str] | None = None,
    bar: bool = False,
) -> Outcome:
    """Convert all pairs into a data folder; `skipped` are dialogues that were left out before, with the reason."""
    out.mkdir(parents=True, exist_ok=True)
    found = Outcome(skipped=dict(skipped or {}))
    results: dict[str, tuple[str, dict]] = {}
    shown = tqdm(total=len(pairs), desc="adapt", unit="dialogue", disable=not bar, file=sys.stderr)
    for pair, state, value in _results(pairs, out, options, workers):
        results[pair.dyad_id] = state, value
        shown.update()
        if state in ("kept", "made"):
            lines = [f"{state} {describe(line)}" for line in value["report"]]
            lines += [f"{pair.dyad_id}: {remark}" for remark in value.get("remarks", ())]
        else:
            lines = [f"{state} {pair.dyad_id}: {value['why']}"]
        for line in lines:
            shown.write(line, file=sys.stdout)
    shown.close()
    before = _rows_before(out)
    for pair in pairs:  # in the given order, whatever the order in which they were done
        state, value = results[pair.dyad_id]
        if state in ("kept", "made"):
            found.rows += value["rows"]
            found.report += value["report"]
            found.remarks += [f"{pair.dyad_id}: {remark}" for remark in value.get("remarks", ())]
            setattr(found, state, getattr(found, state) + 1)
        elif state == "skipped":
            found.skipped[pair.dyad_id] = value["why"]
        else:
            found.broken[pair.dyad_id] = value["why"]
            found.rows += _still(before, pair, out)
    _write(out, found)
    return found


def adapt_shard(pairs: list[Pair], out: Path, options: AdaptOptions, workers: int, shard: Shard) -> Path:
    """Make the shard's run of the pairs, and list what became of each; `adapt` then finds them made and is quick.

    A broken one is listed, and told again, with everything else, by `adapt`.
    """
    own = list(shard.of(pairs))
    states = {}
    for pair, state, value in _results(own, out, options, workers):
        states[pair.dyad_id] = state
        if state in ("skipped", "broken"):
            print(f"{state} {pair.dyad_id}: {value['why']}", flush=True)
    listed = shard.list_in(out)
    write_text(listed, "".join(["dyad_id,state\n", *(f"{pair.dyad_id},{states[pair.dyad_id]}\n" for pair in own)]))
    return listed


def _rows_before(out: Path) -> dict[str, list[dict]]:
    """Rows of the manifest that stands there, by dyad; empty without one."""
    try:
        text = (out / "manifest.csv").read_text(encoding="utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        found: dict[str, list[dict]] = {}
        for row in rows:
            found.setdefault(row["dyad_id"], []).append(row)
    except (OSError, UnicodeDecodeError, csv.Error, KeyError):
        return {}
    return found


def _still(before: dict[str, list[dict]], pair: Pair, out: Path) -> list[dict]:
    """The earlier rows of a pair's dyads whose videos are still those of the manifest."""
    try:
        record = json.loads(record_of(pair, out).read_text(encoding="utf-8"))
        names = dict.fromkeys(row["dyad_id"] for row in record["rows"])
        rows = [row for name in names for row in before.get(name, ())]
        return rows if all(file_sha256(out / row["video"]) == row["sha256"] for row in rows) else []
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _write(out: Path, found: Outcome) -> None:
    """report.csv, skipped.csv, and last the manifest, unless there is nothing to list."""
    write_text(out / "report.csv", _csv(REPORT, found.report))
    lines = [{"dyad_id": name, "state": "skipped", "why": why} for name, why in found.skipped.items()]
    lines += [{"dyad_id": name, "state": "broken", "why": why} for name, why in found.broken.items()]
    write_text(out / "skipped.csv", _csv(("dyad_id", "state", "why"), lines))
    if found.rows:
        write_manifest(out, found.rows)


def _csv(columns: tuple[str, ...], lines: list[dict]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return buffer.getvalue()


def finish(found: Outcome, out: Path, options: AdaptOptions) -> int:
    """Say how it went; the exit code. `DataError` where no dialogue at all could be made."""
    total = found.made + found.kept
    if not total and not found.rows:
        reasons = list(found.broken.values()) + list(found.skipped.values())
        first = f"; the first: {reasons[0]}" if reasons else ""
        raise DataError(f"{out}: not one dialogue could be made ({len(reasons)} left out, see skipped.csv){first}")
    code = found.code(options)
    words = f"{total} dialogues in {out} ({found.made} made, {found.kept} kept)"
    words += f", {len(found.skipped)} left out, {len(found.broken)} broken" if found.skipped or found.broken else ""
    print(words + (": see skipped.csv" if found.skipped or found.broken else ""))
    if code:
        share = math.ceil(1000 * len(found.broken) / (total + len(found.broken))) / 1000
        print(
            f"error: {len(found.broken)} of {total + len(found.broken)} dialogues are broken; mend or remove them, or "
            f"accept them with the option broken_share ({share:g}).",
            file=sys.stderr,
        )
    return code
