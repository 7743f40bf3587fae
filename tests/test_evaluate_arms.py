"""The comparison of arms on a small made-up backbone: training, scores, reports, pictures, ablations, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from core.cli.main import app
from core.engines.fewshot_gan.backbone import Backbone
from core.errors import NoReferences, PicturesUnusable, TooManyReferences, TrainingStopped
from core.evaluate import arms, style
from core.evaluate.ablations import Ablation, Value, check_counts, parse_ablation, run_ablation
from core.evaluate.arms import ArmRun, Panel, TrainingPlan, make_panel, run_arm, run_arms
from core.evaluate.arms_report import CLAIMS, arms_report, as_table, claims, verdict
from core.evaluate.contact import Sheet, Tile, draw_contact
from core.evaluate.cost import measure_cost
from core.evaluate.intervals import Interval, bootstrap_mean, paired_difference
from core.evaluate.measure import MEASURES
from core.evaluate.metric_networks import Judges, choose_judges
from core.evaluate.train_arms import ARM_SPECS, arm_config, train_arm
from core.imaging.listing import list_photos
from core.studio import Studio
from tests.compare_kit import finding_studio, make_folders
from tests.tiny_backbone import as_face, drawings

PLAN = TrainingPlan(steps=2)
runner = CliRunner()


@pytest.fixture(scope="module")
def studio(tiny: Backbone) -> Studio:
    return finding_studio(tiny)


@pytest.fixture(scope="module")
def judges(studio: Studio) -> Judges:
    return choose_judges(studio, "shipped")


@pytest.fixture(scope="module")
def folders(tiny: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folders(tiny, tmp_path_factory.mktemp("arms"))


@pytest.fixture(scope="module")
def panel(studio: Studio, judges: Judges, folders: Path) -> Panel:
    references = sorted((folders / "references").iterdir())
    return make_panel(studio, list_photos(folders / "photos"), references, judges, crop="aligned")


@pytest.fixture(scope="module")
def runs(studio: Studio, judges: Judges, panel: Panel, folders: Path) -> list[ArmRun]:
    return run_arms(studio, panel, PLAN, judges, folders / "out")


def test_arms_are_the_studys() -> None:
    packs = pytest.importorskip("core.study.protocol.packs")
    assert tuple(spec.name for spec in ARM_SPECS) == packs.ARMS
    assert [(spec.method, spec.few) for spec in ARM_SPECS] == [
        ("jojogan", False), ("jojogan", True), ("ours", False), ("ours", True),
    ]  # fmt: skip


def test_training_an_arm(studio: Studio, tiny: Backbone) -> None:
    references = [as_face(picture, f"{number}.png") for number, picture in enumerate(drawings(tiny, 2))]
    one, few = ARM_SPECS[2], ARM_SPECS[3]
    heard: list[int] = []
    style = train_arm(studio, few, references, preset="sketch", seed=3, steps=2, on_step=lambda s: heard.append(s.step))
    assert heard == [1, 2] and style.name == "ours-few"
    assert len(style.meta.reference_hashes) == 2 and style.meta.config["seed"] == 3
    single = train_arm(studio, one, references, preset="sketch", seed=3, steps=2)
    assert single.meta.reference_hashes == style.meta.reference_hashes[:1]
    again = train_arm(studio, few, references, preset="sketch", seed=3, steps=2)
    assert all(torch.equal(again.weights[name], weight) for name, weight in style.weights.items())
    other = train_arm(studio, few, references, preset="sketch", seed=3, steps=2, overrides={"identity_weight": 5.0})
    assert any(not torch.equal(other.weights[name], weight) for name, weight in style.weights.items())
    with pytest.raises(NoReferences):
        train_arm(studio, one, [], preset="sketch", seed=0, steps=1)
    with pytest.raises(TrainingStopped):
        train_arm(studio, few, references, preset="sketch", seed=0, steps=2, stop=lambda: True)


def test_presets_set_the_steps(studio: Studio) -> None:
    assert [arm_config(studio, ARM_SPECS[0], preset=p, seed=1).steps for p in ("sketch", "cartoon")] == [150, 500]


def test_bootstrap() -> None:
    values = np.random.default_rng(1).normal(5, 2, 400).tolist()
    found = bootstrap_mean([*values, None])
    assert found.n == 400 and found.mean == pytest.approx(np.mean(values))
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.std(values) / 20, rel=0.1)
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
    assert verdict(Interval(0.2, low, high, 9), higher_is_better=higher) == expected
    assert verdict(Interval(0.2, low, high, 6), higher_is_better=higher) == expected
    assert verdict(Interval(0.2, low, high, 5), higher_is_better=higher) == "not told apart"


def test_claims_are_judged_the_right_way_round() -> None:
    even, up = Interval(0.0, -0.1, 0.1, 9), Interval(0.2, 0.1, 0.3, 9)
    found = {
        "ours-one - jojogan-one": {"identity": up, "style": Interval(-0.2, -0.3, -0.1, 9)},
        "ours-few - jojogan-few": {"identity": even, "style": up, "patches": even},
    }
    assert [(entry["claim"], entry["found"]) for entry in claims(found)] == [
        ("one-shot, ours keeps more identity than JoJoGAN", "better"),
        ("few-shot, ours keeps more identity than JoJoGAN", "not told apart"),
        ("one-shot, ours is as near to the style as JoJoGAN, or nearer", "better"),
        ("few-shot, ours is as near to the style as JoJoGAN, or nearer", "worse"),
        ("few-shot, ours is as near to the patches as JoJoGAN, or nearer", "not told apart"),
    ]


def test_judges_say_what_they_are(judges: Judges, panel: Panel) -> None:
    assert judges.protocols == {
        "identity": "mini_structure_cosine",
        "content": "unit_features_mini_discriminator",
        "style": "gram_relative of mini's discriminator",
        "frechet": "frechet_mini_discriminator",
    }
    assert any("training loss" in note for note in judges.notes)
    (first, _), (second, _) = panel.photos[:2]
    assert judges.identity(first.image, first.image, first.eyes) == pytest.approx(1)
    assert judges.identity(first.image, second.image, first.eyes) < 0.99
    assert judges.content(first.x, first.x) == 0 < judges.content(first.x, second.x)


def test_cost_knows_time_and_memory() -> None:
    result, cost = measure_cost(lambda: np.ones(60_000_000).sum(), torch.device("cpu"))
    assert result == 60_000_000 and cost.seconds > 0 and cost.device_peak_bytes is None
    if cost.peak_of_run:
        _, small = measure_cost(lambda: None, torch.device("cpu"))
        assert cost.peak_bytes - small.peak_bytes > 300_000_000  # 480 MB were in use for a moment


def test_runs_draw_and_score(runs: list[ArmRun], panel: Panel, folders: Path) -> None:
    assert [run.spec.name for run in runs] == [spec.name for spec in ARM_SPECS]
    assert [run.references for run in runs] == [1, 2, 1, 2]
    for run in runs:
        names = sorted(path.name for path in (folders / "out" / run.spec.name).iterdir())
        assert names == ["a.png", "b.png", "c.png"] and len(run.rows) == 3
        assert (folders / "out" / "styles" / f"{run.spec.name}.safetensors").is_file()
        with Image.open(folders / "out" / run.spec.name / "a.png") as saved:
            assert np.array_equal(np.asarray(saved), np.asarray(run.drawings[0]))
    assert runs[1].drawings[0].tobytes() != runs[3].drawings[0].tobytes()
    assert all(row.landmarks == 0 for row in runs[0].rows)  # this finder sees the same everywhere


def test_report(studio: Studio, runs: list[ArmRun], panel: Panel, judges: Judges) -> None:
    report = arms_report(studio, panel, PLAN, runs, judges)
    assert report["n"] == 3 and report["references"] == ["r1.png", "r2.png"]
    photo, few = report["photo_as_it_is"], report["arms"]["ours-few"]
    assert photo["measures"]["identity"]["mean"] == pytest.approx(1)
    assert photo["measures"]["content"]["mean"] == 0 and photo["measures"]["ssim"]["mean"] == pytest.approx(1)
    assert few["config"]["steps"] == 2 and few["train_seconds"] > 0 and few["frechet"] > 0
    content = few["measures"]["content"]["mean"]
    assert few["artfid"] == pytest.approx((1 + content) * (1 + few["frechet"]))
    difference = report["differences"]["ours-few - jojogan-few"]["style"]["mean"]
    arms = report["arms"]
    expected = few["measures"]["style"]["mean"] - arms["jojogan-few"]["measures"]["style"]["mean"]
    assert difference == pytest.approx(expected)
    assert [entry["claim"] for entry in report["claims"]] == [sentence for _, _, sentence in CLAIMS]
    assert {entry["found"] for entry in report["claims"]} == {"not told apart"}, "three photos are too few"
    assert "expanded percentile" in report["protocols"]["interval"]
    assert len(report["pictures"]["ours-one"]) == 3
    table = as_table(report)
    assert all(f"{measure.name} {measure.arrow}" in table for measure in MEASURES)
    assert "frechet_mini_discriminator" in table and "no face found" in table


def test_faces_that_are_not_found_are_counted(studio: Studio, panel: Panel, judges: Judges) -> None:
    from core.evaluate.measure import score, summarise

    photo = panel.photos[0][0]
    white = Image.new("RGB", (256, 256), "white")
    rows = [score(drawing, photo, panel.style, judges, studio.backbone.finder) for drawing in (white, photo.image)]
    assert rows[0].landmarks is None and rows[1].landmarks == 0
    report = summarise(rows, [white, photo.image], panel.style, judges)
    assert report["no_face_found"] == 1 and report["measures"]["landmarks"]["n"] == 1
    alone = summarise(rows[:1], [white], panel.style, judges)
    assert alone["frechet"] is None and alone["artfid"] is None


@pytest.mark.parametrize("kind", ["reference", "photo", "many", "unusable"])
def test_panels_refuse(studio: Studio, judges: Judges, folders: Path, tmp_path: Path, kind: str) -> None:
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
        make_panel(studio, photos, references, judges, crop="aligned")


def test_unusable_photos_are_listed(studio: Studio, judges: Judges, folders: Path, tmp_path: Path) -> None:
    for path in (folders / "photos").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "z.png").write_bytes(b"no picture")
    made = make_panel(studio, list_photos(tmp_path), sorted((folders / "references").iterdir()), judges, crop="aligned")
    assert len(made.photos) == 3 and [item["name"] for item in made.failed] == ["z.png"]


def test_references_are_cut_as_asked(studio: Studio, judges: Judges, folders: Path) -> None:
    photos = list_photos(folders / "photos", limit=2)
    paths = [item.path for item in photos]
    found = make_panel(studio, photos, paths, judges, crop="aligned")
    taken = make_panel(studio, photos, paths, judges, crop="aligned", reference_crop="aligned")
    assert all(face.landmarks is not None for face in found.references)
    assert all(face.landmarks is None for face in taken.references)


@pytest.mark.parametrize(("given", "expected"), [([], "detect"), (["--reference-crop", "aligned"], "aligned")])
def test_the_command_hands_the_references_cut_on(
    tiny_cli: None, folders: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], expected: str
) -> None:
    seen: dict[str, object] = {}

    def stop(*_: object, **options: object) -> None:
        seen.update(options)
        raise PicturesUnusable("this", "is enough")

    monkeypatch.setattr(arms, "make_panel", stop)
    monkeypatch.setattr(style, "evaluate_style", stop)
    for command in ("arms", "style"):
        seen.clear()
        arguments = ["--photos", f"{folders}/photos", "--save", "out", "--crop", "aligned", *given]
        for name in ("r1", "r2"):
            arguments += ["--reference", f"{folders}/references/{name}.png"]
        result = runner.invoke(app, ["evaluate", command, *arguments])
        assert result.exit_code == 1, result.stderr
        assert (seen["crop"], seen["reference_crop"]) == ("aligned", expected)


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


def test_ablation_reuses_what_is_trained(studio: Studio, panel: Panel, judges: Judges, runs: list[ArmRun]) -> None:
    trained: list[str] = []

    def note(what: str, done: int, of: int) -> None:
        if what.startswith("train") and what not in trained:
            trained.append(what)

    by_name = {run.spec.name: run for run in runs}
    counts = run_ablation(studio, parse_ablation("references=1,2"), panel, PLAN, judges, runs, on_progress=note)
    assert [run for _, run in counts] == [by_name["ours-one"], by_name["ours-few"]] and not trained
    weights = run_ablation(studio, parse_ablation("lambda=1x,50x"), panel, PLAN, judges, runs, on_progress=note)
    assert trained == ["train lambda 50x"] and weights[0][1] is by_name["ours-few"]
    assert weights[1][1].config.identity_weight == pytest.approx(50 * 0.02)
    alphas = run_ablation(studio, parse_ablation("alpha=0.25"), panel, PLAN, judges, runs)
    assert alphas[0][1].config.alpha == 0.25


def test_same_seed_same_drawings(studio: Studio, panel: Panel, judges: Judges, runs: list[ArmRun]) -> None:
    again = run_arm(studio, ARM_SPECS[1], panel, PLAN, judges)
    assert again.rows == runs[1].rows
    assert run_arm(studio, ARM_SPECS[1], panel, replace(PLAN, seed=7), judges).rows != runs[1].rows


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


@pytest.fixture
def tiny_cli(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line with the made-up backbone."""
    monkeypatch.setattr(Studio, "open", classmethod(lambda cls, *_, **__: studio))


def test_arms_command(tiny_cli: None, folders: Path, tmp_path: Path) -> None:
    arguments = [
        "evaluate", "arms", "--photos", f"{folders}/photos", "--references", f"{folders}/references", "--limit", "2",
        "--crop", "aligned", "--steps", "1", "--judges", "shipped", "--save", f"{tmp_path}/out", "--json",
        "--ablate", "lambda=0.5x,1x",
    ]  # fmt: skip
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["n"] == 2 and set(report["arms"]) == {spec.name for spec in ARM_SPECS}
    assert json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8")) == report
    points = report["ablations"][0]["points"]
    assert [point["value"] for point in points] == ["0.5x", "1x"]
    assert [point["number"] for point in points] == pytest.approx([0.01, 0.02])
    for name in ("contact_sheet.png", "ablation_lambda.png"):
        with Image.open(tmp_path / "out" / name) as picture:
            assert picture.format == "PNG" and min(picture.size) > 400


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
def test_arms_command_refuses(
    tiny_cli: None, folders: Path, tmp_path: Path, given: list[str], code: int, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"REFS": f"{folders}/references", "EMPTY": f"{tmp_path}/empty", "GONE": f"{tmp_path}/gone"}
    options = [
        "--photos",
        f"{folders}/photos",
        "--save",
        f"{tmp_path}/out",
        *(places.get(word, word) for word in given),
    ]
    result = runner.invoke(app, ["evaluate", "arms", *options])
    assert result.exit_code == code
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert not (tmp_path / "out").exists()
