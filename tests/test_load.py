"""The load run in small: eight visitors, a turn each, without brushwork. `python -m tests.load` is the whole one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from tests.load.run import Plan, run
from tests.load.scene import Marked, nearest
from tests.visitor import serve


def test_a_result_is_recognised_as_its_visitor_s_own() -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.uniform(0, 255, (64, 64, 3)).astype(np.float32) for _ in range(3)]
    scenes = [Marked(b"", slug, picture) for slug, picture in zip(("ink", "ink", "wash"), pictures, strict=True)]
    assert nearest(pictures[1] + 0.5, scenes, "ink") == (1, pytest.approx(0.5, abs=0.01))
    assert nearest(pictures[2], scenes, "wash") == (2, 0.0)
    best, away = nearest(pictures[2], scenes, "ink")
    assert best in (0, 1) and away > 50, "another visitor's picture is far from every own one"


@pytest.mark.slow
def test_eight_visitors_at_once(tmp_path: Path) -> None:
    with serve(tmp_path / "data", module="app") as server:
        report = asyncio.run(run(server, Plan(visitors=8, seconds=300, trainers=1, steps=2, turns=1, brush=0)))
        assert "Traceback" not in server.log.read_text()
    assert report["passed"], json.dumps(report, indent=2)
    assert report["drawn"] == 7 and set(report["answers"]) == {"200"}
