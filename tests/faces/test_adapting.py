"""Recordings are cropped round the face that is meant, or refused in one sentence; no grey pictures."""

import csv
import io
import shutil
import weakref
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clip_factory import noise
from PIL import Image

from dyads.adapters.engine import camera, planning
from dyads.adapters.engine.adapt import adapt, finish
from dyads.adapters.engine.options import AdaptOptions
from dyads.adapters.face_crop import picture_crop
from dyads.adapters.pairs import read_pairs
from dyads.contract import read_manifest
from dyads.errors import DataError
from dyads.media.containers import probe
from dyads.media.pictures import read_picture
from dyads.media.video import read_video, write_video
from dyads.synthetic.recordings import write_recordings
from faces import crops

FRAMES = 50


def canvas(frames: np.ndarray, width: int, height: int, size: int, place) -> np.ndarray:
    """Frames laid on a grey picture at size `size`, at `place`(k) = left, top."""
    out = np.full((len(frames), height, width, 3), 120, np.uint8)
    for k, frame in enumerate(frames):
        left, top = (int(v) for v in place(k))
        out[k, top : top + size, left : left + size] = cv2.resize(frame, (size, size), interpolation=cv2.INTER_CUBIC)
    return out


@pytest.fixture(scope="module")
def clips(drawn, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("recordings")
    frames, sound = drawn.frames[:FRAMES], noise(FRAMES * 640, 1)
    other = np.ascontiguousarray(frames[:, :, ::-1])
    write_video(root / "one.mp4", canvas(frames, 320, 240, 160, lambda k: (60, 40)), sound)
    write_video(root / "other.mp4", canvas(other, 240, 320, 160, lambda k: (40, 90)), sound)
    write_video(root / "drift.mp4", canvas(frames, 480, 240, 120, lambda k: (20 + 6 * k, 60)), sound)
    write_video(root / "small.mp4", canvas(frames, 640, 360, 80, lambda k: (400, 200)), sound)
    both = canvas(frames, 480, 240, 160, lambda k: (40, 40))
    both[:, :, 240:] = canvas(other, 240, 240, 160, lambda k: (40, 40))
    write_video(root / "both.mp4", both, sound)
    write_video(root / "none.mp4", np.full((FRAMES, 120, 160, 3), 90, np.uint8), sound)
    shutil.copy(root / "one.mp4", root / "copy of one.mp4")
    return root


def made(tmp_path: Path, clips: Path, options: AdaptOptions | None = None, **row: str):
    """Adapt one dialogue of `row`; the data folder."""
    options = options or AdaptOptions(size=64)
    row = {"dyad_id": "a", "split": "test", "user_id": "ann", "avatar_id": "bob", **row}
    with open(tmp_path / "pairs.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)
    out = tmp_path / "out"
    found = adapt(read_pairs(tmp_path / "pairs.csv", clips), out, options)
    assert finish(found, out, options) == 0
    return out


def report(out: Path) -> dict:
    with open(out / "report.csv", encoding="utf-8") as file:
        return {row["role"]: row for row in csv.DictReader(file)}


def test_a_tracked_crop_follows_a_drifting_head_and_a_fixed_one_loses_it(tmp_path, clips):
    row = {"user_video": "drift.mp4", "avatar_video": "other.mp4"}
    out = made(tmp_path, clips, **row)
    rows = report(out)
    assert float(rows["user"]["inside"]) == 1 and rows["user"]["crop"].startswith("tracked:")
    crop = read_video(read_manifest(out)[0].user.video)
    assert np.abs(crop[0].astype(int) - crop[-1]).mean() < 25  # the head stays where it was in the picture
    (tmp_path / "fixed").mkdir()
    rows = report(made(tmp_path / "fixed", clips, options=AdaptOptions(size=64, crop="fixed"), **row))
    assert float(rows["user"]["inside"]) < 0.6


class Unseekable(io.RawIOBase):
    """A file that is written once from begin to end, as browsers record: no duration can be put into its header."""

    def __init__(self, path: Path) -> None:
        self.file = open(path, "wb")

    def writable(self) -> bool:
        return True

    def write(self, part) -> int:
        return self.file.write(part)


def test_a_browsers_recording_without_a_duration_is_not_held_in_memory(tmp_path, clips, drawn, monkeypatch):
    target = Unseekable(tmp_path / "browser.webm")
    with av.open(target, "w", format="webm") as container:
        stream = container.add_stream("libvpx", rate=25, options={"deadline": "realtime", "cpu-used": "8"})
        stream.width, stream.height = 320, 240
        for picture in canvas(drawn.frames[:190], 320, 240, 160, lambda k: (60, 40)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    target.file.close()
    assert probe(tmp_path / "browser.webm").duration == 0
    seen, alive = [], []

    def watched(*arguments, **options):
        for view in iter_views(*arguments, **options):
            seen.append(weakref.ref(view))
            alive.append(sum(each() is not None for each in seen))
            yield view

    iter_views = planning.iter_views
    for module in (planning, camera):
        monkeypatch.setattr(module, "iter_views", watched)
    out = made(tmp_path, clips, user_video=str(tmp_path / "browser.webm"), user_audio="none", avatar_video="drift.mp4")
    rows = report(out)
    assert float(rows["user"]["inside"]) == 1 and rows["user"]["frames"] == "50"  # as long as the other side
    assert len(seen) >= 190 and max(alive) < 60


def test_small_and_portrait_faces_fill_their_crop(tmp_path, clips):
    out = made(tmp_path, clips, user_video="small.mp4", avatar_video="other.mp4")
    for side in (read_manifest(out)[0].user, read_manifest(out)[0].avatar):
        found = picture_crop(read_video(side.video)[10], "a")
        assert 50 < found.side <= 64


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"user_video": "none.mp4", "avatar_video": "one.mp4"}, "none.mp4: no face is found; give"),
        ({"user_video": "both.mp4", "avatar_video": "one.mp4"}, "both.mp4: two faces are seen in 100% of the frames"),
        ({"user_video": "one.mp4", "avatar_video": "copy of one.mp4"}, "both roles are cut from the same place"),
        (
            {"user_video": "one.mp4", "avatar_video": "one.mp4", "user_face": "left", "avatar_face": "right"},
            "both roles are cut from the same place",
        ),
    ],
)
def test_what_cannot_be_right_is_refused_with_its_remedy(tmp_path, clips, row, words):
    with pytest.raises(DataError, match="not one dialogue could be made") as refused:
        made(tmp_path, clips, **row)
    assert words in str(refused.value) and not (tmp_path / "out" / "test" / "a").exists()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"user_video": "both.mp4", "avatar_video": "both.mp4"}, "both roles are the face of both.mp4; give user_box"),
        ({"user_video": "one.mp4", "avatar_video": "other.mp4", "avatar_id": "ann"}, "the same person 'ann'"),
        ({"user_video": "one.mp4", "avatar_video": "other.mp4", "user_face": "up"}, "user_face is 'up'"),
        ({"user_video": "one.mp4", "avatar_video": "other.mp4", "user_offset": "-1"}, "user_offset is '-1'"),
        ({"user_video": "one.mp4", "avatar_video": "other.mp4", "user_audoi": ""}, "unknown column 'user_audoi'"),
    ],
)
def test_a_wrong_pairs_file_is_refused(tmp_path, clips, row, words):
    with pytest.raises(DataError, match=words):
        made(tmp_path, clips, **row)


def test_left_and_right_are_two_people_of_one_recording(tmp_path, clips):
    out = made(tmp_path, clips, user_video="both.mp4", avatar_video="both.mp4", user_face="left", avatar_face="right")
    dyad = read_manifest(out)[0]
    assert dyad.user.mixed_audio and dyad.avatar.mixed_audio
    user, avatar = read_video(dyad.user.video), read_video(dyad.avatar.video)
    assert np.abs(user.astype(int) - avatar[:, :, ::-1]).mean() < 12  # the right one is the left one mirrored


def test_a_side_may_begin_later_and_have_no_sound(tmp_path, clips):
    row = {"user_video": "one.mp4", "avatar_video": "other.mp4", "user_offset": "0.4", "avatar_audio": "none"}
    out = made(tmp_path, clips, note_mine="x", **row)
    dyad = read_manifest(out)[0]
    assert len(read_video(dyad.user.video)) == FRAMES - 10 and not dyad.user.mixed_audio
    assert float(report(out)["avatar"]["cut_seconds"]) == pytest.approx(0.4)


def test_one_track_copied_into_two_files_is_still_one_track(tmp_path, clips):
    shutil.copy(clips / "one.mp4", clips / "track copy.mp4")
    row = {"user_video": "one.mp4", "avatar_video": "other.mp4", "avatar_audio": "track copy.mp4"}
    assert read_manifest(made(tmp_path, clips, **row))[0].user.mixed_audio


def test_squares_keep_a_fast_head_inside_and_bridge_gaps():
    box = np.array([[100 + 8 * k + 60 * (k > 20), 80, 50, 60] for k in range(40)], float)
    box[5:9] = np.nan
    squares = crops.tracked(box, 640, 360, 8.3)
    assert crops.inside(box, squares)[np.isfinite(box[:, 0])].all()
    assert np.ptp(squares[:, 2]) == 0 and np.isfinite(squares).all()


def test_pictures_are_read_as_people_see_them(tmp_path, drawn):
    face = cv2.resize(drawn.frames[0], (200, 200))
    image = Image.fromarray(face)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown a quarter turn clockwise
    image.rotate(90, expand=True).save(tmp_path / "exif.jpg", exif=exif, quality=95)
    assert np.abs(read_picture(tmp_path / "exif.jpg").astype(int) - face).mean() < 4
    hidden = np.dstack([np.where(np.arange(200)[None, :, None] < 100, face, 255), np.zeros((200, 200), np.uint8)])
    Image.fromarray(hidden.astype(np.uint8), "RGBA").save(tmp_path / "hidden.png")
    assert (read_picture(tmp_path / "hidden.png") == 128).all()
    deep = (face[:, :, 0].astype(np.uint16)) * 257
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert np.abs(read_picture(tmp_path / "deep.png")[:, :, 0].astype(int) - face[:, :, 0]).max() <= 1
    with pytest.raises(DataError, match="no readable image"):
        (tmp_path / "x.png").write_bytes(b"x")
        read_picture(tmp_path / "x.png")


def test_drawn_recordings_become_dyads_without_a_truth(tmp_path):
    """What profile `real_tiny` begins with: heads that drift in larger pictures, turns, and nothing else."""
    pairs = write_recordings(tmp_path / "in", train=0, test=1, seconds=7.0)
    out, options = tmp_path / "out", AdaptOptions(size=64)
    assert finish(adapt(read_pairs(pairs, pairs.parent), out, options), out, options) == 0
    (dyad,) = read_manifest(out)
    assert dyad.turns and not dyad.truth_path.exists() and not dyad.user.mixed_audio
    rows = report(out)
    assert all(float(rows[role]["inside"]) == 1 and rows[role]["crop"].startswith("tracked:") for role in rows)
    assert read_video(tmp_path / "in" / "test_0000_user.mp4").shape[1:] == (240, 320, 3)
