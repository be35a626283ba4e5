"""The gallery's videos in the report's folder, and what the page knows of each dialogue."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dyads.contract import FPS, Dyad
from dyads.errors import DataError
from dyads.media.video import probe
from evaluation.cards import OK
from reporting.page.media import place_video
from reporting.page.study_files import Study, events_of, reason, turns_of

PREFERRED = 4  # methods shown at first, beside the user and the true avatar


def place_dialogues(study: Study, out: Path) -> list[dict[str, Any]]:
    """Both sides' videos of every dialogue at `out/dialogues`; sources, turns and events, or why there are none."""
    found = []
    for name in study.dialogues:
        dyad = study.dyads.get(name)
        entry: dict[str, Any] = {"id": name, "turns": [], "events": [], "frames": 0}
        for role in ("user", "avatar"):
            entry[role] = _place_side(dyad, role, out) if dyad else {"why": "this dialogue is not in the data folder"}
        if dyad:
            entry["turns"] = [[turn.start, turn.end, turn.role, turn.text] for turn in turns_of(dyad)]
            entry["events"] = events_of(dyad)
            entry["people"] = [dyad.user.subject_id, dyad.avatar.subject_id]
        if "src" in entry["user"]:
            entry["frames"] = probe(out / entry["user"]["src"]).frames
        entry["seconds"] = entry["frames"] / FPS
        found.append(entry)
    return found


def _place_side(dyad: Dyad, role: str, out: Path) -> dict[str, str]:
    side = dyad.side(role)
    target = out / "dialogues" / dyad.dyad_id / f"{role}.mp4"
    try:
        place_video(side.video, target, side)
    except DataError as error:
        return {"why": str(error)}
    return {"src": str(target.relative_to(out))}


def place_videos(
    study: Study, out: Path, seeds: int, external: Mapping[str, Path] | None = None
) -> dict[str, dict[str, dict[str, str]]]:
    """Generated videos at `out/videos/<method>/seed<k>`: method -> seed -> dialogue -> why it has no video.

    Args:
        study: of `read_study`.
        out: the report's folder.
        seeds: so many seeds of each row, the lowest first; 0 for all.
        external: row -> folder of its videos, where that is not `videos/<method>/seed<k>`.
    """
    found: dict[str, dict[str, dict[str, str]]] = {}
    for method in study.methods:
        ready = [run for run in method.runs if _folder(study, method.name, run.seed, external).is_dir()]
        chosen = ready[:seeds] if seeds else ready
        for run in chosen or method.runs[:1]:
            missing = _place_run(study, method.name, run.seed, out, external)
            if run.status != OK:
                missing = {name: f"{why} ({run.status})" for name, why in missing.items()}
            found.setdefault(method.name, {})[str(run.seed)] = missing
    return found


def _folder(study: Study, method: str, seed: int, external: Mapping[str, Path] | None) -> Path:
    return Path((external or {}).get(method) or study.results / "videos" / method / f"seed{seed}")


def _place_run(study: Study, method: str, seed: int, out: Path, external: Mapping[str, Path] | None) -> dict[str, str]:
    folder, missing = _folder(study, method, seed, external), {}
    states = _states(folder / "index.csv")
    for name in study.dialogues:
        source = folder / f"{name}.mp4"
        if not source.is_file():
            state = states.get(name, "")
            missing[name] = reason(state) if state not in ("", OK) else "no video: this row was not generated"
            continue
        try:
            place_video(source, out / "videos" / method / f"seed{seed}" / f"{name}.mp4")
        except DataError as error:
            missing[name] = str(error)
    return missing


def _states(index: Path) -> dict[str, str]:
    """Dialogue -> the state that generation gave it; empty without a readable index."""
    try:
        table = pd.read_csv(index, dtype=str, keep_default_na=False)
        return dict(zip(table["dyad_id"], table["status"], strict=True))
    except (OSError, ValueError, KeyError):
        return {}


def shown_first(study: Study, videos: Mapping[str, Mapping[str, Mapping[str, str]]]) -> list[str]:
    """The rows that the gallery shows at first: main ones, then ablations and baselines, of those with videos."""
    order = ("main", "ablation", "baseline", "swap", "other", "control")
    total = len(study.dialogues)
    ready = [m for m in study.methods if any(len(gone) < total for gone in videos.get(m.name, {}).values())]
    ready.sort(key=lambda method: order.index(method.group))
    picked = [m for m in ready if m.group == "main"][:1]
    for group, number in (("ablation", 1), ("baseline", 2)):
        picked += [m for m in ready if m.group == group and m not in picked][:number]
    picked += [m for m in ready if m not in picked][: max(0, PREFERRED - len(picked))]
    return [method.name for method in study.methods if method in picked]
