"""What one reader found in true videos, kept for the next method: they are the same for every method and seed."""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file

from dyads.errors import DataError
from dyads.files import write_arrays
from training.options import options_hash

TRUE_KEYS = ("motion_true", "motion_user", "motion_reference")


class Known:
    """What one reader found in true videos, kept in one file per (reader, data, split) beside the motion probe.

    It is the same for every method and seed. `folder` None keeps nothing; `keys` are what it finds in each dialogue.
    """

    def __init__(self, folder: Path | None, *key: str | None, keys: tuple[str, ...] = TRUE_KEYS) -> None:
        self.keys = keys
        self.path = folder / f"{options_hash(key)}.safetensors" if folder else None
        self.readings: dict[str, np.ndarray] = {}
        self.added = False
        if self.path is not None and self.path.is_file():
            try:
                with safe_open(str(self.path), "np") as file:
                    self.readings = {name: file.get_tensor(name) for name in file.keys()}
            except SafetensorError as error:
                raise DataError(f"{self.path}: cannot be read ({error}); delete it.") from error

    def get(self, dyad_id: str) -> dict[str, np.ndarray] | None:
        """The readings `keys` of a dyad, if they are there."""
        names = {key: f"{dyad_id}/{key}" for key in self.keys}
        if not all(name in self.readings for name in names.values()):
            return None
        return {key: self.readings[name] for key, name in names.items()}

    def put(self, dyad_id: str, values: dict[str, np.ndarray]) -> None:
        self.readings.update({f"{dyad_id}/{key}": values[key] for key in self.keys})
        self.added = True

    def save(self) -> None:
        """Write what is new; of two processes at once, the later file stays, and both are complete."""
        if self.added and self.path is not None:
            write_arrays(self.path, self.readings)


class KnownPoints:
    """Points (T, 468, 3) of true faces beside a reader's other readings, a file a dialogue: 6 kB a frame."""

    def __init__(self, known: Known) -> None:
        self.folder = known.path.with_suffix("") if known.path else None

    def get(self, dyad_id: str) -> np.ndarray | None:
        """A dialogue's points, if they are there. DataError: the file is damaged."""
        path = self.folder / f"{dyad_id}.safetensors" if self.folder else None
        if path is None or not path.is_file():
            return None
        try:
            return load_file(path)["points"]
        except (SafetensorError, KeyError) as error:
            raise DataError(f"{path}: cannot be read ({error}); delete it.") from error

    def put(self, dyad_id: str, points: np.ndarray) -> None:
        if self.folder:
            write_arrays(self.folder / f"{dyad_id}.safetensors", {"points": points})
