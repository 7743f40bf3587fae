"""ZeroGPU without its hardware: the real `spaces` package in its own mode, with a stand-in for scheduler and GPU.

`python -m tests.zero_gpu_stand_in calls` runs every decorated function of the page through the package's own wrappers:
arguments and results are pickled to and from forked workers, as on ZeroGPU. Networks stay on the CPU.
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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ["SPACES_ZERO_GPU"] = "true"
os.environ["SPACES_ZERO_DEVICE_API_URL"] = "http://127.0.0.1:9"

import spaces  # before anything that knows CUDA
import torch
from PIL import Image
from spaces.zero import client, wrappers
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


def failure(work: Callable[[], object]) -> dict[str, str]:
    """How a call failed."""
    try:
        result = work()
        if isinstance(result, Iterator):
            list(result)
    except Exception as error:
        return {"kind": type(error).__name__, "text": str(error), "message": getattr(error, "message", "")}
    return {"kind": "", "text": "", "message": ""}


def kinds(value: Any) -> set[str]:
    """Devices of all tensors inside a value."""
    if isinstance(value, torch.Tensor):
        return {value.device.type}
    fields = vars(value).values() if hasattr(value, "__dict__") else value.values() if isinstance(value, dict) else ()
    return set().union(set(), *(kinds(field) for field in fields))


def calls() -> dict[str, Any]:
    """Run the decorated functions in workers and report."""
    stand_in()
    torch.set_num_threads(1)  # a forked child has none of its parent's threads
    from core.config import FinetuneConfig
    from core.engines.fewshot_gan.backbone import BackboneChoice
    from core.engines.fewshot_gan.style_file import Style
    from core.studio import Studio
    from core.ui.server import runtime as engine
    from core.ui.tabs import photo_vote_handlers
    from tests.tiny_backbone import as_face, drawings, tiny_backbone

    backbone = tiny_backbone()
    engine.LOADER.open_here(lambda: Studio(backbone, BackboneChoice("mini", "a stand-in"))).result()
    before = [parameter.clone() for parameter in backbone.generator.parameters()]
    faces = tuple(as_face(picture, f"{number}.png") for number, picture in enumerate(drawings(backbone, 3)))
    report: dict[str, Any] = {"decorated": decorated()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = engine.studio().config("sketch", steps=6, preview_every=2)
        run = list(engine.train(faces, config, "Ink", None, faces[0], str(folder / "stop")))
        style = run[-1]
        assert isinstance(style, Style)
        path = str(engine.studio().save_style(style, folder / "ink.safetensors"))
        report["train"] = {
            "steps": [item.step for item in run[:-1]],
            "previews": sum(item.preview is not None for item in run[:-1]),
            "devices": sorted(kinds(style)),
            "declared": DECLARED[-1],
        }
        *_, same = engine.train(faces, config, "Ink", None, None, str(folder / "stop"))
        report["train"]["again"] = all(
            torch.equal(style.weights[key], same.weights[key]) for key in {**style.weights, **same.weights}
        )
        inversion, drawn = engine.draw(faces[0], None, path, 1.0, False, 0)
        again, redrawn = engine.draw(faces[0], inversion, path, 1.0, False, 0)
        alone = engine.studio().stylize(faces[0], style)
        report["draw"] = {
            "devices": sorted(kinds(inversion) | kinds(again)),
            "as_without_a_worker": drawn.image.tobytes() == redrawn.image.tobytes() == alone.image.tobytes(),
        }
        many = list(engine.draw_many(faces, path, 1.0, False, 0))
        report["draw_many"] = [item.image.size for item in many]
        both = photo_vote_handlers.draw_arms(faces[0], inversion, [path, path])
        report["draw_arms"] = [picture.tobytes() == alone.image.tobytes() for picture in both]
        report["looks"] = [isinstance(look, Image.Image) for look in engine.looks(faces)]
        (folder / "broken.safetensors").write_bytes(b"no style")
        report["errors"] = {
            "expected": failure(
                lambda: engine.draw(faces[0], inversion, str(folder / "broken.safetensors"), 1.0, False, 0)
            ),
            "missing": failure(lambda: engine.draw_many(faces, str(folder / "gone.safetensors"), 1.0, False, 0)),
            "unexpected": failure(lambda: engine.draw(faces[0], inversion, path, 7.0, False, 0)),
            "too_many": failure(lambda: engine.train(faces * 5, config, "Ink", None, None, str(folder / "stop"))),
            "unpicklable": failure(lambda: engine.draw(faces[0], threading.Lock(), path, 1.0, False, 0)),
        }
        report["stopped"] = stopped(engine, faces, FinetuneConfig(steps=500), folder / "stop")
        report["closed"] = closed(engine, faces, FinetuneConfig(steps=500), folder / "later")
        report["afterwards"] = (
            engine.draw(faces[0], inversion, path, 1.0, False, 0)[1].image.tobytes() == alone.image.tobytes()
        )
    report["base_unchanged"] = all(
        torch.equal(old, new) for old, new in zip(before, backbone.generator.parameters(), strict=True)
    )
    report["declared"] = DECLARED
    report["crossed"] = len(CROSSED)
    return report


def decorated() -> list[str]:
    """Names of the page's functions that run in a worker."""
    import app

    assert app.ZERO_GPU
    page = [module for name, module in sys.modules.items() if name.startswith("core.")]
    return sorted({name for module in page for name, value in vars(module).items() if hasattr(value, "zerogpu")})


def stopped(engine: Any, faces: tuple, config: Any, flag: Path) -> int:
    """Steps of a run whose stop flag appears after the second."""
    seen = 0
    for item in engine.train(faces, config, "Ink", None, None, str(flag)):
        seen += 1
        if item.step == 2:
            flag.touch()
    return seen


def closed(engine: Any, faces: tuple, config: Any, flag: Path) -> int:
    """Steps of a run whose visitor leaves after the third."""
    run = engine.train(faces, config, "Ink", None, None, str(flag))
    seen = [next(run).step for _ in range(3)]
    run.close()
    return len(seen)


def weights() -> dict[str, Any]:
    """Place the embedded backbone's weights as `app.py` does there, and as a thread would."""
    import app
    from core.studio import Studio
    from core.ui.server import runtime as engine

    opened = engine.LOADER.open_here(lambda: Studio.open("mini")).result()
    backbone = opened.backbone
    modules = {
        "generator": backbone.generator,
        "encoder": backbone.encoder,
        **{f"measure {name}": measure for name, measure in backbone.measures.items()},
    }
    placed = {name: sorted({str(p.device) for p in module.parameters()}) for name, module in modules.items()}
    device, resolution = str(backbone.device), backbone.resolution
    packed = emulation.pack()
    return {
        "zero_gpu": app.ZERO_GPU and spaces.config.Config.zero_gpu,
        "device": device,
        "resolution": resolution,
        "placed": placed,
        "packed_bytes": packed,
        "in_thread": in_thread(lambda: torch.ones(1).to("cuda")),
        "presets": in_thread(lambda: len(opened.presets())),
        "steps": in_thread(lambda: opened.config("sketch").steps),
        "style": in_thread(lambda: opened.load_style(opened.presets()[0].path).references),
        "declared": in_thread(lambda: engine.train_seconds([None] * 4, opened.config("sketch"))),
    }


def in_thread(work: Callable[[], Any]) -> Any:
    """What a handler of the page gets, which runs in a thread of its own, or the kind of its failure."""
    with ThreadPoolExecutor(1) as pool:
        failed = (done := pool.submit(work)).exception()
    return done.result() if failed is None else type(failed).__name__


if __name__ == "__main__":
    told = {"calls": calls, "weights": weights}[sys.argv[1]]()
    print(json.dumps(told), flush=True)
    for worker in multiprocessing.active_children():  # they wait for work for ever
        worker.kill()
    os._exit(0)
