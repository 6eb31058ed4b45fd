"""Measures in processes of their own, so that neither memory nor caches nor threads of anything else are counted.

    python -m services.voice.evaluation.solo TASK.json

TASK.json says what to measure; what comes of it is printed as JSON.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from services.voice.engine import assets

from . import speed

_PATIENCE_S: Final = 900


class SoloFailed(Exception):
    """A measurement in a process of its own failed."""


def speaking(original: Path, artefacts: Mapping[str, bytes], *, threads: int) -> dict[str, dict[str, float]]:
    """`speed.compared`, alone. Raises SoloFailed."""
    found: dict[str, dict[str, float]] = _alone(
        {"task": "speaking", "original": str(original), "threads": threads}, artefacts
    )
    return found


def enrolling(recordings: Sequence[bytes], *, threads: int) -> list[float]:
    """`speed.enrolments`, alone. Raises SoloFailed."""
    files = {f"{index:03d}": data for index, data in enumerate(recordings)}
    found: list[float] = _alone({"task": "enrolling", "threads": threads}, files)
    return found


def remembering(original: Path | None, artefact: bytes, *, threads: int) -> float:
    """`speed.memory`, alone. Raises SoloFailed."""
    task = {"task": "remembering", "threads": threads, "original": None if original is None else str(original)}
    return float(_alone(task, {"voice": artefact}))


def streaming(artefact: bytes, *, threads: int, streams: int) -> float:
    """`speed.throughput`, alone. Raises SoloFailed."""
    return float(_alone({"task": "streaming", "threads": threads, "streams": streams}, {"voice": artefact}))


def _alone(task: Mapping[str, Any], files: Mapping[str, bytes]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for name, data in files.items():
            paths[name] = str(Path(folder) / name)
            Path(paths[name]).write_bytes(data)
        order = Path(folder) / "task.json"
        order.write_text(json.dumps({**task, "files": paths}), "utf-8")
        command = [sys.executable, "-m", "services.voice.evaluation.solo", str(order)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired as error:
            raise SoloFailed(f"{task['task']} took longer than {_PATIENCE_S} s") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise SoloFailed(f"{task['task']}: {last}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    """Does the task of the file that is named."""
    task = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    files = {name: Path(path).read_bytes() for name, path in task["files"].items()}
    models, threads = assets.prepare(), task["threads"]
    original = Path(task["original"]) if task.get("original") else None
    found: Any
    if task["task"] == "speaking":
        assert original is not None
        found = speed.compared(speed.paces(models, original, files, threads=threads))
    elif task["task"] == "enrolling":
        found = speed.enrolments(models, [files[name] for name in sorted(files)], threads=threads)
    elif task["task"] == "streaming":
        found = speed.throughput(models, files["voice"], threads=threads, streams=task["streams"])
    else:
        found = speed.memory(models, original, files["voice"], threads=threads)
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
