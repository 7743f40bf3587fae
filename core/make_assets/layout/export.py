"""Writing the layout network's weights: float16, with their manifest."""

from __future__ import annotations

from pathlib import Path

import torch

from core.networks.layout import LayoutNetwork
from core.weights.load import save_embedded, write_manifest

WEIGHTS_FILE = "layout.safetensors"


def export(network: LayoutNetwork, folder: Path) -> None:
    """Write `layout.safetensors` and `manifest.json` to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        name: (tensor.half() if tensor.dtype == torch.float32 else tensor).contiguous()
        for name, tensor in network.state_dict().items()
    }
    write_manifest(folder, fingerprint=save_embedded(state, folder / WEIGHTS_FILE, metadata={"network": "layout"}))
