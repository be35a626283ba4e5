"""Metrics of the whole set from sums over clips: equal to those of all frames at once, however the clips were cut."""

import json
import math
import tracemalloc

import numpy as np
import pytest
from readings_file import META, readings

from evaluation.cards import OK
from evaluation.clips import Clip
from evaluation.metrics import _estimate
from evaluation.metrics.expression import expression
from evaluation.metrics.motion import rpcc, sid, sts, var
from evaluation.metrics.reaction import rdgg
from evaluation.readings.clip import Tools
from evaluation.readings.gather import gather
from evaluation.readings.joined import JoinedClips, join_files, join_meta
from evaluation.readings.set_level import set_metric
from evaluation.readings.stored import read_features, restored_clips
from evaluation.run import set_rows, value_lines, write_rows

FRAMES = 260  # more than R-DGG's time shifts need


def clips_of(count: int, frames: int = FRAMES, seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
    """Readings of clips of unequal lengths, one of them with frames that were not seen."""
    rng = np.random.default_rng(seed)
    found = readings(rng, clips=count, frames=frames + count, image=3)
    for k, clip in enumerate(found.values()):
        for key in ("user", "avatar"):
            clip[f"voice_{key}"] = rng.normal(size=(frames + count, 4)).astype(np.float16)
        for key in list(clip):
            clip[key] = clip[key][: frames + k] if len(clip[key]) == frames + count else clip[key]
    first = next(iter(found.values()))
    first["valid"] = (rng.random(frames) > 0.2).astype(np.uint8)
    return found


def write_part(path, clips):
    """What `evaluation.run` leaves of some of the clips."""
    from safetensors.numpy import save_file

    order = [[name, len(clip["speaking"]), OK] for name, clip in clips.items()]
    people = {name: [f"a{name}", f"u{name}"] for name in clips}
    meta = {**META, "split": "test", "dataset": "d", "truth_names": META["names"], "clips": order, "people": people}
    tensors = {f"{name}/{key}": array for name, clip in clips.items() for key, array in clip.items()}
    save_file(tensors, path.with_suffix(".features.safetensors"), metadata={"meta": json.dumps(meta)})
    path.with_suffix(".json").write_text(json.dumps({"clips": len(clips)}))
    write_rows(path, [], "a", 0, "d", "test")


def gathered(tmp_path, clips, shards: int):
    """The files of a row gathered from so many shards."""
    folder = tmp_path / str(shards)
    folder.mkdir()
    names, parts = list(clips), []
    for k in range(shards):
        parts.append(folder / f"{k + 1}-of-{shards}.csv")
        own = names[k * len(names) // shards : (k + 1) * len(names) // shards]
        write_part(parts[-1], {name: clips[name] for name in own})
    gather(parts, folder / "all.csv")
    return folder / "all.csv"


def test_any_number_of_shards_gives_the_same_bytes(tmp_path):
    """More shards than clips too; and the file of readings is as if it had been written whole."""
    clips = clips_of(6)
    whole = gathered(tmp_path, clips, 1)
    for shards in (4, 7):
        found = gathered(tmp_path, clips, shards)
        assert found.read_bytes() == whole.read_bytes()
        assert (found.with_suffix(".features.safetensors")).read_bytes() == (
            whole.parent / "1-of-1.features.safetensors"
        ).read_bytes()
    statuses = [line.rpartition(",")[2] for line in whole.read_text().splitlines()[1:]]
    assert statuses.count("ok") > 60, whole.read_text()


def test_sums_give_what_all_frames_at_once_give(tmp_path):
    clips = clips_of(5)
    write_part(tmp_path / "row.csv", clips)
    stored = [*restored_clips(tmp_path / "row.features.safetensors")]
    found = {(v.metric, v.part): v.value for _, v in set_rows(stored, [OK] * 5, Tools())}
    seen = {name: clip["valid"].astype(bool) if "valid" in clip else slice(None) for name, clip in clips.items()}
    series = {key: [clip[key][seen[name]] for name, clip in clips.items()] for key in ("generated", "true", "user")}
    g, t, u = (np.concatenate(series[key]) for key in rpcc.SOURCES)
    close = {"rel": 1e-9, "abs": 1e-12}
    assert found["rpcc_pooled", "all"] == pytest.approx(rpcc.rpcc_pooled(g, t, u), **close)
    centred = [np.concatenate([x - x.mean(0, dtype=np.float64) for x in series[key]]) for key in rpcc.SOURCES]
    assert found["rpcc_dimension", "all"] == pytest.approx(rpcc.rpcc(*centred), **close)
    assert found["var_flat", "all_truth"] == pytest.approx(var.flat_variance(t), **close)
    unseen = lambda clip: clip.get("valid", np.ones(len(clip["true"])))  # noqa: E731
    times = [np.flatnonzero(unseen(clip)) for clip in clips.values()]
    steps = np.concatenate([np.diff(time, prepend=time[0] - 1) == 1 for time in times])[1:]
    assert found["sts_pooled", "all"] == pytest.approx(sts.sts(g, t, steps), **close)
    whole = np.concatenate([clip["true"] for clip in clips.values()])  # clusters are of all that was seen of the truth
    values = sid.sid(g, t, sid.CLUSTERS["all"], whole)
    assert (found["sid", "all"], found["sid", "all_truth"]) == pytest.approx(values, **close)
    wanted = [*(expression.changes(c, expression.EXPRESSION_PARTS["all"]) for c in stored)]
    pooled = [np.concatenate(parts) for parts in zip(*wanted, strict=True)]
    assert found["expression_correlation", "all"] == pytest.approx(
        expression.expression_correlation(pooled[0], pooled[2]), **close
    )
    assert found["expression_amplitude", "all"] == pytest.approx(expression.expression_amplitude(*pooled), **close)
    smiles = [np.concatenate(p) for p in zip(*(expression.changes(c, ("smile",)) for c in stored), strict=True)]
    accuracy = expression.valence_accuracy(smiles[0][:, 0], smiles[2][:, 0])
    assert found["expression_valence", "smile"] == pytest.approx(accuracy, **close)


def test_moments_of_clips_give_the_distance_and_the_extrapolation_of_all_samples(monkeypatch):
    rng = np.random.default_rng(0)
    sides = [[rng.normal(size=(30 + k, 3)) + shift for k in range(14)] for shift in (0.5, 0.0)]
    rows = []
    for few in (10**6, 0):
        monkeypatch.setattr(_estimate, "FEW", few)
        rows.append({row.part: row.value for row in _estimate.estimate("m", "all", *sides)})
    assert rows[0]["all_count"] == sum(30 + k for k in range(14))
    for part in ("all", "all_count", "all_extrapolated"):
        assert rows[0][part] == pytest.approx(rows[1][part], rel=1e-9) and math.isfinite(rows[0][part])
    status = {row.part: row.status for row in _estimate.estimate("m", "all", [sides[0][0]] * 3, [sides[1][1]] * 3)}
    assert status["all"] == "length_mismatch"


def test_of_very_many_frames_a_share_is_clustered_wherever_they_were_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(sid, "MOST", 300)
    clips = clips_of(7)
    frames = sum(len(clip["true"]) for clip in clips.values())
    assert sid.thinning(frames) == 8 and -(-frames // 8) <= 300 < -(-frames // 4)
    one, four = (gathered(tmp_path, clips, shards) for shards in (1, 4))
    assert one.read_bytes() == four.read_bytes()
    del clips["c0"]["valid"]
    write_part(tmp_path / "row.csv", clips)
    stored = [*restored_clips(tmp_path / "row.features.safetensors")]
    own = {(v.metric, v.part): v.value for v in sid.set_values(stored, None)}
    sums = set_metric("sid", "expression", *read_features(tmp_path / "row.features.safetensors"))
    assert float(sums.value(np.ones((1, 7)) @ sums.cells)[0]) == pytest.approx(own["sid", "expression"], rel=1e-12)


def test_rdgg_takes_so_many_dialogues_evenly_spread(monkeypatch):
    monkeypatch.setattr(rdgg, "MOST", 4)
    clips = [Clip(f"c{k}", 9, OK, np.zeros(9, bool), features={"voice_user": 1, "video_true": 2}) for k in range(10)]
    chosen = rdgg._some(clips)
    assert [clip.dyad_id for clip in chosen] == ["c0", "c2", "c5", "c7"]
    assert all(clip.features == {"voice_user": 1} for clip in chosen)
    assert len(rdgg._some(clips[:4])) == 4


class Drawn:
    """Clips that are made when asked for, as `JoinedClips` reads them."""

    def __init__(self, count: int) -> None:
        self.count, (self.clip,) = count, clips_of(1, 400).values()
        self.clip.pop("valid")

    def __len__(self) -> int:
        return self.count

    def __iter__(self):
        for k in range(self.count):
            held = {key: np.roll(array, k, 0) for key, array in self.clip.items()}
            yield Clip(
                f"c{k}", 400, OK, held["speaking"].astype(bool), names=tuple(META["names"]),
                motion_generated=held["generated"], motion_true=held["true"], motion_user=held["user"],
                motion_reference=held["reference"], image_generated=held["image_generated"],
                image_true=held["image_true"], people=(f"a{k}", f"u{k}"), features={"video_true": held["video_true"],
                "video_generated": held["video_generated"]},
            )  # fmt: skip


def test_memory_does_not_grow_with_the_clips(monkeypatch):
    monkeypatch.setattr(sid, "MOST", 1000)  # as far as it goes, it does
    peaks = []
    for count in (20, 80):
        tracemalloc.start()
        rows = set_rows(Drawn(count), [OK] * count, Tools(), ("fid_small", "motion_fd", "rpcc", "sid", "sts", "var"))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert {value.status for _, value in rows} <= {OK, "too_few_clips"}
    assert peaks[1] < 1.25 * peaks[0]


def test_a_failed_clip_leaves_no_value_of_the_set(tmp_path):
    write_part(tmp_path / "a.csv", clips_of(2))
    header = join_meta([tmp_path / "a.features.safetensors"])
    header["clips"][1][2] = "missing_video"
    clips = JoinedClips([tmp_path / "a.features.safetensors"], header)
    rows = set_rows(clips, clips.statuses, Tools())
    assert {value.status for _, value in rows} == {"missing_video"} and value_lines(rows, "a", 0, "d", "test")


def test_two_shards_with_the_same_clip_are_refused(tmp_path):
    from dyads.errors import DataError

    write_part(tmp_path / "a.csv", clips_of(1))
    same = [tmp_path / "a.features.safetensors"] * 2
    with pytest.raises(DataError, match="c0/.* which an earlier shard has too"):
        join_files(same, tmp_path / "b.safetensors", {})
