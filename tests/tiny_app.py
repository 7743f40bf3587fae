"""The real app on the tiny backbone of the tests: `python -m tests.tiny_app`. Styles train within a second or two.

With `TESTS_WITH_ENGINES=1`, two more engines are in the registry: that of `tests/fake_engine.py`, and a broken one.
"""

from __future__ import annotations

import os

import app
from core.engines import registry
from tests.fake_engine import BROKEN, ENTRY
from tests.tiny_backbone import tiny_studio_that_finds_faces

if __name__ == "__main__":
    if os.environ.get("TESTS_WITH_ENGINES") == "1":
        registry.register(ENTRY)
        registry.register(BROKEN)
    app.open_studio = tiny_studio_that_finds_faces
    app.main()
