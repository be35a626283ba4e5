"""What is missing among folders of coefficients as a whole is told once, with the remedy that helps."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from coefficient_files import TINY, change, stems, write_own

from dyads.adapters import coefficients as own
from dyads.adapters import si184
from dyads.coefficients.encoders import SPLIT
from dyads.errors import DataError
from dyads.synthetic.si184 import write_corpus


@pytest.fixture
def corpus(tmp_path) -> Path:
    write_corpus(tmp_path / "corpus", replace(TINY, traps=False, sessions=1))
    return tmp_path / "corpus"


def emptied(folder: Path) -> None:
    for path in folder.glob("*.npz"):
        path.unlink()


@pytest.mark.parametrize(
    "spoil, options, message",
    [
        (lambda root: shutil.rmtree(root / "ditto"), {}, "ditto is no folder; fetch it, or .*dataset.systems"),
        (lambda root: shutil.rmtree(root / "ditto" / f"{SPLIT}_emoca"), {}, "ditto has no folder LS_AL_emoca; fetch"),
        (lambda root: emptied(root / "ditto" / f"{SPLIT}_emoca"), {}, "ditto/LS_AL_emoca holds no .npz; .*systems"),
        (lambda root: shutil.rmtree(root / "GT" / f"{SPLIT}_emoca"), {}, "GT has no folder LS_AL_emoca; it holds the"),
        (lambda root: emptied(root / "GT" / f"{SPLIT}_hubert"), {}, "GT/LS_AL_hubert holds no .npz; it holds the true"),
        (lambda root: None, {"layer": "feat_l99"}, "LS_AL_hubert has no layer feat_l99, only feat_l09; name one"),
    ],
)
def test_what_the_corpus_lacks_as_a_whole_is_told_once(corpus, tmp_path, capsys, spoil, options, message):
    spoil(corpus)
    with pytest.raises(DataError, match=message) as error:
        si184.adapt(corpus, tmp_path / "out", si184.Si184Options(faulty="exclude", **options))
    assert "\n" not in str(error.value) and not capsys.readouterr().err and not (tmp_path / "out").exists()
    # the truth is no system, and naming systems does not leave it out
    assert "GT" not in message or "dataset.systems" not in str(error.value)


def test_a_layer_that_one_person_lacks_is_that_persons_fault(corpus, tmp_path):
    first = stems(corpus)[0]
    change(corpus / "GT" / f"{SPLIT}_hubert" / f"{first}.npz", feat_l09=None)
    with pytest.raises(DataError, match=f"{first}.npz has no array feat_l09, only"):
        si184.adapt(corpus, tmp_path / "out", si184.Si184Options(systems=("ditto",)))


def test_whose_speaker_is_left_out_is_told(corpus, tmp_path, capsys):
    pairs = si184.read_pairs(corpus / "pairs184.txt")
    lonely = next(iter(pairs))
    (corpus / "pairs184.txt").write_text(f"{lonely}.wav {pairs[lonely]}.wav\n")
    (corpus / "GT" / f"{SPLIT}_vad" / f"{pairs[lonely]}.npz").unlink()
    with pytest.raises(DataError, match="no dialogue is left"):
        si184.adapt(corpus, tmp_path / "out", si184.Si184Options(systems=("ditto",), faulty="exclude"))
    assert f"left out: {lonely}: its speaker {pairs[lonely]} is left out" in capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    "spoil, systems, message",
    [
        (
            lambda root: None,
            ("mine", "nope"),
            "systems/nope is no folder; .*systems has mine, theirs: .*dataset.systems",
        ),
        (lambda root: emptied(root / "systems/theirs"), (), "systems/theirs holds no .npz; save the system's"),
        (lambda root: shutil.rmtree(root / "people"), (), "people is no folder; save each true person's"),
        (lambda root: emptied(root / "people"), (), "people holds no .npz; save each true person's"),
    ],
)
def test_what_ones_own_folder_lacks_as_a_whole_is_told_once(tmp_path, capsys, spoil, systems, message):
    root = tmp_path / "root"
    write_own(root)
    shutil.copytree(root / "systems/mine", root / "systems/theirs")
    spoil(root)
    with pytest.raises(DataError, match=message) as error:
        own.adapt(root, tmp_path / "out", own.CoefficientsOptions(systems=systems))
    assert "\n" not in str(error.value) and not capsys.readouterr().err and not (tmp_path / "out").exists()
