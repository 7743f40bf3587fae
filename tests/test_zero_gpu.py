"""Jobs on ZeroGPU's executor; see `tests/zero_gpu_stand_in.py` for what is real in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent


def stand_in(what: str, data: Path) -> dict[str, Any]:
    """The report of one run in a process of its own, since `spaces` chooses its mode when it is imported."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.zero_gpu_stand_in", what],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "STYLEIDENTITY_DATA": str(data)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return stand_in("jobs", tmp_path_factory.mktemp("jobs"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return stand_in("weights", tmp_path_factory.mktemp("weights"))


def test_one_function_is_known_to_need_a_gpu_before_the_studio_is_open(jobs: dict[str, Any]) -> None:
    assert jobs["executor"] == "ZeroGpuExecutor"
    assert len(jobs["decorated"]) == 1 and "ZeroGpuAccelerator" in jobs["decorated"][0]


def test_training_streams_out_of_the_worker(jobs: dict[str, Any]) -> None:
    assert jobs["train"] == {
        "steps": [1, 2, 3, 4, 5, 6],
        "previews": 4,  # steps 1, 2, 4 and 6
        "devices": ["cpu"],  # no tensor of an accelerator crosses
        "again": True,  # a worker that is used again makes the same style
        "declared_as_told": True,
    }
    assert jobs["base_unchanged"]


def test_jobs_give_what_they_give_without_a_worker(jobs: dict[str, Any]) -> None:
    assert len(jobs["same"]) == 5
    for title, found in jobs["same"].items():
        assert found["as_here"] and found["pictures"] >= 2, title
        assert found["devices"] in ([], ["cpu"]), title
    assert jobs["crossed"] >= 10, "every call was pickled"


def test_all_operations_share_a_worker(jobs: dict[str, Any]) -> None:
    assert jobs["workers"] == jobs["workers_afterwards"] == 1


def test_expected_failures_arrive_whole(jobs: dict[str, Any]) -> None:
    """Any exception reaches this side as a bare class name there, so they travel as values."""
    sentences = {
        "broken style": "'broken.safetensors' is not a style this app can use",
        "no style": "'gone.safetensors' is not a style this app can use: it is no longer here",
        "too many": "15 style pictures are too many; keep the best 14",
        "too few": "Add at least one style picture",
    }
    assert set(jobs["failures"]) == set(sentences)
    for title, sentence in sentences.items():
        assert sentence in jobs["failures"][title]["text"] and jobs["failures"][title]["as_here"], title
    assert jobs["afterwards"], "also after failures, stops and visitors who left"


def test_other_failures_are_gradio_errors_that_tell_nothing(jobs: dict[str, Any]) -> None:
    assert jobs["unexpected"] == {"kind": "Error", "message": "ValueError"}
    assert "cannot pickle" in jobs["unpicklable"]


def test_stopping_and_leaving_end_the_worker_s_run(jobs: dict[str, Any]) -> None:
    assert jobs["stopped"]["kind"] == "TrainingStopped" and 2 <= jobs["stopped"]["steps"] <= 10, "of 500 steps"
    assert jobs["closed"]["steps"] == 3
    assert jobs["closed"]["closing_s"] < 5 * jobs["closed"]["three_s"], "the other 497 steps were not waited for"


def test_declared_time_follows_the_work(jobs: dict[str, Any]) -> None:
    declared = jobs["declared"]
    assert all(1 <= seconds <= 300 for seconds in declared)
    assert max(declared) > 2 * min(declared), "500 steps are declared longer than one drawing"


def test_weights_are_placed_before_the_page_is_launched(weights: dict[str, Any]) -> None:
    assert weights["device"] == "cuda"
    assert all(devices == ["cuda:0"] for devices in weights["placed"].values()), weights["placed"]
    assert weights["packed_bytes"] > 10_000_000


def test_a_thread_could_not_place_them(weights: dict[str, Any]) -> None:
    """Why `app.py` opens the Studio in the main thread there: the emulation lives in it."""
    assert weights["in_thread"] == "RuntimeError"


def test_handlers_need_no_accelerator_outside_of_workers(weights: dict[str, Any]) -> None:
    assert weights["resolution"] == 256
    assert (weights["ready"] > 0, weights["steps"], weights["style"] > 0) == (True, 150, True)
    assert 60 < weights["declared"] < 120, "practice faces, then steps"
