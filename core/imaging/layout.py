"""Where the parts of a face lie: 468 landmarks and soft masks of an aligned crop, photo or drawing alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from PIL import Image

from core.imaging.photo import to_tensor

Part = Literal["face", "brows", "eyes", "nose", "lips", "mouth", "hair", "person"]
PARTS: tuple[Part, ...] = get_args(Part)
MESH_POINTS = 468
READ_PX = 256

# The 68 points of the iBUG 300-W set among the 468 of the MediaPipe face mesh.
IBUG_OF_MESH = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),  # jaw
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301),  # brows
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),  # nose
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),  # eyes
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),  # lips
)


@dataclass(frozen=True, eq=False)
class FaceLayout:
    """The layout of one face in its crop.

    Attributes:
        landmarks: [468, 2] float32 x, y as shares of the crop's side, from its left and upper edge; may leave 0..1.
        masks: [8, 64, 64] float32 in 0..1, one for each of `PARTS`.
        presence: 0..1, how sure it is that there is a face.
    """

    landmarks: np.ndarray
    masks: np.ndarray
    presence: float

    def __post_init__(self) -> None:
        if self.landmarks.shape != (MESH_POINTS, 2) or not np.isfinite(self.landmarks).all():
            raise ValueError(f"expected finite landmarks [{MESH_POINTS}, 2], got {list(self.landmarks.shape)}")
        if self.masks.ndim != 3 or self.masks.shape[0] != len(PARTS):
            raise ValueError(f"expected masks [{len(PARTS)}, H, W], got {list(self.masks.shape)}")

    def mask(self, part: Part, size_px: int) -> np.ndarray:
        """Return one part's mask [size, size] float32 in 0..1, enlarged smoothly."""
        small = Image.fromarray(self.masks[PARTS.index(part)])
        return np.asarray(small.resize((size_px, size_px), Image.Resampling.BICUBIC)).clip(0, 1)

    def landmarks68(self, size_px: float) -> np.ndarray:
        """Return the 68 points [68, 2] float64 of the iBUG 300-W set, in pixels of a crop of this side."""
        points: np.ndarray = self.landmarks[list(IBUG_OF_MESH)].astype(np.float64) * size_px - 0.5
        return points


class LayoutReader:
    """Reads layouts with the layout network. Can be shared by threads.

    Args:
        network: a `core.networks.layout.LayoutNetwork` in evaluation mode.
    """

    def __init__(self, network: Callable[[torch.Tensor], Any]) -> None:
        self._network = network

    def read(self, crop: Image.Image) -> FaceLayout:
        """Read the layout of a square RGB crop of any size, best in the FFHQ framing."""
        return self.read_all([crop])[0]

    @torch.inference_mode()
    def read_all(self, crops: Sequence[Image.Image]) -> list[FaceLayout]:
        """Read several crops at once."""
        if not crops:
            return []
        said = self._network(torch.cat([to_tensor(crop, size_px=READ_PX) for crop in crops]))
        masks, presence = torch.sigmoid(said.masks).numpy(), torch.sigmoid(said.presence).tolist()
        return [
            FaceLayout(points, mask, sure)
            for points, mask, sure in zip(said.landmarks.numpy(), masks, presence, strict=True)
        ]
