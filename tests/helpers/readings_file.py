"""Made-up probe readings of a few dialogues, and the file that `evaluation.run` would leave of them."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from dyads.synthetic.coefficients import COEFFICIENTS

EMOTIONS = ["neutral", "joy", "sadness", "anger", "surprise"]


def readings(rng, clips=6, frames=60, shift=0.0, scale=1.0, image=6, gain=0.7, world=0):
    """Clips as `read_features` gives them; a method differs from another by rng, shift, scale and gain.

    The truth depends on `world` alone. `shift`, `scale`: of image features and motion; `gain`: of the expression on the
    oracle.
    """
    found, d = {}, len(COEFFICIENTS)
    truth = np.random.default_rng([world, 7])
    for index in range(clips):
        oracle = np.cumsum(truth.standard_normal((frames, d)), 0) * 0.15
        true = oracle + 0.1 * truth.standard_normal((frames, d))
        generated = gain * oracle + scale * 0.2 * rng.standard_normal((frames, d)) + shift * 0.1
        found[f"c{index}"] = {
            "generated": generated.astype(np.float32),
            "true": true.astype(np.float32),
            "user": truth.standard_normal((frames, d)).astype(np.float32),
            "reference": np.zeros(d, np.float32),
            "image_generated": (shift + scale * rng.standard_normal((frames, image))).astype(np.float16),
            "image_true": truth.standard_normal((frames, image)).astype(np.float16),
            "speaking": (np.arange(frames) < frames // 2).astype(np.uint8),
            "truth": true.astype(np.float32),
            "expected": oracle.astype(np.float32),
            "emotion": np.zeros(frames, np.uint8),
            "cue": truth.choice([0, 1, 2, 4], frames).astype(np.uint8),
        }
        windows, (own, world_own) = (frames // 8, 3), (source.spawn(1)[0] for source in (rng, truth))
        found[f"c{index}"] |= {
            "video_generated": (shift + scale * own.standard_normal(windows)).astype(np.float16),
            "video_true": world_own.standard_normal(windows).astype(np.float16),
        }
    return found


META = {"names": list(COEFFICIENTS), "method": "a", "seed": 0, "emotions": EMOTIONS, "probe": "motion"}


def write_readings(path: Path, clips: dict, method: str = "a", seed: int = 0) -> Path:
    """`<row>.features.safetensors`."""
    tensors = {f"{clip}/{key}": np.ascontiguousarray(x) for clip, named in clips.items() for key, x in named.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata={"meta": json.dumps({**META, "method": method, "seed": seed})})
    return path
