"""The comparison of arms on a small made-up backbone: training, scores, reports, pictures, ablations, refusals."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from core.cli.main import app
from core.config import ASSETS_DIR, PAPER_ARMS
from core.engines.fewshot_gan.backbone import Backbone
from core.engines.fewshot_gan.measure.ablations import Ablation, Value, parse_ablation
from core.errors import NoReferences, PicturesUnusable, TooManyReferences, TrainingStopped
from core.evaluate import arms
from core.evaluate.arms import check_counts, make_comparison
from core.evaluate.arms_report import CLAIMS, claims, verdict
from core.evaluate.contact import Sheet, Tile, draw_contact
from core.evaluate.cost import measure_cost
from core.evaluate.intervals import Interval, bootstrap_mean, paired_difference
from core.evaluate.scores import MEASURES, StyleTarget, score, subject_of, summarise
from core.evaluate.train_arms import arm_config, train_arm
from core.imaging.listing import list_photos
from core.imaging.photo import to_tensor
from core.studio import Studio
from core.study.protocol.packs import find_packs
from tests.compare_kit import shipped_networks
from tests.tiny_backbone import as_face, drawings

ARMS = tuple(arm.id for arm in PAPER_ARMS)
runner = CliRunner()


@dataclass(frozen=True)
class Made:
    """What one run of `evaluate arms` left."""

    out: Path
    text: str
    report: dict[str, Any]
    trained: list[str]


@pytest.fixture(scope="module")
def made(studio: Studio, folders: Path) -> Made:
    """The whole command, once: three photos, two references, three ablations."""
    out, trained = folders / "out", []
    train_and_draw = arms.train_and_draw

    def noting(*arguments: Any, name: str, label: str, **options: Any) -> Any:
        trained.append(label or name)
        return train_and_draw(*arguments, name=name, label=label, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Studio, "open", classmethod(lambda cls, *_, **__: studio))
        patch.setattr(arms, "train_and_draw", noting)
        arguments = ["--photos", f"{folders}/photos", "--references", f"{folders}/references", "--crop", "aligned"]
        arguments += ["--steps", "2", "--networks", "shipped", "--save", str(out)]
        for ablation in ("references=1,2", "lambda=1x,50x", "alpha=0.25"):
            arguments += ["--ablate", ablation]
        result = runner.invoke(app, ["evaluate", "arms", *arguments])
    assert result.exit_code == 0, result.stderr
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return Made(out, result.stdout, report, trained)


def test_arms_are_the_studys() -> None:
    shipped = find_packs((ASSETS_DIR / "study",)).values()
    assert {arm for pack in shipped for arm in pack.arms} == set(ARMS)
    assert [(arm.method, arm.few) for arm in PAPER_ARMS] == [
        ("jojogan", False), ("jojogan", True), ("paper", False), ("paper", True),
    ]  # fmt: skip


def test_training_an_arm(studio: Studio, tiny: Backbone) -> None:
    references = [as_face(picture, f"{number}.png") for number, picture in enumerate(drawings(tiny, 2))]
    one, few = PAPER_ARMS[2], PAPER_ARMS[3]
    heard: list[int] = []
    plan = {"preset": "sketch", "seed": 3, "steps": 2}
    style = train_arm(studio, few, references, **plan, on_step=lambda step: heard.append(step.step))
    assert heard == [1, 2] and style.name == "ours-few"
    assert len(style.meta.reference_hashes) == 2 and style.meta.config["seed"] == 3
    again = train_arm(studio, few, references, **plan)
    assert all(torch.equal(again.weights[name], weight) for name, weight in style.weights.items())
    single = train_arm(studio, one, references, **plan)
    assert single.meta.reference_hashes == style.meta.reference_hashes[:1]
    with pytest.raises(NoReferences):
        train_arm(studio, one, [], **plan)
    with pytest.raises(TrainingStopped):
        train_arm(studio, few, references, **plan, stop=lambda: True)


def test_presets_set_the_steps(studio: Studio) -> None:
    assert [arm_config(studio, PAPER_ARMS[0], preset=p, seed=1).steps for p in ("sketch", "cartoon")] == [150, 500]
    assert arm_config(studio, PAPER_ARMS[2], preset="sketch", seed=1, overrides={"alpha": 0.5}).alpha == 0.5


def test_bootstrap() -> None:
    values = np.random.default_rng(1).normal(5, 2, 100).tolist()
    found = bootstrap_mean([*values, None])
    assert found.n == 100 and found.mean == pytest.approx(np.mean(values))
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.std(values) / 10, rel=0.1)
    assert found == bootstrap_mean(values) != bootstrap_mean(values, seed=1)
    assert bootstrap_mean([3.0, 3.0, 3.0]) == Interval(3.0, 3.0, 3.0, 3)
    few = bootstrap_mean([1.0, 2.0, 4.0])
    assert few.low == 1 and few.high == 4, "as far out as three photos reach"
    assert bootstrap_mean([7.0]) == Interval(7.0, None, None, 1)
    assert bootstrap_mean([None]) == Interval(None, None, None, 0)


def test_differences_are_paired() -> None:
    photos = np.random.default_rng(2).normal(0, 10, 50)
    found = paired_difference((photos + 1).tolist(), photos.tolist())
    assert (found.mean, found.low, found.high) == pytest.approx((1, 1, 1))
    assert paired_difference([1.0, None, 5.0], [0.5, 2.0, None]) == Interval(0.5, None, None, 1)
    with pytest.raises(ValueError, match="3 and 2"):
        paired_difference([1.0, 2.0, 3.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("low", "high", "higher", "expected"),
    [
        (0.1, 0.3, True, "better"),
        (0.1, 0.3, False, "worse"),
        (-0.3, -0.1, False, "better"),
        (-0.1, 0.3, True, "not told apart"),
        (None, None, True, "not told apart"),
    ],
)
def test_verdicts(low: float | None, high: float | None, higher: bool, expected: str) -> None:
    assert verdict(Interval(0.2, low, high, 6), higher_is_better=higher) == expected
    assert verdict(Interval(0.2, low, high, 5), higher_is_better=higher) == "not told apart"


def test_claims_are_judged_the_right_way_round() -> None:
    even, up = Interval(0.0, -0.1, 0.1, 9), Interval(0.2, 0.1, 0.3, 9)
    found = {
        "ours-one - jojogan-one": {"identity": up, "style": Interval(-0.2, -0.3, -0.1, 9)},
        "ours-few - jojogan-few": {"identity": even, "style": up, "patches": even},
    }
    assert [(entry.claim, entry.found) for entry in claims(found)] == [
        ("one-shot, ours keeps more identity than JoJoGAN", "better"),
        ("few-shot, ours keeps more identity than JoJoGAN", "not told apart"),
        ("one-shot, ours is as near to the style as JoJoGAN, or nearer", "better"),
        ("few-shot, ours is as near to the style as JoJoGAN, or nearer", "worse"),
        ("few-shot, ours is as near to the patches as JoJoGAN, or nearer", "not told apart"),
    ]


def test_networks_say_what_they_are(tiny: Backbone) -> None:
    networks = shipped_networks()
    assert networks.protocols == {
        "identity": "mini_structure_cosine",
        "content": "unit_features_mini_discriminator",
        "style": "gram_relative of mini's discriminator",
        "frechet": "frechet_mini_discriminator",
    }
    assert any("training loss" in note for note in networks.notes)
    first, second = (subject_of(as_face(picture), networks) for picture in drawings(tiny, 2))
    assert networks.identity(first.image, first.image, first.eyes) == pytest.approx(1)
    assert networks.identity(first.image, second.image, first.eyes) < 0.99
    assert networks.content(first.x, first.x) == 0 < networks.content(first.x, second.x)


def test_faces_that_are_not_found_are_counted(tiny: Backbone) -> None:
    photo = subject_of(as_face(drawings(tiny, 1)[0]), shipped_networks())
    white = Image.new("RGB", (256, 256), "white")
    style = StyleTarget([to_tensor(white), photo.x], shipped_networks())
    rows = [score(drawing, photo, style) for drawing in (white, photo.image)]
    assert rows[0].landmarks is None and rows[1].landmarks == 0
    found = summarise(rows, [white, photo.image], style)
    assert found.no_face_found == 1 and found.measures["landmarks"].n == 1 and found.frechet is not None
    alone = summarise(rows[:1], [white], style)
    assert alone.frechet is None and alone.artfid is None


def test_cost_knows_time_and_memory() -> None:
    result, cost = measure_cost(lambda: np.ones(30_000_000).sum(), torch.device("cpu"))
    assert result == 30_000_000 and cost.seconds > 0 and cost.device_peak_bytes is None
    if cost.peak_of_run:
        _, small = measure_cost(lambda: None, torch.device("cpu"))
        assert cost.peak_bytes - small.peak_bytes > 150_000_000  # 240 MB were in use for a moment


def test_the_command_draws_and_keeps_everything(made: Made) -> None:
    for arm in ARMS:
        assert sorted(path.name for path in (made.out / arm).iterdir()) == ["a.png", "b.png", "c.png"]
        assert (made.out / "styles" / f"{arm}.safetensors").is_file()
    assert (made.out / "jojogan-few" / "a.png").read_bytes() != (made.out / "ours-few" / "a.png").read_bytes()
    for name in ("contact_sheet.png", "ablation_references.png", "ablation_lambda.png", "ablation_alpha.png"):
        with Image.open(made.out / name) as picture:
            assert picture.format == "PNG" and min(picture.size) > 400


def test_the_report(made: Made) -> None:
    report = made.report
    assert set(report) == {
        "task", "backbone", "fingerprint", "preset", "seed", "n", "references", "protocols", "notes", "photo_as_it_is",
        "arms", "differences", "claims", "failed", "pictures", "sheet", "ablations",
    }  # fmt: skip
    assert (report["task"], report["preset"], report["n"], report["failed"]) == ("arms", "sketch", 3, [])
    assert report["references"] == ["r1.png", "r2.png"] and "expanded percentile" in report["protocols"]["interval"]
    photo, by_arm = report["photo_as_it_is"], report["arms"]
    assert set(photo) == {"measures", "no_face_found", "frechet", "artfid"}
    assert {
        name: row["mean"] for name, row in photo["measures"].items() if name in ("identity", "ssim", "content")
    } == (pytest.approx({"identity": 1, "ssim": 1, "content": 0}))
    few = by_arm["ours-few"]
    assert set(few) == set(photo) | {
        "title", "references", "config", "train_seconds", "peak_bytes", "peak_is_of_this_arm", "device_peak_bytes",
    }  # fmt: skip
    assert [by_arm[arm]["references"] for arm in ARMS] == [1, 2, 1, 2]
    assert few["config"]["steps"] == 2 and few["train_seconds"] > 0 and few["frechet"] > 0
    means = {arm: {name: row["mean"] for name, row in by_arm[arm]["measures"].items()} for arm in ARMS}
    assert few["artfid"] == pytest.approx((1 + means["ours-few"]["content"]) * (1 + few["frechet"]))
    difference = report["differences"]["ours-few - jojogan-few"]["style"]
    assert difference["mean"] == pytest.approx(means["ours-few"]["style"] - means["jojogan-few"]["style"])
    assert set(difference) == {"mean", "low", "high", "n"}
    assert [entry["claim"] for entry in report["claims"]] == [sentence for _, _, sentence in CLAIMS]
    assert {entry["found"] for entry in report["claims"]} == {"not told apart"}, "three photos are too few"
    assert set(report["claims"][0]) == {"claim", "found", "measure", "pair", "mean", "low", "high", "n"}
    rows = report["pictures"]["ours-one"]
    assert [row["name"] for row in rows] == ["a.png", "b.png", "c.png"]
    assert all(row["landmarks"] == 0 for row in rows), "this finder sees the same everywhere"


def test_the_table(made: Made) -> None:
    assert all(f"{measure.name} {measure.arrow}" in made.text for measure in MEASURES)
    for line in ("training, s", "no face found", "frechet: frechet_mini_discriminator", "Paired differences", "50x"):
        assert line in made.text
    assert "Written to" in made.text


def test_ablations_reuse_what_is_trained(made: Made) -> None:
    assert made.trained == [*ARMS, "lambda 50x", "alpha 0.25"]
    references, weights, alphas = made.report["ablations"]
    for point, arm in zip(references["points"], ("ours-one", "ours-few"), strict=True):
        assert point["measures"] == made.report["arms"][arm]["measures"]
    assert (weights["axis"], weights["curve"]) == ("lambda", "ablation_lambda.png")
    assert [point["value"] for point in weights["points"]] == ["1x", "50x"]
    assert [point["number"] for point in weights["points"]] == pytest.approx([0.02, 1.0])
    assert alphas["points"][0]["config"]["alpha"] == alphas["points"][0]["number"] == 0.25


@pytest.mark.parametrize("kind", ["reference", "photo", "many", "unusable"])
def test_comparisons_refuse(studio: Studio, folders: Path, tmp_path: Path, kind: str) -> None:
    photos, references = list_photos(folders / "photos"), sorted((folders / "references").iterdir())
    error, name = PicturesUnusable, {"reference": "r1.png", "photo": "a.png", "unusable": "wide"}.get(kind, "15")
    if kind == "reference":
        references = references[:1]
    elif kind == "photo":
        photos = photos[:1]
    elif kind == "many":
        references, error = references[:1] * 15, TooManyReferences
    else:
        (tmp_path / "wide").mkdir()
        (tmp_path / "wide" / "w.png").write_bytes(b"no picture")
        photos = list_photos(tmp_path / "wide")
    with pytest.raises(error, match=name):
        make_comparison(studio, photos, references, shipped_networks(), crop="aligned")


def test_pictures_are_cut_as_asked_and_unusable_photos_are_listed(
    studio: Studio, folders: Path, tmp_path: Path
) -> None:
    for path in (folders / "photos").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "z.png").write_bytes(b"no picture")
    photos, paths = list_photos(tmp_path), sorted((folders / "photos").iterdir())[:2]
    made = make_comparison(studio, photos, paths, shipped_networks(), crop="aligned")
    assert len(made.subjects) == 3 and [item.name for item in made.panel.failed] == ["z.png"]
    assert {photo.crop for photo in made.panel.photos} == {"aligned"}
    assert all(face.landmarks is not None for face in made.panel.references)
    taken = make_comparison(studio, photos, paths, shipped_networks(), reference_crop="aligned")
    assert {photo.crop for photo in taken.panel.photos} == {"detect"}
    assert all(face.landmarks is None for face in taken.panel.references)


def test_ablations_are_parsed() -> None:
    found = parse_ablation("lambda=0.5x, 1x,0.002")
    assert found.axis == "lambda"
    assert found.values == (Value("0.5x", 0.5, True), Value("1x", 1.0, True), Value("0.002", 0.002))
    assert parse_ablation("references=1,14") == Ablation("references", (Value("1", 1.0), Value("14", 14.0)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps=1,2", "takes lambda"),
        ("alpha", "takes lambda"),
        ("alpha=0.5,1.5", "0 to 1"),
        ("alpha=0.5x", "takes numbers"),
        ("references=1.5", "1 to 14"),
        ("references=15", "1 to 14"),
        ("lambda=-1", "0 or more"),
        ("lambda=nan", "0 or more"),
        ("lambda=inf", "0 or more"),
        ("alpha=0.5,0.50", "twice"),
        ("alpha=", "takes numbers"),
    ],
)
def test_wrong_ablations(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_ablation(text)


def test_more_references_than_there_are() -> None:
    wanted = [parse_ablation("alpha=0,1"), parse_ablation("references=1,9")]
    check_counts(wanted, 9, "oils")
    with pytest.raises(PicturesUnusable, match=r"'oils' has 8 references.*needs 9"):
        check_counts(wanted, 8, "oils")


def test_contact_sheet_shows_every_tile() -> None:
    colours = ["red", "lime", "blue"]
    tiles = [[Tile(Image.new("RGB", (30, 30), c), "identity 0.50") for c in colours] for _ in range(9)]
    references = [Image.new("RGB", (20, 20), "fuchsia")] * 14
    sheet = np.asarray(draw_contact(Sheet("Title", "below", references, ["Photo", "One", "Two"], tiles)))
    for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255)):
        assert (sheet == colour).all(axis=2).sum() == 8 * 176**2, "8 of 9 rows, spread"
    assert (sheet == (255, 0, 255)).all(axis=2).sum() == 14 * 88**2
    with pytest.raises(ValueError, match="needs 2 tiles"):
        draw_contact(Sheet("", "", [], ["a", "b"], tiles))


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        (["--references", "REFS", "--reference", "x.png"], 2, "either as --references"),
        ([], 2, "either as --references"),
        (["--references", "REFS", "--ablate", "steps=3"], 2, "--ablate takes"),
        (["--references", "REFS", "--ablate", "references=3"], 1, "'references' has 2 references"),
        (["--references", "REFS", "--limit", "1"], 2, "--limit"),
        (["--references", "EMPTY"], 1, "'empty' holds no pictures"),
        (["--references", "GONE"], 1, "'gone' is not a folder"),
        (["--references", "REFS", "--oracles", "EMPTY"], 1, "holds neither"),
    ],
)
def test_the_command_refuses(
    tiny_cli: None, folders: Path, tmp_path: Path, given: list[str], code: int, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"REFS": f"{folders}/references", "EMPTY": f"{tmp_path}/empty", "GONE": f"{tmp_path}/gone"}
    arguments = ["--photos", f"{folders}/photos", "--save", f"{tmp_path}/out"]
    arguments += [places.get(word, word) for word in given]
    result = runner.invoke(app, ["evaluate", "arms", *arguments])
    assert result.exit_code == code
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert not (tmp_path / "out").exists()
