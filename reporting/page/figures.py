"""The report's figures, with the captions of the notebooks that drew them, and those notebooks' pages."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from reporting.page.media import place, place_notebook, place_picture

SHOW = re.compile(r"""\bshow\(\s*["']([\w-]+)["']""")


# Notebooks in the order in which the page shows their figures: what one sees first, then what was measured.
ORDER = ("qualitative", "main_results", "ablations", "context_length", "training", "efficiency", "claims")


@dataclass(frozen=True)
class Picture:
    """One figure: the notebook that drew it, title, caption, what the page shows, and links to its files."""

    notebook: str
    name: str
    title: str
    caption: str
    shown: str
    links: tuple[str, ...]


def captions(reports: Path) -> dict[str, tuple[str, str, str]]:
    """Figure -> (notebook, heading, text): the Markdown above the cell that shows it, in the page's order."""
    found: dict[str, tuple[str, str, str]] = {}
    known = {name: number for number, name in enumerate(ORDER)}
    for path in sorted(reports.glob("*.ipynb"), key=lambda path: (known.get(path.stem, len(known)), path.stem)):
        try:
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        except (ValueError, KeyError):
            continue
        above: tuple[str, str] = ("", "")
        for cell in cells:
            source = "".join(cell.get("source", ""))
            if cell.get("cell_type") == "markdown":
                above = _heading(source)
                continue
            for name in SHOW.findall(source):
                found.setdefault(name, (path.stem, *above))
    return found


def _heading(text: str) -> tuple[str, str]:
    """A Markdown cell's heading, and its text as one paragraph."""
    lines = text.strip().splitlines()
    title = next((line.lstrip("# ") for line in lines if line.startswith("#")), "")
    return title, " ".join(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def place_figures(results: Path, out: Path) -> dict[str, list[Picture]]:
    """Every PNG of `figures/` at `out/figures`, by the notebook that shows it and in its order; '' for none."""
    known = captions(results / "reports")
    files = {path.stem: path for path in sorted((results / "figures").glob("*.png"))}
    order = [name for name in known if name in files] + [name for name in files if name not in known]
    found: dict[str, list[Picture]] = {}
    for name in order:
        shown = place_picture(files[name], out / "figures" / f"{name}.png")
        links = [f"figures/{name}.png"]
        if (pdf := files[name].with_suffix(".pdf")).exists():
            place(pdf, out / "figures" / pdf.name)
            links.append(f"figures/{pdf.name}")
        notebook, heading, text = known.get(name, ("", "", ""))
        title = name.replace("_", " ").capitalize()
        ended = heading if heading.endswith(("?", ".", "!")) else f"{heading}."
        caption = f"{ended} {text}" if heading and heading.lower() != title.lower() else text
        picture = Picture(notebook, name, title, caption.strip(), str(shown.relative_to(out)), tuple(links))
        found.setdefault(notebook, []).append(picture)
    return found


def place_notebooks(results: Path, out: Path) -> list[str]:
    """The notebooks' pages at `out/notebooks`; their file names."""
    names = sorted(path.name for path in (results / "reports").glob("*.html"))
    for name in names:
        place_notebook(results / "reports" / name, out / "notebooks" / name)
    return names
