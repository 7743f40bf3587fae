"""Geometry, faces, align and paste of core.imaging: the FFHQ framing, the detector, and the way back into the photo."""

from __future__ import annotations

import json
import pickle
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from core.config import ASSETS_DIR
from core.errors import (
    FaceCutOff,
    FaceIndexOutOfRange,
    FaceTooSmall,
    NoFaceFound,
    PhotoTooSmall,
    WeightsUnavailable,
)
from core.imaging.align import (
    AlignedFace,
    align,
    align_face,
    crop_square,
    looks_aligned,
    use_as_aligned,
)
from core.imaging.faces import DetectedFace, FaceFinder
from core.imaging.geometry import box_quad, ffhq_quad, from_crop, peek, side_of, to_crop, warp_to_quad
from core.imaging.paste import paste_back, soft_mask
from core.imaging.photo import Photo, load_photo
from core.imaging.square import Square

PREDICTOR = ASSETS_DIR / "mini" / "landmarks68.dat"


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    """The embedded predictor."""
    return FaceFinder(PREDICTOR)


@pytest.fixture(scope="module")
def golden(shared_dir: Path) -> dict[str, np.ndarray]:
    """Landmarks [68, 2] of the shared photos by file name."""
    stored = json.loads((shared_dir / "golden" / "align_landmarks.json").read_text())
    return {name: np.array(points) for name, points in stored.items()}


def noise_photo(width: int, height: int, seed: int = 0) -> Photo:
    """A smooth colourful picture without a face."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    return Photo(small.resize((width, height), Image.Resampling.BICUBIC), "noise.png")


def some_landmarks(seed: int = 1) -> np.ndarray:
    """68 points with eyes above a mouth, about 100 px apart."""
    points = np.random.default_rng(seed).normal(0, 4, (68, 2)) + np.array([200, 200])
    points[36:42] += [-50, -40]
    points[42:48] += [50, -35]
    points[48:] += [0, 60]
    points[48, 0] -= 30
    points[54, 0] += 30
    return points


def test_quad_of_a_plain_face_in_closed_form() -> None:
    points = np.zeros((68, 2))
    points[36:42], points[42:48], points[48], points[54] = [-30, 0], [30, 0], [-20, 70], [20, 70]
    half = 1.8 * 70  # the mouth's distance wins over 2.0 * 60; x = (60, 0) - turn((0, 70)) = (130, 0)
    expected = np.array([[-half, 7 - half], [-half, 7 + half], [half, 7 + half], [half, 7 - half]])
    np.testing.assert_allclose(ffhq_quad(points), expected, atol=1e-9)


def test_quad_follows_rotation_scale_and_translation() -> None:
    points = some_landmarks()
    angle, scale, shift = 0.4, 1.7, np.array([31.0, -12.0])
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(ffhq_quad(points @ turn.T + shift), ffhq_quad(points) @ turn.T + shift, atol=1e-8)


def test_quad_refuses_other_shapes() -> None:
    for wrong in (np.zeros((5, 2)), np.full((68, 2), np.nan), np.zeros((68, 2))):
        with pytest.raises(ValueError, match="ffhq_quad needs"):
            ffhq_quad(wrong)


def test_crops_agree_with_the_reference(shared_dir: Path, golden: dict[str, np.ndarray]) -> None:
    for name, points in golden.items():
        photo = load_photo(shared_dir / "photos" / name)
        crop = warp_to_quad(photo.image, ffhq_quad(points), 256)
        with Image.open(shared_dir / "golden" / f"align_{Path(name).stem}.png") as file:
            reference = np.asarray(file.convert("RGB"), dtype=float)
        assert np.abs(np.asarray(crop, dtype=float) - reference).mean() < 0.5, name


def test_warp_to_an_upright_box_is_the_box() -> None:
    image = noise_photo(200, 200).image
    inside = image.crop((60, 50, 140, 130))
    assert np.array_equal(warp_to_quad(image, box_quad(60, 50, 140, 130), 80), inside)
    turned = warp_to_quad(image, np.roll(box_quad(60, 50, 140, 130), -1, axis=0), 80)
    assert np.array_equal(turned, inside.transpose(Image.Transpose.ROTATE_270))


def test_warp_fills_outside_and_shrinks_large_photos() -> None:
    big = noise_photo(1600, 1600).image
    small = warp_to_quad(big, box_quad(0, 0, 1600, 1600), 128)
    expected = big.resize((128, 128), Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(small, dtype=float) - np.asarray(expected, dtype=float)).mean() < 1.5
    for quad in (box_quad(-200, -300, 150, 50), box_quad(-900, -900, 2000, 2000), box_quad(3000, 3000, 3100, 3100)):
        crop = np.asarray(warp_to_quad(noise_photo(300, 200).image, quad, 64))
        assert crop.shape == (64, 64, 3) and crop.min(axis=(0, 1)).max() > 0
    with pytest.raises(ValueError, match="RGB"):
        warp_to_quad(big.convert("L"), box_quad(0, 0, 9, 9), 8)
    with pytest.raises(ValueError, match="at least 1 px"):
        warp_to_quad(big, np.zeros((4, 2)), 8)


def test_peek_and_from_crop_are_inverse() -> None:
    dot = Image.new("L", (400, 300))
    ImageDraw.Draw(dot).ellipse((236, 126, 244, 134), fill=255)  # centre (240, 130)
    quad = ffhq_quad(some_landmarks() + np.array([20, -40]))
    view = peek(dot, quad, 128).astype(float)
    y, x = np.mgrid[0:128, 0:128]
    centre = np.array([[(view * x).sum(), (view * y).sum()]]) / view.sum()
    np.testing.assert_allclose(from_crop(centre, quad, 128), [[240, 130]], atol=0.5)
    assert peek(Image.new("L", (50, 40), 9), box_quad(-300, -300, 300, 300), 32).min() == 9


def test_finds_every_shared_face_and_frames_it_as_the_reference(
    shared_dir: Path, golden: dict[str, np.ndarray], finder: FaceFinder
) -> None:
    for name, points in golden.items():
        faces = finder.find(load_photo(shared_dir / "photos" / name))
        assert len(faces) == 1, name
        quad, expected = ffhq_quad(faces[0].landmarks), ffhq_quad(points)
        assert np.linalg.norm(quad - expected, axis=1).max() < 0.08 * side_of(expected), name


def test_finds_painted_and_engraved_faces(shared_dir: Path, finder: FaceFinder) -> None:
    paths = sorted((shared_dir / "styles").glob("*.webp")) + sorted((shared_dir / "paper/cas_waco").glob("*_art.webp"))
    photos = [load_photo(path) for path in paths]
    found = [finder.find(photo) for photo in photos]
    assert len(photos) == 22 and all(len(faces) == 1 for faces in found)
    as_is = [looks_aligned(photo, faces[0]) for photo, faces in zip(photos, found, strict=True)]
    assert sum(as_is) >= 19


def test_landmarks_follow_a_turned_and_scaled_photo(shared_dir: Path, finder: FaceFinder) -> None:
    photo = load_photo(shared_dir / "photos" / "portrait_01.jpg")
    face = finder.find(photo)[0]
    turned = finder.find(Photo(photo.image.rotate(15, Image.Resampling.BICUBIC), "turned"))[0]
    angle, centre = np.deg2rad(15), (np.array(photo.image.size) - 1) / 2
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    side = side_of(ffhq_quad(face.landmarks))
    moved = (face.landmarks - centre) @ turn.T + centre
    assert np.linalg.norm(ffhq_quad(turned.landmarks) - ffhq_quad(moved), axis=1).max() < 0.06 * side
    large = finder.find(Photo(photo.image.resize((2700, 2700), Image.Resampling.BICUBIC), "large"))[0]
    assert np.linalg.norm(ffhq_quad(large.landmarks) / 3 - ffhq_quad(face.landmarks), axis=1).max() < 0.04 * side


def test_several_faces_come_largest_first(shared_dir: Path, finder: FaceFinder) -> None:
    small = load_photo(shared_dir / "photos" / "portrait_00.jpg").image.resize((450, 450))
    large = load_photo(shared_dir / "photos" / "portrait_06.jpg").image
    both = Image.new("RGB", (1350, 900), (128, 128, 128))
    both.paste(small, (0, 300))
    both.paste(large, (450, 0))
    photo = Photo(both, "two.png")
    faces = finder.find(photo)
    assert len(faces) == 2 and faces[0].box[0] > 450 > faces[1].box[2]
    first, second = (align(photo, finder, face_index=index, size_px=128) for index in (0, 1))
    assert first.image.size == (128, 128) and first.quad[:, 0].mean() > 450 > second.quad[:, 0].mean()
    for index in (2, -1):
        with pytest.raises(FaceIndexOutOfRange, match="2 face"):
            align(photo, finder, face_index=index)


def test_align_takes_an_aligned_picture_as_it_is(
    shared_dir: Path, golden: dict[str, np.ndarray], finder: FaceFinder
) -> None:
    image = load_photo(shared_dir / "photos" / "portrait_01.jpg").image
    crop = warp_to_quad(image, ffhq_quad(golden["portrait_01.jpg"]), 256)
    again = align(Photo(crop, "crop.png"), finder, size_px=256)
    assert np.array_equal(again.image, crop) and again.landmarks is not None
    np.testing.assert_allclose(again.quad, box_quad(0, 0, 256, 256))
    whole = align(Photo(image, "whole.png"), finder, size_px=256)
    assert side_of(whole.quad) < 700


def test_no_face_is_found_in_noise_and_shapes(finder: FaceFinder) -> None:
    for seed in range(4):
        with pytest.raises(NoFaceFound, match=r"noise\.png"):
            align(noise_photo(300, 240, seed), finder)
    assert finder.find(Photo(Image.new("RGB", (64, 64), (9, 9, 9)), "grey")) == []


def test_small_and_cut_faces_are_refused() -> None:
    photo = noise_photo(500, 500)
    small = DetectedFace((10, 10, 69, 69), some_landmarks())
    with pytest.raises(FaceTooSmall, match="59 pixels"):
        align_face(photo, small)
    points = some_landmarks()
    for shift, cut in (([-170, 0], True), ([0, 0], False)):
        moved = points + shift
        face = DetectedFace((0, 0, 120, 120), moved)
        if cut:
            with pytest.raises(FaceCutOff):
                align_face(photo, face)
        else:
            assert align_face(photo, face).image.size == (256, 256)


def test_predictor_file_must_be_there_and_whole(tmp_path: Path) -> None:
    photo = noise_photo(100, 100)
    with pytest.raises(WeightsUnavailable, match="missing"):
        FaceFinder(tmp_path / "none.dat").find(photo)
    (tmp_path / "bad.dat").write_bytes(b"\x01bad")
    with pytest.raises(WeightsUnavailable, match="damaged"):
        FaceFinder(tmp_path / "bad.dat").find(photo)
    assert pickle.loads(pickle.dumps(FaceFinder(tmp_path / "x.dat"))).predictor_path == tmp_path / "x.dat"


def test_use_as_aligned() -> None:
    photo = noise_photo(300, 200)
    centre = use_as_aligned(photo, size_px=200)
    assert np.array_equal(centre.image, photo.image.crop((50, 0, 250, 200))) and centre.landmarks is None
    np.testing.assert_allclose(centre.quad, box_quad(50, 0, 250, 200))


def test_soft_mask_is_solid_inside_and_zero_outside() -> None:
    mask = np.asarray(soft_mask(128))
    assert mask[64, 64] == 255 and mask[30:98, 30:98].min() == 255
    assert max(mask[0].max(), mask[-1].max(), mask[:, 0].max(), mask[:, -1].max()) == 0
    assert np.array_equal(mask, mask.T) and np.abs(np.diff(mask.astype(int))).max() < 40


@pytest.mark.parametrize("size_px", [128, 256, 512])
def test_paste_back_of_the_own_crop_changes_little(size_px: int) -> None:
    photo = noise_photo(700, 600)
    quad = ffhq_quad(some_landmarks() + np.array([100, 80]))
    face = AlignedFace(warp_to_quad(photo.image, quad, size_px), quad, None, photo.name)
    back = np.asarray(paste_back(face.image, face, photo), dtype=int)
    assert np.abs(back - np.asarray(photo.image, dtype=int)).max() <= 6


def test_paste_back_of_real_crops_changes_little(shared_dir: Path, golden: dict[str, np.ndarray]) -> None:
    for name, points in golden.items():
        photo = load_photo(shared_dir / "photos" / name)
        quad = ffhq_quad(points)
        face = AlignedFace(warp_to_quad(photo.image, quad, 512), quad, points, name)
        back, mine = paste_back(face.image, face, photo), np.asarray(photo.image, dtype=int)
        left, top = np.clip(quad.min(0).astype(int), 0, None)
        right, bottom = quad.max(0).astype(int)
        change = np.abs(np.asarray(back, dtype=int) - mine)[top:bottom, left:right]
        assert change.mean() < 3, name


def test_paste_back_leaves_the_rest_untouched() -> None:
    photo = noise_photo(500, 400)
    quad = ffhq_quad(some_landmarks() + np.array([40, -60]))  # leaves the photo on top
    face = AlignedFace(Image.new("RGB", (64, 64)), quad, None, photo.name)
    before = np.asarray(photo.image).copy()
    back = np.asarray(paste_back(Image.new("RGB", (64, 64), (255, 0, 0)), face, photo))
    outside = Image.new("L", photo.image.size, 255)
    ImageDraw.Draw(outside).polygon([tuple(corner) for corner in quad], fill=0)
    kept = np.asarray(outside) == 255
    assert back.shape == before.shape and np.array_equal(back[kept], before[kept])
    x, y = np.rint(quad.mean(0)).astype(int)
    assert tuple(back[y, x]) == (255, 0, 0)
    assert np.array_equal(np.asarray(photo.image), before)
    away = AlignedFace(face.image, quad + 9000, None, photo.name)
    assert np.array_equal(paste_back(face.image, away, photo), before)
    with pytest.raises(ValueError, match="square"):
        paste_back(Image.new("RGB", (64, 32)), face, photo)


def test_points_find_the_way_into_the_crop_and_back() -> None:
    quad = ffhq_quad(some_landmarks())
    points = np.array([[10.0, 20.0], [300.5, 4.25]])
    assert np.allclose(from_crop(to_crop(points, quad, 256), quad, 256), points)
    assert np.allclose(to_crop(quad[[0]], quad, 256), [[-0.5, -0.5]])


@pytest.mark.parametrize("known", [True, False], ids=["landmarks", "no landmarks"])
def test_paste_back_leaves_no_halo_and_keeps_the_style_in_the_face(known: bool) -> None:
    points = some_landmarks() + np.array([100, 80])
    along = np.linspace(np.pi, 0, 17)
    points[:17] = np.stack([300 + 95 * np.cos(along), 270 + 130 * np.sin(along)], axis=1)  # jaw
    points[17:27] = np.stack([np.linspace(230, 370, 10), np.full(10, 220)], axis=1)  # brows
    quad = ffhq_quad(points)
    photo = Photo(Image.new("RGB", (700, 700), (40, 70, 60)), "dark")
    face = AlignedFace(warp_to_quad(photo.image, quad, 256), quad, points if known else None, photo.name)
    white = Image.new("RGB", (256, 256), "white")
    ImageDraw.Draw(white).line([(0, 40), (256, 40)], fill="black", width=3)
    back = np.asarray(paste_back(white, face, photo), dtype=int)

    def at(x: float, y: float) -> np.ndarray:
        column, row = np.rint(from_crop(np.array([[x, y]]), quad, 256)[0]).astype(int)
        return back[row, column]

    assert at(128, 140).min() == 255, "the face keeps the style"
    for corner in ((20, 128), (236, 128), (128, 250), (40, 225)):
        assert np.abs(at(*corner) - (40, 70, 60)).max() <= 12, f"a halo at {corner}"
    assert at(60, 40).max() < at(60, 60).max() - 15, "lines stay, also beside the face"


def test_paste_back_is_quick_on_large_photos() -> None:
    photo = Photo(Image.new("RGB", (4096, 4096), (90, 120, 150)), "large")
    quad = ffhq_quad(some_landmarks() * 3)
    face = AlignedFace(Image.new("RGB", (256, 256)), quad, None, photo.name)
    started = time.perf_counter()
    paste_back(face.image, face, photo)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("turn", [Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270])
def test_a_photo_that_lies_on_its_side_gives_the_same_crop(
    finder: FaceFinder, shared_dir: Path, turn: Image.Transpose
) -> None:
    photo = load_photo(shared_dir / "photos" / "portrait_01.jpg")
    upright = align(photo, finder, size_px=128)
    turned = Photo(photo.image.transpose(turn), photo.name)
    (face,) = finder.find(turned)
    assert 0 <= face.box[0] < face.box[2] <= turned.image.width and face.box[1] < face.box[3]
    found = align(turned, finder, size_px=128)
    apart = np.abs(np.asarray(found.image, dtype=float) - np.asarray(upright.image, dtype=float))
    assert apart.mean() < 4, "upright again, and framed alike"


def test_a_square_by_hand_is_cut_out_turned() -> None:
    square = Square((100.0, 60.0), 80.0, 30.0)
    quad = square.quad()
    assert np.allclose(quad.mean(0), (100, 60)) and side_of(quad) == pytest.approx(80)
    assert quad[3, 1] > quad[0, 1], "clockwise: its right upper corner lies lower"
    again = Square.around(quad)
    assert again.centre == pytest.approx(square.centre)
    assert (again.side, again.degrees) == pytest.approx((80, 30))
    photo = noise_photo(300, 200)
    straight = crop_square(photo, Square((99.5, 59.5), 80), size_px=80)
    assert (
        np.abs(np.asarray(straight.image, float) - np.asarray(photo.image.crop((60, 20, 140, 100)), float)).mean() < 1
    )
    assert crop_square(photo, Square((0, 0), 80, 45), size_px=64).image.size == (64, 64), "it may reach beyond"
    with pytest.raises(PhotoTooSmall):
        crop_square(photo, Square((100, 60), 20), size_px=64)
