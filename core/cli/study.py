"""`python -m core study build | packs | report | export | withdraw | open | close`: the owner's duties, from the shell.

With `STYLEIDENTITY_VOTES_DATASET` and a token the votes are read from the dataset first, and changes are pushed to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.cli import options
from core.cli.terminal import expected_failures, print_report, progress_bar
from core.config import VERSION, data_dir
from core.progress import OnProgress

if TYPE_CHECKING:
    from core.make_assets.packs.build import PackPlan
    from core.study.protocol.packs import Arm, Pack
    from core.study.storage.store import Store

app = typer.Typer(help="The preference study: its packs, its votes, its results.", no_args_is_help=True)


class FlaggedOption(str, Enum):
    """Whether flagged participants count."""

    included = "in"
    left_out = "out"


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
    arms: Annotated[
        str, typer.Option(help="Methods to compare, two to four.", metavar="ARM,ARM...")
    ] = "jojogan-one,jojogan-few,ours-one,ours-few",
    crop: options.Crop = "detect",
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
        pack = _render(plan, photos, references, folder, crop, running.backbone, running.device, progress)
    made = {"slug": pack.slug, "title": pack.title, "arms": pack.arms, "trials": len(pack.trials)}
    print_report({**made, "digest": pack.digest, "folder": str(pack.folder)}, as_json=as_json)


def _render(
    plan: PackPlan,
    photos: Path,
    references: list[Path],
    folder: Path,
    crop: options.CropMode,
    backbone: str | None,
    device: str | None,
    progress: OnProgress,
) -> Pack:
    from core.make_assets.packs.build import build_pack, check_reference_folders, faces_in
    from core.studio import Studio

    check_reference_folders(references)
    studio = Studio.open(backbone=backbone, device=device)
    groups = [faces_in(group, studio, crop) for group in references]
    return build_pack(studio, faces_in(photos, studio, crop), groups, plan, folder, on_progress=progress)


def _parse_arms(text: str) -> tuple[Arm, ...]:
    """`"ours-one,ours-few"` -> arms in their own order; `typer.BadParameter` for other than two to four known ones."""
    from core.study.protocol.packs import ARMS

    named = [part.strip() for part in text.split(",")]
    if not set(named) <= set(ARMS) or len(set(named)) != len(named) or len(named) < 2:
        raise typer.BadParameter(f"--arms takes two to four of {','.join(ARMS)}, got '{text}'")
    return tuple(arm for arm in ARMS if arm in named)


def _check_pack_options(slug: str, title: str, folder: Path) -> None:
    from core.study.protocol.packs import INDEX_NAME, is_slug

    if not is_slug(slug):
        raise typer.BadParameter(f"--slug is made of small letters, digits and dashes, got '{slug}'")
    if not title.strip():
        raise typer.BadParameter("--title can't be empty")
    if folder.exists() and not (folder / INDEX_NAME).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise typer.BadParameter(f"'{folder}' is there already and holds no pack; choose another folder with --out")


@app.command()
def packs(as_json: options.JsonOutput = False) -> None:
    """List the packs, with how many people have finished each and whether it takes new participants."""
    with expected_failures():
        from core.study.protocol.packs import find_packs

        found = find_packs()
        with _votes() as store:
            finished = [row.pack for row in store.participants() if row.finished_utc is not None]
            rows = [
                {
                    "slug": slug,
                    "title": pack.title,
                    "trials": len(pack.trials),
                    "arms": pack.arms,
                    "open": store.is_open(slug),
                    "finished": finished.count(slug),
                    "digest": pack.digest,
                    "folder": str(pack.folder),
                }
                for slug, pack in found.items()
            ]
    if as_json:
        print_report({"packs": rows}, as_json=True)
        return
    for row in rows:
        state = "open" if row["open"] else "closed"
        typer.echo(
            f"{row['slug']:<20}  {row['title']} ({row['trials']} trials, {len(row['arms'])} methods), "
            f"{row['finished']} finished, {state}"
        )
    if not rows:
        typer.echo("There are no packs yet. Make one with `python -m core study build`.", err=True)


@app.command()
def report(
    pack: OnePack = None,
    flagged: Annotated[
        FlaggedOption, typer.Option(help="Count people who were quick, one-sided or failed the check, or not.")
    ] = FlaggedOption.included,
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

        titles = {slug: found.title for slug, found in find_packs().items()}
        with _votes() as store:
            if pack is not None:
                _check_known(pack, titles, store)
            votes = store.votes(pack)
            quick_votes = () if pack is not None else store.quick_votes()  # they belong to no pack
        made = make_report(votes, quick_votes, flagged=flagged is FlaggedOption.included, titles=titles)
        if figure is not None:
            from core.study.analysis.figure import render

            if made.main_table is None:
                raise TableWithheld(made.headline)
            picture = render(
                made.main_table, theme="dark" if dark else "light", form=figure.suffix.lower().removeprefix(".")
            )
            figure.parent.mkdir(parents=True, exist_ok=True)
            figure.write_bytes(picture)
    if as_json:
        print_report({**made.as_dict(), "figure": None if figure is None else str(figure)}, as_json=True)
    else:
        from core.cli.study_text import report_lines

        typer.echo("\n".join(report_lines(made)))
        if figure is not None:
            typer.echo(f"\n{figure}")


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
            quick_votes = store.quick_votes() if pack is None else []
        written = write_export(
            out, votes=votes, participants=participants, quick_votes=quick_votes, salt=export_salt(salt)
        )
    if as_json:
        files = [str(path) for path in written.files]
        print_report({"folder": str(written.folder), "files": files, "rows": written.rows}, as_json=True)
    else:
        for path in written.files:
            typer.echo(path)


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
    if as_json:
        print_report({"withdrawn_votes": count}, as_json=True)
    else:
        votes = "1 vote no longer counts" if count == 1 else f"{count} votes no longer count"
        typer.echo(f"Withdrawn: {votes}. Export again, and delete older exports.")


@app.command(name="open")
def open_study(pack: Slug, as_json: options.JsonOutput = False) -> None:
    """Let a study take new participants (again)."""
    _set_open(pack, True, as_json=as_json)


@app.command(name="close")
def close_study(pack: Slug, as_json: options.JsonOutput = False) -> None:
    """Take no new participants in a study; those who have begun may finish."""
    _set_open(pack, False, as_json=as_json)


def _set_open(pack: str, is_open: bool, *, as_json: bool) -> None:
    with expected_failures():
        from core.study.protocol.packs import find_packs

        with _votes() as store:
            _check_known(pack, find_packs(), store)
            store.set_open(pack, is_open)
    if as_json:
        print_report({"pack": pack, "open": is_open}, as_json=True)
    else:
        typer.echo(f"The study '{pack}' is {'open' if is_open else 'closed'}.")


def _check_known(pack: str, installed: object, store: Store) -> None:
    """`UnknownPack` for a name that is neither an installed pack's nor one that was voted on."""
    known = {*installed, *(row.pack for row in store.participants(withdrawn=True))}
    if pack not in known:
        from core.errors import UnknownPack

        raise UnknownPack(pack[:64], ", ".join(sorted(known)))


@contextmanager
def _votes(*, complete: bool = False) -> Iterator[Store]:
    """The store; with a dataset its votes are read first, and what changes is pushed before this ends.

    Args:
        complete: refuse with `DatasetUnread` when the dataset couldn't be read; else it is only told.
    """
    from core.errors import DatasetUnread
    from core.study.storage.store import default_store

    store = default_store()
    # Without a dataset a running app's own log takes in what is recorded here; a second log would keep it from it.
    from core.study.storage.durable import DATASET_ENV, Durability

    if not os.environ.get(DATASET_ENV, "").strip():
        yield store
        return
    durability, told = Durability.from_environment(store), None
    try:
        with durability:
            if not durability.is_read:
                told = durability.sentence
                if complete:
                    raise DatasetUnread(told)
                typer.echo(f"The dataset's votes have not been read. {told}", err=True)
            yield store
    finally:
        if not durability.is_saved and durability.sentence != told:
            typer.echo(durability.sentence, err=True)
