"""One whole training run in this process; prints one JSON line.

`python -m core.evaluate.benchmark.whole_preset sketch 4`
"""

from __future__ import annotations

import argparse
import json
import time

from core.engines.base import run_to_end
from core.engines.fewshot_gan.config import NAME, FinetuneConfig
from core.engines.fewshot_gan.measure.inside import inside_of
from core.engines.fewshot_gan.measure.pictures import make_pictures
from core.progress import peak_memory_bytes
from core.studio import Studio


def main() -> None:
    """Sample references, train, report seconds, steps and the largest memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("preset", choices=sorted(FinetuneConfig.presets))
    parser.add_argument("references", type=int)
    parser.add_argument("--device", default=None)
    parser.add_argument("--steps", type=int, default=None)
    options = parser.parse_args()
    studio = Studio.open(NAME, backbone="mini", device=options.device)
    pictures = make_pictures(inside_of(studio.engine()), references=options.references)
    config = studio.config(options.preset, **({} if options.steps is None else {"steps": options.steps}))
    started = time.perf_counter()
    run_to_end(studio.train(pictures.references, config, name="benchmark", preview=pictures.face))
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "steps": config.steps, "peak_bytes": peak_memory_bytes()}))


if __name__ == "__main__":
    main()
