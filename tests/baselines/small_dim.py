"""DIM in small: sizes, a generator by seed, and a dialogue of noise."""

import torch

from baselines.motion.method import MotionDialogue

TINY = {"d": 16, "heads": 2, "window": 8, "groups": 2, "codes": 16, "code": 4, "vq_d": 16, "vq_window": 4}


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def dialogue(frames: int, seed: int = 0, truth: bool = False) -> MotionDialogue:
    draws = [torch.randn(frames, width, generator=gen(seed + k)) for k, width in enumerate((50, 50, 20, 20))]
    return MotionDialogue(f"d{seed}", *draws[:3], draws[3] if truth else None)
