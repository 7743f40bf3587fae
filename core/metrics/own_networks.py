"""Optional metric networks that a user lays in a folder; they are never shipped with the project.

`mobileface_v2.onnx`: face recogniser, 112 px RGB 0-255 crop -> embedding; needs onnxruntime, which is optional too.
`squeezenet11_features.npz`: SqueezeNet 1.1 features for the style distance. They were also a training loss of the
embedded backbone `mini`, so reports print `TRAINING_LOSS_NOTE`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from PIL import Image

from core.errors import MetricNetworkUnavailable
from core.metrics.gram import Features
from core.metrics.identity import CROP_PX, Embedding
from core.networks.squeezenet import WEIGHTS_FILE as FEATURES_FILE
from core.networks.squeezenet import SqueezeNetFeatures

IDENTITY_FILE = "mobileface_v2.onnx"
TRAINING_LOSS_NOTE = "SqueezeNet features were also a training loss of the embedded backbone 'mini'."


@dataclass(frozen=True)
class OwnNetworks:
    """The networks that were found; a measure whose network is None is left out of the report.

    Attributes:
        identity: face recogniser, a 112 px RGB crop -> [D].
        features: for a style distance, [B, 3, H, W] in [-1, 1] -> one [B, C, h, w] per layer.
    """

    identity: Embedding | None
    features: Features | None


class OnnxEmbedding:
    """A face recogniser from an ONNX file, on the CPU: `embedding(crop) -> [D]`.

    Args:
        path: the file; its network takes one [1, 3, 112, 112] picture of levels 0-255.

    Raises:
        MetricNetworkUnavailable: onnxruntime is missing, or the file can't be read or takes something else.
    """

    def __init__(self, path: Path) -> None:
        try:
            runtime = import_module("onnxruntime")
        except ImportError:
            raise MetricNetworkUnavailable(
                path.name, "it needs the package onnxruntime: pip install onnxruntime"
            ) from None
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no public base class
            raise MetricNetworkUnavailable(path.name, f"it could not be read ({type(error).__name__})") from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or list(inputs[0].shape[1:]) != [3, CROP_PX, CROP_PX]:
            got = [list(entry.shape) for entry in inputs]
            raise MetricNetworkUnavailable(
                path.name, f"it should take one [1, 3, {CROP_PX}, {CROP_PX}] picture, not {got}"
            )
        self._input = inputs[0].name

    def __call__(self, crop: Image.Image) -> np.ndarray:
        """Return the embedding [D] float32 of a 112 px RGB crop (`core.metrics.identity.similarity_crop`)."""
        if crop.size != (CROP_PX, CROP_PX):
            raise ValueError(f"expected a {CROP_PX} px crop, got {crop.size}")
        levels = np.asarray(crop.convert("RGB"), dtype=np.float32).transpose(2, 0, 1)[None]  # [1, 3, 112, 112], 0-255
        embedding: np.ndarray = self._session.run(None, {self._input: levels})[0][0]
        return embedding


def load_own_networks(folder: Path) -> OwnNetworks:
    """Load every network the folder holds.

    Raises:
        MetricNetworkUnavailable: when the folder holds none, or when one is damaged or lacks its package.
    """
    identity, features = folder / IDENTITY_FILE, folder / FEATURES_FILE
    if not identity.is_file() and not features.is_file():
        raise MetricNetworkUnavailable(folder.name, f"the folder holds neither {IDENTITY_FILE} nor {FEATURES_FILE}")
    return OwnNetworks(
        identity=OnnxEmbedding(identity) if identity.is_file() else None,
        features=_load_features(features) if features.is_file() else None,
    )


def _load_features(path: Path) -> SqueezeNetFeatures:
    try:
        return SqueezeNetFeatures(path)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise MetricNetworkUnavailable(path.name, f"it could not be read ({error})") from error
