"""`evaluate hand`: what takes part, what is kept and made anew, what the report says, and the command."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch.nn.functional as F
from PIL import Image
from typer.testing import CliRunner

from core.cli.evaluate_text import hand as hand_text
from core.cli.main import app
from core.engines.base import DrawOptions
from core.engines.fewshot_gan.backbone import Backbone
from core.errors import PicturesUnusable, TooManyReferences
from core.evaluate.hand.inputs import choose_artworks, choose_photos
from core.evaluate.hand.report import Portrait, method_result, ratios, skin_results
from core.evaluate.hand.run import HandRun
from core.evaluate.hand.subjects import make_cast
from core.evaluate.metric_networks import MetricNetworks
from core.evaluate.plans import HandPlan, SkinGroups
from core.metrics import patches
from core.metrics.patches import share_left
from core.metrics.skin import face_lightness, lab, mean_chroma
from core.studio import Studio
from tests.compare_kit import finding_studio, make_folders, save_all
from tests.fake_engine import FlatColour

NETWORKS = MetricNetworks(
    identity=lambda a, b, eyes: 1 - float(np.abs(np.asarray(a, float) - np.asarray(b, float)).mean()) / 255,
    content=lambda a, b: 0.0,
    style=lambda x: [F.avg_pool2d(x, 64)],
    extractor=lambda x: np.zeros((1, 4)),
    landmarks=lambda image: None,
    protocols={"identity": "pixels", "style": "pooled colours"},
    notes=(),
)


@pytest.fixture(autouse=True)
def few_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads the band distances here."""
    monkeypatch.setattr(patches, "PATCHES", 64)
    monkeypatch.setattr(patches, "PROJECTIONS", 8)


def noisy(colour: tuple[int, int, int], seed: int) -> Image.Image:
    """A picture without a face, 96 px."""
    levels = np.random.default_rng(seed).normal(colour, 12, (96, 96, 3))
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """`photos` with an index, and `works`: one grey, one red."""
    save_all([noisy((90, 60, 50), 0), noisy((200, 170, 160), 1)], tmp_path / "photos", ["portrait_00.png", "b.png"])
    save_all([noisy((120, 120, 120), 2), noisy((200, 40, 40), 3)], tmp_path / "works", ["grey.png", "red.png"])
    Image.fromarray(np.full((96, 96), 120, np.uint8)).save(tmp_path / "works" / "grey.png")
    rows = "file,source,split,colour\nportrait_00.png,x,val,1\nb.png,x,train,1\n"
    (tmp_path / "photos" / "index.csv").write_text(rows)
    return tmp_path


def test_choosing_pictures(folders: Path) -> None:
    photos, works = folders / "photos", folders / "works"
    found = choose_photos([photos / "port*", photos, works])
    assert [item.name for item in found] == ["portrait_00", "b", "grey", "red"], "each file once"
    assert [item.crop for item in found] == ["detect", "aligned", "detect", "detect"]
    assert [item.name for item in choose_photos([photos], split="val", crop="detect")] == ["portrait_00"]
    assert [item.name for item in choose_photos([works, photos], limit=1)] == ["grey", "b"], "the first of each place"
    many = save_all([noisy((0, 0, 0), 0)] * 12, folders / "many", [f"{number:02}.png" for number in range(12)])
    assert [item.name for item in choose_photos(many, subset="small")] == ["00", "01", "02", "03"]
    assert [item.name for item in choose_artworks([many[0].parent], subset="small")] == ["00", "03", "06", "09"]
    assert len(choose_artworks(many, limit=5)) == 5
    other = save_all([noisy((0, 0, 0), 0)], folders / "other", ["red.png"])
    assert [item.name for item in choose_artworks([works, *other])] == ["grey", "works_red", "other_red"]
    with pytest.raises(PicturesUnusable, match="no index"):
        choose_photos([works], split="val")
    with pytest.raises(PicturesUnusable, match="no pattern"):
        choose_photos([works / "absent*"])


def test_skin_is_measured_in_lab() -> None:
    red = np.full((4, 4, 3), (255, 0, 0), np.uint8)
    assert lab(red)[0, 0] == pytest.approx((53.24, 80.09, 67.20), abs=0.1)  # CIE L*a*b* of sRGB red under D65
    half = np.concatenate([red, np.full_like(red, 255)])
    mask = np.repeat([0.5, 0.7], 4)[:, None].repeat(4, axis=1)
    assert face_lightness(half, mask) == pytest.approx(100, abs=0.1)
    assert face_lightness(half, mask * 0) is None
    assert mean_chroma(half) == pytest.approx(np.hypot(80.09, 67.20) / 2, abs=0.1)
    assert share_left(0.1, 0.4) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="size"):
        face_lightness(red, mask)
    with pytest.raises(ValueError, match="no distance"):
        share_left(0.1, 0.0)


def made_portraits() -> list[Portrait]:
    """Two methods, two artists, three photos: 'paper' lightens dark skin beyond light skin."""
    drawn = {"paper": (70.0, 60.0, 65.0), "aligned": (31.0, 51.0, 68.0)}
    photos = {"dark": 30.0, "middle": 50.0, "light": 70.0}
    return [
        Portrait(
            identity=0.8 if artist == "a" else 0.6, style_256=0.9 if method == "paper" else 0.3, style_512=0.5,
            bands=0.2, bands_share=None, landmarks=0.01, lightness=light, skin_change=light - photos[tone],
            method=method, artist=artist, colouring="grey" if artist == "a" else "colour", person=tone, tone=tone,
            first_seconds=1.0, finished_seconds=2.0, file="",
        )
        for method, artist in product(drawn, "ab")
        for light, tone in zip(drawn[method], ("dark", "middle", "light"), strict=True)
    ]  # fmt: skip


def test_what_the_report_says_of_skin() -> None:
    rows = made_portraits()
    found = {(result.method, result.colouring): result for result in skin_results(rows)}
    assert len(found) == 4
    paper, aligned = found["paper", "grey"], found["aligned", "grey"]
    assert [tone.change for tone in paper.tones] == [40, 10, -5]
    assert [tone.photo for tone in aligned.tones] == [30, 50, 70]
    assert (paper.in_order, paper.styles_in_order, paper.styles_compared) == (False, 0, 1)
    assert (aligned.in_order, aligned.styles_in_order, aligned.styles_compared) == (True, 1, 1)
    without = skin_results([row for row in rows if row.tone != "light"])
    assert without[0].in_order is None and without[0].tones[2].change is None
    assert skin_results([replace(row, tone=None) for row in rows]) == ()


@pytest.mark.parametrize("few", [False, True])
def test_a_run_keeps_what_it_made(folders: Path, few: bool) -> None:
    studio, out = Studio(FlatColour()), folders / "out"
    photos, works = choose_photos([folders / "photos"]), choose_artworks([folders / "works"], crop="aligned")
    cast = make_cast(studio, photos, works, NETWORKS, groups=SkinGroups(middle=("b",)), few=few)
    plan = HandPlan(methods=("paper", "other"), few=few)
    configs: dict[str, Any] = {"paper": studio.config(), "other": studio.config(steps=3)}

    def run(**changes: Any) -> tuple[Any, int, int]:
        changed = HandRun(
            studio, cast, **{"configs": configs, "plan": plan, "networks": NETWORKS, "folder": out, **changes}
        )
        return changed.report(), changed.keeper.trained, changed.keeper.drawn

    report, *made = run()
    styles = 1 if few else 2
    assert made == [2 * styles, 4 * styles]
    assert report.artists == (("all",) if few else ("grey", "red"))
    assert {style.colouring for style in report.styles} == ({"colour"} if few else {"grey", "colour"})
    assert [person.tone for person in cast.people] == ["middle", "dark"]
    for row in report.portraits:
        with Image.open(out / row.file) as picture:
            assert picture.size == (96, 96)
        assert row.bands_share == pytest.approx(row.bands / photo_share(cast, row)) and row.identity < 1
    assert report.ratios[0].method == "other" and report.ratios[0].identity == pytest.approx(1, abs=0.05)
    lowest = min(report.styles[:styles], key=lambda style: style.identity)
    assert report.methods[0].lowest_identity == lowest.identity and report.methods[0].lowest_artist == lowest.artist
    assert (out / "sheet_paper.png").is_file() and "dark" in hand_text(report)

    assert run() == (report, 0, 0), "the same command makes nothing anew"
    (out / report.portraits[0].file).unlink()
    (out / report.portraits[-1].file).with_suffix(".json").write_text("{")
    assert run()[1:] == (0, 2), "a run goes on where it was stopped"
    assert run(plan=replace(plan, drawing=DrawOptions(shape=0.5)))[1:] == (0, 4 * styles)
    if few:
        return
    assert run(redraw=True)[1:] == (0, 4 * styles)
    assert run(configs={**configs, "other": studio.config(steps=4)})[1:] == (styles, 2 * styles)
    assert run(configs={**configs, "other": studio.config(steps=3, preview_every=7)})[1:] == (0, 0)


def photo_share(cast: Any, row: Portrait) -> float:
    """The photo's own band distance to an artist."""
    from core.evaluate.hand.scores import photo_bands

    person = next(person for person in cast.people if person.name == row.person)
    return photo_bands(person, next(artist for artist in cast.artists if artist.name == row.artist))


def test_pictures_that_cannot_be_used(folders: Path) -> None:
    studio = Studio(FlatColour())
    Image.new("RGB", (120, 96), "white").save(folders / "works" / "wide.png")
    (folders / "photos" / "b.png").write_bytes(b"no picture")
    photos, works = choose_photos([folders / "photos"]), choose_artworks([folders / "works"])
    cast = make_cast(studio, photos, works, NETWORKS)
    assert [item.name for item in cast.failed] == ["b.png", "wide.png"]
    with pytest.raises(PicturesUnusable, match="none can be used"):
        make_cast(studio, photos[:1], works, NETWORKS)
    with pytest.raises(TooManyReferences):
        make_cast(studio, photos, works * 5, NETWORKS, few=True)


def test_the_command(tiny: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Studio, "open", classmethod(lambda cls, *_, **__: finding_studio()))
    folders = make_folders(tiny, tmp_path)
    inputs = ["--photos", f"{folders}/photos", "--artworks", f"{folders}/references/r*", "--crop", "aligned"]
    settings = ["--limit-photos", "1", "--limit-artworks", "1", "--steps", "1", "--networks", "shipped", "--dark", "a"]
    command = ["evaluate", "hand", *inputs, *settings, "--methods", "paper,jojogan", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.stderr
    assert "Means over those of 'paper'" in result.stdout and "mini_structure_cosine" in result.stdout
    assert "2 of 2 trained now" in result.stdout and "2 of 2 drawn now" in result.stdout
    again = CliRunner().invoke(app, [*command, "--json"])
    report = json.loads(again.stdout)
    assert report == json.loads((tmp_path / "out" / "report.json").read_text())
    assert [method["method"] for method in report["methods"]] == ["paper", "jojogan"]
    assert (report["task"], report["plan"]["steps"], report["plan"]["drawing"]["size"]) == ("hand", 1, "512")
    refused = CliRunner().invoke(app, [*command, "--methods", "paper,others"])
    assert refused.exit_code == 2 and "--methods takes some of" in refused.stderr


def test_sums_over_methods() -> None:
    rows = made_portraits()
    results = []
    for method in ("paper", "aligned"):
        own = [row for row in rows if row.method == method]
        by_artist = {artist: [row for row in own if row.artist == artist] for artist in "ab"}
        styles = [made_style(part) for part in by_artist.values()]
        results.append(method_result(styles, own, sheet=""))
    assert results[0].identity == pytest.approx(0.7) and results[0].bands_share is None
    assert (results[0].lowest_identity, results[0].lowest_artist) == (pytest.approx(0.6), "b")
    (against,) = ratios(results)
    assert (against.method, against.against) == ("aligned", "paper")
    assert against.style_256 == pytest.approx(1 / 3) and against.bands_share is None
    assert ratios(results[1:]) == ()


def made_style(rows: list[Portrait]) -> Any:
    """A style of some portraits."""
    from core.evaluate.hand.report import StyleResult, means

    first = rows[0]
    return StyleResult(
        **vars(means(rows)), method=first.method, artist=first.artist, colouring=first.colouring, references=1,
        training_seconds=3.0, in_order=None, file="",
    )  # fmt: skip
