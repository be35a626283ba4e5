"""A face, a voice or time that lacks leaves LSE without a value, never with a good one; and LSE of followed faces."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from noise_clips import heard, make_clip, measured, noise, values

from dyads.contract import SAMPLES_PER_FRAME
from evaluation.metrics.lips import sync
from evaluation.networks import s3fd
from evaluation.probes.sync import SyncProbe
from evaluation.readings import lip_sync


def statuses(found, *metrics: str) -> set[str]:
    return {status for (metric, _), (_, status) in found.items() if not metrics or metric in metrics}


SPOKEN = ("lse_d", "lse_c", "lse_offset", "lse_coverage", "lse_d_small", "lse_c_small", "lse_offset_small")
WHOLE = tuple(card.name for card in sync.CARDS if card.name.endswith("_whole"))


def test_a_speaking_clip_has_every_value_but_that_of_faces():
    torch.manual_seed(0)
    found = heard(make_clip())
    assert statuses(found, *SPOKEN, *WHOLE) == {"ok"}
    assert found["lse_coverage", "speech"][0] == found["lse_coverage_small", "speech"][0] == 80 / 120
    assert {name for (name, _), (_, status) in found.items() if status == "weights_missing"} == {
        "lse_d_face", "lse_c_face", "lse_offset_face", "lse_coverage_face"
    }  # fmt: skip


def test_without_networks_nothing_has_a_value():
    assert statuses(values(make_clip())) == {"weights_missing"}


def test_silence_is_no_score():
    for level in (0.0, 0.1):  # digital silence, and a constant that is none
        found = heard(make_clip(audio=np.full(120 * SAMPLES_PER_FRAME, level, np.float32)))
        assert statuses(found, *SPOKEN, *WHOLE) == {"silent"}
    audio = noise(120)
    audio[: 95 * SAMPLES_PER_FRAME] = 0  # sound only where nobody is said to speak
    found = heard(make_clip(audio=audio))
    assert statuses(found, *SPOKEN) == {"silent"} and statuses(found, *WHOLE) == {"ok"}


def test_too_little_speech_and_too_short_a_clip_are_no_scores():
    found = heard(make_clip(speaking=slice(10, 40)))
    assert found["lse_d", "speech"][1] == "no_speech" and found["lse_d_small", "speech"][1] == "ok"
    assert statuses(heard(make_clip(speaking=slice(0, 0))), *SPOKEN) == {"no_speech"}
    found = heard(make_clip(frames=30, speaking=slice(0, 30)))
    assert found["lse_d_whole", "whole"][1] == "too_few_frames" and found["lse_d_small_whole", "whole"][1] == "ok"
    found = heard(make_clip(frames=3, speaking=slice(0, 3)))
    assert statuses(found, *SPOKEN) == {"no_speech"} and statuses(found, *WHOLE) == {"too_few_frames"}


def test_a_broken_reading_is_no_score():
    clip = make_clip()
    heard(clip)
    clip.features["sync_generated"][40, 3] = np.inf
    found = values(clip)
    assert found["lse_d_small", "speech"][1] == found["lse_offset_small_whole", "whole"][1] == "not_finite"
    clip.features["sync_generated"][:] = np.nan  # as where nobody was found
    assert statuses(values(clip), "lse_d_small", "lse_c_small", "lse_coverage_small") == {"no_face"}


class Finder:
    """A finder that follows a given track; None: it finds nothing."""

    def __init__(self, track: s3fd.Track | None) -> None:
        self.found = track

    def track(self, frames: np.ndarray) -> s3fd.Track | None:
        return self.found


def test_no_face_is_no_score():
    found = heard(make_clip(), finder=Finder(None))
    assert statuses(found, "lse_d_face", "lse_c_face", "lse_offset_face", "lse_coverage_face") == {"no_face"}
    box = np.tile([8.0, 6, 24, 24], (30, 1))
    found = heard(make_clip(), finder=Finder(s3fd.Track(30, box)))  # a face, but for too short a time
    assert statuses(found, "lse_d_face") == {"no_face"}


def test_lse_of_a_face_is_that_of_its_crops():
    torch.manual_seed(0)
    clip, track = make_clip(), s3fd.Track(20, np.tile([8.0, 6, 24, 24], (75, 1)))
    network, known = SyncProbe(1 / 32, 64).eval(), SimpleNamespace(get=lambda dyad_id: None, path=None)
    lip_sync.listen(clip, "syncnet", network, Finder(track), known)
    found = values(clip)
    assert found["lse_coverage_face", "speech"] == (70 / 120, "ok")  # speech and track overlap in frames 20 .. 89
    squares = s3fd.crops(clip.generated[:90], track)[:70]
    sound = clip.audio[20 * SAMPLES_PER_FRAME : 90 * SAMPLES_PER_FRAME]
    wanted = measured(network, squares, sound)
    assert found["lse_d_face", "speech"][0] == pytest.approx(wanted[0], rel=2e-3)
