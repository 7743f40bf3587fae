"""Visitors' folders and uploads: nobody else's, found again by their own tab, and gone when it is."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio import processing_utils

from core.errors import DiskFull
from core.ui.friendly_errors import PageProblem
from core.ui.server import gradio_adapter, uploads, visitors
from core.ui.server.session import MyStyle
from core.ui.server.visitors import IDLE_S, KEEP_S, Sessions, sessions_dir


class Clock:
    """A monotonic clock that the test sets."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(clock)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, own_data_dir: Path, clock: Clock) -> Iterator[uploads.UploadFolder]:
    """An open upload folder; Gradio's own setting is put back afterwards."""
    monkeypatch.delenv(uploads.UPLOAD_FOLDER_ENV, raising=False)
    opened = uploads.UploadFolder(clock)
    opened.open()
    yield opened
    opened.close()


def own_style(folder: Path, slug: str = "my-1", title: str = "Ink") -> MyStyle:
    """A style in its own folder, as training leaves it."""
    (folder / slug).mkdir()
    path = folder / slug / "ink.safetensors"
    path.write_bytes(b"weights")
    return MyStyle(slug, title, 4, "data:,", str(path))


# --- whose folder ------------------------------------------------------------------------------------------


def test_a_folder_is_private_and_its_name_tells_nothing(sessions: Sessions) -> None:
    path = sessions.folder("../../etc/passwd")
    assert path.parent == sessions_dir() and path.is_dir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert path == sessions.folder("../../etc/passwd")
    assert path != sessions.folder("another")
    assert len(path.name) == 32 and "passwd" not in path.name


def test_a_folder_can_t_be_worked_out_without_the_server_s_secret(
    sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = sessions.folder("abc").name
    assert Sessions().folder("abc").name == here, "the secret outlives the process"
    monkeypatch.setenv("STYLEIDENTITY_DATA", str(tmp_path / "elsewhere"))
    assert Sessions().folder("abc").name != here


def test_callers_without_a_session_share_nothing(sessions: Sessions) -> None:
    assert sessions.folder(None) != sessions.folder(None)
    assert sessions.folder("") != sessions.folder("")


def test_a_tab_finds_its_styles_after_a_reload_and_a_restart(sessions: Sessions) -> None:
    key, other = "k" * 32, "x" * 32
    sessions.adopt("first", key)
    made = own_style(sessions.folder("first"))
    sessions.keep_style(made)
    sessions.adopt("after-reload", key)
    assert sessions.styles("after-reload") == (made,)
    restarted = Sessions()
    restarted.adopt("after-restart", key)
    assert restarted.styles("after-restart") == (made,)
    restarted.adopt("stranger", other)
    assert restarted.styles("stranger") == ()
    assert restarted.styles(key) == (), "the key is no session"


@pytest.mark.parametrize("key", [None, 7, "", "short", "x" * 81, ["k" * 32]])
def test_other_keys_are_ignored(sessions: Sessions, key: object) -> None:
    before = sessions.name_of("abc")
    sessions.adopt("abc", key)
    assert sessions.name_of("abc") == before


def test_damaged_cards_and_missing_files_are_left_out(sessions: Sessions) -> None:
    folder = sessions.folder("abc")
    for number in range(4):
        sessions.keep_style(own_style(folder, f"my-{number}"))
    (folder / "my-0" / "card.json").write_text("{")
    (folder / "my-1" / "card.json").write_text('{"slug": 1}')
    (folder / "my-2" / "ink.safetensors").unlink()
    assert [style.slug for style in sessions.styles("abc")] == ["my-3"]


def test_a_style_is_removed_and_that_is_undone(sessions: Sessions) -> None:
    folder = sessions.folder("abc")
    made = [own_style(folder, f"my-{number}") for number in range(3)]
    for style in made:
        sessions.keep_style(style)
    assert not sessions.remove_style("stranger", "my-1"), "only the visitor's own"
    assert sessions.remove_style("abc", "my-1")
    assert sessions.styles("abc") == (made[0], made[2])
    assert not sessions.remove_style("abc", "my-1")
    assert not sessions.undo_remove("stranger", "my-1")
    assert sessions.undo_remove("abc", "my-1")
    assert sessions.styles("abc") == tuple(made)


def test_only_the_last_removal_can_be_undone(sessions: Sessions) -> None:
    removed: list[Path] = []
    sessions.when_removed(removed.append)
    folder = sessions.folder("abc")
    for number in range(3):
        sessions.keep_style(own_style(folder, f"my-{number}"))
    for slug in ("my-0", "my-1"):
        assert sessions.remove_style("abc", slug)
    assert removed == [folder / "my-0"] and not removed[0].exists(), "what nobody can reach takes no space"
    assert not sessions.undo_remove("abc", "my-0")
    assert sessions.undo_remove("abc", "my-1")
    sessions.remove_style("abc", "my-2")
    sessions.keep_style(MyStyle("my-2", "Ink", 1, "", str(folder / "my-2" / "ink.safetensors")))
    sessions.remove_style("abc", "my-1")
    assert [style.slug for style in sessions.styles("abc")] == ["my-2"], "a style that is used again stays"


def test_a_card_leads_nowhere_else(sessions: Sessions) -> None:
    style = own_style(sessions.folder("abc"))
    sessions.keep_style(style)
    card = Path(style.path).with_name("card.json")
    card.write_text(card.read_text().replace("ink.safetensors", "../../../secret"))
    assert sessions.styles("abc") == ()


def test_no_space_for_a_folder_gets_a_sentence(sessions: Sessions, own_data_dir: Path) -> None:
    sessions.name_of("abc")
    sessions_dir().write_bytes(b"a file where the folder should be")
    with pytest.raises(DiskFull):
        sessions.folder("abc")


# --- the end -----------------------------------------------------------------------------------------------


def test_a_folder_outlives_its_tab_for_a_while(sessions: Sessions, clock: Clock) -> None:
    folder = sessions.folder("abc")
    (folder / "portrait.png").write_bytes(b"1")
    clock.now_s += KEEP_S + 1
    sessions.sweep()
    assert folder.is_dir(), "an open tab keeps its folder"
    sessions.leave("abc")
    clock.now_s += KEEP_S - 1
    sessions.sweep()
    assert folder.is_dir(), "a phone may come back"
    clock.now_s += 2
    sessions.sweep()
    assert not folder.exists()


def test_a_visitor_who_comes_back_stays(sessions: Sessions, clock: Clock) -> None:
    folder = sessions.folder("abc")
    sessions.leave("abc")
    clock.now_s += KEEP_S - 1
    sessions.folder("abc")
    clock.now_s += KEEP_S
    sessions.sweep()
    assert folder.is_dir()


def test_callers_that_never_say_goodbye_go_as_well(sessions: Sessions, clock: Clock) -> None:
    folder = sessions.folder(None)
    clock.now_s += IDLE_S + 1
    sessions.sweep()
    assert not folder.exists()


@pytest.mark.parametrize("jump_s", [-400 * 86400.0, 400 * 86400.0])
def test_a_clock_that_is_set_deletes_nothing(
    sessions: Sessions, clock: Clock, jump_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sessions.folder("abc")
    sessions.keep_style(own_style(folder))
    left = sessions.folder("gone")
    sessions.leave("gone")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + jump_s)
    os.utime(folder, (now - jump_s, now - jump_s))
    sessions.sweep()
    assert len(sessions.styles("abc")) == 1 and left.is_dir()
    clock.now_s += KEEP_S + 1
    sessions.sweep()
    assert len(sessions.styles("abc")) == 1 and not left.exists()


def test_folders_of_earlier_processes_get_their_hour_too(sessions: Sessions, clock: Clock) -> None:
    before, used = sessions.folder("before"), sessions.folder("used")
    os.utime(before, (0, 0))
    restarted = Sessions(clock)
    restarted.sweep()
    assert before.is_dir(), "its tab may be open and come back"
    clock.now_s += KEEP_S - 1
    os.utime(used)  # another process with the same data folder is alive
    restarted.sweep()
    clock.now_s += 2
    restarted.sweep()
    assert not before.exists() and used.is_dir()


def test_a_visitor_who_comes_back_during_the_sweep_breaks_nothing(sessions: Sessions, clock: Clock) -> None:
    class ForgottenAtOnce(dict):
        def __setitem__(self, name: str, seen: object) -> None:
            self.pop(name, None)

    folder = sessions.folder("before")
    restarted = Sessions(clock)
    restarted._orphans = ForgottenAtOnce()
    restarted.sweep()
    assert folder.is_dir()


def test_a_duplicated_tab_keeps_the_folder_of_both(sessions: Sessions, clock: Clock) -> None:
    for session in ("one", "copy"):
        sessions.adopt(session, "k" * 32)
    folder = sessions.folder("one")
    sessions.leave("copy")
    clock.now_s += KEEP_S + 1
    sessions.sweep()
    assert folder.is_dir(), "its other tab is open"
    sessions.leave("one")
    clock.now_s += KEEP_S + 1
    sessions.sweep()
    assert not folder.exists()


def test_those_who_listen_hear_of_a_deleted_folder(sessions: Sessions, clock: Clock) -> None:
    heard: list[Path] = []
    sessions.when_removed(heard.append)
    folder = sessions.folder("abc")
    sessions.leave("abc")
    clock.now_s += KEEP_S + 1
    sessions.sweep()
    assert heard == [folder]


# --- training runs -----------------------------------------------------------------------------------------


def test_stopping_reaches_the_own_runs_only(sessions: Sessions) -> None:
    mine, other, second = sessions.begin_run("a"), sessions.begin_run("b"), sessions.begin_run("a")
    assert len({mine, other, second}) == 3
    sessions.end_run("a", second)
    assert sessions.stop_runs("a") == 1
    assert mine.exists() and not other.exists() and not second.exists()
    sessions.end_run("a", mine)
    assert sessions.stop_runs("a") == 0 and not mine.exists()


def test_two_tabs_of_one_key_stop_their_own_runs(sessions: Sessions) -> None:
    for session in ("one", "two"):
        sessions.adopt(session, "k" * 32)
    one, two = sessions.begin_run("one"), sessions.begin_run("two")
    assert one.parent == two.parent
    sessions.stop_runs("two")
    assert two.exists() and not one.exists()


def test_a_run_that_outlives_its_tab_is_stopped_by_the_next_session_of_the_tab(sessions: Sessions) -> None:
    for session in ("before", "after"):
        sessions.adopt(session, "k" * 32)
    flag = sessions.begin_run("before", outlives_tab=True)
    sessions.leave("before")
    assert not flag.exists()
    assert sessions.stop_runs("after") == 1 and flag.exists()
    sessions.end_run("before", flag, outlives_tab=True)
    assert sessions.stop_runs("after") == 0


def test_leaving_and_the_end_of_the_server_stop_runs(sessions: Sessions) -> None:
    one, two = sessions.begin_run("a"), sessions.begin_run("b")
    sessions.leave("a")
    assert one.exists() and not two.exists()
    assert sessions.stop_all() == 2
    assert two.exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_no_flag_doesn_t_break_the_stop(
    sessions: Sessions, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions.begin_run("a")

    def touch(path: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "touch", touch)
    assert sessions.stop_all() == 1


# --- uploads -----------------------------------------------------------------------------------------------


def upload(folder: uploads.UploadFolder, content: bytes = b"photo") -> Path:
    """A file where Gradio puts uploads."""
    assert folder.path is not None
    path = folder.path / processing_utils.hash_bytes(content) / "photo.png"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def test_uploads_live_in_the_data_folder(folder: uploads.UploadFolder, own_data_dir: Path) -> None:
    assert folder.path is not None
    assert folder.path.is_relative_to(own_data_dir.resolve())
    assert gradio_adapter.upload_folder() == folder.path
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_an_upload_s_address_can_t_be_worked_out_from_the_file(folder: uploads.UploadFolder) -> None:
    import hashlib

    content = b"a well-known picture"
    assert processing_utils.hash_bytes(content) != hashlib.sha256(content).hexdigest()
    assert len(processing_utils.hash_seed) >= gradio_adapter.MIN_SALT_BYTES


def test_a_salt_that_was_cut_off_is_replaced(
    monkeypatch: pytest.MonkeyPatch, own_data_dir: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(processing_utils, "hash_seed", b"")
    monkeypatch.setenv(uploads.UPLOAD_FOLDER_ENV, str(tmp_path / "chosen"))
    opened = uploads.UploadFolder(clock)
    path = opened.open()
    try:
        assert path.parent == tmp_path / "chosen", "a folder that was asked for is kept to"
        assert len(processing_utils.hash_seed) >= gradio_adapter.MIN_SALT_BYTES
    finally:
        opened.close()
    assert os.environ[uploads.UPLOAD_FOLDER_ENV] == str(tmp_path / "chosen")


def test_only_uploads_are_taken(folder: uploads.UploadFolder, own_data_dir: Path) -> None:
    path = upload(folder)
    assert uploads.uploaded_path({"path": str(path)}, "abc") == str(path)
    assert uploads.uploaded_path(None) is None
    secret = own_data_dir / "votes.sqlite3"
    secret.write_bytes(b"1")
    for forged in (
        {"path": str(secret)},
        {"path": "/etc/hostname"},
        {"path": f"{folder.path}/../../votes.sqlite3"},
        {"path": "relative.png"},
        {"path": f"{path}\0.png"},
        {"path": 7},
        {"url": str(path)},
        str(path),
        [str(path)],
    ):
        with pytest.raises(PageProblem, match="not uploaded here"):
            uploads.uploaded_path(forged, "abc")


def test_a_link_out_of_the_folder_is_refused(folder: uploads.UploadFolder) -> None:
    assert folder.path is not None
    link = folder.path / "link.png"
    link.symlink_to("/etc/hostname")
    with pytest.raises(PageProblem, match="not uploaded here"):
        uploads.uploaded_path({"path": str(link)})


def test_galleries_and_lists_of_files_are_unpacked(folder: uploads.UploadFolder) -> None:
    path = str(upload(folder))
    assert uploads.uploaded_paths([{"image": {"path": path}, "caption": None}, {"path": path}], None) == [path, path]
    assert uploads.uploaded_paths({"path": path}, None) == [path]
    with pytest.raises(PageProblem):
        uploads.uploaded_paths([{"image": {"path": "/etc/hostname"}}], None)


def test_uploads_go_with_the_last_visitor_who_uses_them(
    folder: uploads.UploadFolder, sessions: Sessions, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "SESSIONS", sessions)
    mine, shared = upload(folder, b"mine"), upload(folder, b"shared")
    for session, path in (("a", mine), ("a", shared), ("b", shared)):
        uploads.uploaded_path({"path": str(path)}, session)
    sessions.leave("a")
    clock.now_s += KEEP_S + 1
    sessions.sweep()
    assert not mine.exists() and not mine.parent.exists()
    assert shared.exists()
    sessions.leave("b")
    clock.now_s += KEEP_S + 1
    sessions.sweep()
    assert not shared.exists()


def test_what_is_in_use_stays_fresh(
    folder: uploads.UploadFolder, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "SESSIONS", sessions)
    path = upload(folder)
    uploads.uploaded_path({"path": str(path)}, "a")
    os.utime(path, (0, 0))
    sessions.sweep()
    assert time.time() - path.stat().st_mtime < 60, "Gradio deletes by age"


def test_a_result_is_published_without_its_folder(
    folder: uploads.UploadFolder, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "SESSIONS", sessions)
    own = sessions.folder("a") / "portrait-ink.png"
    own.write_bytes(b"picture")
    shown = Path(uploads.published(own, "a", "portrait"))
    assert shown.read_bytes() == b"picture" and shown.name == own.name
    assert shown.parent.parent == folder.path and len(shown.parent.name) == 64


def test_of_each_kind_of_result_the_last_two_stay(
    folder: uploads.UploadFolder, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "SESSIONS", sessions)

    def publish(content: bytes, session: str = "a", what: str = "portrait") -> Path:
        own = sessions.folder(session) / "portrait.png"
        own.write_bytes(content)
        return Path(uploads.published(own, session, what))

    first, style, second = publish(b"1"), publish(b"style", what="my-1"), publish(b"2")
    assert publish(b"2", session="b") == second, "another visitor drew the very same"
    assert publish(b"2") == second and first.exists(), "the same again is no third"
    third = publish(b"3")
    assert not first.exists() and second.exists() and third.exists() and style.exists()
    publish(b"4")
    assert second.exists(), "the other visitor still uses it"
    sessions.show("b", third, "portrait")
    sessions.show("b", style, "portrait")
    assert not second.exists() and style.exists()


def test_files_that_nobody_uses_go_after_a_while(folder: uploads.UploadFolder, clock: Clock) -> None:
    assert folder.path is not None
    part, shown, used = folder.path / "tmp1", upload(folder, b"shown"), upload(folder, b"used")
    part.write_bytes(b"half a photo")
    for path in (part, shown, used):
        os.utime(path, (0, 0))  # whatever the clock said when they came
    for step_s, left in (
        (0.0, {part, shown, used}),
        (uploads.BROKEN_UPLOAD_S + 1, {shown, used}),
        (uploads.UNCLAIMED_S + 1, {used}),
    ):
        clock.now_s += step_s
        folder.sweep({str(used)})
        assert {path for path in (part, shown, used) if path.exists()} == left
    assert not shown.parent.exists()


def test_a_folder_that_vanishes_during_the_sweep_is_passed_over(
    folder: uploads.UploadFolder, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, old, scan = upload(folder, b"gone").parent, upload(folder, b"old"), os.scandir

    def scandir(path: str | Path) -> object:
        if str(path) == str(gone):  # a number for those that are being deleted
            shutil.rmtree(gone, ignore_errors=True)
        return scan(path)

    folder.sweep()
    clock.now_s += uploads.UNCLAIMED_S + 1
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        folder.sweep()
    assert not gone.exists() and not old.exists()


def test_a_file_that_was_sent_again_stays(folder: uploads.UploadFolder, clock: Clock) -> None:
    path = upload(folder)
    folder.sweep()
    clock.now_s += uploads.UNCLAIMED_S
    os.utime(path)
    folder.sweep()
    clock.now_s += 10
    folder.sweep()
    assert path.exists()


def test_the_folder_of_a_killed_process_is_cleared(folder: uploads.UploadFolder, own_data_dir: Path) -> None:
    assert folder.path is not None
    alive, dead = folder.path, folder.path.parent / "0123456789abcdef"
    (dead / "hash").mkdir(parents=True)
    (dead / "hash" / "face.png").write_bytes(b"1")
    dead.with_suffix(".lock").touch()
    uploads._clear_abandoned(folder.path.parent)
    assert alive.is_dir() and not dead.exists() and not dead.with_suffix(".lock").exists()


def test_closing_leaves_nothing(own_data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(uploads.UPLOAD_FOLDER_ENV, raising=False)
    opened = uploads.UploadFolder(clock)
    path = opened.open()
    assert opened.open() == path, "opening twice changes nothing"
    (path / "photo.png").write_bytes(b"1")
    opened.close()
    assert list((own_data_dir / "uploads").iterdir()) == []
    assert uploads.UPLOAD_FOLDER_ENV not in os.environ


def test_the_process_has_one_of_each() -> None:
    assert isinstance(visitors.SESSIONS, Sessions) and uploads.UPLOADS.path is None


def test_a_visitor_can_have_everything_deleted_at_once(sessions: Sessions, folder: uploads.UploadFolder) -> None:
    assert folder.path is not None
    gone: list[Path] = []
    sessions.when_removed(gone.append)
    mine, theirs, shared = (folder.path / name / "photo.png" for name in "abc")
    for path in (mine, theirs, shared):
        path.parent.mkdir()
        path.touch()
    sessions.keep_style(own_style(sessions.folder("abc")))
    sessions.keep_style(own_style(sessions.folder("another")))
    for session, path in (("abc", mine), ("another", theirs), ("abc", shared), ("another", shared)):
        sessions.claim(session, path)
    flag = sessions.begin_run("abc")
    own = sessions.folder("abc")
    sessions.forget("abc")
    assert list(own.iterdir()) == [flag] and gone == [own], "the run that is to end has yet to see that"
    sessions.end_run("abc", flag)
    assert not flag.exists()
    assert not mine.exists() and theirs.exists() and shared.exists(), "what somebody else uses stays"
    assert sessions.styles("abc") == () and len(sessions.styles("another")) == 1
    assert sessions.folder("abc").is_dir(), "the visitor may go on"
    sessions.forget("nobody")
