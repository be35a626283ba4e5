"""One side of `benchmarks.metrics` in a process of its own: ours, or a peer as its users run it.

`python -m benchmarks.metric_sides NAME FOLDER` prints one line of JSON last: seconds from loading the network to the
last value, without imports; of these the seconds of loading weights and inside the networks' own forward passes; how
many samples each network saw; peak memory; and the values.
"""

import contextlib
import io
import json
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import soundfile

from benchmarks.metric_clips import I3D, SYNCNET, WEIGHTS, Setting
from benchmarks.report import peak_mib
from dyads.media.video import read_video
from evaluation.frechet import frechet_distance
from evaluation.networks.i3d import WINDOW
from evaluation.networks.inception import STRIDE

Values = dict[str, float]
SIDES_OF_CLIPS = ("true", "generated")
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


class Watch:
    """Seconds, by the wall and by the processor, of a block; of it, those of loading weights and of the networks."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.loading: Counter[str] = Counter()
        self.network: Counter[str] = Counter()
        self.samples: Counter[str] = Counter()
        self.sides: dict[str, Counter[str]] = defaultdict(Counter)

    def set_on(self, owner: type, name: str = "forward") -> None:
        """From now on, count the time inside a network's method, and the samples of the first batch it is given."""
        plain = getattr(owner, name)

        def timed(network, batch, *args, **options):
            self.samples[f"{owner.__name__}.{name}"] += len(batch)
            with self._counting(self.network):
                return plain(network, batch, *args, **options)

        setattr(owner, name, timed)

    @contextlib.contextmanager
    def reading_weights(self) -> Iterator[None]:
        with self._counting(self.loading):
            yield

    def of_side(self, side: str) -> contextlib.AbstractContextManager:
        """Count a block towards one side's videos too."""
        return self._counting(self.sides[side])

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with contextlib.redirect_stdout(io.StringIO()), self._counting(self.seconds):  # peers tell their progress
            yield

    @contextlib.contextmanager
    def _counting(self, counter: Counter[str]) -> Iterator[None]:
        start = {name: clock() for name, clock in CLOCKS.items()}
        try:
            yield
        finally:
            counter.update({name: clock() - start[name] for name, clock in CLOCKS.items()})


def ours(folder: Path, setting: Setting, watch: Watch) -> Values:
    """One decode of every video, by the functions behind the tables."""
    import lpips
    import python_speech_features  # noqa: F401  # before the clock runs, as the peers'

    from evaluation.metrics.pictures.perceptual import lpips_distance
    from evaluation.metrics.pictures.psnr import psnr
    from evaluation.metrics.pictures.ssim import ssim
    from evaluation.networks import i3d, inception, load_networks, syncnet
    from evaluation.readings.lip_sync import curve, lse, reading

    for owner, name in ((inception.Inception, "forward"), (i3d.I3D, "forward"), (lpips.LPIPS, "forward")):
        watch.set_on(owner, name)
    for name in ("along", "forward_aud"):
        watch.set_on(syncnet.SyncNet, name)
    slots = {"pytorch-fid": "inception", "cd-fvd": "i3d", "lpips": "lpips", "syncnet-python": "syncnet"}
    weights = {slots[peer]: folder / "weights" / WEIGHTS[peer] for peer in setting.peers if peer in slots}
    features: dict[str, list] = {"fid": [], "fvd": []}
    means: dict[str, list] = {"ssim": [], "psnr": [], "lpips": [], "lse_d": [], "lse_c": []}
    with watch.running():
        with watch.reading_weights():
            networks = load_networks(weights, "cpu")
        for name in setting.names:
            true, generated = (read_video(folder / side / f"{name}.mp4") for side in SIDES_OF_CLIPS)
            if "scikit-image" in setting.peers:
                means["ssim"].append(ssim(generated, true))
                means["psnr"].append(psnr(generated, true))
            if "lpips" in networks:
                means["lpips"].append(lpips_distance(networks["lpips"], generated, true))
            for value, slot in (("fid", "inception"), ("fvd", "i3d")):
                if slot in networks:
                    features[value].append([networks[slot].features_of(side) for side in (generated, true)])
            if "syncnet" in networks:
                sound = soundfile.read(folder / "true" / f"{name}.wav", dtype="float32")[0]  # as dyads.contract does
                lips, voice = networks["syncnet"].look(generated), networks["syncnet"].listen(sound)
                distance, confidence, _ = lse(curve(reading(lips, voice, sound), [(0, len(generated))]))
                means["lse_d"].append(distance)
                means["lse_c"].append(confidence)
        values = {name: float(np.mean(found)) for name, found in means.items() if found}
        for name, pairs in features.items():
            if pairs:
                values[name] = frechet_distance(*(np.concatenate(side) for side in zip(*pairs, strict=True)))
    return values


def pytorch_fid(folder: Path, setting: Setting, watch: Watch) -> Values:
    """Frames as PNG files, then the command line of pytorch-fid.

    Its matrix root of rank-deficient covariances now and then comes out complex, and it gives up after all its work:
    then there is no FID.
    """
    import cv2
    from pytorch_fid import fid_score
    from pytorch_fid.inception import InceptionV3

    watch.set_on(InceptionV3)
    found: Values = {}
    plain = fid_score.calculate_fid_given_paths
    fid_score.calculate_fid_given_paths = lambda *args: found.setdefault("fid", float(plain(*args)))

    def loaded(*args):
        with watch.reading_weights():
            return InceptionV3(*args)

    loaded.BLOCK_INDEX_BY_DIM = InceptionV3.BLOCK_INDEX_BY_DIM
    fid_score.InceptionV3 = loaded
    with tempfile.TemporaryDirectory() as pictures, watch.running():
        for side in SIDES_OF_CLIPS:
            (Path(pictures) / side).mkdir()
            for name in setting.names:
                frames = read_video(folder / side / f"{name}.mp4")
                for t in range(0, len(frames), STRIDE):
                    cv2.imwrite(f"{pictures}/{side}/{name}_{t:04d}.png", frames[t][..., ::-1])
        sys.argv = ["pytorch_fid", f"{pictures}/true", f"{pictures}/generated", "--device", "cpu"]
        with contextlib.redirect_stderr(io.StringIO()):
            try:
                fid_score.main()
            except ValueError as error:
                if "Imaginary component" not in str(error):
                    raise
    return found


def scikit_image(folder: Path, setting: Setting, watch: Watch) -> Values:
    """SSIM and PSNR, frame by frame."""
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    similarities, ratios = [], []
    with watch.running():
        for name in setting.names:
            true, generated = (read_video(folder / side / f"{name}.mp4") for side in SIDES_OF_CLIPS)
            for a, b in zip(true, generated, strict=True):
                similarities.append(structural_similarity(a, b, data_range=255, channel_axis=2, **gaussian))
                ratios.append(peak_signal_noise_ratio(a, b, data_range=255))
    return {"ssim": float(np.mean(similarities)), "psnr": float(np.mean(ratios))}


def lpips(folder: Path, setting: Setting, watch: Watch) -> Values:
    """One pair of frames after the other, as in the package's own script."""
    import lpips as package
    import torch

    watch.set_on(package.LPIPS)
    distances = []
    with watch.running(), torch.no_grad():
        with watch.reading_weights():
            network = package.LPIPS(net="alex", verbose=False)
        for name in setting.names:
            true, generated = (read_video(folder / side / f"{name}.mp4") for side in SIDES_OF_CLIPS)
            for a, b in zip(true, generated, strict=True):
                distances.append(float(network(package.im2tensor(a), package.im2tensor(b))))
    return {"lpips": float(np.mean(distances))}


def syncnet_python(folder: Path, setting: Setting, watch: Watch) -> Values:
    """A folder of JPEG files and a sound file for each clip, then `SyncNetInstance.evaluate`."""
    import cv2
    import torch
    from syncnet_python import SyncNetInstance, SyncNetModel

    watch.set_on(SyncNetModel, "forward_lip")
    watch.set_on(SyncNetModel, "forward_aud")
    found: dict[str, list] = {side: [] for side in setting.lse_sides}
    with watch.running():
        with watch.reading_weights():
            network = SyncNetModel()
            network.load_state_dict(torch.load(folder / "weights" / SYNCNET, weights_only=True))
        instance = SyncNetInstance(network, device="cpu")
        for side, name in product(setting.lse_sides, setting.names):
            with watch.of_side(side), tempfile.TemporaryDirectory() as crops:
                for t, frame in enumerate(read_video(folder / side / f"{name}.mp4")):
                    crop = cv2.resize(frame, (224, 224), interpolation=cv2.INTER_CUBIC)
                    cv2.imwrite(f"{crops}/{t:06d}.jpg", crop[..., ::-1])
                shutil.copy(folder / "true" / f"{name}.wav", f"{crops}/audio.wav")
                found[side].append(instance.evaluate(SimpleNamespace(tmp_dir=crops, batch_size=20, vshift=15)))
    _, confidence, distance = np.mean(found["generated"], axis=0)
    return {"lse_d": float(distance), "lse_c": float(confidence)}


def cd_fvd(folder: Path, setting: Setting, watch: Watch) -> Values:
    """`cdfvd` on the arrays that its documentation asks for."""
    from cdfvd import fvd
    from cdfvd.third_party.i3d.pytorch_i3d import InceptionI3d

    watch.set_on(InceptionI3d)
    with watch.running():
        with watch.reading_weights():
            scorer = fvd.cdfvd("i3d", n_fake="full", ckpt_path=str(folder / "weights" / I3D), device="cpu")
        true, generated = (
            np.stack([read_video(folder / side / f"{name}.mp4")[:WINDOW] for name in setting.names])
            for side in SIDES_OF_CLIPS
        )
        return {"fvd": float(scorer.compute_fvd(true, generated))}


SIDES: dict[str, Callable[[Path, Setting, Watch], Values]] = {
    "ours": ours,
    "pytorch-fid": pytorch_fid,
    "scikit-image": scikit_image,
    "lpips": lpips,
    "syncnet-python": syncnet_python,
    "cd-fvd": cd_fvd,
}


def main() -> None:
    import torch

    name, folder = sys.argv[1], Path(sys.argv[2])
    told = json.loads((folder / "setting.json").read_text())
    setting = Setting(**{key: tuple(value) if isinstance(value, list) else value for key, value in told.items()})
    torch.set_num_threads(setting.threads)
    watch = Watch()
    values = SIDES[name](folder, setting, watch)
    print(json.dumps(vars(watch) | {"peak_mib": peak_mib(), "values": values}))


if __name__ == "__main__":
    main()
