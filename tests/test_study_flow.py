"""A participant's way, its stored orders, blinding, undo, resume, withdrawal and closed studies."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.errors import ParticipantWithdrawn, StudyClosed, UnknownPack, UnknownParticipant, VoteRejected
from core.study.analysis.report import report
from core.study.protocol import codes
from core.study.protocol.flow import CONSENT_VERSION, MAX_DWELL_MS, Study
from core.study.protocol.packs import Pack
from core.study.records import LABELS, PackCard, Screen
from core.study.storage.store import Store
from tests.study_parts import ARM_TITLES, ARMS, answer, begin, kept_open, run_through, small_pack, study_on


def arms_shown(pack: Pack, screen: Screen) -> tuple[str, ...]:
    """What only the server knows: the arms behind a screen's candidates."""
    arm_of = {path: arm for trial in pack.trials for arm, path in trial.candidates.items()}
    return tuple(arm_of[path] for path in screen.candidates)


def trial_shown(pack: Pack, screen: Screen) -> str:
    """Key of the trial behind a screen."""
    return next(trial.key for trial in pack.trials if trial.photo == screen.photo)


def test_a_whole_run_with_one_check_and_everything_stored_as_shown(study: Study, pack: Pack) -> None:
    code = begin(study, group="artist")
    assert len(code) == 12
    screen, shown, checks = study.screen(code), [], 0
    while screen.kind != "review":
        assert (screen.of, screen.pack_title, screen.resumed, screen.revealed) == (11, "Small", False, ())
        assert len(screen.candidates) == 4 and len(screen.references) == 2
        assert screen.number == len(shown) + 1
        assert screen.can_undo == bool(shown)
        if screen.kind == "check":
            checks += 1
            assert 4 <= len(shown) <= 8
            assert screen.check_label in LABELS
            assert arms_shown(pack, screen) == shown[-1][1], "it shows what was just judged"
            screen = study.choose(code, screen.ticket, screen.check_label, 3000)
            continue
        assert screen.check_label == ""
        choice = [*LABELS, None][len(shown) % 5]
        shown.append((trial_shown(pack, screen), arms_shown(pack, screen), choice))
        screen = study.choose(code, screen.ticket, choice, 2000 + len(shown))
    assert checks == 1
    assert sorted(key for key, _, _ in shown) == sorted(trial.key for trial in pack.trials)
    assert (screen.number, screen.candidates, screen.photo, screen.can_undo) == (11, (), None, True)

    screen = study.finish(code)
    assert (screen.kind, screen.ticket, screen.can_undo) == ("finished", "", False)
    chosen = Counter(arms[LABELS.index(choice)] for _, arms, choice in shown if choice)
    assert screen.revealed == tuple((ARM_TITLES[arm], chosen[arm]) for arm in ARMS)

    votes = study.store.votes("small")
    assert [(vote.trial_key, vote.order) for vote in votes] == [(key, arms) for key, arms, _ in shown]
    for number, (vote, (_, arms, choice)) in enumerate(zip(votes, shown, strict=True), start=1):
        assert vote.position == (None if choice is None else LABELS.index(choice))
        assert vote.choice == (None if choice is None else arms[vote.position])
        assert (vote.dwell_ms, vote.finished, vote.group) == (2000 + number, True, "artist")
        assert (vote.pack, vote.pack_digest, vote.app_version) == ("small", pack.digest, "test")
    run = study.store.run(votes[0].participant)
    assert [(screen.trial_key, screen.order) for screen in run.assignments] == [(key, arms) for key, arms, _ in shown]
    (person,) = study.store.participants()
    assert (person.check_passed, person.flags, person.consent_version) == (True, frozenset(), CONSENT_VERSION)


def test_neither_screens_nor_tickets_nor_paths_tell_an_arm(study: Study, pack: Pack) -> None:
    words = [*ARMS, *ARM_TITLES.values(), "jojo", "ours", "shot", "few"]
    listed, firsts = [], []
    for _ in range(3):
        code = begin(study)
        screen = study.screen(code)
        while screen.kind != "review":
            told = " ".join([screen.ticket, *(str(path.relative_to(pack.folder)) for path in screen.candidates)])
            whole = repr(dataclasses.replace(screen, photo=None, references=(), candidates=())) + told
            assert not [word for word in words if word.lower() in whole.lower()]
            assert len({path.stat().st_size for path in screen.candidates}) == 1
            if screen.kind == "trial":
                arms = arms_shown(pack, screen)
                firsts.append(arms[0])
                listed.append(tuple(sorted(arms, key=lambda arm: screen.candidates[arms.index(arm)].name)))
            screen = study.choose(code, screen.ticket, screen.check_label or "A", 2000)
    assert len(set(firsts)) == 4 and len(set(listed)) > 5, "neither place nor name goes with an arm"


def test_tickets_differ_between_screens_and_participants(study: Study) -> None:
    tickets = []
    for _ in range(2):
        code = begin(study)
        screen = study.screen(code)
        while screen.kind != "review":
            tickets.append(screen.ticket)
            screen = study.choose(code, screen.ticket, screen.check_label or "B", 2000)
        tickets.append(screen.ticket)
    assert len(set(tickets)) == len(tickets) == 26


def test_two_hundred_participants_see_every_arm_equally_often_in_every_place(study: Study, pack: Pack) -> None:
    places, by_group, firsts = Counter(), Counter(), Counter()
    with kept_open(study):
        runs = [begin(study, group="artist" if number % 2 else "viewer") for number in range(200)]
    for number, code in enumerate(runs):
        group = "artist" if number % 2 else "viewer"
        run = study.store.run(codes.participant_id(code))
        firsts[run.assignments[0].trial_key] += 1
        for screen in run.assignments:
            for place, arm in enumerate(screen.order):
                places[arm, place] += 1
                by_group[group, arm, place] += 1
    assert places == dict.fromkeys(((arm, place) for arm in ARMS for place in range(4)), 200 * 11 // 4)
    assert set(by_group.values()) == {100 * 11 // 4}
    assert len(firsts) == 11 and max(firsts.values()) < 40, "18 each on average"


def test_the_same_ticket_counts_once(study: Study) -> None:
    code = begin(study)
    first = study.screen(code)
    second = study.choose(code, first.ticket, "C", 3000)
    assert study.choose(code, first.ticket, "C", 9000) == second
    with pytest.raises(VoteRejected, match="another answer already"):
        study.choose(code, first.ticket, "D", 3000)
    with pytest.raises(VoteRejected, match="another answer already"):
        study.choose(code, first.ticket, None, 3000)
    (vote,) = study.store.votes()
    assert (vote.position, vote.dwell_ms) == (2, 3000)
    assert len(study.store.events_after(0)) == 2


def test_only_the_screen_on_show_can_be_answered(study: Study) -> None:
    code, other = begin(study), begin(study)
    screen = study.screen(code)
    later = codes.ticket(code, "2", undone=0)
    for ticket, words in [
        (later, "yet to come"),
        (codes.ticket(code, "check", undone=0), "yet to come"),
        (codes.ticket(code, "review", undone=0), "belongs to another run"),
        (study.screen(other).ticket, "belongs to another run"),
        ("", "belongs to another run"),
        ("größer", "belongs to another run"),
    ]:
        with pytest.raises(VoteRejected, match=words):
            study.choose(code, ticket, "A", 2000)
    with pytest.raises(VoteRejected, match="choose one of A, B, C, D"):
        study.choose(code, screen.ticket, "E", 2000)
    assert study.store.votes() == []


def test_a_pending_check_comes_before_the_next_trial(study: Study) -> None:
    code = begin(study)
    screen = study.screen(code)
    while screen.kind == "trial":
        screen = study.choose(code, screen.ticket, LABELS[screen.number % 4], 2000)
    with pytest.raises(VoteRejected, match="yet to come"):
        study.choose(code, codes.ticket(code, str(screen.number), undone=0), "A", 2000)
    wrong = "A" if screen.check_label != "A" else "B"
    after = study.choose(code, screen.ticket, wrong, 800)
    assert after.kind in ("trial", "review")
    assert study.choose(code, screen.ticket, wrong, 800) == after
    with pytest.raises(VoteRejected, match="has an answer already"):
        study.choose(code, screen.ticket, screen.check_label, 800)
    assert study.store.participants()[0].check_passed is False
    assert {vote.flags for vote in study.store.votes()} == {frozenset({"check-failed"})}


def test_two_arms_offer_two_letters(tmp_path: Path) -> None:
    study = study_on(tmp_path / "votes.sqlite3", small_pack(tmp_path, trials=2, arms=ARMS[2:]))
    code = begin(study)
    screen = study.screen(code)
    assert len(screen.candidates) == 2
    with pytest.raises(VoteRejected, match="choose one of A, B, or say"):
        study.choose(code, screen.ticket, "C", 2000)
    answer(study, code)
    assert [title for title, _ in study.finish(code).revealed] == ["Ours, one-shot", "Ours, few-shot"]


def test_going_back_reopens_the_last_trial_and_keeps_what_was_said(study: Study, pack: Pack) -> None:
    code = begin(study)
    first = study.screen(code)
    with pytest.raises(VoteRejected, match="nothing to go back to"):
        study.undo(code, first.ticket)
    second = study.choose(code, first.ticket, "A", 3000)
    again = study.undo(code, second.ticket)
    assert (again.candidates, again.number, again.can_undo) == (first.candidates, 1, False)
    assert study.undo(code, second.ticket) == again, "the same step sent twice goes back once"
    study.choose(code, again.ticket, "D", 5000)
    (vote,) = study.store.votes()
    assert (vote.choice, vote.position, vote.dwell_ms) == (arms_shown(pack, first)[3], 3, 5000)
    kinds = [event.kind for event in study.store.events_after(0)]
    assert kinds == ["begun", "voted", "undone", "voted"]


def test_a_late_copy_of_an_answer_that_was_taken_back_is_not_taken_again(study: Study) -> None:
    code = begin(study)
    first = study.screen(code)
    second = study.choose(code, first.ticket, "A", 3000)
    third = study.choose(code, second.ticket, "B", 3000)
    again = study.undo(code, third.ticket)
    assert again.ticket != second.ticket and again.candidates == second.candidates
    with pytest.raises(VoteRejected, match="turn is over"):
        study.choose(code, second.ticket, "B", 3000)
    assert len(study.store.votes()) == 1
    assert study.choose(code, first.ticket, "A", 3000) == again, "an answer that stands may come once more"
    study.undo(code, again.ticket)
    assert study.undo(code, again.ticket).number == 1, "and a step back is one step"
    assert study.choose(code, study.screen(code).ticket, "C", 3000).number == 2


def test_going_back_from_the_check_and_past_it(study: Study) -> None:
    code = begin(study)
    screen = study.screen(code)
    while screen.kind == "trial":
        screen = study.choose(code, screen.ticket, "A", 2000)
    answered = screen.number - 1
    back = study.undo(code, screen.ticket)
    assert (back.kind, back.number) == ("trial", answered)
    check = study.choose(code, back.ticket, "B", 2000)
    assert check.kind == "check"
    after = study.choose(code, check.ticket, check.check_label, 2000)
    back = study.undo(code, after.ticket)
    assert (back.kind, back.number) == ("trial", answered)
    assert study.choose(code, back.ticket, "C", 2000).kind != "check", "one check per run"


def test_back_to_the_very_first_trial_and_forth_again(study: Study) -> None:
    code = begin(study)
    answer(study, code)
    for left in range(11, 0, -1):
        assert study.undo(code, study.screen(code).ticket).number == left
    with pytest.raises(VoteRejected, match="nothing to go back to"):
        study.undo(code, study.screen(code).ticket)
    assert study.store.votes() == []
    assert answer(study, code, lambda screen: "B").kind == "review"
    assert {vote.position for vote in study.store.votes()} == {1}


def test_finishing_needs_every_answer_and_ends_all_changes(study: Study) -> None:
    code = begin(study)
    with pytest.raises(VoteRejected, match="11 pictures are still to be judged"):
        study.finish(code)
    first = study.screen(code)
    answer(study, code)
    finished = study.finish(code)
    assert study.finish(code) == finished
    assert study.choose(code, first.ticket, "A", 2000) == finished, "a repeated answer is no change"
    with pytest.raises(VoteRejected, match="another answer already"):
        study.choose(code, first.ticket, "B", 2000)
    with pytest.raises(VoteRejected, match="answers stay as they are"):
        study.undo(code, first.ticket)
    assert [event.kind for event in study.store.events_after(0)].count("finished") == 1


def test_a_run_finished_elsewhere_takes_no_more_answers(study: Study) -> None:
    code = begin(study)
    first = study.screen(code)
    with study.store.atomic() as transaction:  # as a merge can leave it: the end is here, an answer is not
        transaction.record("finished", {"participant": codes.participant_id(code)})
    with pytest.raises(VoteRejected, match="turn is over"):
        study.choose(code, first.ticket, "A", 2000)
    assert study.screen(code).kind == "finished"


def test_a_check_after_the_last_trial_holds_up_the_end(tmp_path: Path) -> None:
    study = study_on(tmp_path / "votes.sqlite3", small_pack(tmp_path, trials=3))
    code = begin(study)
    for _ in range(3):
        screen = study.choose(code, study.screen(code).ticket, "A", 2000)
    assert (screen.kind, screen.number) == ("check", 3)
    with pytest.raises(VoteRejected, match="one more screen is waiting"):
        study.finish(code)
    assert study.choose(code, screen.ticket, None, 2000).kind == "review"
    assert study.finish(code).kind == "finished"


def test_resumes_in_another_process_where_it_stopped(study: Study, pack: Pack) -> None:
    code = begin(study)
    screen = study.screen(code)
    for _ in range(3):
        screen = study.choose(code, screen.ticket, "A", 2000)
    later = Study(Store(study.store.path), {"small": pack}, app_version="newer")
    spoken = f" {codes.shown(code).lower().replace('0', 'o').replace('1', 'l')} "
    resumed = later.screen(spoken)
    assert resumed == dataclasses.replace(screen, resumed=True)
    later.choose(code, screen.ticket, "B", 2000)
    assert [vote.app_version for vote in later.store.votes()] == ["test"] * 3 + ["newer"]


def test_codes_are_random_and_stored_nowhere(study: Study) -> None:
    code = run_through(study)
    assert codes.normalised(codes.shown(code)) == code
    assert len({codes.new_code() for _ in range(100)}) == 100
    assert all(codes.normalised(wrong) is None for wrong in ("", "ABC", code + "0", code[:-1] + "U", "ß" * 12))
    stored = b"".join(path.read_bytes() for path in study.store.path.parent.iterdir())
    assert codes.participant_id(code).encode() in stored
    assert code.encode() not in stored and codes.shown(code).encode() not in stored


@pytest.mark.parametrize("wrong", ["", "nobody", "0000-0000-0000", "x" * 5000])
def test_unknown_codes_get_a_sentence(study: Study, wrong: str) -> None:
    for step in (
        study.screen,
        lambda code: study.undo(code, "t"),
        study.finish,
        study.withdraw,
        lambda code: study.choose(code, "t", "A", 1),
    ):
        with pytest.raises(UnknownParticipant, match="We don't know the code") as refusal:
            step(wrong)
        assert len(str(refusal.value)) < 120


def test_withdrawing_takes_every_vote_out_and_keeps_the_facts(study: Study) -> None:
    stays, leaves = run_through(study), begin(study)
    for _ in range(2):
        study.choose(leaves, study.screen(leaves).ticket, "A", 2000)
    assert len(study.store.votes()) == 13
    assert study.withdraw(codes.shown(leaves)) == 2
    assert study.withdraw(leaves) == 2
    assert {vote.participant for vote in study.store.votes("small")} == {codes.participant_id(stays)}
    assert [person.participant for person in study.store.participants()] == [codes.participant_id(stays)]
    everyone = study.store.participants(withdrawn=True)
    assert [person.withdrawn_utc is not None for person in everyone] == [False, True]
    assert [event.kind for event in study.store.events_after(0)].count("withdrawn") == 1
    for step in (
        study.screen,
        lambda code: study.undo(code, "t"),
        study.finish,
        lambda code: study.choose(code, "t", "A", 1),
    ):
        with pytest.raises(ParticipantWithdrawn, match="count nowhere"):
            step(leaves)
    assert study.withdraw(stays) == 11
    assert study.store.votes() == []


def test_a_withdrawn_runs_row_is_given_out_again(study: Study) -> None:
    first = begin(study)
    study.withdraw(first)
    orders = [study.store.run(codes.participant_id(code)).assignments[0].order for code in (first, begin(study))]
    assert orders[0] == orders[1]


def test_studies_of_most_methods_come_first(pack: Pack, tmp_path: Path) -> None:
    two = dataclasses.replace(pack, slug="a-small-one", arms=pack.arms[:2])
    study = study_on(tmp_path / "votes.sqlite3", two, pack)
    assert [card.slug for card in study.packs_open()] == ["small", "a-small-one"]


def test_a_closed_study_lets_runs_end_and_takes_no_new_ones(study: Study) -> None:
    assert study.packs_open() == [PackCard("small", "Small", 11)]
    code = begin(study)
    assert study.packs_hidden_from([]) == study.packs_hidden_from([code]) == (PackCard("small", "Small", 11),)
    study.store.set_open("small", False)
    study.store.set_open("small", False)
    assert study.packs_open() == []
    with pytest.raises(StudyClosed, match="'Small' is closed"):
        begin(study)
    answer(study, code)
    study.finish(code)
    assert len(study.store.votes()) == 11
    assert study.packs_hidden_from([]) == (), "a closed study has nobody left to sway"
    study.store.set_open("small", True)
    assert begin(study)
    assert [event.payload["open"] for event in study.store.events_after(0) if event.kind == "study"] == [False, True]


def test_results_of_a_study_only_after_an_own_run_through_it(pack: Pack, tmp_path: Path) -> None:
    other = dataclasses.replace(pack, slug="other", title="Other", arms=pack.arms[:2])
    study = study_on(tmp_path / "votes.sqlite3", pack, other)
    done, midway = run_through(study), begin(study)
    for code in (done, codes.shown(done)):
        assert study.packs_hidden_from([midway, code]) == (PackCard("other", "Other", 11),)
    for none in ([], [midway], ["nobody"], ["0" * 12]):
        assert [card.slug for card in study.packs_hidden_from(none)] == ["small", "other"]
    study.withdraw(done)
    assert [card.slug for card in study.packs_hidden_from([done])] == ["small", "other"]


def test_beginning_needs_a_study_a_group_and_the_consent_in_force(study: Study) -> None:
    with pytest.raises(UnknownPack, match=r"no study 'other' here\. Choose one of these: small"):
        study.begin("other", group="viewer", consent_version=CONSENT_VERSION)
    with pytest.raises(VoteRejected, match="consent text has changed"):
        study.begin("small", group="viewer", consent_version="0")
    with pytest.raises(VoteRejected, match="good at portrait drawing"):
        study.begin("small", group="judge", consent_version=CONSENT_VERSION)
    assert study.store.participants() == []


def test_a_rebuilt_pack_ends_running_runs_and_spares_finished_ones(study: Study, tmp_path: Path) -> None:
    done, midway = run_through(study), begin(study)
    for packs in ({"small": small_pack(tmp_path / "new", first=60)}, {}):
        changed = Study(study.store, packs, app_version="test")
        with pytest.raises(VoteRejected, match="pictures were changed after you began"):
            changed.screen(midway)
        assert changed.screen(done).revealed == study.screen(done).revealed
    assert changed.withdraw(midway) == 0


def test_other_arms_than_the_papers_go_all_the_way(tmp_path: Path) -> None:
    """Arms are a pack's own: votes, reveal, report and the store hold them as they hold the paper's."""
    pack = small_pack(tmp_path, trials=10, arms=("wash", "dry-brush"), arm_titles={"wash": "Wash and ink"})
    study = study_on(tmp_path / "votes.sqlite3", pack)
    shown = [study.screen(run_through(study, choice=lambda screen: "AB"[screen.number % 2])) for _ in range(10)]
    assert all([title for title, _ in screen.revealed] == ["dry-brush", "Wash and ink"] for screen in shown)
    votes = study.store.votes()
    assert {vote.order for vote in votes} == {("wash", "dry-brush"), ("dry-brush", "wash")}
    made = report(votes, titles={"small": "Small"}, arm_titles={"small": pack.arm_titles}, resamples=50)
    assert {row.title for row in made.main_table.results} == {"dry-brush", "Wash and ink"}
    assert made.headline.startswith(f"{made.main_table.ranked[0].title}: preferred in ")


@pytest.mark.parametrize(
    ("given", "stored"), [(-5, 0), (0, 0), (1234.9, 1234), (MAX_DWELL_MS + 1, MAX_DWELL_MS), (1e18, MAX_DWELL_MS)]
)
def test_dwell_times_are_clipped(study: Study, given: float, stored: int) -> None:
    code = begin(study)
    study.choose(code, study.screen(code).ticket, "A", given)
    assert study.store.votes()[0].dwell_ms == stored


@pytest.mark.parametrize("given", [math.nan, math.inf])
def test_a_dwell_time_is_a_number(study: Study, given: float) -> None:
    code = begin(study)
    with pytest.raises(ValueError, match="dwell_ms is a number"):
        study.choose(code, study.screen(code).ticket, "A", given)


def test_photo_votes_stand_apart_and_count_once(study: Study) -> None:
    token = "9f8e7d6c5b4a"
    for choice in ("B", "C"):
        study.photo_vote(token, order=ARMS[::-1], choice=choice, style="watercolour", group="viewer")
    study.photo_vote("another-token", order=ARMS[:2], choice=None, style="own")
    first, second = study.store.photo_votes()
    assert (first.token, first.order, first.choice, first.group) == (token, ARMS[::-1], "ours-one", "viewer")
    assert (second.choice, second.style, second.group) == (None, "own", None)
    assert study.store.votes() == []
    with pytest.raises(VoteRejected, match="choose one of A, B, or"):
        study.photo_vote("third-token", order=ARMS[:2], choice="C", style="own")
    for wrong in ({"style": "My mother's face"}, {"token": ""}, {"order": ("ours-one",) * 2}, {"group": "judge"}):
        with pytest.raises(ValueError, match="got"):
            study.photo_vote(**({"token": "fourth-token", "order": ARMS, "choice": "A", "style": "own"} | wrong))
    assert len(study.store.photo_votes()) == 2


def test_a_photo_vote_knows_the_group_of_the_browsers_latest_run(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    import gradio as gr

    from core.ui.tabs import photo_vote_handlers

    monkeypatch.setattr(photo_vote_handlers, "STUDY", SimpleNamespace(study=lambda: study))
    panel = photo_vote_handlers.PhotoVote(gr.Accordion(), gr.HTML(), gr.State(), gr.State())
    runs = [begin(study, group="viewer"), begin(study, group="artist")]
    for number, known in enumerate(([], runs[:1], runs, ["unknown"])):
        ballot = photo_vote_handlers.Ballot(f"a-token-{number}", ARMS, "ink")
        panel.vote(ballot, {"codes": known}, gr.EventData(None, {"ticket": ballot.token, "choice": "A"}))
    assert [row.group for row in study.store.photo_votes()] == [None, "viewer", "artist", None]
    study.withdraw(runs[1])
    assert study.group_of(runs[1]) is None
