"""The export: three forms of the same rows, nobody's code, nobody withdrawn, and no column without an explanation."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import stat
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pyarrow.parquet as pq
import pytest

from core.errors import SaltUnusable
from core.study.analysis import export as exporting
from core.study.analysis.codebook import TABLES
from core.study.analysis.export import Exported, export, export_salt, pseudonym
from core.study.records import ParticipantRow, PhotoVoteRow, VoteRow
from tests.made_votes import vote, votes_of
from tests.study_parts import begin, run_through, small_pack, study_on

SALT = b"sixteen grains!!"
OURS = ("ours-few", "ours-one")


def person(name: str, **changes: object) -> ParticipantRow:
    """A finished run."""
    values: dict[str, object] = {
        "participant": name,
        "group": "viewer",
        "pack": "water",
        "pack_digest": "d" * 64,
        "consent_version": "1",
        "started_utc": "2026-01-01T00:00:00.000+00:00",
        "finished_utc": "2026-01-01T00:05:00.000+00:00",
        "withdrawn_utc": None,
        "check_passed": True,
        "flags": frozenset(),
    }
    return ParticipantRow(**{**values, **changes})


VOTES = [
    vote("anna", "ours-few", flags=frozenset({"quick", "check-failed"})),
    vote("anna", None, trial_key="t1", order=("ours-few", "ours-one", "jojogan-one", "jojogan-few")),
    vote("ben", "ours-one", order=OURS, pack="toon", pack_digest="e" * 64, finished=False, group="artist"),
]
PEOPLE = [
    person("anna", flags=frozenset({"quick", "check-failed"}), check_passed=False),
    person("ben", pack="toon", pack_digest="e" * 64, group="artist", finished_utc=None, check_passed=None),
]
QUICK = [
    PhotoVoteRow("token-of-a-visit", ("ours-one", "jojogan-one"), "jojogan-one", None, "own", "2026-01-02"),
    PhotoVoteRow("token-of-another", ("ours-one", "jojogan-one"), None, "artist", "ink", "2026-01-03"),
]


@pytest.fixture
def written(tmp_path: Path) -> Exported:
    """An export of a few rows of every kind."""
    return export(tmp_path / "out", votes=VOTES, participants=PEOPLE, photo_votes=QUICK, salt=SALT)


def read_csv(path: Path, table: str) -> list[dict[str, object]]:
    """A CSV as records with the codebook's kinds."""
    kinds = {"text": "string", "integer": "Int64", "yes or no": "boolean"}
    return records(pd.read_csv(path, dtype={item.name: kinds[item.kind] for item in TABLES[table]}))


def records(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Rows with None for missing values."""
    return [
        {name: None if pd.isna(value) else value for name, value in row.items()} for row in frame.to_dict("records")
    ]


def test_three_forms_hold_the_same_rows(written: Exported) -> None:
    names = [path.name for path in written.files]
    assert names == [f"{table}.{form}" for table in TABLES for form in ("csv", "jsonl", "parquet")] + ["CODEBOOK.md"]
    assert sorted(path.name for path in written.folder.iterdir()) == sorted(names), "and no temporary file is left"
    assert written.rows == {"votes": 3, "participants": 2, "quick_votes": 2}
    for table in TABLES:
        stem = written.folder / table
        from_json = [json.loads(line) for line in stem.with_suffix(".jsonl").read_text().splitlines()]
        assert from_json == read_csv(stem.with_suffix(".csv"), table)
        assert from_json == pq.read_table(stem.with_suffix(".parquet")).to_pylist()
        assert len(from_json) == written.rows[table]


def test_values_of_a_vote(written: Exported) -> None:
    rows = [json.loads(line) for line in (written.folder / "votes.jsonl").read_text().splitlines()]
    assert rows[0] == {
        "participant": pseudonym("anna", SALT),
        "group": "viewer",
        "pack": "water",
        "pack_digest": "d" * 64,
        "trial": "t0",
        "place": 1,
        "shown_a": "jojogan-one",
        "shown_b": "jojogan-few",
        "shown_c": "ours-one",
        "shown_d": "ours-few",
        "choice": "ours-few",
        "position": "D",
        "dwell_ms": 4000,
        "app_version": "1.0.0",
        "utc": "2026-01-01T00:00:00.000+00:00",
        "finished": True,
        "flag_quick": True,
        "flag_one_sided": False,
        "flag_check_failed": True,
    }
    assert (rows[1]["choice"], rows[1]["position"], rows[1]["shown_a"]) == (None, None, "ours-few")
    assert (rows[2]["shown_b"], rows[2]["shown_c"], rows[2]["position"], rows[2]["finished"]) == (
        "ours-one",
        None,
        "B",
        False,
    )


def test_values_of_runs_and_photo_votes(written: Exported) -> None:
    people = [json.loads(line) for line in (written.folder / "participants.jsonl").read_text().splitlines()]
    assert [(row["check_passed"], row["finished_utc"] is None) for row in people] == [(False, False), (None, True)]
    assert people[0]["participant"] == pseudonym("anna", SALT), "as in the votes"
    quick = [json.loads(line) for line in (written.folder / "quick_votes.jsonl").read_text().splitlines()]
    assert [(row["choice"], row["position"], row["group"]) for row in quick] == [
        ("jojogan-one", "B", None),
        (None, None, "artist"),
    ]


def test_the_pages_download_leaves_out_who_withdrew_while_it_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.ui.tabs import results_handlers

    study = study_on(tmp_path / "votes.sqlite3", small_pack(tmp_path / "packs"))
    codes, votes = [run_through(study), run_through(study)], study.store.votes

    def and_then_one_withdraws() -> list[VoteRow]:
        found = votes()
        study.withdraw(codes[0])
        return found

    monkeypatch.setattr(study.store, "votes", and_then_one_withdraws)
    monkeypatch.setattr(results_handlers, "STUDY", SimpleNamespace(opened=lambda: study, study=lambda: study))
    monkeypatch.setattr(results_handlers, "why_not_yet", lambda runs: "")
    kept = tmp_path / "kept.zip"
    monkeypatch.setattr(results_handlers, "published", lambda path, session: shutil.copy(path, kept))
    results_handlers.download({"codes": codes}, SimpleNamespace(session_hash="s"))
    with zipfile.ZipFile(kept) as archive:
        assert len(archive.read("votes.jsonl").splitlines()) == 11


def test_typed_columns_also_without_rows(tmp_path: Path) -> None:
    full = export(tmp_path / "full", votes=VOTES, participants=PEOPLE, photo_votes=QUICK, salt=SALT)
    empty = export(tmp_path / "empty", votes=[], participants=[], salt=SALT)
    assert empty.rows == {"votes": 0, "participants": 0, "quick_votes": 0}
    for table in TABLES:
        schemas = [pq.read_schema(made.folder / f"{table}.parquet").remove_metadata() for made in (full, empty)]
        assert schemas[0] == schemas[1]
        header = (empty.folder / f"{table}.csv").read_text().strip()
        assert header.split(",") == schemas[0].names == [item.name for item in TABLES[table]]
        assert (empty.folder / f"{table}.jsonl").read_bytes() == b""


def test_every_column_has_a_codebook_entry_and_every_entry_a_column(written: Exported) -> None:
    text = (written.folder / "CODEBOOK.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (\w+) \([\d,]+ rows?\)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert set(sections) == set(TABLES)
    for table, section in sections.items():
        rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \| (.+) \|$", section, re.MULTILINE)
        columns = pd.read_csv(written.folder / f"{table}.csv").columns
        assert [name for name, *_ in rows] == list(columns)
        for name, kind, meaning, missing in rows:
            assert kind in ("text", "integer", "yes or no") and len(meaning) > 10 and missing, name
    for fact in ("`water`: `dddd", "`toon`: `eeee", "Withdrawn participants are in none", "milliseconds", "ISO 8601"):
        assert fact in text


def test_codebook_says_truly_what_can_be_missing(written: Exported) -> None:
    for table, columns in TABLES.items():
        frame = pq.read_table(written.folder / f"{table}.parquet").to_pandas()
        missing = {name for name in frame if frame[name].isna().any()}
        assert missing == {item.name for item in columns if item.missing != "never missing"}


def test_a_column_unknown_to_the_codebook_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "vote_record", lambda row, salt: {"surprise": 1})
    with pytest.raises(ValueError, match="expected the columns"):
        export(tmp_path, votes=VOTES, participants=PEOPLE, salt=SALT)


def test_every_field_of_the_records_is_exported() -> None:
    """A field that the store learns later must not be forgotten here."""
    same = {
        "trial_key": {"trial"},
        "order": {"shown_a"},
        "flags": {"flag_quick", "flag_one_sided", "flag_check_failed"},
    }
    left_out = {VoteRow: set(), ParticipantRow: {"withdrawn_utc"}, PhotoVoteRow: {"token"}}
    for kind, table in ((VoteRow, "votes"), (ParticipantRow, "participants"), (PhotoVoteRow, "quick_votes")):
        columns = {item.name for item in TABLES[table]}
        for field in dataclasses.fields(kind):
            if field.name not in left_out[kind]:
                assert same.get(field.name, {field.name}) <= columns, f"{kind.__name__}.{field.name}"


def test_withdrawn_participants_are_left_out_whatever_is_passed(tmp_path: Path) -> None:
    gone = person("anna", withdrawn_utc="2026-01-02T00:00:00.000+00:00")
    made = export(tmp_path, votes=VOTES, participants=[gone, PEOPLE[1]], salt=SALT)
    assert made.rows == {"votes": 1, "participants": 1, "quick_votes": 0}
    for path in made.files:
        assert pseudonym("anna", SALT).encode() not in path.read_bytes()
        assert b"d" * 64 not in path.read_bytes()


def test_nothing_written_leads_back_to_a_participant(tmp_path: Path) -> None:
    """Neither codes nor stored identifiers, nor tokens of quick votes; the real store hands them in."""
    study = study_on(tmp_path / "votes.sqlite3", small_pack(tmp_path, trials=3))
    codes = [run_through(study), begin(study), run_through(study)]
    study.withdraw(codes[2])
    study.photo_vote("token-of-a-visit", order=OURS, choice="A", style="ink")
    store = study.store
    made = export(
        tmp_path / "out",
        votes=store.votes(),
        participants=store.participants(withdrawn=True),
        photo_votes=store.photo_votes(),
        salt=SALT,
    )
    assert made.rows == {"votes": 3, "participants": 2, "quick_votes": 1}
    secrets = ["token-of-a-visit", *(row.participant for row in store.participants(withdrawn=True))]
    secrets += [text for code in codes for text in (code, code.replace("-", ""), code.lower())]
    for path in made.files:
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in content], path.name


def test_pseudonyms_are_stable_distinct_and_salted() -> None:
    assert pseudonym("anna", SALT) == pseudonym("anna", SALT)
    assert re.fullmatch(r"[0-9a-f]{16}", pseudonym("anna", SALT))
    assert pseudonym("anna", SALT) != pseudonym("anna", b"another salt 123")
    assert len({pseudonym(f"p{number}", SALT) for number in range(5000)}) == 5000


def test_salt_is_made_once_and_private(own_data_dir: Path, tmp_path: Path) -> None:
    salt = export_salt()
    assert len(salt) == 32 and export_salt() == salt
    (file,) = own_data_dir.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert export_salt(tmp_path / "other.salt") != salt
    made = [export_salt(file)]
    assert made == [salt]


def test_salt_of_many_at_once_is_one(tmp_path: Path) -> None:
    found: list[bytes] = []
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        found.append(export_salt(tmp_path / "new" / "study.salt"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(found)) == 1
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["study.salt"]


@pytest.mark.parametrize("content", ["", "pepper", "abc", "ab" * 15, "\N{SNOWMAN}" * 40])
def test_salt_file_with_something_else(tmp_path: Path, content: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SaltUnusable, match=r"notes\.txt"):
        export_salt(path)
    assert path.read_text(encoding="utf-8") == content


def test_no_salt_no_export(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="need a salt"):
        export(tmp_path / "out", votes=[], participants=[], salt=b"")
    assert not (tmp_path / "out").exists()


def test_a_second_export_replaces_the_first_and_leaves_other_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    export(tmp_path, votes=votes_of(3), participants=[], salt=SALT)
    export(tmp_path, votes=VOTES, participants=[], salt=SALT)
    assert len((tmp_path / "votes.jsonl").read_text().splitlines()) == 3
    assert (tmp_path / "notes.txt").read_text() == "mine"
