"""A pack survives a round trip, tells no arm, and refuses every kind of damage."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops, PngImagePlugin

from core.config import data_dir
from core.errors import DiskFull, PackDamaged
from core.study.protocol import packwriter
from core.study.protocol.packs import digest_of, find_packs, load_pack
from core.study.protocol.packwriter import TrialPictures, write_pack
from tests.study_parts import ARM_TITLES, ARMS, noise, pictures, small_pack


def test_arms_are_a_packs_own_and_so_are_their_titles(tmp_path: Path) -> None:
    titles = {"wash": "Wash and ink", "ours-few": "Ours, few references"}
    arms = ("wash", "dry-brush", "ours-few", "ours-one")
    pack = small_pack(tmp_path, slug="p", arms=arms, arm_titles=titles)
    assert load_pack(tmp_path / "p") == pack and pack.arms == arms
    assert dict(pack.arm_titles) == {**titles, "dry-brush": "dry-brush", "ours-one": ARM_TITLES["ours-one"]}
    assert "arm_titles" not in json.loads((small_pack(tmp_path).folder / "pack.json").read_text()), "as ever"


def test_round_trip_keeps_every_pixel(tmp_path: Path) -> None:
    pack = small_pack(tmp_path, trials=3)
    assert load_pack(tmp_path / "small") == pack
    assert (pack.slug, pack.title, pack.arms, pack.provenance) == ("small", "Small", ARMS, {"made": "for tests"})
    for number, trial in enumerate(pack.trials):
        shown = pictures(number)
        pairs = [(trial.photo, shown.photo), *zip(trial.references, shown.references, strict=True)]
        pairs += [(trial.candidates[arm], shown.candidates[arm]) for arm in ARMS]
        for path, picture in pairs:
            with Image.open(path) as stored:
                assert stored.format == "PNG"
                assert ImageChops.difference(stored, picture).getbbox() is None
    assert not list(tmp_path.glob("*.part"))


def test_same_pictures_give_the_same_pack_and_others_another(tmp_path: Path) -> None:
    one, same = small_pack(tmp_path / "a", trials=2), small_pack(tmp_path / "b", trials=2)
    other = small_pack(tmp_path / "c", trials=2, first=50)
    assert one.digest == same.digest
    assert [path.name for path in sorted(one.folder.rglob("*"))] == [
        path.name for path in sorted(same.folder.rglob("*"))
    ]
    assert other.digest != one.digest
    index = json.loads((one.folder / "pack.json").read_text(encoding="utf-8"))
    assert digest_of(index) == one.digest
    index["title"] = "Changed"
    assert digest_of(index) != one.digest


def test_a_new_pack_replaces_the_old_one_whole(tmp_path: Path) -> None:
    small_pack(tmp_path, trials=3)
    pack = small_pack(tmp_path, trials=1, first=40)
    assert len(pack.trials) == 1
    assert len(list((pack.folder / "files").iterdir())) == 7
    assert [path.name for path in tmp_path.iterdir()] == ["small"]


def test_neither_names_nor_sizes_nor_times_tell_the_arm(tmp_path: Path) -> None:
    pack = small_pack(tmp_path)
    raw = [len(packwriter._encode(pictures(0).candidates[arm])) for arm in ARMS]
    assert sorted(raw, reverse=True) == raw and len(set(raw)) == 4, "unpadded files would tell the arm by their size"
    by_name: list[tuple[str, ...]] = []
    for trial in pack.trials:
        names = {arm: path.name for arm, path in trial.candidates.items()}
        by_name.append(tuple(sorted(ARMS, key=names.__getitem__)))
        assert len({path.stat().st_size for path in trial.candidates.values()}) == 1
    assert len(set(by_name)) > 5, "the order of the names changes from trial to trial"
    files = list((pack.folder / "files").iterdir())
    assert len({path.stat().st_mtime_ns for path in files}) == 1
    everything = " ".join([str(path.relative_to(tmp_path)) for path in files] + [trial.key for trial in pack.trials])
    for word in ("jojo", "ours", "one", "few", "shot"):
        assert word not in everything


def test_files_hold_pixels_and_nothing_else(tmp_path: Path) -> None:
    marked = noise(1)
    marked.info = {"icc_profile": b"x" * 200, "comment": "ours-few", "dpi": (72, 72), "transparency": (0, 0, 0)}
    text = PngImagePlugin.PngInfo()
    text.add_text("Software", "jojogan")
    marked.save(tmp_path / "marked.png", pnginfo=text, icc_profile=b"x" * 200)
    with Image.open(tmp_path / "marked.png") as opened:
        trial = TrialPictures(opened, [marked], dict.fromkeys(ARMS[:2], marked.convert("RGBA")))
        pack = write_pack(tmp_path / "p", slug="p", title="P", arms=ARMS[:2], trials=[trial], provenance={})
    for path in (pack.folder / "files").iterdir():
        with Image.open(path) as stored:
            stored.load()
            assert stored.info == {} and stored.mode == "RGB"
        assert b"jojogan" not in path.read_bytes()


def test_padding_makes_any_lengths_equal() -> None:
    contents = [packwriter._encode(noise(seed, levels=levels)) for seed in range(6) for levels in (2, 16, 17, 250, 256)]
    for one in contents:
        for spare in (0, 12, 13, 200):
            padded = packwriter._padded(one, len(one) + spare)
            assert len(padded) == len(one) + spare
            checked = PngImagePlugin.PngImageFile(io.BytesIO(padded))
            checked.verify()  # checks each chunk's CRC


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"slug": "No Slug"}, "its name is not made of"),
        ({"title": " "}, "it has no title"),
        ({"arms": ARMS[:1]}, "2 to 4 different names"),
        ({"arms": ("ours-one", "ours-one")}, "2 to 4 different names"),
        ({"trials": []}, "it has no trials"),
        ({"arm_titles": {"another": "Another"}}, "titles of arms"),
        ({"trials": [pictures(0, ARMS[:3])]}, "one picture for each"),
        ({"trials": [TrialPictures(noise(1, side_px=9), [], pictures(0).candidates)]}, "need one size"),
        ({"provenance": {"rate": float("nan")}}, "Out of range float"),
    ],
)
def test_wrong_input_writes_nothing(tmp_path: Path, change: dict, words: str) -> None:
    options = {"slug": "p", "title": "P", "arms": ARMS, "trials": [pictures(0)], "provenance": {}} | change
    with pytest.raises(ValueError, match=words):
        write_pack(tmp_path / "p", **options)
    assert not list(tmp_path.iterdir())


def test_other_folders_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match="something other than a study pack"):
        small_pack(tmp_path)
    assert (tmp_path / "small" / "thesis.txt").read_text() == "precious"


def test_a_full_disk_keeps_the_old_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = small_pack(tmp_path, trials=1)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskFull, match="no space left"):
        small_pack(tmp_path, trials=2)
    assert load_pack(tmp_path / "small") == old
    assert [path.name for path in tmp_path.iterdir()] == ["small"]


def edit(folder: Path, **changes: object) -> None:
    """Changes values of pack.json by key; a dotted key goes into the first trial."""
    path = folder / "pack.json"
    index = json.loads(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        if key.startswith("trial_"):
            index["trials"][0][key.removeprefix("trial_")] = value
        else:
            index[key] = value
    path.write_text(json.dumps(index), encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "zip"}, "is not a study pack's"),
        ({"version": 2}, "format version 2; this app reads 1"),
        ({"slug": "../up"}, "small letters, digits and dashes"),
        ({"title": ""}, "no title"),
        ({"arms": ["ours-one"]}, "2 to 4 different names"),
        ({"arms": ["ours-one", "Theirs!"]}, "2 to 4 different names"),
        ({"arms": [["ours-one"], {}]}, "2 to 4 different names"),
        ({"arm_titles": {"ours-one": 1}}, "titles of arms"),
        ({"arm_titles": ["Ours"]}, "titles of arms"),
        ({"trials": []}, "no trials"),
        ({"files": {}}, "lists no files"),
        ({"files": {"../small/pack.json": "0" * 64}}, "not allowed"),
        ({"files": {"/etc/passwd": "0" * 64}}, "not allowed"),
        ({"files": {f"files/{'0' * 32}.png": "0" * 64}}, r"can't be read \(No such file"),
        ({"provenance": None}, "provenance is missing"),
        ({"trial_photo": "files/elsewhere.png"}, "trial 1 lacks a part or names an unlisted file"),
        ({"trial_candidates": None}, "trial 1 lacks a part"),
        ({"trial_references": [["x"]]}, "trial 1 lacks a part"),
        ({"trial_key": "ours-few"}, "trial 1 don't belong together"),
    ],
)
def test_altered_indexes_are_refused(tmp_path: Path, changes: dict, words: str) -> None:
    folder = small_pack(tmp_path, trials=2).folder
    edit(folder, **changes)
    with pytest.raises(PackDamaged, match=words) as refusal:
        load_pack(folder)
    assert "The study pack 'small' can't be used" in str(refusal.value)


def test_altered_missing_and_linked_files_are_refused(tmp_path: Path) -> None:
    folder = small_pack(tmp_path, trials=1).folder
    picture = sorted((folder / "files").iterdir())[0]
    content = picture.read_bytes()
    picture.write_bytes(content[:-1] + b"?")
    with pytest.raises(PackDamaged, match="was altered"):
        load_pack(folder)
    (tmp_path / "outside.png").write_bytes(content)
    picture.unlink()
    picture.symlink_to(tmp_path / "outside.png")
    with pytest.raises(PackDamaged, match="not allowed"):
        load_pack(folder)
    picture.unlink()
    with pytest.raises(PackDamaged, match="can't be read"):
        load_pack(folder)
    picture.write_bytes(content)
    assert load_pack(folder).slug == "small"
    (folder / "pack.json").write_text("{", encoding="utf-8")
    with pytest.raises(PackDamaged, match="can't be read"):
        load_pack(folder)
    (folder / "pack.json").unlink()
    with pytest.raises(PackDamaged, match=r"has no pack\.json"):
        load_pack(folder)


def test_a_duplicate_trial_and_a_picture_of_another_size_are_refused(tmp_path: Path) -> None:
    folder = small_pack(tmp_path, trials=2).folder
    index = json.loads((folder / "pack.json").read_text(encoding="utf-8"))
    edit(folder, trial_key=index["trials"][1]["key"])
    with pytest.raises(PackDamaged, match="two trials have the same key"):
        load_pack(folder)

    wide = small_pack(tmp_path / "wide", trials=1).folder
    name = json.loads((wide / "pack.json").read_text(encoding="utf-8"))["trials"][0]["photo"]
    Image.fromarray(np.zeros((4, 8, 3), np.uint8)).save(wide / name)
    files = {path: hashlib.sha256((wide / path).read_bytes()).hexdigest() for path in
             json.loads((wide / "pack.json").read_text(encoding="utf-8"))["files"]}  # fmt: skip
    edit(wide, files=files)
    with pytest.raises(PackDamaged, match="don't belong together"):
        load_pack(wide)


def test_finds_the_owners_packs_and_passes_over_broken_ones(caplog: pytest.LogCaptureFixture) -> None:
    folder = data_dir() / "packs"
    good = small_pack(folder, slug="mine", trials=1)
    small_pack(folder, slug="broken", trials=1)
    (folder / "broken" / "pack.json").write_text("[]", encoding="utf-8")
    shutil.copytree(folder / "mine", folder / "twin")
    shutil.copytree(folder / "mine", folder / "half.part")
    with caplog.at_level(logging.WARNING):
        found = find_packs()
    assert found["mine"] == good
    assert "broken" not in found and "twin" not in found
    assert "'broken' can't be used" in caplog.text and "same name" in caplog.text and "half" not in caplog.text


def test_no_folder_no_packs(tmp_path: Path) -> None:
    assert find_packs((tmp_path / "nowhere",)) == {}
