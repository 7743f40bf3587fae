"""The load run itself: visitors that draw, visitors that train, and somebody who watches the server's memory."""

from __future__ import annotations

import asyncio
import collections
import io
import math
import random
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from core.engines.base import DrawOptions
from tests.load.scene import Marked, nearest, scene, small
from tests.visitor import Outcome, Running, Visitor

SAME = 2.0  # mean difference of 8-bit levels: threads may sum up in another order
LIGHT_S = 0.3
WATCH_S, SETTLING_S = 1.0, 60.0
FLOOR_S, GROWTH = 30.0, 0.05  # windows for the lowest memory, and how much of it may come on top in the whole run
FEWEST_FLOORS = 4  # through fewer of them no line tells a leak from caches that fill
RELOADING = 0.1  # share of drawings after which the page is loaded anew
SEED = 1


@dataclass(frozen=True)
class Plan:
    """How many visitors for how long; the first `trainers` of them train styles of `steps` steps.

    With `turns`, each of them leaves earlier, after so many drawings or runs; with `brush` all of them draw with that
    much brushwork.
    """

    visitors: int = 50
    seconds: float = 300.0
    trainers: int = 2
    steps: int = 20
    turns: float = math.inf
    brush: float = DrawOptions().brush


@dataclass
class Seen:
    """What the visitors met."""

    statuses: collections.Counter = field(default_factory=collections.Counter)
    sentences: collections.Counter = field(default_factory=collections.Counter)
    drawn: int = 0
    crossed: list[str] = field(default_factory=list)
    trained: int = 0
    stopped: int = 0
    reopened: int = 0
    light_s: list[tuple[bool, float]] = field(default_factory=list)  # (while somebody trained, seconds)
    draw_s: list[float] = field(default_factory=list)
    waited: list[int] = field(default_factory=list)
    training_now: int = 0
    memory: list[tuple[float, float]] = field(default_factory=list)  # (seconds, MB)
    sick: int = 0

    def take(self, visitor: Visitor) -> None:
        """Take over what a visitor counted, and start their counts anew."""
        self.statuses.update(visitor.statuses)
        visitor.statuses.clear()

    def light(self, visitor: Visitor) -> None:
        """Take over the times of light events."""
        self.light_s += [(self.training_now > 0, seconds) for seconds in visitor.light_s]
        visitor.light_s.clear()

    def complain(self, outcomes: list[Outcome]) -> bool:
        """Note the sentences of events that did not succeed; whether there were any."""
        failed = [outcome.error or "no words" for outcome in outcomes if not outcome.succeeded]
        self.sentences.update(failed)
        return bool(failed)


async def run(server: Running, plan: Plan) -> dict[str, Any]:
    """Play the whole run and report."""
    scenes = await asyncio.to_thread(_scene, plan)
    seen, ends = Seen(), time.monotonic() + plan.seconds
    started = time.monotonic()
    watching = asyncio.create_task(_watch(server, seen, started))
    parts = [
        _train(server, number, scenes, plan, seen, ends)
        if number < plan.trainers
        else _draw(server, number, scenes, plan, seen, ends)
        for number in range(plan.visitors)
    ]
    broken = [repr(error)[:300] for error in await asyncio.gather(*parts, return_exceptions=True) if error is not None]
    watching.cancel()
    return _report(plan, seen, broken, time.monotonic() - started)


def _scene(plan: Plan) -> list[Marked]:
    from core.studio import Studio

    return scene(Studio.open(backbone="mini", device="cpu"), plan.visitors, DrawOptions(brush=plan.brush))


async def _open(server: Running, seen: Seen) -> Visitor:
    visitor = Visitor(server.address)
    seen.complain(await visitor.open())
    return visitor


async def _choose_photo(visitor: Visitor, marked: Marked, seen: Seen) -> bool:
    visitor.set("photo", await visitor.upload("me.png", marked.photo))
    return not seen.complain(await visitor.fire("photo", "change"))


async def _draw(server: Running, number: int, scenes: list[Marked], plan: Plan, seen: Seen, ends: float) -> None:
    """A visitor who draws, looks at other settings, and sometimes reloads the page."""
    rng, marked, turns = random.Random(SEED + number), scenes[number], 0
    await asyncio.sleep(rng.uniform(0, 5))
    while time.monotonic() < ends and turns < plan.turns:
        async with await _open(server, seen) as visitor:
            seen.reopened += 1
            visitor.set("brush", plan.brush)
            ready = await _choose_photo(visitor, marked, seen)
            while ready and time.monotonic() < ends and turns < plan.turns:
                turns += 1
                await _look_around(visitor, rng, seen)
                await _draw_once(visitor, number, scenes, seen)
                if rng.random() < RELOADING:
                    break
            seen.take(visitor)


async def _draw_once(visitor: Visitor, number: int, scenes: list[Marked], seen: Seen) -> None:
    marked = scenes[number]
    started = time.monotonic()
    outcomes = await visitor.fire("styles", "click", {"pick": marked.slug})
    seen.light(visitor)
    if seen.complain(outcomes):
        return
    seen.draw_s.append(time.monotonic() - started)
    seen.waited += [outcome.positions[0][0] for outcome in outcomes if outcome.positions]
    with Image.open(io.BytesIO(await visitor.file(visitor.value("download")))) as result:
        best, away = nearest(small(result), scenes, marked.slug)
    seen.drawn += 1
    if best != number or away > SAME:
        seen.crossed.append(f"visitor {number} got a picture like {best}'s, {away:.1f} away")


async def _look_around(visitor: Visitor, rng: random.Random, seen: Seen) -> None:
    """Settings and tabs: what must never wait behind a drawing."""
    for _ in range(3):
        seen.complain(await visitor.choose("preset", rng.choice(("sketch", "cartoon"))))
        started = time.monotonic()
        await visitor.get("/")
        seen.light_s.append((seen.training_now > 0, time.monotonic() - started))
        seen.light(visitor)
        await asyncio.sleep(rng.uniform(0.2, 1.5))


async def _train(server: Running, number: int, scenes: list[Marked], plan: Plan, seen: Seen, ends: float) -> None:
    """A visitor who trains styles from their own picture, and stops every third run."""
    rng, turns = random.Random(SEED + number), 0
    while time.monotonic() < ends and turns < plan.turns:
        async with await _open(server, seen) as visitor:
            visitor.set("references", [await visitor.upload("art.png", scenes[number].photo)])
            if seen.complain(await visitor.fire("references", "upload")):
                await asyncio.sleep(1)
                continue
            visitor.set("steps", plan.steps)
            run, turns = asyncio.create_task(_counted(visitor, seen)), turns + 1
            if turns % 3 == 0:
                await asyncio.sleep(rng.uniform(1, 6))
                seen.complain(await visitor.fire("stop", "click"))
            seen.complain(await run)
            seen.light(visitor)
            made = visitor.value("download-style")
            if made:
                seen.trained += 1
                if len(await visitor.file(made)) < 10_000:
                    seen.crossed.append(f"visitor {number} got an empty style")
            else:
                seen.stopped += 1
            seen.take(visitor)


async def _counted(visitor: Visitor, seen: Seen) -> list[Outcome]:
    seen.training_now += 1
    try:
        return await visitor.fire("train", "click")
    finally:
        seen.training_now -= 1


async def _watch(server: Running, seen: Seen, started: float) -> None:
    """Note the server's memory and health."""
    async with httpx.AsyncClient() as client:
        while True:
            seen.memory.append((time.monotonic() - started, resident_mb(server.process.pid)))
            try:
                reply = await client.get(f"{server.address}health", timeout=30)
                seen.sick += reply.status_code != 200
            except httpx.HTTPError:
                seen.sick += 1
            await asyncio.sleep(WATCH_S)


def resident_mb(pid: int) -> float:
    """Resident memory of a process in MB, as Linux tells it."""
    fields = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1000 for line in fields if line.startswith("VmRSS:"))


def _memory(seen: Seen, seconds: float) -> dict[str, Any]:
    """Whether the floor of memory rises after the first minute; a run of under three minutes can't tell.

    The floor is the least within each half minute, since training takes memory for a while and a leak never gives it
    back; its rise is that of a straight line through all of them.
    """
    peak = {"peak_mb": round(max(mb for _, mb in seen.memory))}
    if seconds < SETTLING_S + FEWEST_FLOORS * FLOOR_S:
        return peak
    windows = collections.defaultdict(list)
    for at, mb in seen.memory:
        if SETTLING_S < at < seconds:
            windows[int(at // FLOOR_S)].append(mb)
    floors = np.array([[window * FLOOR_S / 60, min(values)] for window, values in sorted(windows.items())])
    slope, start = np.polyfit(floors[:, 0] - floors[0, 0], floors[:, 1], 1)
    return {
        **peak,
        "floor_mb": [round(mb) for mb in floors[:, 1]],
        "mb_per_minute": round(float(slope), 2),
        "flat": bool(slope * (floors[-1, 0] - floors[0, 0]) < GROWTH * start),
    }


def _times(values: list[float]) -> dict[str, Any]:
    if not values:
        return {"count": 0}
    ordered = sorted(values)
    return {
        "count": len(values),
        "median_ms": round(1000 * statistics.median(values)),
        "p95_ms": round(1000 * ordered[int(0.95 * (len(ordered) - 1))]),
        "longest_ms": round(1000 * ordered[-1]),
    }


def _report(plan: Plan, seen: Seen, broken: list[str], seconds: float) -> dict[str, Any]:
    faults = sum(count for status, count in seen.statuses.items() if status >= 500)
    training = [s for while_training, s in seen.light_s if while_training]
    light = {"while_training": _times(training), "all": _times([s for _, s in seen.light_s])}
    memory = _memory(seen, seconds)
    held = {
        "no answer of 500 or above": faults == 0 and seen.sick == 0,
        "every result is the visitor's own": not seen.crossed and seen.drawn > 0,
        "every training run ended in a style or was stopped": seen.trained > 0 or plan.trainers == 0,
        "light events answer within 300 ms in the median while somebody trains": bool(training)
        and statistics.median(training) < LIGHT_S,
        "no visitor met an error": not broken and not seen.sentences,
    }
    if "flat" in memory:
        held["memory is flat after the first minute"] = memory["flat"]
    return {
        "passed": all(held.values()),
        "held": held,
        "visitors": plan.visitors,
        "seconds": round(seconds, 1),
        "answers": {str(status): count for status, count in sorted(seen.statuses.items())},
        "drawn": seen.drawn,
        "trained": seen.trained,
        "stopped": seen.stopped,
        "page_loads": seen.reopened,
        "longest_line": max(seen.waited, default=0) + 1,
        "drawing": _times(seen.draw_s),
        "light": light,
        "memory": memory,
        "crossed": seen.crossed[:20],
        "sentences": dict(seen.sentences.most_common(20)),
        "broken": broken[:20],
    }
