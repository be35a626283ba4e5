"""Pictures of noise and sound that changes, and readings of them by narrow random networks: enough for every LSE."""

from types import SimpleNamespace

import numpy as np

from dyads.contract import SAMPLES_PER_FRAME
from evaluation.clips import Clip
from evaluation.metrics.lips import sync
from evaluation.probes.sync import SyncProbe
from evaluation.readings import lip_sync
from evaluation.readings.clip import Tools
from evaluation.readings.lip_sync import curve, lse, reading
from evaluation.run import collect


def noise(frames: int, seed: int = 0) -> np.ndarray:
    """Sound that changes over time, float32 (640 frames,)."""
    rng = np.random.default_rng(seed)
    loud = np.repeat(rng.uniform(0, 0.3, frames), SAMPLES_PER_FRAME)
    return (loud * rng.normal(size=frames * SAMPLES_PER_FRAME)).clip(-1, 1).astype(np.float32)


def pictures(frames: int, side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, side, side, 3), dtype=np.uint8)


def measured(network, frames: np.ndarray, audio: np.ndarray) -> tuple[float, float, float]:
    found = reading(network.look(frames), network.listen(audio), audio)
    return lse(curve(found, [(0, len(frames))]))


def make_clip(frames: int = 120, audio: np.ndarray | None = None, speaking: slice = slice(10, 90)) -> Clip:
    said = np.zeros(frames, bool)
    said[speaking] = True
    return Clip(
        dyad_id="one", frames=frames, status="ok", speaking=said, audio=noise(frames) if audio is None else audio,
        generated=pictures(frames, 32), true=pictures(frames, 32, 1),
    )  # fmt: skip


def heard(clip: Clip, finder=None) -> dict[tuple[str, str], tuple[float, str]]:
    """(metric, part) -> (value, status) after narrow random networks have listened under the names of the real ones."""
    known = SimpleNamespace(get=lambda dyad_id: None, path=None)
    for name in ("sync", "syncnet"):
        given = finder if name == "syncnet" else None
        lip_sync.listen(clip, name, SyncProbe(1 / 32, 64).eval(), given, known)
    return values(clip)


def values(clip: Clip) -> dict[tuple[str, str], tuple[float, str]]:
    rows = collect(sync.clip_values, clip, Tools(), list(sync.CARDS))
    assert all(np.isfinite(row.value) == (row.status == "ok") for row in rows)
    return {(row.metric, row.part): (row.value, row.status) for row in rows}


def statuses(found, *metrics: str) -> set[str]:
    return {status for (metric, _), (_, status) in found.items() if not metrics or metric in metrics}
