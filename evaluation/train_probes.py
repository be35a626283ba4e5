"""Train the probes on true frames of training identities: `python -m evaluation.train_probes --data DIR ...`.

`--probe motion` and `--probe image` run side by side; `--probe both` does one after the other in one process.
Writes the probe's safetensors and a .json with the test identities' R2 or accuracy beside it.
"""

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from dyads.contract import file_sha256, read_manifest
from dyads.errors import ConfigError, run_cli
from evaluation.clips import read_truth
from evaluation.probes.frames import FrameSet, sample_frames
from evaluation.probes.image import ImageProbe, ImageTask
from evaluation.probes.motion import MotionProbe, MotionTask, r_squared
from evaluation.probes.pca import PcaProbe
from evaluation.probes.store import save_probe
from training.device import limit_threads, pick_device, seeded
from training.loop import Task, train
from training.options import TrainOptions, from_dict, parse_json
from training.provenance import write_provenance


def _schedule(steps: int) -> TrainOptions:
    return TrainOptions(
        steps=steps, batch_size=64, learning_rate=2.5e-3, weight_decay=0.1, warmup_steps=50, schedule="cosine"
    )


@dataclass(frozen=True)
class MotionOptions:
    """`kind` auto: the named coefficients where the data has a truth, else PCA."""

    kind: str = "auto"
    size: int = 64
    width: int = 24
    videos: int = 320
    per_video: int = 50
    dimensions: int = 16  # of the PCA
    train: TrainOptions = field(default_factory=lambda: _schedule(900))


@dataclass(frozen=True)
class ImageOptions:
    """The image probe: identity classification, and motion where the data has a truth."""

    size: int = 64
    videos: int = 60
    per_video: int = 50
    train: TrainOptions = field(default_factory=lambda: _schedule(600))


@dataclass(frozen=True)
class ProbeOptions:
    """Everything about the probes; `test_videos` videos of test identities are read for the stated R2."""

    motion: MotionOptions = MotionOptions()
    image: ImageOptions = ImageOptions()
    test_videos: int = 24
    seed: int = 0


def train_motion(data: Path, options: ProbeOptions, checkpoints: Path, out: Path) -> None:
    """Train (or fit) the motion probe and write it with its test R2."""
    started, o = time.monotonic(), options.motion
    dyads = read_manifest(data, "train")
    kind = o.kind
    if kind == "auto":
        kind = "motion" if read_truth(dyads[0]) is not None else "pca"
    if kind not in ("motion", "pca"):
        raise ConfigError(f"motion.kind is {o.kind!r}, but must be auto, motion or pca.")
    frames = _sampled(data, "train", o.size, o.videos, o.per_video, options.seed)
    if kind == "motion" and frames.targets is None:
        raise ConfigError(f"motion.kind is 'motion', but {data} has no true coefficients; use auto or pca.")
    scores: dict = {}
    if kind == "pca":
        build = {"size": min(32, o.size), "dimensions": o.dimensions}
        probe = PcaProbe(**build)
        probe.fit(frames)
    else:
        build = {"size": o.size, "width": o.width}
        with seeded(options.seed, "motion-probe-init"):
            task = MotionTask(MotionProbe(**build), frames, o.train.batch_size)
        probe = _trained(task, o.train, checkpoints / "motion", options.seed, "motion-probe", data, build)
        test = _sampled(data, "test", o.size, options.test_videos, 60, options.seed)
        scores = {"test_r2": r_squared(probe, test), "test_frames": len(test)}
    _write(out, probe, kind, build, frames, data, options, scores, started)


def train_image(data: Path, options: ProbeOptions, checkpoints: Path, out: Path) -> None:
    """Train the image probe and write it with its training accuracy."""
    started, o = time.monotonic(), options.image
    frames = _sampled(data, "train", o.size, o.videos, o.per_video, options.seed)
    build = {
        "size": o.size,
        "subjects": len(frames.subjects),
        "targets": 0 if frames.targets is None else frames.targets.shape[1],
    }
    with seeded(options.seed, "image-probe-init"):
        task = ImageTask(ImageProbe(**build), frames, o.train.batch_size)
    probe = _trained(task, o.train, checkpoints / "image", options.seed, "image-probe", data, build)
    _write(out, probe, "image", build, frames, data, options, {"subjects": len(frames.subjects)}, started)


def _sampled(data: Path, split: str, size: int, videos: int, per_video: int, seed: int) -> FrameSet:
    dyads = read_manifest(data, split)
    return sample_frames(dyads, size=size, videos=videos, per_video=per_video, seed=seed)


def _trained(
    task: Task, options: TrainOptions, folder: Path, seed: int, stage: str, data: Path, build: dict[str, int]
) -> torch.nn.Module:
    task.module.to(pick_device())
    identity = {"data": file_sha256(data / "manifest.csv"), "build": build, "frames": len(task.data)}
    return train(task, options, folder, seed=seed, stage=stage, identity=identity).cpu()


def _write(
    out: Path,
    probe: torch.nn.Module,
    kind: str,
    build: dict[str, int],
    frames: FrameSet,
    data: Path,
    options: ProbeOptions,
    scores: dict,
    started: float,
) -> None:
    meta = {
        "data_manifest_sha256": file_sha256(data / "manifest.csv"),
        "train_frames": len(frames),
        "train_videos": len(frames.references),
        **scores,
    }
    save_probe(out, probe, kind, build, meta)
    parameters = sum(p.numel() for p in probe.parameters())
    write_provenance(
        out.with_suffix(".json"), options, options.seed, {"probe": out}, started=started,
        kind=kind, parameters=parameters, cpu_seconds=round(time.process_time(), 1), **meta,
    )  # fmt: skip
    print(f"{kind} probe: {len(frames)} frames, {time.monotonic() - started:.0f} s -> {out}", flush=True)
    if "test_r2" in scores:
        print("test R2: " + ", ".join(f"{k} {v}" for k, v in scores["test_r2"].items()), flush=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m evaluation.train_probes", description=__doc__)
    parser.add_argument("--probe", choices=("motion", "image", "both"), default="both")
    parser.add_argument("--data", required=True, type=Path, help="folder with manifest.csv")
    parser.add_argument("--options", default="{}", help="JSON object or @file; see ProbeOptions")
    parser.add_argument("--checkpoints", required=True, type=Path, help="folder of training states")
    parser.add_argument("--out-motion", type=Path, help="safetensors file of the motion probe")
    parser.add_argument("--out-image", type=Path, help="safetensors file of the image probe")
    args = parser.parse_args(arguments)
    limit_threads(1)
    options = from_dict(ProbeOptions, _completed(parse_json(args.options, "--options")), "probes")
    for probe, out, function in (
        ("motion", args.out_motion, train_motion),
        ("image", args.out_image, train_image),
    ):
        if args.probe not in (probe, "both"):
            continue
        if out is None:
            raise ConfigError(f"--out-{probe} is missing; name the file of the {probe} probe.")
        function(args.data, options, args.checkpoints, out)


def _completed(given: dict) -> dict:
    """A `train` section may name single fields: the rest comes from the defaults."""
    default, filled = ProbeOptions(), dict(given)
    for probe in ("motion", "image"):
        section = filled.get(probe)
        if isinstance(section, dict) and isinstance(section.get("train"), dict):
            filled[probe] = {**section, "train": {**vars(getattr(default, probe).train), **section["train"]}}
    return filled


if __name__ == "__main__":
    run_cli(main)
