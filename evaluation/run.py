"""Measure one method's videos with every metric: `python -m evaluation.run --method NAME --videos DIR ...`.

Each video is decoded once. Writes tidy rows (.csv), their provenance (.json) and what the probes read
(.features.safetensors), so that plots and statistics never decode again.
"""

import argparse
import csv
import io
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn

from dyads.contract import Dyad, file_sha256, load_arrays, read_manifest
from dyads.errors import ConfigError, DataError, run_cli
from dyads.files import atomic_path, write_text
from dyads.media import read_video
from evaluation.cards import OK, MetricCard, Value, undefined
from evaluation.clips import Clip, avatar_speaking, read_truth
from evaluation.metrics._series import Undefined
from evaluation.metrics.perceptual import load_lpips, map_distance
from evaluation.metrics.sync import load_syncnet
from evaluation.probes.frames import to_tensor
from evaluation.probes.store import load_probe
from evaluation.registry import modules
from training.device import limit_threads, pick_device
from training.options import from_dict, parse_json
from training.provenance import write_provenance

COLUMNS = ("method", "seed", "dataset", "split", "clip", "metric", "part", "value", "status")
WHOLE_SET = "*"
IMAGE_BATCH = 64


@dataclass(frozen=True)
class RunOptions:
    """`metrics`: file names under evaluation/metrics to compute; empty means all."""

    metrics: tuple[str, ...] = ()


@dataclass
class Tools:
    """What metrics need beside the clip; a network without weights is None."""

    motion: nn.Module
    image: nn.Module
    lpips: nn.Module | None = None
    syncnet: nn.Module | None = None


def read_clip(dyad: Dyad, video: Path, tools: Tools) -> Clip:
    """Decode one dialogue and let the probes read it; a missing or unfit generated video becomes a status."""
    try:
        generated = read_video(video)
    except DataError as error:
        print(f"missing_video: {error}", flush=True)
        return Clip(dyad.dyad_id, 0, "missing_video", np.zeros(0, bool))
    arrays = load_arrays(dyad)
    true, frames = arrays.avatar_frames, len(arrays.avatar_frames)
    if len(generated) != frames:
        print(f"length_mismatch: {video} has {len(generated)} frames, the truth {frames}", flush=True)
        return Clip(dyad.dyad_id, frames, "length_mismatch", np.zeros(frames, bool))
    if generated.shape != true.shape:
        generated = read_video(video, size=true.shape[1:3])
    truth = read_truth(dyad)
    clip = Clip(
        dyad_id=dyad.dyad_id,
        frames=frames,
        status=OK,
        speaking=avatar_speaking(dyad, frames, arrays.avatar_audio, truth),
        truth=truth,
        names=tools.motion.names,
        generated=generated,
        true=true,
        audio=arrays.avatar_audio,
        motion_generated=tools.motion.read(generated, arrays.reference),
        motion_true=tools.motion.read(true, arrays.reference),
        motion_user=tools.motion.read(arrays.user_frames, arrays.user_frames[0]),
        motion_reference=tools.motion.read(arrays.reference[None], arrays.reference)[0],
    )
    _look(clip, tools.image)
    return clip


def _look(clip: Clip, probe: nn.Module) -> None:
    """Image features of both videos and the distance of their feature maps, batch by batch to save memory."""
    device = next(probe.parameters()).device
    features: dict[str, list] = {"generated": [], "true": []}
    distances = []
    for start in range(0, clip.frames, IMAGE_BATCH):
        maps = []
        for key in features:
            frames = to_tensor(getattr(clip, key)[start : start + IMAGE_BATCH]).to(device)
            seen, layers = probe.look(frames)
            features[key].append(seen.cpu().numpy())
            maps.append(layers)
        distances.append(map_distance(*maps).cpu().numpy())
    clip.image_generated = np.concatenate(features["generated"])
    clip.image_true = np.concatenate(features["true"])
    clip.map_distance = np.concatenate(distances)


def expected_rows(card: MetricCard) -> list[tuple[str, str]]:
    """The (metric, part) pairs that a card promises."""
    return [(card.name, part) for part in card.all_parts]


def collect(
    function: Callable[..., Iterable[Value]] | None, subject, tools: Tools, cards: list[MetricCard]
) -> list[Value]:
    """All rows that `cards` promise, in their order; what `function` leaves out gets its failure's status."""
    if function is None or not cards:
        return []
    found: dict[tuple[str, str], Value] = {}
    status = None
    try:
        for value in function(subject, tools):
            finite = value.status != OK or math.isfinite(value.value)
            value = value if finite else undefined(value.metric, value.part, "not_finite")
            found[value.metric, value.part] = value
    except Undefined as failure:
        status = failure.status
    rows = []
    for pair in (pair for card in cards for pair in expected_rows(card)):
        if pair not in found and status is None:
            raise RuntimeError(f"metric {pair[0]} promises part {pair[1]} on its card but did not write it")
        rows.append(found.get(pair) or undefined(*pair, status))
    return rows


def measure(clips: Iterator[Clip], tools: Tools, wanted: tuple[str, ...]) -> tuple[list[tuple[str, Value]], list[Clip]]:
    """Rows (clip id or '*', value) of all metrics, and the clips without their frames."""
    chosen = {name: module for name, module in modules().items() if not wanted or name in wanted}
    rows, kept = [], []
    for clip in clips:
        for module in chosen.values():
            cards = [card for card in module.CARDS if card.per == "clip" or card.clip_rows]
            function = getattr(module, "clip_values", None)
            if clip.status != OK:
                values = [undefined(*pair, clip.status) for card in cards for pair in expected_rows(card)]
            else:
                values = collect(function, clip, tools, cards)
            rows += [(clip.dyad_id, value) for value in values]
        clip.generated = clip.true = clip.audio = None
        kept.append(clip)
    failed = next((clip.status for clip in kept if clip.status != OK), None)
    for module in chosen.values():
        cards = [card for card in module.CARDS if card.per == "set"]
        if failed:  # fewer clips would be another test set
            values = [undefined(*pair, failed) for card in cards for pair in expected_rows(card)]
        else:
            values = collect(getattr(module, "set_values", None), kept, tools, cards)
        rows += [(WHOLE_SET, value) for value in values]
    return rows, kept


def write_rows(path: Path, rows: list[tuple[str, Value]], method: str, seed: int, dataset: str, split: str) -> None:
    """Tidy CSV; an undefined value is empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for clip, value in rows:
        number = f"{value.value:.9g}" if value.status == OK else ""
        writer.writerow([method, seed, dataset, split, clip, value.metric, value.part, number, value.status])
    write_text(path, buffer.getvalue())


def write_features(path: Path, clips: list[Clip], meta: dict) -> None:
    """What the probes read, per clip: `<clip>/generated`, `/true`, ... (T, D); see `read_features`."""
    tensors = {}
    for clip in clips:
        if clip.status != OK:
            continue
        named = {
            "generated": clip.motion_generated.astype(np.float32),
            "true": clip.motion_true.astype(np.float32),
            "user": clip.motion_user.astype(np.float16),
            "reference": clip.motion_reference.astype(np.float32),
            "image_generated": clip.image_generated.astype(np.float16),
            "image_true": clip.image_true.astype(np.float16),
            "speaking": clip.speaking.astype(np.uint8),
        }
        if clip.truth is not None:
            named["truth"] = clip.truth.avatar.astype(np.float16)
            named["expected"] = clip.truth.expected.astype(np.float16)
            named["emotion"] = clip.truth.emotion.astype(np.uint8)
            named["cue"] = clip.truth.cue.astype(np.uint8)
        tensors.update({f"{clip.dyad_id}/{key}": np.ascontiguousarray(value) for key, value in named.items()})
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"meta": json.dumps(meta)})


def load_tools(motion: Path, image: Path, weights: dict[str, str]) -> tuple[Tools, dict[str, dict]]:
    """Probes and networks on this process's device, and the probes' headers."""
    unknown = sorted(set(weights) - {"lpips", "syncnet"})
    if unknown:
        raise ConfigError(f"--weights has the unknown key {unknown[0]!r}; known are lpips and syncnet.")
    device = pick_device()
    motion_probe, motion_meta = load_probe(motion, ("motion", "pca"))
    image_probe, image_meta = load_probe(image, ("image",))
    tools = Tools(
        motion=motion_probe.to(device),
        image=image_probe.to(device),
        lpips=load_lpips(weights["lpips"]) if weights.get("lpips") else None,
        syncnet=load_syncnet(weights["syncnet"]) if weights.get("syncnet") else None,
    )
    return tools, {"motion": motion_meta, "image": image_meta}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m evaluation.run", description=__doc__)
    parser.add_argument("--method", required=True, help="name of the row in every table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--videos", required=True, type=Path, help="folder with <dyad_id>.mp4")
    parser.add_argument("--data", required=True, type=Path, help="folder with manifest.csv")
    parser.add_argument("--probes-motion", required=True, type=Path)
    parser.add_argument("--probes-image", required=True, type=Path)
    parser.add_argument("--weights", default="{}", help="JSON object or @file: lpips, syncnet -> weights file")
    parser.add_argument("--options", default="{}", help="JSON object or @file; see RunOptions")
    parser.add_argument("--split", default="test")
    parser.add_argument("--out", required=True, type=Path, help="the .csv to write")
    args = parser.parse_args(arguments)
    started = time.monotonic()
    limit_threads(1)
    torch.set_grad_enabled(False)
    options = from_dict(RunOptions, parse_json(args.options, "--options"), "evaluation")
    unknown = sorted(set(options.metrics) - set(modules()))
    if unknown:
        raise ConfigError(f"evaluation.metrics names {unknown[0]!r}; known are {', '.join(modules())}.")
    weights = parse_json(args.weights, "--weights")
    tools, probes = load_tools(args.probes_motion, args.probes_image, weights)
    dyads = read_manifest(args.data, args.split)
    clips = (read_clip(dyad, args.videos / f"{dyad.dyad_id}.mp4", tools) for dyad in dyads)
    rows, kept = measure(clips, tools, options.metrics)

    dataset = ",".join(sorted({dyad.dataset for dyad in dyads}))
    files = {"motion_probe": args.probes_motion, "image_probe": args.probes_image, **weights}
    meta = {"method": args.method, "seed": args.seed, "dataset": dataset, "split": args.split}
    names = {"names": list(tools.motion.names), "probe": probes["motion"]["kind"]}
    truth = next((clip.truth for clip in kept if clip.truth is not None), None)
    names["emotions"] = list(truth.emotions) if truth else []
    write_features(args.out.with_suffix(".features.safetensors"), kept, {**meta, **names})
    write_provenance(
        args.out.with_suffix(".json"), options, args.seed, files, started=started, **meta,
        data_manifest_sha256=file_sha256(args.data / "manifest.csv"), probes=probes,
        clips=len(kept), frames=sum(clip.frames for clip in kept if clip.status == OK),
        failed_clips={clip.dyad_id: clip.status for clip in kept if clip.status != OK},
        cpu_seconds=round(time.process_time(), 1),
        protocol={card.name: card.protocol for module in modules().values() for card in module.CARDS},
    )  # fmt: skip
    write_rows(args.out, rows, args.method, args.seed, dataset, args.split)
    failed = sum(clip.status != OK for clip in kept)
    print(f"{args.method} seed {args.seed}: {len(kept)} clips ({failed} failed) -> {args.out}", flush=True)


if __name__ == "__main__":
    run_cli(main)
