"""Training the image probe: who is in the picture and, where the data has a truth, how the face moves."""

from dataclasses import dataclass, field

from evaluation.fits import Job, schedule
from evaluation.probes.image import ImageProbe, ImageTask
from training.device import seeded
from training.options import TrainOptions


@dataclass(frozen=True)
class Options:
    """The image probe: identity classification, and motion where the data has a truth."""

    size: int = 64
    videos: int = 60
    per_video: int = 50
    train: TrainOptions = field(default_factory=lambda: schedule(600))


def fit(job: Job, o: Options) -> None:
    """Train the probe and write it."""
    frames = job.frames(o.size, o.videos, o.per_video)
    targets = 0 if frames.targets is None else frames.targets.shape[1]
    build = {"size": o.size, "subjects": len(frames.subjects), "targets": targets}
    with seeded(job.seed, "image-probe-init"):
        task = ImageTask(ImageProbe(**build), frames, o.train.batch_size)
    probe = job.trained(task, o.train, build)
    said = {"train_frames": len(frames), "train_videos": len(frames.references), "subjects": len(frames.subjects)}
    job.write(probe, "image", build, o, **said)
