"""The layout reader that engines share, with its embedded network."""

from __future__ import annotations

from functools import cache

import torch

from core.config import ASSETS_DIR
from core.engines.devices import freeze
from core.imaging.layout import LayoutReader
from core.networks.checkpoints import load_into
from core.networks.layout import LayoutNetwork
from core.weights.load import load_embedded

LAYOUT_DIR = ASSETS_DIR / "layout"
WEIGHTS_FILE = "layout.safetensors"


@cache
def layout_reader() -> LayoutReader:
    """Load the layout network once; it runs on the CPU everywhere. Raises EmbeddedFileDamaged."""
    network = LayoutNetwork()
    load_into(network, load_embedded(LAYOUT_DIR / WEIGHTS_FILE), source=WEIGHTS_FILE)
    freeze(network, torch.device("cpu"))
    return LayoutReader(network.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
