"""E-Consis: a judge's rating from 1 to 5 of how the generated avatar's emotions agree with the true one's."""

from collections.abc import Iterator

from evaluation.cards import MetricCard, Value
from evaluation.metrics._series import Undefined
from evaluation.readings.sidecars import SCALE

CARDS = (
    MetricCard(
        name="e_consis",
        label="E-Consis",
        unit="1",
        direction="higher",
        range=SCALE,
        per="clip",
        parts=("clip",),
        definition="What a judge, a multimodal language model or a person, thinks of the emotional consistency of the "
        "generated with the true video, from 1 to 5. The judge is the user's own: see evaluation/judge.py.",
        equation=r"\frac1N\sum_n\text{rating}_n",
        protocol="ratings.json beside the videos, written by `python -m evaluation.judge`; a rating counts only for "
        "the video whose hash it names; without a judge there is no value",
        source="ECHO, Table 4, there by Qwen3-Omni on pairs of true and generated video",
        disagreements=(
            "The paper's prompt is not public, and the one here is ours: values of another judge or prompt must not be "
            "compared.",
        ),
        separates=(
            ("ground_truth", "vae_round_trip"),
            ("vae_round_trip", "frozen_reference"),
            ("ground_truth", "shuffled_partner"),
        ),
        separates_parts=("clip",),
    ),
)


def clip_values(clip, tools) -> Iterator[Value]:
    if clip.rating is None:
        raise Undefined("no_judge")
    if clip.rating.value is None:
        raise Undefined("no_rating")
    yield Value("e_consis", "clip", clip.rating.value)
