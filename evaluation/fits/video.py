"""Training the video probe, and how well it tells the speed of people whom it never saw."""

from dataclasses import dataclass, field

from dyads.errors import DataError
from evaluation.fits import Job, schedule
from evaluation.probes.video import LONGEST, VideoProbe, VideoTask, speed_accuracy
from evaluation.probes.windows import sample_windows
from training.device import seeded
from training.options import TrainOptions


@dataclass(frozen=True)
class Options:
    """The video probe: the speed of windows of 16 frames."""

    size: int = 32
    width: int = 16
    videos: int = 100
    per_video: int = 10
    train: TrainOptions = field(default_factory=lambda: schedule(300, batch_size=32))


def fit(job: Job, o: Options) -> None:
    """Train the probe and write it with the share of test windows whose speed it tells."""
    shape = {"size": o.size, "length": LONGEST, "seed": job.seed}
    data = sample_windows(job.dyads(), **shape, videos=o.videos, per_video=o.per_video)
    if not len(data):
        raise DataError(f"{job.data} has no training video of {LONGEST} frames, which the video probe needs.")
    build = {"size": o.size, "width": o.width}
    with seeded(job.seed, "video-probe-init"):
        task = VideoTask(VideoProbe(**build), data, o.train.batch_size)
    probe = job.trained(task, o.train, build).eval()
    test = sample_windows(job.dyads("test"), **shape, videos=job.test_videos, per_video=4)
    found = speed_accuracy(probe, test)
    print(f"test speed accuracy: {found}", flush=True)
    job.write(probe, "video", build, o, train_windows=len(data), test_windows=len(test), test_speed_accuracy=found)
