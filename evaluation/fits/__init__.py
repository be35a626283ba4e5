"""Training the probes on true frames of training identities; every file has `Options` and `fit(job, options)`.

`python -m evaluation.fits --probe NAME` runs the file of that name, and the workflow one job for each file.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from dyads.contract import Dyad, file_sha256, read_manifest
from dyads.manifest import datasets_of
from evaluation.probes.frames import FrameSet, sample_frames
from evaluation.probes.store import save_probe
from training.device import pick_device
from training.engine.loop import Task, train
from training.engine.weights import read_meta
from training.options import TrainOptions
from training.provenance import write_provenance
from training.shipped import shipped
from training.shipped.start import require_sizes, start_from_shipped

HEADS = ("subject", "motion.")  # of a probe: they tell the people and coefficients of the data it was trained on
OF_DATA = ("subjects", "targets")  # their sizes


def schedule(steps: int, **changes: Any) -> TrainOptions:
    """How the probes are trained; `changes` replace single fields."""
    common = {"batch_size": 64, "learning_rate": 2.5e-3, "weight_decay": 0.1, "warmup_steps": 50, "schedule": "cosine"}
    return TrainOptions(steps=steps, **{**common, **changes})


@dataclass(frozen=True)
class Job:
    """One probe to train: its name, where the data is, where states and result go, the seed.

    `test_videos`: how many videos of test identities may be read to say how good the probe is.
    `start`: shipped to train on from the package's reader of that name, or None.
    """

    name: str
    data: Path
    checkpoints: Path
    out: Path
    seed: int
    test_videos: int
    started: float
    start: str | None = None

    def dyads(self, split: str = "train") -> list[Dyad]:
        return read_manifest(self.data, split)

    def frames(self, size: int, videos: int, per_video: int, split: str = "train") -> FrameSet:
        """True frames of one split, see `sample_frames`."""
        return sample_frames(self.dyads(split), size=size, videos=videos, per_video=per_video, seed=self.seed)

    def trained(self, task: Task, options: TrainOptions, build: dict[str, int]) -> nn.Module:
        """The task's module after training, on the CPU; a finished training is loaded and not repeated."""
        task.module.to(pick_device())
        identity = {"data": file_sha256(self.data / "manifest.csv"), "build": build, "samples": len(task.data)}
        if self.start:
            sizes = {key: size for key, size in read_meta(shipped(self.name))["build"].items() if key not in OF_DATA}
            require_sizes(build, sizes, f"probes.{self.name}", self.name, "probes.start")
            start_from_shipped(task.module, self.name, HEADS, "probes.start")
            identity["start"] = file_sha256(shipped(self.name))
        stage = f"{self.name}-probe"
        return train(task, options, self.checkpoints, seed=self.seed, stage=stage, identity=identity).cpu()

    def write(self, probe: nn.Module, kind: str, build: dict[str, int], options: Any, **said: Any) -> None:
        """The probe's file and provenance; `said` goes into both: what it was trained on, how good it is."""
        manifest = self.data / "manifest.csv"
        meta = {"data_manifest_sha256": file_sha256(manifest), "datasets": list(datasets_of(self.data)), **said}
        meta |= {"start": file_sha256(shipped(self.name))} if self.start else {}
        save_probe(self.out, probe, kind, build, meta)
        parameters = sum(p.numel() for p in probe.parameters())
        all_options = {self.name: options, "seed": self.seed, "test_videos": self.test_videos}
        write_provenance(
            self.out.with_suffix(".json"), all_options, self.seed, {"probe": self.out}, started=self.started,
            kind=kind, parameters=parameters, cpu_seconds=round(time.process_time(), 1), **meta,
        )  # fmt: skip
        print(f"{kind} probe: {time.monotonic() - self.started:.0f} s -> {self.out}", flush=True)
