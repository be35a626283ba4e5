"""Training the sync probe, and how well it finds shifts of the voice that were planted in videos of unseen people."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from dyads.contract import SAMPLES_PER_FRAME, Dyad, read_wav
from dyads.errors import DataError
from dyads.media.video import read_video
from evaluation.clips import avatar_speaking, read_truth
from evaluation.fits import Job, schedule
from evaluation.metrics._series import Undefined
from evaluation.probes.sync import SyncProbe, SyncTask, sample_voices
from evaluation.readings.lip_sync import curve, lse, reading, scored
from training.device import seeded
from training.options import TrainOptions

PLANTED = range(-5, 6)  # frames
LATE = (0, 2, 5, 10)  # frames
MINIMUM_FRAMES = 25  # of a stretch of speech, as in the metric


@dataclass(frozen=True)
class Options:
    """The sync probe: which moment of a voice belongs to a mouth."""

    size: int = 64
    width: float = 1 / 8
    videos: int = 240
    train: TrainOptions = field(
        default_factory=lambda: schedule(120, batch_size=12, learning_rate=3e-3, weight_decay=0.05, warmup_steps=20)
    )


def fit(job: Job, o: Options) -> None:
    """Train the probe and write it with its share of planted shifts found in test videos."""
    voices = sample_voices(job.dyads(), size=o.size, videos=o.videos, seed=job.seed)
    if not len(voices):
        raise DataError(f"{job.data} has no training video with speech, which the sync probe needs.")
    build = {"size": o.size, "width": o.width}
    with seeded(job.seed, "sync-probe-init"):
        task = SyncTask(SyncProbe(**build), voices, o.train.batch_size)
    probe = job.trained(task, o.train, build).eval()
    found = planted_offsets(probe, job.dyads("test")[: job.test_videos])
    print(f"test offsets: {found}", flush=True)
    job.write(probe, "sync", build, o, train_videos=len(voices), test_offsets=found)


def shifted(audio: np.ndarray, frames: int) -> np.ndarray:
    """Sound (640 T,) that comes `frames` later, or earlier if negative; silence fills the gap."""
    moved, count = np.zeros_like(audio), abs(frames) * SAMPLES_PER_FRAME
    if frames >= 0:
        moved[count:] = audio[: len(audio) - count]
    else:
        moved[:-count] = audio[count:]
    return moved


def planted_offsets(probe: SyncProbe, dyads: list[Dyad]) -> dict[str, object]:
    """Over avatars that speak: share of clips in which all of the shifts -5 .. 5 are found exactly, and mean LSE-D and
    LSE-C with the voice late by 0, 2, 5 and 10 frames, and of the first frame held throughout."""
    right, late, frozen = [], [], []
    for lips, still, audio, speaking in _speakers(probe, dyads):
        curves = {}
        for shift in sorted({*PLANTED, *LATE}):
            heard = shifted(audio, shift)
            voice = probe.listen(heard)
            row = reading(lips, voice, heard)
            curves[shift] = curve(row, scored(row, speaking, MINIMUM_FRAMES, "no_speech"))
            if shift == 0:
                row = reading(still, voice, heard)
                frozen.append(lse(curve(row, scored(row, speaking, MINIMUM_FRAMES, "no_speech")))[:2])
        right.append(all(lse(curves[shift])[2] == -shift for shift in PLANTED))
        late.append([lse(curves[shift])[:2] for shift in LATE])
    if not right:
        return {"clips": 0}
    distance, confidence = np.mean(late, 0).T.round(4).tolist()
    still_distance, still_confidence = np.mean(frozen, 0).round(4).tolist()
    return {
        "clips": len(right),
        "all_found": round(float(np.mean(right)), 4),
        "late_frames": list(LATE),
        "lse_d": distance,
        "lse_c": confidence,
        "frozen_lse_d": still_distance,
        "frozen_lse_c": still_confidence,
    }


def _speakers(probe: SyncProbe, dyads: list[Dyad]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Lip features of the video and of its first frame held, sound, bool (T,) speech; of avatars that can be scored."""
    for dyad in dyads:
        frames, audio = read_video(dyad.avatar.video), read_wav(dyad.avatar)
        speaking = avatar_speaking(dyad, len(frames), audio, read_truth(dyad))
        lips = probe.look(frames)
        try:
            row = reading(lips, probe.listen(audio), audio)
            scored(row, speaking, MINIMUM_FRAMES, "no_speech")
        except Undefined:
            continue
        yield lips, np.repeat(probe.look(frames[:1].repeat(5, 0)), len(lips), 0), audio, speaking
