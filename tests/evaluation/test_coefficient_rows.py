"""Dialogues as coefficients: a made-up corpus with every trap is read and measured, and so are files of one's own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from coefficient_files import TINY, stems, write_own

from dyads.adapters import coefficients as own
from dyads.adapters import si184
from dyads.coefficients import Dialogue, Track
from dyads.coefficients.clock import dropped, listening, on_clock, spoken
from dyads.coefficients.controls import other, partners, shifted, still
from dyads.coefficients.encoders import SPLIT, read_emoca, read_liveportrait
from dyads.coefficients.store import read_folder, read_person, read_voice
from dyads.errors import ConfigError, DataError
from dyads.synthetic.si184 import write_corpus
from evaluation.coefficients import Data, Row, clips
from evaluation.coefficients.__main__ import main
from evaluation.coefficients.work import measured
from evaluation.metrics.motion import rpcc
from evaluation.readings.stored import read_features

EXCLUDE = si184.Si184Options(systems=("AVTR-1", "dystream"), faulty="exclude")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("si184") / "corpus"
    write_corpus(folder, TINY)
    return folder


@pytest.fixture(scope="module")
def data(corpus, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("data") / "si184"
    si184.adapt(corpus, out, EXCLUDE)
    return out


# The clock


def test_time_is_resampled_by_stamps_and_gaps_stay_open():
    seconds = np.arange(90) / 30
    track = Track(np.stack([seconds, -seconds], 1).astype(np.float32), np.ones(90, bool), 30.0)
    track.valid[30:33] = False
    made = on_clock(track, 80)
    times = np.arange(80) / 25
    good = np.isfinite(made).all(1)
    np.testing.assert_allclose(made[good, 0], times[good], atol=1e-6)
    # a frame at 24 k / 25 falls between two of 30 fps: both must be valid; beyond the end there is nothing
    between = np.ceil(times * 30 - 1e-9).astype(int), np.floor(times * 30 + 1e-9).astype(int)
    wanted = [max(a, b) < 90 and track.valid[a] and track.valid[b] for a, b in zip(*between, strict=True)]
    assert good.tolist() == wanted and not good[-1]


def test_the_published_protocol_closes_time_up():
    track = Track(np.arange(100, dtype=np.float32)[:, None], np.ones(100, bool), 25.0)
    track.valid[10:20] = False
    assert dropped(track)[:, 0].tolist() == [*range(10), *range(20, 100)]
    fast = Track(np.arange(60, dtype=np.float32)[:, None], np.ones(60, bool), 30.0)
    np.testing.assert_allclose(dropped(fast)[:, 0], np.linspace(0, 59, 50), rtol=1e-6)


def test_listening_is_silence_with_the_other_speaking():
    frames = 500
    own_speech, other_speech = np.array([[8.0, 10.0]]), np.array([[1.0, 2.0]])
    found = listening(own_speech, other_speech, frames)
    assert found[: 8 * 25 - 5].all() and not found[8 * 25 - 5 :].any()  # nobody speaks after 10 s
    assert spoken(own_speech, frames).sum() == 50
    assert not listening(np.array([[2.0, 3.0]]), other_speech, 75).any()  # shorter than 3 s


def test_controls_keep_no_time_that_was_not_there():
    motion = np.arange(600, dtype=np.float32)[:, None]
    late = shifted(motion)
    assert np.isnan(late[300]).all() and late[301, 0] == 1 and late[0, 0] == 300
    one = other(motion, 600, "x")
    assert np.isnan(one).sum() <= 1 and np.isfinite(one).sum() >= 599
    assert (still(np.where(motion < 5, np.nan, motion)) == 5).all()
    dialogues = [Dialogue("d", "test", f"d{i}", f"s{i // 2}", Path(), Path(), f"p{i % 3}", "u") for i in range(6)]
    for name, partner in partners(dialogues).items():
        mine, theirs = (next(d for d in dialogues if d.dyad_id == who) for who in (name, partner))
        assert mine.avatar_id != theirs.avatar_id and mine.session != theirs.session


# The corpus and its traps


def test_every_trap_is_read_right(corpus):
    first = stems(corpus)[0]
    assert first.endswith("A")  # a letter after the person's number
    with np.load(corpus / "GT" / f"{SPLIT}_emoca" / f"{first}.npz") as file:
        assert len(file["posecode"]) > file["n_frames"] and file["fps"] == 30
        count = int(file["n_frames"])
    track = read_emoca(corpus / "GT" / f"{SPLIT}_emoca" / f"{first}.npz")
    assert track.values.shape == (count, 56) and abs(track.values).max() < 7
    found = 0
    for path in sorted((corpus / "AVTR-1" / f"{SPLIT}_liveportrait").glob("*.npz")):
        with np.load(path) as file:
            gone = file["face_ok"][: int(file["n_frames"])] == 0
            assert not file["R"][: len(gone)][gone].any()
        track = read_liveportrait(path)
        assert track.values.shape[1] == 70 and track.fps == 25 and (track.valid == ~gone).all()
        found += gone.sum()
    assert found


def test_the_adapter_names_every_fault_and_leaves_those_dialogues_out(corpus, data, tmp_path, capsys):
    with pytest.raises(DataError, match=r"liveportrait.*is missing.*3 faults"):
        si184.adapt(corpus, tmp_path / "out", si184.Si184Options())
    told = capsys.readouterr().err
    assert "broken generation" in told and "its speaker" in told and not (tmp_path / "out").exists()
    folder = read_folder(data, "test")
    left = {stem for stem, _, _ in folder.left_out}
    assert len(left) == 3 and not left & {dialogue.dyad_id for dialogue in folder.dialogues}
    person = read_person(folder.dialogues[0].avatar, folder.encoders)
    assert abs(len(read_voice(folder.dialogues[0].avatar)) - person.frames) <= 1


def test_all_rows_are_measured_on_the_same_frames(data):
    folder = read_folder(data, "test")
    known = Data(folder, list(folder.systems), folder.encoders["emoca"])
    found = {name: list(clips(known, Row(name))) for name in ("GT", "AVTR-1", "dystream")}
    for sides in zip(*found.values(), strict=True):
        assert all((clip.valid == sides[0].valid).all() for clip in sides)
        assert all(np.isfinite(clip.motion_generated[clip.valid]).all() for clip in sides)
    rows, kept = measured(known, Row("GT"))
    values = {(v.metric, v.part): v for place, v in rows if place in ("*", kept[0].dyad_id)}
    assert values["rpcc_clip", "pose"].value == values["motion_mse", "all"].value == 0
    assert values["lve_controls", "lips"].value == 0 and values["mod_landmarks", "mouth"].status == "no_pictures"
    assert values["psnr", "frame"].status == values["fid", "frame"].status == "no_pictures"
    assert values["motion_fd_clip", "eyes"].status == "no_such_part"
    assert values["var_flat", "pose"].status == values["tlcc_peak", "expression"].status == "ok"
    still_face, _ = measured(known, Row("still"))
    assert all(v.value == 0 for _, v in still_face if v.metric == "var" and v.part == "pose")


def test_the_dropped_variant_is_a_row_of_its_own(data):
    folder = read_folder(data, "test")
    known = Data(folder, ["AVTR-1"], folder.encoders["liveportrait"])
    clip = next(clips(known, Row("AVTR-1", "dropped")))
    assert clip.valid is None and clip.motion_generated.shape == clip.motion_true.shape == clip.motion_user.shape
    assert (
        clip.part(clip.motion_true, "expression").shape[1] == 39 and clip.part(clip.motion_true, "pose").shape[1] == 3
    )
    # LivePortrait's expression moves by a hundredth of EMOCA's, and moves all the same
    values = {(v.metric, v.part): v for v in rpcc.clip_values(clip, None)}
    assert values["rpcc", "expression"].status == values["rpcc", "pose"].status == "ok"
    with pytest.raises(ConfigError, match="no frames to drop"):
        next(clips(known, Row("still", "dropped")))


# One's own .npz


def test_own_coefficients_are_measured_too(tmp_path):
    write_own(tmp_path / "root")
    own.main(["--root", str(tmp_path / "root"), "--out", str(tmp_path / "out")])
    folder = read_folder(tmp_path / "out", "test")
    known = Data(folder, ["mine"], folder.encoders["given"])
    rows, kept = measured(known, Row("mine"))
    assert len(kept) == 2 and kept[0].frames == 250
    assert {v.status for _, v in rows if (v.metric, v.part) == ("lip_stability", "opening")} == {"ok"}
    assert json.loads((tmp_path / "out" / "coefficients.json").read_text())["systems"] == {"mine": "mine"}


def test_without_options_all_there_is_is_measured(tmp_path):
    """One's own encoder, and dialogues too short to be shifted."""
    write_own(tmp_path / "root")
    own.adapt(tmp_path / "root", tmp_path / "data", own.CoefficientsOptions())
    main(["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")])
    statuses = {}
    for row in ("GT", "mine", "other", "shifted", "still"):
        told = pd.read_csv(tmp_path / "out" / row / "seed0.csv").set_index(["metric", "part", "clip"])["status"]
        statuses[row] = told["var", "pose", "d0"], told["rdgg", "audio_given_motion", "*"]
    assert statuses.pop("shifted") == ("too_few_frames", "too_few_frames")
    assert {own_status for own_status, _ in statuses.values()} == {"ok"}
    with pytest.raises(ConfigError, match="--threads is 0"):
        main(["--data", str(tmp_path / "data"), "--out", str(tmp_path / "none"), "--threads", "0"])
    generated = tmp_path / "data/systems/mine/d0.safetensors"
    generated.write_bytes(b"torn")
    with pytest.raises(DataError, match="d0.safetensors cannot be read"):
        main(["--data", str(tmp_path / "data"), "--out", str(tmp_path / "none")])
    generated.unlink()
    with pytest.raises(DataError, match="d0.safetensors is missing"):
        main(["--data", str(tmp_path / "data"), "--out", str(tmp_path / "none")])
    assert not (tmp_path / "none").exists()


def test_rows_are_written_with_reactions_and_leads(data, tmp_path):
    """From the command line, by one worker process."""
    rows = {name: {"source": name} for name in ("GT", "AVTR-1", "other")}
    dropped = {"GT, dropped": {"source": "GT", "protocol": "dropped"}}
    rdgg = {"lags": [1, 2, 4], "stretch": 30, "skip": 2, "audio": 3, "motion": 3, "nulls": 3, "draws": 50}
    options = json.dumps({"rdgg": rdgg})
    main(["--data", str(data), "--rows", json.dumps(rows | dropped), "--options", options, "--out", str(tmp_path)])
    closed = pd.read_csv(tmp_path / "GT, dropped/seed0.csv").query("metric == 'rdgg'")
    assert set(closed["status"]) == {"no_clock"}
    for name in rows:
        told = pd.read_csv(tmp_path / name / "seed0.csv")
        assert told.groupby(["clip", "metric", "part"]).size().max() == 1
        own = told[(told["metric"] == "rdgg") & (told["part"] == "audio_given_motion")]
        clips, meta = read_features(tmp_path / name / "seed0.features.safetensors")
        assert own["status"].tolist() == ["ok"] and len(clips) == 3 and meta["still"] == 1e-6
    seconds = [json.loads((tmp_path / name / "seed0.json").read_text())["wall_seconds"] for name in rows]
    assert len(set(seconds)) == len(rows)  # of each its own, not of all together
    reactions = pd.read_csv(tmp_path / "reactions.csv")
    alone = reactions[reactions["against"].isna() & (reactions["part"] == "audio_given_motion")].set_index("row")
    lead = reactions[(reactions["against"] == "AVTR-1") & (reactions["part"] == "audio_given_motion")].iloc[0]
    assert set(alone.index) == set(rows)
    assert lead["row"] == "GT" and lead["net"] == pytest.approx(alone.loc["GT", "net"] - alone.loc["AVTR-1", "net"])
    with pytest.raises(ConfigError, match="source is 'nobody'"):
        main(["--data", str(data), "--rows", '{"x": {"source": "nobody"}}', "--out", str(tmp_path / "none")])


@pytest.mark.parametrize("end", [os.kill, os.killpg])
def test_an_interrupt_is_one_line(end, data, tmp_path):
    """Workers of minutes were waited for, or each told where it had been."""
    command = [sys.executable, "-m", "evaluation.coefficients", "--data", str(data), "--out", str(tmp_path)]
    run = subprocess.Popen([*command, "--threads", "2"], stderr=subprocess.PIPE, text=True, start_new_session=True)
    until = time.monotonic() + 60
    while not list(tmp_path.rglob("*.safetensors")) and run.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    end(run.pid, signal.SIGINT)
    assert run.communicate(timeout=30)[1] == "error: interrupted; run the same command again.\n"
    assert run.returncode == 130 and not list(tmp_path.rglob("*.csv"))
