"""`python -m core evaluate hand`: options in, one report, its sheets and the drawings out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from core.cli import evaluate_text as text
from core.cli.options import (
    ArmTraining,
    CropMode,
    JsonOutput,
    Networks,
    Running,
    grouped,
    only_few_shot_gan,
    own_networks,
    refused_values,
)
from core.cli.terminal import REPORT_NAME, expected_failures, print_report, progress_bar, save_report
from core.engines.base import DrawOptions
from core.engines.fewshot_gan.config import FinetuneConfig
from core.evaluate.plans import HandPlan, SkinGroups, Subset
from core.options import options_of

if TYPE_CHECKING:
    from core.evaluate.hand.inputs import Chosen

_SKIN = "Skin"


@dataclasses.dataclass(frozen=True)
class HandPictures:
    """Photos and artworks, and how they are cut."""

    photos: Annotated[
        list[Path], typer.Option(help="Folder, picture, or pattern such as 'DIR/portrait_*'; repeat for more.")
    ]
    artworks: Annotated[list[Path], typer.Option(help="Folder, picture or pattern of artworks; repeat for more.")]
    crop: Annotated[
        CropMode | None,
        typer.Option(
            help="Find the photos' faces, or take them as aligned crops.",
            show_default="aligned for folders with an index.csv, else detect",
        ),
    ] = None
    reference_crop: Annotated[
        CropMode, typer.Option(help="Find the artworks' faces, or take them as aligned crops.")
    ] = "detect"
    index: Annotated[
        Path | None, typer.Option(help="CSV with file, source, split, colour; found beside the photos.")
    ] = None
    split: Annotated[str | None, typer.Option(help="Only this split, in folders with an index.")] = None
    limit_photos: Annotated[int | None, typer.Option(min=1, help="Only the first so many of each --photos.")] = None
    limit_artworks: Annotated[int | None, typer.Option(min=1, help="At most so many artworks, evenly spread.")] = None
    subset: Annotated[
        Subset, typer.Option(help="'small', for every day: the first 4 photos, 4 artworks evenly spread.")
    ] = "all"

    def chosen(self) -> tuple[list[Chosen], list[Chosen]]:
        """List photos and artworks. Raises PicturesUnusable."""
        from core.evaluate.hand.inputs import choose_artworks, choose_photos

        photos = choose_photos(
            self.photos, crop=self.crop, index=self.index, split=self.split,
            limit=self.limit_photos, subset=self.subset,
        )  # fmt: skip
        works = choose_artworks(self.artworks, crop=self.reference_crop, limit=self.limit_artworks, subset=self.subset)
        return photos, works


@dataclasses.dataclass(frozen=True)
class HandDrawing(DrawOptions):
    """How portraits are drawn; one seed serves training and drawing, so it is the training's option."""

    shown: ClassVar = ("brush", "shape", "skin_tone", "background", "size")


@dataclasses.dataclass(frozen=True)
class SkinLists:
    """Which photos show darker and lighter skin, as names without suffix and with commas between them."""

    dark: Annotated[str, typer.Option(metavar="NAMES", help="Photos of dark skin.", rich_help_panel=_SKIN)] = ",".join(
        SkinGroups().dark
    )
    middle: Annotated[str, typer.Option(metavar="NAMES", help="Photos between.", rich_help_panel=_SKIN)] = ",".join(
        SkinGroups().middle
    )
    light: Annotated[str, typer.Option(metavar="NAMES", help="Photos of light skin.", rich_help_panel=_SKIN)] = (
        ",".join(SkinGroups().light)
    )

    def groups(self) -> SkinGroups:
        """Return them as lists."""
        return SkinGroups(_names(self.dark), _names(self.middle), _names(self.light))


@grouped
def hand(
    pictures: HandPictures,
    save: Annotated[Path, typer.Option("--save", "--out", help="Folder for what this makes and keeps.")],
    training: ArmTraining,
    drawing: HandDrawing,
    skin: SkinLists,
    networks: Networks,
    running: Running,
    methods: Annotated[str, typer.Option(metavar="NAMES", help="Methods of training, with commas.")] = ",".join(
        HandPlan().methods
    ),
    few: Annotated[bool, typer.Option("--few", help="One style from all artworks instead of one from each.")] = False,
    redraw: Annotated[bool, typer.Option("--redraw", help="Draw anew what SAVE keeps; trainings stay.")] = False,
    as_json: JsonOutput = False,
) -> None:
    """Methods of training side by side: identity, style, bands, landmarks, skin and seconds of every portrait.

    Trains a style from each artwork with each method, and draws every photo in it. SAVE keeps styles and drawings: the
    same command goes on where it was stopped, other settings make other files.
    """
    with expected_failures(), progress_bar(quiet=as_json) as progress:
        only_few_shot_gan(running.engine)
        entry = running.entry()
        shared = training.plan(entry)
        plan = HandPlan(**vars(shared), methods=_methods(methods), few=few, drawing=drawing)
        photos, works = pictures.chosen()
        from core.evaluate.hand.run import HandRun
        from core.evaluate.hand.subjects import make_cast

        own = own_networks(networks.oracles)
        studio = running.open(progress)
        with refused_values():
            configs = {method: training.config(studio, entry, method=method, seed=plan.seed) for method in plan.methods}
        chosen = networks.choose(studio, own, progress)
        cast = make_cast(studio, photos, works, chosen, groups=skin.groups(), few=few, on_progress=progress)
        save.mkdir(parents=True, exist_ok=True)
        run = HandRun(studio, cast, configs, plan, chosen, save, redraw=redraw, on_progress=progress)
        report = run.report()
        save_report(report, save)
    written = (
        f"Written to {save}: {REPORT_NAME}, a contact sheet a method, styles ({run.keeper.trained} of "
        f"{len(report.styles)} trained now) and drawings ({run.keeper.drawn} of {len(report.portraits)} drawn now)."
    )
    print_report(report, as_json=as_json, text=lambda: f"{text.hand(report)}\n{written}")


def _methods(typed: str) -> tuple[str, ...]:
    known = next(item for item in options_of(FinetuneConfig) if item.name == "method").choices
    names = _names(typed)
    if not names or set(names) - set(known):
        raise typer.BadParameter(f"--methods takes some of {', '.join(known)}, got '{typed}'")
    return names


def _names(typed: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in typed.split(",") if name.strip()))
