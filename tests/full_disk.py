"""`python -m tests.full_disk FOLDER`: saves on a disk that has become full, and prints what was said and kept.

No file may grow beyond 50 kB then, which a program meets as it meets a disk without space.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from PIL import Image

from core.engines.fewshot_gan.style_file import save_style
from core.errors import DiskFull
from core.imaging.photo import save_png
from core.ui.friendly_errors import sentence
from tests.saving import big_style


def main(folder: Path) -> None:
    """Save two files, then try to save over them and beside them."""
    style, picture = folder / "ink.safetensors", folder / "face.png"
    save_style(big_style(3), style)
    save_png(Image.effect_noise((64, 64), 90).convert("RGB"), picture)
    before = [style.read_bytes(), picture.read_bytes()]
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    told = []
    for work in (
        lambda: save_style(big_style(4), style),
        lambda: save_png(Image.effect_noise((512, 512), 90).convert("RGB"), picture),
        lambda: (folder / "other").write_bytes(b"x" * 200_000),
    ):
        try:
            work()
            told.append("nothing")
        except OSError as error:
            told.append(sentence(error))
        except DiskFull as error:
            told.append(str(error))
    (folder / "other").unlink()
    after = [style.read_bytes(), picture.read_bytes()]
    print(json.dumps({"told": told, "same": before == after, "left": sorted(path.name for path in folder.iterdir())}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
