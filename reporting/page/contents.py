"""What the page is made of: the facts a reader sees first, and the data that its scripts read."""

import importlib.util
import json
import math
from collections.abc import Mapping
from typing import Any

from analysis.claims import VERDICTS
from evaluation.cards import OK
from evaluation.registry import cards
from reporting.method_tables import DEFAULT_COLUMNS
from reporting.page.study_files import GROUPS, Run, Study, clip_values, reason, seed_summary

NAMES = {  # group -> its rows, one and several
    "main": ("main row", "main rows"),
    "ablation": ("ablation", "ablations"),
    "swap": ("swap test", "swap tests"),
    "baseline": ("baseline", "baselines"),
    "control": ("control", "controls"),
    "other": ("other row", "other rows"),
}


def number(value: float, digits: int = 5) -> float | None:
    """A number as JSON: `digits` significant ones, None where undefined."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def metric_entries(study: Study) -> list[dict[str, Any]]:
    """Every `metric/part` that was measured: name, direction, unit, protocol; the tables' own columns first."""
    keys = dict.fromkeys(DEFAULT_COLUMNS)
    measured: dict[str, None] = {}
    for run in study.runs:
        if run.measured is not None:
            pairs = run.measured[["metric", "part"]].drop_duplicates()
            measured |= dict.fromkeys(f"{line.metric}/{line.part}" for line in pairs.itertuples(index=False))
    found, known = [], cards()
    for key in [*(key for key in keys if key in measured), *(key for key in measured if key not in keys)]:
        metric, _, part = key.partition("/")
        card = known.get(metric)
        if part.endswith("_truth") and card and part not in card.parts:
            continue  # the truth's own value; it stands beside its part
        label = metric if card is None else card.label + (f", {part}" if len(card.parts) > 1 else "")
        found.append(
            {
                "key": key,
                "label": label,
                "arrow": card.arrow if card else "",
                "direction": card.direction if card else "higher",
                "unit": card.unit if card else "",
                "protocol": card.protocol if card else "",
                "source": card.source if card else "",
                "first": key in keys,
                "truth": f"{key}_truth" if card and card.direction == "truth" else "",
            }
        )
    return found


def run_values(study: Study) -> dict[str, dict[str, list[Any]]]:
    """Run key -> `metric/part` -> [value, asked, undefined, reason, values by dialogue or None, reasons by place]."""
    summary, found = seed_summary(study), {}
    for run in study.runs:
        clips, whole = clip_values(run, study.dialogues), summary.get(run.key, {})
        entries = {}
        for key in dict.fromkeys([*whole, *clips]):
            value, asked, undefined, why = whole.get(key, (math.nan, 0, 0, ""))
            values, reasons = clips.get(key, (None, {}))
            row: list[Any] = [number(value), asked, undefined, why]
            row.append(None if values is None else [number(v) for v in values])
            entries[key] = [*row, reasons] if reasons else row
        found[run.key] = entries
    return found


def script_data(study: Study, dialogues: list[dict], videos: Mapping, first: list[str]) -> dict[str, Any]:
    """All that the page's scripts know; plain JSON."""
    return {
        "profile": study.results.name,
        "metrics": metric_entries(study),
        "methods": [
            {
                "name": method.name,
                "label": method.label,
                "group": method.group,
                "seeds": [
                    {"seed": run.seed, "status": run.status, "files": run_links(run), "commit": short(run.facts)}
                    for run in method.runs
                ],
            }
            for method in study.methods
        ],
        "groups": {group: names[1] for group, names in NAMES.items()},
        "dialogues": dialogues,
        "videos": videos,
        "first": first,
        "values": run_values(study),
    }


def run_links(run: Run) -> dict[str, str]:
    """What a run's file holds -> its place in the report's folder."""
    return {name: f"rows/{run.method}/seed{run.seed}/{name}{path.suffix}" for name, path in run.files.items()}


def short(facts: Mapping[str, Any]) -> str:
    """The commit, short; a star where the code differed from it."""
    commit = facts.get("git_commit")
    return f"{commit[:9]}{'*' if facts.get('git_dirty') else ''}" if commit else ""


def run_facts(run: Run) -> dict[str, str]:
    """What the provenance table says of a run."""
    made = json.loads(run.files["videos"].read_text(encoding="utf-8")) if "videos" in run.files else {}
    weights = (run.training.get("weights") or {}).get("result") or (made.get("weights") or {}).get("weights")
    if weights == run.facts.get("data_manifest_sha256"):  # a row that learns nothing is given the data instead
        weights = None
    seconds = {
        "train": run.training.get("wall_seconds"),
        "generate": made.get("wall_seconds"),
        "measure": run.facts.get("wall_seconds"),
    }
    return {
        "commit": short(run.facts),
        "options": str(run.training.get("options_hash") or made.get("options_hash") or ""),
        "weights": str(weights)[:9] if weights else "",
        "clips": str(run.facts.get("clips", "")),
        "frames": f"{run.facts['frames']:,}" if "frames" in run.facts else "",
        **{name: f"{value:,.0f}" if isinstance(value, (int, float)) else "" for name, value in seconds.items()},
    }


def plural(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def facts(
    study: Study, dialogues: list[dict], claims: Mapping[str, int], controls: Mapping[str, int]
) -> dict[str, Any]:
    """The summary: what ran, on what, and what is missing."""
    runs = study.runs
    groups = {group: sum(method.group == group for method in study.methods) for group in GROUPS}
    measured = [run for run in runs if run.measured is not None]
    minutes = sum(dialogue["seconds"] for dialogue in dialogues) / 60
    commits = sorted({short(run.facts) for run in measured} - {""})
    hardware = [run.facts["hardware"] for run in measured if run.facts.get("hardware")]
    machines = sorted({", ".join([h["cpu"], f"{h['cores']} cores", *h.get("gpus", [])]) for h in hardware})
    return {
        "rows": ", ".join(plural(count, *NAMES[group]) for group, count in groups.items() if count),
        "runs": f"{len(measured)} of {len(runs)}",
        "seeds": ", ".join(map(str, sorted({run.seed for run in runs}))),
        "dialogues": len(study.dialogues),
        "minutes": f"{minutes:.1f}" if minutes else "",
        "dataset": ", ".join(sorted({str(run.facts["dataset"]) for run in measured if run.facts.get("dataset")})),
        "commits": commits,
        "dirty": any(commit.endswith("*") for commit in commits),
        "machines": machines,
        "versions": next((run.facts["versions"] for run in measured if run.facts.get("versions")), {}),
        "claims": {name: claims[name] for name in VERDICTS if claims.get(name)},
        "controls": controls,
        "missing": [
            {"label": method.label, "name": method.name, "why": "; ".join(map(reason, method.status.split("; ")))}
            for method in study.methods
            if method.status != OK
        ],
        "diff": importlib.util.find_spec("analysis.diff") is not None,
    }
