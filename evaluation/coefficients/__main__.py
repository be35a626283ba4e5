"""Measure rows that are motion coefficients: `python -m evaluation.coefficients --data DIR --rows JSON --out DIR ...`.

All rows of a data folder of kind `coefficients` are measured together: true listeners, what systems generated for them,
and controls; on the same dialogues and, on the clock, on the frames that were seen on every side and in every system.
Writes for each row what `evaluation.run` writes, and reactions.csv: R-DGG of rows and of pairs of rows, with intervals.
Metrics that look at pictures say `no_pictures`.
"""

import argparse
import os
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import fields, replace
from multiprocessing import active_children, get_context
from pathlib import Path

import pandas as pd

from dyads.coefficients import Folder
from dyads.coefficients.controls import CONTROLS, names_folder
from dyads.coefficients.store import read_folder
from dyads.contract import file_sha256
from dyads.errors import ConfigError, DataError, run_cli
from dyads.files import write_text
from evaluation.coefficients import TRUTH, CoefficientOptions, Row
from evaluation.coefficients.reactions import Reactions
from evaluation.coefficients.work import begin, prepare_reactions, reaction_values, row_values
from evaluation.granger.interval import Gain
from evaluation.registry import modules
from evaluation.rows import WHOLE_SET
from evaluation.run import write_rows
from training.options import from_dict, parse_json
from training.provenance import write_provenance

REACTIONS = "reactions.csv"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m evaluation.coefficients", description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=Path, help="a data folder of kind coefficients")
    parser.add_argument("--rows", default="{}", help="JSON or @file: row -> {source, protocol}; default: all there is")
    parser.add_argument("--options", default="{}", help="JSON object or @file; see CoefficientOptions")
    parser.add_argument("--split", default="test")
    parser.add_argument("--threads", type=int, default=1, help="worker processes of one thread; R-DGG takes them all")
    parser.add_argument(
        "--out", required=True, type=Path, help="folder that gets <row>/seed0.csv and what belongs to it"
    )
    args = parser.parse_args(arguments)
    if args.threads < 1:
        raise ConfigError(f"--threads is {args.threads}; give at least 1.")
    given = parse_json(args.options, "--options")
    options = from_dict(CoefficientOptions, given, "evaluation")
    folder = read_folder(args.data, args.split)
    rows = _rows(parse_json(args.rows, "--rows"), folder)
    if "encoder" not in given and len(folder.encoders) == 1:
        options = replace(options, encoder=next(iter(folder.encoders)))
    if options.encoder not in folder.encoders:
        raise ConfigError(f"evaluation.encoder is {options.encoder!r}; {args.data} has {', '.join(folder.encoders)}.")
    study = args.data, args.split, options, rows
    counted, told = _by_workers({name: args.out / name / "seed0.csv" for name in rows}, args.threads, study)
    for name, row in rows.items():
        values, facts = counted[name]
        values += [(WHOLE_SET, value) for value in told.values[name]]
        _write(args.out / name / "seed0.csv", name, row, values, facts, folder, options, args)
        print(f"{name}: {facts['clips']} dialogues -> {args.out / name}", flush=True)
    table = pd.DataFrame(told.table, columns=["row", "against", "part", *(f.name for f in fields(Gain))])
    write_text(args.out / REACTIONS, table.to_csv(index=False, float_format="%.9g", lineterminator="\n"))


def _by_workers(rows: Mapping[str, Path], threads: int, study: tuple) -> tuple[dict[str, tuple], Reactions]:
    """What `row_values` says of each row, side by side, and R-DGG of all, in processes that know the `study`.

    R-DGG takes all rows at once, every thread and more memory than they: it reads as soon as a row's worker is free,
    and begins after the last row.
    """
    context = get_context("spawn")
    with (
        ProcessPoolExecutor(threads, context, begin, (*study, 1)) as pool,
        ProcessPoolExecutor(1, context, begin, (*study, threads)) as alone,
    ):
        try:
            waiting = {name: pool.submit(row_values, name, path) for name, path in rows.items()}
            for done, each in enumerate(as_completed(waiting.values()), 1):
                each.result()
                if len(rows) - done < threads:
                    break
            for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):  # its arrays are large: freed, they go
                os.environ.pop(name, None)
            alone.submit(prepare_reactions)
            counted = {name: each.result() for name, each in waiting.items()}
            pool.shutdown()  # with it goes what its workers hold
            return counted, alone.submit(reaction_values).result()
        except KeyboardInterrupt:  # nobody waits minutes for what is not wanted
            for worker in active_children():
                worker.terminate()
            raise
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _rows(given: Mapping, folder: Folder) -> dict[str, Row]:
    """Rows asked for, or truth, every system and the controls. ConfigError: a source that is not there, DataError: a
    system's file that is missing."""
    if not given:
        given = {name: {"source": name} for name in (TRUTH, *folder.systems, *CONTROLS)}
    for name in given:
        if not names_folder(name) or name == REACTIONS:
            raise ConfigError(
                f"--rows names a row {name!r}, which cannot name a folder in --out; use a plain name such as 'mine', "
                "without slashes or a leading dot."
            )
    rows = {name: from_dict(Row, entry, f"rows.{name}") for name, entry in given.items()}
    known = (TRUTH, *folder.systems, *CONTROLS)
    for name, row in rows.items():
        if row.source not in known:
            raise ConfigError(f"rows.{name}.source is {row.source!r}; {folder.path} has {', '.join(known)}.")
        if row.source in CONTROLS and row.protocol == "dropped":
            raise ConfigError(f"rows.{name}: a control has no frames to drop; use protocol clock.")
    for system in sorted({row.source for row in rows.values()} & set(folder.systems)):
        for path in (folder.generated(system, dialogue) for dialogue in folder.dialogues):
            if not path.is_file():
                raise DataError(f"{path} is missing; make the data folder again, or leave {system} out of the rows.")
    return rows


def _write(path: Path, name: str, row: Row, values, facts: dict, folder: Folder, options, args) -> None:
    started = time.monotonic() - facts.pop("seconds")  # R-DGG's are of all rows together, so of none
    write_provenance(
        path.with_suffix(".json"), options, 0, {}, started=started,
        method=name, dataset=folder.dataset, split=args.split,
        data_manifest_sha256=file_sha256(folder.path / "manifest.csv"),
        source=row.source,
        time=row.protocol,
        **facts,
        left_out=[list(each) for each in folder.left_out],
        protocol={card.name: card.protocol for module in modules().values() for card in module.CARDS},
    )  # fmt: skip
    write_rows(path, values, name, 0, folder.dataset, args.split)


if __name__ == "__main__":
    run_cli(main)
