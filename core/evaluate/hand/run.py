"""The run itself: train or find every style, draw or find every portrait, measure it, and draw a sheet a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import torch
from PIL import Image

from core.engines.base import TrainingConfig, TrainingStep
from core.evaluate.contact import TILE_PX, save_contact
from core.evaluate.hand.kept import Keeper
from core.evaluate.hand.report import (
    Colouring,
    HandReport,
    MethodResult,
    Portrait,
    StyleResult,
    means,
    method_result,
    ratios,
    skin_results,
    tones_in_order,
)
from core.evaluate.hand.scores import notes, photo_bands, protocols, score_portrait
from core.evaluate.hand.sheet import hand_sheet
from core.evaluate.hand.subjects import Artist, Cast
from core.evaluate.metric_networks import MetricNetworks
from core.evaluate.plans import HandPlan
from core.metrics.crops import at_side
from core.progress import OnProgress, Progress, ignore_progress
from core.studio import Studio


@dataclass
class _Found:
    """One method's results so far; `tiles` are its drawings made small, a row a style."""

    styles: list[StyleResult] = field(default_factory=list)
    portraits: list[Portrait] = field(default_factory=list)
    tiles: list[list[Image.Image]] = field(default_factory=list)


class HandRun:
    """A run in a folder, which keeps styles and drawings for the next one.

    Args:
        studio: whose default engine trains and draws.
        cast: people and artists.
        configs: settings of each method's trainings, in the order of the report.
        plan: what they were made from, for the report, and how portraits are drawn.
        networks: measure.
        folder: for styles, drawings and contact sheets.
        redraw: draw anew what is kept.
        on_progress: hears of every step and drawing.
    """

    def __init__(
        self,
        studio: Studio,
        cast: Cast,
        configs: Mapping[str, TrainingConfig],
        plan: HandPlan,
        networks: MetricNetworks,
        folder: Path,
        *,
        redraw: bool = False,
        on_progress: OnProgress = ignore_progress,
    ) -> None:
        self._studio, self._cast, self._configs, self._plan = studio, cast, configs, plan
        self._networks, self._folder, self._on_progress = networks, folder, on_progress
        self.keeper = Keeper(studio, folder, redraw=redraw)

    def report(self) -> HandReport:
        """Train, draw and measure what is missing, and measure what is there.

        Returns:
            The report. Written are `styles/<artist>-<method>-<key>.safetensors`,
            `drawings/<method>/<artist>/<person>-<key>.png` (full size) and `sheet_<method>.png`.

        Raises:
            StyleIdentityError: a training failed, or a file can't be read or written.
        """
        found = {method: _Found() for method in self._configs}
        for number, artist in enumerate(self._cast.artists):
            of_photos = [photo_bands(person, artist) for person in self._cast.people]
            for method in self._configs:
                self._add_style(found[method], method, number, artist, of_photos)
        methods = tuple(self._method(method, found[method]) for method in self._configs)
        model, portraits = self._studio.describe(), [row for part in found.values() for row in part.portraits]
        return HandReport(
            backbone=model.variant,
            fingerprint=model.fingerprint,
            plan=self._plan,
            threads=torch.get_num_threads(),
            people=tuple(person.name for person in self._cast.people),
            artists=tuple(artist.name for artist in self._cast.artists),
            protocols=protocols(self._networks),
            notes=notes(self._networks),
            methods=methods,
            ratios=ratios(methods),
            skin=skin_results(portraits),
            styles=tuple(style for part in found.values() for style in part.styles),
            portraits=tuple(portraits),
            failed=self._cast.failed,
        )

    def _add_style(self, found: _Found, method: str, number: int, artist: Artist, of_photos: Sequence[float]) -> None:
        """Train one style, draw everybody in it, and add what was measured."""
        people, artists = self._cast.people, len(self._cast.artists)

        def on_step(step: TrainingStep) -> None:
            self._on_progress(Progress(f"train {method}", number * step.steps + step.step, artists * step.steps))

        style = self.keeper.style(artist, method, self._configs[method], on_step)
        load = cache(lambda: self.keeper.load(style))
        colouring: Colouring = "grey" if artist.grey else "colour"
        rows, tiles = [], []
        for done, (person, of_photo) in enumerate(zip(people, of_photos, strict=True), start=1):
            kept = self.keeper.drawing(person, Path(method, artist.name), style.key, load, self._plan.drawing)
            picture = kept.read()
            scores = score_portrait(picture, person, artist, self._networks, of_photo=of_photo)
            rows.append(
                Portrait(
                    **vars(scores),
                    method=method,
                    artist=artist.name,
                    colouring=colouring,
                    person=person.name,
                    tone=person.tone,
                    first_seconds=kept.times.first,
                    finished_seconds=kept.times.finished,
                    file=kept.path.relative_to(self._folder).as_posix(),
                )
            )
            tiles.append(at_side(picture, TILE_PX))
            self._on_progress(Progress(f"draw {method}", number * len(people) + done, artists * len(people)))
        found.portraits += rows
        found.tiles.append(tiles)
        found.styles.append(
            StyleResult(
                **vars(means(rows)),
                method=method,
                artist=artist.name,
                colouring=colouring,
                references=len(artist.faces),
                training_seconds=style.time.seconds,
                in_order=tones_in_order(rows),
                file=style.path.relative_to(self._folder).as_posix(),
            )
        )

    def _method(self, method: str, found: _Found) -> MethodResult:
        """Sum up one method and draw its sheet."""
        result = method_result(found.styles, found.portraits, sheet=f"sheet_{method}.png")
        save_contact(hand_sheet(self._cast, result, found.portraits, found.tiles), self._folder / result.sheet)
        return result
