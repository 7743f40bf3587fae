"""Identity protocol `cosine112`: the crop's geometry, the cosine, and the optional ONNX recogniser."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.errors import MetricNetworkUnavailable
from core.metrics import own_networks
from core.metrics.identity import (
    CROP_EYES,
    cosine,
    eye_centres,
    ffhq_eyes,
    identity_similarity,
    similarity_crop,
)


def dots_at(eyes: tuple[tuple[float, float], ...], size: tuple[int, int], radius_px: float) -> Image.Image:
    """Black picture with a red dot at the first eye and a green one at the second."""
    y, x = np.mgrid[: size[1], : size[0]] + 0.5
    levels = np.zeros((size[1], size[0], 3), np.uint8)
    for channel, (eye_x, eye_y) in enumerate(eyes):
        levels[..., channel] = 255 * (np.hypot(x - eye_x, y - eye_y) <= radius_px)
    return Image.fromarray(levels)


def centroid(levels: np.ndarray) -> tuple[float, float]:
    y, x = np.mgrid[: levels.shape[0], : levels.shape[1]] + 0.5
    weight = levels.astype(float)
    return float((x * weight).sum() / weight.sum()), float((y * weight).sum() / weight.sum())


@pytest.mark.parametrize(
    ("size", "eyes"),
    [
        ((256, 256), ffhq_eyes(256)),
        ((900, 700), ((300.0, 400.0), (520.0, 250.0))),
        ((80, 90), ((30.0, 40.0), (50.0, 44.0))),
        ((400, 400), ((260.0, 200.0), (140.0, 190.0))),
    ],
)
def test_eyes_land_where_they_should(size: tuple[int, int], eyes: tuple[tuple[float, float], ...]) -> None:
    distance = math.dist(*eyes)
    crop = similarity_crop(dots_at(eyes, size, radius_px=distance / 8), eyes)
    assert crop.size == (112, 112)
    for channel, expected in enumerate(CROP_EYES):
        assert centroid(np.asarray(crop)[..., channel]) == pytest.approx(expected, abs=0.15)


def test_crop_does_not_alias() -> None:
    """One-pixel stripes become flat grey when the crop reduces the picture eight times."""
    stripes = np.zeros((900, 900, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = np.asarray(similarity_crop(Image.fromarray(stripes), ((310.0, 415.0), (592.0, 413.0))))
    assert crop.std() < 6
    assert crop.mean() == pytest.approx(127.5, abs=2)


def test_eye_centres() -> None:
    landmarks = np.zeros((68, 2))
    landmarks[36:42] = [(10, 20), (12, 18), (14, 18), (16, 20), (14, 22), (12, 22)]
    landmarks[42:48] = landmarks[36:42] + np.array([30, 1])
    assert eye_centres(landmarks) == ((13, 20), (43, 21))
    with pytest.raises(ValueError, match="68"):
        eye_centres(landmarks[:5])


def test_cosine_closed_forms() -> None:
    assert cosine(np.array([3.0, 0.0]), np.array([1.0, 1.0])) == pytest.approx(math.sqrt(0.5))
    assert cosine(np.array([1.0, 2.0]), np.array([-2.0, -4.0])) == pytest.approx(-1)
    with pytest.raises(ValueError, match="zeros"):
        cosine(np.zeros(3), np.ones(3))
    with pytest.raises(ValueError, match="two embeddings"):
        cosine(np.ones(3), np.ones(4))


def test_similarity_uses_the_callable() -> None:
    def mean_colour(crop: Image.Image) -> np.ndarray:
        return np.asarray(crop, dtype=np.float64).mean(axis=(0, 1))

    red, orange = Image.new("RGB", (256, 256), (200, 0, 0)), Image.new("RGB", (256, 256), (200, 200, 0))
    assert identity_similarity(red, orange, ffhq_eyes(256), mean_colour) == pytest.approx(math.sqrt(0.5), abs=1e-6)
    with pytest.raises(ValueError, match="size"):
        identity_similarity(red, orange.resize((64, 64)), ffhq_eyes(256), mean_colour)
    with pytest.raises(ValueError, match="1 px apart"):
        similarity_crop(red, ((5, 5), (5, 5)))


def test_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(MetricNetworkUnavailable, match="holds neither"):
        own_networks.load_own_networks(tmp_path)


def test_damaged_networks_are_named(tmp_path: Path) -> None:
    (tmp_path / own_networks.FEATURES_FILE).write_bytes(b"not an archive")
    with pytest.raises(MetricNetworkUnavailable, match=own_networks.FEATURES_FILE):
        own_networks.load_own_networks(tmp_path)
    (tmp_path / own_networks.FEATURES_FILE).unlink()
    pytest.importorskip("onnxruntime")
    (tmp_path / own_networks.IDENTITY_FILE).write_bytes(b"not a network")
    with pytest.raises(MetricNetworkUnavailable, match="could not be read"):
        own_networks.load_own_networks(tmp_path)


def test_missing_onnxruntime_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(own_networks, "import_module", refuse)
    (tmp_path / own_networks.IDENTITY_FILE).write_bytes(b"anything")
    with pytest.raises(MetricNetworkUnavailable, match="pip install onnxruntime"):
        own_networks.load_own_networks(tmp_path)


def test_recogniser_tells_people_apart(shared_dir: Path) -> None:
    pytest.importorskip("onnxruntime")
    if not (shared_dir / "oracles" / own_networks.IDENTITY_FILE).is_file():
        pytest.skip("no recogniser")
    embed = own_networks.load_own_networks(shared_dir / "oracles").identity
    folder = shared_dir / "faces" / "images"
    with Image.open(folder / "london_0000.webp") as one, Image.open(folder / "london_0001.webp") as other:
        first, second = one.convert("RGB"), other.convert("RGB")
    small = first.resize((64, 64), Image.Resampling.BOX).resize((256, 256), Image.Resampling.BICUBIC)
    eyes = ffhq_eyes(256)
    assert identity_similarity(first, small, eyes, embed) > 0.8
    assert abs(identity_similarity(first, second, eyes, embed)) < 0.3
    with pytest.raises(ValueError, match="112 px"):
        embed(first)
