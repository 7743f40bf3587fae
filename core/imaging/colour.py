"""Colours between pictures of one frame."""

from __future__ import annotations

from PIL import Image, ImageFilter

CHROMA_BLUR_SHARE = 1 / 128  # of the side: keeps colour edges soft under drawn lines


def keep_photo_colours(result: Image.Image, photo: Image.Image) -> Image.Image:
    """Return `result` (RGB) in the softened chroma of `photo`, which is resized to it; luminance stays."""
    side = result.width
    crop = photo.convert("RGB").resize(result.size, Image.Resampling.LANCZOS)
    luma = result.convert("YCbCr").getchannel(0)
    _, blue, red = crop.filter(ImageFilter.GaussianBlur(side * CHROMA_BLUR_SHARE)).convert("YCbCr").split()
    return Image.merge("YCbCr", (luma, blue, red)).convert("RGB")
