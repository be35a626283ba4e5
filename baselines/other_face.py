"""A control of the swap tests: the avatar's true lips in another dialogue's face, so that no lip moves otherwise."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from baselines.controls import Control
from dyads.contract import Dyad
from dyads.other_dialogues import SWAP, mirrored, other_dyad
from dyads.synthetic.coefficients import EXPRESSION, POSE
from dyads.synthetic.drawing.render import render_frames
from dyads.synthetic.world import read_truth
from training.method import Resources
from training.options import from_dict

PARTS = {"expression": EXPRESSION, "pose": POSE}


@dataclass(frozen=True)
class ExchangeOptions:
    """Which of the face's coefficients are the other avatar's."""

    exchange: Literal["expression", "pose"] = "expression"


class TrueLips(Control):
    """The true coefficients, but for those of expression or pose, which another avatar of the split had.

    Against the true video this row says how far readings of the lips change where only the face around them does: a
    smile widens a mouth too, and a probe sees pictures. The other dialogue is the one of `echo_model.commands.swap`;
    it exists only in the synthetic world, and on other data this control gives no video.
    """

    def __init__(self, options: dict[str, Any], resources: Resources):
        super().__init__(options, resources)
        self.part = PARTS[from_dict(ExchangeOptions, options, "options").exchange]

    def generate(self, dyad: Dyad, seed: int) -> np.ndarray | None:
        other = other_dyad(self.resources.data, dyad, 0, SWAP)
        if other is None or not dyad.truth_path.is_file():
            return None
        (own, meta), (theirs, _) = read_truth(dyad.truth_path), read_truth(other.truth_path)
        values, borrowed = own["avatar_coefficients"].copy(), theirs["avatar_coefficients"]
        values[:, self.part] = borrowed[mirrored(len(borrowed), len(values))][:, self.part]
        return render_frames(meta["identity"]["avatar"], values, meta["size"], meta["world_seed"])
