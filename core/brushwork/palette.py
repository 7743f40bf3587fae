"""Palette and grain: give a picture a reference's values, region by region and band by band.

Histograms are matched in each band of a Laplacian pyramid (Heeger and Bergen 1995, for faces and regions here), in
opponent colours. The last step, the skin's lightness, is ours: a style should not lighten or darken anybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from core.brushwork.kernels import match_values
from core.threads import in_rows

# Luminance, blue against yellow, red against green; orthogonal, so that the way back is the transpose.
_OPPONENT = np.array([[1, 1, 1], [-1, -1, 2], [1, -1, 0]], dtype=np.float32)
_OPPONENT /= np.linalg.norm(_OPPONENT, axis=1, keepdims=True)
LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_SHARES = np.linspace(0, 1, 129)
_FLAT_COLOURS = 4  # of a print or cut paper
_PURE = 4  # power by which a mixed pixel counts less
_STEPS, _FEW_VALUES = 24, 64  # of a ramp's lights; pixels that are too few for one
_RARE = 0.5  # times as many as the lights have on average, that count for the mean
_CELLS = 1024  # of a table that stands for a curve


def luminance(pixels: np.ndarray) -> np.ndarray:
    """Return the luminance [H, W] of RGB [H, W, 3]."""
    grey: np.ndarray = pixels @ LUMINANCE
    return grey


def chroma_of(pixels: np.ndarray) -> np.ndarray:
    """Return RGB [H, W, 3] without its grey part: what is left along the two colour axes."""
    grey = _OPPONENT[:1]
    coloured: np.ndarray = pixels - (pixels @ grey.T) @ grey
    return coloured


def laplacian_bands(pixels: np.ndarray, count: int, cover: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Split [H, H, C] into `count` bands of full size and what is left; their sum is the picture.

    With a cover [H, H] in 0..1 what it hides and what it shows are split apart: no band has the edge between them.
    """
    rest = pixels
    for band in range(count):
        smooth = blurred_apart(pixels, cover, 0.8 * 2**band) if cover is not None else blurred(pixels, 0.8 * 2**band)
        yield rest - smooth
        rest = smooth
    yield rest


def resized(pixels: np.ndarray, size_px: int) -> np.ndarray:
    """Resize [H, H, C] float32 to a side, by area when it shrinks."""
    if pixels.shape[0] == size_px:
        return pixels
    how = cv2.INTER_AREA if size_px < pixels.shape[0] else cv2.INTER_CUBIC
    made: np.ndarray = cv2.resize(pixels, (size_px, size_px), interpolation=how)
    return made


def blurred(pixels: np.ndarray, sigma_px: float) -> np.ndarray:
    """Blur [H, H, C] or [H, H] by a Gaussian; wide ones on a reduced picture."""
    factor = max(1, int(2 ** np.floor(np.log2(max(sigma_px / 2.5, 1)))))
    small = pixels
    if factor > 1:
        side = pixels.shape[1] // factor, pixels.shape[0] // factor
        small = cv2.resize(pixels, side, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma_px / factor, borderType=cv2.BORDER_REFLECT_101)
    if factor > 1:
        small = cv2.resize(small, (pixels.shape[1], pixels.shape[0]), interpolation=cv2.INTER_CUBIC)
    return small.reshape(pixels.shape)


def blurred_within(pixels: np.ndarray, mask: np.ndarray, sigma_px: float) -> np.ndarray:
    """Blur what of [H, H, C] lies inside a mask [H, H], taking nothing from outside."""
    weight = blurred(mask, sigma_px)[..., None]
    spread: np.ndarray = blurred(pixels * mask[..., None], sigma_px) / np.maximum(weight, 1e-3)
    return spread


def blurred_apart(pixels: np.ndarray, cover: np.ndarray, sigma_px: float) -> np.ndarray:
    """Blur [H, H, C] on both sides of a cover's edge, not across it; mixed pixels hardly count on either."""
    inside, outside = (blurred_within(pixels, mask**_PURE + 1e-3, sigma_px) for mask in (cover, 1 - cover))
    apart: np.ndarray = outside + cover[..., None] * (inside - outside)
    return apart


@dataclass(frozen=True)
class Palette:
    """How values of an artwork are spread.

    Attributes:
        curves: [B + 1, R, 3, 129] float32 quantiles of B bands and what is left, R regions and three opponent colours.
    """

    curves: np.ndarray

    @classmethod
    def of(
        cls, pixels: np.ndarray, regions: Sequence[np.ndarray], *, bands: int, cover: np.ndarray | None = None
    ) -> Palette:
        """Read a picture [K, K, 3] RGB in 0..1 with masks [K, K]; a region that is nearly empty takes the whole."""
        inside = [mask > 0.5 for mask in regions]
        inside = [mask if mask.mean() >= 0.004 else np.ones_like(mask) for mask in inside]
        planes = laplacian_bands(pixels @ _OPPONENT.T, bands, cover)
        return cls(np.stack([np.stack([_quantiles(plane[mask]) for mask in inside]) for plane in planes]))


@dataclass(frozen=True)
class ColourRamp:
    """Which colour an artist gives to which light: shadows may be warm, or blue, and seldom are they grey.

    Attributes:
        lights: [B] rising L*.
        colours: [B, 2] the mean a* and b* there.
        spread: deviation of a* and b* from it, in LAB.
    """

    lights: np.ndarray
    colours: np.ndarray
    spread: float

    @classmethod
    def of(cls, lab: np.ndarray, mask: np.ndarray) -> ColourRamp | None:
        """Read it from LAB [S, S, 3] inside a mask [S, S]; there is none of a few pixels."""
        values = lab[mask > 0.6]
        if len(values) < _FEW_VALUES:
            return None
        values = values[:: max(1, len(values) // 20_000)]
        low, high = np.quantile(values[:, 0], [0.01, 0.99])
        cell = ((values[:, 0] - low) / max(high - low, 2.0) * _STEPS).clip(0, _STEPS - 1).astype(int)
        rare = _RARE * len(values) / _STEPS  # lights that few pixels have take the mean: one blotch is no ramp
        counts = gaussian_filter1d(np.bincount(cell, minlength=_STEPS).astype(float), 1.5, mode="nearest") + rare
        sums = [
            gaussian_filter1d(np.bincount(cell, plane, _STEPS), 1.5, mode="nearest") + rare * plane.mean()
            for plane in values[:, 1:].T
        ]
        lights = low + (np.arange(_STEPS) + 0.5) / _STEPS * max(high - low, 2.0)
        ramp = cls(lights.astype(np.float32), np.stack(sums, axis=-1) / counts[:, None], 0.0)
        away = values[:, 1:] - ramp.at(values[:, 0])
        return replace(ramp, spread=float(np.sqrt((away**2).sum(1).mean())))

    def at(self, light: np.ndarray) -> np.ndarray:
        """Return a* and b* [..., 2] at L* [...]; beyond the ends they stay."""
        low, high = self.lights[0], self.lights[-1]
        even = np.linspace(low, high, _CELLS + 1)
        table = np.stack([np.interp(even, self.lights, plane) for plane in self.colours.T], axis=-1).astype(np.float32)
        cell = np.rint((light - low) * (_CELLS / (high - low))).clip(0, _CELLS).astype(np.int32)
        colours: np.ndarray = table[cell]
        return colours

    def instead_of(self, other: ColourRamp, lab: np.ndarray, stray: float) -> np.ndarray:
        """Give LAB [..., 3] with another ramp these colours: what is added to a* and b* [..., 2].

        Args:
            other: of the picture.
            lab: its pixels.
            stray: which share of what strays from its ramp stays, unless this one's colours stray less.
        """
        kept = stray * min(1.0, self.spread / max(other.spread, 1e-3))
        light = lab[..., 0]
        added: np.ndarray = self.at(light) - kept * other.at(light) - (1 - kept) * lab[..., 1:]
        return added


def matched_bands(
    pixels: np.ndarray,
    regions: Sequence[np.ndarray],
    palette: Palette,
    *,
    sampled: Sequence[np.ndarray] | None = None,
    cover: np.ndarray | None = None,
    most: Sequence[float] | None = None,
    threads: int = 1,
) -> np.ndarray:
    """Give a picture an artwork's distribution of values in every band of every region.

    Args:
        pixels: [H, H, 3] float32 RGB in 0..1.
        regions: masks [H, H] in 0..1 of the picture's regions, in the palette's order; together they cover it.
        palette: of the artwork.
        sampled: parts of the regions [H, H] whose values stand for them; the regions themselves unless given.
        cover: [H, H] in 0..1, across whose edge bands don't reach.
        most: by which factor contrast may grow in each region; any unless given. A distribution with long tails would
            make stains of whatever is a little redder or lighter than the rest.
        threads: that share the rows.

    Returns:
        [H, H, 3] float32, not clipped.
    """
    weights = np.stack(regions)
    weights = weights / np.maximum(weights.sum(0), 1e-6)
    inside = [plane > 0.5 for plane in (weights if sampled is None else sampled)]
    inside = [mask if mask.sum() >= 16 else weight > 0.05 for mask, weight in zip(inside, weights, strict=True)]
    result = np.zeros_like(pixels)
    bands = laplacian_bands(pixels @ _OPPONENT.T, len(palette.curves) - 1, cover)
    for plane, wanted in zip(bands, palette.curves, strict=True):
        low = np.stack([_quantiles(plane[mask]) if mask.any() else np.zeros_like(wanted[0]) for mask in inside])
        high = wanted if most is None else _gentler(low, wanted, np.asarray(most, np.float32))
        add = partial(match_values, plane, weights, *_tables(low, high), result)
        in_rows(add, len(result), threads)
    back: np.ndarray = result @ _OPPONENT
    return back


def _gentler(low: np.ndarray, high: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Keep the curves' medians and let them rise [R] times as fast as the picture's own at most: [R, 3, Q]."""
    rise = np.minimum(np.diff(high), most[:, None, None] * np.maximum(np.diff(low), 1e-7))
    risen = np.concatenate([np.zeros_like(high[..., :1]), np.cumsum(rise, axis=-1)], axis=-1)
    middle = high.shape[-1] // 2
    gentler: np.ndarray = risen + (high[..., middle] - risen[..., middle])[..., None]
    return gentler


def _tables(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lay the monotonous curves that take quantiles [R, 3, Q] to others out as tables with even steps."""
    starts, ends = low[..., 0], np.maximum(low[..., -1], low[..., 0] + 1e-6)
    tables = np.empty((*low.shape[:2], _CELLS + 1), np.float32)
    even = np.linspace(0, 1, _CELLS + 1)
    for index in np.ndindex(*low.shape[:2]):
        rising = np.maximum.accumulate(low[index] + np.arange(low.shape[2]) * 1e-7)
        tables[index] = np.interp(starts[index] + even * (ends[index] - starts[index]), rising, high[index])
    return starts.copy(), (_CELLS / (ends - starts)).astype(np.float32), tables


def _quantiles(values: np.ndarray, most: int = 16_000) -> np.ndarray:
    """Return quantiles [3, 129] of values [N, 3], thinned out evenly."""
    some = np.sort(values[:: max(1, len(values) // most)], axis=0)
    place = _SHARES * (len(some) - 1)
    low = place.astype(int)
    high = np.minimum(low + 1, len(some) - 1)
    between: np.ndarray = some[low] + (place - low)[:, None] * (some[high] - some[low])
    return between.T.astype(np.float32)


def lightness(pixels: np.ndarray) -> np.ndarray:
    """Return CIE L* in 0..100 [H, W] of RGB [H, W, 3] in 0..1."""
    light: np.ndarray = cv2.cvtColor(pixels.clip(0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)[..., 0]
    return light


def mean_in(plane: np.ndarray, mask: np.ndarray) -> float:
    """Return the mean of a plane [H, W] under a mask [H, W] in 0..1."""
    return float((plane * mask).sum() / max(float(mask.sum()), 1.0))


def lightened(pixels: np.ndarray, lift: np.ndarray) -> np.ndarray:
    """Add to the L* of RGB [H, W, 3] float32 in 0..1, place by place [H, W]; contrast grows with the light."""
    lab = cv2.cvtColor(pixels.clip(0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)
    low = blurred(lab[..., 0], pixels.shape[0] / 40)
    lab[..., 0] = lab[..., 0] * np.clip((low + lift) / np.maximum(low, 8), 1, 4)
    lab[..., 0] = lab[..., 0].clip(0, 100)
    back: np.ndarray = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    return back


def keep_lightness(pixels: np.ndarray, region: np.ndarray, wanted: float, *, amount: float) -> np.ndarray:
    """Bring a region's mean lightness towards a value; half by a power, half by scaling.

    A power leaves black and white, so that lines stay, but sharpens contrast; scaling softens it.

    Args:
        pixels: [H, W, 3] float32 RGB in 0..1.
        region: [H, W] mask in 0..1.
        wanted: mean L* of the region, 0..100.
        amount: 0 leaves the picture, 1 goes all the way.
    """
    lab = cv2.cvtColor(pixels.clip(0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)
    weight = region / max(float(region.sum()), 1e-6)
    share = lab[..., 0] / 100
    now = float((share * weight).sum())
    goal = float(np.clip(now + amount * (wanted / 100 - now), 0.01, 0.99))
    bent = share
    for _ in range(12):  # Newton's steps towards the exponent
        mean = float((bent * weight).sum())
        slope = float((bent * np.log(np.maximum(bent, 1e-4)) * weight).sum())
        if abs(mean - goal) < 1e-3 or abs(slope) < 1e-6:
            break
        bent = bent ** float(np.clip(1 + (goal - mean) / slope, 0.7, 1.4))
    scaled = share * (goal / max(now, 1e-3)) if goal < now else 1 - (1 - share) * ((1 - goal) / max(1 - now, 1e-3))
    sure = np.clip(1.5 * region, 0, 1)  # a mask that is soft everywhere would hold back the shift
    lab[..., 0] = lab[..., 0] + (50 * (bent + scaled) - lab[..., 0]) * sure
    back: np.ndarray = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    return back


def flatness(pixels: np.ndarray, region: np.ndarray) -> float:
    """Say how much of a region is a few flat colours, as in prints and cut paper: share within 2 of their nearest.

    Colours are found in LAB by Lloyd's rounds from evenly spread lightnesses.

    Args:
        pixels: [H, H, 3] float32 RGB in 0..1.
        region: [H, H] mask in 0..1.
    """
    lab = cv2.cvtColor(blurred(pixels, pixels.shape[0] / 340).clip(0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)
    values = lab[region > 0.7]
    values = values[:: max(1, len(values) // 8000)]
    if len(values) < _FLAT_COLOURS:
        return 0.0
    order = np.argsort(values[:, 0], kind="stable")
    means = values[order[((np.arange(_FLAT_COLOURS) + 0.5) / _FLAT_COLOURS * len(values)).astype(int)]]
    for _ in range(10):
        apart = ((values[:, None] - means[None]) ** 2).sum(2)
        nearest = apart.argmin(1)
        means = np.stack(
            [values[nearest == k].mean(0) if (nearest == k).any() else means[k] for k in range(_FLAT_COLOURS)]
        )
    return float((apart.min(1) < 4).mean())
