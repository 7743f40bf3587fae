"""`python -m core study build | packs | report | export | withdraw | open | close | verify`: the owner's duties.

With `STYLEIDENTITY_VOTES_DATASET` and a token the votes are read from the dataset first, and changes are pushed to it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from core.cli import options
from core.cli.tables import table
from core.cli.terminal import expected_failures, print_report, progress_bar
from core.config import PAPER_ARMS, VERSION, CropMode, data_dir
from core.files import write_atomically
from core.progress import OnProgress
from core.reports import as_json as to_json

if TYPE_CHECKING:
    from core.make_assets.packs.build import PackPlan
    from core.study.analysis.figure import Form
    from core.study.protocol.packs import Pack
    from core.study.storage.events import Verification
    from core.study.storage.store import Store

app = typer.Typer(help="The preference study: its packs, its votes, its results.", no_args_is_help=True)


Slug = Annotated[str, typer.Argument(metavar="PACK", help="A pack's name, see `study packs`.")]
OnePack = Annotated[str | None, typer.Option("--pack", metavar="PACK", help="Only this pack; all by default.")]


@app.command()
@options.grouped
def build(
    photos: Annotated[Path, typer.Option(help="Folder of photos with a face; each becomes a trial.")],
    references: Annotated[
        list[Path], typer.Option(help="Folder of one style's pictures, first one for one-shot; repeat for more styles.")
    ],
    slug: Annotated[str, typer.Option(help="The pack's name: small letters, digits, dashes.")],
    title: Annotated[str, typer.Option(help="What participants read; it must not tell a method.")],
    training: options.ArmTraining,
    running: options.Running,
    arms: Annotated[str, typer.Option(help="Methods to compare, two to four.", metavar="ARM,ARM...")] = ",".join(
        arm.id for arm in PAPER_ARMS
    ),
    crop: options.CropOption = "detect",
    out: Annotated[Path | None, typer.Option(help="The pack's folder; in the data folder by default.")] = None,
    as_json: options.JsonOutput = False,
) -> None:
    """Draw every photo by every method, trained on the same references, and write the pictures as a blind pack.

    Trial i shows the references of style i modulo their number. An older pack in the folder is replaced.
    """
    chosen = _parse_arms(arms)
    folder = out or data_dir() / "packs" / slug
    _check_pack_options(slug, title, folder)
    with expected_failures(), progress_bar(quiet=as_json) as progress:
        from core.make_assets.packs.build import PackPlan

        options.only_few_shot_gan(running.engine)
        plan = PackPlan(slug, title, chosen, **vars(training.plan(running.entry())))
        pack = _render(plan, photos, references, folder, crop, running, progress)
    made = {"slug": pack.slug, "title": pack.title, "arms": pack.arms, "trials": len(pack.trials)}
    print_report({**made, "digest": pack.digest, "folder": str(pack.folder)}, as_json=as_json)


def _render(
    plan: PackPlan,
    photos: Path,
    references: list[Path],
    folder: Path,
    crop: CropMode,
    running: options.Running,
    progress: OnProgress,
) -> Pack:
    from core.make_assets.packs.build import build_pack, check_reference_folders, faces_in

    check_reference_folders(references)
    studio = running.open(progress)
    groups = [faces_in(group, studio, crop) for group in references]
    return build_pack(studio, faces_in(photos, studio, crop), groups, plan, folder, on_progress=progress)


def _parse_arms(text: str) -> tuple[str, ...]:
    """`"ours-one,ours-few"` -> arms in their own order; `typer.BadParameter` for other than two to four known ones."""
    known, named = [arm.id for arm in PAPER_ARMS], [part.strip() for part in text.split(",")]
    if not set(named) <= set(known) or len(set(named)) != len(named) or len(named) < 2:
        raise typer.BadParameter(f"--arms takes two to four of {','.join(known)}, got '{text}'")
    return tuple(arm for arm in known if arm in named)


def _check_pack_options(slug: str, title: str, folder: Path) -> None:
    from core.study.protocol.packwriter import is_taken
    from core.study.records import is_slug

    if not is_slug(slug):
        raise typer.BadParameter(f"--slug is made of small letters, digits and dashes, got '{slug}'")
    if not title.strip():
        raise typer.BadParameter("--title can't be empty")
    if is_taken(folder):
        raise typer.BadParameter(f"'{folder}' is there already and holds no pack; choose another folder with --out")


@dataclass(frozen=True)
class ListedPack:
    """A pack, how many people have finished it, and whether it takes new participants."""

    slug: str
    title: str
    trials: int
    arms: tuple[str, ...]
    open: bool
    finished: int
    digest: str
    folder: str


def _listed(pack: Pack, finished: int, is_open: bool) -> ListedPack:
    return ListedPack(
        pack.slug, pack.title, len(pack.trials), pack.arms, is_open, finished, pack.digest, str(pack.folder)
    )


@app.command()
def packs(as_json: options.JsonOutput = False) -> None:
    """List the packs, with how many people have finished each and whether it takes new participants."""
    with expected_failures():
        from core.study.protocol.packs import find_packs

        found = find_packs()
        with _votes() as store:
            finished = [row.pack for row in store.participants() if row.finished_utc is not None]
            rows = [_listed(pack, finished.count(slug), store.is_open(slug)) for slug, pack in found.items()]
    if as_json:
        print_report({"packs": rows}, as_json=True)
        return
    if rows:
        heads = ("pack", "title", "trials", "methods", "finished", "")
        counts = ((str(row.trials), str(len(row.arms)), str(row.finished)) for row in rows)
        states = ("open" if row.open else "closed" for row in rows)
        lines = [(row.slug, row.title, *count, state) for row, count, state in zip(rows, counts, states, strict=True)]
        typer.echo(table(heads, lines, right={2, 3, 4}))
    else:
        typer.echo("There are no packs yet. Make one with `python -m core study build`.", err=True)


@app.command()
def report(
    pack: OnePack = None,
    flagged: Annotated[
        Literal["in", "out"], typer.Option(help="Count people who were quick, one-sided or failed the check, or not.")
    ] = "in",
    figure: Annotated[Path | None, typer.Option(help="Also draw the main table: FILE.png or FILE.svg.")] = None,
    dark: Annotated[bool, typer.Option("--dark", help="Draw for a dark page.")] = False,
    as_json: options.JsonOutput = False,
) -> None:
    """Show the results: shares with 95 % intervals beside the paper's, strengths, checks, and how many are needed."""
    if figure is not None and figure.suffix.lower() not in (".png", ".svg"):
        raise typer.BadParameter(f"--figure needs a name that ends in .png or .svg, got '{figure.name}'")
    if dark and figure is None:
        raise typer.BadParameter("--dark is about the picture, so it needs --figure")
    with expected_failures():
        from core.errors import TableWithheld
        from core.study.analysis.report import report as make_report
        from core.study.protocol.packs import find_packs

        found = find_packs()
        with _votes() as store:
            if pack is not None:
                _check_known(pack, found, store)
            votes = store.votes(pack)
            photo_votes = [] if pack is not None else store.photo_votes()  # they belong to no pack
        made = make_report(
            votes,
            photo_votes,
            flagged=flagged == "in",
            titles={slug: one.title for slug, one in found.items()},
            arm_titles={slug: one.arm_titles for slug, one in found.items()},
        )
        if figure is not None:
            from core.study.analysis.figure import render

            if made.main_table is None:
                raise TableWithheld(made.headline)
            form: Form = "svg" if figure.suffix.lower() == ".svg" else "png"
            write_atomically(figure, render(made.main_table, theme="dark" if dark else "light", form=form))
    drawn = None if figure is None else str(figure)

    def text() -> str:
        from core.cli.study_text import report_lines

        return "\n".join([*report_lines(made), *(() if drawn is None else ("", drawn))])

    print_report({**to_json(made), "figure": drawn}, as_json=as_json, text=text)


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="Folder for the files; older ones in it are replaced.")],
    pack: OnePack = None,
    salt: Annotated[
        Path | None,
        typer.Option(help="File with the secret behind the pseudonyms, made if missing; beside the votes by default."),
    ] = None,
    as_json: options.JsonOutput = False,
) -> None:
    """Write votes, runs and quick votes as CSV, JSON Lines and Parquet, with a codebook. Withdrawn runs are left out.

    Quick votes belong to no pack and are written only without --pack.
    """
    with expected_failures():
        from core.study.analysis.export import export as write_export
        from core.study.analysis.export import export_salt
        from core.study.protocol.packs import find_packs

        with _votes(complete=True) as store:
            if pack is not None:
                _check_known(pack, find_packs(), store)
            votes = store.votes(pack)
            participants = store.participants(pack, withdrawn=True)  # read last: a withdrawal in between counts
            photo_votes = store.photo_votes() if pack is None else []
        written = write_export(
            out, votes=votes, participants=participants, photo_votes=photo_votes, salt=export_salt(salt)
        )
    files = [str(path) for path in written.files]
    found = {"folder": str(written.folder), "files": files, "rows": written.rows}
    print_report(found, as_json=as_json, text=lambda: "\n".join(files))


@app.command()
def withdraw(
    code: Annotated[str, typer.Argument(metavar="CODE", help="The participant's code, XXXX-XXXX-XXXX.")],
    as_json: options.JsonOutput = False,
) -> None:
    """Take a participant's votes out of every result and export, for good."""
    with expected_failures():
        from core.study.protocol.flow import Study

        with _votes(complete=True) as store:
            count = Study(store, {}, app_version=VERSION).withdraw(code)
    votes = "1 vote no longer counts" if count == 1 else f"{count} votes no longer count"
    said = f"Withdrawn: {votes}. Export again, and delete older exports."
    print_report({"withdrawn_votes": count}, as_json=as_json, text=lambda: said)


@app.command(name="open")
def open_study(pack: Slug, as_json: options.JsonOutput = False) -> None:
    """Let a study take new participants (again)."""
    _set_open(pack, True, as_json=as_json)


@app.command(name="close")
def close_study(pack: Slug, as_json: options.JsonOutput = False) -> None:
    """Take no new participants in a study; those who have begun may finish."""
    _set_open(pack, False, as_json=as_json)


@app.command()
def verify(as_json: options.JsonOutput = False) -> None:
    """Look for stored events that were altered or lost; exit code 1 if there are any. Nothing is mended."""
    with expected_failures():
        from core.study.storage.store import default_store

        store = default_store()
        found = store.verify()
    if as_json:
        print_report({**to_json(found), "sound": found.is_sound, "path": str(store.path)}, as_json=True)
    elif found.is_sound:
        typer.echo(f"{found.events:,} events in '{store.path}', each as it was written.")
    if not found.is_sound:
        if not as_json:
            _say_damage(found, store.path)
        raise typer.Exit(1)


def _say_damage(found: Verification, path: Path) -> None:
    typer.echo(f"'{path}' is damaged{f' ({found.file})' if found.file else ''}.", err=True)
    for row in found.rows:
        typer.echo(f"  event {row.sequence} ({row.kind}): {row.problem}", err=True)
    typer.echo(
        "Keep a copy of the data folder. The next start of the app, or of any other study command, moves the file "
        "aside and builds the votes anew from its sound events, the event log beside it and the dataset.",
        err=True,
    )


def _set_open(pack: str, is_open: bool, *, as_json: bool) -> None:
    with expected_failures():
        from core.study.protocol.packs import find_packs

        with _votes() as store:
            _check_known(pack, find_packs(), store)
            store.set_open(pack, is_open)
    said = f"The study '{pack}' is {'open' if is_open else 'closed'}."
    print_report({"pack": pack, "open": is_open}, as_json=as_json, text=lambda: said)


def _check_known(pack: str, installed: Collection[str], store: Store) -> None:
    """Raise `UnknownPack` for a name that is neither an installed pack's nor one that was voted on."""
    known = {*installed, *(row.pack for row in store.participants(withdrawn=True))}
    if pack not in known:
        from core.errors import UnknownPack

        raise UnknownPack(pack[:64], ", ".join(sorted(known)))


@contextmanager
def _votes(*, complete: bool = False) -> Iterator[Store]:
    """Open the store; with a dataset its votes are read first, and what changes is pushed before this ends.

    Args:
        complete: refuse with `DatasetUnread` when the dataset couldn't be read; else it is only said.
    """
    from core.errors import DatasetUnread
    from core.study.storage.store import default_store

    store = default_store()
    # Without a dataset a running app's own log takes in what is recorded here; a second log would keep it from it.
    from core.study.storage.durable import DATASET_ENV, Durability

    if not os.environ.get(DATASET_ENV, "").strip():
        yield store
        return
    durability, said = Durability.from_environment(store), None
    try:
        with durability:
            if not durability.is_read:
                said = durability.sentence
                if complete:
                    raise DatasetUnread(said)
                typer.echo(f"The dataset's votes have not been read. {said}", err=True)
            yield store
    finally:
        if not durability.is_saved and durability.sentence != said:
            typer.echo(durability.sentence, err=True)
