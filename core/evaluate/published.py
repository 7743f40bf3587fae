"""Published judging networks from the Hub: which files, checked against their known sha256, and how they are built.

Their contents are pinned, since mirrors of these files are kept by strangers: a copy with other bytes is refused and
the next one is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from core.errors import MetricWeightsUnavailable, WeightsChanged, WeightsCorrupted, WeightsUnavailable
from core.metrics.arcface import ArcFaceEmbedding
from core.metrics.fid import Extractor, inception_extractor
from core.metrics.lpips import LpipsVgg16
from core.networks.checkpoints import load_into
from core.progress import OnProgress, ignore_progress
from core.weights.fetch import cached, fetch
from core.weights.load import load_torch
from core.weights.pins import ARCFACE_IR_SE50, INCEPTION_FID, VGG16, HubFile


@dataclass(frozen=True)
class NetworkFile:
    """Weights of one network.

    Attributes:
        network: its name in sentences.
        places: where copies are, in the order they are tried; those in the cache come first.
    """

    network: str
    places: tuple[HubFile, ...]


LPIPS_FILE = NetworkFile("LPIPS (VGG16)", (VGG16,))
INCEPTION_FILE = NetworkFile("FID (Inception v3)", (INCEPTION_FID,))
ARCFACE_FILE = NetworkFile("ArcFace (IR-SE50)", ARCFACE_IR_SE50)


def is_here(file: NetworkFile) -> bool:
    """Whether a copy is in the cache; reads no content."""
    return any(cached(place) for place in file.places)


def fetch_network(file: NetworkFile, *, on_progress: OnProgress = ignore_progress) -> Path:
    """Path of a verified local copy, downloaded only if there is none in the cache.

    Raises:
        MetricWeightsUnavailable: no place gave the right bytes.
        DiskFull: no space for it.
    """
    last: Exception | None = None
    for place in sorted(file.places, key=lambda place: cached(place) is None):
        try:
            return fetch(place, on_progress=on_progress).path
        except (WeightsUnavailable, WeightsCorrupted, WeightsChanged) as error:
            last = error
    raise MetricWeightsUnavailable(file.network, file.places[0].file_name) from last


def load_lpips(device: torch.device, *, on_progress: OnProgress = ignore_progress) -> LpipsVgg16:
    """LPIPS with VGG16. Raises `MetricWeightsUnavailable`, `WeightsCorrupted`, `DiskFull`."""
    path = fetch_network(LPIPS_FILE, on_progress=on_progress)
    try:
        return LpipsVgg16(load_file(path), device=device)
    except (KeyError, RuntimeError, SafetensorError) as error:
        raise WeightsCorrupted(path.name, str(error)) from error


def load_inception(device: torch.device, *, on_progress: OnProgress = ignore_progress) -> Extractor:
    """FID's features. Raises `MetricWeightsUnavailable`, `WeightsCorrupted`, `DiskFull`."""
    from core.networks.inception import FidInception

    path = fetch_network(INCEPTION_FILE, on_progress=on_progress)
    network = FidInception()
    _fill(network, path)
    return inception_extractor(network.to(device))


def load_arcface(device: torch.device, *, on_progress: OnProgress = ignore_progress) -> ArcFaceEmbedding:
    """ArcFace's embedding. Raises `MetricWeightsUnavailable`, `WeightsCorrupted`, `DiskFull`."""
    from core.networks.arcface import ArcFace

    path = fetch_network(ARCFACE_FILE, on_progress=on_progress)
    with torch.device("meta"):
        network = ArcFace()
    _fill(network, path)
    return ArcFaceEmbedding(network.to(device))


def _fill(network: torch.nn.Module, path: Path) -> None:
    try:
        load_into(network, load_torch(path), source=path.name)
    except ValueError as error:
        raise WeightsCorrupted(path.name, str(error)) from error
