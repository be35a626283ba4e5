"""Tables as people read them: what is bold, underlined and marked, in Markdown and in LaTeX that compiles."""

import re
import shutil
import subprocess

import pytest
from study_rows import ROWS, write_result

from evaluation.registry import cards
from reporting.table_cells import tex
from reporting.tables import TableOptions, write_tables

CLIPS = tuple("abcdefg")

LEVELS = {"echo": 0.71, "other": 0.42, "truth": 0.95, "vae": 0.9, "frozen": 0.05}
NAMES = ("main_table", "ablations_table", "talking_table", "listening_table", "efficiency_table", "controls")


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Text of every table; `other` is sure to be behind `echo`, `no_lcu` was not run."""
    folder = tmp_path_factory.mktemp("tables")

    def value(level, seed):
        # the truth's own value is 0.5, and every clip and seed a little different
        noise = {clip: 0.002 * place for place, clip in enumerate(CLIPS)}

        def of(metric, part, clip):
            if metric.startswith("lse"):
                return "weights_missing"
            if part.endswith("_truth"):
                return 0.5
            return level + noise.get(clip, 0) * (1 + level) + 0.001 * seed * level

        return of

    files = [
        write_result(folder / "metrics", name, seed, value(level, seed), CLIPS)
        for name, level in LEVELS.items()
        for seed in ((0, 1, 2) if name in ("echo", "other") else (0,))
    ]
    given = {name: row | ({"seeds": [0, 1, 2]} if name != "truth" else {}) for name, row in ROWS.items()}
    write_tables(files, given, TableOptions(note="Made for a test: 100 %."), folder / "tables")
    return {path.name: path.read_text() for path in (folder / "tables").iterdir()}


def lines(text):
    """Method -> cells of a LaTeX table's body."""
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    rows = [line.removesuffix(r" \\").split(" & ") for line in body.strip().splitlines()]
    return {row[0]: row[1:] for row in rows}


def heads(text):
    """The headings of a LaTeX table, without that of the first column."""
    return [head.strip() for head in text.split(r"\toprule")[1].split(r" \\")[0].split("&")][1:]


def cell(text, method, head):
    place = next(place for place, one in enumerate(heads(text)) if one.startswith(head))
    return lines(text)[method][place]


def test_best_is_bold_second_underlined_and_controls_are_neither(tables):
    text = tables["main_table.tex"]
    assert cell(text, "ECHO", "SSIM").startswith(r"\textbf{0.7")
    assert cell(text, r"Other \& Co", "SSIM").startswith(r"\underline{0.4")
    assert cell(text, r"Other \& Co", "SID").startswith(r"\textbf{0.4")  # nearer to the truth's 0.5
    for control in ("Ground truth", "VAE", "Frozen"):
        assert not re.search(r"\\(textbf|underline)", " ".join(lines(text)[control]))
    page = tables["main_table.md"]
    assert re.search(r"\| ECHO .*\*\*0\.7", page) and re.search(r"\| Other & Co .*<u>0\.4", page)


def test_a_sure_difference_has_its_mark_and_the_caption_its_protocol(tables):
    text = tables["main_table.tex"]
    assert cell(text, r"Other \& Co", "SSIM").endswith("$^{-}$")
    assert cell(text, r"Other \& Co", "Motion MSE").endswith("$^{+}$")
    title, caption = re.search(r"\\caption\[(.*?)\]\{(.*)\}$", text, re.MULTILINE).groups()
    assert caption.startswith(title + r".\protect\\ \protect\parbox")  # on one line, TeX could not measure it
    for said in (
        "7 clips, data set synthetic, split test",
        "over seeds",
        "SSIM [1]: ",
        "Holm",
        r"80 \% power, before Holm",
        "Made for a test: 100 \\%.",
    ):
        assert said in caption, said
    reason = "Not measured, no weights file was given for this network"
    assert f"{reason}: LSE-D (small probe), LSE-C (small probe), LSE-D, LSE-C." in caption and "LSE" not in heads(text)


def test_a_row_that_was_not_run_keeps_its_line(tables):
    assert lines(tables["ablations_table.tex"])["w/o LCU"][-1] == r"not\_run"
    assert re.search(r"\| w/o LCU .*– \(not_run\).*\|\s+not_run", tables["ablations_table.md"])
    assert lines(tables["main_table.tex"])["VAE"][-1] == r"not\_run: seed 1, 2"


@pytest.mark.parametrize("name", NAMES)
def test_latex_is_whole(tables, name):
    text = tables[f"{name}.tex"]
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\label{tab:"))
    assert text.isascii(), sorted({letter for letter in text if not letter.isascii()})
    bare = re.sub(r"\\[\\{}&%$#_]", "", text)  # escaped characters
    assert bare.count("{") == bare.count("}") and "#" not in bare and bare.count("$") % 2 == 0
    assert {len(row) for row in lines(text).values()} == {len(heads(text))}


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex: install texlive-latex-recommended (Debian)")
def test_latex_compiles(tables, tmp_path):
    body = "\n".join(tables[f"{name}.tex"] for name in NAMES)
    packages = r"\documentclass{article}\usepackage{booktabs,graphicx}"
    (tmp_path / "all.tex").write_text(packages + "\n\\begin{document}\n" + body + "\n\\end{document}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]


def test_every_sign_of_the_cards_is_known_in_latex():
    for card in cards().values():
        for words in (card.label, card.unit, card.protocol, card.arrow):
            assert tex(words).isascii(), (card.name, [letter for letter in tex(words) if not letter.isascii()])
