"""One's own files in, a video with sound out; what does not fit is said in one sentence."""

import sys

import numpy as np
import pytest
from PIL import Image
from skimage import data as pictures
from small_networks import SAMPLING, networks

from dyads.adapters.engine.camera import Planned
from dyads.errors import ConfigError, DataError
from dyads.media.containers import probe
from dyads.media.sound import read_audio, write_wav
from dyads.media.video import read_video, write_video
from dyads.media.writer import VideoWriter
from dyads.records import Turn, write_turns
from echo_model.commands.generate import main
from echo_model.pretrained import Echo
from echo_model.stream import EchoStream


@pytest.fixture
def files(options, tmp_path):
    """A checkpoint and a dialogue's files, in a folder with a space and a letter beyond ASCII."""
    folder = tmp_path / "meine Küche"
    Echo.of(networks(options), options, SAMPLING, {}).save_pretrained(folder / "echo")
    g = np.random.default_rng(0)
    frames = g.integers(0, 255, (30, 48, 72, 3), dtype=np.uint8)
    sound = (0.1 * g.standard_normal(30 * 640)).astype(np.float32)
    write_video(folder / "user.mp4", frames, sound)
    write_video(folder / "mute.mp4", frames, None)
    write_wav(folder / "voice.wav", sound)
    write_wav(folder / "short.wav", sound[: 12 * 640])
    Image.fromarray(frames[0]).save(folder / "face.png")
    write_turns(folder / "turns.jsonl", [Turn(start=0.1, end=0.6, role="user", text="I am so happy")])
    return folder


def run(folder, monkeypatch, flags=("--no-crop",), **given):  # noise shows no face
    named = {"user": "user.mp4", "avatar-audio": "voice.wav", "reference": "face.png", "out": "out.mp4"} | given
    words = [word for name, file in named.items() for word in (f"--{name}", str(folder / file))]
    monkeypatch.setattr(sys, "argv", ["generate", "--checkpoint", str(folder / "echo"), *flags, *words])
    main()
    return folder / named["out"]


def test_a_video_as_long_as_the_users_with_the_avatars_voice(files, monkeypatch):
    out = run(files, monkeypatch, turns="turns.jsonl")
    assert probe(out).frames == 30 and read_video(out).shape[1:] == (64, 64, 3)
    heard, spoken = read_audio(out), read_audio(files / "voice.wav")
    assert np.corrcoef(heard[: len(spoken)], spoken[: len(heard)])[0, 1] > 0.5


def test_frames_go_as_they_come(files, monkeypatch):
    """Memory does not grow with a recording: a clip is made and written before the next one is read."""
    read, asked, written = [], [], []
    pictures, step, write = Planned.pictures, EchoStream.step, VideoWriter.write
    monkeypatch.setattr(Planned, "pictures", lambda *given: (read.append(1) or each for each in pictures(*given)))
    monkeypatch.setattr(EchoStream, "step", lambda *given: asked.append((len(read), len(written))) or step(*given))
    monkeypatch.setattr(VideoWriter, "write", lambda *given: written.append(1) or write(*given))
    run(files, monkeypatch)
    clip = Echo.from_pretrained(files / "echo").model.clip
    assert clip < 30 and asked == [(min(start + clip, 30), start) for start in range(0, 30, clip)]
    assert not list(files.glob(".*"))  # the sound's files are gone


def test_a_silent_user_and_a_short_voice_work_and_are_said(files, monkeypatch, capsys):
    out = run(files, monkeypatch, user="mute.mp4", **{"avatar-audio": "short.wav"})
    said = capsys.readouterr().out
    assert probe(out).frames == 30 and "taken as silent" in said and "followed by silence" in said


def test_files_without_a_face_are_refused(files, monkeypatch):
    """The reference is looked at first, then the user; a grey picture is no avatar."""
    with pytest.raises(DataError, match=r"face\.png: no face is found"):
        run(files, monkeypatch, flags=())
    Image.fromarray(pictures.astronaut()).save(files / "face.png")
    with pytest.raises(DataError, match=r"user\.mp4: no face is found"):
        run(files, monkeypatch, flags=())
    assert not list(files.glob("*out*"))


@pytest.mark.parametrize("name", ["user", "avatar-audio", "reference"])
def test_a_missing_file_is_named_and_nothing_is_left(files, monkeypatch, name):
    with pytest.raises(DataError, match="nowhere"):
        run(files, monkeypatch, **{name: "nowhere.x"})
    assert not list(files.glob("*out*"))


@pytest.mark.parametrize(
    ("flags", "out", "words"),
    [
        (("--steps", "0"), "out.mp4", "--steps is 0, but sampling needs at least one step"),
        (("--steps", "-3"), "out.mp4", "--steps is -3"),
        ((), "echo", "is a folder; name a file in it"),
        ((), "face.png/out.mp4", "is no folder that this user may write to"),
        ((), "out.gif", "has no name of a video"),
    ],
)
def test_what_cannot_be_made_is_said_before_any_work(files, monkeypatch, flags, out, words):
    monkeypatch.setattr(Echo, "from_pretrained", lambda *_, **__: pytest.fail("the work has begun"))
    with pytest.raises(ConfigError, match=words):
        run(files, monkeypatch, flags=("--no-crop", *flags), out=out)


def test_a_reference_that_is_no_picture_is_named(files, monkeypatch):
    (files / "face.png").write_text("no picture")
    with pytest.raises(DataError, match=r"face\.png"):
        run(files, monkeypatch)


def test_a_checkpoint_that_is_none_is_named(files, monkeypatch):
    """No folder, a folder without weights, and an id that no hub can be asked for."""
    (files / "empty").mkdir()
    for name, words in (("nothing/at/all", "no such folder"), ("empty", "has no config.json and no model")):
        with pytest.raises(DataError, match=words):
            Echo.from_pretrained(files / name)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="cannot be had from the hub"):
        Echo.from_pretrained("nobody-at-all/no-such-model")
