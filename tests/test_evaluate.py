"""Measurements of folders: listing and pairing on their own, and whole reports with the embedded backbone."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.config import ASSETS_DIR
from core.engines.fewshot_gan.backbone import Backbone
from core.engines.fewshot_gan.engine import FewShotGan
from core.engines.fewshot_gan.measure import probes
from core.engines.fewshot_gan.measure.probes import APPEARANCES
from core.engines.fewshot_gan.measure.reconstruction import evaluate_reconstruction
from core.errors import PhotoUnreadable, PicturesUnusable
from core.evaluate.card import add_scores
from core.evaluate.panel import make_panel, train_and_draw
from core.evaluate.style_report import style_report
from core.evaluate.table2 import evaluate_table2, pair_pictures
from core.imaging.align import AlignedFace
from core.imaging.listing import find_index, list_photos, pictures_in, spread
from core.metrics.crops import eyes_in_crop
from core.metrics.own_networks import OwnNetworks
from core.procedural.augmentations import HELD_OUT
from core.reports import Failed, as_json
from tests.compare_kit import finding_studio, make_folders

needs_mini = pytest.mark.skipif(
    not list((ASSETS_DIR / "mini").glob("*.safetensors")), reason="the embedded backbone is not there"
)


def save_noise(path: Path, seed: int = 0, side_px: int = 64) -> Path:
    """A picture file of seeded noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    levels = np.random.default_rng(seed).integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)
    Image.fromarray(levels).save(path)
    return path


def write_index(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["file", "source", "split", "colour"])
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_listing_takes_pictures_only(tmp_path: Path) -> None:
    save_noise(tmp_path / "b.PNG")
    save_noise(tmp_path / "a.jpg")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in pictures_in(tmp_path)] == ["a.jpg", "b.PNG"]


@pytest.mark.parametrize("case", ["empty", "absent", "twice"])
def test_unusable_folders_are_named(tmp_path: Path, case: str) -> None:
    folder = tmp_path / "portraits"
    if case != "absent":
        folder.mkdir()
    if case == "twice":
        save_noise(folder / "one.jpg")
        save_noise(folder / "one.png")
    with pytest.raises(PicturesUnusable, match="one.png" if case == "twice" else "portraits"):
        pictures_in(folder)


def test_index_gives_source_colour_and_split(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    for name in ("a.png", "b.png", "c.png"):
        save_noise(folder / name)
    rows = [
        {"file": "a.png", "source": "studio", "split": "val", "colour": "1"},
        {"file": "b.png", "source": "archive", "split": "train", "colour": "0"},
    ]
    index = write_index(tmp_path / "index.csv", rows)
    assert find_index(folder) == index
    listed = list_photos(folder)
    assert [(item.path.name, item.source, item.colour) for item in listed] == [
        ("a.png", "studio", True),
        ("b.png", "archive", False),
        ("c.png", None, None),
    ]
    assert [item.path.name for item in list_photos(folder, split="val")] == ["a.png"]
    with pytest.raises(PicturesUnusable, match="split 'test'"):
        list_photos(folder, split="test")


def test_index_errors_are_named(tmp_path: Path) -> None:
    save_noise(tmp_path / "images" / "a.png")
    with pytest.raises(PicturesUnusable, match="no index"):
        list_photos(tmp_path / "images", split="val")
    other = tmp_path / "other.csv"
    other.write_text("file,split\na.png,val\n")
    with pytest.raises(PicturesUnusable, match=r"other\.csv.*colour, source"):
        list_photos(tmp_path / "images", index=other)
    with pytest.raises(PicturesUnusable, match="gone"):
        list_photos(tmp_path / "images", index=tmp_path / "gone.csv")


def test_spread_is_even() -> None:
    assert spread(list(range(10)), 4) == [0, 2, 5, 7]
    assert spread([1, 2], 5) == [1, 2]


def test_pairs_by_name_then_by_suffix(tmp_path: Path) -> None:
    for name in ("1.jpeg", "10.jpeg", "2.jpeg"):
        save_noise(tmp_path / "in" / name)
    for name in ("1-fe.png", "10-fe.png", "2.png"):
        save_noise(tmp_path / "out" / name)
    pairs = {before.name: after.name for before, after in pair_pictures(tmp_path / "in", tmp_path / "out")}
    assert pairs == {"1.jpeg": "1-fe.png", "10.jpeg": "10-fe.png", "2.jpeg": "2.png"}


@pytest.mark.parametrize(
    ("results", "message"),
    [
        (["1.png"], "'2.png' has no result"),
        (["1.png", "2.png", "3.png"], "'3.png' has no input"),
        (["1.png", "2-a.png", "2-b.png"], "'2.png' has 2 results"),
    ],
)
def test_mismatched_sets_are_named(tmp_path: Path, results: list[str], message: str) -> None:
    for name in ("1.png", "2.png"):
        save_noise(tmp_path / "in" / name)
    for name in results:
        save_noise(tmp_path / "out" / name)
    with pytest.raises(PicturesUnusable, match=message):
        evaluate_table2(tmp_path / "in", tmp_path / "out")


def test_other_sizes_and_damage_are_named(tmp_path: Path) -> None:
    save_noise(tmp_path / "in" / "1.png", side_px=64)
    save_noise(tmp_path / "out" / "1.png", side_px=65)
    with pytest.raises(PicturesUnusable, match=r"1\.png.*64 x 64 and 65 x 65"):
        evaluate_table2(tmp_path / "in", tmp_path / "out")
    whole = save_noise(tmp_path / "out" / "1.png", side_px=64)
    whole.write_bytes(whole.read_bytes()[:300])
    with pytest.raises(PhotoUnreadable, match=r"1\.png"):
        evaluate_table2(tmp_path / "in", tmp_path / "out")


def test_broken_chunks_and_bombs_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_noise(tmp_path / "in" / "1.png", side_px=256)
    broken = save_noise(tmp_path / "out" / "1.png", side_px=256)
    start, found, rest = broken.read_bytes().rpartition(b"IDAT")
    broken.write_bytes(start + b"\x00DAT" + rest)
    assert found and start.count(b"IDAT"), "the first part of the pixels is whole"
    with pytest.raises(PhotoUnreadable, match=r"1\.png"):
        evaluate_table2(tmp_path / "in", tmp_path / "out")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(PhotoUnreadable, match=r"1\.png"):
        evaluate_table2(tmp_path / "in", tmp_path / "out")


def test_table2_of_the_paper(shared_dir: Path) -> None:
    folder = shared_dir / "paper" / "table2" / "cas"
    report = evaluate_table2(folder / "input", folder / "our")
    assert (report.n, report.ssim) == (14, 0.411)
    assert sum(pair.ssim for pair in report.pairs) / 14 == pytest.approx(0.41104, abs=1e-4)
    assert evaluate_table2(folder / "input", folder / "jojogan").ssim == 0.404


def crops(shared_dir: Path, folder: Path, count: int = 3) -> Path:
    """A few colour crops with an index beside them."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for number in range(count):
        name = f"london_{number:04d}"
        with Image.open(shared_dir / "faces" / "images" / f"{name}.webp") as image:
            image.convert("RGB").save(folder / "images" / f"{name}.png")
        rows.append({"file": f"{name}.png", "source": "london", "split": "val", "colour": "1"})
    write_index(folder / "index.csv", rows)
    return folder / "images"


SUMMARY = {
    "n", "ssim_mean", "ssim_p05", "colour_error_mean", "sharpness_ratio_mean", "identity_mean", "identity_p05",
    "seconds_median",
}  # fmt: skip
RECONSTRUCTION = {"task", "backbone", "protocols", "taken_as_aligned", "failed", "pictures"} | SUMMARY


@needs_mini
def test_reconstruction_report(
    mini: FewShotGan, shared_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_out = dict(list(HELD_OUT.items())[:2])
    monkeypatch.setattr(probes, "HELD_OUT", held_out)
    photos = crops(shared_dir, tmp_path / "set", 2)
    save_noise(photos / "no_face.png", side_px=200)
    Image.new("RGB", (300, 200)).save(photos / "wide.png")

    def brightness(crop: Image.Image) -> np.ndarray:
        return np.asarray(crop.resize((8, 8)), dtype=np.float64).ravel()

    made = evaluate_reconstruction(mini, list_photos(photos), tmp_path / "out", identity=brightness, probes=2)
    report = as_json(made)
    assert set(report) == RECONSTRUCTION | {
        "by_source", "by_colour", "destylization", "appearance_swap", "random_looks",
    }  # fmt: skip
    assert (report["n"], report["protocols"][-1]) == (3, "cosine112") and report["taken_as_aligned"] >= 1
    assert [item["name"] for item in report["failed"]] == ["wide.png"]
    assert set(report["by_source"]["london"]) == SUMMARY
    assert report["by_source"]["london"]["n"] == report["by_colour"]["colour"]["n"] == 2
    assert 0.2 < report["by_source"]["london"]["ssim_mean"] < 1
    assert 0 < report["colour_error_mean"] < 100 and report["seconds_median"] > 0
    measures = [f"{what}_{name}" for what in ("styled", "returned") for name in ("ssim", "colour_error", "identity")]
    returned = report["destylization"]
    assert set(returned) == {"n", "styles", *(f"{name}_mean" for name in measures)} and returned["n"] == 2
    assert {style: tuple(row) for style, row in returned["styles"].items()} == dict.fromkeys(held_out, tuple(measures))
    means = [row["returned_ssim"] for row in returned["styles"].values()]
    assert returned["returned_ssim_mean"] == pytest.approx(np.mean(means))
    assert set(report["appearance_swap"]) == {
        "n", "ssim_to_structure_mean", "colour_gap_closed_mean", "identity_to_structure_mean",
        "identity_to_appearance_mean",
    }  # fmt: skip
    again = report["random_looks"]
    assert set(again) == {"n", "ssim_mean", "colour_error_mean", "identity_mean"}
    assert again["n"] == 2 * APPEARANCES == len(list((tmp_path / "out" / "looks").glob("*.png")))
    assert 0.2 < again["ssim_mean"] < 1 and again["colour_error_mean"] > report["colour_error_mean"]
    assert set(report["pictures"][0]) == {
        "name", "source", "colour", "crop", "ssim", "colour_error", "sharpness_ratio", "identity", "seconds",
    }  # fmt: skip
    for folder in (tmp_path / "out", tmp_path / "out" / "aligned"):
        files = sorted(folder.glob("*.png"))
        assert [file.stem for file in files] == ["london_0000", "london_0001", "no_face"]
        for file in files:
            with Image.open(file) as image:
                assert (image.size, image.mode) == ((256, 256), "RGB")
    card = tmp_path / "card.json"
    card.write_text('{"model": "mini", "scores": {"n": 1}}')
    add_scores(card, made)
    kept = json.loads(card.read_text())
    assert kept["model"] == "mini" and kept["scores"]["ssim_mean"] == round(made.ssim_mean, 3)
    assert kept["scores"]["by_source"]["london"]["n"] == 2 and "grey" not in kept["scores"]["by_colour"]
    assert kept["scores"]["random_looks"] == {"identity_mean": round(again["identity_mean"], 3)}
    card.write_text("[]")
    with pytest.raises(PicturesUnusable, match=r"card\.json"):
        add_scores(card, made)


@needs_mini
def test_a_reconstruction_without_probes_index_and_recogniser(
    mini: FewShotGan, shared_dir: Path, tmp_path: Path
) -> None:
    photos = crops(shared_dir, tmp_path / "set", 1)
    (tmp_path / "set" / "index.csv").unlink()
    report = evaluate_reconstruction(mini, list_photos(photos), tmp_path / "out", probes=0)
    assert set(as_json(report)) == RECONSTRUCTION and "cosine112" not in report.protocols


@needs_mini
def test_reconstruction_without_faces_says_so(mini: FewShotGan, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    Image.new("RGB", (300, 200)).save(tmp_path / "set" / "wide.png")
    with pytest.raises(PicturesUnusable, match="no usable face"):
        evaluate_reconstruction(mini, list_photos(tmp_path / "set"), tmp_path / "out")


def test_the_style_report(tiny: Backbone, tmp_path: Path) -> None:
    studio, folders = finding_studio(), make_folders(tiny, tmp_path)
    references = sorted((folders / "references").iterdir())
    panel = make_panel(studio, list_photos(folders / "photos"), references, crop="aligned", reference_crop="aligned")
    config = studio.config("sketch", steps=1, seed=3, method="jojogan")
    run = train_and_draw(studio, panel.photos, panel.references, config, name="r1")
    own = OwnNetworks(identity=None, features=lambda x: [x])
    made = style_report(panel, run, tmp_path / "out", backbone="mini", own=own)
    report = as_json(made)
    assert set(report) == {
        "task", "backbone", "protocols", "note", "references", "config", "training_seconds", "n",
        "style_gap_closed_mean", "identity_mean", "identity_p05", "ssim_mean", "seconds_median", "failed", "pictures",
    }  # fmt: skip
    assert (report["n"], report["references"], report["config"]["steps"]) == (3, 2, 1)
    assert report["identity_mean"] is None and report["style_gap_closed_mean"] is not None
    assert -1 < report["ssim_mean"] < 1 and "training loss" in report["note"]
    assert set(report["pictures"][0]) == {"name", "crop", "style_gap_closed", "identity", "ssim", "seconds"}
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == ["a.png", "b.png", "c.png"]
    plain = as_json(style_report(panel, run, tmp_path / "out", backbone="mini"))
    assert plain["protocols"] == ["ssim_gray_gauss11 at 256 px"] and "note" not in plain


def test_eyes_follow_the_quad() -> None:
    """A square that is turned by a quarter and scaled: the landmarks' eyes come out where the crop shows them."""
    landmarks = np.full((68, 2), 100.0)
    landmarks[36:42], landmarks[42:48] = (147.0, 40.0), (147.0, 60.0)
    quad = np.array([[200.0, 0.0], [100.0, 0.0], [100.0, 100.0], [200.0, 100.0]])  # TL, BL, BR, TR
    face = AlignedFace(image=Image.new("RGB", (256, 256)), quad=quad, landmarks=landmarks, name="turned")
    (left_x, left_y), (right_x, right_y) = eyes_in_crop(face)
    assert (left_x, left_y) == pytest.approx((0.40 * 256, 0.53 * 256))
    assert (right_x, right_y) == pytest.approx((0.60 * 256, 0.53 * 256))


def test_reports_become_json() -> None:
    report = {"a": (1, 2.5), "b": np.float32(0.5), "c": float("nan"), "d": Path("x/y.png"), 3: {"e": None, "f": True}}
    assert as_json(report) == {"a": [1, 2.5], "b": 0.5, "c": None, "d": "x/y.png", "3": {"e": None, "f": True}}
    assert as_json(Failed("a.png", "why")) == {"name": "a.png", "message": "why"}
