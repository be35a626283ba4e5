"""Training the identity probe, and how well it tells people apart whom it never saw."""

from dataclasses import dataclass, field

from evaluation.fits import Job, schedule
from evaluation.probes.identity import IdentityProbe, IdentityTask, verification
from training.device import seeded
from training.options import TrainOptions


@dataclass(frozen=True)
class Options:
    """The identity probe: classification of training identities with an angular margin."""

    size: int = 64
    width: int = 24
    videos: int = 240
    per_video: int = 16
    train: TrainOptions = field(default_factory=lambda: schedule(300))


def fit(job: Job, o: Options) -> None:
    """Train the probe and write it with its verification of test identities."""
    frames = job.frames(o.size, o.videos, o.per_video)
    build = {"size": o.size, "width": o.width, "subjects": len(frames.subjects)}
    with seeded(job.seed, "identity-probe-init"):
        task = IdentityTask(IdentityProbe(**build), frames, o.train.batch_size)
    probe = job.trained(task, o.train, build).eval()
    said = {"train_frames": len(frames), "train_videos": len(frames.references), "subjects": len(frames.subjects)}
    found = verification(probe, job.frames(o.size, 2 * job.test_videos, 8, "test"))
    print(f"test verification: {found}", flush=True)
    job.write(probe, "identity", build, o, **said, test_verification=found)
