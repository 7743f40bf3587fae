"""What the New style tab consists of: three steps, and the visitor's state beside those of Stylize."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import gradio as gr
from gradio.blocks import Block

from core.ui.components.settings import Controls


@dataclass(frozen=True, eq=False)
class StepOne:
    """The pictures; `editor` shows the one whose crop is being adjusted."""

    head: gr.HTML
    drop: gr.File
    aligned: gr.Checkbox
    editor: gr.HTML
    cards: gr.HTML


@dataclass(frozen=True, eq=False)
class Settings:
    """The folded settings of one engine's training; shown for the engine in use."""

    column: gr.Column
    controls: Controls


@dataclass(frozen=True, eq=False)
class StepTwo:
    """What kind of style, made for whom, and the settings of the training by engine."""

    head: gr.HTML
    preset: gr.Radio
    person: gr.Radio
    upload: gr.Image
    complaint: gr.HTML
    settings: Mapping[str, Settings]


@dataclass(frozen=True, eq=False)
class StepThree:
    """The training, and what is done with its style."""

    head: gr.HTML
    start: gr.Button
    stop: gr.Button
    run: gr.HTML
    preview: gr.HTML
    finish: gr.Column
    name: gr.Textbox
    use: gr.Button
    download: gr.DownloadButton


@dataclass(frozen=True, eq=False)
class TrainParts:
    """The whole tab.

    Attributes:
        cannot: says that the engine in use learns no styles, in place of `steps`.
        references: the style pictures.
        edits: what was done to them meanwhile.
        own: the photo for the preview.
        made: the trained style.
    """

    cannot: gr.HTML
    steps: gr.Column
    first: StepOne
    second: StepTwo
    third: StepThree
    references: gr.State
    edits: gr.State
    own: gr.State
    made: gr.State

    @property
    def page(self) -> list[Block]:
        """What another choice of pictures changes."""
        heads = [self.first.head, self.second.head, self.third.head]
        return [self.references, self.first.cards, *heads, self.third.start]

    @property
    def run(self) -> list[Block]:
        """What a training changes."""
        third = self.third
        shown = [third.run, third.preview, third.start, third.stop, third.finish, third.name, third.download]
        return [self.made, *shown, self.second.head, third.head]

    @property
    def found_again(self) -> list[Block]:
        """What a page shows that was loaded again during a training."""
        return [*self.page, *(part for part in self.run if part not in self.page)]

    @property
    def abilities(self) -> list[Block]:
        """What another engine changes."""
        second = self.second
        return [
            self.cannot,
            self.steps,
            second.preset,
            second.person,
            *(one.column for one in second.settings.values()),
        ]

    @property
    def step_counts(self) -> list[Block]:
        """The controls that follow the preset."""
        return [one.controls.by_option["steps"] for one in self.second.settings.values()]

    @property
    def trained_from(self) -> set[Block]:
        """What a style is trained from, beside what Stylize has."""
        controls = [one.controls.components() for one in self.second.settings.values()]
        return set().union([self.references, self.own, self.second.preset, self.second.person], *controls)
