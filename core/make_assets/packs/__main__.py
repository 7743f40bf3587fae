"""`python -m core.make_assets.packs`: render the two study packs that ship, and the styles of the blind comparison.

Photos are eleven of the embedded backbone's invented faces, references the gallery's drawings of six others; the
few-shot arm of ours is the ready-made style itself, so make the gallery first. Writes `assets/study/watercolour` (four
arms), `assets/study/cartoon` (one-shot against few-shot of ours) and `assets/study/arms/watercolour/ARM.safetensors`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from core.config import ASSETS_DIR
from core.progress import Progress
from core.threads import share_cores


def _tell(progress: Progress) -> None:
    if progress.done % 100 == 0:
        print(f"{progress.what}: {progress.done} of {progress.of}", flush=True)


def main(arguments: list[str]) -> None:
    """Parse the options and build."""
    share_cores()  # before torch is imported
    from core.engines.base import LoadRequest
    from core.engines.fewshot_gan.engine import load
    from core.make_assets.packs.shipped import PLANS, rebuild

    parser = argparse.ArgumentParser(prog="python -m core.make_assets.packs", description=__doc__)
    parser.add_argument("--study", type=Path, default=ASSETS_DIR / "study")
    parser.add_argument("--only", nargs="*", choices=sorted(PLANS), default=list(PLANS), metavar="SLUG")
    options = parser.parse_args(arguments)
    engine = load(LoadRequest("mini"))
    for slug in options.only:
        pack = rebuild(engine, slug, options.study, _tell)
        print(f"{slug}: {len(pack.trials)} trials, {pack.digest}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
