"""The motion probe: trained on the named coefficients where the data has a truth, else the mesh of real faces."""

from dataclasses import dataclass, field

from dyads.errors import ConfigError
from evaluation.clips import read_truth
from evaluation.fits import Job, schedule
from evaluation.probes.mesh import MeshProbe
from evaluation.probes.motion import MotionProbe, MotionTask, r_squared
from evaluation.probes.pca import PcaProbe
from training.device import seeded
from training.options import TrainOptions


@dataclass(frozen=True)
class Options:
    """`kind` auto: `motion`, trained on the true coefficients, where the data has them, else `mesh`, which needs no
    training; `pca`: principal components without names.
    """

    kind: str = "auto"
    size: int = 64
    width: int = 24
    videos: int = 320
    per_video: int = 50
    dimensions: int = 16  # of the PCA
    train: TrainOptions = field(default_factory=lambda: schedule(900))


def fit(job: Job, o: Options) -> None:
    """Train (or fit) the probe and write it with the test identities' R2."""
    kind = o.kind
    if kind == "auto":
        kind = "motion" if read_truth(job.dyads()[0]) is not None else "mesh"
    if kind not in ("motion", "mesh", "pca"):
        raise ConfigError(f"probes.motion.kind is {o.kind!r}, but must be auto, motion, mesh or pca.")
    if kind == "mesh":
        probe = MeshProbe()
        job.write(probe, kind, {}, o, extractor=probe.extractor)
        return
    frames = job.frames(o.size, o.videos, o.per_video)
    if kind == "motion" and frames.targets is None:
        raise ConfigError(f"probes.motion.kind is 'motion', but {job.data} has no true coefficients; use auto or mesh.")
    said: dict = {"train_frames": len(frames), "train_videos": len(frames.references)}
    if kind == "pca":
        build = {"size": min(32, o.size), "dimensions": o.dimensions}
        probe = PcaProbe(**build)
        probe.fit(frames)
    else:
        build = {"size": o.size, "width": o.width}
        with seeded(job.seed, "motion-probe-init"):
            task = MotionTask(MotionProbe(**build), frames, o.train.batch_size)
        probe = job.trained(task, o.train, build)
        test = job.frames(o.size, job.test_videos, 60, "test")
        said |= {"test_r2": r_squared(probe, test), "test_frames": len(test)}
        print("test R2: " + ", ".join(f"{k} {v}" for k, v in said["test_r2"].items()), flush=True)
    job.write(probe, kind, build, o, **said)
