"""Style files: what goes in comes out, and every kind of wrong file is refused with a sentence."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from core.engines.fewshot_gan import style_file as style_module
from core.engines.fewshot_gan.config import FinetuneConfig
from core.engines.fewshot_gan.style_file import (
    MAX_NAME_LENGTH,
    GanStyle,
    StyleMeta,
    config_values,
    load_style,
    save_style,
)
from core.errors import DiskFull, StyleFileInvalid, StyleForOtherBackbone

SHAPES = {"conv1.conv.weight": (1, 4, 3, 3, 3), "to_rgb1.bias": (1, 3, 1, 1), "conv1.noise.weight": (1,)}
HERE = {"backbone": "mini", "fingerprint": "0123456789abcdef", "shapes": SHAPES}


def made_up_style(name: str = "Ink line") -> GanStyle:
    rng = torch.Generator().manual_seed(0)
    weights = {key: torch.randn(shape, generator=rng).half() for key, shape in SHAPES.items()}
    config = config_values(FinetuneConfig(method="paper", steps=7, swap_layers=(1, 2), alpha=0.25))
    return GanStyle.of(name, weights, StyleMeta("mini", "0123456789abcdef", config, ("ab" * 32, "cd" * 32), 0.75))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return save_style(made_up_style(), tmp_path / "ink.safetensors")


def header_of(data: bytes) -> tuple[dict, bytes]:
    """A safetensors file's header and tensor data."""
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def with_header(header: dict, body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def rewrite(path: Path, change: Callable[[dict], None]) -> None:
    """Edit a file's header and leave its tensors alone."""
    header, body = header_of(path.read_bytes())
    change(header)
    path.write_bytes(with_header(header, body))


def describe_anew(path: Path, **values: object) -> None:
    """Edit the description inside the header."""

    def change(header: dict) -> None:
        description = json.loads(header["__metadata__"]["styleidentity"]) | values
        header["__metadata__"]["styleidentity"] = json.dumps(description, sort_keys=True)

    rewrite(path, change)


def refusal(path: Path) -> str:
    """The sentence with which a file is refused; it names the file and what to do."""
    with pytest.raises(StyleFileInvalid) as caught:
        load_style(path, **HERE)
    sentence = str(caught.value)
    assert path.name in sentence and "Download the style again or retrain it." in sentence
    return sentence


def test_round_trip(path: Path) -> None:
    saved, loaded = made_up_style(), load_style(path, **HERE)
    assert (loaded.engine, loaded.name, loaded.references, loaded.method) == ("fewshot_gan", "Ink line", 2, "paper")
    assert loaded.meta == saved.meta
    assert loaded.meta.config["swap_layers"] == [1, 2] and loaded.meta.final_loss == 0.75
    assert set(loaded.weights) == set(SHAPES)
    assert all(torch.equal(loaded.weights[key], saved.weights[key]) for key in SHAPES)
    assert [file.name for file in path.parent.iterdir() if file.is_file()] == [path.name]


def test_a_part_of_the_parameters_and_any_memory_layout_are_fine(tmp_path: Path) -> None:
    weight = torch.randn(4, 3, 3, 3).half()
    laid_out = weight.contiguous(memory_format=torch.channels_last)
    style = replace(made_up_style(), weights={"map": laid_out})
    file = save_style(style, tmp_path / "new" / "s.safetensors")
    loaded = load_style(file, **(HERE | {"shapes": {"map": (4, 3, 3, 3)}}))
    assert torch.equal(loaded.weights["map"], weight)
    nothing = save_style(replace(made_up_style(), weights={}), tmp_path / "empty.safetensors")
    assert dict(load_style(nothing, **HERE).weights) == {}


def test_the_method_s_former_name_is_read(tmp_path: Path) -> None:
    style = made_up_style()
    former = replace(style, meta=replace(style.meta, config={**style.meta.config, "method": "ours"}))
    loaded = load_style(save_style(former, tmp_path / "former.safetensors"), **HERE)
    assert loaded.method == loaded.meta.config["method"] == "paper"
    assert FinetuneConfig(method="ours") == FinetuneConfig(method="paper")


def test_long_names_are_cut(tmp_path: Path) -> None:
    file = save_style(made_up_style("x" * 500), tmp_path / "long.safetensors")
    assert load_style(file, **HERE).name == "x" * MAX_NAME_LENGTH


def test_another_backbone_is_named(path: Path) -> None:
    with pytest.raises(StyleForOtherBackbone, match=r"'Ink line' was made for the 'mini' model, but 'ffhq' is running"):
        load_style(path, **(HERE | {"backbone": "ffhq"}))


def test_another_version_of_the_model(path: Path) -> None:
    with pytest.raises(StyleFileInvalid, match="trained on another version of the model"):
        load_style(path, **(HERE | {"fingerprint": "f" * 16}))


def test_unknown_and_misshapen_parts(path: Path) -> None:
    for shapes in ({}, SHAPES | {"to_rgb1.bias": (3,)}):
        with pytest.raises(StyleFileInvalid, match="does not fit the model"):
            load_style(path, **(HERE | {"shapes": shapes}))


@pytest.mark.parametrize("shape", [5, None, "abc", [1, 3, 1, "1"], {}])
def test_nonsense_shapes(path: Path, shape: object) -> None:
    rewrite(path, lambda header: header["to_rgb1.bias"].update(shape=shape))
    assert "'to_rgb1.bias' does not fit the model" in refusal(path)


def test_full_precision_is_refused(tmp_path: Path) -> None:
    style = made_up_style()
    wide = replace(style, weights={key: tensor.float() for key, tensor in style.weights.items()})
    assert "not in half precision" in refusal(save_style(wide, tmp_path / "wide.safetensors"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    style = made_up_style()
    style.weights["to_rgb1.bias"][0, 1] = value
    assert "values that are not numbers" in refusal(save_style(style, tmp_path / "nan.safetensors"))


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "alter",
    [
        flip_a_byte,
        lambda path: describe_anew(path, name="Someone else's", final_loss=0.1),
        lambda path: rewrite(path, lambda header: header["__metadata__"].pop("sha256")),
    ],
    ids=["tensor", "description", "no checksum"],
)
def test_altered_files(path: Path, alter: Callable[[Path], None]) -> None:
    alter(path)
    assert "changed after it was saved" in refusal(path)


def test_another_format_version(path: Path) -> None:
    describe_anew(path, version=99)
    assert "its format is version 99, not 2" in refusal(path)


@pytest.mark.parametrize(
    "values",
    [
        *({"reference_hashes": 3}, {"config": "sketch"}, {"config": {"method": []}}, {"extra": 1}),
        *({"backbone": ["mini"]}, {"name": None}),
    ],
)
def test_damaged_description(path: Path, values: dict) -> None:
    describe_anew(path, **values)
    with pytest.raises((StyleFileInvalid, StyleForOtherBackbone)):
        load_style(path, **HERE)


@pytest.mark.parametrize("text", ["[]", "3", "null", "{}", "{", "[" * 100_000])
def test_descriptions_that_are_none(path: Path, text: str) -> None:
    rewrite(path, lambda header: header["__metadata__"].update(styleidentity=text))
    assert "its description is damaged" in refusal(path)


def test_safetensors_of_another_program(path: Path) -> None:
    path.write_bytes(safetensors.torch.save({"a": torch.zeros(2)}))
    assert "was not made by this app" in refusal(path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_truncated(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    assert "not a safetensors file" in refusal(path) or "damaged" in refusal(path)


def test_trailing_bytes(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")
    assert "damaged" in refusal(path)


@pytest.mark.parametrize(
    "data",
    [
        b"PNG" * 100,
        (2**63).to_bytes(8, "little") + b"{}" * 100,
        (400).to_bytes(8, "little") + b"{}",
        (12).to_bytes(8, "little") + b'{"a": [1, 2]' + b"x" * 9,
        (10).to_bytes(8, "little") + b'["a", "b"]' + b"x" * 9,
        (9).to_bytes(8, "little") + b'{"a": [1]}'[:9] + b"x" * 9,
        (4).to_bytes(8, "little") + b"\xff\xfe\xfd\xfc" + b"x" * 9,
        (200_000).to_bytes(8, "little") + b"[" * 200_000,
        (200_005).to_bytes(8, "little") + b'{"a":' + b"[" * 200_000,
    ],
    ids=["picture", "huge", "beyond the end", "cut JSON", "list", "cut", "not text", "deep", "deep value"],
)
def test_no_safetensors(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "other.safetensors"
    file.write_bytes(data)
    assert "not a safetensors file" in refusal(file)


def test_large_files_are_refused_unread(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(style_module, "MAX_STYLE_BYTES", 100)
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("it was read"))
    assert "larger than" in refusal(path)


def test_a_full_disk_keeps_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = hashlib.sha256(path.read_bytes()).hexdigest()

    def half_written(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half_written)
    with pytest.raises(DiskFull, match="no space left to write"):
        save_style(made_up_style("Newer"), path)
    assert [file.name for file in path.parent.iterdir() if file.is_file()] == [path.name]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    assert load_style(path, **HERE).name == "Ink line"


def test_other_write_failures_are_not_called_a_full_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path, data: bytes) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", denied)
    with pytest.raises(PermissionError):
        save_style(made_up_style(), path)


def test_saving_replaces_an_older_style(path: Path) -> None:
    save_style(made_up_style("Newer"), path)
    assert load_style(path, **HERE).name == "Newer"
