"""Folders of videos against folders of videos: read, measured, compared, shown."""

import csv
import io
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from dyads.errors import ConfigError, DataError
from dyads.files import write_json, write_text
from dyads.media.containers import SAMPLES_PER_FRAME
from evaluation.cards import OK, Value, undefined
from evaluation.clips import Clip
from evaluation.metrics.pictures.perceptual import shared_lpips
from evaluation.networks import known as known_network
from evaluation.networks import load_networks
from evaluation.networks.dlib_identity import DlibIdentity
from evaluation.networks.files import verified
from evaluation.readings.clip import Tools
from evaluation.registry import cards, modules
from evaluation.rows import COLUMNS, WHOLE_SET
from evaluation.run import collect, measure
from reporting.score.clips import ALONE, Pair, failed, make_pair
from reporting.score.curves import curves_of
from reporting.score.given import read_regions
from reporting.score.items import Item, Items, by_name, listed, systems_of
from reporting.score.table import compared, headline, markdown, summary
from reporting.score.videos import Reader, Video
from training.device import pick_device
from training.options import parse_json

NOTHING, PARTLY = 2, 3
TOGETHER = 3  # systems whose videos of one name are held at the same time
PICTURES = ("psnr", "ssim", "perceptual", "fid", "fvd", "cpbd", "sync", "csim")  # which need no mesh of the face
# What only a study has: its own probes, timings and ratings, sets of people, the truth, and where clips meet.
STUDY_ONLY = ("fid_small", "fvd_small", "speed", "efficiency", "e_appro", "rdgg", "expression", "nods", "clip_border")
OF_THE_USER = ("rpcc", "tlcc", "paired_fd", "rdgg")  # how metrics begin that ask whom the avatar answers
FILES = ("name", "system", "status", "frames", "scored_frames", "notes")


def chosen_metrics(given: list[str]) -> tuple[str, ...]:
    """File names of the metrics to compute; `ConfigError` for an unknown one."""
    known = modules()
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ConfigError(f"--metrics names {unknown[0]!r}; known are {', '.join(known)}.")
    return tuple(given or (name for name in known if name not in STUDY_ONLY))


def load(weights: dict[str, str], metrics: tuple[str, ...]) -> Tools:
    """The networks whose weights were given, and dlib's, which ships with a package; nothing is downloaded."""
    for slot, path in weights.items():
        if not Path(path).is_file():
            raise ConfigError(
                f"--weights {slot}: {path} is no file; `python -m evaluation.weights list` says what to get."
            )
        verified(known_network(slot), path)
    shipped = {"dlib": DlibIdentity()} if {"csim", "aed"} & set(metrics) else {}
    return Tools(networks=load_networks(weights, pick_device()) | shipped)


class Scorer:
    """Goes through the names once, all systems of a name together, and keeps what belongs to them."""

    def __init__(self, found: Items, reader: Reader, common: bool, lpips: bool = True) -> None:
        self.found, self.reader, self.common, self.lpips = found, reader, common, lpips
        self.pairs: list[Pair] = []
        self.curves: dict[str, dict[str, dict]] = {}

    def _open(self, path: Path | None, notes: list[str], shape=None) -> Video | None:
        if path is None:
            return None
        try:
            video = self.reader.open(path, shape)
        except DataError as error:
            notes.append(str(error))
            return None
        return video

    def of_item(self, item: Item) -> Iterator[Pair]:
        """Every system's pair of a name."""
        told: list[str] = []
        true, user = self._open(item.true, told), self._open(item.user, told)
        voice = None if true is None else true.sound
        if true is not None:
            self.reader.read(true, voice)
        if user is not None:
            self.reader.read(user)
        sharpness: dict[int, np.ndarray] = {}  # of the truth, by the number of frames
        for first in range(0, len(self.found.systems), TOGETHER):
            systems = self.found.systems[first : first + TOGETHER]
            pairs = [self._pair(item, system, true, user, voice, told) for system in systems]
            self._lpips(pairs, true)
            for pair in pairs:
                if pair.clip.frames in sharpness:
                    pair.clip.series["cpbd_true"] = sharpness[pair.clip.frames]
                if pair.clip.status == OK:
                    self.curves.setdefault(item.name, {})[pair.system] = curves_of(pair.clip, pair.alone)
                yield pair
                if "cpbd_true" in pair.clip.series:
                    sharpness[pair.clip.frames] = pair.clip.series["cpbd_true"]
                pair.clip.series = {}

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
        pair = make_pair(item, system, generated, true, user, self.reader, self.common)
        pair.notes += told
        return pair

    def _lpips(self, pairs: list[Pair], true: Video | None) -> None:
        """LPIPS of all of them at once: the network sees the truth a single time."""
        network = self.reader.tools.networks.get("lpips")
        pairs = [pair for pair in pairs if pair.clip.status == OK and not pair.alone]
        if network is None or true is None or not pairs or not self.lpips:
            return
        longest = max((pair.clip.true for pair in pairs), key=len)
        found = shared_lpips(network, [pair.clip.generated for pair in pairs], longest)
        for pair, values in zip(pairs, found, strict=True):
            pair.clip.series["lpips"] = values

    def clips(self, items: list[Item], shown) -> Iterator[tuple[Pair, Clip]]:
        for item in items:
            for pair in self.of_item(item):
                self.pairs.append(pair)
                yield pair, pair.clip
            shown.update()


def rows_of(scorer: Scorer, metrics: tuple[str, ...], bar: bool) -> list[tuple[str, str, Value]]:
    """(system, clip or '*', value) of every metric; those that need a truth are `no_truth` without one."""
    shown = tqdm(total=len(scorer.found.items), desc="score", unit="video", disable=not bar, file=sys.stderr)
    rows, kept = [], {system: [] for system in scorer.found.systems}
    for pair, clip in scorer.clips(scorer.found.items, shown):
        values, clips = measure(iter([clip]), scorer.reader.tools, metrics)
        per_clip = [(name, value) for name, value in values if name != WHOLE_SET]
        rows += [(pair.system, name, _without(value, pair.alone, pair.answers)) for name, value in per_clip]
        kept[pair.system].append((pair, clips[0]))
    shown.close()
    for system, own in kept.items():
        pairs = [(pair, clip) for pair, clip in own if clip.status == OK and not pair.alone]
        if not pairs:
            continue
        answers, clips = all(pair.answers for pair, _ in pairs), [clip for _, clip in pairs]
        values = _set_values(clips, scorer.reader.tools, metrics)
        rows += [(system, WHOLE_SET, _without(value, False, answers)) for value in values]
    return rows


def _set_values(clips: list[Clip], tools: Tools, metrics: tuple[str, ...]) -> Iterator[Value]:
    """Metrics of the set over the clips that were scored."""
    for name, module in modules().items():
        own = [card for card in module.CARDS if card.per == "set"]
        if name in metrics and own:
            yield from collect(getattr(module, "set_values", None), clips, tools, own)


def _without(value: Value, alone: bool, answers: bool) -> Value:
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


def table_of(rows: list[tuple[str, str, Value]]) -> pd.DataFrame:
    """Tidy rows as the suite writes them."""
    lines = [(system, 0, "folder", "all", clip, v.metric, v.part, v.value, v.status) for system, clip, v in rows]
    return pd.DataFrame(lines, columns=list(COLUMNS))


def files_csv(pairs: list[Pair]) -> str:
    """What became of every file."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(FILES)
    for pair in pairs:
        scored = pair.clip.frames if pair.clip.status == OK else 0
        writer.writerow([pair.item.name, pair.system, pair.clip.status, pair.frames, scored, "; ".join(pair.notes)])
    return buffer.getvalue()


def score_folders(given: Namespace) -> int:
    """The command's work; its exit code."""
    systems = systems_of(given.generated)
    found = (
        listed(given.pairs, systems, given.true, given.user)
        if given.pairs
        else by_name(systems, given.true, given.user)
    )
    metrics = chosen_metrics(list(given.metrics))
    weights = parse_json(given.weights, "--weights")
    seen = not set(metrics) <= set(PICTURES)
    regions = read_regions(given.regions)
    reader = Reader(load(weights, metrics), given.cache or given.out / "cache", weights, given.size, seen, regions)
    scorer = Scorer(found, reader, given.common, "perceptual" in metrics)
    for line in found.unused:
        print(line)
    rows = table_of(rows_of(scorer, metrics, bar=True))
    scored = [pair for pair in scorer.pairs if pair.clip.status == OK]
    for pair in scorer.pairs:
        for note in pair.notes:
            print(f"{pair.system}/{pair.item.name}: {note}")
    write_text(given.out / "files.csv", files_csv(scorer.pairs))
    if not scored:
        print(
            f"error: none of {len(scorer.pairs)} videos could be scored; see {given.out / 'files.csv'}.",
            file=sys.stderr,
        )
        return NOTHING
    write_text(given.out / "rows.csv", rows.to_csv(index=False, float_format="%.9g"))
    lines = summary(rows, found.systems)
    if not len(lines):
        reasons = ", ".join(f"{n} {status}" for status, n in rows["status"].value_counts().items())
        print(f"error: no metric has a value ({reasons}); see {given.out / 'rows.csv'}.", file=sys.stderr)
        return NOTHING
    tests = compared(rows, found.systems)
    text = markdown(lines, tests, found.systems, scorer.pairs)
    write_text(given.out / "table.md", text)
    write_text(given.out / "table.csv", lines.to_csv(index=False, float_format="%.6g"))
    if len(tests):
        write_text(given.out / "comparisons.csv", tests.to_csv(index=False, float_format="%.6g"))
    told = {"systems": list(found.systems), "weights": reader.hashes, "size": given.size, "common": given.common}
    used = {name: card.protocol for name, card in cards().items() if name in set(rows["metric"])}
    write_json(given.out / "score.json", told | {"metrics": list(metrics), "protocol": used})
    print(markdown(headline(lines), tests, found.systems, scorer.pairs))
    print(f"{len(lines)} values in all: {given.out / 'table.md'}; every video's own: {given.out / 'rows.csv'}")
    if not given.no_page:
        from reporting.score.page import write_page

        page = write_page(given.out, found, scorer, lines, tests, rows)
        print(f"page: {page}")
    if len(scored) < len(scorer.pairs):
        missing = len(scorer.pairs) - len(scored)
        print(
            f"{missing} of {len(scorer.pairs)} videos have no values; see {given.out / 'files.csv'}.", file=sys.stderr
        )
        return PARTLY
    return 0
