"""Documentation that can't drift: docstrings, the README's front matter, its commands, and what CI runs."""

from __future__ import annotations

import ast
import json
import re
import stat
from pathlib import Path

import click
import pytest
import yaml

from core.config import VERSION

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
TEST_LINE = (
    "pip install -r requirements.txt -r tests/requirements.txt -c deploy/constraints.txt"
    ' && python -m pytest -m "not gpu"'
)
APP_LINE = "pip install -r requirements.txt && python app.py"

# Keys of a Space's README that this project may use.
SPACE_KEYS = {
    "title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file", "pinned", "license",
    "short_description", "tags", "models", "datasets", "preload_from_hub", "thumbnail", "startup_duration_timeout",
    "hf_oauth", "hf_oauth_scopes", "fullWidth", "header", "disable_embedding",
}  # fmt: skip
SPACE_COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def readme() -> str:
    """The README's text."""
    assert README.exists(), "README.md is missing"
    return README.read_text(encoding="utf-8")


def front_matter() -> dict[str, object]:
    """The YAML block on top of the README."""
    match = re.match(r"---\n(.*?)\n---\n", readme(), re.DOTALL)
    assert match, "README.md must start with a Space's front matter"
    return yaml.safe_load(match[1])


def shell_lines() -> list[str]:
    """Lines of the README's shell blocks, continuations joined, comments dropped."""
    blocks = re.findall(r"```(?:bash|sh|shell|console)\n(.*?)```", readme(), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").split("\n")
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def undocumented(path: Path) -> list[str]:
    """Public functions, classes and methods of one module that have no docstring; overrides of torch need none."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    missing = [] if ast.get_docstring(tree) or not tree.body else ["the module"]

    def visit(nodes: list[ast.stmt], owner: str) -> None:
        for node in nodes:
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or node.name.startswith("_"):
                continue
            if node.name != "forward" and not ast.get_docstring(node):
                missing.append(f"{owner}{node.name} (line {node.lineno})")
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{node.name}.")

    visit(tree.body, "")
    return missing


@pytest.mark.parametrize(
    "path", sorted((ROOT / "core").rglob("*.py")), ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_public_names_are_documented(path: Path) -> None:
    assert not undocumented(path)


def test_front_matter_makes_a_zerogpu_space() -> None:
    fields = front_matter()
    assert set(fields) <= SPACE_KEYS
    assert isinstance(fields["title"], str)
    assert fields["title"]
    assert fields["sdk"] == "gradio"
    assert re.fullmatch(r"6\.\d+\.\d+", str(fields["sdk_version"]))
    assert fields["app_file"] == "app.py"
    assert fields["python_version"] == "3.12", "quote it, or YAML reads a number"
    assert 0 < len(str(fields["short_description"])) <= 60
    assert fields["license"] == "mit"
    for key in ("colorFrom", "colorTo"):
        assert fields.get(key, "gray") in SPACE_COLOURS
    for line in fields.get("preload_from_hub", []):
        assert re.fullmatch(r"[\w.-]+/[\w.-]+( [\w./,-]+( \w+)?)?", line)
    for path in (fields["app_file"], fields.get("thumbnail")):
        assert path is None or str(path).startswith("https://") or (ROOT / str(path)).is_file()


def test_readme_and_ci_share_the_test_line() -> None:
    lines = shell_lines()
    assert TEST_LINE in lines
    assert APP_LINE in lines
    ci = ROOT / ".ci" / "run"
    assert f"TEST_LINE='{TEST_LINE}'\n" in ci.read_text(encoding="utf-8")
    assert ci.stat().st_mode & stat.S_IXUSR


def commands_of_cli() -> set[str]:
    """Every command of `python -m core`, groups spelled out: {'stylize', 'study build', ...}."""
    typer = pytest.importorskip("typer")
    cli = pytest.importorskip("core.cli.main")

    def walk(command: object, path: str) -> set[str]:
        if isinstance(command, click.Group) or hasattr(command, "commands"):
            found = (walk(child, f"{path} {name}") for name, child in command.commands.items() if not child.hidden)
            return set().union(*found)
        return {path.strip()}

    return walk(typer.main.get_command(cli.app), "")


def test_readmes_name_every_command_and_no_other() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in (README, *(ROOT / "core").rglob("README.md")))
    commands = commands_of_cli()
    groups = {name.split()[0] for name in commands if " " in name}
    named = set()
    for words in re.findall(r"python -m core((?: [a-z][a-z0-9-]*)+)", text):
        first, *rest = words.split()
        named.add(f"{first} {rest[0]}" if first in groups and rest else first)
    assert named == commands


def documents() -> list[Path]:
    """Every tracked text that tells people something."""
    rooms = sorted((ROOT / "core").rglob("README.md"))
    found = [*ROOT.glob("*.md"), ROOT / "CITATION.cff", *ROOT.glob("assets/**/*.md"), *ROOT.glob("deploy/*"), *rooms]
    return [path for path in found if path.is_file()]


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_documents_speak_of_no_machine_and_link_to_what_is_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert path.name == "Dockerfile" or not re.findall(r"(?<![\w./])/(?:work|tmp|root|home)/", text)
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text):
        assert (path.parent / target).exists(), f"a link to {target}"


def test_the_model_card_tells_the_scores_of_the_card_file() -> None:
    folder = ROOT / "assets" / "mini"
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    text = (folder / "README.md").read_text(encoding="utf-8")
    match = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    assert match, "the card must start with the Hub's front matter"
    assert yaml.safe_load(match[1])["license"] == "mit"
    scores = card["scores"]
    for name in ("n", "identity_mean", "identity_p05", "ssim_mean", "colour_error_mean", "sharpness_ratio_mean"):
        assert str(scores[name]) in text, f"{name} {scores[name]}"
    assert all(f"| {source} | {count} |" in text for source, count in card["data"]["sources"].items())


def test_constraints_pin_every_requirement() -> None:
    def names(path: str) -> set[str]:
        lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
        found = {re.split(r"[\[=<>~!]", line)[0].strip().lower() for line in lines if not line.startswith("#")}
        return {name.replace("_", "-") for name in found if name}

    lines = (ROOT / "deploy" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert all(line.startswith("#") or re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    assert names("requirements.txt") | names("tests/requirements.txt") <= names("deploy/constraints.txt")


def test_the_changelog_names_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == VERSION
    assert f"## [{VERSION}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
