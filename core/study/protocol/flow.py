"""A participant's way through a study: consent, group, blind trials, one attention check, review, the end.

Every step reads where the run stands and decides inside one transaction of the store, so a step that is sent twice,
from two tabs or after a restart never counts twice. Screens name no arm before the run is finished.
"""

from __future__ import annotations

import hmac
import math
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from core.errors import ParticipantWithdrawn, Sentence, StudyClosed, UnknownPack, UnknownParticipant, VoteRejected
from core.reports import as_json
from core.study.protocol import codes, design
from core.study.protocol.packs import Pack
from core.study.records import (
    CHECK,
    GROUPS,
    LABELS,
    MAX_DWELL_MS,
    REVIEW,
    Group,
    PackCard,
    Run,
    Screen,
    are_arms,
    arm_title,
    arms_in_order,
    is_slug,
)
from core.study.storage.store import Store, Transaction

CONSENT_VERSION = "2"
ECHO_LENGTH = 40  # of a typed code, in a sentence


class Study:
    """What the page and the command line call. Every method raises `core.errors` with a sentence for the visitor.

    Args:
        packs: by slug, see `core.study.protocol.packs.find_packs`.
        app_version: stored with every vote.
    """

    def __init__(self, store: Store, packs: Mapping[str, Pack], *, app_version: str) -> None:
        self.store = store
        self.packs = dict(packs)
        self.app_version = app_version

    def packs_open(self) -> list[PackCard]:
        """Return the studies that take new participants, those that compare most methods first."""
        packs = sorted(self.packs.items(), key=lambda item: (-len(item[1].arms), item[0]))
        return [PackCard(slug, pack.title, len(pack.trials)) for slug, pack in packs if self.store.is_open(slug)]

    def begin(self, pack_slug: str, *, group: Group, consent_version: str) -> str:
        """Start a run, draw and store all its orders, and return the participant's code (12 characters).

        The code is stored nowhere: it is the participant's only way to resume or withdraw.
        """
        pack = self.packs.get(pack_slug)
        if pack is None:
            raise UnknownPack(str(pack_slug)[:64], ", ".join(self.packs))
        if consent_version != CONSENT_VERSION:
            raise VoteRejected("the consent text has changed. Read it again and agree to it, then start.")
        if group not in GROUPS:
            raise VoteRejected("say first whether you are good at portrait drawing, then start.")
        code = codes.new_code()
        with self.store.atomic() as transaction:
            if not transaction.is_open(pack.slug):
                raise StudyClosed(pack.title)
            row0 = design.next_row(len(pack.arms), transaction.row_use(pack.digest, group))
            begun = {
                "participant": codes.participant_id(code),
                "group": group,
                "pack": pack.slug,
                "pack_digest": pack.digest,
                "consent_version": consent_version,
                "app_version": self.app_version,
                "row0": row0,
            }
            drawn = design.draw(pack, row0, np.random.default_rng(secrets.randbits(128)))
            transaction.record("begun", begun | as_json(drawn))
        return code

    def screen(self, code: str) -> Screen:
        """Return what the participant sees now; also how a closed tab resumes."""
        bare = _bare(code)
        run = _usable(self.store.run(codes.participant_id(bare)), code)
        return self._screen(bare, run, resumed=run.answered > 0)

    def choose(self, code: str, ticket: str, choice: str | None, dwell_ms: float) -> Screen:
        """Take the answer to the screen that the ticket names: "A" to "D", or None for "can't decide".

        The same answer with the same ticket is taken once; another answer needs `undo` first.

        Args:
            dwell_ms: time from showing the screen to the answer, from a clock that never jumps.
        """

        def step(transaction: Transaction, bare: str, run: Run) -> None:
            name, undone = _screen_named(bare, run, ticket)
            on_show = undone == run.undone and name == run.next_screen and not run.finished
            if name == CHECK:
                _answer_check(transaction, run, choice, _dwell(dwell_ms), on_show=on_show)
            else:
                self._answer_trial(transaction, run, name, choice, _dwell(dwell_ms), on_show=on_show)

        return self._after(code, step)

    def undo(self, code: str, ticket: str) -> Screen:
        """Take the last answer back and show its trial again; the answer taken back is kept apart.

        Args:
            ticket: of the screen on which the participant went back, so that a step sent twice goes back once.
        """

        def step(transaction: Transaction, bare: str, run: Run) -> None:
            if run.finished:
                raise VoteRejected("this run is finished, so its answers stay as they are.")
            on_show = codes.ticket(bare, run.next_screen, undone=run.undone)
            if not hmac.compare_digest(ticket.encode(), on_show.encode()):
                return
            last = run.last_answered
            if last is None:
                raise VoteRejected("this is the first picture, so there is nothing to go back to.")
            vote = run.answers[last.trial_key].uuid
            undone = {"participant": run.participant, "trial_key": last.trial_key, "vote": vote}
            transaction.record("undone", undone)

        return self._after(code, step)

    def finish(self, code: str) -> Screen:
        """Confirm the whole run after its last trial; from then on nothing changes and results may be seen."""

        def step(transaction: Transaction, bare: str, run: Run) -> None:
            if run.finished:
                return
            if run.next_screen != REVIEW:
                raise VoteRejected(_still_to_do(len(run.assignments) - run.answered))
            transaction.record("finished", {"participant": run.participant})

        return self._after(code, step)

    def withdraw(self, code: str) -> int:
        """Take a run out of every result, finished or not; what was recorded stays, marked as withdrawn.

        Returns:
            How many votes no longer count; the same number when it is asked again.
        """
        participant = codes.participant_id(_bare(code))
        with self.store.atomic() as transaction:
            run = transaction.run(participant)
            if run is None:
                raise UnknownParticipant(_echo(code))
            if not run.withdrawn:
                transaction.record("withdrawn", {"participant": participant})
            return run.answered

    def packs_hidden_from(self, run_codes: Iterable[str]) -> tuple[PackCard, ...]:
        """Return the open studies that none of these runs has finished: their results could still sway this visitor."""
        runs = [self.store.run(codes.participant_id(bare)) for bare in map(codes.normalised, run_codes) if bare]
        done = {run.pack for run in runs if run is not None and run.finished and not run.withdrawn}
        return tuple(card for card in self.packs_open() if card.slug not in done)

    def group_of(self, code: str) -> Group | None:
        """Return what a participant said of themselves at the beginning; None for no run or a withdrawn one."""
        bare = codes.normalised(code)
        run = self.store.run(codes.participant_id(bare)) if bare else None
        return None if run is None or run.withdrawn else run.group

    def photo_vote(
        self,
        token: str,
        *,
        order: Sequence[str],
        choice: str | None,
        style: str,
        group: Group | None = None,
    ) -> None:
        """Take a vote on a visitor's own photo, which is kept nowhere. The same token again changes nothing.

        Args:
            token: random name of the comparison, made by the page.
            order: arms in the order shown, A first.
            style: slug of a ready-made style, "own" for a visitor's: names that visitors type are not stored.
            group: what the visitor said in a run of the study, see `group_of`.
        """
        if not are_arms(tuple(order)):
            raise ValueError(f"order needs 2 to {len(LABELS)} different arms, got {tuple(order)}")
        if not is_slug(style) or not 8 <= len(token) <= 64 or group not in (None, *GROUPS):
            raise ValueError(f"got token {token!r}, style {style!r}, group {group!r}")
        position = _position(choice, len(order))
        vote = {
            "token": token,
            "order": list(order),
            "choice": None if position is None else order[position],
            "position": position,
            "style": style,
            "group": group,
            "app_version": self.app_version,
        }
        with self.store.atomic() as transaction:
            if not transaction.has_photo_vote(token):
                transaction.record("quick", vote)

    def _after(self, code: str, step: Callable[[Transaction, str, Run], None]) -> Screen:
        """Take one step of a run in one transaction, and return the screen that it leads to."""
        bare = _bare(code)
        who = codes.participant_id(bare)
        with self.store.atomic() as transaction:
            step(transaction, bare, _usable(transaction.run(who), code))
            return self._screen(bare, _usable(transaction.run(who), code), resumed=False)

    def _answer_trial(
        self, transaction: Transaction, run: Run, name: str, choice: str | None, dwell_ms: int, *, on_show: bool
    ) -> None:
        assignment = run.assignment(name)
        position = _position(choice, len(assignment.order))
        arm = None if position is None else assignment.order[position]
        given = run.answers.get(assignment.trial_key)
        if given is not None:
            if given.choice != arm:
                raise VoteRejected("this picture has another answer already. Go back to it to change that.")
            return
        if not on_show:
            raise VoteRejected("this picture's turn is over or yet to come. Reload the page to go on.")
        transaction.record(
            "voted",
            {
                "participant": run.participant,
                "trial_key": assignment.trial_key,
                "pack_digest": run.pack_digest,
                "order": list(assignment.order),
                "choice": arm,
                "position": position,
                "dwell_ms": dwell_ms,
                "app_version": self.app_version,
            },
        )

    def _screen(self, code: str, run: Run, *, resumed: bool) -> Screen:
        """Build the screen of a run that has not been withdrawn; it names no arm before the run is finished.

        Raises:
            VoteRejected: the study's pictures are no longer those that the run began with.
        """
        pack, of = self.packs.get(run.pack), len(run.assignments)
        title = pack.title if pack else run.pack
        if run.finished:
            chosen = [given.choice for given in run.answers.values()]
            titles = pack.arm_titles if pack else {}
            revealed = tuple(
                (arm_title(arm, titles), chosen.count(arm)) for arm in arms_in_order(run.assignments[0].order)
            )
            return Screen("finished", of, of, title, resumed=resumed, revealed=revealed)
        if pack is None or pack.digest != run.pack_digest:
            raise VoteRejected("this study's pictures were changed after you began. Start a new run.")
        name = run.next_screen
        ticket = codes.ticket(code, name, undone=run.undone)
        # The attention check shows the pictures just judged: it looks like a trial and spoils none.
        assignment = None if name == REVIEW else run.last_answered if name == CHECK else run.assignment(name)
        if assignment is None:
            return Screen("review", of, of, title, ticket, can_undo=run.answered > 0, resumed=resumed)
        trial = next(trial for trial in pack.trials if trial.key == assignment.trial_key)
        return Screen(
            kind="check" if name == CHECK else "trial",
            number=min(run.answered + 1, of),
            of=of,
            pack_title=title,
            ticket=ticket,
            photo=trial.photo,
            references=trial.references,
            candidates=tuple(trial.candidates[arm] for arm in assignment.order),
            check_label=run.check_label if name == CHECK else "",
            can_undo=run.answered > 0,
            resumed=resumed,
        )


def _bare(code: str) -> str:
    bare = codes.normalised(code)
    if bare is None:
        raise UnknownParticipant(_echo(code))
    return bare


def _echo(code: str) -> str:
    """Return a code as it was typed: another one would be looked up in vain."""
    return code.strip()[:ECHO_LENGTH]


def _usable(run: Run | None, code: str) -> Run:
    if run is None:
        raise UnknownParticipant(_echo(code))
    if run.withdrawn:
        raise ParticipantWithdrawn
    return run


def _screen_named(code: str, run: Run, ticket: str) -> tuple[str, int]:
    """Find the ticket's screen, and how many answers had been taken back when it was given out."""
    for undone in range(run.undone, -1, -1):
        for name in (*(str(screen.position) for screen in run.assignments), CHECK):
            if hmac.compare_digest(codes.ticket(code, name, undone=undone).encode(), ticket.encode()):
                return name, undone
    raise VoteRejected("this answer belongs to another run. Reload the page to go on.")


def _answer_check(transaction: Transaction, run: Run, choice: str | None, dwell_ms: int, *, on_show: bool) -> None:
    _position(choice, len(run.assignments[0].order))
    if run.check_passed is not None:
        if choice != run.check_answer:
            raise VoteRejected("this screen has an answer already. Reload the page to go on.")
        return
    if not on_show:
        raise VoteRejected("this screen's turn is yet to come. Reload the page to go on.")
    transaction.record(
        "checked",
        {
            "participant": run.participant,
            "expected": run.check_label,
            "answer": choice,
            "passed": choice == run.check_label,
            "dwell_ms": dwell_ms,
        },
    )


def _still_to_do(left: int) -> str:
    if left > 1:
        return Sentence("{count} pictures are still to be judged. Go on, then finish.", count=left)
    if left == 1:
        return "1 picture is still to be judged. Go on, then finish."
    return "one more screen is waiting. Answer it, then finish."


def _position(choice: str | None, count: int) -> int | None:
    if choice is None:
        return None
    if choice not in LABELS[:count]:
        letters = ", ".join(LABELS[:count])
        raise VoteRejected(Sentence("choose one of {letters}, or say that you can't decide.", letters=letters))
    return LABELS.index(choice)


def _dwell(dwell_ms: float) -> int:
    if not math.isfinite(dwell_ms):
        raise ValueError(f"dwell_ms is a number of milliseconds, got {dwell_ms}")
    return int(min(max(dwell_ms, 0), MAX_DWELL_MS))
