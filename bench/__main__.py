"""`make bench`: measures the engine's speed and writes docs/engine-speed.md and build/bench.json."""

import json
import sys
from pathlib import Path

from services.voice.engine.errors import EngineError
from services.voice.evaluation.solo import SoloFailed

from . import measure, page


def main() -> int:
    """0 when all was measured; 1 with the reason when not."""
    try:
        result = measure.measure(Path("build/eval"), lambda line: print(line, flush=True))
    except (EngineError, SoloFailed, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    Path("build").mkdir(exist_ok=True)
    Path("build/bench.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    Path("docs/engine-speed.md").write_text(page.page(result), "utf-8")
    print("build/bench.json and docs/engine-speed.md are written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
