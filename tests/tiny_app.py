"""The real app on the tiny backbone of the tests: `python -m tests.tiny_app`. Styles train within a second or two.

With `TESTS_WITH_ENGINES=1`, two more engines are in the registry: that of `tests/fake_engine.py`, and a broken one.
With `TESTS_WITH_FILES_UP_TO`, no file may become larger, which is how a full disk is met.
"""

from __future__ import annotations

import os
import resource

import app
from core.engines import registry
from tests.fake_engine import BROKEN, ENTRY
from tests.tiny_backbone import tiny_studio_that_finds_faces

if __name__ == "__main__":
    if os.environ.get("TESTS_WITH_ENGINES") == "1":
        registry.register(ENTRY)
        registry.register(BROKEN)
    if limit := os.environ.get("TESTS_WITH_FILES_UP_TO"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    app.open_studio = tiny_studio_that_finds_faces
    app.main()
