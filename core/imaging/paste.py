"""Puts a stylized crop back into its photo, so that no edge shows.

The inverse of `core.imaging.geometry.warp_to_quad`: every photo pixel inside the quad reads the crop, weighted by a
mask that is 1 over the face and falls to 0 at the quad's edge; pixels outside keep their bytes. Before that, the crop
takes the photo's large-scale colours around the face and keeps its own lines there, so that a style with a white or a
glaring ground makes no halo; the face itself keeps the style's colours.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from core.imaging.geometry import blur, quad_to_square, side_of, to_crop

if TYPE_CHECKING:
    from core.imaging.align import AlignedFace
    from core.imaging.photo import Photo

SOLID_RADIUS = 0.78  # the mask is 1 up to this share of the half side ...
EDGE_RADIUS = 0.985  # ... and 0 from here on
ROUNDNESS = 3.0  # exponent of the superellipse: 2 is an ellipse, more is squarer
SMALL_PX = 256  # side at which face and colours are found; both are smooth
FACE_EDGE = 0.05  # how softly the face ends, as a share of the side
COLOUR_SCALE = 0.04  # what is larger than this share of the side counts as colour, what is smaller as line
FOREHEAD = 0.55  # from the eyes up, as a share of the way from eyes to chin
CHROMA_BLUR_SHARE = 1 / 128  # of the side: keeps colour edges soft under drawn lines
TYPICAL_FACE = (0.24, 0.2, 0.76, 0.92)  # left, top, right, bottom in the FFHQ framing, where no landmarks are known


def soft_mask(size_px: int) -> Image.Image:
    """Draw the crop's weight, mode L [size_px, size_px]: 255 in the middle, 0 at the border, smooth between."""
    axis = np.abs((np.arange(size_px) + 0.5) / size_px * 2 - 1) ** ROUNDNESS
    radius = (axis[:, None] + axis[None, :]) ** (1 / ROUNDNESS)
    ramp = np.clip((EDGE_RADIUS - radius) / (EDGE_RADIUS - SOLID_RADIUS), 0, 1)
    return Image.fromarray(np.rint(255 * ramp * ramp * (3 - 2 * ramp)).astype(np.uint8))


def face_mask(face: AlignedFace) -> np.ndarray:
    """Mark the face in its crop, float32 [SMALL_PX, SMALL_PX] in [0, 1]: jaw, cheeks and forehead, without hair."""
    mask = Image.new("L", (SMALL_PX, SMALL_PX))
    drawing = ImageDraw.Draw(mask)
    if face.landmarks is None:
        drawing.ellipse([SMALL_PX * share for share in TYPICAL_FACE], fill=255)
    else:
        points = to_crop(face.landmarks, face.quad, SMALL_PX)
        up = FOREHEAD * (points[36:48].mean(0) - points[8])
        outline = [*points[:17], *(points[17:27] + up)[::-1]]
        drawing.polygon([tuple(point) for point in outline], fill=255)
    return np.asarray(mask.filter(ImageFilter.GaussianBlur(FACE_EDGE * SMALL_PX)), dtype=np.float32) / 255


def match_surroundings(result: Image.Image, face: AlignedFace) -> Image.Image:
    """Give `result` (square RGB) the large-scale colours of the face's own crop everywhere but in the face."""
    small = (SMALL_PX, SMALL_PX)
    drawn, seen = (
        np.asarray(image.convert("RGB").resize(small, Image.Resampling.LANCZOS), dtype=np.float32)
        for image in (result, face.image)
    )
    missing = blur(seen - drawn, COLOUR_SCALE * SMALL_PX, mode="nearest") * (1 - face_mask(face)[..., None])
    channels = (Image.fromarray(missing[..., i]).resize(result.size, Image.Resampling.BICUBIC) for i in range(3))
    matched = np.asarray(result, dtype=np.float32) + np.stack([np.asarray(channel) for channel in channels], axis=-1)
    return Image.fromarray(np.clip(np.rint(matched), 0, 255).astype(np.uint8))


def paste_back(result: Image.Image, face: AlignedFace, photo: Photo) -> Image.Image:
    """Put `result` (square RGB, any size) in the place of `face`: a picture of the photo's size.

    Only the quad's bounding box is touched.

    Raises:
        ValueError: `result` is not square.
    """
    if result.width != result.height:
        raise ValueError(f"paste_back needs a square result, got {result.width} x {result.height}")
    whole = photo.image.copy()
    low = np.clip(np.floor(face.quad.min(0)).astype(int), 0, photo.image.size)
    high = np.clip(np.ceil(face.quad.max(0)).astype(int) + 1, 0, photo.image.size)
    if (high <= low).any():
        return whole
    (left, top), (right, bottom) = low.tolist(), high.tolist()
    side = side_of(face.quad)
    crop = result.convert("RGB")
    if side < crop.width / 2:  # one photo pixel covers several of the crop: average them first
        crop = crop.resize((max(8, round(side)),) * 2, Image.Resampling.LANCZOS)
    crop = match_surroundings(crop, face)
    frame, size = face.quad - low, (right - left, bottom - top)
    drawn = _warp(crop, frame, size, Image.Resampling.BICUBIC)
    weight = _warp(soft_mask(max(crop.width, SMALL_PX)), frame, size, Image.Resampling.BILINEAR)
    box = (left, top, right, bottom)
    whole.paste(Image.composite(drawn, whole.crop(box), weight), box)
    return whole


def reduced(photo: Photo, face: AlignedFace, longest_px: int) -> tuple[Photo, AlignedFace]:
    """Reduce a photo, and place one of its faces there; a photo that is small enough stays the same."""
    scale = longest_px / max(photo.image.size)
    if scale >= 1:
        return photo, face
    size = (max(1, round(photo.image.width * scale)), max(1, round(photo.image.height * scale)))
    share = np.array(size) / photo.image.size
    quad = (face.quad + 0.5) * share - 0.5  # pixel centres are at whole numbers
    landmarks = None if face.landmarks is None else (face.landmarks + 0.5) * share - 0.5
    small = photo.image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    return replace(photo, image=small), replace(face, quad=quad, landmarks=landmarks)


def _warp(crop: Image.Image, quad: np.ndarray, size: tuple[int, int], how: Image.Resampling) -> Image.Image:
    """Draw a square `crop` over `quad` [4, 2] (pixel centres at whole numbers) on a black picture of `size` (W, H)."""
    matrix = quad_to_square(quad + 0.5, crop.width).params  # [3, 3]; PIL counts from the pixels' outer corners
    return crop.transform(size, Image.Transform.PERSPECTIVE, (matrix / matrix[2, 2]).ravel()[:8].tolist(), how)


def keep_photo_colours(result: Image.Image, photo: Image.Image) -> Image.Image:
    """Return `result` (RGB) in the softened chroma of `photo`, which is resized to it; luminance stays."""
    side = result.width
    crop = photo.convert("RGB").resize(result.size, Image.Resampling.LANCZOS)
    luma = result.convert("YCbCr").getchannel(0)
    _, blue, red = crop.filter(ImageFilter.GaussianBlur(side * CHROMA_BLUR_SHARE)).convert("YCbCr").split()
    return Image.merge("YCbCr", (luma, blue, red)).convert("RGB")
