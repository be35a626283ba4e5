"""Each metric's course over a clip, for the page: frame by frame what the values are means of."""

from contextlib import suppress

import numpy as np

from evaluation.clips import Clip
from evaluation.metrics._points import MOUTH, centred, crop_scale, distances, ibug
from evaluation.metrics._series import Undefined
from evaluation.metrics.landmarks.blinks import LEFT, RIGHT, eye_aspect_ratio
from evaluation.metrics.pictures import psnr, ssim
from evaluation.readings.lip_sync import SHIFT

SHOWN = {"jaw_open": "Jaw opening", "smile": "Smile", "yaw": "Head turned (rad)"}


def curves_of(clip: Clip, alone: bool) -> dict[str, dict]:
    """Name -> {label, better, values[, truth]}: lists of T numbers, None where a frame has none."""
    found: dict[str, dict] = {}
    if not alone:
        found["psnr"] = {"label": "PSNR (dB)", "better": "higher", "values": psnr.of_clip(clip)}
        with suppress(Undefined):
            found["ssim"] = {"label": "SSIM", "better": "higher", "values": ssim.of_clip(clip)}
    if "lpips" in clip.series:
        found["lpips"] = {"label": "LPIPS", "better": "lower", "values": clip.series["lpips"]}
    if "points_generated" in clip.features:
        _face(clip, alone, found)
    reading = clip.features.get("syncnet_generated")
    if reading is not None and len(reading):
        found["lse"] = {"label": "Distance of lips and voice", "better": "lower", "values": reading[:, SHIFT]}
    for curve in found.values():
        for key in ("values", "truth"):
            if key in curve:
                curve[key] = [round(float(v), 4) if np.isfinite(v) else None for v in np.asarray(curve[key], float)]
    return found


def _face(clip: Clip, alone: bool, found: dict[str, dict]) -> None:
    """Curves of the mesh's readings."""
    points = {side: ibug(clip, side, crop_scale(clip)) for side in ("generated", "true")}
    if not alone:
        mouths = (centred(points[side][:, MOUTH]) for side in ("generated", "true"))
        found["m_lmd"] = {"label": "M-LMD (px of 256)", "better": "lower", "values": distances(*mouths).mean(1)}
    eyes = {side: (eye_aspect_ratio(p[:, LEFT]) + eye_aspect_ratio(p[:, RIGHT])) / 2 for side, p in points.items()}
    found["eyes"] = {"label": "Eye aspect ratio", "better": "truth", "values": eyes["generated"]}
    series = {}
    for name in SHOWN:
        if name in clip.names:
            column = clip.names.index(name)
            series[name] = {side: getattr(clip, f"motion_{side}")[:, column] for side in ("generated", "true")}
            found[name] = {"label": SHOWN[name], "better": "truth", "values": series[name]["generated"]}
    if not alone:
        found["eyes"]["truth"] = eyes["true"]
        for name, sides in series.items():
            found[name]["truth"] = sides["true"]
