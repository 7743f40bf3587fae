"""Measuring beside an artist's answers, measuring finished pictures, and what happens with pictures that don't fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from core.cli.main import app
from core.engines.fewshot_gan.backbone import Backbone
from core.errors import PicturesUnusable, StyleIdentityError
from core.evaluate import pairs as measuring
from core.evaluate.panel import make_panel
from core.evaluate.results import evaluate_results
from core.imaging.listing import check_levels, list_photos
from core.studio import Studio
from tests.compare_kit import make_pairs, save_nan, shipped_networks
from tests.test_evaluate import save_noise

runner = CliRunner()


def test_pairs_against_the_artist(tiny_cli: None, tiny: Backbone, tmp_path: Path) -> None:
    folder, out = make_pairs(tiny, tmp_path / "pairs", 2), tmp_path / "out"
    arguments = [
        "evaluate", "pairs", "--pairs", str(folder), "--save", str(out), "--folds", "2", "--steps", "1",
        "--crop", "aligned", "--networks", "shipped", "--arm", "ours-few",
    ]  # fmt: skip
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    assert "ours-few" in result.stdout and "jojogan-few" not in result.stdout and "ssim ↑" in result.stdout
    assert (out / "contact_sheet.png").is_file()
    assert sorted(path.name for path in (out / "ours-few").iterdir()) == ["0.png", "1.png"]
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert set(report) == {
        "task", "backbone", "fingerprint", "preset", "seed", "n", "held_out", "protocols", "notes", "arms",
    }  # fmt: skip
    assert sorted(name for fold in report["held_out"] for name in fold) == ["0", "1"]
    assert set(report["arms"]) == {"photo", "ours-few"} and report["n"] == 2
    photo = report["arms"]["photo"]
    assert set(photo) == {"measures", "no_face_found", "frechet", "artfid", "pictures"}
    assert photo["measures"]["identity"]["mean"] == pytest.approx(1) and photo["measures"]["ssim"]["mean"] < 0.95


def test_unknown_arms_are_refused(tmp_path: Path) -> None:
    result = runner.invoke(app, ["evaluate", "pairs", "--pairs", ".", "--save", "x", "--arm", "theirs"])
    assert result.exit_code == 2 and "--arm takes jojogan-one" in " ".join(result.stderr.replace("│", " ").split())


def test_a_drawing_is_cut_like_its_photo(studio: Studio, tmp_path: Path) -> None:
    """Photos with much around the face: the drawing, here a copy, comes out in the photo's own crop."""
    rng = np.random.default_rng(3)
    for name in ("x", "y"):
        picture = Image.fromarray(rng.integers(0, 200, (90, 120, 3), dtype=np.uint8)).resize((480, 360))
        for kind in ("photo", "art"):
            picture.save(tmp_path / f"{name}_{kind}.png")
    for pair in measuring.load_pairs(studio, tmp_path, shipped_networks()):
        difference = np.abs(np.asarray(pair.photo.image, dtype=int) - np.asarray(pair.answer.image))
        assert pair.photo.image.size == (256, 256) and difference.max() <= 1
        assert measuring.score_pair(pair, pair.answer.image).style == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("count", [6, 7])
def test_folds_hold_everybody_out_once(count: int) -> None:
    folds = measuring.make_folds(count, 3, seed=5)
    assert sorted(index for fold in folds for index in fold) == list(range(count))
    assert {len(fold) for fold in folds} <= {2, 3}
    assert folds == measuring.make_folds(count, 3, seed=5) != measuring.make_folds(count, 3, seed=6)
    assert len(measuring.fixed_split(count, 2, seed=0)[0]) == 2
    for wrong in (1, count + 1):
        with pytest.raises(ValueError, match="pairs make"):
            measuring.make_folds(count, wrong, seed=0)
    with pytest.raises(ValueError, match="to hold out"):
        measuring.fixed_split(count, count, seed=0)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["1_photo.png", "1_art.png", "2_photo.png"], "'2_photo.png' has no partner '2_art'"),
        (["1_art.png"], "'1_art.png' has no partner '1_photo'"),
        (["1_photo.png", "1_art.png", "odd.png"], "'odd.png' is neither"),
        (["1_photo.png", "1_art.png"], "'1_photo.png' is the only pair"),
        ([], "holds no pictures"),
    ],
)
def test_wrong_pairs_are_named(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        save_noise(tmp_path / name)
    with pytest.raises(PicturesUnusable, match=message):
        measuring.pair_files(tmp_path)


def test_pairs_of_two_sizes_are_named(studio: Studio, tmp_path: Path) -> None:
    for name, side_px in (("1_photo", 64), ("1_art", 70), ("2_photo", 64), ("2_art", 64)):
        save_noise(tmp_path / f"{name}.png", side_px=side_px)
    with pytest.raises(PicturesUnusable, match=r"'1_art\.png' and '1_photo\.png' differ in size \(64 x 64 and 70 x 70"):
        measuring.load_pairs(studio, tmp_path, shipped_networks(), crop="aligned")


@pytest.mark.parametrize(
    ("count", "options", "code", "message"),
    [
        (2, [], 1, "'many' can't be split so"),
        (2, ["--held-out", "2"], 1, "'many' can't be split so"),
        (16, ["--held-out", "1"], 1, "'many' holds 16 pairs, which leave 15 drawings to train on; 14 is the most"),
        (16, ["--folds", "4", "--held-out", "2"], 2, "give one of them"),
    ],
)
def test_a_split_is_judged_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, options: list[str], code: int, message: str
) -> None:
    monkeypatch.setattr(Studio, "open", classmethod(lambda cls, *_, **__: pytest.fail("nothing to open it for")))
    for number in range(count):
        for kind in ("photo", "art"):
            save_noise(tmp_path / "many" / f"{number}_{kind}.png", side_px=32)
    arguments = ["evaluate", "pairs", "--pairs", f"{tmp_path}/many", "--save", f"{tmp_path}/out", *options]
    result = runner.invoke(app, arguments)
    assert result.exit_code == code
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_finished_results(tiny_cli: None, studio: Studio, folders: Path) -> None:
    photos, references = folders / "photos", folders / "references"
    arguments = ["--inputs", str(photos), "--results", str(photos), "--references", str(references)]
    arguments = ["evaluate", "results", *arguments, "--networks", "shipped"]
    shown = runner.invoke(app, arguments)
    assert shown.exit_code == 0, shown.stderr
    assert "ssim ↑" in shown.stdout and "1.000 [1.000, 1.000]" in shown.stdout
    report = json.loads(runner.invoke(app, [*arguments, "--json"]).stdout)
    assert set(report) == {
        "task", "n", "artworks", "crop", "protocols", "notes", "measures", "no_face_found", "frechet", "artfid",
        "pictures",
    }  # fmt: skip
    means = {name: value["mean"] for name, value in report["measures"].items()}
    assert (means["ssim"], means["content"], means["landmarks"]) == pytest.approx((1, 0, 0)) and report["n"] == 3
    same = evaluate_results(studio, references, references, references, shipped_networks())
    assert same.frechet == pytest.approx(0, abs=1e-6)
    cropped = evaluate_results(studio, photos, photos, references, shipped_networks(), crop="detect")
    assert cropped.crop == "detect" and cropped.measures["ssim"].mean < 0.9, "not in one frame any more"


@pytest.mark.parametrize("case", ["sizes", "square", "one result", "one artwork", "nan", "damaged"])
def test_unusable_results_are_named(studio: Studio, tmp_path: Path, case: str) -> None:
    sizes = {"sizes": ((64, 64), (65, 65)), "square": ((64, 80), (64, 80))}.get(case, ((64, 64), (64, 64)))
    names = ["1.png"] if case == "one result" else ["1.png", "2.png"]
    for folder, size in zip(("in", "out"), sizes, strict=True):
        (tmp_path / folder).mkdir()
        for name in names:
            Image.new("RGB", size, "teal").save(tmp_path / folder / name)
    for name in ["r.png"] if case == "one artwork" else ["r.png", "s.png"]:
        save_noise(tmp_path / "art" / name)
    if case == "nan":
        save_nan(tmp_path / "art" / "t.tiff")
    if case == "damaged":
        (tmp_path / "out" / "2.png").write_bytes(b"no picture")
    message = {
        "sizes": r"'1\.png' and its input '1\.png' differ in size",
        "square": r"'1\.png' is not square \(64 x 80",
        "one result": r"'1\.png' is the only result",
        "one artwork": r"'r\.png' is the only artwork",
        "nan": r"'t\.tiff' holds values that are not numbers",
        "damaged": r"couldn't read '2\.png'",
    }[case]
    with pytest.raises(StyleIdentityError, match=message):
        evaluate_results(studio, tmp_path / "in", tmp_path / "out", tmp_path / "art", shipped_networks())


def test_pictures_with_holes_are_refused_everywhere(studio: Studio, folders: Path, tmp_path: Path) -> None:
    hole = save_nan(tmp_path / "hole.tiff")
    with pytest.raises(PicturesUnusable, match=r"hole\.tiff.*NaN"):
        check_levels(hole)
    photos = list_photos(folders / "photos")
    references = sorted((folders / "references").iterdir())
    with pytest.raises(PicturesUnusable, match=r"hole\.tiff.*NaN"):
        make_panel(studio, photos, [*references, hole], crop="aligned")
    made = make_panel(studio, [*photos, *list_photos(tmp_path)], references, crop="aligned")
    assert [item.name for item in made.failed] == ["hole.tiff"] and "NaN" in made.failed[0].message
    for folder in ("in", "out"):
        save_nan(tmp_path / folder / "1.tiff")
    result = runner.invoke(app, ["evaluate", "table2", "--inputs", f"{tmp_path}/in", "--results", f"{tmp_path}/out"])
    assert result.exit_code == 1 and "1.tiff" in result.stderr and "NaN" in result.stderr
    finite = Image.fromarray(np.ones((64, 64), np.float32))
    finite.save(tmp_path / "fine.tiff")
    check_levels(tmp_path / "fine.tiff")
