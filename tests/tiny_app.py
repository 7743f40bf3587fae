"""The real app on the tiny backbone of the tests: `python -m tests.tiny_app`. Styles train within a second or two."""

from __future__ import annotations

import app
from tests.tiny_backbone import tiny_studio_that_finds_faces

if __name__ == "__main__":
    app.open_studio = tiny_studio_that_finds_faces
    app.main()
