"""Finds faces and their 68 landmarks with dlib: its compiled-in frontal detector and a landmark predictor file.

Detector: Dalal and Triggs 2005 features with King 2015 max-margin training; its model is compiled into dlib. Predictor:
Kazemi and Sullivan 2014. The detector is tried on ever more forgiving versions of the photo, so that drawings and close
crops are found too. The predictor first answers around the detector's box, then again in the upright FFHQ crop made
from its own answer, each time as the median over several start boxes; that makes the result nearly independent of the
box and of the head's tilt.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from core.errors import WeightsUnavailable
from core.imaging.geometry import Box, box_quad, ffhq_quad, from_crop, peek

if TYPE_CHECKING:
    import dlib

    from core.imaging.photo import Photo

WORK_SIDE_PX = 1000  # long side of the picture that is searched
MAX_ENLARGEMENT = 2.0
PEEK_PX = 256  # side of the square views that the predictor sees
FIRST_REACH = 1.6  # the first view's side, in boxes
CROP_BOX = (0.168, 0.278, 0.782, 0.892)  # the detector's mean box in FFHQ crops, as shares of their side
NUDGES = tuple(  # (right, down, growth of each edge) of the start boxes, as shares of the box
    (dx, dy, grow) for dx, dy in ((0, 0), (-0.03, 0), (0.03, 0), (0, -0.03), (0, 0.03)) for grow in (-0.03, 0, 0.03)
)


@dataclass(frozen=True)
class DetectedFace:
    """One face in the photo's pixels.

    Attributes:
        box: (left, top, right, bottom), whole pixels; may reach beyond the photo.
        landmarks: [68, 2] float64 in the order of the iBUG 300-W set: jaw, brows, nose, eyes, lips.
    """

    box: Box
    landmarks: np.ndarray


@dataclass(frozen=True)
class _Attempt:
    """One way to search.

    Attributes:
        tone: the picture as it is, with equalized tones, or with hatching blurred away as well.
        scale: against the working size.
        pad: mirrored border, as a share of the shorter side.
        threshold: least score of the detector.
    """

    tone: Literal["plain", "equalized", "smoothed"]
    scale: float
    pad: float
    threshold: float


_ATTEMPTS = (
    _Attempt("plain", 1.0, 0.0, 0.0),
    _Attempt("plain", 1.6, 0.0, 0.0),
    _Attempt("equalized", 1.0, 0.25, 0.1),
    _Attempt("smoothed", 1.0, 0.25, 0.1),
    _Attempt("plain", 1.0, 0.25, -0.1),
)


_SURE, _SURER = 0.4, 0.3  # the detector's score from which no turn is tried, and by how much a turned face must beat it
_TURNS = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_180)


class FaceFinder:
    """Finds faces with the predictor file at `predictor_path`; dlib is loaded at the first use. Can be shared.

    Args:
        predictor_path: dlib's shape predictor for 68 points.
    """

    def __init__(self, predictor_path: Path) -> None:
        self.predictor_path = Path(predictor_path)
        self._lock = threading.Lock()
        self._tools: tuple[dlib.fhog_object_detector, dlib.shape_predictor] | None = None

    def __reduce__(self) -> tuple[type[FaceFinder], tuple[Path]]:
        return (FaceFinder, (self.predictor_path,))

    def find(self, photo: Photo) -> list[DetectedFace]:
        """Find the faces of a photo, the largest first; an empty list where there is none.

        Where none is sure as the photo stands, it may lie on a side or on its head: the other three ways are tried.

        Raises:
            WeightsUnavailable: the predictor file is missing or damaged.
        """
        grey = ImageOps.grayscale(photo.image)
        with self._lock:  # dlib's detector keeps scratch memory between calls
            detector, predictor = self._load()
            found, turn = _search(grey, detector), None
            if _surest(found) < _SURE:
                for other in _TURNS:
                    lying = _search(grey.transpose(other), detector, _ATTEMPTS[:2])
                    if _surest(lying) > max(_surest(found), 0) + _SURER:
                        found, turn = lying, other
            seen = grey if turn is None else grey.transpose(turn)
            faces = [_landmarks(seen, box, predictor) for _, box in found]
        faces = faces if turn is None else [_turned_back(face, turn, grey.size) for face in faces]
        return sorted(faces, key=lambda face: -(face.box[2] - face.box[0]) * (face.box[3] - face.box[1]))

    def _load(self) -> tuple[dlib.fhog_object_detector, dlib.shape_predictor]:
        if self._tools is None:
            import dlib

            if not self.predictor_path.is_file():
                raise WeightsUnavailable(self.predictor_path.name, "the file is missing")
            try:
                predictor = dlib.shape_predictor(str(self.predictor_path))
            except RuntimeError as error:
                raise WeightsUnavailable(self.predictor_path.name, "the file is damaged") from error
            self._tools = (dlib.get_frontal_face_detector(), predictor)
        return self._tools


def _turned_back(face: DetectedFace, turn: Image.Transpose, size: tuple[int, int]) -> DetectedFace:
    """Bring a face of a turned picture into the pixels of the picture of this size, [W, H]."""
    last_x, last_y = size[0] - 1, size[1] - 1

    def back(points: np.ndarray) -> np.ndarray:
        x, y = points[:, 0], points[:, 1]
        if turn == Image.Transpose.ROTATE_90:  # counter-clockwise
            return np.stack([last_x - y, x], axis=1)
        if turn == Image.Transpose.ROTATE_270:
            return np.stack([y, last_y - x], axis=1)
        return np.stack([last_x - x, last_y - y], axis=1)

    corners = back(np.array([face.box[:2], face.box[2:]], dtype=np.float64))
    (left, top), (right, bottom) = (np.rint(found).astype(int) for found in (corners.min(0), corners.max(0)))
    return DetectedFace((int(left), int(top), int(right), int(bottom)), back(face.landmarks))


def _surest(found: Sequence[tuple[float, np.ndarray]]) -> float:
    """Return the best score; far below every threshold where nothing was found."""
    return max((score for score, _ in found), default=-10.0)


def _search(
    grey: Image.Image, detector: dlib.fhog_object_detector, attempts: Sequence[_Attempt] = _ATTEMPTS
) -> list[tuple[float, np.ndarray]]:
    """Return scores and boxes [4] (left, top, right, bottom) in the picture's pixels, of the first attempt with any."""
    for attempt in attempts:
        scale = attempt.scale * min(MAX_ENLARGEMENT, WORK_SIDE_PX / max(grey.size))
        small = grey.resize([max(1, round(side * scale)) for side in grey.size], Image.Resampling.BILINEAR)
        pixels = np.asarray(_toned(small, attempt))
        pad = round(attempt.pad * min(pixels.shape))
        pixels = np.pad(pixels, pad, mode="symmetric")
        rectangles, scores, _ = detector.run(pixels, 0, attempt.threshold)
        ratio = np.array([*small.size, *small.size]) / np.array([*grey.size, *grey.size])
        found = [
            (score, (np.array([r.left(), r.top(), r.right() + 1, r.bottom() + 1], dtype=np.float64) - pad) / ratio)
            for r, score in zip(rectangles, scores, strict=True)
        ]
        boxes = _merge([(score, box) for score, box in found if _centre_inside(box, grey.size)])
        if boxes:
            return boxes
    return []


def _toned(grey: Image.Image, attempt: _Attempt) -> Image.Image:
    """Bring a grey picture into the attempt's tone."""
    if attempt.tone == "plain":
        return grey
    if attempt.tone == "smoothed":
        grey = grey.filter(ImageFilter.GaussianBlur(max(grey.size) / 250))
    return ImageOps.equalize(grey)


def _centre_inside(box: np.ndarray, size: tuple[int, int]) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return bool(0 <= x < size[0] and 0 <= y < size[1])


def _merge(found: list[tuple[float, np.ndarray]]) -> list[tuple[float, np.ndarray]]:
    """Drop boxes that mostly share their area with a better one, and ones that are far less sure than the best."""
    kept: list[tuple[float, np.ndarray]] = []
    ordered = sorted(found, key=lambda item: -item[0])
    for score, box in ordered:
        if score < 0.1 and ordered[0][0] > 1.0:
            continue
        if all(_shared(box, other) < 0.4 for _, other in kept):
            kept.append((score, box))
    return kept


def _shared(a: np.ndarray, b: np.ndarray) -> float:
    """Measure the overlap of two boxes as a share of the smaller one's area."""
    extent = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    return float(np.prod(np.maximum(extent, 0)) / min(np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2])))


def _landmarks(grey: Image.Image, box: np.ndarray, predictor: dlib.shape_predictor) -> DetectedFace:
    """Predict one face's landmarks: a first answer around the detector's box [4], then twice in an upright crop."""
    centre, half = (box[:2] + box[2:]) / 2, (box[2] - box[0]) / 2
    around = box_quad(*(centre - half * FIRST_REACH), *(centre + half * FIRST_REACH))
    inner = 0.5 - 0.5 / FIRST_REACH
    points = _predict(grey, around, (inner, inner, 1 - inner, 1 - inner), predictor)
    for _ in range(2):
        points = _predict(grey, ffhq_quad(points), CROP_BOX, predictor)
    left, top, right, bottom = (round(float(side)) for side in box)
    return DetectedFace((left, top, right, bottom), points)


def _predict(
    grey: Image.Image, quad: np.ndarray, box: tuple[float, float, float, float], predictor: dlib.shape_predictor
) -> np.ndarray:
    """Return the median answer [68, 2] in the photo's pixels over start boxes near `box`, in shares of the quad."""
    import dlib

    pixels, side = peek(grey, quad, PEEK_PX), box[2] - box[0]
    answers = []
    for dx, dy, grow in NUDGES:
        moves = ((dx - grow) * side, (dy - grow) * side, (dx + grow) * side, (dy + grow) * side)
        edges = (round((edge + move) * PEEK_PX) for edge, move in zip(box, moves, strict=True))
        answers.append([(part.x, part.y) for part in predictor(pixels, dlib.rectangle(*edges)).parts()])
    return from_crop(np.median(np.array(answers, dtype=np.float64), axis=0), quad, PEEK_PX)
