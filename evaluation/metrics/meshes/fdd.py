"""Upper-face dynamics deviation: how much livelier or stiller the upper face is than the true one."""

import numpy as np

from evaluation.cards import truth_part
from evaluation.metrics._points import both
from evaluation.metrics._series import require_frames
from evaluation.metrics.meshes._regions import UNIT, card, mesh_values


def dynamics(vertices: np.ndarray, template: np.ndarray) -> np.ndarray:
    """CodeTalker's s_v (V,) of vertices (T, V, 3): std over time of the squared distance to the template (V, 3)."""
    return np.square(vertices - template).sum(-1).std(0)


def fdd(generated: np.ndarray, true: np.ndarray, template: np.ndarray | None = None) -> float:
    """CodeTalker's form: mean over vertices of s_v(true) minus that of s_v(generated), signed, squared length.

    Without a `template` (V, 3), the true mean shape. Above 0: the generated face is stiller than the true one.
    """
    generated, true = both(generated, true)
    template = true.mean(0) if template is None else template
    return float(dynamics(true, template).mean() - dynamics(generated, template).mean())


def fdd_absolute(generated: np.ndarray, true: np.ndarray, template: np.ndarray | None = None) -> float:
    """FaceDiffuser's second form: mean over vertices of |s_v(true) - s_v(generated)|."""
    generated, true = both(generated, true)
    template = true.mean(0) if template is None else template
    return float(np.abs(dynamics(true, template) - dynamics(generated, template)).mean())


def fdd_sum(generated: np.ndarray, true: np.ndarray) -> float:
    """UniLS's form: 100 mean_v |std_t(x + y + z) of generated - of true|, std with T - 1; blind to motion along x = -y.

    Undefined `too_few_frames` for one frame.
    """
    generated, true = both(generated, true)
    require_frames(len(true), 2)
    return float(100 * np.abs(generated.sum(-1).std(0, ddof=1) - true.sum(-1).std(0, ddof=1)).mean())


_DISAGREEMENTS = (
    "Signed differences cancel over clips: one too lively and one too stiff give 0, their absolutes do not.",
    "UniLS takes the std of x + y + z, DEEPTalk one over vertices, in which a frozen crooked face is lively.",
    "CodeTalker subtracts each subject's template; without one we take the true clip's mean shape.",
)
_S = r"s_v=\operatorname{std}_t\left\|x_{tv}-\bar x_v\right\|^2"
_WHY = {
    "unordered": "noise of the points counts as liveliness, and any lively face of another dialogue matches on average",
    "separates": (),
    "separates_parts": (),
}
CARDS = (
    card(
        "fdd",
        "FDD",
        f"{UNIT} squared",
        "upper",
        "Difference of the true and the generated upper face's liveliness, signed: above 0 the generated face is "
        "stiller.",
        rf"\overline{{s_v(y)}}-\overline{{s_v(\hat y)}},\quad {_S}",
        "CodeTalker main/cal_metric.py (1b7cb95)",
        _DISAGREEMENTS,
        **{**_WHY, "direction": "truth", "range": (float("-inf"), float("inf"))},
    ),
    card(
        "fdd_absolute",
        "FDD (absolute)",
        f"{UNIT} squared",
        "upper",
        "Mean over vertices of the absolute difference of liveliness: it cannot cancel.",
        rf"\overline{{\left|s_v(y)-s_v(\hat y)\right|}},\quad {_S}",
        "FaceDiffuser (e15f350), printed beside FDD",
        _DISAGREEMENTS,
        **_WHY,
    ),
    card(
        "fdd_sum",
        "FDD (sum)",
        f"{UNIT} / 100",
        "upper",
        "A hundred times the mean absolute difference of the standard deviations of x + y + z.",
        r"100\,\overline{\left|\operatorname{std}_t(\hat x+\hat y+\hat z)_v-\operatorname{std}_t(x+y+z)_v\right|}",
        "UniLS core/models/modules/metrics.py (b91cc03), in mm",
        _DISAGREEMENTS,
        **_WHY,
    ),
)


def clip_values(clip, tools):
    for value in mesh_values(clip, "upper", {"fdd": fdd, "fdd_absolute": fdd_absolute, "fdd_sum": fdd_sum}):
        yield value
        if value.metric == "fdd":  # the truth deviates from itself by nothing
            yield value._replace(part=truth_part("upper"), value=0.0 if value.value == value.value else value.value)
