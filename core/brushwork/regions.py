"""The four regions of a portrait that are coloured apart: skin, hair, clothes, background.

The person is cut out first, by GrabCut (Rother, Kolmogorov and Blake 2004) from what the layout is sure of. Inside, the
layout's masks say roughly where regions lie and the picture's own colours decide at their edges: each region's colours
are a smoothed histogram, estimated and applied in turns (expectation and maximisation). A guided filter (He, Sun and
Tang 2013, with coefficients of a reduced picture as in He and Sun 2015) then lets the masks follow strands and edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from core.brushwork.palette import resized
from core.imaging.layout import FaceLayout, Part

WORK_PX = 160
FINE_PX = 512
_CUT_PX = 256
_GUIDED_PX, _GUIDED_RADIUS, _GUIDED_EPS = 256, 5, 1e-4
CHIN, _BROWS, _LEFT, _RIGHT = 152, (105, 334), 234, 454
_ROUNDS = 6
_DRAWN_IN, _WHOLE = 0.86, 1.02  # of the landmarks' hull
_DOUBT = 0.15  # how far skin that the layout sees outside the landmarks is hair, too
_TRUST = 0.8  # power of the colours' likelihood: neighbouring pixels are no independent witnesses
_PERHAPS = 0.3  # from which a place is thought to be the person until colours say otherwise
_LOST = 0.18  # share of a head whose loss tells that colours don't tell it from the ground
_STUBBLE, _RIM = 0.05, 0.25  # hair as a share of the face: none to speak of; perhaps the shaded rim of a bald head,
_SHADED = 1.4  # whose colours lie so near to the face's
_MUCH_HAIR = 0.02  # share of a picture
_HAIRS = 2.5  # logarithm by which a fringe's colour is likelier the hair's than the face's
_LESS_RED = 1.3  # by which a lack of red counts more than other differences
_GROUND_GROWS = 1.6  # what is half ground is more of it: or the photo's ground would be a rim
_DECIDED = 4.0  # power by which what is likely becomes likelier in the end


@dataclass(frozen=True)
class Regions:
    """Soft masks that sum to 1, each [S, S] float32."""

    skin: np.ndarray
    hair: np.ndarray
    clothes: np.ndarray
    background: np.ndarray

    def all(self) -> tuple[np.ndarray, ...]:
        """List them in one order."""
        return self.skin, self.hair, self.clothes, self.background

    def at(self, size_px: int) -> Regions:
        """Resize them."""
        if self.skin.shape[0] == size_px:
            return self
        made = [resized(mask, size_px).clip(0, 1) for mask in self.all()]
        whole = np.maximum(sum(made), 1e-6)
        return Regions(*(mask / whole for mask in made))


def features_of(layout: FaceLayout, size_px: int) -> np.ndarray:
    """Say where brows, eyes, lips and mouth are: [S, S] in 0..1."""
    parts: tuple[Part, ...] = ("brows", "eyes", "lips", "mouth")
    features: np.ndarray = np.maximum.reduce([layout.mask(part, size_px) for part in parts])
    return features


def inner_face(layout: FaceLayout, size_px: int) -> np.ndarray:
    """Say where a face is between brows and chin, inside its outline: [S, S] in 0..1."""
    points = layout.landmarks * size_px
    brow = points[list(_BROWS), 1].mean()
    inner: np.ndarray = _inside(points, size_px) * (np.arange(size_px)[:, None] > brow)
    return inner


def find_regions(pixels: np.ndarray, layout: FaceLayout) -> Regions:
    """Find the regions of a portrait.

    Args:
        pixels: [H, H, 3] float32 RGB in 0..1.
        layout: of the same crop.

    Returns:
        Masks of 512 px.
    """
    small = resized(pixels, WORK_PX)
    person = resized(_cut_out(pixels, layout), WORK_PX)
    prior = _prior(layout)
    belief = prior * person
    bins = _bins(cv2.cvtColor(cv2.GaussianBlur(small, (0, 0), 0.7).clip(0, 1), cv2.COLOR_RGB2LAB))
    for _ in range(_ROUNDS):
        likeness = np.stack([_density(bins, plane) for plane in belief])
        belief = np.stack([cv2.GaussianBlur(plane, (0, 0), 1.0) for plane in prior * likeness**_TRUST])
        belief *= person / np.maximum(belief.sum(0), 1e-9)
    belief = _with_fringe(belief, bins, layout)
    belief = _by_complexion(belief, cv2.cvtColor(small.clip(0, 1), cv2.COLOR_RGB2LAB), layout) ** _DECIDED
    belief *= person / np.maximum(belief.sum(0), 1e-9)
    masks = along_edges(np.concatenate([belief, 1 - person[None]]).astype(np.float32), pixels)
    ground = np.clip(_GROUND_GROWS * masks[3], 0, 1)
    skin, hair, clothes = masks[:3] * (1 - ground) / np.maximum(1 - masks[3], 1e-6)
    return Regions(skin, hair, clothes, ground)


def _cut_out(pixels: np.ndarray, layout: FaceLayout) -> np.ndarray:
    """Cut the person out of the picture: [256, 256] float32 of 0 or 1."""
    size = _CUT_PX
    person, face, hair = (layout.mask(part, size) for part in ("person", "face", "hair"))
    head, shoulders, bust = _bust(layout.landmarks * size, size)
    maybe = np.maximum.reduce([person, face, 0.8 * hair, 0.55 * shoulders])
    sure = _eroded((person > 0.9) & (np.maximum(head, shoulders) > 0.3))
    sure |= (_inside(layout.landmarks * size, size) > 0.6) | bust
    beside, crown = _tresses(layout.landmarks * size, size), sure & (hair > 0.7)
    reach = np.maximum.reduce([person, 0.8 * hair, 0.5 * shoulders, 0.3 * beside])
    away = cv2.dilate((reach > 0.12).astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    lab = cv2.cvtColor(resized(pixels, size).clip(0, 1), cv2.COLOR_RGB2LAB)
    if crown.sum() > 64:
        bins = _bins(lab)
        like, unlike = (_density(bins, mask.astype(np.float32)) for mask in (crown, away))
        maybe = np.maximum(maybe, beside * (like > 4 * unlike) * (person > 0.15))
    found = _grab_cut(lab, sure, maybe > _PERHAPS, away)
    likely = (np.maximum(person, hair) > 0.6) & (head > 0.35)
    if (likely & (found < 0.5)).sum() > _LOST * likely.sum():  # white hair on white paper
        found = _grab_cut(lab, sure | _eroded(likely), maybe > _PERHAPS, away)
    return found


def _eroded(mask: np.ndarray) -> np.ndarray:
    inner: np.ndarray = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return inner


def _grab_cut(lab: np.ndarray, sure: np.ndarray, maybe: np.ndarray, away: np.ndarray) -> np.ndarray:
    """Cut along colours [S, S, 3] in LAB, from what is surely, maybe and surely not the person."""
    labels = np.where(maybe, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[away], labels[sure] = cv2.GC_BGD, cv2.GC_FGD
    behind = (labels == cv2.GC_BGD) | (labels == cv2.GC_PR_BGD)
    if not sure.any() or behind.sum() < 64:
        return np.where(behind, 0, 1).astype(np.float32)
    colours = (lab * (2, 1, 1) + (0, 128, 128)).clip(0, 255).astype(np.uint8)
    cv2.setRNGSeed(0)  # its first clusters are drawn by lot
    cv2.grabCut(colours, labels, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    return _in_one_piece(((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.uint8), sure)


def _in_one_piece(found: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """Keep the piece of a mask [S, S] of 0 and 1 that holds what is sure, close its holes, smooth its edge."""
    _, numbers = cv2.connectedComponents(found)
    counts = np.bincount(numbers[sure])
    counts[0] = 0
    _, gaps = cv2.connectedComponents((numbers != counts.argmax()).astype(np.uint8))
    small = np.bincount(gaps.ravel()) < found.size / 1600
    person = ((gaps == 0) | small[gaps]).astype(np.uint8)
    person = cv2.morphologyEx(person, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9)))
    smooth: np.ndarray = cv2.medianBlur(person, 5).astype(np.float32)
    return smooth


def _with_fringe(belief: np.ndarray, bins: tuple[np.ndarray, ...], layout: FaceLayout) -> np.ndarray:
    """Give what is called skin [3, S, S] over the brows to the hair, where its colours are the hair's.

    A fringe lies where foreheads are, and as a large part of the skin it would stand for it.
    """
    points = layout.landmarks * WORK_PX
    rows = np.arange(WORK_PX)[:, None]
    brow = points[list(_BROWS), 1].mean()
    (_, width), features = _breadth(points), cv2.dilate(features_of(layout, WORK_PX), np.ones((7, 7), np.uint8))
    face = _inside(points, WORK_PX) * (1 - features) * (rows > brow)
    sure = (belief[1] > 0.8) * (1 - _inside(points, WORK_PX, _WHOLE))
    if sure.mean() < _MUCH_HAIR:
        return belief
    like, unlike = (_density(bins, mask.astype(np.float32)) for mask in (sure, face))
    over = np.clip((brow - rows) / (0.1 * width), 0, 1)
    moved = belief[0] * over * (1 - features) * np.clip(np.log(like / unlike) / _HAIRS, 0, 1)
    return np.stack([belief[0] - moved, belief[1] + moved, belief[2]])


def _by_complexion(belief: np.ndarray, lab: np.ndarray, layout: FaceLayout) -> np.ndarray:
    """Compare skin, hair and clothes [3, S, S] with the face's colours between brows and chin, in their own spread.

    Skin of another colour goes to the hair: a fringe, a hat's brim or a beard. Hair of the skin's colour, where the
    layout isn't sure of it, goes to the skin, as clothes of that colour under the chin do; all of it, where there is
    little and it is hardly darker: a bald head. In a face lit in many colours, little is strange.
    """
    features = cv2.dilate(features_of(layout, WORK_PX), np.ones((7, 7), np.uint8))
    points = layout.landmarks * WORK_PX
    rows = np.arange(WORK_PX)[:, None]
    inner = _inside(points, WORK_PX) * (1 - features)
    strange = _away(lab, inner * (rows > points[list(_BROWS), 1].mean()) > 0.7)
    familiar = _away(lab, inner > 0.7, _LESS_RED)
    unsure = np.clip((0.55 - layout.mask("hair", WORK_PX)) / 0.25, 0, 1) * (rows < points[CHIN, 1])
    to_hair = belief[0] * np.clip((strange - 3) / 2, 0, 1) * (1 - features)
    to_skin = belief[1] * np.clip((2.2 - familiar) / 1.2, 0, 1) * unsure
    moved = to_hair - to_skin
    middle, width = _breadth(points)
    bare = belief[2] * np.clip(2.5 - familiar, 0, 1) * (np.abs(np.arange(WORK_PX) - middle) < 0.45 * width)
    skin, hair, clothes = belief[0] - moved + bare, belief[1] + moved, belief[2] - bare
    lone = hair * _lone(hair > 0.5, _eroded(belief.sum(0) > 0.5))
    skin, hair = skin + lone, hair - lone
    found = (hair > 0.5) & (rows < points[CHIN, 1])
    little = found.sum() / max(int((layout.mask("face", WORK_PX) > 0.5).sum()), 1)
    if little < _STUBBLE or (little < _RIM and float(np.median(familiar[found])) < _SHADED):
        return np.stack([skin + hair, np.zeros_like(hair), clothes])
    return np.stack([skin, hair, clothes])


def _lone(mask: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Find the pieces of a mask [S, S] that lie wholly within another, as a light on a bald head: [S, S] bool."""
    count, pieces = cv2.connectedComponents(mask.astype(np.uint8))
    outside = np.bincount(pieces[~within], minlength=count) > 0
    outside[0] = True
    lone: np.ndarray = ~outside[pieces]
    return cv2.dilate(lone.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0


def _away(lab: np.ndarray, core: np.ndarray, redness: float = 0.0) -> np.ndarray:
    """Say how far each colour lies from those of a core [S, S], in their own spread; 2.5 where there is no core.

    Args:
        lab: [S, S, 3].
        core: [S, S] bool.
        redness: how much more a lack of red counts, by which light hair differs from skin above all.
    """
    if core.sum() < 50:
        return np.full(core.shape, 2.5, np.float32)
    typical = np.median(lab[core], axis=0)
    spread = 1.48 * np.median(np.abs(lab[core] - typical), axis=0) + (3.0, 2.0, 2.0)
    apart = (lab - typical) / spread
    away: np.ndarray = np.maximum(np.sqrt((apart**2).mean(-1)), -redness * apart[..., 1])
    return away


def along_edges(masks: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Let masks [N, H, H] that sum to 1 follow a picture's edges: [N, 512, 512], summing to 1.

    Around each place a mask becomes the linear function of red, green and blue that fits it best.
    """
    small = resized(pixels, _GUIDED_PX)
    mean = _boxed(small)
    spread = [[_boxed(small[..., i] * small[..., j]) - mean[..., i] * mean[..., j] for j in range(3)] for i in range(3)]
    inverse = _inverse(spread, _GUIDED_EPS)
    large = resized(pixels, FINE_PX)
    fine = []
    for mask in masks:
        coarse = resized(mask, _GUIDED_PX).clip(0, 1)
        level = _boxed(coarse)
        shared = [_boxed(small[..., i] * coarse) - mean[..., i] * level for i in range(3)]
        slopes = np.stack([sum(inverse[i][j] * shared[j] for j in range(3)) for i in range(3)], axis=-1)
        offset = _boxed(level - (slopes * mean).sum(-1))
        fit = resized(np.dstack([_boxed(slopes), offset]), FINE_PX)
        fine.append(((fit[..., :3] * large).sum(-1) + fit[..., 3]).clip(0, 1))
    stacked = np.stack(fine)
    whole: np.ndarray = stacked / np.maximum(stacked.sum(0), 1e-6)
    return whole


def _boxed(values: np.ndarray) -> np.ndarray:
    side = 2 * _GUIDED_RADIUS + 1
    mean: np.ndarray = cv2.blur(values, (side, side))
    return mean


def _inverse(spread: list[list[np.ndarray]], floor: float) -> list[list[np.ndarray]]:
    """Invert symmetric 3 x 3 matrices, whose entries are planes [S, S], with `floor` added to the diagonal."""
    a, b, c = spread[0][0] + floor, spread[0][1], spread[0][2]
    d, e, f = spread[1][1] + floor, spread[1][2], spread[2][2] + floor
    minors = d * f - e * e, c * e - b * f, b * e - c * d
    whole = a * minors[0] + b * minors[1] + c * minors[2]
    rest = a * f - c * c, b * c - a * e, a * d - b * b
    p, q, r, s, t, u = (entry / whole for entry in (*minors, *rest))
    return [[p, q, r], [q, s, t], [r, t, u]]


def _prior(layout: FaceLayout) -> np.ndarray:
    """Say before looking at colours where in a person skin, hair and clothes lie: [3, S, S], summing to 1."""
    points = layout.landmarks * WORK_PX
    rows, columns = np.mgrid[:WORK_PX, :WORK_PX].astype(np.float32)
    chin, brow = points[CHIN, 1], points[list(_BROWS), 1].mean()
    middle, width = _breadth(points)
    face, hair = (layout.mask(part, WORK_PX) for part in ("face", "hair"))
    below = 1 / (1 + np.exp(-(rows - chin + 0.02 * WORK_PX) / (0.04 * WORK_PX)))  # below the chin
    neck = below * np.exp(-(((columns - middle) / (0.42 * width)) ** 2)) * np.exp(-np.maximum(rows - chin, 0) / width)
    inner = _inside(points, WORK_PX) * (rows > brow - 0.1 * width)
    doubted = 1 - _inside(points, WORK_PX, _WHOLE)  # light hair is easily taken for skin: colours shall decide
    face, hair = face * (1 - (1 - _DOUBT) * doubted), np.maximum(hair, _DOUBT * face * doubted)
    near = np.clip(4 - 4 * np.abs(columns - middle) / width, 0, 1)
    fringe = 0.3 * near * np.clip((brow - 0.1 * width - rows) / (0.1 * width), 0, 1)
    maybe_skin = near * ((1 - below) * np.maximum(face * (1 - fringe), 0.35 * (1 - hair)) + 0.04) + 0.9 * neck + 1e-3
    falling = 0.1 + 0.25 * _tresses(points, WORK_PX)
    maybe_hair = (np.maximum(hair, 0.03) + falling + fringe) * (1 - below) + (0.5 * hair**2 + 0.2 * falling) * below
    clothes = below * (1 - 0.85 * neck) * 0.9 + 0.005
    planes = np.stack([np.maximum(maybe_skin, inner), maybe_hair * (1 - inner), clothes * (1 - inner)]) + 1e-4
    shares: np.ndarray = planes / planes.sum(0)
    return shares


def _breadth(points: np.ndarray) -> tuple[float, float]:
    """Return a face's middle and width in the landmarks' pixels."""
    left, right = float(points[_LEFT, 0]), float(points[_RIGHT, 0])
    return (left + right) / 2, max(abs(right - left), 4.0)


def _bust(points: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Say where head and shoulders usually are around a face, softly, and where a body must be: each [S, S]."""
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    (middle, width), chin = _breadth(points), points[CHIN, 1]
    crown, aside = points[list(_BROWS), 1].mean() - 0.75 * width, np.abs(columns - middle)
    head = (aside / (0.72 * width)) ** 2 + ((rows - (chin + crown) / 2) / (0.62 * (chin - crown))) ** 2
    usual = (aside < 0.45 * width + 1.6 * np.maximum(rows - chin, 0)) & (rows > chin)
    shoulders = cv2.GaussianBlur(usual.astype(np.float32), (0, 0), 0.03 * size)
    body = (aside < 0.25 * width + 2 * (rows - chin - 0.2 * width)) & (rows > chin + 0.2 * width)
    return 1 / (1 + np.exp((6 * (head - 1)).clip(-50, 50))), shoulders, body


def _tresses(points: np.ndarray, size: int) -> np.ndarray:
    """Say where long hair may fall beside a face, for colours to decide: [S, S] in 0..1."""
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    middle, width = _breadth(points)
    aside = np.abs(columns - middle) / width
    brow = points[list(_BROWS), 1].mean()
    beside = np.clip((aside - 0.45) / 0.1, 0, 1) * np.clip((1.2 - aside) / 0.3, 0, 1)
    fall: np.ndarray = beside * np.clip((rows - brow) / (0.3 * width), 0, 1)
    return fall


def _inside(points: np.ndarray, size: int, scale: float = _DRAWN_IN) -> np.ndarray:
    """Fill the landmarks' hull, drawn in a little unless said otherwise, softly: [S, S]."""
    hull = cv2.convexHull(points.astype(np.float32))[:, 0]
    hull = hull.mean(0) + (hull - hull.mean(0)) * scale
    canvas = np.zeros((size, size), np.float32)
    cv2.fillConvexPoly(canvas, np.round(hull).astype(np.int32), 1.0)
    return cv2.GaussianBlur(canvas, (0, 0), size / 107)


def _bins(lab: np.ndarray) -> tuple[np.ndarray, ...]:
    """Sort LAB [S, S, 3] into 20 x 24 x 24 bins."""
    scaled = (lab + np.array([0, 128, 128])) / (100, 256, 256) * (20, 48, 48)
    return tuple(scaled.astype(int).clip(0, (19, 47, 47)).transpose(2, 0, 1))


def _density(bins: tuple[np.ndarray, ...], weight: np.ndarray) -> np.ndarray:
    """Estimate how usual each pixel's colour is in a region [S, S]."""
    counts = np.zeros((20, 48, 48))
    np.add.at(counts, bins, weight)
    smooth = gaussian_filter(counts, 1.2)
    density: np.ndarray = (smooth / max(smooth.sum(), 1e-6) + 1e-6)[bins]
    return density
