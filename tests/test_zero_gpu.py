"""The page's accelerator functions as ZeroGPU runs them; see `tests/zero_gpu_stand_in.py` for what is real in it."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.visitor import ROOT, environment

pytestmark = pytest.mark.slow


@functools.cache
def stand_in(what: str, data: Path) -> dict[str, Any]:
    """The report of one run in a process of its own, since `spaces` chooses its mode when it is imported."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.zero_gpu_stand_in", what],
        cwd=ROOT,
        env=environment(data, OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return stand_in("calls", tmp_path_factory.mktemp("calls") / "data")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return stand_in("weights", tmp_path_factory.mktemp("weights") / "data")


def test_every_decorated_function_was_called(calls: dict[str, Any]) -> None:
    """Each call pickled its arguments and results; another function needs a call of its own in the stand-in."""
    assert calls["decorated"] == ["draw", "draw_arms", "draw_many", "looks", "train"]
    assert set(calls["decorated"]) <= set(calls)
    assert calls["crossed"] >= 10


def test_training_streams_out_of_the_worker(calls: dict[str, Any]) -> None:
    assert calls["train"]["steps"] == [1, 2, 3, 4, 5, 6]
    assert calls["train"]["previews"] == 4, "steps 1, 2, 4 and 6"
    assert calls["train"]["devices"] == ["cpu"], "no tensor of an accelerator crosses"
    assert calls["train"]["again"], "a worker that is used again makes the same style"
    assert calls["base_unchanged"]


def test_drawing_gives_what_it_gives_without_a_worker(calls: dict[str, Any]) -> None:
    assert calls["draw"] == {"devices": ["cpu"], "as_without_a_worker": True}
    assert calls["draw_many"] == [[64, 64]] * 3
    assert calls["draw_arms"] == [True] * 2
    assert calls["looks"] == [True] * 3
    assert calls["afterwards"], "also after errors, stops and visitors who left"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("expected", "'broken.safetensors' is not a style this app can use"),
        ("missing", "'gone.safetensors' is not a style this app can use: it is no longer here"),
        ("unexpected", "Something went wrong on our side."),
        ("too_many", "15 style pictures are too many; keep the best 14"),
    ],
)
def test_errors_arrive_as_sentences(calls: dict[str, Any], name: str, words: str) -> None:
    """Anything but `gr.Error` reaches a browser as the bare name of its class there."""
    assert calls["errors"][name]["kind"] == "Error"
    assert words in calls["errors"][name]["message"]


def test_the_stand_in_notices_what_can_t_be_pickled(calls: dict[str, Any]) -> None:
    assert "cannot pickle" in calls["errors"]["unpicklable"]["text"]


def test_stopping_and_leaving_end_the_worker_s_run(calls: dict[str, Any]) -> None:
    assert all(2 <= steps <= 10 for steps in (calls["stopped"], calls["closed"])), "of 500 steps"


def test_declared_time_follows_the_work(calls: dict[str, Any]) -> None:
    declared = calls["declared"]
    assert all(1 <= seconds <= 300 for seconds in declared)
    assert max(declared) > 2 * min(declared), "500 steps are declared longer than one drawing"


def test_weights_are_placed_before_the_page_is_launched(weights: dict[str, Any]) -> None:
    assert weights["zero_gpu"] and weights["device"] == "cuda"
    assert all(devices == ["cuda:0"] for devices in weights["placed"].values()), weights["placed"]
    assert weights["packed_bytes"] > 10_000_000


def test_a_thread_could_not_place_them(weights: dict[str, Any]) -> None:
    """Why `app.py` opens the Studio in the main thread there: the emulation lives in it."""
    assert weights["in_thread"] == "RuntimeError"


def test_handlers_need_no_accelerator_outside_of_their_decorated_calls(weights: dict[str, Any]) -> None:
    assert weights["resolution"] == 256
    assert (weights["presets"] > 0, weights["steps"], weights["style"] > 0) == (True, 150, True)
    assert 10 < weights["declared"] < 60
