"""What every notebook does with a study: show its tables, and save figures before it shows them."""

from pathlib import Path

from IPython.display import Image, Markdown, display
from matplotlib.figure import Figure

from reporting.plots.study_files import Study, read_study, save


class Page:
    """One notebook's page on the study in `results`; `study` is what the figures draw from.

    `figures`: folder of the pictures; '' for `figures/` of the results, where the report finds them.
    """

    def __init__(self, results: str, figures: str = "") -> None:
        self.study: Study = read_study(Path(results))
        self.figures = Path(figures) if figures else self.study.results / "figures"
        if self.study.results.name == "smoke":
            display(Markdown("> **Smoke run: it shows that every stage works. The numbers mean nothing.**"))

    def show(self, name: str, figure: Figure, dpi: int = 160) -> None:
        """Save a figure as PNG and PDF, and show the PNG."""
        path = self.figures / name
        save(figure, path, dpi)
        width, _ = figure.get_size_inches()
        display(Image(filename=str(path.with_name(f"{name}.png")), width=int(min(1000, 105 * width))))

    def table(self, name: str) -> None:
        """A table of `tables/`, or that it is not there."""
        path = self.study.results / "tables" / f"{name}.md"
        if path.exists():
            display(Markdown(path.read_text(encoding="utf-8")))
        else:
            display(Markdown(f"*{name}: not a part of this profile.*"))
