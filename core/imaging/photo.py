"""Pictures in and out: reads uploads into upright 8-bit RGB, and holds the only conversions between PIL and tensors.

Everything that a phone, a scanner or the web may send is brought to one form here: EXIF rotation applied, wide-gamut
colours brought to sRGB, transparency laid on white, 16-bit, palette, CMYK and grey pictures made RGB, metadata dropped.
"""

from __future__ import annotations

import io
import os
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pillow_heif
import torch
from PIL import ExifTags, Image, ImageCms, ImageOps, PngImagePlugin

from core.config import PhotoLimits
from core.errors import NotAPicture, PhotoTooLarge, PhotoTooSmall, PhotoUnreadable
from core.files import replacing

pillow_heif.register_heif_opener(thumbnails=False)  # HEIC, as iPhones save photos
# Raster formats that Pillow and libheif decode themselves; others (EPS, PDF, WMF ...) would start other programs.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "PPM", "JPEG2000", "TGA", "ICO")
_JPEG_QUALITY = 95
# IPTC's NewsCodes for what AI made, alone and in a photo, and the packet that carries them.
_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_DRAWN, _IN_A_PHOTO = "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"
_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" Iptc4xmpExt:DigitalSourceType="{source}"/>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
# What Pillow's plugins raise over damaged files: whatever they stumble over, but for want of memory.
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    RuntimeError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True)
class Photo:
    """A picture as the visitor sees it.

    Attributes:
        image: upright RGB, 8 bit, without metadata.
        name: the file's own name for messages, never its folder.
    """

    image: Image.Image
    name: str


def load_photo(
    source: str | Path | bytes,
    *,
    name: str | None = None,
    limits: PhotoLimits = PhotoLimits(),
) -> Photo:
    """Read one picture.

    Args:
        source: a file's path, or an encoded file's bytes.
        name: what to call it in messages; the file's name by default. Folders are cut off.
        limits: bytes and pixels allowed; longer pictures are reduced to `max_side_px`.

    Raises:
        PhotoUnreadable: not a picture, damaged, or no such file; `NotAPicture` for documents with code in them.
        PhotoTooLarge: too many bytes, or too many pixels (known from the header, before decoding).
        PhotoTooSmall: the short side is below `min_side_px`.
    """
    if isinstance(source, bytes):
        label, data = _short_name(name), source
    else:
        label = _short_name(name or str(source))
        data = _read(Path(source), label, limits)
    _check_bytes(len(data), label, limits)
    try:
        with Image.open(io.BytesIO(data), formats=_known_formats()) as image:
            return _finish(image, label, limits)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        got = f"more than {(Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} megapixels"
        raise PhotoTooLarge(label, got, f"{limits.max_megapixels:g} megapixels") from error
    except PhotoUnreadable as error:
        raise _refusal(data, label) from error
    except _DECODE_ERRORS as error:
        raise _refusal(data, label) from error


def to_tensor(image: Image.Image, *, size_px: int | None = None, device: torch.device | str = "cpu") -> torch.Tensor:
    """Turn an RGB picture into float32 [1, 3, H, W] in [-1, 1] on `device`.

    Args:
        image: mode RGB.
        size_px: resize a square picture to this side (Lanczos, which averages when it reduces).
        device: of the result.

    Raises:
        ValueError: another mode, or a size for a picture that is not square.
    """
    if image.mode != "RGB":
        raise ValueError(f"to_tensor needs an RGB picture, got mode {image.mode!r}")
    if size_px is not None and image.size != (size_px, size_px):
        if image.width != image.height:
            raise ValueError(f"to_tensor resizes square pictures only, got {image.width} x {image.height}")
        image = image.resize((size_px, size_px), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.array(image, dtype=np.uint8))  # [H, W, 3]
    return pixels.permute(2, 0, 1)[None].to(device=device, dtype=torch.float32).div(127.5).sub(1.0).contiguous()


def to_image(tensor: torch.Tensor) -> Image.Image:
    """Turn [3, H, W] or [1, 3, H, W] in [-1, 1], any float type and device, into 8-bit RGB; clamp and round."""
    if tensor.ndim == 4 and tensor.shape[0] == 1:
        tensor = tensor[0]
    if tensor.ndim != 3 or tensor.shape[0] != 3:
        raise ValueError(f"to_image needs [3, H, W] or [1, 3, H, W], got {list(tensor.shape)}")
    pixels = tensor.detach().float().add(1.0).mul(127.5).clamp(0, 255).round().to(torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).cpu().contiguous().numpy())


def to_array(image: Image.Image) -> np.ndarray:
    """Turn a picture into float32 RGB [H, W, 3] in 0..1."""
    return np.asarray(image.convert("RGB"), dtype=np.float32) / 255


def array_to_image(pixels: np.ndarray) -> Image.Image:
    """Turn [H, W, 3] in 0..1, any float type, into 8-bit RGB; clamp and round."""
    return Image.fromarray(np.rint(pixels.clip(0, 1) * 255).astype(np.uint8))


def save_png(image: Image.Image, path: str | Path) -> None:
    """Write a PNG without metadata; the file appears whole or not at all. Raises DiskFull when space runs out."""
    plain = Image.fromarray(np.asarray(image)) if image.info else image
    with replacing(Path(path)) as part:
        plain.save(part, format="PNG")


def save_portrait(image: Image.Image, path: str | Path, *, blended: bool = False) -> None:
    """Write a drawing as the file's ending says, PNG or JPEG, marked as made by AI; whole or not at all.

    The mark is IPTC's digital source type in XMP, which other programs read; a file tells nothing else.

    Args:
        image: RGB.
        path: ends in .png, .jpg or .jpeg.
        blended: the drawing lies in a photo.

    Raises:
        DiskFull: space runs out.
        ValueError: another ending.
    """
    kind = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}.get(Path(path).suffix.lower())
    if kind is None:
        raise ValueError(f"expected a name that ends in .png or .jpg, got {Path(path).name!r}")
    mark = _XMP.format(source=_SOURCE_TYPES + (_IN_A_PHOTO if blended else _DRAWN))
    plain = Image.fromarray(np.asarray(image))
    with replacing(Path(path)) as part:
        if kind == "PNG":
            marks = PngImagePlugin.PngInfo()
            marks.add_itxt("XML:com.adobe.xmp", mark)
            plain.save(part, format=kind, pnginfo=marks)
        else:
            plain.save(part, format=kind, quality=_JPEG_QUALITY, subsampling=0, xmp=mark.encode())


def _known_formats() -> list[str]:
    """List the allowed formats that this Pillow was built with."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _refusal(data: bytes, name: str) -> PhotoUnreadable:
    """Choose what to say about bytes that Pillow can't read: by their kind where a visitor would know its name."""
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    kinds = {
        "an SVG drawing": start.startswith((b"<svg", b"<?xml")) and b"<svg" in start,
        "a web page": start.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<script")),
        "a PDF document": start.startswith(b"%pdf"),
        "a video": start[4:12] in (b"ftypisom", b"ftypmp42", b"ftypqt  ") or start.startswith(b"\x1aE\xdf\xa3".lower()),
    }
    kind = next((known for known, fits in kinds.items() if fits), None)
    return PhotoUnreadable(name) if kind is None else NotAPicture(name, kind)


def _short_name(name: str | os.PathLike[str] | None) -> str:
    """Return the last part of a path of any system, printable and short; "photo" when there is none."""
    last = re.split(r"[\\/]", os.fspath(name).rstrip("\\/"))[-1] if name else ""
    last = "".join(character for character in last if character.isprintable()).strip()
    return (last if len(last) <= 80 else last[:60] + "..." + last[-17:]) or "photo"


def _read(path: Path, name: str, limits: PhotoLimits) -> bytes:
    """Read a regular file, after a look at its size."""
    try:
        if not path.is_file():
            raise PhotoUnreadable(name)
        _check_bytes(path.stat().st_size, name, limits)
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise PhotoUnreadable(name) from error


def _check_bytes(count: int, name: str, limits: PhotoLimits) -> None:
    if count > limits.max_bytes:
        raise PhotoTooLarge(name, f"{count / 1e6:.1f} MB", f"{limits.max_bytes / 1e6:g} MB")


def _finish(image: Image.Image, name: str, limits: PhotoLimits) -> Photo:
    """Check the size, decode, and bring any picture to the one form of `Photo`.

    A large picture is reduced before it is turned, which takes less memory.
    """
    width, height = image.size
    if width * height > limits.max_megapixels * 1e6:
        raise PhotoTooLarge(name, f"{width * height / 1e6:.0f} megapixels", f"{limits.max_megapixels:g} megapixels")
    scale = min(1.0, limits.max_side_px / max(width, height, 1))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if min(width, height, *size) < limits.min_side_px:
        raise PhotoTooSmall(name, min(width, height, *size), limits.min_side_px)
    try:
        image.load()  # also moves to the first frame of an animation
        if image.width * image.height > limits.max_megapixels * 1e6:  # an icon's header may tell less than it holds
            raise PhotoTooLarge(name, "more than its header says", f"{limits.max_megapixels:g} megapixels")
        orientation = _orientation(image)
        rgb = _to_rgb(image)
    except _DECODE_ERRORS as error:
        raise PhotoUnreadable(name) from error
    if size != rgb.size:
        rgb = rgb.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    rgb.info = {}  # else Pillow would write damaged metadata anew when it turns the picture
    rgb.getexif()[ExifTags.Base.Orientation] = orientation
    return Photo(ImageOps.exif_transpose(rgb), name)  # without metadata


def _orientation(image: Image.Image) -> int:
    """Read the EXIF orientation, 1..8; 1 when there is none or it is damaged."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except _DECODE_ERRORS:
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """Turn any decoded Pillow mode into RGB."""
    if image.mode == "F" or image.mode.startswith("I"):
        return _from_deep_grey(image).convert("RGB")
    if image.has_transparency_data:
        cut_out = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image_on_white = Image.alpha_composite(white, cut_out).convert("RGB")
        image_on_white.info = {key: image.info[key] for key in ("icc_profile",) if key in image.info}
        image = image_on_white
    return _to_srgb(image)


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """Bring grey levels of 16 or 32 bits or floats to 8 bits, by the smallest usual range that holds them."""
    levels = np.nan_to_num(np.asarray(image).astype(np.float64))
    ranges: dict[str, tuple[float, ...]] = {"F": (1.0, 255.0, 65535.0), "I": (255.0, 65535.0)}
    fitting = (top for top in ranges.get(image.mode, (65535.0,)) if levels.max() <= top)
    top = next(fitting, max(levels.max(), 1.0))
    return Image.fromarray(np.clip(np.rint(levels * (255.0 / top)), 0, 255).astype(np.uint8))


def _to_srgb(image: Image.Image) -> Image.Image:
    """Apply an embedded colour profile where it fits the picture; a damaged one is ignored."""
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "CMYK"):
        try:
            embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, embedded, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, *_DECODE_ERRORS):
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")
