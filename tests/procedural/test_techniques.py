"""The techniques: same picture for a seed, in range, each its own, calm behind the person, skins in their order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import ndimage

from core.procedural.techniques import TECHNIQUES, Portrait
from core.procedural.techniques.caricature import exaggerated, mean_face
from core.procedural.techniques.cel import enlarge_eyes
from core.procedural.techniques.flow import edge_flow, smooth_along

SIDE = 72
LIGHT, DARK = (0.86, 0.68, 0.57), (0.36, 0.23, 0.16)
EVERY = tuple(TECHNIQUES)


def made_up_person(skin: tuple[float, float, float]) -> tuple[np.ndarray, Portrait]:
    """A face of ovals with the common landmarks, dark hair and a blue shirt before a garish background."""
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    landmarks = mean_face() * SIDE
    oval = ((columns - 0.5) / 0.27) ** 2 + ((rows - 0.6) / 0.35) ** 2
    head = ((columns - 0.5) / 0.34) ** 2 + ((rows - 0.48) / 0.42) ** 2
    shirt = (rows > 0.88) & (np.abs(columns - 0.5) < 0.45)
    face, hair = oval < 1, (head < 1) & (oval >= 1) & (rows < 0.7)
    photo = (
        np.random.default_rng(round(100 * skin[0]))
        .integers(0, 2, (9, 9, 3))
        .repeat(8, axis=0)
        .repeat(8, axis=1)
        .astype(float)
    )
    photo[shirt] = (0.2, 0.3, 0.7)
    photo[hair] = (0.16, 0.1, 0.08)
    shade = 1.08 - 0.45 * np.clip(columns - 0.45, 0, 1) * 2
    photo[face] = (np.array(skin) * shade[..., None])[face]
    for part, tint in ((slice(36, 42), 0.12), (slice(42, 48), 0.12), (slice(48, 60), 0.4)):
        x, y = landmarks[part].mean(axis=0) / SIDE
        photo[((columns - x) / 0.05) ** 2 + ((rows - y) / 0.02) ** 2 < 1] = tint
    photo = ndimage.gaussian_filter(photo, (0.7, 0.7, 0))
    masks = [ndimage.gaussian_filter(m.astype(np.float32), 0.8) for m in (face | hair | shirt, hair, face)]
    return photo.astype(np.float32), Portrait(landmarks, *masks)


@pytest.fixture(scope="module")
def drawn() -> dict[tuple[str, str], np.ndarray]:
    people = {"light": made_up_person(LIGHT), "dark": made_up_person(DARK)}
    return {
        (name, person): technique.draw(*people[person], np.random.default_rng(3))
        for name, technique in TECHNIQUES.items()
        for person in people
    }


def cheeks(picture: np.ndarray) -> float:
    """Mean grey between eyes and mouth."""
    middle = picture[int(0.52 * SIDE) : int(0.68 * SIDE), int(0.34 * SIDE) : int(0.66 * SIDE)]
    return float((middle @ [0.299, 0.587, 0.114]).mean())


def test_drawings_have_the_photos_shape_and_range(drawn: dict[tuple[str, str], np.ndarray]) -> None:
    for picture in drawn.values():
        assert picture.shape == (SIDE, SIDE, 3) and picture.dtype == np.float32
        assert np.isfinite(picture).all() and picture.min() >= 0 and picture.max() <= 1 and picture.std() > 0.05


@pytest.mark.parametrize("name", ["oil", "stipple", "mosaic"])
def test_the_same_seed_draws_the_same(name: str, drawn: dict[tuple[str, str], np.ndarray]) -> None:
    photo, portrait = made_up_person(LIGHT)
    before = photo.copy()
    np.testing.assert_array_equal(
        TECHNIQUES[name].draw(photo, portrait, np.random.default_rng(3)), drawn[name, "light"]
    )
    np.testing.assert_array_equal(photo, before)
    assert np.abs(TECHNIQUES[name].draw(photo, portrait, np.random.default_rng(4)) - drawn[name, "light"]).max() > 0.05


def test_no_two_techniques_look_alike_as_thumbnails(drawn: dict[tuple[str, str], np.ndarray]) -> None:
    small = {name: drawn[name, "light"].reshape(8, 9, 8, 9, 3).mean(axis=(1, 3)) for name in EVERY}
    near = min(itertools.combinations(EVERY, 2), key=lambda pair: np.abs(small[pair[0]] - small[pair[1]]).mean())
    assert np.abs(small[near[0]] - small[near[1]]).mean() > 0.03, near


@pytest.mark.parametrize("name", EVERY)
def test_dark_skin_stays_darker_than_light_skin(name: str, drawn: dict[tuple[str, str], np.ndarray]) -> None:
    margin = 0.0 if name == "ink-line" else 0.08  # pure line leaves skin to the paper
    assert cheeks(drawn[name, "dark"]) <= cheeks(drawn[name, "light"]) - margin


@pytest.mark.parametrize("name", EVERY)
def test_the_background_is_the_techniques_own(name: str, drawn: dict[tuple[str, str], np.ndarray]) -> None:
    outside = ndimage.binary_erosion(made_up_person(LIGHT)[1].person < 0.01, iterations=4, border_value=1)
    one, other = (ndimage.gaussian_filter(drawn[name, person], (3, 3, 0))[outside] for person in ("light", "dark"))
    assert np.abs(one - other).mean() < 0.04


def test_flow_runs_along_edges_and_smoothing_keeps_them() -> None:
    rows, columns = np.mgrid[:64, :64].astype(np.float32)
    step = ((columns + rows) > 64).astype(np.float32)
    flow = edge_flow(np.repeat(step[..., None], 3, axis=2), 1.5)
    along = np.abs(flow.tangents[28:36, 28:36] @ np.array([1, -1]) / np.sqrt(2))
    assert along.min() > 0.99
    np.testing.assert_allclose(smooth_along(step, flow.tangents, 6.0)[20:44, 20:44], step[20:44, 20:44], atol=0.12)


def test_the_mean_face_is_not_exaggerated_but_others_are() -> None:
    mean = mean_face() * 256
    jaw = slice(0, 17)  # the caricaturist's habits leave it
    turned = mean @ np.array([[0.9, 0.1], [-0.1, 0.9]]) + 20
    np.testing.assert_allclose(exaggerated(turned, gain=1.5)[jaw], turned[jaw], atol=1e-6)
    wide = mean + np.where(np.arange(68)[:, None] < 17, (mean - 128) * [0.1, 0], 0)
    assert np.ptp(exaggerated(wide, gain=1.5)[jaw, 0]) > np.ptp(wide[jaw, 0]) + 10


def test_eyes_grow_where_the_landmarks_say() -> None:
    photo, portrait = made_up_person(LIGHT)
    larger, moved = enlarge_eyes(photo, portrait, 1.4)
    assert moved.eyes[0].width == pytest.approx(1.4 * portrait.eyes[0].width, rel=0.12)
    assert larger.shape == photo.shape


def test_a_portrait_needs_68_points_and_masks_of_one_shape() -> None:
    mask = np.zeros((8, 8), np.float32)
    with pytest.raises(ValueError, match="expected \\(68, 2\\)"):
        Portrait(np.zeros((5, 2)), mask, mask, mask)
    with pytest.raises(ValueError, match="shapes"):
        Portrait(np.zeros((68, 2)), mask, mask, mask[:4])
