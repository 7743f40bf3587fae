"""Labels for the layout network: what two published networks and a colour cut say of each training face.

Landmarks come from the MediaPipe face mesh, the person from its selfie segmentation (both Apache-2.0, teachers only,
never shipped); parts are the mesh's outlines; hair is what of the person around the face is likelier of the crown's
colours than of the skin's, followed further by the regions that portraits are drawn with.

Needs `ai-edge-litert` and `opencv-python-headless` besides the app's packages.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image
from scipy.ndimage import gaussian_filter

from core.brushwork.regions import find_regions
from core.imaging.layout import MESH_POINTS, PARTS, FaceLayout
from core.procedural.techniques.fields import soft_step

LABEL_PX = 128
_BALD = 0.005  # share of the crop that is hair at most
_MESH_PX, _PERSON_PX = 192, 256
OVAL = [
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152),
    *(148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
]
EYES = (
    [33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246],
    [362, 382, 381, 380, 374, 373, 390, 249, 263, 466, 388, 387, 386, 385, 384, 398],
)
BROWS = ([70, 63, 105, 66, 107, 55, 65, 52, 53, 46], [300, 293, 334, 296, 336, 285, 295, 282, 283, 276])
LIPS = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185]
MOUTH = [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191]
NOSE = [168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 98, 97, 326, 327, 64, 294, 48, 278, 129, 358, 115, 344, 49, 279]


class Teachers:
    """The two published networks.

    Args:
        folder: with `face_landmark.tflite` and `selfie_segmentation.tflite`.
    """

    def __init__(self, folder: Path) -> None:
        self._mesh = Interpreter(str(folder / "face_landmark.tflite"), num_threads=1)
        self._person = Interpreter(str(folder / "selfie_segmentation.tflite"), num_threads=1)
        for network in (self._mesh, self._person):
            network.allocate_tensors()

    def landmarks(self, crop: Image.Image) -> tuple[np.ndarray, float]:
        """Find the mesh [468, 2] in shares of the crop's side, and how sure the network is, 0..1.

        The second look is at the square around the first answer, the framing that the network was made for.
        """
        side = crop.width
        points, sure = self._look(crop, (0.0, 0.0, float(side)))
        centre, reach = (points.min(0) + points.max(0)) / 2, 0.75 * float(np.ptp(points, axis=0).max())
        if sure > 0.5 and reach > 0.1:
            left, top = (centre - reach) * side
            again, surer = self._look(crop, (float(left), float(top), 2 * reach * side))
            if surer >= sure - 0.1:
                return again, surer
        return points, sure

    def person(self, crop: Image.Image) -> np.ndarray:
        """Find the person: [128, 128] float32 in 0..1."""
        said = _run(self._person, crop.resize((_PERSON_PX, _PERSON_PX), Image.Resampling.BILINEAR))[0]
        return cv2.resize(said.reshape(_PERSON_PX, _PERSON_PX), (LABEL_PX, LABEL_PX), interpolation=cv2.INTER_AREA)

    def _look(self, crop: Image.Image, square: tuple[float, float, float]) -> tuple[np.ndarray, float]:
        left, top, side = square
        data = (side / _MESH_PX, 0, left, 0, side / _MESH_PX, top)
        view = crop.transform((_MESH_PX, _MESH_PX), Image.Transform.AFFINE, data, Image.Resampling.BICUBIC)
        mesh, sure = _run(self._mesh, view)
        points = mesh.reshape(MESH_POINTS, 3)[:, :2] * (side / _MESH_PX) + (left, top)
        return (points / crop.width).astype(np.float32), float(1 / (1 + np.exp(-sure.item())))


def masks(crop: Image.Image, landmarks: np.ndarray, person: np.ndarray) -> tuple[np.ndarray, bool]:
    """Draw the masks of `PARTS` [8, 128, 128] uint8 of a crop with landmarks [468, 2] and its person [128, 128].

    Also says whether the hair can be relied on: it was found at the crown, or there is none at all.
    """
    points = landmarks * LABEL_PX
    drawn = {name: np.zeros((LABEL_PX, LABEL_PX), np.float32) for name in PARTS}
    oval = _fill(points[OVAL])
    small = np.asarray(crop.resize((LABEL_PX, LABEL_PX), Image.Resampling.LANCZOS))
    crown = _hair(small, points, person, oval)
    bare = np.maximum(oval, _forehead(points, person, crown))
    drawn["brows"] = np.maximum(*(_fill(points[brow]) for brow in BROWS))
    drawn["eyes"] = np.maximum(*(_fill(points[eye]) for eye in EYES))
    drawn["nose"] = _fill(cv2.convexHull(points[NOSE].astype(np.float32))[:, 0])
    drawn["mouth"] = _fill(points[MOUTH])
    drawn["lips"] = _fill(points[LIPS]) * (1 - drawn["mouth"])
    drawn["person"] = np.maximum(person, oval)
    drawn["face"], drawn["hair"] = bare * (1 - crown), crown
    first = FaceLayout(landmarks, np.stack([drawn[name] for name in PARTS]), 1.0)
    regions = find_regions(np.asarray(crop, dtype=np.float32) / 255, first).at(LABEL_PX)
    drawn["hair"] = soft_step(regions.hair, 0.5, 0.6)
    drawn["face"] = bare * (1 - drawn["hair"])
    found = bool(crown.any()) or float(drawn["hair"].mean()) < _BALD
    return np.stack([(drawn[name] * 255).round().astype(np.uint8) for name in PARTS]), found


def _hair(pixels: np.ndarray, points: np.ndarray, person: np.ndarray, oval: np.ndarray) -> np.ndarray:
    """Cut out the hair [128, 128] float32: what of the person, above the chin, has the crown's colour and not skin's.

    Two smoothed colour histograms decide, in three rounds; pieces that do not touch the crown are dropped.
    """
    rows, columns = np.mgrid[:LABEL_PX, :LABEL_PX]
    brow, chin, top = points[[105, 334], 1].mean(), points[152, 1], points[10, 1]
    height, middle, width = max(chin - top, 1.0), points[152, 0], np.ptp(points[:, 0])
    human = person > 0.5
    inner = (cv2.erode(oval, np.ones((5, 5), np.uint8)) > 0.5) & (rows > brow - 0.06 * height)
    skin = inner & (rows > brow + 0.06 * height) & (rows < chin - 0.1 * height)
    neck = (rows > chin - 0.05 * height) & (np.abs(columns - middle) < 0.38 * width)
    zone = human & ~inner & ~neck & (rows < chin + 0.05 * height) & (np.abs(columns - middle) < 0.85 * width)
    crown = zone & (oval < 0.3) & (rows < top - 0.08 * height)
    if crown.sum() < 40 or skin.sum() < 100:
        return np.zeros_like(oval)
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB).astype(np.float32)
    hue = np.array([0.6, 1.2, 1.2], np.float32)
    typical = np.median(lab[skin], axis=0)
    spread = np.percentile(np.abs(lab[skin] - typical) @ hue, 75)
    unlike = cv2.GaussianBlur(np.abs(lab - typical) @ hue, (0, 0), 1.0) > max(1.5 * spread, 12.0)
    if (unlike & crown).sum() < 0.3 * crown.sum():  # a bald head: its crown has the colour of the face
        return np.zeros_like(oval)
    hair = crown & unlike
    for _ in range(3):
        ratio = _likeness(lab, hair) - _likeness(lab, skin)
        cut = (zone & (cv2.GaussianBlur(ratio, (0, 0), 1.2) > 0)).astype(np.uint8)
        cut = cv2.morphologyEx(cut, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        _, pieces = cv2.connectedComponents(cut)
        touching = np.unique(pieces[crown & (cut > 0)])
        cut = (np.isin(pieces, touching) & (cut > 0)).astype(np.uint8)
        if cut.sum() < 40:
            return np.zeros_like(oval)
        hair = cut > 0
    cut = cv2.morphologyEx(cut, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    blurred: np.ndarray = cv2.GaussianBlur((cut > 0).astype(np.float32), (0, 0), 1.0)
    return blurred


def _forehead(points: np.ndarray, person: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """Return the skin between the mesh's upper edge and the hair, or a bald crown: [128, 128] float32."""
    rows, columns = np.mgrid[:LABEL_PX, :LABEL_PX]
    brow, middle, width = points[[105, 334], 1].mean(), points[152, 0], np.ptp(points[:, 0])
    above = (person > 0.5) & (hair < 0.5) & (rows < brow) & (np.abs(columns - middle) < 0.5 * width)
    opened = cv2.morphologyEx(above.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    blurred: np.ndarray = cv2.GaussianBlur(opened.astype(np.float32), (0, 0), 1.0)
    return blurred


def _likeness(lab: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Return the log density [H, W] of each pixel's colour in a region, from a smoothed histogram of LAB."""
    bins = (lab / 256 * (16, 32, 32)).astype(int).clip(0, (15, 31, 31))
    counts = np.zeros((16, 32, 32))
    np.add.at(counts, tuple(bins[region].T), 1)
    smooth = gaussian_filter(counts, 1.0)
    density: np.ndarray = np.log(smooth / smooth.sum() + 1e-6)[tuple(bins.transpose(2, 0, 1))].astype(np.float32)
    return density


def _fill(outline: np.ndarray) -> np.ndarray:
    """Fill a polygon [N, 2] in pixels, with smooth edges: [128, 128] float32 in 0..1."""
    canvas = np.zeros((LABEL_PX, LABEL_PX), np.uint8)
    fixed = np.round((outline - 0.5) * 16).astype(np.int32)  # four binary places
    cv2.fillPoly(canvas, [fixed], 255, cv2.LINE_AA, 4)
    return canvas.astype(np.float32) / 255


def _run(network: Interpreter, picture: Image.Image) -> list[np.ndarray]:
    network.set_tensor(network.get_input_details()[0]["index"], np.asarray(picture, np.float32)[None] / 255)
    network.invoke()
    return [network.get_tensor(told["index"]) for told in network.get_output_details()]
