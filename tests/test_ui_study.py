"""The Vote and Results tabs without a browser: consent, blinding, lost and doubled answers, withdrawal, photo votes."""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core.config import DRAWING_ARMS
from core.engines.base import EngineDescription
from core.execution.jobs import CompareStyles, Comparison
from core.files import kept_secret
from core.study.analysis.report import report
from core.study.analysis.tables import MINIMUM_CHOICES
from core.study.protocol import codes
from core.study.protocol.flow import CONSENT_VERSION
from core.study.protocol.packs import Pack
from core.study.records import LABELS, Screen
from core.ui.components import consent, status, style_gallery, theme
from core.ui.server import study_pictures, study_service
from core.ui.server.session import ChosenPhoto, CropChoice, Portrait
from core.ui.server.study_service import STUDY
from core.ui.tabs import (
    photo_vote_handlers,
    results_handlers,
    results_views,
    vote_handlers,
    vote_tab,
    vote_views,
)
from core.ui.tabs.events import unchanged
from core.ui.tabs.photo_vote_handlers import PhotoVote
from core.ui.tabs.stylize_handlers import portrait_key
from tests import drawn_pack
from tests.made_votes import votes_of
from tests.study_parts import ARM_TITLES, ARMS
from tests.test_ui_theme import contrast

# Of every consent text that somebody agreed to. A new text needs a new version in flow.py and a line here.
CONSENTS = {
    "1": "56bd806f7c7717bac9918ebce1e74964c2f26f600cf230a64dcc9161cd81f533",
    "2": "4a90d310206ab9e92ad4729abeba8f18b3bf96fbb9fec371b9b81f65ed42ed7c",
}
NAMES = re.compile(r"jojogan|\bours\b|one-shot|few-shot|-one\b|-few\b|brushwork|\bhand\b", re.IGNORECASE)


@pytest.fixture
def pack(own_data_dir: Path) -> Iterator[Pack]:
    """The drawn study is open, in this test's data folder."""
    made = drawn_pack.write(own_data_dir / "packs" / "drawn", side_px=24)
    STUDY.close()
    yield made
    STUDY.close()


def sent(**data: object) -> gr.EventData:
    """What the page sends with an event."""
    return gr.EventData(None, data)


def start(group: str = "viewer") -> tuple[dict[str, Any], str]:
    """Begin a run; return the browser's memory and the stage."""
    page = vote_handlers.begin(None, "drawn", True, group)
    return page.memory, page.stage


def pictures_in(page: str) -> list[str]:
    return re.findall(r'<img[^>]*src="([^"]+)"', page)


def ticket_of(stage: str) -> str:
    """The ticket of the screen that a stage shows."""
    return re.search(r'data-ticket="(\w*)"', stage)[1]


def kind_of(stage: str) -> str:
    """What a stage shows."""
    return re.search(r'data-kind="(\w+)"', stage)[1]


def screen_of(memory: dict[str, Any]) -> Screen:
    """What the study itself would show."""
    return STUDY.study().screen(vote_handlers.current(memory))


def answer(memory: dict[str, Any], stage: str, choice: str | None = "B") -> tuple[Any, ...]:
    """Answer the screen that the stage shows; attention checks as told."""
    screen = screen_of(memory)
    choice = screen.check_label if screen.kind == "check" else choice
    return vote_handlers.choose(memory, sent(ticket=ticket_of(stage), choice=choice, dwell_ms=2000))


def go_to_review(memory: dict[str, Any], stage: str, look: Callable[[str], object] = lambda stage: None) -> str:
    """Answer everything; `look` sees every stage."""
    while kind_of(stage) != "review":
        stage = answer(memory, stage).stage
        look(stage)
    return stage


# --- consent and the way in --------------------------------------------------------------------------------


def test_the_consent_text_belongs_to_its_version() -> None:
    agreed = "\n".join([*(f"{name}: {text}" for name, text in consent.TERMS), consent.AGREE])
    assert CONSENTS[CONSENT_VERSION] == hashlib.sha256(agreed.encode()).hexdigest(), (
        "the consent text changed: raise CONSENT_VERSION in core/study/flow.py and add its sha256 here"
    )


def test_consent_says_what_is_kept_and_what_is_not() -> None:
    text = consent.terms_html()
    for word in ("how long", "group", "date", "Your name", "photo", "withdraw", "voluntary", "published"):
        assert word in text


@pytest.mark.usefixtures("pack")
def test_nobody_starts_without_consent_and_group() -> None:
    for agreed, group, word in ((False, "viewer", "tick the box"), (True, None, "two groups"), (True, "x", "two")):
        page = vote_handlers.begin(None, "drawn", agreed, group)
        assert word in page.notice
        assert page.stage is None
    assert STUDY.opened().store.participants() == []


@pytest.mark.usefixtures("pack")
def test_the_way_in_shows_the_open_sets() -> None:
    page = vote_handlers.open_tab(None)
    assert page.intro["visible"]
    assert ("Drawn faces: 11 photos", "drawn") in page.sets["choices"]
    assert page.stage == ""


@pytest.mark.usefixtures("pack")
def test_a_closed_study_takes_nobody_but_lets_runs_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, stage = start()
    for slug in STUDY.study().packs:
        STUDY.opened().store.set_open(slug, False)
    page = vote_handlers.open_tab(None)
    assert "No vote is open" in page.stage
    assert page.code["visible"], "withdrawing and going on needs a code only"
    assert not page.intro["visible"]
    assert "closed" in vote_handlers.begin(None, "drawn", True, "artist").stage
    assert kind_of(answer(memory, stage).stage) == "trial"


# --- a run -------------------------------------------------------------------------------------------------


def test_a_run_from_start_to_end_names_no_method_before_it_is_finished(pack: Pack) -> None:
    memory, stage = start("artist")
    seen = [stage]
    review = go_to_review(memory, stage, seen.append)
    assert [kind_of(stage) for stage in seen].count("check") == 1
    assert [kind_of(stage) for stage in seen].count("trial") == 11
    for stage in seen:
        assert not NAMES.search(stage)
        assert str(pack.folder) not in stage
        assert not any(path.stem in stage for path in (pack.folder / "files").iterdir()), "published names stay here"
    assert "That was the last one" in review
    done = vote_handlers.finish(memory).stage
    chosen = dict(screen_of(memory).revealed)
    assert sum(chosen.values()) == 11
    for title, count in chosen.items():
        assert re.search(rf"{title}</span>.*?>{count} of 11<", done)
    assert vote_handlers.current(memory) in done
    votes = STUDY.opened().store.votes("drawn")
    assert len(votes) == 11
    assert {vote.group for vote in votes} == {"artist"}
    assert {vote.position for vote in votes} == {1}
    assert {vote.dwell_ms for vote in votes} == {2000}


@pytest.mark.usefixtures("pack")
def test_undecided_votes_stand_apart() -> None:
    memory, stage = start()
    stage = answer(memory, stage, None).stage
    assert [vote.choice for vote in STUDY.opened().store.votes()] == [None]
    go_to_review(memory, stage)
    assert re.search(r"decide</span>.*?>1 of 11<", vote_handlers.finish(memory).stage)


@pytest.mark.usefixtures("pack")
def test_what_a_second_tab_sends_late_changes_nothing_and_says_so() -> None:
    memory, stage = start()
    first = answer(memory, stage, "C")
    for choice, word in (("C", vote_handlers.MOVED_ON), ("A", "another answer already")):
        late = answer(memory, stage, choice)
        assert ticket_of(late.stage) == ticket_of(first.stage) and word in late.stage
    assert [vote.position for vote in STUDY.opened().store.votes()] == [2]


@pytest.mark.usefixtures("pack")
def test_undo_goes_back_one_trial_and_only_from_the_page_that_shows_it() -> None:
    memory, first = start()
    second = answer(memory, first).stage
    third = answer(memory, second).stage
    stale = vote_handlers.undo(memory, sent(ticket=ticket_of(second))).stage
    assert vote_handlers.MOVED_ON in stale
    assert ticket_of(stale) == ticket_of(third)
    back = vote_handlers.undo(memory, sent(ticket=ticket_of(third))).stage
    assert pictures_in(back) == pictures_in(second) != pictures_in(third)
    assert ticket_of(back) != ticket_of(second), "a late copy of an answer that was taken back counts for nothing"
    assert len(STUDY.opened().store.votes()) == 1
    for event in (sent(), sent(ticket=None), sent(ticket=["x"])):
        assert ticket_of(vote_handlers.undo(memory, event).stage) == ticket_of(back)


@pytest.mark.usefixtures("pack")
@pytest.mark.parametrize(
    "data",
    [{}, {"ticket": 5, "choice": "A"}, {"ticket": "x" * 32, "choice": "A"}, {"ticket": "known", "choice": ["A"]},
     {"ticket": "known", "choice": "E"}, {"ticket": "é", "choice": "A"}],
)  # fmt: skip
def test_forged_answers_meet_a_sentence_and_change_nothing(data: dict[str, object]) -> None:
    memory, stage = start()
    if data.get("ticket") == "known":
        data = {**data, "ticket": ticket_of(stage)}
    page = vote_handlers.choose(memory, sent(**data))
    assert ticket_of(page.stage) == ticket_of(stage)
    assert re.search(r'class="st-say"[^>]*>[^<]{20,}<', page.stage)
    assert STUDY.opened().store.votes() == []


@pytest.mark.usefixtures("pack")
@pytest.mark.parametrize("dwell", [None, "long", -1, float("nan"), float("inf"), 1e30, [3]])
def test_a_forged_time_is_taken_for_a_long_one(dwell: object) -> None:
    memory, stage = start()
    vote_handlers.choose(memory, sent(ticket=ticket_of(stage), choice="A", dwell_ms=dwell))
    assert STUDY.opened().store.votes()[0].dwell_ms >= 1_000_000


@pytest.mark.usefixtures("pack")
def test_finishing_early_is_refused_with_a_sentence() -> None:
    memory, _ = start()
    assert "still to be judged" in vote_handlers.finish(memory).stage


# --- coming back, leaving ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("pack")
def test_a_closed_tab_resumes_and_so_does_a_typed_code() -> None:
    memory, stage = start()
    stage = answer(memory, stage).stage
    page = vote_handlers.open_tab(memory)
    assert ticket_of(page.stage) == ticket_of(stage)
    assert "Welcome back" in page.stage
    assert not page.intro["visible"]
    again = vote_handlers.open_tab(memory, f"trial {ticket_of(stage)}")
    assert again.stage is None, "what is selected on the page stays selected"
    assert ticket_of(vote_handlers.open_tab(memory, f"review {ticket_of(stage)}").stage) == ticket_of(stage)
    code = vote_handlers.current(memory)
    elsewhere = vote_handlers.resume(None, f" {code.lower().replace('-', ' ')} ")
    assert ticket_of(elsewhere.stage) == ticket_of(stage)
    assert elsewhere.memory == {"codes": [code]}


@pytest.mark.usefixtures("pack")
def test_a_restarted_server_goes_on_at_the_same_place() -> None:
    memory, stage = start()
    stage = answer(memory, stage).stage
    picture = re.search(r'src="(study/[^"]+)"', stage)[1]
    STUDY.close()
    again = vote_handlers.open_tab(memory).stage
    assert ticket_of(again) == ticket_of(stage)
    assert picture in again


@pytest.mark.usefixtures("pack")
@pytest.mark.parametrize("typed", ["", "ABC", "0000-0000-0000", None])
def test_unknown_codes_meet_a_sentence(typed: str | None) -> None:
    for handler in (vote_handlers.resume, vote_handlers.withdraw_typed):
        page = handler(None, typed)
        assert "code" in page.code_notice
        assert page.stage is None


@pytest.mark.usefixtures("pack")
@pytest.mark.parametrize("typed", ["oil0-oil0-oil0", "0000 0000 000o", " abcd-efgh-jkmn "])
def test_an_unknown_code_is_repeated_as_it_was_typed(typed: str) -> None:
    for handler in (vote_handlers.resume, vote_handlers.withdraw_typed):
        assert f"&#39;{typed.strip()}&#39;" in handler(None, typed).code_notice


@pytest.mark.usefixtures("pack")
def test_a_code_that_is_known_no_more_leads_to_the_way_in() -> None:
    page = vote_handlers.open_tab({"codes": ["0000-0000-0000"]})
    assert page.memory == {"codes": []}
    assert page.intro["visible"]
    assert "We don&#39;t know the code" in page.notice


def test_a_changed_set_of_pictures_ends_the_run_but_its_code_still_withdraws(pack: Pack) -> None:
    memory, stage = start()
    answer(memory, stage)
    drawn_pack.write(pack.folder, side_px=26)
    STUDY.close()
    page = vote_handlers.open_tab(memory)
    code = vote_handlers.current(memory)
    assert page.memory == {"codes": []}
    assert code in page.notice
    assert "1 answer" in vote_handlers.withdraw_typed(page.memory, code).notice


@pytest.mark.usefixtures("pack")
def test_withdrawing_takes_the_answers_out_and_forgets_the_code() -> None:
    memory, stage = start()
    for _ in range(3):
        stage = answer(memory, stage).stage
    page = vote_handlers.withdraw(memory)
    assert "3 answers were taken out" in page.notice
    assert page.memory == {"codes": []}
    assert STUDY.opened().store.votes() == []
    assert "withdrawn" in vote_handlers.open_tab(memory).notice
    assert "start a new one" in vote_handlers.choose({}, sent(ticket="t", choice="A")).notice


@pytest.mark.usefixtures("pack")
def test_several_runs_are_remembered_and_finished_sets_are_marked() -> None:
    memory, stage = start()
    go_to_review(memory, stage)
    vote_handlers.finish(memory)
    page = vote_handlers.again(memory)
    assert any(name == "Drawn faces: 11 photos, done in this browser" for name, _ in page.sets["choices"])
    second = vote_handlers.begin(memory, "drawn", True, "viewer").memory
    assert len(vote_handlers.codes_of(second)) == 2
    assert vote_handlers.current(second) != vote_handlers.current(memory)


@pytest.mark.parametrize(
    "sent", [None, [], "codes", {"codes": "ABC"}, {"codes": [1, None, "", "x" * 99]}, {"other": 1}, {"codes": {"a": 1}}]
)
def test_whatever_else_a_browser_remembers_is_dropped(sent: object) -> None:
    assert vote_handlers.codes_of(sent) == ()
    assert vote_handlers.current(sent) is None


# --- what reaches the browser ------------------------------------------------------------------------------


def test_pictures_have_addresses_that_tell_nothing(pack: Pack) -> None:
    pictures = study_pictures.Pictures([pack], key=b"k" * 32)
    trial = pack.trials[0]
    address = pictures.address(trial.candidates["ours-few"])
    assert re.fullmatch(r"study/picture/[0-9a-f]{32}", address)
    assert trial.candidates["ours-few"].stem not in address
    assert address != study_pictures.Pictures([pack], key=b"l" * 32).address(trial.candidates["ours-few"])
    ahead = pictures.ahead(trial.photo)
    assert list(ahead) == sorted(ahead), "fetched ahead in an order that follows from the key alone"
    assert set(ahead) > {pictures.address(path) for path in trial.candidates.values()}
    with pytest.raises(ValueError, match="picture of an open pack"):
        pictures.address(pack.folder / "pack.json")
    assert pictures.ahead(Path("/elsewhere/a.png")) == ()


def test_pictures_are_served_as_bare_bytes(pack: Pack) -> None:
    pictures = study_pictures.Pictures([pack], key=b"k" * 32)
    client = TestClient(Starlette(routes=[study_pictures.route(lambda: pictures)]))
    path = pack.trials[0].candidates["jojogan-one"]
    reply = client.get("/" + pictures.address(path))
    assert reply.content == path.read_bytes()
    assert reply.headers["content-type"] == "image/png"
    assert not {"last-modified", "etag", "content-disposition"} & set(reply.headers)
    for name in ("0" * 32, "pack.json", "..%2Fpack.json"):
        assert client.get(f"/study/picture/{name}").status_code == 404


@pytest.mark.usefixtures("pack")
def test_events_of_a_run_are_private_pass_the_queue_and_name_no_method() -> None:
    with gr.Blocks() as page:
        runs = vote_tab.memory()
        with gr.Tabs(), gr.Tab("Vote", id=vote_handlers.VOTE_TAB) as vote:
            vote_tab.build(vote, runs)
    assert not NAMES.search(str(page.get_config_file()))
    assert not NAMES.search(str(page.get_api_info()))
    functions = {function.api_name: function for function in page.fns.values()}
    for function in functions.values():
        assert function.api_visibility == "private"
    for name in ("open_tab", "begin", "choose", "undo", "finish", "withdraw", "withdraw_typed", "resume", "again"):
        assert not functions[name].queue, f"{name} must not wait behind a training run"
    assert functions["show"].queue
    assert functions["show"].concurrency_id == "report"


def test_every_screen_has_a_root_of_its_own_and_equal_candidates(pack: Pack) -> None:
    trial = pack.trials[0]
    screen = Screen(
        kind="trial", number=4, of=11, ticket="t", photo=trial.photo, references=trial.references,
        candidates=tuple(trial.candidates[arm] for arm in ARMS), check_label="", can_undo=True, resumed=False,
        pack_title="<b>",
    )  # fmt: skip
    first, second = (vote_views.trial(screen, str, code="K") for _ in range(2))
    assert re.match(r"<(si-\w+)", first)[1] != re.match(r"<(si-\w+)", second)[1]
    groups = [set(re.findall(r'type="radio" name="([^"]+)"', shown)) for shown in (first, second)]
    assert len(groups[0]) == 1
    assert groups[0] != groups[1], "two stages on one page must not share their radio buttons"
    assert [f'aria-label="Portrait {label}"' in first for label in LABELS] == [True] * 4
    assert 'role="radiogroup" aria-label="Select the best portrait"' in first
    assert "<strong>4</strong> of 11" in first
    assert 'aria-valuenow="3"' in first
    two = vote_views.trial(replace(screen, candidates=screen.candidates[:2]), str, code="K")
    assert two.count('class="st-card"') == 2
    assert "<kbd>2</kbd>" in two
    done = replace(screen, kind="finished", revealed=(("<i>", 11),))
    assert "<b>" not in vote_views.finished(done, code="K", others=False)
    assert "&lt;i&gt;" in vote_views.finished(done, code="K", others=False)


def test_the_voting_panel_is_grey_and_readable() -> None:
    sheet = (theme.STATIC / "study.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--st-(\w+): (#[0-9a-f]{6})", sheet))
    assert all(len({colour[i : i + 2] for i in (1, 3, 5)}) == 1 for colour in colours.values()), "grey has no hue"
    assert contrast(colours["white"], colours["ground"]) >= 4.5
    assert contrast(colours["white"], colours["deep"]) >= 4.5
    assert contrast(colours["ground"], colours["deep"]) > 1.4
    panel = [rule for rule in re.findall(r"([^{}]+)\{([^}]*)\}", sheet) if ".st-panel" in rule[0] or ".st-c" in rule[0]]
    assert not [rule for rule in panel if "accent" in rule[1]], "no colour of ours near the pictures"
    selectors = re.sub(r"/\*.*?\*/|\{[^{}]*\}", "", sheet, flags=re.DOTALL)
    inside = [part for part in re.findall(r":\w+\(([^()]*)\)", selectors) if "," in part]
    assert not inside, "Gradio cuts selectors at every comma"


# --- secrets -----------------------------------------------------------------------------------------------


def test_secrets_last_as_long_as_the_data_folder(own_data_dir: Path) -> None:
    first = kept_secret(own_data_dir / "a.key")
    assert len(first) == 32
    assert kept_secret(own_data_dir / "a.key") == first
    assert kept_secret(own_data_dir / "b.key") != first
    assert stat.S_IMODE((own_data_dir / "a.key").stat().st_mode) == 0o600
    assert sorted(path.name for path in own_data_dir.iterdir()) == ["a.key", "b.key"]


def test_the_browsers_memory_survives_a_lost_disk_where_votes_do(
    own_data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = study_service.browser_secret()
    assert study_service.browser_secret() == here
    monkeypatch.setenv("STYLEIDENTITY_DATA", str(tmp_path / "new"))
    assert study_service.browser_secret() != here
    monkeypatch.setenv("STYLEIDENTITY_VOTES_DATASET", "owner/votes")
    durable = study_service.browser_secret()
    monkeypatch.setenv("STYLEIDENTITY_DATA", str(tmp_path / "newer"))
    assert study_service.browser_secret() == durable


@pytest.mark.usefixtures("pack")
def test_the_status_line_says_where_votes_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    about = EngineDescription("fewshot_gan", "mini", "Built-in model", "0" * 16, 256, "cpu", "float32")
    studio = SimpleNamespace(describe=lambda engine=None: about)
    assert "Votes are kept" not in status.describe(studio), "not known yet"
    STUDY.opened()
    assert "Votes are kept on this machine only." in status.describe(studio)
    STUDY.close()
    monkeypatch.setenv("STYLEIDENTITY_VOTES_DATASET", "owner/votes")
    STUDY.opened()
    assert "set HF_TOKEN" in status.describe(studio)
    STUDY.close()
    monkeypatch.setattr(study_service, "find_packs", lambda: 1 / 0)
    STUDY._try_to_open()
    assert "Votes can&#39;t be kept just now." in status.describe(studio)
    monkeypatch.undo()
    STUDY.opened()
    assert "just now" not in status.describe(studio)


# --- results -----------------------------------------------------------------------------------------------


def results_of(runs: object, leave_out: bool) -> tuple[Any, Any, Any]:
    """What is shown: headline and figure, settings, tables and notes."""
    page = results_handlers.show(runs, leave_out)
    assert page.column["visible"] == bool(page.top)
    return page.top, page.settings, page.body


def close_every_study() -> None:
    for pack in STUDY.study().packs_open():
        STUDY.opened().store.set_open(pack.slug, False)


@pytest.mark.usefixtures("pack")
def test_results_wait_during_a_run() -> None:
    memory, stage = start()
    top, settings, body = results_of(memory, False)
    assert not settings["visible"] and top == body == ""
    with pytest.raises(gr.Error, match="middle of a run"):
        results_handlers.download(memory, SimpleNamespace(session_hash="s"))
    go_to_review(memory, stage)
    assert results_of(memory, False)[0] == ""
    vote_handlers.finish(memory)
    assert "No results yet: 1 finished" in results_of(memory, False)[0]
    assert "No results yet: 1 finished" in results_of({"codes": [*memory["codes"], "0000-0000-0000"]}, False)[0]


@pytest.mark.usefixtures("pack")
@pytest.mark.parametrize("runs", [None, {"codes": []}, {"codes": ["0000-0000-0000"]}])
def test_results_wait_for_the_own_choices(runs: dict[str, list[str]] | None) -> None:
    top, settings, body = results_of(runs, False)
    assert not settings["visible"] and top == body == ""
    with pytest.raises(gr.Error, match="The results show once"):
        results_handlers.download(runs, SimpleNamespace(session_hash="s"))
    close_every_study()
    assert "No results yet: 0 finished" in results_of(runs, False)[0]


@pytest.mark.usefixtures("pack")
def test_results_with_enough_votes(monkeypatch: pytest.MonkeyPatch) -> None:
    close_every_study()
    votes = votes_of(40, seed=3, pack="drawn")
    monkeypatch.setattr(type(STUDY.opened().store), "votes", lambda self, pack=None: votes)
    top, settings, body = results_of(None, False)
    made = report(votes, titles={"drawn": "Drawn faces"})
    assert made.headline in top
    assert top.count("data:image/png;base64,") == 2
    assert re.search(r'class="on-light"[^>]*alt="Bar chart[^"]*Ours, few-shot', top)
    assert settings["visible"]
    assert "Drawn faces" in body
    assert "48.74 %" in body
    assert "counts are unknown" in body
    shares = {row.title: f"{100 * row.share:.1f} %" for row in made.main_table.results}
    for title, share in shares.items():
        assert re.search(rf"{title}</th><td><strong>{share}</strong>", body)


def test_results_say_who_was_left_out_and_which_table_still_waits() -> None:
    votes = votes_of(30, seed=1)
    votes = [replace(row, flags=frozenset({"quick"})) if row.participant in ("p0", "p1") else row for row in votes]
    votes = [replace(row, finished=False) if row.participant == "p2" else row for row in votes]
    shown = results_views.head(report(votes, flagged=True))
    assert "2 people answered in a hurry, one-sidedly or inattentively: counted." in shown
    assert "1 person still on the way: not counted." in shown
    strict = report(votes, flagged=False)
    assert "left out." in results_views.head(strict)
    body = results_views.tables(strict)
    waiting = [table.withheld for table in strict.tables if table.withheld]
    assert waiting
    assert all(sentence in body for sentence in waiting)
    assert body.count("<td>–</td>") >= 5


def test_results_escape_titles_of_owners_packs() -> None:
    shown = results_views.tables(report(votes_of(40, seed=3), titles={"water": "<img src=x>"}))
    assert "<img" not in shown


def test_results_of_different_sets_are_joined_by_strength() -> None:
    votes = [
        *votes_of(30, seed=1, pack="a", pack_digest="a"),
        *votes_of(
            30, seed=2, pack="b", pack_digest="b", name="q", arms=("ours-one", "ours-few"), preferences=(0.4, 0.5, 0.1)
        ),
    ]
    assert "All sets together" in results_views.joint(report(votes))
    assert results_views.joint(report(votes[:330])) == ""


def test_results_of_a_set_wait_until_it_was_voted_on(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(pack, slug="other", title="Other faces", arms=pack.arms[:2])
    monkeypatch.setattr(study_service, "find_packs", lambda: {pack.slug: pack, other.slug: other})
    memory, stage = start()
    go_to_review(memory, stage)
    vote_handlers.finish(memory)
    votes = [
        *votes_of(20, seed=3, pack=pack.slug),
        *votes_of(20, name="q", pack="other", pack_digest="e" * 64, arms=ARMS[:2], preferences=(0.4, 0.5, 0.1)),
    ]
    monkeypatch.setattr(type(STUDY.opened().store), "votes", lambda self, pack=None: votes)
    top, _, body = results_of(memory, False)
    assert (
        "Results of these sets show once you have voted on them too: Other faces." in top and 'data-pick="vote"' in top
    )
    assert "220 choices" in top and "Other faces" not in body
    STUDY.opened().store.set_open("other", False)
    top, _, body = results_of(memory, False)
    assert "voted on them too" not in top and "440 choices" in top and "Other faces" in body


@pytest.mark.usefixtures("pack")
def test_photo_votes_are_shown_apart() -> None:
    close_every_study()
    for number in range(100):
        choice = "A" if number % 4 else None
        STUDY.study().photo_vote(f"token-{number:03}", order=ARMS, choice=choice, style="ink-line")
    STUDY.study().photo_vote("token-alone", order=ARMS[2:], choice="B", style="watercolour")
    top, _, body = results_of(None, False)
    assert "No results yet: 0 finished" in top
    assert "Quick votes on own photos: Ink line" in body and "Quick votes on own photos: Watercolour" in body
    assert re.search(r"JoJoGAN, one-shot</th><td><strong>75.0 %</strong>", body)
    assert re.search(r"Can&#39;t decide</th><td>25.0 %", body)
    assert "99 more choices are needed" in body and "They count in no other table." in body


@pytest.mark.usefixtures("pack")
def test_the_download_holds_all_forms_under_pseudonyms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zipfile

    memory, stage = start()
    go_to_review(memory, stage)
    vote_handlers.finish(memory)
    kept: list[Path] = []

    def keep(path: str, session: str) -> str:
        kept.append(Path(path).rename(tmp_path / "kept.zip"))
        return str(kept[-1])

    monkeypatch.setattr(results_handlers, "published", keep)
    update = results_handlers.download(memory, SimpleNamespace(session_hash="s"))
    assert update["value"] == str(tmp_path / "kept.zip")
    with zipfile.ZipFile(kept[0]) as archive:
        names = set(archive.namelist())
        votes = archive.read("votes.csv").decode()
    assert {"votes.csv", "votes.jsonl", "votes.parquet", "participants.csv", "CODEBOOK.md"} <= names
    bare = codes.normalised(vote_handlers.current(memory))
    assert votes.count("\n") == 12
    assert bare not in votes
    assert codes.participant_id(bare) not in votes


# --- photo votes -------------------------------------------------------------------------------------------


@pytest.fixture
def arms_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Styles of four methods for "pencil", of three for "chalk", of one for "ink"."""
    files = [
        tmp_path / "arms" / slug / f"{arm}.safetensors"
        for slug, arms in (("pencil", ARMS), ("chalk", ARMS[:3]), ("ink", ARMS[:1]))
        for arm in arms
    ]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"style")
    monkeypatch.setattr(photo_vote_handlers, "arms_folders", lambda: (tmp_path / "none", tmp_path / "arms"))
    shades = {arm: 40 * number for number, arm in enumerate(ARMS, start=1)}

    def draw(job: CompareStyles) -> Comparison:
        drawn = [shades.get(path.stem, 10 + round(99 * job.options.brush)) for path in job.style_paths]
        return Comparison(job.face, None, tuple(Image.new("L", (16, 16), shade) for shade in drawn))

    monkeypatch.setattr(photo_vote_handlers, "EXECUTOR", SimpleNamespace(result=draw))
    styles = {"oil": SimpleNamespace(has_brushwork=True), "flat": SimpleNamespace(has_brushwork=False)}
    monkeypatch.setattr(
        style_gallery, "find", lambda slug, mine: style_gallery.FoundStyle(slug, Path(slug)) if slug in styles else None
    )
    monkeypatch.setattr(photo_vote_handlers, "LOCAL", SimpleNamespace(style_at=lambda path: styles[path.name]))
    return tmp_path / "arms"


@pytest.fixture
def panel() -> PhotoVote:
    """The panel of photo votes."""
    with gr.Blocks():
        return PhotoVote(gr.Accordion(), gr.HTML(), gr.State(), gr.State())


def compare(panel: PhotoVote, slug: str = "pencil") -> tuple[str, photo_vote_handlers.Ballot]:
    """Draw the comparison of a photo whose portrait is there already."""
    photo = ChosenPhoto("p.png", "p.png", 16, 16, "data:,")
    crop = CropChoice()
    key, face = portrait_key(photo, crop, None), SimpleNamespace(image=Image.new("RGB", (16, 16), "red"))
    shown = panel.compare(photo, Portrait(key, face, None), crop, slug)
    return shown[panel.stage], shown[panel.ballot]


@pytest.mark.usefixtures("arms_here")
def test_a_comparison_is_offered_only_where_there_is_something_to_compare() -> None:
    assert list(photo_vote_handlers.arm_styles("pencil")) == list(ARMS)
    assert list(photo_vote_handlers.arm_styles("chalk")) == list(ARMS[:3])
    assert list(photo_vote_handlers.compared("pencil")) == list(ARMS)
    with_and_without = photo_vote_handlers.compared("oil")
    assert {arm: options.brush for arm, (_, options) in with_and_without.items()} == {"generator": 0, "hand": 1}
    for slug in ("ink", "flat", "nothing", "../pencil", "", None, "my-123"):
        assert photo_vote_handlers.compared(slug) == {}


@pytest.mark.usefixtures("arms_here")
def test_the_panel_comes_with_a_portrait_and_stays_while_it_is_the_same(panel: PhotoVote) -> None:
    photo, file = ChosenPhoto("p.png", "p.png", 16, 16, "data:,"), {"path": "portrait.png"}
    assert panel.offer(None, photo, CropChoice(), "pencil", None, None) == unchanged()
    assert panel.offer(file, photo, CropChoice(), "ink", None, None) == unchanged()
    assert panel.offer(file, photo, CropChoice(), "pencil", "another", None) == unchanged(), (
        "the methods are of our engine"
    )
    shown = panel.offer(file, photo, CropChoice(), "pencil", None, None)
    assert shown[panel.panel]["visible"]
    assert (shown[panel.stage], shown[panel.ballot]) == ("", None)
    offered = shown[panel.offered]
    assert panel.offer(file, photo, CropChoice(), "pencil", None, offered) == unchanged()
    assert panel.offer(file, photo, CropChoice("aligned"), "pencil", None, offered)[panel.stage] == ""
    gone = panel.offer(None, photo, CropChoice(), "pencil", None, offered)
    assert gone[panel.offered] is None
    assert not gone[panel.panel]["visible"]


def test_nothing_is_offered_without_the_methods_styles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_vote_handlers, "ASSETS_DIR", tmp_path / "missing")
    assert photo_vote_handlers.arm_styles("pencil") == {}
    assert photo_vote_handlers.arms_folders()[0] == tmp_path / "missing" / "study" / "arms"


@pytest.mark.usefixtures("arms_here", "pack")
def test_a_photo_vote_is_blind_stored_once_and_leaves_no_picture(panel: PhotoVote, own_data_dir: Path) -> None:
    stage, ballot = compare(panel)
    assert not NAMES.search(re.sub(r"base64,[^\"]+", "", stage))
    assert stage.count("data:image/png;base64,") == 5
    assert sorted(ballot.order) == sorted(ARMS)
    shown = panel.vote(ballot, None, sent(ticket=ballot.token, choice="B", dwell_ms=5))
    done = shown[panel.stage]
    assert shown[panel.ballot] is None
    assert "Thank you" in done
    assert not NAMES.search(done), "somebody who may still take part learns no method"
    panel.vote(ballot, None, sent(ticket=ballot.token, choice="C"))
    (row,) = STUDY.opened().store.photo_votes()
    assert row.choice == ballot.order[1]
    assert row.style == "pencil"
    assert STUDY.opened().store.votes() == [], "quick votes stand apart from the study's"
    pictures = [path for path in own_data_dir.rglob("*.png") if "packs" not in path.parts]
    assert pictures == []


@pytest.mark.usefixtures("arms_here", "pack")
def test_whose_drawings_they_were_is_told_after_a_finished_run(panel: PhotoVote) -> None:
    memory, stage = start()
    review = go_to_review(memory, stage)
    stage, ballot = compare(panel, "chalk")
    assert stage.count('class="st-card"') == 3
    assert not NAMES.search(panel.vote(ballot, memory, sent(ticket=ballot.token, choice=None))[panel.stage])
    assert kind_of(review) == "review"
    vote_handlers.finish(memory)
    _, ballot = compare(panel)
    told = panel.vote(ballot, memory, sent(ticket=ballot.token, choice="A"))[panel.stage]
    for label, arm in zip(LABELS, ballot.order, strict=True):
        assert f"<b>{label}</b> {ARM_TITLES[arm]}" in told


@pytest.mark.usefixtures("arms_here", "pack")
def test_a_style_of_one_file_is_compared_with_and_without_brushwork(panel: PhotoVote) -> None:
    stage, ballot = compare(panel, "oil")
    pictures = re.findall(r'class="st-card".*?(data:image/png;base64,[^"]+)', stage, re.DOTALL)
    assert len(set(pictures)) == 2 and not NAMES.search(re.sub(r"base64,[^\"]+", "", stage))
    panel.vote(ballot, None, sent(ticket=ballot.token, choice="A"))
    (row,) = STUDY.opened().store.photo_votes()
    assert (row.style, row.choice, sorted(row.order)) == ("oil", ballot.order[0], ["generator", "hand"])
    (table,) = report((), [row] * MINIMUM_CHOICES).quick
    assert {result.title for result in table.results} == set(DRAWING_ARMS.values())


@pytest.mark.usefixtures("arms_here", "pack")
def test_a_forged_or_late_photo_vote_is_not_stored(panel: PhotoVote) -> None:
    _, ballot = compare(panel)
    for given, data in (
        (None, {"ticket": ballot.token, "choice": "A"}),
        (ballot, {"ticket": "other", "choice": "A"}),
        (ballot, {"ticket": ballot.token, "choice": "E"}),
        (ballot, {}),
    ):
        assert "over" in panel.vote(given, None, sent(**data))[panel.stage]
    assert STUDY.opened().store.photo_votes() == []
    with pytest.raises(gr.Error, match="Draw your portrait first"):
        panel.compare(None, None, CropChoice(), "pencil")
