"""What is known of the face in a picture: landmarks, soft masks, and what follows from them (eyes, lips, depth)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import RBFInterpolator
from skimage.draw import polygon2mask
from skimage.measure import find_contours

from core.procedural.techniques.fields import Array, blur, bound

Points = npt.NDArray[np.float64]

# Depth of the 68 points towards the viewer, in face widths; our own estimate of a common face.
_JAW = (-0.5, -0.46, -0.41, -0.34, -0.25, -0.16, -0.08, -0.03, 0.0)
DEPTHS = np.array(
    [
        *_JAW,
        *_JAW[-2::-1],
        *(-0.12, -0.03, 0.03, 0.05, 0.06, 0.06, 0.05, 0.03, -0.03, -0.12),  # brows
        *(0.05, 0.11, 0.17, 0.23, 0.05, 0.10, 0.13, 0.10, 0.05),  # nose
        *(-0.08, -0.02, 0.0, -0.02, -0.01, -0.02, -0.02, 0.0, -0.02, -0.08, -0.02, -0.01),  # eyes
        *(-0.02, 0.05, 0.09, 0.10, 0.09, 0.05, -0.02, 0.05, 0.08, 0.09, 0.08, 0.05),  # lips, outer
        *(-0.01, 0.05, 0.06, 0.05, -0.01, 0.05, 0.06, 0.05),  # lips, inner
    ]
)


@dataclass(frozen=True)
class Eye:
    """One eye in its own frame: `t` runs from 0 at the left corner in the picture to 1 at the right one.

    Attributes:
        origin: [2] the left corner, pixels.
        along: [2] unit vector to the right corner.
        width: between the corners, pixels.
        upper, lower: cubic coefficients of the lids below the corners' line, in widths.
        outer_first: whether the left corner is the outer one.
    """

    origin: Points
    along: Points
    width: float
    upper: Points
    lower: Points
    outer_first: bool

    @property
    def down(self) -> Points:
        """[2] unit vector across `along`, towards the mouth."""
        return np.array([-self.along[1], self.along[0]])

    @property
    def opening(self) -> float:
        """Greatest distance of the lids, in widths."""
        t = np.linspace(0.2, 0.8, 13)
        return float((np.polyval(self.lower, t) - np.polyval(self.upper, t)).max())

    def frame(self, shape: tuple[int, int]) -> tuple[tuple[slice, slice], Array, Array]:
        """Return the window around the eye and its pixels' coordinates (t, s), both in widths."""
        centre = self.origin + self.along * self.width / 2
        reach = 0.95 * self.width
        left, top = (max(0, int(v - reach)) for v in centre)
        right, bottom = (min(side, int(v + reach) + 1) for v, side in zip(centre, shape[::-1], strict=True))
        rows, columns = np.mgrid[top:bottom, left:right]
        x, y = columns - self.origin[0], rows - self.origin[1]
        t = (x * self.along[0] + y * self.along[1]) / self.width
        s = (x * self.down[0] + y * self.down[1]) / self.width
        return (slice(top, bottom), slice(left, right)), t.astype(np.float32), s.astype(np.float32)

    def at(self, t: float, s: float) -> Points:
        """Return the pixel [2] at (t, s)."""
        return self.origin + (self.along * t + self.down * s) * self.width


@dataclass(frozen=True)
class Portrait:
    """A face in FFHQ's framing.

    Attributes:
        landmarks68: [68, 2] (right, down) pixels, in the order of the iBUG 300-W set.
        person: [H, W] in [0, 1], the person with hair and clothes.
        hair: [H, W] in [0, 1].
        face: [H, W] in [0, 1], the face's skin with eyes and lips.
    """

    landmarks68: Points
    person: Array
    hair: Array
    face: Array

    def __post_init__(self) -> None:
        if self.landmarks68.shape != (68, 2):
            raise ValueError(f"landmarks68 has shape {self.landmarks68.shape}, expected (68, 2)")
        if not self.person.shape == self.hair.shape == self.face.shape:
            raise ValueError("the masks' shapes differ")

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return (self.person.shape[0], self.person.shape[1])

    @property
    def scale(self) -> float:
        """Picture height / 1024: lengths in this package are given at 1024 px."""
        return float(self.person.shape[0]) / 1024

    @property
    def eyes(self) -> tuple[Eye, Eye]:
        """The eyes, the left one in the picture first."""
        points = self.landmarks68
        return _eye(points[36:42], outer_first=True), _eye(points[42:48], outer_first=False)

    @property
    def face_width(self) -> float:
        """Distance of the jaw's ends in pixels."""
        return float(np.linalg.norm(self.landmarks68[16] - self.landmarks68[0]))

    def polygon(self, points: Points, *, soft_px: float) -> Array:
        """Fill a polygon [N, 2], its edge blurred: [H, W] in [0, 1]."""
        filled = polygon2mask(self.shape, points[:, ::-1]).astype(np.float32)  # type: ignore[no-untyped-call]
        return blur(filled, soft_px)

    def lips(self) -> Array:
        """[H, W] mask of both lips without an open mouth between them."""
        outer, inner = self.landmarks68[48:60], self.landmarks68[60:68]
        soft = 3 * self.scale
        return bound(self.polygon(outer, soft_px=soft) - self.polygon(inner, soft_px=soft))

    def openings(self) -> Array:
        """[H, W] mask of what is seen between the lids."""
        out = np.zeros(self.shape, np.float32)
        for eye in self.eyes:
            window, t, s = eye.frame(self.shape)
            inside = np.minimum(s - np.polyval(eye.upper, t), np.polyval(eye.lower, t) - s)
            inside = np.minimum(inside, np.minimum(t, 1 - t))
            out[window] = np.clip(inside * eye.width / 2, 0, 1)
        return out

    def features(self) -> Array:
        """[H, W] soft mask of eyes with brows, nose tip and lips: where detail matters."""
        points, soft = self.landmarks68, 0.035 * self.face_width
        total = np.zeros(self.shape, np.float32)
        for part in (points[48:60], points[36:42], points[42:48], points[17:22], points[22:27], points[29:36]):
            centre = part.mean(axis=0)
            hull = centre + (part - centre) * np.array([1.25, 1.5])
            rows, columns = np.mgrid[: self.shape[0], : self.shape[1]]
            half = np.maximum(np.ptp(hull, axis=0) / 2, 2 * soft)
            reach = ((columns - centre[0]) / half[0]) ** 2 + ((rows - centre[1]) / half[1]) ** 2
            total = np.maximum(total, (reach < 1.1).astype(np.float32))
        return blur(total, soft)

    def depth(self) -> Array:
        """Estimate the head's relief [H, W] in pixels towards the viewer: a thin-plate spline through common depths."""
        height, width = self.shape
        up = self.landmarks68[27] - self.landmarks68[8]
        crown = self.landmarks68[17:27] + 0.36 * up
        outline = [c for c in find_contours(blur(self.person, 6 * self.scale), 0.5) if len(c) > height / 4]  # type: ignore[no-untyped-call]
        contour = np.concatenate(outline)[:, ::-1] if outline else np.zeros((0, 2))
        contour = contour[:: max(1, len(contour) // 40)]
        points = np.concatenate([self.landmarks68, crown, contour])
        depths = np.concatenate([DEPTHS, np.full(len(crown), -0.05), np.full(len(contour), -0.5)])
        spline = RBFInterpolator(points / height, depths, kernel="thin_plate_spline", smoothing=4e-3)
        step = max(1, round(16 * self.scale))
        rows, columns = np.mgrid[0 : height + step : step, 0 : width + step : step]
        coarse = spline(np.stack([columns.ravel(), rows.ravel()], axis=1) / height).reshape(rows.shape)
        fine = coarse.repeat(step, axis=0).repeat(step, axis=1)[:height, :width]
        return blur(np.clip(fine, -0.9, 0.5).astype(np.float32), 0.9 * step) * np.float32(self.face_width)


def _eye(points: Points, *, outer_first: bool) -> Eye:
    """Fit the lids to six landmarks in the set's order: left corner, upper lid, right corner, lower lid backwards."""
    axis = points[3] - points[0]
    width = float(np.linalg.norm(axis))
    along = axis / width
    down = np.array([-along[1], along[0]])
    local = np.stack([(points - points[0]) @ along, (points - points[0]) @ down], axis=1) / width
    upper = np.polyfit(local[[0, 1, 2, 3], 0], local[[0, 1, 2, 3], 1], 3)
    lower = np.polyfit(local[[0, 5, 4, 3], 0], local[[0, 5, 4, 3], 1], 3)
    return Eye(points[0], along, width, upper, lower, outer_first)
