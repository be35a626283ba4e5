"""What the mesh reads of a dialogue: motion of every side, and points and shapes of both avatars' faces."""

import numpy as np

from evaluation.probes.mesh import MeshProbe
from evaluation.readings.known import TRUE_KEYS, Known, KnownPoints
from faces import FaceTrack
from faces.pose import aligned

KEYS = (*TRUE_KEYS, "neutral")  # of true videos


def mesh_readings(
    probe: MeshProbe, store: Known, dyad_id: str, arrays, generated: np.ndarray, known: dict | None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Motion of every side by `Clip`'s names, avatar and user each against their own neutral face in the true
    recording; and of the avatar's both videos `points_<side>` (T, 468, 3) in pixels and `vertices_<side>`, the same
    with head pose and size removed. NaN where no face was found.
    """
    kept = KnownPoints(store)
    points = kept.get(dyad_id)
    true = probe.track(arrays.avatar_frames) if known is None or points is None else None
    if known is None:
        known = _of_the_truth(probe, true, arrays)
        store.put(dyad_id, known)
    if true is not None:
        points = np.asarray(true.points, np.float32)
        kept.put(dyad_id, points)
    neutral = known["neutral"] if np.isfinite(known["neutral"]).all() else None
    track = probe.track(generated)
    motion = {key: known[key] for key in TRUE_KEYS} | {"motion_generated": probe.read_track(track, neutral)}
    found = {"points_generated": np.asarray(track.points, np.float32), "points_true": points}
    shapes = {f"vertices_{side}": shape(found[f"points_{side}"], neutral) for side in ("generated", "true")}
    return motion, found | shapes


def _of_the_truth(probe: MeshProbe, true: FaceTrack, arrays) -> dict[str, np.ndarray]:
    user = probe.track(arrays.user_frames)
    neutral = probe.neutral(true)
    return {
        "motion_true": probe.read_track(true, neutral),
        "motion_user": probe.read_track(user, probe.neutral(user)),
        "motion_reference": probe.read_track(probe.track(arrays.reference[None]), neutral)[0],
        "neutral": np.full((468, 3), np.nan, np.float32) if neutral is None else neutral,
    }


def shape(points: np.ndarray, neutral: np.ndarray | None) -> np.ndarray:
    """Points (T, 468, 3) with pose and size removed against a neutral face (468, 3), float32; NaN without one."""
    if neutral is None:
        return np.full_like(points, np.nan)
    return aligned(np.asarray(points, np.float64), neutral).astype(np.float32)
