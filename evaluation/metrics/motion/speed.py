"""Latency and frames per second of the generation, as `training.generate` timed it beside the videos."""

from collections.abc import Iterator

from evaluation.cards import MetricCard, Value
from evaluation.metrics._series import Undefined

_COMMON = {
    "per": "clip",
    "source": "ours",
    "unordered": "how long a control takes to copy or decode frames says nothing of any method",
}
CARDS = (
    MetricCard(
        name="frames_per_second",
        label="fps",
        unit="frame/s",
        direction="higher",
        range=(0.0, float("inf")),
        parts=("wall", "cpu"),
        definition="Frames generated in a second of the clock, or of one processor; 25 keeps up with the dialogue.",
        equation=r"T/s_{\text{generate}}",
        protocol="frames of a dialogue over the seconds from the method's call to its last frame, networks loaded, "
        "files not yet written; one process, on the hardware that the provenance beside the videos names; only for a "
        "video whose hash the timing names",
        disagreements=(
            "Published rates are of other machines and seldom say whether encoders, rendering and writing count.",
            "The clock's rate falls when other jobs share the machine; the processor's does not, but means nothing "
            "on a GPU.",
        ),
        **_COMMON,
    ),
    MetricCard(
        name="latency",
        label="Latency",
        unit="s",
        direction="lower",
        range=(0.0, float("inf")),
        parts=("dialogue",),
        definition="Seconds from asking for a dialogue's video until all of it is there. The suite asks for whole "
        "dialogues: this is no delay of a live stream, which `python -m benchmarks.streaming` measures for ECHO.",
        equation=r"s_{\text{generate}}",
        protocol="seconds of the clock from the method's call to its last frame, as frames_per_second; grows with the "
        "dialogue's length",
        disagreements=(
            "Published latencies are of streams, to the first frame or the next block of frames, with or without the "
            "look-ahead; none is comparable with this one.",
        ),
        **_COMMON,
    ),
)


def clip_values(clip, tools) -> Iterator[Value]:
    timing = clip.timing
    if timing is None:
        raise Undefined("not_timed")
    yield Value("frames_per_second", "wall", timing.frames / timing.wall)
    yield Value("frames_per_second", "cpu", timing.frames / timing.cpu)
    yield Value("latency", "dialogue", timing.wall)
