"""Sound: on the video's clock to the sample, any rate and channel count, and every kind of missing sound."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from clip_factory import lag, noise, numbered, write_any
from hypothesis import given, settings
from hypothesis import strategies as st

from dyads.errors import DataError
from dyads.media.sound import fitted_blocks
from dyads.media.video import fit_audio, read_audio, resample, write_video, write_wav


def test_our_files_keep_sound_and_picture_together(tmp_path: Path):
    """AAC keeps noise at lag 0: encoder priming is trimmed to the sample."""
    sound = noise(100 * 640)
    write_video(tmp_path / "a.mp4", numbered(100), sound)
    read = fit_audio(read_audio(tmp_path / "a.mp4"), 100)
    assert len(read) == 64000 and lag(read, sound) == 0
    assert np.corrcoef(read, sound)[0, 1] > 0.98


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_resampling_has_no_delay(rate: int):
    """A band-limited click stays where it is, to a tenth of a sample."""
    n, centre = 2 * rate, 0.7371
    t = np.arange(n) / rate
    width = 0.0006
    click = np.exp(-(((t - centre) / width) ** 2)).astype(np.float32)
    out = resample(click, rate)
    assert len(out) == 32000
    power = np.clip(out, 0, None) ** 2
    assert (power * np.arange(32000)).sum() / power.sum() / 16000 == pytest.approx(centre, abs=0.1 / 16000)
    assert out.max() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("rate, samples", [(44100, 1), (44100, 44101), (16000, 777), (8000, 333), (48000, 95999)])
def test_resampled_length_is_the_rounded_duration(rate: int, samples: int):
    assert len(resample(noise(samples), rate)) == round(samples * 16000 / rate)


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("start, video_start", [(0.0, 0.0), (0.31, 0.0), (0.0, 0.2), (0.5, 0.2)])
def test_late_and_early_sound_is_placed_by_its_timestamps(tmp_path, rate, start, video_start):
    """Pulses at 1.0 and 1.5 s of the file's clock land on those times after the first video frame."""
    samples = np.zeros((1, 3 * rate), np.float32)
    for time in (1.0, 1.5):
        at = round((time - start) * rate)
        samples[0, at : at + 4 * rate // 1000] = 0.8
    path = write_any(
        *(tmp_path / "a.mkv", numbered(50), video_start + np.arange(50) / 25, samples),
        **{"rate": rate, "audio_start": start, "audio_codec": "pcm_s16le"},
    )
    out = read_audio(path)
    for time in (1.0, 1.5):
        first = round((time - video_start) * 16000)
        window = out[first - 200 : first + 400]
        centre = (window**2 * np.arange(600)).sum() / (window**2).sum() - 200
        assert centre == pytest.approx(32 - 0.5, abs=16 if rate != 16000 else 1)  # mkv stamps whole milliseconds


def test_gaps_become_silence(tmp_path: Path):
    one, two = noise(8000, 1)[None], noise(8000, 2)[None]
    path = write_any(
        *(tmp_path / "a.mkv", numbered(50), np.arange(50) / 25),
        **{"audio_parts": [(0.0, one), (1.0, two)], "audio_codec": "pcm_s16le"},
    )
    out = read_audio(path)
    assert len(out) == 24000
    assert np.abs(out[:8000] - one[0]).max() < 1e-3 and np.abs(out[16000:] - two[0]).max() < 1e-3
    assert np.abs(out[8000:16000]).max() == 0


def test_channels_are_averaged_or_picked(tmp_path: Path):
    left, right = noise(16000, 1), noise(16000, 2)
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([left, right], 1), 16000, subtype="FLOAT")
    assert np.allclose(read_audio(path, 0), left, atol=1e-6)
    assert np.allclose(read_audio(path, 1), right, atol=1e-6)
    assert np.allclose(read_audio(path), (left + right) / 2, atol=1e-6)
    with pytest.raises(DataError, match="a.wav.*no audio channel 2, it has 2; correct"):
        read_audio(path, 2)


@pytest.mark.parametrize(
    "subtype, step", [("PCM_U8", 1 / 128), ("PCM_16", 2**-15), ("PCM_24", 2**-23), ("FLOAT", 1e-7)]
)
def test_sample_formats_have_one_scale(tmp_path: Path, subtype: str, step: float):
    signal = noise(4000)
    soundfile.write(tmp_path / "a.wav", signal, 16000, subtype=subtype)
    assert np.abs(read_audio(tmp_path / "a.wav") - signal).max() <= step


def test_silence_is_sound(tmp_path: Path):
    write_video(tmp_path / "a.mp4", numbered(10), np.zeros(6400, np.float32))
    assert np.abs(read_audio(tmp_path / "a.mp4")).max() < 1e-4


def test_missing_sound_is_refused(tmp_path: Path):
    write_video(tmp_path / "stumm ü.mp4", numbered(10), None)
    with pytest.raises(DataError, match="stumm ü.mp4.*no audio stream; give the sound as a separate file"):
        read_audio(tmp_path / "stumm ü.mp4")


def test_sound_with_nan_is_refused(tmp_path: Path):
    signal = noise(4000)
    signal[7] = np.nan
    soundfile.write(tmp_path / "a.wav", signal, 16000, subtype="FLOAT")
    with pytest.raises(DataError, match="a.wav.*NaN.*export it again"):
        read_audio(tmp_path / "a.wav")


def test_a_sound_file_cut_in_the_middle_is_refused(tmp_path: Path):
    path = write_any(
        *(tmp_path / "a.mp4", numbered(100), np.arange(100) / 25, noise(64000)[None]),
        options={"movflags": "faststart"},
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match="a.mp4.*truncated.*again"):
        read_audio(path)


@settings(max_examples=60, deadline=None)
@given(frames=st.integers(1, 200), offset=st.integers(-4000, 4000), tolerance=st.floats(0, 0.25))
def test_fitting_pads_or_trims_only_within_the_tolerance(frames: int, offset: int, tolerance: float):
    samples = max(0, frames * 640 + offset)
    sound = np.ones(samples, np.float32)
    if abs(samples - frames * 640) > tolerance * 16000:
        with pytest.raises(DataError, match=rf"x\.wav.*{samples / 16000:.3f} s.*{frames / 25:.3f} s.*give"):
            fit_audio(sound, frames, tolerance, "x.wav")
    else:
        fitted = fit_audio(sound, frames, tolerance, "x.wav")
        assert len(fitted) == frames * 640 and fitted.sum() == min(samples, frames * 640)


@pytest.mark.parametrize(("frames", "offset"), [(1, 0), (1, -600), (140, 1600), (103, -1), (205, 0)])
def test_sound_in_blocks_is_the_sound_as_a_whole(tmp_path: Path, frames: int, offset: int):
    write_wav(tmp_path / "a.wav", noise(frames * 640 + offset))
    blocks = list(fitted_blocks(tmp_path / "a.wav", None, frames))
    assert np.array_equal(np.concatenate(blocks), fit_audio(read_audio(tmp_path / "a.wav"), frames))
    assert all(len(block) == 1 << 16 for block in blocks[:-1])
    with pytest.raises(DataError, match="a.wav: the sound lasts"):
        next(fitted_blocks(tmp_path / "a.wav", None, frames + 6))


def test_wav_files_are_pcm16_and_clip(tmp_path: Path):
    path = tmp_path / "a.wav"
    write_wav(path, np.array([0, 0.5, -1, 1, 3, -3], np.float32))
    info = soundfile.info(path)
    assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
    assert soundfile.read(path, dtype="int16")[0].tolist() == [0, 16384, -32768, 32767, 32767, -32768]


@pytest.mark.parametrize("sound", [np.array([0, np.nan], np.float32), np.zeros((2, 5), np.float32)])
def test_what_is_no_mono_signal_is_not_written(tmp_path: Path, sound: np.ndarray):
    with pytest.raises(DataError, match="a.wav.*finite mono.*repair"):
        write_wav(tmp_path / "a.wav", sound)
    assert list(tmp_path.iterdir()) == []


def test_an_aac_file_that_begins_with_silence_is_whole(tmp_path: Path):
    """Without a header its duration is guessed from the first frames, which are small: far too long."""
    sound = np.concatenate([np.zeros(32_000, np.float32), noise(64_000)])
    write_any(tmp_path / "quiet.aac", audio=sound[None], rate=16_000)
    found = read_audio(tmp_path / "quiet.aac")
    assert len(found) == pytest.approx(96_000, abs=3_000)
