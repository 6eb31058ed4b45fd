"""What was made or measured once, kept in a folder, so that a run that was cut off goes on where it was."""

import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]


@dataclass
class Kept:
    """Plain values and named arrays."""

    values: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)


class Cache:
    """A folder of results, each under the digest of all that it depends on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, kind: str, key: Mapping[str, Any], make: Callable[[], Kept]) -> Kept:
        """What is kept under the key, made and kept if nothing is."""
        found = self.get(kind, key)
        if found is None:
            found = make()
            self.put(kind, key, found)
        return found

    def get(self, kind: str, key: Mapping[str, Any]) -> Kept | None:
        """What is kept under the key; None where nothing is, or where it is damaged."""
        try:
            with np.load(self._path(kind, key), allow_pickle=False) as stored:
                values = json.loads(bytes(stored["values"]))
                return Kept(values, {name[1:]: stored[name] for name in stored.files if name != "values"})
        except (FileNotFoundError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
            return None

    def put(self, kind: str, key: Mapping[str, Any], kept: Kept) -> None:
        """Keeps it, whole or not at all."""
        buffer = io.BytesIO()
        values = np.frombuffer(json.dumps(kept.values).encode(), np.uint8)
        arrays: dict[str, Any] = {f"_{name}": array for name, array in kept.arrays.items()}
        np.savez(buffer, values=values, **arrays)
        path = self._path(kind, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(buffer.getvalue())
        os.replace(file.name, path)

    def _path(self, kind: str, key: Mapping[str, Any]) -> Path:
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        return self._folder / kind / f"{digest[:32]}.npz"


def code_digest(*places: Path) -> str:
    """Of the Python files of these folders and files: what was made by other code is made again."""
    files = sorted(file for place in places for file in ([place] if place.is_file() else place.rglob("*.py")))
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()
