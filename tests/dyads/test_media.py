"""Video in and out: which frame is chosen when, colour, quality, determinism, every kind of broken file."""

import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clip_factory import REAL_CLIPS, make_data, needs_real_clips, noise, numbered, numbers, smooth, write_any
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skimage import data as pictures
from skimage.transform import resize

from dyads.errors import DataError
from dyads.media import colour
from dyads.media.regions import iter_views
from dyads.media.video import iter_video, probe, read_audio, read_video, write_video

UNHURRIED = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def nearest(times: np.ndarray, duration: float, fps: int = 25) -> list[int]:
    """What the reader promises, written the slow way: argmin takes the earlier frame in a tie."""
    count = int(np.floor(duration * fps + 0.5))
    return [int(np.argmin(np.round(np.abs(times - k / fps), 9))) for k in range(count)]


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    errors = (one.astype(float) - other.astype(float)) ** 2
    return float(np.mean(10 * np.log10(255**2 / errors.mean(axis=(1, 2, 3)))))


@pytest.mark.parametrize("count", [1, 2, 25, 61])
def test_our_files_come_back_frame_for_frame(tmp_path: Path, count: int):
    path = tmp_path / "a.mp4"
    write_video(path, numbered(count), noise(count * 640))
    assert numbers(read_video(path)) == list(range(count))
    info = probe(path)
    assert (info.fps, info.width, info.height, info.frames) == (25, 64, 64, count)
    assert (info.has_audio, info.sample_rate, info.channels, info.codec) == (True, 16000, 1, "h264")
    assert info.duration == pytest.approx(count / 25)


@pytest.mark.parametrize("fps", [12.5, 22.131, 30, 50, 60])
def test_other_frame_rates_are_sampled_at_the_nearest_time(tmp_path: Path, fps: float):
    times = np.round(np.arange(70) / fps, 3)
    path = write_any(tmp_path / "a.mp4", numbered(70), times)
    shown = numbers(read_video(path))
    duration = times[-1] + 1 / 25  # the muxer gives the last frame the stream's nominal duration
    expected = nearest(times, duration)
    assert abs(len(shown) - len(expected)) <= 1  # the last duration is the container's to round
    both = min(len(shown), len(expected))
    assert shown[:both] == expected[:both]


@UNHURRIED
@given(gaps=st.lists(st.integers(5, 160), min_size=2, max_size=20), start=st.integers(0, 900))
def test_variable_rates_and_late_starts(tmp_path: Path, gaps: list[int], start: int):
    times = (start + np.concatenate([[0], np.cumsum(gaps)])) / 1000
    path = write_any(tmp_path / "vfr.mkv", numbered(len(times)), times)
    frames = read_video(path)
    expected = nearest(times - times[0], times[-1] - times[0] + 0.04)
    both = min(len(frames), len(expected))
    assert abs(len(frames) - len(expected)) <= 1 and numbers(frames)[:both] == expected[:both]


def test_avi_with_mpeg4(tmp_path: Path):
    path = write_any(tmp_path / "a.avi", numbered(30), np.arange(30) / 25, video_codec="mpeg4")
    assert numbers(read_video(path)) == list(range(30))


@pytest.mark.parametrize("start, end", [(0.4, None), (0, 1.0), (1.6, 2.4), (2.96, None)])
def test_a_span_is_a_slice(tmp_path: Path, start: float, end: float | None):
    path = tmp_path / "a.mp4"
    write_video(path, numbered(75), None)
    last = 75 if end is None else round(end * 25)
    assert numbers(np.stack(list(iter_video(path, start=start, end=end)))) == list(range(round(start * 25), last))


def test_a_span_outside_the_video_is_refused(tmp_path: Path):
    path = tmp_path / "a.mp4"
    write_video(path, numbered(10), None)
    with pytest.raises(DataError, match="a.mp4.*correct start and end"):
        list(iter_video(path, start=5, end=6))


def test_rotation_in_the_header_is_undone(tmp_path: Path):
    path = tmp_path / "a.mp4"
    frames = np.full((4, 32, 64, 3), 30, np.uint8)
    frames[:, :8, :8] = 230  # a light top left corner
    write_video(path, frames, None)
    content = bytearray(path.read_bytes())
    unit = b"".join(value.to_bytes(4, "big") for value in (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30))
    place = content.index(unit, content.index(b"tkhd"))
    quarter = (0, 1 << 16, 0, (1 << 32) - (1 << 16), 0, 0, 0, 0, 1 << 30)  # show it a quarter turn clockwise
    content[place : place + 36] = b"".join(value.to_bytes(4, "big") for value in quarter)
    path.write_bytes(content)
    shown = read_video(path)
    assert shown.shape == (4, 64, 32, 3)
    assert shown[0, :8, -8:].mean() > 200 and shown[0, :8, :8].mean() < 60


def test_size_rescales_with_antialiasing(tmp_path: Path):
    path = tmp_path / "a.mp4"
    fine = np.zeros((3, 128, 128, 3), np.uint8)
    fine[:, :, ::2] = 255  # one-pixel stripes: without a low-pass they would survive as black or white
    write_video(path, fine, None, crf=1)
    small = read_video(path, size=32)
    assert small.shape == (3, 32, 32, 3) and 100 < small.min() and small.max() < 155
    assert read_video(path, size=(16, 48)).shape == (3, 16, 48, 3)


def test_colour_does_not_shift(tmp_path: Path):
    path = tmp_path / "a.mp4"
    frames = smooth(20)
    write_video(path, frames, None)
    error = read_video(path).astype(float) - frames
    assert np.abs(error.mean(axis=(0, 1, 2))).max() < 0.6
    assert np.abs(error).mean() < 1.5


@pytest.mark.parametrize("colour", [(1, 1), (1, 2), (6, 1), (6, 2)])
def test_colour_tags_are_honoured(tmp_path: Path, colour: tuple[int, int]):
    """BT.709 and BT.601, limited and full range, show the same colours."""
    frames = smooth(10)
    path = write_any(tmp_path / "a.mp4", frames, np.arange(10) / 25, colour=colour)
    error = read_video(path).astype(float) - frames
    assert np.abs(error.mean(axis=(0, 1, 2))).max() < 2.5  # FFmpeg's own rounding in the test's writer is -1.2


def test_quality_on_a_natural_face(tmp_path: Path):
    face = pictures.astronaut()[0:200, 120:330]
    frames = [resize(face[k : k + 190, k : k + 190], (64, 64), anti_aliasing=True) for k in range(10)]
    frames = np.round(np.stack(frames) * 255).astype(np.uint8)
    write_video(tmp_path / "a.mp4", frames, None)
    assert psnr(read_video(tmp_path / "a.mp4"), frames) >= 36


def test_writing_is_deterministic(tmp_path: Path):
    frames, sound = smooth(20), noise(20 * 640)
    write_video(tmp_path / "a.mp4", frames, sound)
    write_video(tmp_path / "b.mp4", frames, sound)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize(
    "frames, audio, words",
    [
        (np.zeros((2, 31, 32, 3), np.uint8), None, "odd side; crop or resize"),
        (np.zeros((0, 32, 32, 3), np.uint8), None, "no frames to write; give"),
        (np.zeros((2, 32, 32, 3), np.float32), None, "must be uint8.*convert"),
        (np.zeros((2, 32, 32), np.uint8), None, "must be uint8.*convert"),
        (np.zeros((2, 32, 32, 3), np.uint8), np.zeros(9000, np.float32), "does not match 2 frames.*fit"),
        (np.zeros((2, 32, 32, 3), np.uint8), np.full(1280, np.nan, np.float32), "NaN or infinity; repair"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path: Path, frames, audio, words: str):
    with pytest.raises(DataError, match=f"a.mp4.*{words}"):
        write_video(tmp_path / "a.mp4", frames, audio)
    assert list(tmp_path.iterdir()) == []


def broken(kind: str, folder: Path) -> Path:
    """A file with one fault."""
    path = folder / f"broken {kind} ü.mp4"
    if kind == "missing":
        return path
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("no video at all\n" * 100)
    elif kind == "sound only":
        write_any(path, audio=noise(16000)[None])
    else:
        options = {"movflags": "faststart"} if kind == "truncated behind its index" else {}
        write_any(path, smooth(100), np.arange(100) / 25, noise(64000)[None], options=options)
        content = bytearray(path.read_bytes())
        if kind.startswith("truncated"):
            content = content[: len(content) // 2]
        else:
            middle = len(content) // 3
            content[middle : middle + 2000] = np.random.default_rng(0).bytes(2000)
        path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "kind, words",
    [
        ("missing", "no such file; check the path"),
        ("empty", "0 bytes.*again"),
        ("text", "no media file; fetch or export it again"),
        ("sound only", "no video stream; give a file with a picture"),
        ("truncated", "truncated.*again"),
        ("truncated behind its index", "truncated.*again"),
        ("corrupt", "(damaged|corrupt).*again"),
    ],
)
def test_broken_files_are_named_with_a_remedy(tmp_path: Path, kind: str, words: str):
    path = broken(kind, tmp_path)
    with pytest.raises(DataError, match=words) as caught:
        read_video(path)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)


def test_a_failing_encoder_leaves_the_old_file(tmp_path: Path):
    folder = make_data(tmp_path / "d", people={"test": ["a>b"]})
    path = folder / "test" / "a_b" / "user.mp4"
    before = path.read_bytes()
    with pytest.raises(DataError):
        write_video(path, np.zeros((3, 33, 32, 3), np.uint8), None)
    assert path.read_bytes() == before and not list(path.parent.glob(".*"))


@needs_real_clips
@pytest.mark.parametrize(
    "name, frames, sound",
    [("odd_fps_22.mp4", 153, 6.07), ("silent_30fps.mp4", 295, 11.80), ("hdtf_style_1.mp4", 200, 8.0)],
)
def test_real_clips_come_out_in_real_time(name: str, frames: int, sound: float):
    assert sum(1 for _ in iter_video(REAL_CLIPS / name)) == frames
    assert len(read_audio(REAL_CLIPS / name)) / 16000 == pytest.approx(sound, abs=0.02)


@needs_real_clips
def test_seeking_in_a_real_clip_hits_the_same_frames(tmp_path: Path):
    whole = list(iter_video(REAL_CLIPS / "hdtf_style_2.mp4"))
    part = list(iter_video(REAL_CLIPS / "hdtf_style_2.mp4", start=5.0, end=5.4))
    assert len(part) == 10
    assert all(np.array_equal(one, other) for one, other in zip(part, whole[125:135], strict=True))


@needs_real_clips
def test_quality_on_a_real_face(tmp_path: Path):
    copy = tmp_path / "mit Leerzeichen und ü.mp4"
    shutil.copy(REAL_CLIPS / "af_user.mp4", copy)
    frames = np.stack([frame for frame in iter_video(copy, end=2.0)])[:, ::8, ::8]
    write_video(tmp_path / "a.mp4", frames, None)
    assert psnr(read_video(tmp_path / "a.mp4"), frames) >= 36


@pytest.mark.parametrize(
    ("matrix", "corner"),
    [
        ((0, 1, 0, -1, 0), "top right"),
        ((-1, 0, 0, 0, -1), "bottom right"),
        ((-1, 0, 0, 0, 1), "top right"),
        ((1, 0, 0, 0, -1), "bottom left"),
        ((0, 1, 0, 1, 0), "top left"),
    ],
)
def test_display_matrices_turn_and_mirror(tmp_path: Path, matrix: tuple, corner: str):
    """A mirroring matrix is no half turn, and parts of a frame are cut from the picture as it is shown."""
    path = tmp_path / "a.mp4"
    frames = np.full((3, 32, 64, 3), 30, np.uint8)
    frames[:, :8, :8] = 230
    write_video(path, frames, None)
    with_matrix(path, matrix)
    whole, view = read_video(path)[0], next(iter_views(path))
    down, right = corner.split()[0] == "bottom", corner.split()[1] == "right"
    for picture in (whole, view.small(16)[0]):
        height, width = picture.shape[:2]
        part = picture[height * 7 // 8 :] if down else picture[: height // 8]
        assert part[:, width * 7 // 8 :].mean() > 150 if right else part[:, : width // 8].mean() > 150
    assert view.size == whole.shape[:2]
    np.testing.assert_array_equal(view.square(0, 0, 32, 32), whole[:32, :32])


def with_matrix(path: Path, matrix: tuple) -> None:
    """Write a display matrix (a, b, u, c, d) of whole numbers into a file's track header."""
    content = bytearray(path.read_bytes())
    unit = b"".join(value.to_bytes(4, "big") for value in (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30))
    place = content.index(unit, content.index(b"tkhd"))
    values = [(value << 16) % (1 << 32) for value in matrix] + [0, 0, 0, 1 << 30]
    content[place : place + 36] = b"".join(value.to_bytes(4, "big") for value in values)
    path.write_bytes(content)


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_comes_out_as_it_was_in_standard_range(tmp_path: Path, transfer: int):
    """PQ and HLG of a picture with reference white at 203 cd/m2: the same picture again, not a flat one."""
    picture = np.random.default_rng(0).integers(20, 225, (4, 4, 3)).repeat(16, 0).repeat(16, 1).astype(np.float64)
    light = (picture / 255) ** 2.4 @ np.linalg.inv(colour.TO_709.T)  # BT.2020, 1 = reference white
    if transfer == 16:
        power = (light * 203 / 10000) ** 0.1593017578125
        signal = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    else:
        light = light * 203 / 1000
        light = light * (light @ colour.LUMA)[..., None] ** (1 / 1.2 - 1)
        bright = 0.17883277 * np.log(np.maximum(12 * light - 0.28466892, 1e-9)) + 0.55991073
        signal = np.where(light <= 1 / 12, np.sqrt(3 * light), bright)
    codes = np.rint(signal * 65535).astype(np.uint16)
    assert np.abs(colour.standard_range(codes, transfer) - picture).max() < 4
    path = tmp_path / "hdr.mp4"
    write_hdr(path, codes, transfer)
    shown = read_video(path)[0][4::16, 4::16]
    assert np.abs(shown - picture[4::16, 4::16]).mean() < 6
    assert shown.std() / picture[4::16, 4::16].std() > 0.93


def write_hdr(path: Path, codes: np.ndarray, transfer: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=25, options={"x265-params": "crf=4:log-level=none"})
        stream.height, stream.width, stream.pix_fmt = *codes.shape[:2], "yuv420p10le"
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = 9, transfer, 9, 1
        frame = av.VideoFrame.from_ndarray(codes, format="rgb48le")
        ten = frame.reformat(format="yuv420p10le", dst_colorspace=9, dst_color_range=1)
        for index in range(3):
            ten.pts, ten.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(ten))
        container.mux(stream.encode(None))
