"""The rules that import-linter (see pyproject.toml) cannot see: habits in the source, requirements, file sizes."""

from __future__ import annotations

import ast
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest
import tomllib

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "core"
MODULES = sorted(CORE.rglob("*.py"))
FIRST_ROW = {"config", "errors", "files", "options", "progress", "reports", "threads"}
# Packages whose module has another name.
PACKAGES = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "dlib": "dlib-bin",
    "skimage": "scikit-image",
    "huggingface_hub": "huggingface-hub",
    "pillow_heif": "pillow-heif",
}
OF_MAKERS = {"ai_edge_litert"}  # one program's alone, which says so; never the app's
APP_MAY_IMPORT = {"errors", "config", "studio", "study", "threads", "ui"}
MAX_FILE_BYTES = 10_000_000  # a Space refuses larger ones that are not in LFS
NAMES_THE_GPU = ("core/engines/devices.py", "core/make_assets/pretrain/")


def label(path: Path) -> str:
    """The module's path from the checkout, for test ids and messages."""
    return path.relative_to(ROOT).as_posix()


def imports(tree: ast.AST) -> set[str]:
    """Dotted names of everything that is imported; relative imports are not in use."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_core_front_is_empty() -> None:
    assert not parsed(CORE / "__init__.py").body


def test_rooms_and_arrows_stay_few() -> None:
    graph = grimp.build_graph("core", cache_dir=None)
    arrows = set()
    for module in graph.modules - {"core"}:
        targets = graph.find_modules_directly_imported_by(module) - {"core"}
        arrows |= {(module.split(".")[1], target.split(".")[1]) for target in targets}
    counted = {arrow for arrow in arrows if arrow[0] != arrow[1] and arrow[1] not in FIRST_ROW}
    assert len(graph.find_children("core")) <= 23
    assert len(counted) <= 60, sorted(counted)


def test_every_inside_of_an_engine_is_protected() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    protected = next(contract["protected_modules"] for contract in contracts if contract["id"] == "engine")
    folder = CORE / "engines" / "fewshot_gan"
    inside = {f"core.engines.fewshot_gan.{path.stem}" for path in folder.glob("*.py")}
    assert set(protected) == inside - {f"core.engines.fewshot_gan.{name}" for name in ("__init__", "config")}


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_forbidden_habits(path: Path) -> None:
    tree = parsed(path)
    assert not {name.split(".")[0] for name in imports(tree)} & {"app", "tests"}
    for node in ast.walk(tree):
        assert not (isinstance(node, ast.ExceptHandler) and node.type is None), f"bare except in line {node.lineno}"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert options.get("weights_only") == "True", f"torch.load without weights_only in line {node.lineno}"
            assert "cpu" in options.get("map_location", ""), f"torch.load without map_location in line {node.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_one_module_names_the_gpu(path: Path) -> None:
    if not label(path).startswith(NAMES_THE_GPU):
        assert "cuda" not in path.read_text(encoding="utf-8").lower(), "take the device from an argument or a parameter"


@pytest.mark.parametrize("path", sorted(CORE.glob("cli/**/*.py")), ids=label)
def test_a_command_imports_makers_only_where_it_runs_them(path: Path) -> None:
    def at_import(node: ast.AST) -> Iterator[ast.AST]:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        yield node
        for child in ast.iter_child_nodes(node):
            yield from at_import(child)

    for node in at_import(parsed(path)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            assert not any(name.startswith("core.make_assets") for name in imports(node)), f"line {node.lineno}"


def test_requirements_name_what_is_imported() -> None:
    listed = set()
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            found = re.fullmatch(r"([A-Za-z0-9_-]+)(?:\[[\w,]+\])?(>=[^#]*|~=[^#]*)", line.strip())
            assert found, f"{line!r} needs a lower bound"
            assert "<" in found[2] or "~=" in found[2], f"{found[1]} needs an upper bound"
            listed.add(found[1])
    roots = {name.split(".")[0] for path in (*MODULES, ROOT / "app.py") for name in imports(parsed(path))}
    missing = {
        PACKAGES.get(name, name) for name in roots - sys.stdlib_module_names - {"core", "_typeshed"} - OF_MAKERS
    } - listed
    assert not missing, f"add {sorted(missing)} to requirements.txt"


def test_app_is_thin() -> None:
    app = ROOT / "app.py"
    assert app.read_text(encoding="utf-8").count("\n") <= 150
    rooms = {name.split(".")[1] for name in imports(parsed(app)) if name.startswith("core.")}
    assert rooms <= APP_MAY_IMPORT


def test_no_tracked_file_is_too_large_for_a_space() -> None:
    try:
        tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this copy is no git checkout")
    paths = [ROOT / name.decode() for name in tracked.split(b"\0") if name]
    large = {label(path): path.stat().st_size for path in paths if path.is_file() and not path.is_symlink()}
    large = {name: size for name, size in large.items() if size > MAX_FILE_BYTES}
    assert not large, "shard it (see core.weights.load) or make it smaller"


def test_tests_reach_no_other_machine() -> None:
    """Both guards, tried so that nothing would leave this machine without them."""
    closed = socket.socket()
    closed.close()
    with pytest.raises((RuntimeError, UserWarning), match=r"192\.0\.2\.1"):
        closed.connect(("192.0.2.1", 9))
    with pytest.raises(socket.gaierror, match="tests run offline"):
        socket.getaddrinfo("example.invalid", 80)
    with socket.create_server(("127.0.0.1", 0)) as here, socket.create_connection(here.getsockname()) as caller:
        assert caller.getpeername() == here.getsockname()
