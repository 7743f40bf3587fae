"""A turned square, as somebody lays one over a photo. Light: the page needs it before anything else is loaded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Square:
    """A turned square in a photo's pixels, as `core.imaging.geometry` counts them.

    Attributes:
        centre: x, y.
        side: in pixels.
        degrees: clockwise.
    """

    centre: tuple[float, float]
    side: float
    degrees: float = 0.0

    def quad(self) -> np.ndarray:
        """Return its corners [4, 2] (TL, BL, BR, TR)."""
        turn = np.deg2rad(self.degrees)
        across = self.side / 2 * np.array([np.cos(turn), np.sin(turn)])
        down = np.array([-across[1], across[0]])
        middle = np.asarray(self.centre, dtype=np.float64)
        corners: np.ndarray = middle + np.stack([-across - down, down - across, across + down, across - down])
        return corners

    @classmethod
    def around(cls, quad: np.ndarray) -> Square:
        """Return the square with the centre, the upper edge and the turn of a quad [4, 2]."""
        (x, y), (over, down) = quad.mean(0), quad[3] - quad[0]
        return cls((float(x), float(y)), float(np.hypot(over, down)), float(np.rad2deg(np.arctan2(down, over))))
