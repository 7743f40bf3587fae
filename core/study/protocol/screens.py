"""What a run shows next, built from where it stands; names no arm before the run is finished."""

from __future__ import annotations

from core.errors import VoteRejected
from core.study.protocol import codes
from core.study.protocol.packs import ARM_TITLES, ARMS, Pack
from core.study.protocol.records import Screen, ScreenKind
from core.study.storage.runs import CHECK, REVIEW, Run


def screen_of(code: str, run: Run, pack: Pack | None, *, resumed: bool) -> Screen:
    """The screen of a run that has not been withdrawn.

    Args:
        code: bare, see `core.study.protocol.codes`.
        pack: the study's pictures as they are now, None if they are gone.

    Raises:
        VoteRejected: the pictures are no longer those that the run began with.
    """
    of = len(run.assignments)
    common = {"of": of, "resumed": resumed, "pack_title": pack.title if pack else run.pack}
    if run.finished:
        return _without_pictures("finished", number=of, ticket="", can_undo=False, revealed=_revealed(run), **common)
    if pack is None or pack.digest != run.pack_digest:
        raise VoteRejected("this study's pictures were changed after you began. Start a new run.")
    name = run.next_screen
    common |= {"ticket": codes.ticket(code, name, undone=run.undone), "can_undo": run.answered > 0}
    if name == REVIEW:
        return _without_pictures("review", number=of, **common)
    # The attention check shows the pictures just judged: it looks like a trial and spoils none.
    assignment = run.last_answered if name == CHECK else run.assignment(name)
    trial = next(trial for trial in pack.trials if trial.key == assignment.trial_key)
    return Screen(
        kind="check" if name == CHECK else "trial",
        number=min(run.answered + 1, of),
        photo=trial.photo,
        references=trial.references,
        candidates=tuple(trial.candidates[arm] for arm in assignment.order),
        check_label=run.check_label if name == CHECK else "",
        **common,
    )


def _without_pictures(kind: ScreenKind, **fields: object) -> Screen:
    return Screen(kind=kind, photo=None, references=(), candidates=(), check_label="", **fields)


def _revealed(run: Run) -> tuple[tuple[str, int], ...]:
    arms = [arm for arm in ARMS if arm in run.assignments[0].order]
    chosen = [given.choice for given in run.answers.values()]
    return tuple((ARM_TITLES[arm], chosen.count(arm)) for arm in arms)
