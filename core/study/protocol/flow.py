"""A participant's way through a study: consent, group, blind trials, one attention check, review, the end.

Every step reads where the run stands and decides inside one transaction of the store, so a step that is sent twice,
from two tabs or after a restart never counts twice. Screens name no arm before the run is finished.
"""

from __future__ import annotations

import hmac
import math
import secrets
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from core.errors import ParticipantWithdrawn, Sentence, StudyClosed, UnknownPack, UnknownParticipant, VoteRejected
from core.study.protocol import codes, design
from core.study.protocol.packs import ARMS, Arm, Pack, is_slug
from core.study.protocol.records import GROUPS, LABELS, Group, PackCard, Screen
from core.study.protocol.screens import screen_of
from core.study.storage.runs import CHECK, REVIEW, Run
from core.study.storage.store import Store, Transaction

CONSENT_VERSION = "1"
MAX_DWELL_MS = 30 * 60 * 1000  # longer means that the participant was away


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
        """The studies that take new participants, those that compare most methods first."""
        packs = sorted(self.packs.items(), key=lambda item: (-len(item[1].arms), item[0]))
        return [PackCard(slug, pack.title, len(pack.trials)) for slug, pack in packs if self.store.is_open(slug)]

    def begin(self, pack_slug: str, *, group: Group, consent_version: str) -> str:
        """Starts a run, draws and stores all its orders, and returns the participant's code (12 characters).

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
            drawn = design.draw(pack, row0, np.random.default_rng(secrets.randbits(128)))
            transaction.record(
                "begun",
                {
                    "participant": codes.participant_id(code),
                    "group": group,
                    "pack": pack.slug,
                    "pack_digest": pack.digest,
                    "consent_version": consent_version,
                    "app_version": self.app_version,
                    "row0": row0,
                    **drawn,
                },
            )
        return code

    def screen(self, code: str) -> Screen:
        """What the participant sees now; also how a closed tab resumes."""
        bare = _bare(code)
        run = self.store.run(codes.participant_id(bare))
        run = _usable(run, code)
        return self._screen(bare, run, resumed=run.answered > 0)

    def choose(self, code: str, ticket: str, choice: str | None, dwell_ms: float) -> Screen:
        """Takes the answer to the screen that the ticket names: "A" to "D", or None for "can't decide".

        The same answer with the same ticket is taken once; another answer needs `undo` first.

        Args:
            dwell_ms: time from showing the screen to the answer, from a clock that never jumps.
        """
        bare = _bare(code)
        with self.store.atomic() as transaction:
            run = _usable(transaction.run(codes.participant_id(bare)), code)
            name, undone = _screen_named(bare, run, ticket)
            on_show = undone == run.undone and name == run.next_screen and not run.finished
            if name == CHECK:
                _answer_check(transaction, run, choice, _dwell(dwell_ms), on_show=on_show)
            else:
                self._answer_trial(transaction, run, name, choice, _dwell(dwell_ms), on_show=on_show)
            return self._screen(bare, _usable(transaction.run(run.participant), code), resumed=False)

    def undo(self, code: str, ticket: str | None = None) -> Screen:
        """Takes the last answer back and shows its trial again; the answer taken back is kept apart.

        Args:
            ticket: of the screen on which the participant went back. With it, a step sent twice goes back once.
        """
        bare = _bare(code)
        with self.store.atomic() as transaction:
            run = _usable(transaction.run(codes.participant_id(bare)), code)
            if run.finished:
                raise VoteRejected("this run is finished, so its answers stay as they are.")
            on_show = codes.ticket(bare, run.next_screen, undone=run.undone)
            if ticket is None or hmac.compare_digest(ticket.encode(), on_show.encode()):
                last = run.last_answered
                if last is None:
                    raise VoteRejected("this is the first picture, so there is nothing to go back to.")
                transaction.record(
                    "undone",
                    {
                        "participant": run.participant,
                        "trial_key": last.trial_key,
                        "vote": run.answers[last.trial_key].uuid,
                    },
                )
            return self._screen(bare, _usable(transaction.run(run.participant), code), resumed=False)

    def finish(self, code: str) -> Screen:
        """Confirms the whole run after its last trial; from then on nothing changes and results may be seen."""
        bare = _bare(code)
        with self.store.atomic() as transaction:
            run = _usable(transaction.run(codes.participant_id(bare)), code)
            if not run.finished:
                if run.next_screen != REVIEW:
                    left = len(run.assignments) - run.answered
                    raise VoteRejected(_still_to_do(left))
                transaction.record("finished", {"participant": run.participant})
            return self._screen(bare, _usable(transaction.run(run.participant), code), resumed=False)

    def withdraw(self, code: str) -> int:
        """Takes a run out of every result, finished or not; what was recorded stays, marked as withdrawn.

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
        """The open studies that none of these runs has finished: their results could still sway this visitor."""
        runs = [self.store.run(codes.participant_id(bare)) for bare in map(codes.normalised, run_codes) if bare]
        done = {run.pack for run in runs if run is not None and run.finished and not run.withdrawn}
        return tuple(card for card in self.packs_open() if card.slug not in done)

    def group_of(self, code: str) -> Group | None:
        """What a participant said of themselves at the beginning; None for a run that is not here or was withdrawn."""
        bare = codes.normalised(code)
        run = self.store.run(codes.participant_id(bare)) if bare else None
        return None if run is None or run.withdrawn else run.group

    def quick_vote(
        self,
        token: str,
        *,
        order: Sequence[Arm],
        choice: str | None,
        style: str,
        group: Group | None = None,
    ) -> None:
        """Takes a vote on a visitor's own photo, which is kept nowhere. The same token again changes nothing.

        Args:
            token: random name of the comparison, made by the page.
            order: arms in the order shown, A first.
            style: slug of a ready-made style, "own" for a visitor's: names that visitors type are not stored.
            group: what the visitor said in a run of the study, see `group_of`.
        """
        if not 2 <= len(order) <= len(ARMS) or len(set(order)) != len(order) or not set(order) <= set(ARMS):
            raise ValueError(f"order needs 2 to {len(ARMS)} different arms, got {tuple(order)}")
        if not is_slug(style) or not 8 <= len(token) <= 64 or group not in (None, *GROUPS):
            raise ValueError(f"got token {token!r}, style {style!r}, group {group!r}")
        position = _position(choice, len(order))
        vote = {"token": token, "order": list(order), "position": position, "style": style, "group": group}
        vote["choice"] = None if position is None else order[position]
        with self.store.atomic() as transaction:
            if not transaction.has_quick_vote(token):
                transaction.record("quick", {**vote, "app_version": self.app_version})

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
        return screen_of(code, run, self.packs.get(run.pack), resumed=resumed)


def _bare(code: str) -> str:
    bare = codes.normalised(code)
    if bare is None:
        raise UnknownParticipant(_echo(code))
    return bare


def _echo(code: str) -> str:
    return code.strip()[:20]


def _usable(run: Run | None, code: str) -> Run:
    if run is None:
        raise UnknownParticipant(_echo(code))
    if run.withdrawn:
        raise ParticipantWithdrawn
    return run


def _screen_named(code: str, run: Run, ticket: str) -> tuple[str, int]:
    """The ticket's screen, and how many answers had been taken back when it was given out."""
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
