"""The command line: usage errors, sentences, exit codes and files; with the embedded backbone where it is needed."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

import core.cli
from core.cli.main import app
from core.cli.options import TrainingOptions, grouped
from core.cli.tables import table
from core.cli.terminal import expected_failures, print_report, progress_bar
from core.config import ASSETS_DIR
from core.engines import registry
from core.engines.fewshot_gan.backbone import Backbone
from core.engines.registry import EngineEntry
from core.errors import NoFaceFound
from core.progress import Progress
from tests.fake_engine import SIDE_PX, FlatConfig

ROOT = Path(__file__).resolve().parent.parent
needs_mini = pytest.mark.skipif(
    not list((ASSETS_DIR / "mini").glob("*.safetensors")), reason="the embedded backbone is not there"
)
runner = CliRunner()
RED, BLUE = (200, 40, 60), (40, 60, 200)


def words(text: str) -> str:
    """Text without the frames and line breaks that the terminal adds."""
    return " ".join(text.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stylize", "a.jpg"], "give either --reference"),
        (["stylize", "a.jpg", "--style", "x", "--reference", "r.png"], "give either --reference"),
        (["stylize", "a.jpg", "--style", "x", "--steps", "9", "--alpha", "0.4"], "--steps, --alpha steer training"),
        (["stylize", "a.jpg", "--style", "x", "--preset", "cartoon"], "--preset steer training"),
        (["stylize", "a.jpg", "--style", "x", "--save-style", "f.safetensors"], "needs --reference"),
        (["stylize", "a.jpg", "--reference", "r.png", "--save-style", "f.pt"], "ends in .safetensors"),
        (["stylize", "a.jpg", "b.jpg", "--reference", "r.png", "--anchor", "photo"], "give one PHOTO"),
        (["stylize", "a.jpg", "--reference", "r.png", "--swap-layers", "7,x"], "--swap-layers takes whole numbers"),
        (["stylize", "a.jpg", "--reference", "r.png", "--steps", "0"], "--steps"),
        (["stylize", "a.jpg", "--reference", "r.png", "--method", "magic"], "aligned, paper, jojogan, got 'magic'"),
        (["stylize", "a.jpg", "--reference", "r.png", "--preset", "oil"], "one of sketch, cartoon, got 'oil'"),
        (["stylize", "a.jpg", "--style", "x", "--backbone", "maxi"], "no model 'maxi'; there is auto, mini, ffhq"),
        (["stylize", "a.jpg", "--style", "x", "--strength", "1.5"], "--strength"),
        (["stylize", "a.jpg", "--unknown"], "--unknown"),
        (["evaluate", "style", "--photos", ".", "--save", "x"], "--reference"),
        (
            ["evaluate", "style", "--photos", ".", "--save", "x", "--reference", "r.png", "--anchor", "photo"],
            "one style serves all photos",
        ),
    ],
)
def test_usage_errors(arguments: list[str], message: str) -> None:
    result = runner.invoke(app, arguments)
    assert result.exit_code == 2
    assert message in words(result.stderr)
    assert not result.stdout


def test_help_is_quick_and_complete() -> None:
    """No command's help needs torch; all commands are listed."""
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom core.cli.main import app\n"
        "for words in ([], ['stylize'], ['styles'], ['evaluate', 'style'], ['study'], ['benchmark']):\n"
        "    assert CliRunner().invoke(app, [*words, '--help']).exit_code == 0\n"
        "print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
    shown = runner.invoke(app, ["--help"]).stdout
    assert all(name in shown for name in ("stylize", "styles", "evaluate", "study", "benchmark", "weights"))
    shown = runner.invoke(app, ["stylize", "--help"]).stdout
    assert all(name in shown for name in ("--engine", "--blend", "--keep-colour", "--swap-layers", "fewshot_gan"))
    assert not any(name in shown for name in ("--paste-back", "--preview-every"))


def test_module_runs_as_a_program() -> None:
    run = subprocess.run([sys.executable, "-m", "core", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "python -m core" in run.stdout


def read_training(*arguments: str) -> TrainingOptions:
    """What a command that trains gets for these options."""
    seen: list[TrainingOptions] = []

    @grouped
    def command(training: TrainingOptions) -> None:
        seen.append(training)

    program = typer.Typer()
    program.command()(command)
    result = runner.invoke(program, arguments)
    assert result.exit_code == 0, result.stderr
    return seen[0]


def test_training_options_keep_only_what_was_typed() -> None:
    typed = read_training("--steps", "7", "--swap-layers", "9, 7,9", "--anchor", "photo", "--style-weight", "0")
    assert typed.preset is None
    assert typed.typed == {"steps": 7, "swap_layers": (7, 9), "anchor": "photo", "style_weight": 0.0}
    assert read_training("--preset", "cartoon").preset == "cartoon"
    assert read_training().typed == {}
    assert read_training("--method", "ours").typed == {"method": "paper"}, "its former name"


def test_training_options_are_those_of_all_engines(flat_engine: EngineEntry) -> None:
    """An option belongs to the engine that declares it; presets and ranges too."""
    training = read_training("--warmth", "9")
    assert training.check(flat_engine) == FlatConfig(steps=2, warmth=9)
    with pytest.raises(typer.BadParameter, match="the engine 'fewshot_gan' has no --warmth; it has --steps, --seed, "):
        training.check(registry.entry("fewshot_gan"))
    with pytest.raises(typer.BadParameter, match=r"the engine 'flat' has no --alpha; it has --steps, --seed, --warmth"):
        read_training("--alpha", "0.4").check(flat_engine)
    without = EngineEntry("still", "Still", flat_engine.load)
    with pytest.raises(typer.BadParameter, match="the engine 'still' does not train"):
        read_training().check(without)


def test_a_report_for_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    report = {"n": 3, "mean_ssim": 0.41149, "none": None, "by_arm": {"few": 0.5}, "rows": [{"a": "x", "b": 1.0}]}
    print_report({**report, "hidden": 1}, as_json=False, hide=("hidden",))
    assert capsys.readouterr().out.splitlines() == [
        *("n          3", "mean ssim  0.411", "by arm", "  few      0.500", "rows", "           x  1.000")
    ]


def test_a_table_is_as_wide_as_its_longest_cells() -> None:
    rows = [("[b]one[/b]", "1.5"), ("two", "10.25")]
    assert table(("name", "much"), rows, title="Things", right=[1]).splitlines() == [
        *("Things", "name         much", "[b]one[/b]    1.5", "two         10.25")
    ]


@dataclass(frozen=True)
class Case:
    """An exception, and what the user gets."""

    error: BaseException
    code: int
    sentence: str


@pytest.mark.parametrize(
    "case",
    [
        Case(NoFaceFound("cat.jpg"), 1, "couldn't find a face in 'cat.jpg'"),
        Case(PermissionError(13, "Permission denied", "out/a.png"), 1, "'out/a.png': Permission denied"),
        Case(KeyboardInterrupt(), 130, "Stopped."),
    ],
    ids=lambda case: type(case.error).__name__,
)
def test_failures_become_sentences(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as stop, expected_failures():
        raise case.error
    assert stop.value.exit_code == case.code
    out, err = capsys.readouterr()
    assert case.sentence in err
    assert not out


def test_bugs_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), expected_failures():
        raise ZeroDivisionError


def test_progress_goes_to_stderr_or_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in (True, False):
        with progress_bar(quiet=quiet) as report:
            report(Progress("training", 1, 2))
            report(Progress("training", 2, 2))
            report(Progress("weights.pt", 3_000_000, 0, "bytes"))
        out, err = capsys.readouterr()
        assert not out
        assert ("training" in err and "weights.pt, MB" in err) is not quiet


def test_table2_command(shared_dir: Path) -> None:
    folder = shared_dir / "paper" / "table2" / "cas"
    arguments = ["evaluate", "table2", "--inputs", str(folder / "input"), "--results", str(folder / "our")]
    shown = runner.invoke(app, arguments)
    assert shown.exit_code == 0
    assert "0.411" in shown.stdout
    report = json.loads(runner.invoke(app, [*arguments, "--json"]).stdout)
    assert report["ssim"] == 0.411
    assert len(report["pairs"]) == 14


def test_table2_command_names_what_is_wrong(tmp_path: Path) -> None:
    result = runner.invoke(app, ["evaluate", "table2", "--inputs", str(tmp_path), "--results", str(tmp_path)])
    assert result.exit_code == 1
    assert f"'{tmp_path.name}' holds no pictures" in result.stderr
    assert not result.stdout


def photo(shared_dir: Path, folder: Path, name: str = "face.png", number: int = 0) -> Path:
    """An aligned crop as a photo on disk."""
    folder.mkdir(parents=True, exist_ok=True)
    with Image.open(shared_dir / "faces" / "images" / f"london_{number:04d}.webp") as image:
        image.convert("RGB").save(folder / name)
    return folder / name


def plain_picture(path: Path, colour: tuple[int, int, int] = BLUE) -> str:
    """A picture of one colour on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (160, 120), colour).save(path)
    return str(path)


def middle(path: str | Path) -> Any:
    with Image.open(path) as image:
        return image.getpixel((image.width // 2, image.height // 2))


@pytest.fixture
def started(flat_engine: EngineEntry, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """The command line as a process builds it that finds a second engine in its registry."""
    monkeypatch.setattr(core, "cli", core.cli)  # put back afterwards, as the modules are
    for name in [name for name in sys.modules if name.partition("core.cli")[1]]:
        monkeypatch.delitem(sys.modules, name)
    program: typer.Typer = importlib.import_module("core.cli.main").app
    assert program is not app
    return program


def test_a_second_engine_needs_no_change_here(
    started: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name, its options and its styles: trained, kept, used again, and chosen by the environment."""
    shown = runner.invoke(started, ["stylize", "--help"]).stdout
    assert "--warmth" in shown and "fewshot_gan, flat" in words(shown)
    me, art = plain_picture(tmp_path / "me.png"), plain_picture(tmp_path / "art.png", RED)
    kept = tmp_path / "styles" / "red.safetensors"
    common = ["--crop", "aligned", "--out", str(tmp_path / "out")]
    training = ["--reference", art, "--reference-crop", "aligned", "--warmth", "9", "--seed", "4"]
    first = ["stylize", me, "--engine", "flat", *training, *common, "--save-style", str(kept), "--json"]
    result = runner.invoke(started, first)
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["training"]["config"] == {"steps": 2, "seed": 4, "preview_every": 10, "warmth": 9}
    assert report["training"]["last_loss"] == 0.5 and report["style"] == "red" and report["failed"] == []
    assert report["results"][0]["provenance"] == {"engine": "flat", "style": "red", "side_px": SIDE_PX}
    assert kept.is_file() and middle(tmp_path / "out" / "me.png") == RED

    again = ["stylize", me, "--style", str(kept), "--strength", "0.5", *common]
    named = runner.invoke(started, [*again, "--engine", "flat"])
    assert named.exit_code == 0, named.stderr
    assert named.stdout.split() == [str(tmp_path / "out" / "me.png")]
    assert middle(tmp_path / "out" / "me.png") == (120, 50, 130)
    monkeypatch.setenv("STYLEIDENTITY_ENGINE", "flat")
    by_environment = runner.invoke(started, again)
    assert by_environment.exit_code == 0 and by_environment.stdout == named.stdout
    listed = runner.invoke(started, ["styles"])
    assert listed.exit_code == 0 and "The model 'flat' has no ready-made styles." in listed.stderr


def test_a_second_engine_can_be_measured(started: typer.Typer, tmp_path: Path) -> None:
    photos, art = Path(plain_picture(tmp_path / "photos" / "me.png")).parent, plain_picture(tmp_path / "art.png", RED)
    measure = ["--photos", str(photos), "--save", str(tmp_path / "drawn"), "--crop", "aligned", "--engine", "flat"]
    training = ["--reference", art, "--reference-crop", "aligned"]
    result = runner.invoke(started, ["evaluate", "style", *measure, *training, "--json"])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["config"]["steps"] == 2 and middle(tmp_path / "drawn" / "me.png") == RED
    for command in (["evaluate", "reconstruction", *measure], ["benchmark", "--engine", "flat"]):
        result = runner.invoke(started, command)
        assert result.exit_code == 2 and "add --engine fewshot_gan" in words(result.stderr)


def test_engines_are_checked_when_a_command_runs(flat_engine: EngineEntry, tmp_path: Path) -> None:
    me = plain_picture(tmp_path / "me.png")
    unknown = runner.invoke(app, ["stylize", me, "--style", "x", "--engine", "sharp"])
    assert unknown.exit_code == 1 and not unknown.stdout
    assert "no engine 'sharp'. Choose one of these: fewshot_gan, flat." in words(unknown.stderr)
    other = runner.invoke(app, ["stylize", me, "--reference", me, "--alpha", "0.4", "--engine", "flat"])
    assert other.exit_code == 2 and "the engine 'flat' has no --alpha" in words(other.stderr)
    model = runner.invoke(app, ["stylize", me, "--style", "x", "--backbone", "mini", "--engine", "flat"])
    assert model.exit_code == 2 and "the engine 'flat' has no model 'mini'" in words(model.stderr)


def test_results_never_collide_and_inputs_stay(flat_engine: EngineEntry, tmp_path: Path) -> None:
    out = tmp_path / "out"
    photos = [plain_picture(path) for path in (tmp_path / "a/me.jpg", tmp_path / "b/me.jpg", out / "you.png")]
    training = ["--reference", plain_picture(out / "art.png", RED), "--reference-crop", "aligned"]
    arguments = [*photos, *training, "--engine", "flat", "--crop", "aligned", "--out", str(out), "--json"]
    before = (out / "you.png").read_bytes()
    for option in ("--blend", "--paste-back"):  # its old name
        result = runner.invoke(app, ["stylize", *arguments, option])
        assert result.exit_code == 0, result.stderr
        files = [[Path(file).name for file in item["files"]] for item in json.loads(result.stdout)["results"]]
        assert files == [[f"{stem}.png", f"{stem}_in_photo.png"] for stem in ("me", "me-2", "you-2")]
        with Image.open(out / "me_in_photo.png") as whole:
            assert whole.size == (160, 120)
    assert (out / "you.png").read_bytes() == before and middle(out / "art.png") == RED


def test_an_unusable_folder_is_named_before_the_training(
    flat_engine: EngineEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = plain_picture(tmp_path / "me.png")
    arguments = ["--reference", me, "--reference-crop", "aligned", "--crop", "aligned", "--out", str(tmp_path / "out")]
    kept = Path(me) / "styles" / "mine.safetensors"
    monkeypatch.setattr("tests.fake_engine.FlatColour.train", lambda *args, **options: pytest.fail("trained"))
    result = runner.invoke(app, ["stylize", me, *arguments, "--engine", "flat", "--save-style", str(kept)])
    assert result.exit_code == 1 and f"'{kept.parent}'" in result.stderr and not result.stdout


@needs_mini
def test_stylize_trains_saves_and_reuses(shared_dir: Path, tmp_path: Path) -> None:
    """Train on one reference, keep the style, then draw with the kept style; a bad photo loses no other."""
    face, out = photo(shared_dir, tmp_path), tmp_path / "out"
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    kept = tmp_path / "styles" / "mine.safetensors"
    reference = str(shared_dir / "styles" / "oil_0.webp")
    common = ["--backbone", "mini", "--crop", "aligned", "--out", str(out), "--json"]
    training = ["--reference", reference, "--preset", "sketch", "--steps", "2", "--seed", "5", "--method", "ours"]
    first = runner.invoke(app, ["stylize", str(face), str(bad), *training, "--save-style", str(kept), *common])
    assert first.exit_code == 1, first.stderr
    assert "'bad.png'" in first.stderr
    report = json.loads(first.stdout)
    keys = {"backbone", "reason", "training", "saved_style", "results", "failed", "style"}
    assert set(report) == keys and report["backbone"] == "mini"
    assert {name: report["training"]["config"][name] for name in ("steps", "seed", "method")} == {
        **{"steps": 2, "seed": 5, "method": "paper"}
    }
    assert report["saved_style"] == str(kept)
    assert kept.is_file()
    assert [item["photo"] for item in report["failed"]] == [str(bad)]
    assert report["results"][0]["files"] == [str(out / "face.png")]
    assert report["results"][0]["provenance"]
    drawn = (out / "face.png").read_bytes()
    second = runner.invoke(app, ["stylize", str(face), "--style", str(kept), "--seed", "5", "--paste-back", *common])
    assert second.exit_code == 0, second.stderr
    files = json.loads(second.stdout)["results"][0]["files"]
    assert files == [str(out / "face.png"), str(out / "face_in_photo.png")]
    assert (out / "face.png").read_bytes() == drawn, "same style and seed, same picture"


@needs_mini
def test_stylize_sentences(shared_dir: Path, tmp_path: Path) -> None:
    face = str(photo(shared_dir, tmp_path))
    common = ["--backbone", "mini", "--crop", "aligned", "--out", str(tmp_path / "out")]
    unknown = runner.invoke(app, ["stylize", face, "--style", "no-such-style", *common])
    assert unknown.exit_code == 1
    assert "neither a style file nor" in words(unknown.stderr)
    missing = runner.invoke(app, ["stylize", str(tmp_path / "gone.jpg"), "--style", "no-such-style", *common])
    assert missing.exit_code == 1
    assert "gone.jpg" in missing.stderr
    reference = runner.invoke(
        app, ["stylize", face, "--reference", str(tmp_path / "none.png"), "--steps", "2", *common]
    )
    assert reference.exit_code == 1
    assert "none.png" in reference.stderr
    assert not list((tmp_path / "out").glob("*.png"))


@needs_mini
def test_styles_lists_presets() -> None:
    result = runner.invoke(app, ["styles", "--backbone", "mini", "--json"])
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["backbone"] == "mini"
    for card in report["styles"]:
        assert Path(card["file"]).is_file()


def test_evaluate_commands(tiny: Backbone, shared_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.engines.fewshot_gan.engine.load_backbone", lambda name, **options: tiny)
    photos = photo(shared_dir, tmp_path / "photos").parent
    common = ["--photos", str(photos), "--crop", "aligned", "--backbone", "mini", "--json"]
    arguments = ["evaluate", "reconstruction", *common, "--save", str(tmp_path / "a"), "--probes", "0"]
    measured = runner.invoke(app, arguments)
    assert measured.exit_code == 0, measured.stderr
    report = json.loads(measured.stdout)
    assert (report["task"], report["n"], report["backbone"]) == ("reconstruction", 1, "mini")
    reference = ["--reference", str(shared_dir / "styles" / "oil_0.webp"), "--reference-crop", "aligned"]
    training = ["--method", "jojogan", "--steps", "2", "--save", str(tmp_path / "b")]
    styled = runner.invoke(app, ["evaluate", "style", *common, *reference, *training])
    assert styled.exit_code == 0, styled.stderr
    report = json.loads(styled.stdout)
    assert (report["task"], report["n"], report["config"]["method"]) == ("style", 1, "jojogan")
    assert (tmp_path / "b" / "face.png").is_file()
