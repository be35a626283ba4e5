"""Builds the report's folder: reads the results, places files, renders the page; nothing half-made keeps its name."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from analysis.summary import seed_values, summarise
from dyads.errors import ConfigError
from dyads.files import atomic_path
from reporting.page.claim_findings import read_findings
from reporting.page.contents import NAMES, facts, run_facts, run_links, script_data
from reporting.page.figures import place_figures, place_notebooks
from reporting.page.gallery import place_dialogues, place_videos, shown_first
from reporting.page.media import place, weight
from reporting.page.study_files import Study, read_study
from reporting.page.study_tables import TIDY, control_counts, read_sheets
from training.shipped import given

TEMPLATES = Path(__file__).with_name("templates")
SCRIPTS = ("format.js", "tables.js", "details.js", "player.js", "gallery.js")
MARK = "data/study.js"  # a folder with it is a report, and may be replaced


@dataclass(frozen=True)
class ReportOptions:
    """`title` and `note` stand above the summary; `first`: rows that the gallery shows at first, empty for a choice.

    `gallery_seeds`: seeds of each row whose videos come along, the lowest first; 0 for all.
    """

    title: str = ""
    note: str = ""
    first: tuple[str, ...] = ()
    gallery_seeds: int = 1

    def __post_init__(self) -> None:
        if self.gallery_seeds < 0:
            raise ConfigError(f"gallery_seeds is {self.gallery_seeds}; give a number of seeds, or 0 for all.")


@dataclass(frozen=True)
class Built:
    """What the folder holds: methods, runs, dialogues, videos, and bytes (all, and those that hard links share)."""

    methods: int
    runs: int
    dialogues: int
    videos: int
    size: int
    shared: int


def build(
    results: Path,
    out: Path,
    options: ReportOptions = ReportOptions(),  # noqa: B008 (frozen)
    given: Mapping[str, Mapping[str, Any]] | None = None,
    external: Mapping[str, str] | None = None,
) -> Built:
    """Write the report on `results` into the folder `out`, in place of an earlier report there.

    Args:
        results: one profile's results.
        out: the folder to make; ConfigError if it holds anything but a report.
        options: title, note and what the gallery holds.
        given: row name -> label, group, seeds; see `read_study`.
        external: row name -> folder of its videos, for rows that were made elsewhere.
    """
    if out.exists() and not (out / MARK).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise ConfigError(f"--out {out} exists and is no report; name another folder or remove it.")
    study = read_study(results, given)
    if unknown := sorted(set(options.first) - {method.name for method in study.methods}):
        raise ConfigError(f"report.first names {unknown[0]!r}, which is no row of {results}.")
    with atomic_path(out) as folder:
        folder.mkdir()
        _fill(study, folder, options, external or {})
        videos = len(list(folder.glob("videos/*/*/*.mp4")))
        size, shared = weight(folder)
        shutil.rmtree(out, ignore_errors=True)
    return Built(len(study.methods), len(study.runs), len(study.dialogues), videos, size, shared)


def _fill(study: Study, folder: Path, options: ReportOptions, external: Mapping[str, str]) -> None:
    results = study.results
    dialogues = place_dialogues(study, folder)
    videos = place_videos(study, folder, options.gallery_seeds, {name: Path(path) for name, path in external.items()})
    first = [m.name for m in study.methods if m.name in options.first] or shown_first(study, videos)
    for run in study.runs:
        for name, link in run_links(run).items():
            place(run.files[name], folder / link)
    for path in sorted((results / "tables").glob("*")):
        if path.is_file():
            place(path, folder / "tables" / path.name)
    summary = summarise(seed_values(study.values()))
    claims = read_findings(study)
    sheets = read_sheets(study, summary)
    seen = facts(study, dialogues, claims.counts, control_counts(results))
    seen["backbones"] = given(results / "backbones/vae.json")
    pictures = place_figures(results, folder)
    notebooks = place_notebooks(results, folder)
    for name in ("style.css", *SCRIPTS):
        (folder / "assets").mkdir(exist_ok=True)
        shutil.copyfile(TEMPLATES / name, folder / "assets" / name)
    (folder / "data").mkdir()
    page = (
        environment()
        .get_template("index.html.j2")
        .render(
            title=options.title or f"Interactive head generation, study “{results.name}”",
            note=options.note,
            profile=results.name,
            results=results,
            study=study,
            facts=seen,
            sheets=sheets,
            tidy=[f"{name}.csv" for name in TIDY if (results / "tables" / f"{name}.csv").is_file()],
            claims=claims,
            pictures=pictures,
            notebooks=notebooks,
            dialogues=dialogues,
            groups=NAMES,
            scripts=SCRIPTS,
            run_facts=run_facts,
            run_links=run_links,
        )
    )
    (folder / "index.html").write_text(page, encoding="utf-8")
    data = script_data(study, dialogues, videos, first)
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    (folder / MARK).write_text(f"const STUDY = {text};\n", encoding="utf-8")


def environment() -> jinja2.Environment:
    """Jinja with escaping on; a name that the page does not know is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size / 1e3:,.0f} kB"


def told(built: Built, out: Path) -> str:
    """One line on what was built."""
    size, shared = megabytes(built.size), megabytes(built.shared)
    return (
        f"report: {built.methods} rows, {built.runs} runs, {built.dialogues} dialogues, {built.videos} generated "
        f"videos; {size}, {shared} of it shared with the results by hard links -> {out / 'index.html'}"
    )
