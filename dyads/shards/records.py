"""One provenance of several shards'."""

from collections.abc import Sequence
from typing import Any

RECORD = "provenance.json"
COUNTS = ("dyads", "frames", "clips", "resized_clips")  # what provenance counts of a shard


def summed(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One provenance of several shards': the first one's, with counts and seconds of all and the machines' kinds."""
    whole = dict(records[0])
    for key, value in whole.items():
        if key in COUNTS or key.endswith("_seconds"):
            whole[key] = type(value)(round(sum(record.get(key, 0) for record in records), 3))
        elif key.startswith("failed_") and isinstance(value, dict):
            whole[key] = {name: why for record in records for name, why in record.get(key, {}).items()}
    kinds = sorted({record.get("machine", {}).get("kind", "") for record in records} - {""})
    return {**whole, "shards": len(records), "machine_kinds": kinds}
