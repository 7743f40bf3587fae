"""The landmark predictor's training on a handful of drawn faces: geometry, boxes, and a whole tiny run."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.config import ASSETS_DIR
from core.make_assets.pretrain import landmarks as trainer
from core.make_assets.pretrain.landmarks import (
    MIRRORED,
    LandmarkConfig,
    Sample,
    box_of,
    eye_distance,
    hatch,
    make_samples,
    mean_error,
    move,
    offset_of,
    read_faces,
    redraw,
    train,
    variants,
)


def drawn_face(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A grey [256, 256] picture with a dark dot at each of 68 roughly face-like points, and the points."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    points = np.stack([128 + 60 * np.cos(t), 140 + 70 * np.sin(t)], axis=1)
    points[36:42] = rng.normal((95, 115), 3, (6, 2))
    points[42:48] = rng.normal((160, 115), 3, (6, 2))
    points += rng.normal(0, 6, 2)
    grey = np.full((256, 256), 200, np.uint8)
    for x, y in np.rint(points).astype(int):
        grey[y - 2 : y + 3, x - 2 : x + 3] = 30
    return grey, points


def test_mirroring_twice_is_nothing_and_keeps_the_sides() -> None:
    assert np.array_equal(MIRRORED[MIRRORED], np.arange(68))
    assert MIRRORED[0] == 16 and MIRRORED[36] == 45 and MIRRORED[48] == 54 and MIRRORED[57] == 57 and MIRRORED[61] == 63


def test_points_move_with_the_picture() -> None:
    grey = np.full((256, 256), 255, np.uint8)
    grey[96:103, 156:163] = 0  # a square around (159, 99)
    points = np.tile([159.0, 99.0], (68, 1))
    for degrees, scale in ((0, 1), (20, 1), (-35, 0.8), (5, 1.2)):
        image, moved = move(Image.fromarray(grey), points, degrees=degrees, scale=scale)
        ink = 255.0 - np.asarray(image)
        y, x = np.mgrid[0:256, 0:256]
        near = ink * (np.hypot(x - moved[0, 0], y - moved[0, 1]) < 20)
        centre = [(near * x).sum() / near.sum(), (near * y).sum() / near.sum()]
        np.testing.assert_allclose(centre, moved[0], atol=0.3)


def test_variants_and_looks_keep_size_and_are_reproducible() -> None:
    grey, points = drawn_face(0)
    first, second = (variants(Image.fromarray(grey), points, np.random.default_rng(5)) for _ in range(2))
    assert len(first) == 3 and all(picture.size == (256, 256) for picture, _ in first)
    for (a, p), (b, q) in zip(first, second, strict=True):
        assert np.array_equal(a, b) and np.array_equal(p, q)
        assert eye_distance(p) > 30
    for seed in range(12):
        picture = np.asarray(redraw(Image.fromarray(grey), np.random.default_rng(seed)))
        assert picture.shape == (256, 256) and picture.dtype == np.uint8 and picture.std() > 1
    lines = hatch(np.full((64, 64), 128.0), np.random.default_rng(0))
    assert 90 < lines.mean() < 165 and lines.std() > 50


def test_boxes_and_offsets_are_inverse() -> None:
    _, points = drawn_face(1)
    offset = np.array([0.05, -0.1, 2.1])
    np.testing.assert_allclose(offset_of(points, box_of(points, offset)), offset, atol=0.02)


def test_training_learns_and_is_reproducible() -> None:
    samples = []
    for seed in range(6):
        grey, points = drawn_face(seed)
        samples.append(Sample(grey, points, (55, 55, 205, 225)))
    config = LandmarkConfig(cascade_depth=4, trees_per_level=12, tree_depth=2, oversampling=6, threads=1)
    predictor = train(samples, config)
    untrained = train(samples, LandmarkConfig(cascade_depth=1, trees_per_level=1, oversampling=1, threads=1))
    error = mean_error(predictor, samples)
    assert error < 0.7 * mean_error(untrained, samples)
    assert mean_error(train(samples, config), samples) == error


def test_faces_without_a_detection_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "blank.png"
    Image.new("L", (256, 256), 128).save(path)
    with pytest.raises(ValueError, match="at least 2"):
        make_samples([(path, drawn_face(0)[1])], seed=0)


def test_tiny_run_writes_predictor_and_note(shared_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    faces = shared_dir / "faces"
    assert len(read_faces(faces, "val")) > 200
    with (faces / "index.csv").open(newline="", encoding="utf-8") as file:
        split = {row["file"]: row["split"] for row in csv.DictReader(file)}
    assert all(split[path.name] == "train" for path, _ in read_faces(faces, "train"))
    out = tmp_path / "new" / "tiny.dat"
    trainer.main(["--faces", str(faces), "--out", str(out), "--limit", "6", "--cascade-depth", "2",
                  "--trees-per-level", "4", "--oversampling", "2", "--threads", "1"])  # fmt: skip
    note = json.loads(out.with_suffix(".json").read_text())
    assert note["samples"] == 18 and note["config"]["cascade_depth"] == 2
    assert 0 < note["val_error_percent_of_eye_distance"]["upright"] < 60
    assert json.loads(capsys.readouterr().out) == note
    assert sorted(path.name for path in out.parent.iterdir()) == ["tiny.dat", "tiny.json"]


def test_embedded_predictor_is_as_good_as_its_note() -> None:
    note = json.loads((ASSETS_DIR / "mini" / "landmarks68.json").read_text())
    assert note["samples"] == 3 * 2863
    assert note["val_error_percent_of_eye_distance"]["upright"] < 7.5
    assert (ASSETS_DIR / "mini" / "landmarks68.dat").stat().st_size < 6_000_000
