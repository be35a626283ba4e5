"""Run notebooks on one profile's results: `python -m paper_figures NAME ... --results results/default [-p KEY VALUE]`.

Each becomes `<out>/NAME.ipynb`, as it ran, and `<out>/NAME.html`, with its pictures and without its code. The same as
papermill and nbconvert one after the other, which work on these notebooks too, in one process: that saves their start.
"""

import argparse
import ast
import json
import logging
import os
from pathlib import Path
from typing import Any

from dyads.errors import ConfigError, DataError, run_cli
from dyads.files import atomic_path, write_text
from reporting.page.media import offline

FOLDER = Path(__file__).resolve().parent


def notebooks() -> list[str]:
    """Names of the notebooks there are."""
    return sorted(path.stem for path in FOLDER.glob("*.ipynb"))


def parameters_of(name: str) -> list[str]:
    """What `-p` can set: the names that the notebook's cell tagged `parameters` assigns."""
    cells = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    source = next("".join(cell["source"]) for cell in cells if "parameters" in cell["metadata"].get("tags", ()))
    assigned = [target for node in ast.parse(source).body if isinstance(node, ast.Assign) for target in node.targets]
    return [target.id for target in assigned]


def run(name: str, out: Path, parameters: dict[str, Any]) -> None:
    """Execute one notebook and write both files; DataError names the cell that failed, and nothing is left."""
    import papermill  # a second each, not needed to say what is wrong with the arguments
    from nbconvert import HTMLExporter
    from papermill.exceptions import PapermillExecutionError

    out.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_path(out / f"{name}.ipynb") as temporary:
            papermill.execute_notebook(
                FOLDER / f"{name}.ipynb", temporary, parameters, progress_bar=False, cwd=FOLDER.parent, log_output=False
            )
            with temporary.open(encoding="utf-8") as done:  # by its path, the page would be called like that
                page, _ = HTMLExporter(exclude_input=True).from_file(done, {"metadata": {"name": name}})
    except PapermillExecutionError as error:
        words = " ".join(f"{error.ename}: {error.evalue}".split())
        raise DataError(f"notebook {name}: cell {error.exec_count} failed with {words}") from error
    write_text(out / f"{name}.html", offline(page))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m paper_figures", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", help=f"of {', '.join(notebooks())}")
    parser.add_argument("--results", required=True, type=Path, help="one profile's results, such as results/default")
    parser.add_argument("--out", type=Path, help="folder of pages and figures; default: those of the results")
    parser.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"),
                        help="of the notebook's first cell; VALUE is JSON or text")  # fmt: skip
    args = parser.parse_args(arguments)
    unknown = sorted(set(args.names) - set(notebooks()))
    if unknown:
        raise ConfigError(f"there is no notebook {unknown[0]!r}; there are {', '.join(notebooks())}.")
    if not args.results.is_dir():
        raise ConfigError(f"--results {args.results} is no folder; run the study first.")
    logging.getLogger("traitlets").setLevel(logging.ERROR)
    given = {key: _value(text) for key, text in args.parameter}
    known = {name: parameters_of(name) for name in args.names}
    for key in given:
        if all(key not in names for names in known.values()):
            there = ", ".join(dict.fromkeys(name for names in known.values() for name in names))
            raise ConfigError(f"-p {key}: no notebook named here has this parameter; there are {there}.")
    # relative to the repository, where the notebooks run
    places = {"results": args.results} | ({"figures": args.out / "figures"} if args.out else {})
    given = {key: os.path.relpath(path, FOLDER.parent) for key, path in places.items()} | given
    out, failed = args.out or args.results / "reports", []
    for name in args.names:
        try:
            run(name, out, {key: value for key, value in given.items() if key in known[name]})
            print(f"{name} -> {out / f'{name}.html'}", flush=True)
        except DataError as error:
            if len(args.names) == 1:
                raise
            failed.append(str(error))
    if failed:
        raise DataError("; ".join(failed))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


if __name__ == "__main__":
    run_cli(main)
