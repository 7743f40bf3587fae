"""One whole training run in this process: `python -m core.evaluate.benchmark.whole_preset sketch 4`. Prints one JSON line."""

from __future__ import annotations

import argparse
import json
import time

from core.config import PRESET_STEPS
from core.engines.allocator import keep_freed_memory
from core.evaluate.benchmark.pictures import make_pictures
from core.progress import peak_memory_bytes
from core.studio import Studio


def main() -> None:
    """Sample references, train, report seconds, steps and the largest memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("preset", choices=sorted(PRESET_STEPS))
    parser.add_argument("references", type=int)
    parser.add_argument("--device", default=None)
    parser.add_argument("--steps", type=int, default=None)
    options = parser.parse_args()
    keep_freed_memory()
    studio = Studio.open("mini", device=options.device)
    pictures = make_pictures(studio, references=options.references)
    overrides = {} if options.steps is None else {"steps": options.steps}
    config = studio.config(options.preset, **overrides)
    started = time.perf_counter()
    for _ in studio.train(pictures.references, config, name="benchmark", preview=pictures.face):
        pass
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "steps": config.steps, "peak_bytes": peak_memory_bytes()}))


if __name__ == "__main__":
    main()
