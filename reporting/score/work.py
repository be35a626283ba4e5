"""One name after the other, all systems of a name together: read, measured, and what the page shows of it.

Names go to worker processes of one thread each, which beats threads within a network: nothing waits for anything.
"""

import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dyads.errors import DataError
from dyads.media.containers import SAMPLES_PER_FRAME
from evaluation.cards import OK, Value, undefined
from evaluation.metrics.pictures.perceptual import shared_lpips
from evaluation.networks import load_networks
from evaluation.networks.dlib_identity import DlibIdentity
from evaluation.readings.clip import Tools
from evaluation.rows import WHOLE_SET
from evaluation.run import measure
from reporting.score.clips import ALONE, Pair, failed, make_pair, vertices_of
from reporting.score.curves import curves_of
from reporting.score.items import Item
from reporting.score.videos import Reader, Video
from training.device import cores, limit_threads, pick_device

TOGETHER = 3  # systems whose videos of one name are held at the same time
PICTURES = ("psnr", "ssim", "perceptual", "fid", "fvd", "cpbd", "sync", "csim")  # which need no mesh of the face
HEAVY = {"inception": "pytorch_fid.inception", "lpips": "lpips"}  # imports of networks that take seconds
OF_THE_USER = ("rpcc", "tlcc", "paired_fd", "rdgg")  # how metrics begin that ask whom the avatar answers


@dataclass(frozen=True)
class Task:
    """What is done with every name. `weights`: network -> file; `regions`: of given meshes."""

    systems: tuple[str, ...]
    metrics: tuple[str, ...]
    weights: dict[str, str]
    cache: Path
    size: int
    common: bool
    regions: dict[str, np.ndarray]

    def tools(self) -> Tools:
        """The networks whose weights were given, and dlib's, which ships with a package; nothing is downloaded."""
        shipped = {"dlib": DlibIdentity()} if self.identity else {}
        return Tools(networks=load_networks(self.weights, pick_device()) | shipped)

    @property
    def faces(self) -> bool:
        """Whether a face's points are read."""
        return not set(self.metrics) <= set(PICTURES)

    @property
    def identity(self) -> bool:
        """Whether dlib's network is asked."""
        return bool({"csim", "aed"} & set(self.metrics))


@dataclass
class Measured:
    """Of one name: each system's pair, whose clip has no pictures any more, its values, and its curves by system."""

    item: Item
    pairs: list[Pair] = field(default_factory=list)
    rows: list[tuple[str, str, Value]] = field(default_factory=list)
    curves: dict[str, dict] = field(default_factory=dict)


class Scorer:
    """Reads and measures names with one set of networks."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.reader = Reader(task.tools(), task.cache, task.weights, task.size, task.faces, task.regions)
        self.lpips = self.reader.tools.networks.get("lpips") if "perceptual" in task.metrics else None

    def measured(self, item: Item) -> Measured:
        """All that is found of a name."""
        found = Measured(item)
        for pair in self._pairs(item):
            if pair.clip.status == OK:
                found.curves[pair.system] = curves_of(pair.clip, pair.alone)
            values, (pair.clip,) = measure(iter([pair.clip]), self.reader.tools, self.task.metrics, of_set=False)
            found.rows += [
                (pair.system, name, without(value, pair.alone, pair.answers))
                for name, value in values
                if name != WHOLE_SET
            ]
            found.pairs.append(pair)
        for pair in found.pairs:
            pair.clip.series = {}
        return found

    def _pairs(self, item: Item) -> Iterator[Pair]:
        told: list[str] = []
        true, user = self._open(item.true, told), self._open(item.user, told)
        voice = None if true is None else true.sound
        if true is not None:
            self.reader.read(true, voice)
        if user is not None:
            self.reader.read(user)
        sharpness: dict[int, np.ndarray] = {}  # of the truth, by the number of frames
        for first in range(0, len(self.task.systems), TOGETHER):
            systems = self.task.systems[first : first + TOGETHER]
            pairs = [self._pair(item, system, true, user, voice, told) for system in systems]
            self._lpips(pairs, true)
            for pair in pairs:
                if pair.clip.frames in sharpness:
                    pair.clip.series["cpbd_true"] = sharpness[pair.clip.frames]
                yield pair
                if "cpbd_true" in pair.clip.series:
                    sharpness[pair.clip.frames] = pair.clip.series["cpbd_true"]

    def _open(self, path: Path | None, notes: list[str], shape=None) -> Video | None:
        if path is None:
            return None
        try:
            return self.reader.open(path, shape)
        except DataError as error:
            notes.append(str(error))
            return None

    def _pair(self, item: Item, system: str, true, user, voice, told: list[str]) -> Pair:
        """One system's video of a name with its readings."""
        path, notes = item.generated.get(system), []
        if path is None:
            return failed(item, system, "missing_video", "no video of this name", item.true is None)
        if item.true is not None and true is None:
            return failed(item, system, "no_truth", f"the truth cannot be read: {told[0]}", True)
        generated = self._open(path, notes, true.frames.shape[1:3] if true is not None else None)
        if generated is None:
            return failed(item, system, "missing_video", notes[0], item.true is None)
        heard = generated.sound if generated.sound is not None else voice
        if heard is not None:
            wanted = len(generated) * SAMPLES_PER_FRAME
            heard = np.pad(heard, (0, max(0, wanted - len(heard))))[:wanted]
        self.reader.read(generated, heard)
        pair = make_pair(item, system, generated, true, user, self.reader, self.task.common)
        pair.notes += told
        if pair.clip.status == OK and "samples" in self.task.metrics:
            further = item.samples.get(system, ())
            pair.clip.samples = tuple(self._sample(path, generated, true, pair) for path in further)
        return pair

    def _sample(self, path: Path, generated: Video, true: Video | None, pair: Pair) -> np.ndarray | str:
        """The face of another sample of a clip, or the status that says why there is none."""
        notes: list[str] = []
        video = self._open(path, notes, generated.frames.shape[1:3]) if path.is_file() else None
        if video is None:
            pair.notes += notes or [f"{path}: no such sample"]
            return "missing_video"
        self.reader.read_face(video)
        try:
            found = vertices_of(video, generated, true, pair.clip.frames, self.reader)
        except DataError as error:
            pair.notes.append(f"{path}: a sample without a face ({error})")
            return "no_face"
        if isinstance(found, str):
            pair.notes.append(f"{path}: a sample of {len(video)} frames, the first has {len(generated)}")
        return found

    def _lpips(self, pairs: list[Pair], true: Video | None) -> None:
        """LPIPS of all of them at once: the network sees the truth a single time."""
        pairs = [pair for pair in pairs if pair.clip.status == OK and not pair.alone]
        if self.lpips is None or true is None or not pairs:
            return
        longest = max((pair.clip.true for pair in pairs), key=len)
        found = shared_lpips(self.lpips, [pair.clip.generated for pair in pairs], longest)
        for pair, values in zip(pairs, found, strict=True):
            pair.clip.series["lpips"] = values


def without(value: Value, alone: bool, answers: bool) -> Value:
    """A value of a video that has no truth, or of one whose user nobody gave."""
    own = (
        value.metric.startswith(ALONE)
        and not value.part.endswith("_truth")
        and not value.metric.startswith("lse_offset_t")
    )
    if value.status not in (OK, "not_finite"):
        return value
    if alone and not own:
        return undefined(value.metric, value.part, "no_truth")
    if not answers and value.metric.startswith(OF_THE_USER):
        return undefined(value.metric, value.part, "no_user")
    return value


_of_process: list[Scorer] = []  # of a worker


def _begin(task: Task) -> None:
    limit_threads(1)
    _of_process.append(Scorer(task))


def _work(item: Item) -> Measured:
    return _of_process[0].measured(item)


def go_through(task: Task, items: Sequence[Item], workers: int | None) -> Iterator[Measured]:
    """What is found of every name, in their order; `workers` None: one for each core, or one where there is a GPU."""
    gpu = pick_device().type == "cuda"
    workers = min(len(items), workers or (1 if gpu else cores()))
    if workers <= 1:
        scorer = Scorer(task)
        yield from map(scorer.measured, items)
        return
    # A server that has imported all and run nothing is forked from: forks of this process would miss its threads.
    context = multiprocessing.get_context("spawn" if gpu or sys.platform == "win32" else "forkserver")
    context.set_forkserver_preload([__name__, *(HEAVY[slot] for slot in task.weights if slot in HEAVY)])
    with ProcessPoolExecutor(workers, context, _begin, (task,)) as pool:
        try:
            yield from pool.map(_work, items)
        except BrokenProcessPool as error:
            raise DataError(
                "a worker process was ended from outside, as where memory runs out; give --workers 1."
            ) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
