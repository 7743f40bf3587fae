"""core.imaging.photo: every kind of upload becomes one kind of picture, or a sentence."""

from __future__ import annotations

import errno
import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageCms

from core.config import PhotoLimits
from core.errors import DiskFull, PhotoTooLarge, PhotoTooSmall, PhotoUnreadable
from core.imaging.photo import load_photo, save_png, save_portrait, to_image, to_tensor

RED, WHITE = (220, 30, 40), (255, 255, 255)


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The picture as a file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def scene(width: int = 120, height: int = 80) -> Image.Image:
    """Smooth, with four different corners."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([255 * x / (width - 1), 255 * y / (height - 1), np.full_like(x, 90)], axis=-1)
    return Image.fromarray(np.rint(pixels).astype(np.uint8))


def difference(a: Image.Image, b: Image.Image) -> float:
    """Mean absolute difference of two pictures of one size, 0..255."""
    assert a.size == b.size and a.mode == b.mode
    return float(np.abs(np.asarray(a, dtype=float) - np.asarray(b, dtype=float)).mean())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied_and_metadata_dropped(orientation: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = scene().transpose(undo[orientation]) if orientation in undo else scene()
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "A camera"
    photo = load_photo(encode(stored, "JPEG", quality=98, exif=exif))
    assert photo.image.size == (120, 80)
    assert difference(photo.image, scene()) < 2
    assert not photo.image.info and not photo.image.getexif()
    small = load_photo(encode(stored, "JPEG", quality=98, exif=exif), limits=PhotoLimits(max_side_px=96)).image
    assert small.size == (96, 64) and difference(small, scene(96, 64)) < 3


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow says so, and goes on
def test_damaged_exif_is_ignored() -> None:
    with_exif = encode(scene(), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert load_photo(with_exif).image.size == (120, 80)
    in_words = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x03\0\0\0no\0\0\0\0\0\0"  # the orientation as a text
    assert load_photo(encode(scene(), "JPEG", exif=in_words)).image.size == (120, 80)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_heic_photo_of_a_phone_is_read_upright(orientation: int) -> None:
    image = scene()
    image.getexif()[ExifTags.Base.Orientation] = orientation
    read = load_photo(encode(image, "HEIF", quality=90, exif=image.getexif().tobytes())).image
    assert read.size == ((120, 80) if orientation == 1 else (80, 120)) and read.mode == "RGB"
    expected = scene() if orientation == 1 else scene().transpose(Image.Transpose.ROTATE_270)
    assert difference(read, expected) < 6


def test_transparency_lies_on_white() -> None:
    image = Image.new("RGBA", (100, 100), (*RED, 255))
    image.paste((0, 0, 0, 0), (0, 0, 50, 100))
    image.paste((0, 0, 0, 128), (50, 0, 100, 10))
    out = load_photo(encode(image)).image
    assert out.getpixel((10, 50)) == WHITE and out.getpixel((80, 50)) == RED
    assert out.getpixel((80, 5)) == (127, 127, 127)
    palette = Image.new("P", (100, 100), 1)
    palette.putpalette([0, 0, 0, *RED])
    palette.paste(0, (0, 0, 50, 100))
    out = load_photo(encode(palette, transparency=0)).image
    assert out.getpixel((10, 50)) == WHITE and out.getpixel((80, 50)) == RED
    grey = Image.new("LA", (100, 100), (200, 0))
    assert load_photo(encode(grey)).image.getpixel((5, 5)) == WHITE


def test_grey_bilevel_palette_and_cmyk_become_rgb() -> None:
    assert load_photo(encode(Image.new("L", (90, 90), 77))).image.getpixel((3, 3)) == (77, 77, 77)
    assert load_photo(encode(Image.new("1", (90, 90), 1))).image.getpixel((3, 3)) == WHITE
    palette = scene().convert("P", palette=Image.Palette.ADAPTIVE)
    assert difference(load_photo(encode(palette)).image, scene()) < 12
    cmyk = load_photo(encode(scene().convert("CMYK"), "JPEG", quality=98)).image
    assert cmyk.mode == "RGB" and difference(cmyk, scene()) < 3


def test_sixteen_bits_and_floats_are_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 90 * 90).reshape(90, 90)
    expected = ramp / 257
    for image, kind in [
        (Image.fromarray(ramp.astype(np.uint16)), "PNG"),
        (Image.fromarray(ramp.astype(np.uint16)), "TIFF"),
        (Image.fromarray((ramp / 65535).astype(np.float32)), "TIFF"),
        (Image.fromarray(ramp.astype(np.int32)), "TIFF"),
    ]:
        out = np.asarray(load_photo(encode(image, kind)).image, dtype=float)
        assert np.abs(out - expected[..., None]).max() <= 1, (image.mode, kind)


def test_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (90, 90), colour) for colour in (RED, (0, 0, 255), (0, 255, 0))]
    for kind in ("GIF", "WEBP"):
        data = encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=40)
        got = np.array(load_photo(data).image.getpixel((40, 40)))
        assert np.abs(got - RED).max() < 12


def test_embedded_colour_profile_is_applied_and_a_damaged_one_ignored() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert difference(load_photo(encode(scene(), icc_profile=profile)).image, scene()) <= 1
    assert difference(load_photo(encode(scene(), icc_profile=b"not a profile")).image, scene()) == 0


@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_truncated_files_are_unreadable(kind: str, share: float) -> None:
    noisy = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8))
    data = encode(noisy, kind)
    with pytest.raises(PhotoUnreadable, match=r"'me\.jpg'.*JPEG or PNG"):
        load_photo(data[: int(len(data) * share)], name="me.jpg")


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<!doctype html><html></html>", b"%PDF-1.4",
     b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a"],
)  # fmt: skip
def test_what_is_no_picture_is_unreadable(data: bytes) -> None:
    with pytest.raises(PhotoUnreadable):
        load_photo(data)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims a size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(9000, 9000), (10000, 10000), (60000, 60000), (2_000_000_000, 2)])
def test_too_many_pixels_are_refused_from_the_header(size: tuple[int, int]) -> None:
    with pytest.raises(PhotoTooLarge, match="megapixels"):
        load_photo(bomb(*size))


def test_byte_cap_holds_for_files_and_bytes(tmp_path: Path) -> None:
    limits = PhotoLimits(max_bytes=1000)
    path = tmp_path / "big.png"
    path.write_bytes(bytes(1001))
    for source in (path, str(path), path.read_bytes()):
        with pytest.raises(PhotoTooLarge, match="MB"):
            load_photo(source, limits=limits)


def test_small_pictures_are_refused_and_long_ones_reduced() -> None:
    with pytest.raises(PhotoTooSmall, match="63 pixels"):
        load_photo(encode(Image.new("RGB", (63, 500))))
    with pytest.raises(PhotoTooSmall, match="10 pixels"):
        load_photo(encode(Image.new("RGB", (64 * 100, 100))), limits=PhotoLimits(max_side_px=640))
    wide = load_photo(encode(scene(1200, 600)), limits=PhotoLimits(max_side_px=400)).image
    assert wide.size == (400, 200) and difference(wide, scene(400, 200)) < 3
    assert load_photo(encode(scene())).image.size == (120, 80)


def test_names_are_base_names(tmp_path: Path) -> None:
    path = tmp_path / "holiday.png"
    scene().save(path)
    assert load_photo(path).name == load_photo(str(path)).name == "holiday.png"
    assert load_photo(encode(scene()), name="C:\\Users\\Ann\\me.png").name == "me.png"
    assert load_photo(encode(scene())).name == "photo"
    assert len(load_photo(encode(scene()), name="x" * 400 + ".png").name) <= 80
    for missing in (tmp_path / "gone.png", tmp_path, "a\0b.png"):
        with pytest.raises(PhotoUnreadable) as caught:
            load_photo(missing)
        assert str(tmp_path.parent) not in str(caught.value)


def test_tensor_round_trip_is_exact() -> None:
    tensor = to_tensor(scene())
    assert tensor.shape == (1, 3, 80, 120) and tensor.dtype == torch.float32 and tensor.is_contiguous()
    assert tensor[0, 0, 0, 0] == -1 and tensor[0, 0, 0, -1] == 1
    assert difference(to_image(tensor), scene()) == 0 and difference(to_image(tensor[0].double()), scene()) == 0


def test_tensor_edges() -> None:
    assert to_image(torch.full((3, 4, 4), 7.0)).getpixel((0, 0)) == WHITE
    assert to_image(torch.full((3, 4, 4), -7.0)).getpixel((0, 0)) == (0, 0, 0)
    assert to_tensor(scene(80, 80), size_px=32).shape == (1, 3, 32, 32)
    with pytest.raises(ValueError, match="120 x 80"):
        to_tensor(scene(), size_px=32)
    with pytest.raises(ValueError, match="mode 'L'"):
        to_tensor(scene().convert("L"))
    for wrong in (torch.zeros(2, 3, 4, 4), torch.zeros(4, 4), torch.zeros(1, 4, 4)):
        with pytest.raises(ValueError, match="to_image needs"):
            to_image(wrong)


def test_save_png_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.png"
    image = scene()
    image.info["icc_profile"] = b"private"
    save_png(image, path)
    with Image.open(path) as back:
        assert difference(back.convert("RGB"), scene()) == 0 and not back.info
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(DiskFull, match=r"'out\.png'"):
        save_png(image, path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", [".png", ".jpg"])
@pytest.mark.parametrize("blended", [False, True])
def test_a_portrait_says_that_ai_made_it(tmp_path: Path, ending: str, blended: bool) -> None:
    path = tmp_path / f"portrait{ending}"
    image = Image.effect_noise((96, 64), 90).convert("RGB")
    image.info = {"comment": b"taken at home"}
    save_portrait(image, path, blended=blended)
    with Image.open(path) as saved:
        told = saved.info.get("xmp", b"")
        told = told.decode() if isinstance(told, bytes) else told
        source = re.search(r'DigitalSourceType="([^"]+)"', told or saved.info.get("XML:com.adobe.xmp", ""))
        assert source is not None and "cv.iptc.org/newscodes/digitalsourcetype/" in source[1]
        assert source[1].endswith("compositeWithTrainedAlgorithmicMedia" if blended else "/trainedAlgorithmicMedia")
        assert saved.size == (96, 64) and not saved.getexif()
    assert b"taken at home" not in path.read_bytes()
    assert load_photo(path).image.size == (96, 64)


def test_a_portrait_has_one_of_two_formats(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.png or \.jpg, got 'portrait\.gif'"):
        save_portrait(Image.new("RGB", (8, 8)), tmp_path / "portrait.gif")
