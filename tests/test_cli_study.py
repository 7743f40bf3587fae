"""`python -m core study ...`: usage errors, sentences, exit codes, JSON, and what each command does to the votes."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from core.cli import study as cli_study
from core.cli.main import app
from core.config import ASSETS_DIR, data_dir
from core.study.protocol.flow import Study
from core.study.protocol.packs import Pack, find_packs, load_pack
from core.study.records import VoteRow
from core.study.storage.store import Store, default_store
from tests.study_parts import run_through, small_pack
from tests.votes_hub import TOKEN, VotesHub, running_votes_hub

ROOT = Path(__file__).resolve().parent.parent
needs_mini = pytest.mark.skipif(
    not list((ASSETS_DIR / "mini").glob("*.safetensors")), reason="the embedded backbone is not there"
)
runner = CliRunner()
BUILD = ["study", "build", "--photos", "p", "--references", "r", "--slug", "own", "--title", "Own"]


def words(text: str) -> str:
    """Text without the frames and line breaks that the terminal adds."""
    return " ".join(text.replace("│", " ").split())


def call(*arguments: str) -> dict[str, object]:
    """A command's JSON."""
    result = runner.invoke(app, ["study", *arguments, "--json"])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture
def pack() -> Pack:
    """An owner's pack in the data folder."""
    return small_pack(data_dir() / "packs")


@pytest.fixture
def study(pack: Pack) -> Study:
    """The study on that pack, with the votes that the commands see."""
    return Study(default_store(), find_packs(), app_version="test")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*BUILD, "--arms", "ours-few"], "--arms takes two to four"),
        ([*BUILD, "--arms", "ours-few,ours-few"], "--arms takes two to four"),
        ([*BUILD, "--arms", "ours-few,magic"], "--arms takes two to four"),
        ([*BUILD[:-3], "Own Pack", "--title", "Own"], "--slug is made of small letters"),
        ([*BUILD[:-1], " "], "--title can't be empty"),
        ([*BUILD, "--out", "core"], "holds no pack"),
        ([*BUILD, "--steps", "0"], "--steps"),
        (BUILD[:-2], "--title"),
        (["study", "report", "--figure", "x.jpg"], "ends in .png or .svg"),
        (["study", "report", "--dark"], "--dark is about the picture"),
        (["study", "report", "--flagged", "perhaps"], "--flagged"),
        (["study", "export"], "--out"),
        (["study", "withdraw"], "CODE"),
        (["study", "open"], "PACK"),
    ],
)
def test_usage_errors(arguments: list[str], message: str) -> None:
    result = runner.invoke(app, arguments)
    assert result.exit_code == 2
    assert message in words(result.stderr)
    assert not result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["withdraw", "ABCD-EFGH-JKMN"], "We don't know the code 'ABCD-EFGH-JKMN'"),
        (["withdraw", "short"], "We don't know the code 'short'"),
        (["open", "nothing"], "There is no study 'nothing' here. Choose one of these: "),
        (["close", "nothing"], "There is no study 'nothing' here"),
        (["report", "--pack", "nothing"], "There is no study 'nothing' here"),
        (["export", "--out", "out", "--pack", "nothing"], "There is no study 'nothing' here"),
        (["report", "--figure", "out/x.png"], "There is nothing to draw yet. No results yet: 0 finished"),
        (
            ["build", "--photos", "nowhere", "--references", "nowhere", "--slug", "own", "--title", "Own"],
            "is not a folder",
        ),
    ],
)
def test_expected_failures_are_one_sentence(
    arguments: list[str], message: str, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = runner.invoke(app, ["study", *arguments])
    assert result.exit_code == 1
    assert message in result.stderr and "Traceback" not in result.stderr
    assert not result.stdout
    assert not (tmp_path / "out").exists()


def test_help_needs_nothing_heavy_and_names_every_command() -> None:
    code = (
        "import sys\nimport core.cli.study\n"
        "heavy = {'numpy', 'scipy', 'pandas', 'matplotlib', 'torch', 'huggingface_hub', 'PIL'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
    shown = runner.invoke(app, ["study", "--help"]).stdout
    for name in ("build", "packs", "report", "export", "withdraw", "open", "close", "verify"):
        assert f" {name} " in shown
        result = runner.invoke(app, ["study", name, "--help"])
        assert result.exit_code == 0 and "--json" in result.stdout


def test_packs_open_and_close(study: Study, pack: Pack) -> None:
    run_through(study)
    (row,) = (row for row in call("packs")["packs"] if row["slug"] == "small")
    assert (row["title"], row["trials"], row["open"], row["finished"]) == ("Small", 11, True, 1)
    assert row["digest"] == pack.digest and len(row["arms"]) == 4
    assert call("close", "small") == {"pack": "small", "open": False}
    assert "small" not in {card.slug for card in study.packs_open()}
    listed = runner.invoke(app, ["study", "packs"])
    assert ["small", "Small", "11", "4", "1", "closed"] in [line.split() for line in listed.stdout.splitlines()]
    assert runner.invoke(app, ["study", "open", "small"]).stdout == "The study 'small' is open.\n"
    assert "small" in {card.slug for card in study.packs_open()}


def test_packs_that_are_gone_can_still_be_closed(study: Study, pack: Pack) -> None:
    """Votes outlive their pictures, and so do the owner's duties."""
    run_through(study)
    pack.folder.rename(pack.folder.with_suffix(".old"))
    for file in (pack.folder.with_suffix(".old")).rglob("pack.json"):
        file.unlink()
    assert call("close", "small")["open"] is False
    assert call("report", "--pack", "small")["participants"] == 1


def test_withdraw(study: Study) -> None:
    codes = [run_through(study), run_through(study)]
    assert call("withdraw", codes[0].lower().replace("-", " ")) == {"withdrawn_votes": 11}
    assert len(study.store.votes()) == 11
    again = runner.invoke(app, ["study", "withdraw", codes[0]])
    assert again.exit_code == 0
    assert again.stdout == "Withdrawn: 11 votes no longer count. Export again, and delete older exports.\n"
    assert call("report")["participants"] == 1


def test_report_without_votes() -> None:
    made = call("report")
    assert made["headline"].startswith("No results yet") and made["tables"] == [] and made["figure"] is None
    assert made["paper"]["percent"] == {"jojogan-one": 3.0, "jojogan-few": 14.0, "ours-one": 29.22, "ours-few": 48.74}
    shown = runner.invoke(app, ["study", "report"]).stdout
    assert "No results yet" in shown and "its counts are unknown" in shown


def test_report_figure_and_export(study: Study, tmp_path: Path) -> None:
    """Ten people's votes, from the store to every file."""
    for number in range(10):
        run_through(study, group=("artist", "viewer")[number % 2], choice=lambda screen: "B")
    figures = [tmp_path / "new" / name for name in ("light.png", "dark.PNG", "chart.svg")]
    made = call("report", "--figure", str(figures[0]))
    assert made["figure"] == str(figures[0])
    assert (made["participants"], made["participants_flagged"]) == (10, 10), "always B is one-sided"
    (everybody, artists, viewers) = made["tables"]
    assert everybody["choices"] == 110 and not everybody["withheld"] and artists["withheld"] and viewers["withheld"]
    assert everybody["positions"]["observed"] == [0, 110, 0, 0] and everybody["positions"]["p_value"] < 1e-9
    assert call("report", "--flagged", "out")["participants"] == 0
    shown = runner.invoke(app, ["study", "report", "--pack", "small", "--figure", str(figures[1]), "--dark"])
    assert shown.exit_code == 0 and "Small - Everybody (10 people, 110 choices)" in shown.stdout
    assert shown.stdout.rstrip().endswith("dark.PNG")
    call("report", "--figure", str(figures[2]))
    light, dark = (path.read_bytes() for path in figures[:2])
    assert light.startswith(b"\x89PNG") and dark.startswith(b"\x89PNG") and light != dark
    assert "<svg" in figures[2].read_text(encoding="utf-8")

    study.photo_vote("a-token-of-one", order=("ours-one", "ours-few"), choice="A", style="ink")
    assert [(table["style"], table["choices"]) for table in call("report")["quick"]] == [("ink", 1)]
    assert call("report", "--pack", "small")["quick"] == [], "they belong to no pack"
    written = call("export", "--out", str(tmp_path / "all"))
    assert written["rows"] == {"votes": 110, "participants": 10, "quick_votes": 1}
    assert all(Path(path).is_file() for path in written["files"]) and len(written["files"]) == 10
    listed = runner.invoke(app, ["study", "export", "--out", str(tmp_path / "one"), "--pack", "small"])
    assert listed.stdout.splitlines()[-1].endswith("CODEBOOK.md")
    assert (tmp_path / "one" / "votes.csv").read_bytes() == (tmp_path / "all" / "votes.csv").read_bytes(), "same salt"
    salt = tmp_path / "grains"
    call("export", "--out", str(tmp_path / "two"), "--salt", str(salt))
    assert (tmp_path / "two" / "votes.csv").read_bytes() != (tmp_path / "all" / "votes.csv").read_bytes()
    salt.write_text("pepper")
    refused = runner.invoke(app, ["study", "export", "--out", str(tmp_path / "three"), "--salt", str(salt)])
    assert refused.exit_code == 1 and "doesn't hold a salt" in refused.stderr


def test_verify_names_the_rows_that_were_altered(study: Study) -> None:
    run_through(study)
    path = study.store.path
    sound = runner.invoke(app, ["study", "verify"])
    assert sound.exit_code == 0 and sound.stdout == f"14 events in '{path}', each as it was written.\n"
    assert call("verify") == {"events": 14, "file": "", "rows": [], "sound": True, "path": str(path)}
    with closing(sqlite3.connect(path)) as connection, connection:
        (payload,) = connection.execute("SELECT payload FROM events WHERE sequence = 3").fetchone()
        flipped = payload.replace('"dwell_ms":4000', '"dwell_ms":4001')
        connection.execute("UPDATE events SET payload = ? WHERE sequence = 3", (flipped,))
    found = runner.invoke(app, ["study", "verify"])
    assert found.exit_code == 1 and not found.stdout
    assert "event 3 (voted): it was altered" in found.stderr and "builds the votes anew" in found.stderr
    plain = runner.invoke(app, ["study", "verify", "--json"])
    assert plain.exit_code == 1
    assert json.loads(plain.stdout)["rows"] == [{"sequence": 3, "kind": "voted", "problem": "it was altered"}]
    assert call("report")["choices"] == 10, "a start sets the file aside and keeps the sound events"
    assert call("verify")["sound"] is True
    (aside,) = path.parent.glob("votes.damaged-*.sqlite3")
    aside.rename(path)
    path.write_bytes(b"x" * 8192)
    assert "is damaged (file is not a database)" in runner.invoke(app, ["study", "verify"]).stderr


def test_a_dataset_that_cannot_be_used_is_told(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """It doesn't stop the owner."""
    run_through(study)
    monkeypatch.setenv("STYLEIDENTITY_VOTES_DATASET", "somebody/votes")
    result = runner.invoke(app, ["study", "report", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["participants"] == 1
    assert "have not been read. Votes are kept on this machine only: set HF_TOKEN" in result.stderr
    assert result.stderr.count("HF_TOKEN") == 1


@pytest.fixture
def votes_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[VotesHub]:
    """A Hub on loopback, named in the environment with a token."""
    from huggingface_hub import close_session, constants

    with running_votes_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("STYLEIDENTITY_VOTES_DATASET", "somebody/votes")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield hub
        hub.released.set()
        time.sleep(0.3)  # requests that hung end first: a connection must not be closed under a thread that uses it
    close_session()


def test_with_a_dataset_the_owner_works_from_any_machine(
    pack: Pack, votes_hub: VotesHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Votes are read from the dataset into an empty data folder, and a withdrawal there reaches the dataset."""
    from core.study.storage.durable import Durability

    space = Study(default_store(), find_packs(), app_version="test")
    with Durability.from_environment(space.store):
        codes = [run_through(space), run_through(space)]
    assert votes_hub.lines("somebody/votes")[-1]["kind"] == "finished"
    monkeypatch.setenv("STYLEIDENTITY_DATA", str(tmp_path / "laptop"))
    assert call("report")["participants"] == 2
    result = runner.invoke(app, ["study", "withdraw", codes[0]])
    assert result.exit_code == 0 and "11 votes no longer count" in result.stdout
    assert not result.stderr, "the dataset took it"
    assert [line["kind"] for line in votes_hub.lines("somebody/votes")].count("withdrawn") == 1
    monkeypatch.setenv("STYLEIDENTITY_DATA", str(tmp_path / "another"))
    assert call("export", "--out", str(tmp_path / "out"))["rows"]["participants"] == 1


def test_nothing_is_exported_or_withdrawn_before_the_dataset_was_read(
    study: Study, votes_hub: VotesHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.study.storage import durable

    code = run_through(study)
    monkeypatch.setattr(durable, "_OPEN_S", 0.05)
    monkeypatch.setattr(durable, "_CLOSE_S", 0.05)
    votes_hub.hang = True
    for arguments in (["export", "--out", str(tmp_path / "out")], ["withdraw", code]):
        result = runner.invoke(app, ["study", *arguments])
        assert result.exit_code == 1 and not result.stdout
        assert "have not been read, so nothing was done. Votes are kept on this machine; " in result.stderr
    assert not (tmp_path / "out").exists() and len(study.store.votes()) == 11
    shown = runner.invoke(app, ["study", "close", "small"])
    assert shown.exit_code == 0 and shown.stderr.count("is being opened") == 1
    failed = runner.invoke(app, ["study", "close", "nothing"])
    assert failed.exit_code == 1 and "have not been read" in failed.stderr and "no study 'nothing'" in failed.stderr


def test_the_state_of_the_dataset_is_told_also_after_a_failure(study: Study, votes_hub: VotesHub) -> None:
    run_through(study)
    votes_hub.fail_commit = 503
    failed = runner.invoke(app, ["study", "withdraw", "ABCD-EFGH-JKMN"])
    assert failed.exit_code == 1 and "We don't know the code" in failed.stderr
    assert "the dataset somebody/votes could not be reached" in failed.stderr


def test_an_export_leaves_out_who_withdrew_while_it_read(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = [run_through(study), run_through(study)]
    votes = Store.votes

    def and_then_one_withdraws(store: Store, pack: str | None = None) -> list[VoteRow]:
        found = votes(store, pack)
        study.withdraw(codes[0])
        return found

    monkeypatch.setattr(Store, "votes", and_then_one_withdraws)
    assert call("export", "--out", str(tmp_path))["rows"] == {"votes": 11, "participants": 1, "quick_votes": 0}


def test_build_hands_its_options_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}

    def render(plan, photos, references, folder, crop, running, progress):
        seen.update(vars(plan), photos=photos, references=references, crop=crop, backbone=running.backbone)
        return small_pack(folder.parent, slug=folder.name, trials=2, arms=plan.arms)

    monkeypatch.setattr(cli_study, "_render", render)
    arguments = ["--photos", "p", "--references", "r1", "--references", "r2", "--slug", "own", "--title", "Own ones"]
    arguments += ["--arms", "ours-few, jojogan-one", "--preset", "cartoon", "--steps", "7", "--seed", "3"]
    made = call("build", *arguments, "--crop", "aligned", "--backbone", "mini")
    assert seen == {
        "slug": "own", "title": "Own ones", "arms": ("jojogan-one", "ours-few"), "preset": "cartoon", "steps": 7,
        "seed": 3, "photos": Path("p"), "references": [Path("r1"), Path("r2")], "crop": "aligned", "backbone": "mini",
    }  # fmt: skip
    assert made["folder"] == str(data_dir() / "packs" / "own") and made["trials"] == 2
    assert call("packs")["packs"][-1]["slug"] == "own"
    (tmp_path / "elsewhere").mkdir()
    assert call("build", *arguments, "--out", str(tmp_path / "elsewhere"))["folder"] == str(tmp_path / "elsewhere")


@needs_mini
@pytest.mark.slow
def test_build_renders_a_pack(tmp_path: Path) -> None:
    """The real thing, one step long: two photos, two methods."""
    for folder in ("photos", "style"):
        (tmp_path / folder).mkdir()
    examples = sorted((ASSETS_DIR / "examples").glob("*.png")) or sorted((ASSETS_DIR / "examples").glob("*.jpg"))
    for number, path in enumerate(examples[:3]):
        face = Image.open(path).convert("RGB").resize((256, 256))
        face.save(tmp_path / ("style" if number == 2 else "photos") / f"{number}.png")
    arguments = ["--photos", str(tmp_path / "photos"), "--references", str(tmp_path / "style"), "--slug", "own"]
    arguments += ["--title", "Own", "--arms", "jojogan-one,ours-one", "--steps", "1", "--crop", "aligned"]
    made = call("build", *arguments, "--backbone", "mini", "--out", str(tmp_path / "pack"))
    pack = load_pack(tmp_path / "pack")
    assert made["arms"] == list(pack.arms) == ["jojogan-one", "ours-one"]
    assert made["digest"] == pack.digest and len(pack.trials) == 2
    assert pack.provenance["steps"] == 1
