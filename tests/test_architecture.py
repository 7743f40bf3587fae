"""The house's rules, read from the source: import layers, who may import gradio and torch, where the GPU is named."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "core"

# A part may import parts of its own or a lower layer. A new part of core needs a place here.
LAYERS = {
    "allocator": 0,
    "errors": 0,
    "config": 0,
    "images": 1,
    "detail": 1,
    "networks": 1,
    "study": 1,
    "metrics": 2,
    "quad": 2,
    "refine": 2,
    "faces": 3,
    "perceptual": 3,
    "align": 3,
    "paste": 3,
    "weights": 3,
    "style": 3,
    "backbone": 4,
    "invert": 5,
    "finetune": 5,
    "stylize": 5,
    "arms": 6,
    "studio": 6,
    "benchmark": 7,
    "cli": 7,
    "evaluate": 7,
    "packbuild": 7,
    "pretrain": 7,
    "shelf": 7,
    "ui": 7,
    "__main__": 8,
}
STAGES = ("align", "invert", "finetune", "stylize")
# Packages whose module has another name.
PACKAGES = {"PIL": "pillow", "dlib": "dlib-bin", "skimage": "scikit-image", "huggingface_hub": "huggingface-hub"}
METRICS_MAY_IMPORT = {"errors", "config", "images", "networks", "metrics"}


def part_of(path: Path) -> str:
    """'core/study/ranking.py' -> 'study'; 'core/evaluate_fid.py' counts as 'evaluate', and so on."""
    first = path.relative_to(CORE).parts[0].removesuffix(".py")
    prefix = first.split("_")[0]
    return prefix if first not in LAYERS and prefix in LAYERS else first


def modules() -> list[Path]:
    """Every module of core but its empty front."""
    return sorted(path for path in CORE.rglob("*.py") if path != CORE / "__init__.py")


def imported_names(path: Path) -> set[str]:
    """Absolute dotted names of everything a module imports, relative imports resolved."""
    package = list(path.relative_to(ROOT).with_suffix("").parts[:-1])
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{stem}.{alias.name}" for alias in node.names}
    return names


def core_parts_imported(path: Path) -> set[str]:
    """Which parts of core a module imports."""
    parts = set()
    for name in imported_names(path):
        pieces = name.split(".")
        if pieces[0] == "core" and len(pieces) > 1:
            target = CORE / pieces[1]
            parts.add(part_of(target if target.is_dir() else target.with_suffix(".py")))
    return parts


def roots_imported(path: Path) -> set[str]:
    """Top-level packages a module imports."""
    return {name.split(".")[0] for name in imported_names(path)}


def label(path: Path) -> str:
    """The module's path from the checkout, for test ids and messages."""
    return path.relative_to(ROOT).as_posix()


def test_core_front_is_empty() -> None:
    assert not ast.parse((CORE / "__init__.py").read_text(encoding="utf-8")).body


@pytest.mark.parametrize("path", modules(), ids=label)
def test_imports_go_downwards(path: Path) -> None:
    own = part_of(path)
    assert own in LAYERS, f"give '{own}' a layer in {Path(__file__).name}"
    imported = core_parts_imported(path)
    higher = {part for part in imported if LAYERS.get(part, 99) > LAYERS[own]}
    assert not higher, f"{label(path)} imports {sorted(higher)} from a higher layer"
    if own in STAGES:
        assert not imported & (set(STAGES) - {own}), f"{label(path)}: the stages never import each other"
    if own == "metrics":
        assert imported <= METRICS_MAY_IMPORT
    assert "app" not in roots_imported(path)
    assert "tests" not in roots_imported(path)


@pytest.mark.parametrize("path", modules(), ids=label)
def test_only_the_page_imports_gradio(path: Path) -> None:
    if part_of(path) != "ui":
        assert not roots_imported(path) & {"gradio", "gradio_client", "spaces"}


@pytest.mark.parametrize("path", [path for path in modules() if part_of(path) == "study"], ids=label)
def test_study_never_imports_torch(path: Path) -> None:
    assert not roots_imported(path) & {"torch", "torchvision", "lpips"}
    assert core_parts_imported(path) <= {"errors", "config", "study"}, "whatever else core has may import torch"


@pytest.mark.parametrize("path", modules(), ids=label)
def test_one_module_names_the_gpu(path: Path) -> None:
    if part_of(path) not in ("backbone", "pretrain"):
        assert "cuda" not in path.read_text(encoding="utf-8").lower(), "take the device from an argument or a parameter"


@pytest.mark.parametrize("path", modules(), ids=label)
def test_modules_and_functions_stay_short(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert source.count("\n") <= 400, "split it by responsibility"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 70, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", modules(), ids=label)
def test_forbidden_habits(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not (isinstance(node, ast.ExceptHandler) and node.type is None), f"bare except in line {node.lineno}"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert options.get("weights_only") == "True", f"torch.load without weights_only in line {node.lineno}"
            assert "cpu" in options.get("map_location", ""), f"torch.load without map_location in line {node.lineno}"


def test_requirements_name_what_is_imported() -> None:
    listed = set()
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            name, bounds = re.fullmatch(r"([A-Za-z0-9_-]+)(?:\[[\w,]+\])?(>=[^#]*)", line.strip()).groups()
            assert "<" in bounds, f"{name} needs an upper bound"
            listed.add(name)
    files = [*modules(), *([ROOT / "app.py"] if (ROOT / "app.py").exists() else [])]
    imported = set().union(*(roots_imported(path) for path in files)) - sys.stdlib_module_names - {"core", "app"}
    missing = {name for name in imported if PACKAGES.get(name, name) not in listed}
    assert not missing, f"add {sorted(missing)} to requirements.txt"


def test_app_is_thin() -> None:
    app = ROOT / "app.py"
    if not app.exists():
        pytest.skip("app.py is not there yet")
    assert app.read_text(encoding="utf-8").count("\n") <= 150
    assert core_parts_imported(app) <= {"errors", "config", "backbone", "studio", "study", "ui"}
