"""Layouts of faces: the embedded network on photos and drawings, and warps between layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from core.config import ASSETS_DIR
from core.engines.layouts import LAYOUT_DIR, layout_reader
from core.imaging.deform import (
    ANCHORS,
    SMOOTHING,
    fit_warp,
    fit_warp_torch,
    shaped,
    warp_grid_torch,
    warp_layout,
    warp_picture,
)
from core.imaging.layout import IBUG_OF_MESH, PARTS, FaceLayout
from core.imaging.photo import load_photo, to_tensor
from core.procedural import augmentations


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    """An invented person, aligned."""
    return load_photo(ASSETS_DIR / "examples" / "face_1.png").image


@pytest.fixture(scope="module")
def layout(photo: Image.Image) -> FaceLayout:
    return layout_reader().read(photo)


def eye_distance(layout: FaceLayout) -> float:
    points = (layout.landmarks68(256) + 0.5) / 256
    return float(np.linalg.norm(points[36:42].mean(0) - points[42:48].mean(0)))


def test_a_face_has_its_parts_where_the_framing_puts_them(layout: FaceLayout) -> None:
    assert layout.presence > 0.9
    points = (layout.landmarks68(256) + 0.5) / 256
    left, right, mouth = points[36:42].mean(0), points[42:48].mean(0), points[48:68].mean(0)
    assert np.abs(left - (0.378, 0.474)).max() < 0.04 and np.abs(right - (0.622, 0.474)).max() < 0.04
    assert abs(mouth[0] - 0.5) < 0.05 and 0.68 < mouth[1] < 0.8
    rows, columns = np.mgrid[:256, :256] / 256
    for part, place in (("eyes", (left + right) / 2), ("lips", mouth), ("nose", (0.5, 0.6))):
        mask = layout.mask(part, 256)
        centre = (columns * mask).sum() / mask.sum(), (rows * mask).sum() / mask.sum()
        assert np.abs(np.subtract(centre, place)).max() < 0.06, part
    assert layout.mask("person", 256)[140:, 100:150].mean() > 0.9
    assert layout.mask("hair", 256)[:, :].mean() > 0.02


@pytest.mark.parametrize("style", ["line_art", "watercolour", "halftone"])
def test_a_drawing_keeps_the_layout_of_its_photo(photo: Image.Image, layout: FaceLayout, style: str) -> None:
    drawn = augmentations.TRAINING[style](to_tensor(photo), torch.Generator().manual_seed(1))
    pixels = ((drawn[0].permute(1, 2, 0).clamp(-1, 1) + 1) * 127.5).numpy().astype(np.uint8)
    again = layout_reader().read(Image.fromarray(pixels))
    apart = np.linalg.norm(again.landmarks - layout.landmarks, axis=1).mean()
    assert again.presence > 0.5 and apart < 0.15 * eye_distance(layout)


def test_one_crop_reads_as_in_a_batch(photo: Image.Image, layout: FaceLayout) -> None:
    other = load_photo(ASSETS_DIR / "examples" / "face_2.png").image
    batch = layout_reader().read_all([other, photo])
    assert np.abs(batch[1].landmarks - layout.landmarks).max() < 1e-4
    assert layout_reader().read_all([]) == []


def test_a_layout_refuses_other_shapes(layout: FaceLayout) -> None:
    with pytest.raises(ValueError, match="468"):
        FaceLayout(layout.landmarks[:68], layout.masks, 1.0)
    with pytest.raises(ValueError, match="masks"):
        FaceLayout(layout.landmarks, layout.masks[:3], 1.0)


def test_weights_stay_small() -> None:
    assert sum(path.stat().st_size for path in LAYOUT_DIR.iterdir()) < 2_000_000
    assert len(PARTS) == 8 and len(set(IBUG_OF_MESH)) == 68


# --- warps -------------------------------------------------------------------------------------------------


def test_a_warp_takes_its_points_along_and_leaves_the_border(layout: FaceLayout) -> None:
    goal = layout.landmarks[ANCHORS].astype(np.float64)
    goal = goal + 0.02 * np.sin(9 * goal[:, ::-1])
    exact = fit_warp(goal, layout.landmarks[ANCHORS], smoothing=1e-9)
    assert np.abs(exact.at(goal) - layout.landmarks[ANCHORS]).max() < 1e-4
    corners = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]])
    assert np.abs(exact.at(corners) - corners).max() < 1e-6
    smooth = fit_warp(goal, layout.landmarks[ANCHORS])
    assert np.abs(smooth.at(goal) - layout.landmarks[ANCHORS]).mean() < 0.01


def test_equal_points_give_the_picture_back(layout: FaceLayout) -> None:
    warp = fit_warp(layout.landmarks[ANCHORS], layout.landmarks[ANCHORS])
    pixels = np.random.default_rng(0).random((64, 64, 3)).astype(np.float32)
    assert np.abs(warp_picture(pixels, warp) - pixels).max() < 1e-3


def test_the_twins_agree_and_gradients_flow(layout: FaceLayout) -> None:
    source = layout.landmarks[ANCHORS].astype(np.float64)
    goal = source + 0.03 * np.cos(7 * source)
    pixels = np.random.default_rng(0).random((48, 48, 3)).astype(np.float32)
    there = warp_picture(pixels, fit_warp(goal, source))
    result = torch.tensor(goal, requires_grad=True)
    weights = fit_warp_torch(result[None], torch.tensor(source)[None], smoothing=SMOOTHING)
    grid = warp_grid_torch(weights, result[None], 48)
    picture = torch.from_numpy(pixels.transpose(2, 0, 1)).double()[None]
    here = F.grid_sample(picture, grid, padding_mode="border", align_corners=False)[0]
    assert np.abs(here.detach().permute(1, 2, 0).numpy() - there).max() < 1e-4
    here.square().sum().backward()
    assert result.grad is not None and float(result.grad.abs().max()) > 0


def test_shape_moves_a_face_towards_a_style(layout: FaceLayout) -> None:
    style = layout.landmarks.copy()
    centre = style[list(IBUG_OF_MESH[36:42])].mean(0)
    near = np.linalg.norm(style - centre, axis=1) < 0.08
    style[near] = centre + 1.5 * (style[near] - centre)  # a larger eye
    turned = style @ np.array([[0.9, 0.1], [-0.1, 0.9]]) + 0.03  # its own pose does not count

    def eye_height(points: np.ndarray) -> float:
        return float(np.linalg.norm(points[159] - points[145]))

    heights = [eye_height(shaped(layout, turned, share)) for share in (0.0, 0.5, 1.0)]
    assert heights[0] == pytest.approx(eye_height(layout.landmarks), rel=1e-6)
    assert heights[0] < heights[1] < heights[2]


def test_masks_move_with_the_picture(layout: FaceLayout) -> None:
    goal = layout.landmarks.astype(np.float64) + np.array([0.05, 0])
    moved = warp_layout(layout, fit_warp(goal[ANCHORS], layout.landmarks[ANCHORS]), goal)
    columns = np.arange(64)
    eyes = [(side.mask("eyes", 64).sum(0) * columns).sum() / side.mask("eyes", 64).sum() for side in (layout, moved)]
    assert eyes[1] - eyes[0] == pytest.approx(0.05 * 64, abs=0.6)


@pytest.mark.parametrize("bad", [np.zeros((2, 2)), np.zeros((5, 3)), np.full((5, 2), np.nan)])
def test_bad_points_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected"):
        fit_warp(bad, bad)


@pytest.mark.slow
def test_faces_are_found_in_drawings(shared_dir: Path) -> None:
    """The detector finds the faces of unaligned artworks, and the layout network agrees on where they are."""
    from core.imaging.align import align_one_of
    from core.imaging.faces import FaceFinder

    finder, good = FaceFinder(ASSETS_DIR / "mini" / "landmarks68.dat"), 0
    for path in sorted((shared_dir / "artworks" / "exemplars").glob("*.webp")):
        photo = load_photo(path)
        if faces := finder.find(photo):
            good += layout_reader().read(align_one_of(photo, faces, size_px=256).image).presence > 0.5
    assert good >= 16
