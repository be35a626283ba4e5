"""A failure is a status with an empty value, never a number: for single clips, for sets, for every metric."""

import math
import weakref
from dataclasses import replace

import numpy as np
import pytest

from analysis.summary import seed_values, summarise
from dyads.synthetic.coefficients import COEFFICIENTS, EMOTIONS
from evaluation.cards import OK, STATUSES, MetricCard, Value
from evaluation.clips import Clip, Truth
from evaluation.metrics._series import Undefined
from evaluation.readings.clip import Tools
from evaluation.readings.sidecars import Rating, Timing
from evaluation.registry import cards, modules
from evaluation.rows import read_rows
from evaluation.run import collect, measure, promised, write_rows

T, D = 120, len(COEFFICIENTS)
TOOLS = Tools()


def make_clip(seed: int = 0, name: str = "one") -> Clip:
    """A clip in which every metric without weights is defined."""
    rng = np.random.default_rng(seed)
    smooth = np.cumsum(rng.normal(size=(3, T, D)), axis=1).astype(np.float32) / 8
    truth = Truth(
        COEFFICIENTS, smooth[1], smooth[0], smooth[0] * 0.9, np.ones(T, bool), np.zeros(T, int),
        np.repeat([1, 2, 4, 0], T // 4), EMOTIONS,
    )  # fmt: skip
    return Clip(
        dyad_id=name, frames=T, status=OK, speaking=np.arange(T) < T - 30, truth=truth, names=COEFFICIENTS,
        generated=rng.integers(0, 256, (T, 16, 16, 3), dtype=np.uint8),
        true=rng.integers(0, 256, (T, 16, 16, 3), dtype=np.uint8),
        audio=np.zeros(T * 640, np.float32),
        motion_generated=smooth[0] + rng.normal(size=(T, D)).astype(np.float32) / 20,
        motion_true=smooth[0], motion_user=smooth[1], motion_reference=smooth[0, 0],
        image_generated=rng.normal(size=(T, 64)).astype(np.float32),
        image_true=rng.normal(size=(T, 64)).astype(np.float32), map_distance=rng.uniform(size=T),
        features={
            "identity_generated": rng.normal(size=(12, 64)), "identity_true": rng.normal(size=(12, 64)),
            "identity_reference": rng.normal(size=64),
            "video_generated": rng.normal(size=(7, 32)), "video_true": rng.normal(size=(7, 32)),
            "sync_generated": rng.uniform(0.5, 1, (T - 5, 33)), "sync_true": rng.uniform(0.5, 1, (T - 5, 33)),
        },
        timing=Timing(T, 2.0, 1.5), rating=Rating(4.0),
    )  # fmt: skip


def statuses(*clips: Clip, estimates: bool = False) -> dict[tuple[str, str, str], str]:
    """(clip, metric, part) -> status, after checking that value and status agree.

    `estimates`: also of counts and extrapolations, which are another question than the distances they belong to.
    """
    rows, _ = measure(iter(clips), TOOLS)
    assert all(math.isfinite(value.value) == (value.status == OK) for _, value in rows)
    found = {(clip, value.metric, value.part): value.status for clip, value in rows}
    assert len(found) == len(rows), "a row was written twice"
    beside = {(card.name, part) for card in cards().values() for part in card.estimate_parts}
    return {key: status for key, status in found.items() if estimates or key[1:] not in beside}


def test_a_good_clip_defines_everything_but_what_needs_weights():
    found = statuses(*(make_clip(number, f"clip{number}") for number in range(10)))
    bad = {(metric, status) for (_, metric, _), status in found.items() if status != OK}
    wanted = {(metric, "weights_missing") for metric in (*OF_NETWORKS, "aed", "aed_dlib")}
    wanted |= {(metric, "no_mesh") for metric in OF_FACES}
    wanted |= {("rdgg", "too_few_frames"), ("cpbd", "frame_too_small")}
    assert bad == wanted


def test_too_few_windows_or_clips_or_an_unread_face_are_no_score():
    """One clip has too few windows for a covariance, five have too few clips to extrapolate from."""
    found = statuses(make_clip(), estimates=True)
    assert found["*", "fvd_small", "window"] == found["*", "fvd_small", "window_extrapolated"] == "too_few_frames"
    assert found["*", "fvd_small", "window_count"] == OK
    found = statuses(*(make_clip(number, f"clip{number}") for number in range(5)), estimates=True)
    assert found["*", "fvd_small", "window"] == OK
    assert found["*", "fvd_small", "window_extrapolated"] == "too_few_clips"
    clip = make_clip()
    clip.features["identity_generated"][3] = 0
    clip.features["video_generated"][3, 3] = math.inf
    found = statuses(*(replace(clip, dyad_id=f"clip{number}") for number in range(10)))
    assert found["clip0", "csim_small", "frame"] == found["clip0", "csim_frame_small", "frame"] == "not_finite"
    assert found["*", "fvd_small", "window"] == "not_finite"
    clip = make_clip()
    clip.features = {key: found[:0] if found.ndim == 2 else found for key, found in clip.features.items()}
    assert statuses(clip)["one", "csim_small", "frame"] == "too_few_frames"
    found = statuses(changed(features={}), estimates=True)
    for key in (("one", "csim_small", "frame"), ("*", "fvd_small", "window"), ("*", "fvd_small", "window_count")):
        assert found[key] == "weights_missing"


def test_what_lies_beside_the_videos_may_be_missing():
    clip = make_clip()
    clip.timing = clip.rating = None
    found = statuses(clip)
    assert found["one", "latency", "dialogue"] == found["one", "frames_per_second", "wall"] == "not_timed"
    assert found["one", "e_consis", "clip"] == "no_judge"
    clip = make_clip()
    clip.rating = Rating(None)
    assert statuses(clip)["one", "e_consis", "clip"] == "no_rating"


OF_FEATURES = {
    f"{metric}{ending}"
    for metric, endings in (
        ("fid", ("",)),
        ("fvd", ("", "_small")),
        ("csim", ("", "_small", "_dlib", "_frame", "_frame_small", "_frame_dlib")),
        *((f"lse_{name}", ("", "_whole", "_face", "_small", "_small_whole")) for name in ("d", "c", "offset")),
        ("lse_coverage", ("", "_face", "_small")),
    )
    for ending in endings
}
OF_NETWORKS = {
    "lpips",
    *(metric for metric in OF_FEATURES if "_small" not in metric),
}
MOTION = ("motion_generated", "motion_true", "motion_user")
ERRORS = {"motion_mse", "lve_controls", "exp_distance", "angle_distance", "trans_distance"}  # one frame has an error
TLCC = [f"tlcc{state}_{kind}" for state in ("", "_listening") for kind in ("offset", "delay", "peak")]
# Of points on the face, which nobody read in these clips; see test_field_metrics.py.
OF_FACES = {
    card.name
    for name, module in modules().items()
    for card in module.CARDS
    if module.__name__.split(".")[2] in ("landmarks", "meshes") or name == "e_fid"
}
OF_MOTION = {
    *ERRORS,
    *("rpcc", "rpcc_clip", "rpcc_dimension", "rpcc_pooled", "sid", "sid_normalised", "sid_40_20", "var", "var_flat"),
    *("sid_40_20_normalised", "motion_fd_pooled", "motion_fd_clip", "paired_fd_pooled", "paired_fd_clip", "motion_mse"),
    *("sts", "sts_pooled", "lip_opening_error", "mouth_opening_correlation", "lip_stability", *TLCC),
}


def test_every_motion_metric_is_known_to_these_tests():
    """A new metric that reads motion must face the failures below."""
    reads = {card.name for card in cards().values() if card.per == "set" or card.from_readings}
    others = {"expression_correlation", "expression_amplitude", "expression_valence", "fid_small"}
    others |= {"nod_correlation", "nod_delay"}  # of places where a nod is due, see test_nods.py
    others |= {"rdgg"}  # of minutes, see test_rdgg.py
    others |= (OF_FACES | {"aed", "aed_dlib"}) & reads
    assert reads - OF_MOTION - OF_FEATURES == others


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_broken_reading_is_no_score_of_any_motion_metric(broken):
    clip = make_clip()
    clip.motion_generated = clip.motion_generated.copy()
    clip.motion_generated[[40, T - 5]] = broken  # one frame of speech, one of listening
    with np.errstate(all="ignore"):
        found = statuses(clip)
    assert {s for (_, metric, part), s in found.items() if metric in OF_MOTION and not part.endswith("_truth")} == {
        "not_finite"
    }


def test_a_still_face_fails_nowhere():
    """Standing still is no way out of a metric: a correlation is then 0, rPCC's gap the largest there is."""
    clip = make_clip()
    clip.motion_generated = np.repeat(clip.motion_true[:1], T, axis=0)
    failed = {metric for (_, metric, _), status in statuses(clip).items() if metric in OF_MOTION and status != OK}
    assert failed == {*TLCC}


def test_a_single_frame_is_too_few_for_every_motion_metric():
    clip = make_clip()
    for key in MOTION:
        setattr(clip, key, getattr(clip, key)[:1])
    clip.speaking = clip.speaking[:1]
    for name in ("expected", "avatar", "cue"):
        object.__setattr__(clip.truth, name, getattr(clip.truth, name)[:1])
    found = statuses(clip)
    states = {(metric, status) for (_, metric, _), status in found.items() if metric in OF_MOTION - ERRORS}
    assert {status for _, status in states} <= {"too_few_frames", "no_speech"}
    assert {metric for metric, _ in states} == OF_MOTION - ERRORS
    assert found["one", "motion_mse", "all"] == OK  # one frame has an error


def test_every_promised_row_is_there_whatever_happens():
    clips = [make_clip(), Clip("two", 0, "missing_video", np.zeros(0, bool))]
    found = statuses(*clips, estimates=True)
    for clip, per in (("one", "clip"), ("two", "clip"), ("*", "set")):
        wanted = promised(c for c in cards().values() if c.per == per or (per == "clip" and c.clip_rows))
        assert {(metric, part) for name, metric, part in found if name == clip} == set(wanted)


@pytest.mark.parametrize("status", ["missing_video", "length_mismatch"])
def test_one_lost_clip_undoes_the_set_but_not_the_other_clips(status):
    found = statuses(make_clip(), Clip("two", 0, status, np.zeros(0, bool)))
    assert {s for (clip, *_), s in found.items() if clip in ("two", "*")} == {status}
    assert found["one", "ssim", "frame"] == OK


def test_a_frozen_face_follows_nothing():
    clip = make_clip()
    clip.motion_generated = np.repeat(clip.motion_true[:1], T, axis=0)
    found = statuses(clip)
    for metric, part in (
        ("mouth_opening_correlation", "speech"), ("rpcc", "expression"), ("expression_correlation", "all")
    ):  # fmt: skip
        assert found["one", metric, part] == OK
    for metric, part in (("expression_amplitude", "all"), ("sid", "pose"), ("motion_fd_pooled", "all")):
        assert found["*", metric, part] == OK


def test_silence_leaves_no_mouth_score():
    clip = make_clip()
    clip.speaking = np.zeros(T, bool)
    assert statuses(clip)["one", "mouth_opening_correlation", "speech"] == "no_speech"
    clip = make_clip()
    clip.speaking[20:] = False  # speech, but too little for SyncNet
    found = statuses(clip)
    for name in ("lse_d_small", "lse_c_small", "lse_offset_small", "lse_coverage_small"):
        assert found["one", name, "speech"] == "no_speech"


def test_recorded_data_has_no_oracle():
    clip = make_clip()
    clip.truth = None
    found = statuses(clip)
    assert found["*", "expression_correlation", "all"] == found["one", "expression_valence", "smile"] == "no_truth"
    assert found["one", "mouth_opening_correlation", "speech"] == OK  # against the probe on the true video


def test_a_probe_without_names_measures_only_the_whole():
    clip = make_clip()
    clip.names, clip.truth = (), None
    found = statuses(clip)
    for metric in ("motion_mse", "motion_fd_clip", "paired_fd_clip", "rpcc", "rpcc_clip", "sts", "var"):
        assert found["one", metric, "expression"] == "no_truth" and found["one", metric, "all"] == OK
    pooled = ("motion_fd_pooled", "paired_fd_pooled", "rpcc_dimension", "rpcc_pooled", "sts_pooled", "var_flat")
    for metric in ("sid", "sid_normalised", "sid_40_20", "sid_40_20_normalised", *pooled):
        assert found["*", metric, "expression"] == "no_truth" and found["*", metric, "all"] == OK
    assert found["one", "mouth_opening_correlation", "speech"] == "no_truth"
    assert found["one", "lip_opening_error", "speech"] == found["one", "lip_opening_error", "listening"] == "no_truth"
    assert found["one", "lve_controls", "lips"] == "no_truth"


def test_few_frames_and_small_pictures():
    clip = make_clip()
    for key in ("motion_generated", "motion_true", "motion_user", "image_generated", "image_true"):
        setattr(clip, key, getattr(clip, key)[:8])
    clip.truth, clip.speaking = None, clip.speaking[:8]
    clip.generated, clip.true = clip.generated[:8, :8, :8], clip.true[:8, :8, :8]
    found = statuses(clip)
    assert found["*", "sid", "expression"] == found["*", "fid_small", "frame"] == "too_few_frames"
    assert found["one", "motion_fd_clip", "all"] == "too_few_frames"
    assert found["one", "ssim", "frame"] == "frame_too_small"


def test_only_readings_stay_in_memory():
    """The frames of a clip are gone when the next one is decoded, so memory does not grow with them."""
    frames = []

    def clips():
        for number in range(4):
            assert all(array() is None for array in frames), "an earlier clip's frames are still there"
            clip = make_clip(number, f"clip {number}")
            frames.extend(weakref.ref(array) for array in (clip.generated, clip.true, clip.audio))
            yield clip

    _, kept = measure(clips(), TOOLS)
    assert len(kept) == 4 and all(array() is None for array in frames)
    arrays = [array for array in vars(kept[0]).values() if isinstance(array, np.ndarray)]
    assert not any(array.ndim > 2 for array in arrays) and kept[0].motion_generated.shape == (T, D)


FLAT = np.zeros((10, 64, 64, 3), np.uint8)
OPEN_EYES = np.random.default_rng(0).uniform(0, 64, (130, 468, 3))  # no run of closed ones within
SERIES = (*MOTION, "generated", "true", "image_generated", "image_true", "speaking")
SITUATIONS = {  # of every status, clips that come to it
    "missing_video": lambda: [Clip("two", 0, "missing_video", np.zeros(0, bool))],
    "length_mismatch": lambda: [Clip("two", 0, "length_mismatch", np.zeros(0, bool))],
    "constant_series": lambda: [changed(motion_user=np.repeat(make_clip().motion_user[:1], T, axis=0))],
    "too_few_frames": lambda: [changed(truth=None, **{key: getattr(make_clip(), key)[:8] for key in SERIES})],
    "too_few_clips": lambda: [make_clip(), make_clip(1, "two")],
    "frame_too_small": lambda: [changed(generated=make_clip().generated[:, :8], true=make_clip().true[:, :8])],
    "no_speech": lambda: [changed(speaking=np.zeros(T, bool))],
    "no_face": lambda: [changed(features={"sync_generated": np.full((T - 5, 33), np.nan)})],
    "silent": lambda: [changed(features={"sync_generated": np.hstack([np.ones((T - 5, 32)), np.zeros((T - 5, 1))])})],
    "no_truth": lambda: [changed(truth=None)],
    "speaker_unknown": lambda: [changed(speaker_known=False)],
    "no_such_part": lambda: [changed(groups={"all": tuple(range(D))})],
    "no_voice": lambda: [changed(frames=10 * T)],
    "not_finite": lambda: [changed(motion_generated=np.full((T, D), np.inf, np.float32))],
    "weights_missing": lambda: [make_clip()],
    "too_few_samples": lambda: [changed(features={f"vertices_{s}": OPEN_EYES for s in ("generated", "true")})],
    "no_mesh": lambda: [make_clip()],
    "not_timed": lambda: [changed(timing=None)],
    "no_judge": lambda: [changed(rating=None)],
    "no_rating": lambda: [changed(rating=Rating(None))],
    "no_edges": lambda: [changed(generated=FLAT, true=FLAT)],
    "no_blink": lambda: [changed(features={"points_generated": OPEN_EYES, "points_true": OPEN_EYES})],
    "no_nod": lambda: [changed(truth=replace(make_clip().truth, expected=make_clip().truth.avatar[:1].repeat(T, 0)))],
    "no_regions": lambda: [changed(features={f"vertices_{s}": np.zeros((T, 9, 3)) for s in ("generated", "true")})],
}
# see test_tables.py, test_missing_rows_and_seeds_stay_in_sight; test_rdgg.py; test_coefficients.py;
# test_coefficient_rows.py; test_score_folders.py
OF_TABLES = {"not_run", "too_few_people", "no_pictures", "no_user", "no_clock"}


def changed(**parts) -> Clip:
    clip = make_clip()
    for name, part in parts.items():
        setattr(clip, name, part)
    return clip


def test_every_status_has_a_situation():
    assert set(SITUATIONS) | OF_TABLES | {OK} == set(STATUSES)


@pytest.mark.parametrize("status", SITUATIONS)
def test_every_failure_is_a_status_and_counted_in_the_table(status, tmp_path):
    clips = SITUATIONS[status]()
    with np.errstate(all="ignore"):
        rows, _ = measure(iter(clips), TOOLS)
    failed = {(value.metric, value.part) for _, value in rows if value.status == status}
    assert failed and all(math.isfinite(value.value) == (value.status == OK) for _, value in rows)
    write_rows(tmp_path / "echo" / "seed0.csv", rows, "echo", 0, "set", "test")
    summary = summarise(seed_values(read_rows([tmp_path / "echo" / "seed0.csv"])))
    whole = {(card.name, part) for card in cards().values() if card.per == "set" for part in card.all_parts}
    for metric, part in failed - {pair for pair in failed & whole if cards()[pair[0]].clip_rows}:
        line = summary.loc["echo", metric, part]
        assert math.isnan(line["mean"]) and line["undefined"] == line["count"] > 0 and line["status"] == status


CARD = replace(next(iter(cards().values())), name="m", parts=("a", "b"), direction="higher")


def test_collect_guards_values_and_promises():
    def infinite(clip, tools):
        yield Value("m", "a", math.inf)
        raise Undefined("no_speech")

    rows = collect(infinite, None, TOOLS, [CARD])
    assert [(row.part, row.status) for row in rows] == [("a", "not_finite"), ("b", "no_speech")]
    with pytest.raises(RuntimeError, match="promises part b"):
        collect(lambda clip, tools: [Value("m", "a", 1.0)], None, TOOLS, [CARD])
    assert isinstance(CARD, MetricCard)


def test_undefined_values_are_empty_in_the_file(tmp_path):
    rows = [("one", Value("ssim", "frame", 0.25)), ("two", Value("ssim", "frame", math.nan, "missing_video"))]
    write_rows(tmp_path / "m" / "seed0.csv", rows, "m", 0, "set", "test")
    text = (tmp_path / "m" / "seed0.csv").read_text()
    assert "m,0,set,test,one,ssim,frame,0.25,ok" in text
    assert "m,0,set,test,two,ssim,frame,,missing_video" in text
    back = read_rows([tmp_path / "m" / "seed0.csv"])
    assert back["value"].isna().tolist() == [False, True]
