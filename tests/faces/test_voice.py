"""Speech is told from music, hum and noise; on a shared track the moving lips say whose it is."""

import numpy as np
import pytest
from clip_factory import REAL_CLIPS, needs_real_clips

from dyads.media.sound import read_audio
from faces import voice

RATE = 16_000
TIMES = np.arange(6 * RATE) / RATE


def chords() -> np.ndarray:
    notes = [220, 277.2, 329.6, 440, 554.4]
    beat = 0.5 + 0.5 * np.sign(np.sin(2 * np.pi * 2 * TIMES))
    return sum(0.06 * np.sin(2 * np.pi * n * TIMES) + 0.02 * np.sin(4 * np.pi * n * TIMES) for n in notes) * beat


SOUNDS = {
    "music": chords(),
    "hum": 0.2 * np.sin(2 * np.pi * 50 * TIMES) + 0.1 * np.sin(2 * np.pi * 150 * TIMES),
    "quiet noise": 0.002 * np.random.default_rng(0).standard_normal(len(TIMES)),
    "noise": 0.1 * np.random.default_rng(1).standard_normal(len(TIMES)),
    "silence": 0 * TIMES,
}


@pytest.mark.parametrize("name", list(SOUNDS))
def test_what_is_no_speech_is_none(name) -> None:
    assert voice.speech(SOUNDS[name].astype(np.float32)).mean() < 0.02


def test_phrases_begin_and_end_as_the_probability_says() -> None:
    probability = np.zeros(100, np.float32)
    probability[10:30], probability[31] = 0.9, 0.9  # a gap of one chunk ends nothing
    probability[32:34] = 0.4  # between the two thresholds speech goes on
    probability[60:63] = 0.9  # too short for a phrase
    (found,) = voice.phrases(probability)
    assert found == pytest.approx((10 * 0.032 - voice.PAD, 34 * 0.032 + voice.PAD))
    assert voice.phrases(np.ones(10, np.float32)) == [(0.0, pytest.approx(0.32))]


@needs_real_clips
@pytest.mark.parametrize(
    ("name", "share"), [("af_user.mp4", 0.78), ("hdtf_style_2.mp4", 0.92), ("odd_fps_22.mp4", 0.60)]
)
def test_real_voices_agree_with_silero(name: str, share: float) -> None:
    """Shares of Silero's own wrapper, silero-vad 6.2.3 with torch, at its default values."""
    assert voice.speech(read_audio(REAL_CLIPS / name)).mean() == pytest.approx(share, abs=0.05)


def test_on_a_shared_track_the_moving_lips_speak() -> None:
    time = np.arange(200)
    moving = 0.3 + 0.3 * np.sin(time * 0.9)
    user = np.where(time < 100, moving, 0.1)
    avatar = np.where(time < 100, 0.1, moving)
    heard = np.ones(200, bool)
    heard[150:] = False
    spoken = voice.speaks(heard, avatar, user)
    assert not spoken[:85].any() and spoken[112:150].all() and not spoken[150:].any()
    assert not voice.speaks(heard, np.full(200, 0.1), np.full(200, 0.1)).any()
    unseen = np.where(time < 120, np.nan, avatar)
    assert voice.speaks(heard, unseen, user)[125:150].all()
