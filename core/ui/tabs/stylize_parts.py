"""What the Stylize tab consists of: the visitor's state, and the parts that its events change."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr
from gradio.blocks import Block

from core.ui.components.settings import Controls


@dataclass(frozen=True, eq=False)
class VisitorState:
    """What one visitor has open on the page.

    Attributes:
        engine: name of the engine that they chose; None for the server's own.
        photo: the chosen photo.
        portrait: the last drawn face.
        crop: how the face is cut out.
        chosen: slug of the chosen style.
        mine: their own styles.
        tried: what decides the face that the styles' tiles show.
        kept: the portraits of this visit, the newest first.
        shown: the one of them that can be downloaded.
    """

    engine: gr.State
    photo: gr.State
    portrait: gr.State
    crop: gr.State
    chosen: gr.State
    mine: gr.State
    tried: gr.State
    kept: gr.State
    shown: gr.State


@dataclass(frozen=True, eq=False)
class InputColumn:
    """Photo and style."""

    uploader: gr.Image
    view: gr.HTML
    examples: gr.HTML | None
    style_file: gr.UploadButton
    gallery: gr.HTML


@dataclass(frozen=True, eq=False)
class Several:
    """Many photos drawn in one go.

    Attributes:
        notes: how far it is, and what couldn't be drawn.
        results: the portraits, each a link to its file.
    """

    uploads: gr.Gallery
    button: gr.Button
    stop: gr.Button
    notes: gr.HTML
    results: gr.HTML
    archive: gr.DownloadButton


@dataclass(frozen=True, eq=False)
class ResultColumn:
    """The portrait and how it is drawn."""

    empty: gr.HTML
    slider: gr.HTML
    drawing: Controls
    blend: gr.Checkbox
    form: gr.Radio
    download: gr.DownloadButton
    strip: gr.HTML
    several: Several


@dataclass(frozen=True, eq=False)
class StylizeParts:
    """The whole tab."""

    state: VisitorState
    left: InputColumn
    right: ResultColumn

    @property
    def shown(self) -> list[Block]:
        """What shows a finished portrait."""
        return [self.state.shown, self.right.slider, self.right.empty, self.right.download]

    @property
    def result(self) -> list[Block]:
        """The portrait and what shows it; the style's tile does, too."""
        state = self.state
        return [state.portrait, state.tried, *self.shown, state.kept, self.right.strip, self.left.gallery]

    @property
    def photo_page(self) -> list[Block]:
        """What another photo changes."""
        state = self.state
        return [state.photo, state.crop, self.left.uploader, self.left.view, *self.result]

    @property
    def drawn_from(self) -> set[Block]:
        """What a portrait is drawn from."""
        state = self.state
        chosen = {state.engine, state.photo, state.portrait, state.crop, state.chosen, state.mine}
        return {*chosen, state.tried, state.kept, self.right.blend, self.right.form, *self.right.drawing.components()}
