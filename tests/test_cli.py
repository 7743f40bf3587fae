"""The command line: usage errors, sentences, exit codes and files; with the embedded backbone where it is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from core.cli.main import app
from core.cli.options import AnchorOption, TrainingOptions, parse_layers
from core.cli.terminal import expected_failures, plain, progress_bar
from core.config import ASSETS_DIR
from core.errors import NoFaceFound

ROOT = Path(__file__).resolve().parent.parent
needs_mini = pytest.mark.skipif(
    not list((ASSETS_DIR / "mini").glob("*.safetensors")), reason="the embedded backbone is not there"
)
runner = CliRunner()


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
        (["stylize", "a.jpg", "--reference", "r.png", "--swap-layers", "7,x"], "takes layer numbers"),
        (["stylize", "a.jpg", "--reference", "r.png", "--steps", "0"], "--steps"),
        (["stylize", "a.jpg", "--reference", "r.png", "--method", "magic"], "--method"),
        (["stylize", "a.jpg", "--style", "x", "--strength", "1.5"], "--strength"),
        (["stylize", "a.jpg", "--unknown"], "--unknown"),
        (["evaluate", "style", "--photos", ".", "--save", "x"], "--reference"),
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
        "for words in ([], ['stylize'], ['styles'], ['evaluate', 'style']):\n"
        "    assert CliRunner().invoke(app, [*words, '--help']).exit_code == 0\n"
        "print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
    shown = runner.invoke(app, ["--help"]).stdout
    assert all(name in shown for name in ("stylize", "styles", "evaluate"))


def test_module_runs_as_a_program() -> None:
    run = subprocess.run([sys.executable, "-m", "core", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "python -m core" in run.stdout


def test_training_options_keep_only_what_was_typed() -> None:
    typed = TrainingOptions(steps=7, swap_layers="9, 7,9", anchor=AnchorOption.photo, style_weight=0.0)
    assert typed.given() == {"steps": 7, "swap_layers": (7, 9), "anchor": "photo", "style_weight": 0.0}
    assert TrainingOptions().given() == {}
    with pytest.raises(typer.BadParameter):
        parse_layers("")


def test_plain_makes_json() -> None:
    import numpy as np

    report = {"a": (1, 2.5), "b": np.float32(0.5), "c": float("nan"), "d": Path("x/y.png"), 3: {"e": None, "f": True}}
    assert plain(report) == {"a": [1, 2.5], "b": 0.5, "c": None, "d": "x/y.png", "3": {"e": None, "f": True}}


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
            report("training", 1, 2)
            report("training", 2, 2)
        out, err = capsys.readouterr()
        assert not out
        assert ("training" in err) is not quiet


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


def test_targets_never_collide(tmp_path: Path) -> None:
    pytest.importorskip("core.studio")
    from core.cli.stylize import targets_for

    photos = [tmp_path / "a" / "me.jpg", tmp_path / "b" / "me.jpg", tmp_path / "out" / "you.png"]
    names = [path.name for path in targets_for(photos, tmp_path / "out", taken=photos)]
    assert names == ["me.png", "me-2.png", "you-2.png"]


@needs_mini
def test_stylize_trains_saves_and_reuses(shared_dir: Path, tmp_path: Path) -> None:
    """Train on one reference, keep the style, then draw with the kept style; a bad photo loses no other."""
    face, out = photo(shared_dir, tmp_path), tmp_path / "out"
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    kept = tmp_path / "styles" / "mine.safetensors"
    reference = str(shared_dir / "styles" / "oil_0.webp")
    common = ["--backbone", "mini", "--crop", "aligned", "--out", str(out), "--json"]
    training = ["--reference", reference, "--preset", "sketch", "--steps", "2", "--seed", "5"]
    first = runner.invoke(app, ["stylize", str(face), str(bad), *training, "--save-style", str(kept), *common])
    assert first.exit_code == 1, first.stderr
    assert "'bad.png'" in first.stderr
    report = json.loads(first.stdout)
    assert report["training"]["config"]["steps"] == 2
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


@needs_mini
def test_evaluate_commands(shared_dir: Path, tmp_path: Path) -> None:
    photos = photo(shared_dir, tmp_path / "photos").parent
    common = ["--photos", str(photos), "--backbone", "mini", "--json"]
    arguments = ["evaluate", "reconstruction", *common, "--save", str(tmp_path / "a"), "--probes", "0"]
    measured = runner.invoke(app, arguments)
    assert measured.exit_code == 0, measured.stderr
    assert json.loads(measured.stdout)["n"] == 1
    reference = ["--reference", str(shared_dir / "styles" / "oil_0.webp"), "--method", "jojogan", "--steps", "2"]
    styled = runner.invoke(app, ["evaluate", "style", *common, *reference, "--save", str(tmp_path / "b")])
    assert styled.exit_code == 0, styled.stderr
    assert json.loads(styled.stdout)["config"]["method"] == "jojogan"
    assert (tmp_path / "b" / "face.png").is_file()
