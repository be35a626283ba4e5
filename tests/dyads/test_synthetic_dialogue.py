"""What happens in a dialogue: turns, words, voices, lips, expressions, and the oracle."""

from dataclasses import replace

import numpy as np
import pytest
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from dyads.seeding import rng
from dyads.synthetic import words
from dyads.synthetic.coefficients import (
    EMOTIONS,
    EXPRESSION,
    FACE_CUE,
    INDEX,
    LIPS,
    POSE,
    VOICE_CUE,
    WORDS_CUE,
    neutral,
)
from dyads.synthetic.conversation import draw_answer, phrases, plan
from dyads.synthetic.expression import clock, expect, react
from dyads.synthetic.identities import person
from dyads.synthetic.parameters import PARAMETERS as P
from dyads.synthetic.voice import PHONEMES, Phrase, lips, speak
from dyads.synthetic.world import generate_dialogue

VADER = SentimentIntensityAnalyzer()


@pytest.fixture(scope="module")
def dialogues():
    return [generate_dialogue(0, "train", i) for i in range(40)]


def test_nobody_talks_over_themselves(dialogues):
    for d in dialogues:
        for role in ("user", "avatar"):
            said = d.talk.of(role)
            assert all(a.end <= b.start + 1e-9 for a, b in zip(said, said[1:], strict=False))
            assert all(0.2 < u.start < u.end <= d.talk.seconds for u in said)


def test_conversation_has_the_stated_shape(dialogues):
    speaking = np.concatenate([d.speaking for d in dialogues])
    assert 0.45 < speaking[:, 1].mean() < 0.55
    state = np.concatenate([d.state for d in dialogues])
    assert set(state) == set(range(6))
    gaps = []
    for d in dialogues:
        turns = [u for u in d.talk.utterances if u.kind != "backchannel"]
        gaps += [b.start - a.end for a, b in zip(turns, turns[1:], strict=False) if a.role != b.role]
    assert np.mean(gaps) == pytest.approx(P.gap_mean, abs=0.08)
    assert 0.08 < np.mean(np.array(gaps) < 0) < 0.30


def test_events_are_dealt_evenly_and_lie_where_they_should(dialogues):
    first = [(d.talk.events[0].emotion, d.talk.events[0].cue) for d in dialogues]
    assert sorted(first[:28]) == sorted((e, c) for e in range(1, 5) for c in range(1, 8))
    for d in dialogues:
        events = d.talk.events
        assert 1 <= len(events) <= 3 and 0.3 <= events[0].start <= 2.5
        assert all(b.start - a.start >= P.event_spacing for a, b in zip(events, events[1:], strict=False))
        for e in events:
            assert 1.0 <= e.end - e.start <= 1.8 and 1.0 <= e.onset - e.end <= 1.5


def test_words_carry_emotion_only_where_they_are_the_cue(dialogues):
    for d in dialogues:
        for u in d.talk.utterances:
            score = VADER.polarity_scores(u.text)["compound"]
            event = d.talk.events[u.event] if u.event >= 0 else None
            if event is None or not event.cue & WORDS_CUE:
                assert abs(score) < 0.2, u.text
            else:
                positive = EMOTIONS[event.emotion] in ("joy", "surprise")
                assert score > 0.3 if positive else score < -0.3, u.text


@pytest.mark.parametrize("kind", ["user", "avatar", "event", *EMOTIONS[1:]])
def test_every_sentence_scores_as_designed(kind):
    sentences = words.every_sentence(kind)
    scores = np.array([VADER.polarity_scores(s)["compound"] for s in sentences[:: max(1, len(sentences) // 400)]])
    if kind in ("user", "avatar", "event"):
        assert len(sentences) > 400 and np.abs(scores).max() < 0.2
    else:
        assert len(sentences) > 300 and (scores.min() > 0.3 if kind in ("joy", "surprise") else scores.max() < -0.3)
    assert all(set(words.phonemes(s)) <= set(PHONEMES) and words.phonemes(s) for s in sentences[::50])


def test_lips_follow_the_own_speech_and_nothing_else():
    talk = plan(0, "train", 4, 9.0)
    who, frames = person(11, 0), 225
    spoken = phrases(talk, "avatar", 0, "train_0004")
    alone = replace(talk, utterances=tuple(talk.of("avatar")), events=())
    assert np.array_equal(lips(spoken, who, frames), lips(phrases(alone, "avatar", 0, "train_0004"), who, frames))


def test_exchanging_the_user_leaves_the_avatars_lips(dialogues):
    from dyads.synthetic.expression import faces

    d = dialogues[3]
    spoken = {role: phrases(d.talk, role, 0, d.dyad_id) for role in ("user", "avatar")}
    avatar = person(d.identity["avatar"], 0)
    swapped = faces(d.talk, spoken, {"user": person(50, 0), "avatar": avatar}, len(d.state), 0, d.dyad_id)
    assert not np.array_equal(swapped.user[:, LIPS], d.faces.user[:, LIPS])
    assert np.array_equal(swapped.avatar[:, LIPS], d.faces.avatar[:, LIPS])
    silent = faces(d.talk, spoken | {"avatar": []}, {"user": person(50, 0), "avatar": avatar}, 225, 0, "x")
    assert not silent.avatar[:, LIPS].any()


def test_lips_move_with_the_sound(dialogues):
    for d in dialogues[:8]:
        loud = np.sqrt((d.sound["avatar"].reshape(-1, 640) ** 2).mean(1))
        jaw = d.faces.avatar[:, 0]
        assert np.corrcoef(loud, jaw)[0, 1] > 0.5
        assert jaw[d.speaking[:, 1] == 0].mean() < 0.1 * jaw[d.speaking[:, 1] == 1].mean()


def test_oracle_lips_are_the_true_lips_and_free_motion_is_at_its_mean(dialogues):
    for d in dialogues:
        assert np.array_equal(d.faces.expected[:, LIPS], d.faces.avatar[:, LIPS])
        assert not d.faces.expected[:, [INDEX[n] for n in ("gaze_x", "gaze_y", "yaw", "roll")]].any()


def test_avatar_is_neutral_before_its_first_answer(dialogues):
    for d in dialogues:
        before = clock(len(d.state)) < d.talk.events[0].onset
        assert not d.faces.avatar[before][:, [INDEX["cheek"], INDEX["brow_inner"], INDEX["brow_raise"]]].any()
        assert d.faces.avatar[before, INDEX["smile"]].max(initial=0) <= P.smile_back_amplitude + 1e-6
        assert not d.faces.avatar_emotion[before].any() and not d.faces.event_cue[before].any()


def test_coefficients_stay_in_range(dialogues):
    for d in dialogues:
        for values in (d.faces.user, d.faces.avatar, d.faces.expected):
            assert np.isfinite(values).all() and np.abs(values[:, EXPRESSION]).max() <= 1.001
            assert values[:, 0].min() >= 0 and values[:, 0].max() <= 1
            assert values[:, INDEX["eye_open"]].min() >= 0 and np.abs(values[:, POSE]).max() < 1.5


def test_face_cue_shows_and_others_do_not(dialogues):
    for d in dialogues:
        time = clock(len(d.state))
        for e in d.talk.events:
            shown = d.faces.user[(time > e.start + 0.25) & (time < e.end - 0.05)]
            size = np.abs(shown[:, EXPRESSION]).max(axis=1)
            assert size.min() > 0.7 if e.cue & FACE_CUE else size.max() == 0
            after = (time > e.end + P.face_cue_fall + 0.01) & (time < e.end + 0.4)
            assert np.abs(d.faces.user[after][:, EXPRESSION]).max(initial=0) == 0


def test_oracle_is_the_mean_of_many_draws():
    """Monte Carlo over delay, hold, amplitude, smile-backs and nods of one busy dialogue."""
    talk = plan(0, "train", 7, 12.0)
    g = np.random.default_rng(1)
    events = tuple(replace(talk.events[0], start=s, end=s + 1.2, emotion=e) for s, e in ((0.5, 1), (4.0, 4)))
    smiles, chances = [(2.9, 0.9), (7.0, 0.8)], [(1.7, 0.7), (5.3, 0.7), (8.0, 0.25)]
    base, draws = neutral(300), 1500
    total, square = np.zeros((2, *base.shape))
    for _ in range(draws):
        drawn = tuple(replace(e, **draw_answer(g, e.end)) for e in events)
        values = react(base, drawn, smiles, chances, g)
        total += values
        square += values.astype(float) ** 2
    mean = total / draws
    error = np.sqrt(np.maximum(square / draws - mean**2, 0) / draws)
    expected = expect(base, events, smiles, chances)
    assert (np.abs(mean - expected) < 5 * error + 2e-3).all()
    assert np.abs(expected - base).max() > 0.7 and error.max() > 1e-3  # the test has something to see


def _pitch(sound: np.ndarray) -> float:
    """Median F0 in Hz of the loud 40 ms frames, by autocorrelation."""
    frames = sound[: len(sound) // 640 * 640].reshape(-1, 640)
    frames = frames[frames.std(1) > 0.5 * frames.std()] * np.hanning(640)
    power = np.abs(np.fft.rfft(frames, 2048)) ** 2
    lags = np.fft.irfft(power)[:, 50:200]  # 80 to 320 Hz
    return float(np.median(16000 / (50 + lags.argmax(1))))


def test_voice_cues_are_separable():
    """Each emotion bends pitch, level or timbre of the same sentence far beyond a neutral repeat."""
    who, sounds = person(3, 0), words.phonemes("they called about the new office today")
    measured = []
    for manner in P.voice_emotions:
        phrase = Phrase(0.2, 1.8, sounds, manner, (3, 11))
        sound = speak([phrase], who, 50, rng(0, "test"))[3200:28800]
        level = 20 * np.log10(sound.std())
        power = np.abs(np.fft.rfft(sound)) ** 2
        frequency = np.fft.rfftfreq(len(sound), 1 / 16000)
        tilt = 10 * np.log10(power[frequency > 1500].sum() / power[frequency < 1500].sum())
        measured.append((level, tilt, _pitch(sound)))
    neutral_, joy, sadness, anger, surprise = measured
    assert joy[2] > 1.2 * neutral_[2] and surprise[2] > 1.2 * neutral_[2] and sadness[2] < 0.9 * neutral_[2]
    assert sadness[0] < neutral_[0] - 6 and anger[0] > neutral_[0] + 4
    assert anger[1] > neutral_[1] + 3 and sadness[1] < neutral_[1] - 3


def test_avatar_prosody_is_neutral_whatever_the_user_feels(dialogues):
    for d in dialogues:
        assert all(p.manner == P.voice_emotions[0] for p in phrases(d.talk, "avatar", 0, d.dyad_id))
        bent = [p.manner != P.voice_emotions[0] for p in phrases(d.talk, "user", 0, d.dyad_id)]
        assert sum(bent) == sum(bool(e.cue & VOICE_CUE) for e in d.talk.events)


def test_levels_are_sane_and_nothing_clips(dialogues):
    level = {True: [], False: []}
    for d in dialogues[:24]:
        for sound in d.sound.values():
            assert np.isfinite(sound).all() and np.abs(sound).max() < 0.96 and abs(sound.mean()) < 1e-3
        loud = np.repeat(d.speaking[:, 1] > 0, 640)
        quiet = np.repeat(d.speaking.max(1) == 0, 640)
        level[True].append(20 * np.log10(d.sound["avatar"][loud].std()))
        level[False].append(20 * np.log10(d.sound["avatar"][quiet].std()))
    assert -30 < np.mean(level[True]) < -23
    assert 20 < np.mean(level[True]) - np.mean(level[False]) < 33  # speech above room noise
