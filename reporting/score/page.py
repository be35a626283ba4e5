"""The page of a scoring: videos of all systems side by side in sync, each metric's course under them, and the table."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import numpy as np
import pandas as pd

from dyads.errors import DataError
from dyads.media.containers import FPS
from evaluation.cards import ARROWS, OK, STATUSES, truth_part
from evaluation.registry import cards
from reporting.page.media import place_video
from reporting.score.items import Item, Items
from reporting.score.table import best, significant
from reporting.score.work import Measured

TEMPLATE = Path(__file__).with_name("page.html.j2")


def _placed(path: Path | None, target: Path) -> str:
    """A playable copy or link of a video below the page; '' where there is none."""
    if path is None:
        return ""
    try:
        place_video(path, target, own_sound=True)
    except DataError:
        return ""
    return quote(f"{target.parent.name}/{target.name}")


def _videos(item: Item, index: int, systems: tuple[str, ...], folder: Path) -> list[dict[str, str]]:
    """The players of one name, user and truth first; a listed name may hold slashes, its file may not."""
    stem = re.sub(r"[/\\]", "_", item.name)
    stem = stem if stem == item.name else f"{index}-{stem}"
    named = [("user", item.user), ("truth", item.true)]
    named += [(system, item.generated.get(system)) for system in systems]
    found = []
    for number, (label, path) in enumerate(named):
        source = _placed(path, folder / f"v{number}" / f"{stem}.mp4")
        if path is not None:
            found.append({"label": label, "src": source})
    return found


def _values(rows: pd.DataFrame, name: str, systems: tuple[str, ...]) -> list[dict[str, Any]]:
    """Values of one name by metric: a row with a cell for each system."""
    own = rows[(rows["clip"] == name)]
    known, found = cards(), []
    for (metric, part), group in own.groupby(["metric", "part"], sort=False):
        if part not in known[metric].parts or not (group["status"] == OK).any():
            continue
        cells = []
        for system in systems:
            mine = group[group["method"] == system]
            good = len(mine) and mine["status"].iloc[0] == OK
            why = STATUSES.get(mine["status"].iloc[0], "") if len(mine) else "no video"
            cells.append({"text": f"{mine['value'].iloc[0]:.4g}" if good else "–", "why": "" if good else why})
        card = known[metric]
        true = own[(own["metric"] == metric) & (own["part"] == truth_part(part)) & (own["status"] == OK)]["value"]
        found.append(
            {
                **{"metric": metric, "label": card.label, "part": part, "cells": cells},
                **{"unit": card.unit, "arrow": ARROWS[card.direction]},
                "truth": f"{true.mean():.4g}" if card.direction == "truth" and len(true) else "",
            }
        )
    return found


def _table(lines: pd.DataFrame, tests: pd.DataFrame, systems: tuple[str, ...]) -> list[dict[str, Any]]:
    """The set's table for the page."""
    found = []
    for _, line in lines.iterrows():
        first = best(line, systems)
        cells = []
        for system in systems:
            value = line[system]
            cells.append(
                {
                    "text": f"{value:.4g}" if np.isfinite(value) else "–",
                    "best": system == first,
                    "ahead": system == first and significant(tests, line["metric"], line["part"], system),
                    "of": f"{int(line[f'{system} values'])} of {int(line[f'{system} of'])}",
                }
            )
        card = cards()[line["metric"]]
        found.append(
            {
                **{key: line[key] for key in ("metric", "label", "part", "unit")},
                "arrow": ARROWS[line["better"]],
                "cells": cells,
                "truth": f"{line['truth']:.4g}" if np.isfinite(line["truth"]) else "",
                "definition": card.definition,
                "protocol": card.protocol,
            }
        )
    return found


def write_page(
    out: Path, found: Items, measured: list[Measured], lines: pd.DataFrame, tests: pd.DataFrame, rows: pd.DataFrame
) -> Path:
    """Write `out/page/index.html` of what was measured with the videos beside it; works offline, from a file."""
    folder = out / "page"
    notes: dict[str, list[str]] = {}
    for each in measured:
        notes[each.item.name] = [f"{pair.system}: {note}" for pair in each.pairs for note in pair.notes]
    curves = {each.item.name: each.curves for each in measured}
    items = [
        {
            "name": item.name,
            "videos": _videos(item, index, found.systems, folder / "videos"),
            "curves": curves.get(item.name, {}),
            "values": _values(rows, item.name, found.systems),
            "notes": notes.get(item.name, []),
        }
        for index, item in enumerate(found.items)
    ]
    for entry in items:
        for video in entry["videos"]:
            video["src"] = f"videos/{video['src']}" if video["src"] else ""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    data = json.dumps({"fps": FPS, "items": items, "systems": found.systems}, ensure_ascii=False, allow_nan=False)
    text = template.render(
        data=data.replace("<", "\\u003c"), table=_table(lines, tests, found.systems), systems=found.systems
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    path.write_text(text, encoding="utf-8")
    return path
