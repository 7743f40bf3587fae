"""Measuring beside an artist's answers, measuring finished pictures, and what happens with pictures that don't fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from core.cli.main import app
from core.engines.fewshot_gan.backbone import Backbone
from core.errors import PicturesUnusable, StyleIdentityError
from core.evaluate import pairs as measuring
from core.evaluate.arms import TrainingPlan, make_panel
from core.evaluate.metric_networks import Judges, choose_judges
from core.evaluate.results import evaluate_results
from core.evaluate.train_arms import ARM_SPECS
from core.imaging.listing import check_levels, list_photos
from core.studio import Studio
from tests.compare_kit import finding_studio, make_folders, make_pairs, save_nan
from tests.test_evaluate import save_noise

PLAN = TrainingPlan(steps=1)
runner = CliRunner()


@pytest.fixture(scope="module")
def studio(tiny: Backbone) -> Studio:
    return finding_studio(tiny)


@pytest.fixture(scope="module")
def judges(studio: Studio) -> Judges:
    return choose_judges(studio, "shipped")


@pytest.fixture(scope="module")
def folders(tiny: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folders(tiny, tmp_path_factory.mktemp("results"))


def test_pairs_against_the_artist(studio: Studio, judges: Judges, tiny: Backbone, tmp_path: Path) -> None:
    pairs = measuring.load_pairs(studio, make_pairs(tiny, tmp_path / "pairs", 2), judges, crop="aligned")
    trained: list[str] = []
    report = measuring.evaluate_pairs(
        studio, pairs, measuring.make_folds(2, 2, seed=0), PLAN, judges, tmp_path, arms=ARM_SPECS[3:],
        on_progress=lambda what, done, of: trained.append(what),
    )  # fmt: skip
    assert sorted(name for fold in report["held_out"] for name in fold) == ["0", "1"]
    assert trained.count("ours-few, fold 2 of 2") == 1
    assert set(report["arms"]) == {"photo", "ours-few"} and report["n"] == 2
    photo = report["arms"]["photo"]
    assert photo["measures"]["identity"]["mean"] == pytest.approx(1) and photo["measures"]["ssim"]["mean"] < 0.95
    assert sorted(path.name for path in (tmp_path / "ours-few").iterdir()) == ["0.png", "1.png"]
    answer = pairs[1].answer
    assert measuring._score(pairs[1], answer.image, judges, studio).style == pytest.approx(0, abs=1e-6)


def test_a_drawing_is_cut_like_its_photo(studio: Studio, judges: Judges, tmp_path: Path) -> None:
    """Photos with much around the face: the drawing, here a copy, comes out in the photo's own crop."""
    rng = np.random.default_rng(3)
    for name in ("x", "y"):
        picture = Image.fromarray(rng.integers(0, 200, (90, 120, 3), dtype=np.uint8)).resize((480, 360))
        for kind in ("photo", "art"):
            picture.save(tmp_path / f"{name}_{kind}.png")
    for pair in measuring.load_pairs(studio, tmp_path, judges):
        difference = np.abs(np.asarray(pair.photo.image, dtype=int) - np.asarray(pair.answer.image))
        assert pair.photo.image.size == (256, 256) and difference.max() <= 1


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
def test_wrong_pairs_are_named(studio: Studio, judges: Judges, tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        save_noise(tmp_path / name)
    with pytest.raises(PicturesUnusable, match=message):
        measuring.load_pairs(studio, tmp_path, judges, crop="aligned")


def test_pairs_of_two_sizes_are_named(studio: Studio, judges: Judges, tmp_path: Path) -> None:
    for name, side_px in (("1_photo", 64), ("1_art", 70), ("2_photo", 64), ("2_art", 64)):
        save_noise(tmp_path / f"{name}.png", side_px=side_px)
    with pytest.raises(PicturesUnusable, match=r"'1_art\.png' and '1_photo\.png' differ in size \(64 x 64 and 70 x 70"):
        measuring.load_pairs(studio, tmp_path, judges, crop="aligned")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ([], 1, "'many' can't be split so"),
        (["--held-out", "1"], 1, "'many' holds 16 pairs, which leave 15 drawings to train on; 14 is the most"),
        (["--folds", "4", "--held-out", "2"], 2, "give one of them"),
    ],
)
def test_a_split_is_judged_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], code: int, message: str
) -> None:
    monkeypatch.setattr(Studio, "open", classmethod(lambda cls, *_, **__: pytest.fail("nothing to open it for")))
    for number in range(16 if options else 2):
        for kind in ("photo", "art"):
            save_noise(tmp_path / "many" / f"{number}_{kind}.png", side_px=32)
    result = runner.invoke(
        app, ["evaluate", "pairs", "--pairs", f"{tmp_path}/many", "--save", f"{tmp_path}/out", *options]
    )
    assert result.exit_code == code
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_finished_results(studio: Studio, judges: Judges, folders: Path, tmp_path: Path) -> None:
    photos, references = folders / "photos", folders / "references"
    report = evaluate_results(studio, photos, photos, references, judges)
    means = {name: value["mean"] for name, value in report["measures"].items()}
    assert (means["ssim"], means["content"], means["landmarks"]) == pytest.approx((1, 0, 0)) and report["n"] == 3
    assert evaluate_results(studio, references, references, references, judges)["frechet"] == pytest.approx(0, abs=1e-6)
    cropped = evaluate_results(studio, photos, photos, references, judges, crop="detect")
    assert cropped["crop"] == "detect" and cropped["measures"]["ssim"]["mean"] < 0.9, "not in one frame any more"


@pytest.mark.parametrize("case", ["sizes", "square", "one result", "one artwork", "nan", "damaged"])
def test_unusable_results_are_named(studio: Studio, judges: Judges, tmp_path: Path, case: str) -> None:
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
        evaluate_results(studio, tmp_path / "in", tmp_path / "out", tmp_path / "art", judges)


def test_pictures_with_holes_are_refused_everywhere(
    studio: Studio, judges: Judges, folders: Path, tmp_path: Path
) -> None:
    hole = save_nan(tmp_path / "hole.tiff")
    with pytest.raises(PicturesUnusable, match=r"hole\.tiff.*NaN"):
        check_levels(hole)
    photos = list_photos(folders / "photos")
    references = sorted((folders / "references").iterdir())
    with pytest.raises(PicturesUnusable, match=r"hole\.tiff.*NaN"):
        make_panel(studio, photos, [*references, hole], judges, crop="aligned")
    made = make_panel(studio, [*photos, *list_photos(tmp_path)], references, judges, crop="aligned")
    assert [item["name"] for item in made.failed] == ["hole.tiff"] and "NaN" in made.failed[0]["message"]
    for folder in ("in", "out"):
        save_nan(tmp_path / folder / "1.tiff")
    result = runner.invoke(app, ["evaluate", "table2", "--inputs", f"{tmp_path}/in", "--results", f"{tmp_path}/out"])
    assert result.exit_code == 1 and "1.tiff" in result.stderr and "NaN" in result.stderr
    finite = Image.fromarray(np.ones((64, 64), np.float32))
    finite.save(tmp_path / "fine.tiff")
    check_levels(tmp_path / "fine.tiff")


@pytest.fixture
def tiny_cli(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line with the made-up backbone."""
    monkeypatch.setattr(Studio, "open", classmethod(lambda cls, *_, **__: studio))


def test_pairs_and_results_commands(tiny_cli: None, tiny: Backbone, folders: Path, tmp_path: Path) -> None:
    folder = make_pairs(tiny, tmp_path / "pairs", 2)
    arguments = [
        "evaluate", "pairs", "--pairs", str(folder), "--save", f"{tmp_path}/out", "--held-out", "1", "--steps", "1",
        "--crop", "aligned", "--judges", "shipped", "--arm", "ours-one",
    ]  # fmt: skip
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    assert "ours-one" in result.stdout and "jojogan-few" not in result.stdout
    assert (tmp_path / "out" / "contact_sheet.png").is_file()
    wrong = runner.invoke(app, [*arguments[:6], "--held-out", "2", "--crop", "aligned", "--judges", "shipped"])
    assert wrong.exit_code == 1 and "'pairs' can't be split so" in wrong.stderr
    shown = runner.invoke(
        app,
        ["evaluate", "results", "--inputs", f"{folders}/photos", "--results", f"{folders}/photos", "--references",
         f"{folders}/references", "--judges", "shipped"],
    )  # fmt: skip
    assert shown.exit_code == 0 and "ssim ↑" in shown.stdout and "1.000 [1.000, 1.000]" in shown.stdout
