"""ZeroGPU without its hardware: the real `spaces` package in its own mode, with a stand-in for scheduler and GPU.

`python -m tests.zero_gpu_stand_in jobs` runs jobs on the executor that is chosen there, through the package's own
wrappers: arguments and results are pickled to and from forked workers, as on ZeroGPU. Networks stay on the CPU.
`python -m tests.zero_gpu_stand_in weights` opens the embedded backbone under the package's emulation of CUDA.
Both print one line of JSON last.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ["SPACES_ZERO_GPU"] = "true"
os.environ["SPACES_ZERO_DEVICE_API_URL"] = "http://127.0.0.1:9"

import spaces  # before anything that knows CUDA
import torch
from spaces.zero import client, decorator, wrappers
from spaces.zero import torch as emulation

DECLARED: list[float] = []
CROSSED: list[str] = []


def stand_in() -> None:
    """Replace the scheduler (an address that nobody serves) and the GPU (nothing to move to)."""

    def schedule(*, duration: Any, **_: object) -> SimpleNamespace:
        DECLARED.append(duration.total_seconds())
        return SimpleNamespace(allowToken="token", nvidiaIndex=0, nvidiaUUID="uuid", idle=True)

    client.schedule = schedule
    client.allow = client.release = lambda *_, **__: None
    emulation.init = lambda uuid: None
    emulation.move = lambda callback=None: None
    put = wrappers.Queue.put

    def strict(self: object, message: object) -> None:
        """ForkingPickler, which the queue uses, takes more than a pickle does: locks, sockets, shared memory."""
        pickle.loads(pickle.dumps(message))
        CROSSED.append(type(message).__name__)
        put(self, message)

    wrappers.Queue.put = strict


def failure(work: Callable[[], object]) -> BaseException | None:
    """How a call failed."""
    try:
        result = work()
        if isinstance(result, Iterator):
            list(result)
    except Exception as error:
        return error
    return None


def devices(value: Any) -> set[str]:
    """Where the tensors inside a value are."""
    if isinstance(value, torch.Tensor):
        return {value.device.type}
    if isinstance(value, (list, tuple)):
        parts = list(value)
    else:
        parts = list(value.values() if isinstance(value, dict) else getattr(value, "__dict__", {}).values())
    return set().union(set(), *(devices(part) for part in parts))


def pictures(results: Any) -> list[str]:
    """Every picture inside the results, to compare with others."""
    if hasattr(results, "tobytes"):
        return [results.tobytes().hex()]
    if isinstance(results, (list, tuple)):
        return [picture for part in results for picture in pictures(part)]
    return [picture for part in getattr(results, "__dict__", {}).values() for picture in pictures(part)]


def jobs() -> dict[str, Any]:
    """Run every job in workers and in this process, and compare."""
    stand_in()
    torch.set_num_threads(1)  # a forked child has none of its parent's threads
    from core.config import ASSETS_DIR
    from core.engines.base import DrawOptions, TrainingConfig, run_to_end
    from core.execution.choose import make_executor
    from core.execution.in_process import InProcessExecutor
    from core.execution.jobs import (
        CompareStyles,
        DrawPhotos,
        DrawPortrait,
        PictureFile,
        ReadReferences,
        ReferencePicture,
        TrainStyle,
    )
    from core.execution.loader import StudioLoader
    from tests.tiny_backbone import as_face, drawings, tiny_backbone, tiny_studio_that_finds_faces

    loader = StudioLoader()
    there, local = make_executor(loader.studio)
    report: dict[str, Any] = {"executor": type(there).__name__, "decorated": decorated()}
    studio = loader.open_here(tiny_studio_that_finds_faces).result()
    here = InProcessExecutor(loader.studio, local)
    generator = studio.engine().backbone.generator
    before = [parameter.clone() for parameter in generator.parameters()]
    faces = tuple(as_face(picture, f"{number}.png") for number, picture in enumerate(drawings(tiny_backbone(), 3)))
    photos = tuple(PictureFile(path) for path in sorted((ASSETS_DIR / "examples").glob("*.png"))[:2])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def training(config: TrainingConfig, stop: str = "stop", preview: PictureFile | None = None) -> TrainStyle:
            return TrainStyle(faces, config, "Ink", folder / stop, preview=preview)

        config = studio.config("sketch", steps=6, preview_every=2, method="paper")
        long = studio.config("sketch", steps=500, method="paper")
        steps = list(there.stream(training(config, preview=photos[0])))
        again = run_to_end(there.stream(training(config)))
        style = steps[-1].style
        report["train"] = {
            "steps": [item.step for item in steps],
            "previews": sum(item.preview is not None for item in steps),
            "devices": sorted(devices(style)),
            "again": all(torch.equal(change, again.weights[key]) for key, change in style.weights.items()),
            "declared_as_told": there.accelerator_seconds(config, len(faces)) <= DECLARED[-1],
        }
        path = studio.save_style(style, folder / "ink.safetensors")
        portrait = here.result(DrawPortrait(photos[0], path))
        known = {"face": portrait.face, "prepared": portrait.prepared}
        same = {
            "portrait": DrawPortrait(photos[0], path, DrawOptions(strength=0.5, keep_colour=True, seed=3), blend=True),
            "portrait of a known face": DrawPortrait(photos[0], path, **known),
            "photos": DrawPhotos(photos, path),
            "comparison": CompareStyles(photos[0], (path, path), **known),
            "references": ReadReferences(tuple(ReferencePicture(str(i), photo) for i, photo in enumerate(photos))),
        }
        report["same"] = {}
        for title, job in same.items():
            results = list(there.stream(job))
            report["same"][title] = {
                "pictures": len(pictures(results)),
                "as_here": pictures(results) == pictures(list(here.stream(job))),
                "devices": sorted(devices(results)),
            }
        report["workers"] = len(multiprocessing.active_children())
        report["closed"] = closed(there.stream(training(long, "never")))
        report["workers_afterwards"] = len(multiprocessing.active_children())
        report["stopped"] = stopped(there.stream(training(long, "later")), folder / "later")
        (folder / "broken.safetensors").write_bytes(b"no style")
        wrong = {
            "broken style": DrawPortrait(photos[0], folder / "broken.safetensors", **known),
            "no style": DrawPhotos(photos, folder / "gone.safetensors"),
            "too many": TrainStyle(faces * 5, config, "Ink", folder / "stop"),
            "too few": TrainStyle((), config, "Ink", folder / "stop"),
        }
        report["failures"] = {}
        for title, job in wrong.items():
            failed, wanted = failure(lambda job=job: there.stream(job)), failure(lambda job=job: here.stream(job))
            report["failures"][title] = {
                "text": str(failed),
                "as_here": (type(failed), failed.args, vars(failed)) == (type(wanted), wanted.args, vars(wanted)),
            }
        personal = TrainStyle(faces, studio.config("sketch", anchor="photo", method="paper"), "Ink", folder / "stop")
        unexpected = failure(lambda: there.stream(personal))  # a ValueError: nobody was named
        report["unexpected"] = {"kind": type(unexpected).__name__, "message": getattr(unexpected, "message", "")}
        odd = DrawPortrait(photos[0], path, face=portrait.face, prepared=threading.Lock())
        report["unpicklable"] = str(failure(lambda: there.result(odd)))
        report["afterwards"] = pictures(there.result(DrawPortrait(photos[0], path, **known))) == pictures(portrait)
    report["base_unchanged"] = all(
        torch.equal(old, new) for old, new in zip(before, generator.parameters(), strict=True)
    )
    report["declared"] = DECLARED
    report["crossed"] = len(CROSSED)
    return report


def decorated() -> list[str]:
    """Names of the functions that `spaces` knows to need a GPU; it asks when the page is launched."""
    return sorted(task.__qualname__ for task in decorator.decorated_cache if hasattr(task, "zerogpu"))


def stopped(run: Iterator[Any], flag: Path) -> dict[str, Any]:
    """How a training ends whose stop flag appears after the second step."""
    seen = 0
    try:
        for item in run:
            seen += 1
            if item.step == 2:
                flag.touch()
    except Exception as error:
        return {"steps": seen, "kind": type(error).__name__}
    return {"steps": seen, "kind": ""}


def closed(run: Any) -> dict[str, float]:
    """How long it takes to be rid of a training whose visitor leaves after the third of its 500 steps."""
    started = time.monotonic()
    seen = [next(run).step for _ in range(3)]
    three_s = time.monotonic() - started
    run.close()
    return {"steps": len(seen), "three_s": three_s, "closing_s": time.monotonic() - started - three_s}


def weights() -> dict[str, Any]:
    """Place the embedded backbone's weights as the app does there, and as a thread would."""
    from core.execution.choose import make_executor
    from core.execution.loader import StudioLoader
    from core.studio import Studio

    loader = StudioLoader()
    executor, _ = make_executor(loader.studio)
    studio = loader.open_here(lambda: Studio.open(backbone="mini")).result()
    backbone = studio.engine().backbone
    modules = {
        "generator": backbone.generator,
        "encoder": backbone.encoder,
        **{f"measure {name}": measure for name, measure in backbone.measures.items()},
    }
    placed = {name: sorted({str(p.device) for p in module.parameters()}) for name, module in modules.items()}
    described, packed = studio.describe(), emulation.pack()
    return {
        "device": described.device,
        "resolution": described.resolution_px,
        "placed": placed,
        "packed_bytes": packed,
        "in_thread": in_thread(lambda: torch.ones(1).to("cuda")),
        "ready": in_thread(lambda: len(studio.ready_styles())),
        "steps": in_thread(lambda: studio.config("sketch").steps),
        "style": in_thread(lambda: studio.find_style("charcoal").references),
        "declared": in_thread(lambda: executor.accelerator_seconds(studio.config("sketch"), 4)),
    }


def in_thread(work: Callable[[], Any]) -> Any:
    """What a handler of the page gets, which runs in a thread of its own, or the kind of its failure."""
    with ThreadPoolExecutor(1) as pool:
        failed = (done := pool.submit(work)).exception()
    return done.result() if failed is None else type(failed).__name__


if __name__ == "__main__":
    assert spaces.config.Config.zero_gpu
    made = {"jobs": jobs, "weights": weights}[sys.argv[1]]()
    print(json.dumps(made), flush=True)
    for worker in multiprocessing.active_children():  # they wait for work for ever
        worker.kill()
    os._exit(0)
