"""Bad input among motion coefficients, SI-184's or one's own: each is refused in one sentence and leaves nothing."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from coefficient_files import TINY, change, stems, write_own

from dyads.adapters import coefficients as own
from dyads.adapters import si184
from dyads.coefficients.encoders import SPLIT
from dyads.errors import ConfigError, DataError
from dyads.synthetic.si184 import write_corpus
from evaluation.coefficients import CoefficientOptions
from evaluation.coefficients.__main__ import main as evaluate
from evaluation.granger import RdggOptions


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sound") / "corpus"
    write_corpus(folder, replace(TINY, traps=False, sessions=1))
    return folder


@pytest.fixture
def broken(sound, tmp_path) -> Path:
    shutil.copytree(sound, tmp_path / "corpus")
    return tmp_path / "corpus"


def again(path: Path) -> None:
    path.write_text(path.read_text() * 2)


def single(path: Path) -> None:
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))


def torn_inside(path: Path) -> None:
    """A compressed archive whose table of contents is whole."""
    with np.load(path) as file:
        np.savez_compressed(path, **{key: file[key] for key in file.files})
    torn = bytearray(path.read_bytes())
    torn[3000:3100] = bytes(100)
    path.write_bytes(torn)


def mirrors(frames: int) -> np.ndarray:
    return np.broadcast_to(np.diag([1.0, 1.0, -1.0]), (frames, 3, 3))


def adapt(corpus: Path, out: Path, **options):
    return si184.adapt(corpus, out, si184.Si184Options(systems=("AVTR-1",), **options))


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda root, stem: shutil.rmtree(root / "AVTR-1"), "AVTR-1 is no folder; fetch it"),
        (lambda root, stem: (root / "AVTR-1" / f"{SPLIT}_emoca" / f"{stem}.npz").unlink(), "is missing"),
        (lambda root, stem: change(root / "GT" / f"{SPLIT}_emoca" / f"{stem}.npz", posecode=None), "no array posecode"),
        (
            lambda root, stem: change(root / "GT" / f"{SPLIT}_emoca" / f"{stem}.npz", expcode=np.zeros((5, 50))),
            "5 frames where",
        ),
        (
            lambda root, stem: change(root / "GT" / f"{SPLIT}_emoca" / f"{stem}.npz", expcode=np.zeros((900, 49))),
            r"has shape \(900, 49\)",
        ),
        (
            lambda root, stem: change(
                root / "GT" / f"{SPLIT}_emoca" / f"{stem}.npz", expcode=np.full((900, 50), 1e300)
            ),
            "motion reaches 1e\\+300, more than float32 holds",
        ),
        (
            lambda root, stem: change(root / "AVTR-1" / f"{SPLIT}_emoca" / f"{stem}.npz", face_ok=np.zeros(900)),
            "no face was found",
        ),
        (
            lambda root, stem: change(
                root / "GT" / f"{SPLIT}_emoca" / f"{stem}.npz", expcode=np.full((900, 50), np.nan)
            ),
            "not finite",
        ),
        (
            lambda root, stem: change(root / "GT" / f"{SPLIT}_hubert" / f"{stem}.npz", feat_l09=np.zeros((40, 6))),
            "do not fit",
        ),
        (
            lambda root, stem: change(root / "GT" / f"{SPLIT}_hubert" / f"{stem}.npz", fps=49.9),
            "at 49.9 Hz",
        ),
        (
            lambda root, stem: change(
                root / "GT" / f"{SPLIT}_emoca" / f"{stem}.npz", posecode=np.array([{"a": 1}], dtype=object)
            ),
            "could run code",
        ),
        (
            lambda root, stem: (root / "GT" / f"{SPLIT}_vad" / f"{stem}.npz").write_bytes(b"\x80\x04N."),
            "could run code",
        ),
        (
            lambda root, stem: (root / "GT" / f"{SPLIT}_vad" / f"{stem}.npz").write_bytes(b"hello"),
            "is no .npz file; save named arrays",
        ),
        (
            lambda root, stem: (root / "GT" / f"{SPLIT}_vad" / f"{stem}.npz").write_bytes(b"PK\x03\x04 torn"),
            "cannot be read",
        ),
        (
            lambda root, stem: (root / "pairs184.txt").write_text("V00_S9_I9_P9A.wav V00_S9_I9_P8A.wav\n"),
            "of which GT holds no file",
        ),
        (lambda root, stem: (root / "pairs184.txt").write_text("listener speaker\n"), "line 1"),
        (lambda root, stem: (root / "pairs184.txt").write_text(f"{stem}.wav {stem}.wav\n"), "not two people"),
        (lambda root, stem: (root / "pairs184.txt").write_text(""), "names no pairs"),
        (lambda root, stem: again(root / "pairs184.txt"), "listens twice"),
        (lambda root, stem: change(root / "GT" / f"{SPLIT}_emoca" / f"{stem}.npz", fps=0.0), "must be above 0"),
        (lambda root, stem: change(root / "AVTR-1" / f"{SPLIT}_emoca" / f"{stem}.npz", fps=-25), "must be above 0"),
        (lambda root, stem: change(root / "GT" / f"{SPLIT}_emoca" / f"{stem}.npz", fps=np.nan), "single finite number"),
        (lambda root, stem: change(root / "GT" / f"{SPLIT}_emoca" / f"{stem}.npz", n_frames=10**6), "are promised"),
        (lambda root, stem: single(root / "GT" / f"{SPLIT}_emoca" / f"{stem}.npz"), "is a single array"),
        (lambda root, stem: torn_inside(root / "GT" / f"{SPLIT}_emoca" / f"{stem}.npz"), "cannot be read"),
        (
            lambda root, stem: change(
                root / "GT" / f"{SPLIT}_vad" / f"{stem}.npz", speech_starts=np.array(["a"]), speech_ends=np.array(["b"])
            ),
            "speech_starts has shape",
        ),
        (
            lambda root, stem: change(root / "GT" / f"{SPLIT}_hubert" / f"{stem}.npz", feat_l09=np.full((480, 6), 1e5)),
            "more than float16 holds",
        ),
        (
            lambda root, stem: change(root / "GT" / f"{SPLIT}_liveportrait" / f"{stem}.npz", R=np.zeros((900, 3, 3))),
            "R is no rotation in",
        ),
        (
            lambda root, stem: change(root / "GT" / f"{SPLIT}_liveportrait" / f"{stem}.npz", R=mirrors(900)),
            "R is no rotation in",
        ),
        (lambda root, stem: (root / "pairs184.txt").unlink(), "cannot be read"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(broken, tmp_path, spoil, message):
    spoil(broken, stems(broken)[0])
    with pytest.raises(DataError, match=message) as error:
        adapt(broken, tmp_path / "out")
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


def test_a_pickle_stops_everything_even_where_faults_are_left_out(broken, tmp_path):
    path = broken / "AVTR-1" / f"{SPLIT}_emoca" / f"{stems(broken)[0]}.npz"
    change(path, expcode=np.array([object()], dtype=object))
    with pytest.raises(DataError, match="could run code"):
        adapt(broken, tmp_path / "out", faulty="exclude")


def test_commands_answer_in_a_sentence(sound, tmp_path):
    with pytest.raises(ConfigError, match="unknown key 'colour'"):
        si184.main(["--root", str(sound), "--out", str(tmp_path / "o"), "--options", '{"colour": 1}'])
    for systems in (["GT"], ["AVTR-1", "AVTR-1"], ["../GT"], [".."], [""], ["a/b"]):
        with pytest.raises(ConfigError, match="is called like a row of ours"):
            si184.adapt(sound, tmp_path / "o", si184.Si184Options(systems=tuple(systems)))
    with pytest.raises(ConfigError, match="no folder"):
        si184.main(["--root", str(tmp_path / "none"), "--out", str(tmp_path / "o")])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="no folder of coefficients"):
        adapt(sound, tmp_path / "mine", faulty="exclude")
    assert (tmp_path / "mine" / "thesis.txt").exists()
    with pytest.raises(ConfigError, match="something else"):
        write_corpus(tmp_path / "mine", TINY)
    assert CoefficientOptions(rdgg=RdggOptions(lags=(1, 2))).encoder == "emoca"


def test_half_precision_is_read(broken, tmp_path):
    kinds = [("emoca", ("posecode", "expcode")), ("liveportrait", ("R", "exp", "t", "scale"))]
    for kind, keys in kinds:
        path = broken / "AVTR-1" / f"{SPLIT}_{kind}" / f"{stems(broken)[0]}.npz"
        with np.load(path) as file:
            half = {key: file[key].astype(np.float16) for key in keys}
        whole = si184.READERS[kind](path).values
        change(path, **half)
        np.testing.assert_allclose(si184.READERS[kind](path).values, whole, rtol=2e-3, atol=2e-3)
    adapt(broken, tmp_path / "out")


# One's own .npz


def test_what_is_not_valid_may_hold_anything_and_without_valid_nan_is_not_seen(tmp_path):
    write_own(tmp_path / "root")
    path = tmp_path / "root/people/x.npz"
    with np.load(path) as file:
        motion = file["motion"]
    motion[7, 1], seen = np.nan, np.arange(300) != 7
    change(path, motion=motion)
    assert (own.read_motion(path)[0].valid == seen).all()
    motion[7] = 1e300
    change(path, motion=motion, valid=seen)
    assert (own.read_motion(path)[0].valid == seen).all()


@pytest.mark.parametrize("name", ["../evil", "", ".", "..", ".mine", "a/b", "a\\b", "a\nb", "a\0", "reactions.csv"])
def test_a_row_is_named_like_a_plain_folder(tmp_path, name):
    write_own(tmp_path / "root")
    data, out = tmp_path / "data", tmp_path / "inner/out"
    own.main(["--root", str(tmp_path / "root"), "--out", str(data)])
    rows = json.dumps({name: {"source": "mine"}})
    with pytest.raises(ConfigError, match="cannot name a folder in --out") as error:
        evaluate(["--data", str(data), "--rows", rows, "--out", str(out)])
    assert "\n" not in str(error.value) and not out.parent.exists()


@pytest.mark.parametrize(
    "person, message",
    [
        ({"names": np.array(["a", "b"])}, "do not fit 3 channels"),
        ({"valid": np.zeros(300)}, "none of the 300 frames"),
        ({"motion": np.full((300, 3), 1e300)}, "motion reaches 1e\\+300, more than float32 holds"),
        ({"voice": np.full((500, 4), 1e300)}, "voice reaches 1e\\+300, more than float32 holds"),
        ({"motion": np.full((300, 3), np.nan), "valid": np.ones(300)}, "not finite"),
        ({"groups": np.array(["nose", "pose", "lips"])}, "nose"),
        ({"speech": np.zeros((2, 3))}, r"not \(k, 2\)"),
        ({"seconds": -1.0}, "above 0"),
        ({"voice": np.zeros((20, 4))}, "does not cover"),
        ({"voice": np.array([{}], dtype=object)}, "could run code"),
        ({"valid": np.ones(400)}, "valid has 400 frames, motion 300"),
        ({"motion": np.ones((20, 3))}, "20 frames at 30 Hz are 0.667 s, the recording is 10"),
        ({"motion": np.zeros((300, 0)), "names": np.array([], str)}, "0 different names do not fit"),
        ({"fps": 0.0}, "above 0"),
        ({"speech": np.array([["a", "b"]])}, "speech has shape"),
        ({"speech": np.array([[5.0, 2.0]])}, "speech does not lie within"),
        ({"speech": np.array([[500.0, 600.0]])}, "speech does not lie within"),
        ({"voice": np.float64(1)}, "voice has shape"),
        ({"voice": np.full((500, 4), 1e6)}, "more than float16 holds"),
    ],
)
def test_bad_coefficients_of_ones_own_are_one_sentence(tmp_path, person, message):
    write_own(tmp_path / "root", **person)
    with pytest.raises(DataError, match=message):
        own.main(["--root", str(tmp_path / "root"), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "lines, message",
    [
        ("", "names no dialogue"),
        ("d0,test,s,x,y,px,py\n" * 2, "stands twice"),
        ("d0,test,s,x,x,px,px\n", "avatar and user are the same"),
        ("d0,test,s,x,y,px,px\n", "avatar and user are the same"),
        ("d0,test,s,x,y,px,py\nd1,test,s,x,y,pz,py\n", "names another person's too"),
        ("d0,test,s,../people/x,y,px,py\n", "cannot name px's file"),
        ("d0,test,s,q,r,pq,pr\n", "q.npz is missing"),
    ],
)
def test_pairs_of_ones_own_that_cannot_be_are_one_sentence(tmp_path, lines, message):
    write_own(tmp_path / "root")
    (tmp_path / "root/pairs.csv").write_text("dyad_id,split,session,avatar,user,avatar_id,user_id\n" + lines)
    with pytest.raises(DataError, match=message) as error:
        own.adapt(tmp_path / "root", tmp_path / "out", own.CoefficientsOptions())
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


def test_systems_of_ones_own_have_names_that_are_free(tmp_path):
    write_own(tmp_path / "root")
    with pytest.raises(DataError, match="nobody is no folder; .*systems has mine: "):
        own.adapt(tmp_path / "root", tmp_path / "out", own.CoefficientsOptions(systems=("nobody",)))
    with pytest.raises(ConfigError, match="cannot name its arrays"):
        own.adapt(tmp_path / "root", tmp_path / "out", own.CoefficientsOptions(encoder="voice"))
    (tmp_path / "root/systems/mine").rename(tmp_path / "root/systems/other")
    with pytest.raises(ConfigError, match="called like a row of ours"):
        own.adapt(tmp_path / "root", tmp_path / "out", own.CoefficientsOptions())
    shutil.rmtree(tmp_path / "root/systems")
    with pytest.raises(DataError, match="holds no folder"):
        own.adapt(tmp_path / "root", tmp_path / "out", own.CoefficientsOptions())
