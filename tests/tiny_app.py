"""The real app on the tiny backbone of the tests: `python -m tests.tiny_app`. Styles train within a second or two."""

from __future__ import annotations

from dataclasses import replace

import app
from core.engines.fewshot_gan.mini import LANDMARKS_FILE, MINI_DIR
from core.imaging.faces import FaceFinder
from core.studio import Studio
from tests.tiny_backbone import tiny_backbone, tiny_studio


def open_tiny() -> Studio:
    """A Studio with the real face finder and networks of made-up weights."""
    return tiny_studio(replace(tiny_backbone(), finder=FaceFinder(MINI_DIR / LANDMARKS_FILE)))


if __name__ == "__main__":
    app.open_studio = open_tiny
    app.main()
