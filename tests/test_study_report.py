"""The report: which votes count, what is withheld, the paper's table, the headline; and its picture and text."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from statsmodels.stats.proportion import proportion_confint

from core.cli.study_text import report_lines
from core.reports import as_json
from core.study.analysis import figure, statistics
from core.study.analysis.report import PAPER_TABLE_1, Report, report
from core.study.analysis.tables import MINIMUM_CHOICES, MINIMUM_PARTICIPANTS, Table
from core.study.records import PhotoVoteRow
from tests.made_votes import paper_votes, vote, votes_of
from tests.study_parts import ARMS

ROOT = Path(__file__).resolve().parent.parent
OURS = ("ours-one", "ours-few")
OURS_PREFERENCES = (0.35, 0.6, 0.05)


def quick_report(votes: list, **options: object) -> Report:
    """A report with few resamples."""
    return report(votes, **{"resamples": 300, **options})


def table_of(made: Report, group: str = "all", pack: str = "water") -> Table:
    """The one table of a pack and group."""
    (found,) = (table for table in made.tables if table.group == group and table.pack == pack)
    return found


@pytest.fixture(scope="module")
def two_packs() -> Report:
    """Four arms judged by 48 people, two of them by 36 others."""
    four = votes_of(48)
    two = votes_of(36, arms=OURS, preferences=OURS_PREFERENCES, name="q", pack="toon", pack_digest="e" * 64)
    return quick_report(four + two, titles={"water": "Watercolour portraits"})


def test_votes_in_the_papers_proportions_print_its_table() -> None:
    made = report(paper_votes(), resamples=100)
    rows = {row.arm: row for row in table_of(made).results}
    printed = {arm: f"{100 * rows[arm].share:.2f}" for arm in ARMS}
    assert printed == {"jojogan-one": "3.00", "jojogan-few": "14.00", "ours-one": "29.22", "ours-few": "48.74"}
    assert printed == {arm: f"{percent:.2f}" for arm, percent in PAPER_TABLE_1.percent.items()}
    assert f"{100 * table_of(made).undecided_share:.2f}" == "5.04"
    lines = "\n".join(report_lines(made))
    for title, share in (("Ours, few-shot", "48.74 %"), ("JoJoGAN, one-shot", "3.00 %")):
        assert re.search(rf"{title} +{share}.+ {share}$", lines, re.MULTILINE), "ours and the paper's in one row"
    assert PAPER_TABLE_1.caveat in lines


def test_the_papers_figures_are_no_whole_votes() -> None:
    """Of 28 x 11 votes only 29.22 % is a whole count; that is why no interval is drawn for the paper."""
    votes = PAPER_TABLE_1.participants * PAPER_TABLE_1.trials
    whole = {f"{100 * count / votes:.2f}" for count in range(votes + 1)}
    assert votes == 308
    assert {arm for arm, percent in PAPER_TABLE_1.percent.items() if f"{percent:.2f}" in whole} == {"ours-one"}
    assert sum(PAPER_TABLE_1.percent.values()) == pytest.approx(94.96)
    assert "94.96" in PAPER_TABLE_1.caveat and "unknown" in PAPER_TABLE_1.caveat


def test_no_votes_at_all() -> None:
    made = report([])
    assert made.tables == () and made.strengths == () and made.main_table is None
    assert made.headline.startswith("No results yet: 0 finished so far.")
    assert f"{MINIMUM_PARTICIPANTS} people" in made.headline
    json.dumps(as_json(made), allow_nan=False)
    assert next(iter(report_lines(made))) == made.headline


@pytest.mark.parametrize("choice", [None, "ours-few"])
def test_everybody_of_one_mind(choice: str | None) -> None:
    """Nobody ever decides, or one arm is never beaten: every number stays finite or is None."""
    votes = [vote(f"p{person}", choice, trial_key=f"t{trial}") for person in range(12) for trial in range(11)]
    made = quick_report(votes)
    best = table_of(made).ranked[0]
    json.dumps(as_json(made), allow_nan=False)
    assert best.share == (0 if choice is None else 1)
    assert table_of(made).kappa is None
    if choice:
        assert best.bootstrap == (1, 1)
        assert best.interval == best.wilson and best.interval[0] < 0.98, "agreement of 12 people is no certainty"
        assert made.headline == "Few-shot, ours: preferred in 100 % of 132 choices, 97-100 %"
    figure.render(table_of(made))


def test_below_the_minimum_there_are_no_tables() -> None:
    votes = votes_of(MINIMUM_PARTICIPANTS - 1)
    made = quick_report(votes)
    for table in made.tables:
        assert table.withheld and not table.results and table.positions is None and table.kappa is None
        assert table.best_two is None and table.undecided_share is None
    assert table_of(made).withheld == "1 more person must finish before results are shown here."
    assert table_of(made).participants == MINIMUM_PARTICIPANTS - 1
    assert made.main_table is None and made.headline.startswith("No results yet: 9 finished")
    assert quick_report(votes, minimum=5, minimum_choices=50).main_table is not None
    with pytest.raises(ValueError, match="withheld"):
        figure.draw(made.tables[0])
    assert figure.alt_text(made.tables[0]) == made.tables[0].withheld
    assert "must finish" in "\n".join(report_lines(made))


def test_a_table_needs_choices_too() -> None:
    made = quick_report(votes_of(12, trials=8))
    assert table_of(made).withheld == "4 more choices are needed before results are shown here."
    assert not table_of(quick_report(votes_of(13, trials=8))).withheld
    assert MINIMUM_CHOICES == 100


def test_groups_and_packs_have_tables_of_their_own(two_packs: Report) -> None:
    assert [(table.pack, table.group) for table in two_packs.tables] == [
        (pack, group) for pack in ("water", "toon") for group in ("all", "artist", "viewer")
    ]
    for pack, people in (("water", 48), ("toon", 36)):
        everybody, artists, viewers = (table_of(two_packs, group, pack) for group in ("all", "artist", "viewer"))
        assert (everybody.participants, artists.participants, viewers.participants) == (
            people,
            people // 3,
            people // 3 * 2,
        )
        for one, first, second in zip(everybody.results, artists.results, viewers.results, strict=True):
            assert one.choices == first.choices + second.choices
    assert table_of(two_packs).title == "Watercolour portraits"
    assert table_of(two_packs, pack="toon").title == "toon"


def test_a_table_agrees_with_the_statistics(two_packs: Report) -> None:
    votes = votes_of(48)
    table = table_of(two_packs)
    assert table.choices == len(votes) == 528
    for row in table.results:
        count = sum(item.choice == row.arm for item in votes)
        assert (row.choices, row.share) == (count, count / 528)
        wilson = statistics.wilson_interval_of_independent_votes(np.array([count]), 528)
        assert row.wilson == pytest.approx(wilson[0])
        assert row.bootstrap[0] < row.share < row.bootstrap[1]
        assert row.interval == (min(row.wilson[0], row.bootstrap[0]), max(row.wilson[1], row.bootstrap[1]))
        assert row.strength_interval[0] < row.strength < row.strength_interval[1]
    assert sum(row.choices for row in table.results) + table.undecided == table.choices
    assert sum(row.strength for row in table.results) == pytest.approx(0)
    assert sum(table.positions.observed) == 528 - table.undecided
    assert table.trials == 11
    assert [row.arm for row in table.ranked][:2] == [table.best_two.best, table.best_two.second]


def test_strengths_join_packs_with_different_arms(two_packs: Report) -> None:
    assert [row.arm for row in two_packs.strengths] == list(ARMS)
    by_arm = {row.arm: row for row in two_packs.strengths}
    assert by_arm["ours-few"].interval[0] < by_arm["ours-few"].strength < by_arm["ours-few"].interval[1]
    assert by_arm["ours-few"].strength > by_arm["ours-one"].strength > by_arm["jojogan-one"].strength
    apart = votes_of(30, arms=ARMS[:2], preferences=OURS_PREFERENCES)
    apart += votes_of(30, arms=OURS, preferences=OURS_PREFERENCES, name="q", pack="toon", pack_digest="e")
    assert quick_report(apart).strengths == (), "nothing links the two pairs"
    assert quick_report(votes_of(30)).strengths == (), "one pack has them in its table"


def test_a_set_of_arms_joins_the_strengths_once_it_has_a_table() -> None:
    four, toon = votes_of(48), {"arms": OURS, "preferences": OURS_PREFERENCES, "pack": "toon", "pack_digest": "e"}
    assert quick_report(four + votes_of(1, name="q", **toon)).strengths == ()
    few = votes_of(9, name="q", trials=12, **toon)
    assert quick_report(four + few).strengths == () != quick_report(four + few + votes_of(1, **toon)).strengths
    three = votes_of(2, arms=ARMS[:3], preferences=(0.3, 0.3, 0.3, 0.1), name="r", pack="ink", pack_digest="f")
    both = four + votes_of(12, name="q", **toon)
    assert quick_report(both + three).strengths == quick_report(both).strengths != ()


def test_a_rebuilt_pack_is_another_pack() -> None:
    """Votes on other pictures never mix under one name; over both there is a table of its own."""
    votes = votes_of(12) + votes_of(15, name="q", pack_digest="e" * 64)
    made = quick_report(votes, titles={"water": "Watercolour"})
    everybody = [table for table in made.tables if table.group == "all"]
    assert [(table.title, table.participants, table.trials) for table in everybody] == [
        ("Watercolour (version dddddddd)", 12, 11),
        ("Watercolour (version eeeeeeee)", 15, 11),
        ("All studies of 4 pictures", 27, 22),
    ]
    assert made.main_table is everybody[2]


def test_unfinished_runs_do_not_count() -> None:
    votes = votes_of(12)
    made = quick_report(votes + votes_of(7, name="q", finished=False))
    assert (made.participants, made.participants_unfinished) == (12, 7)
    assert made.tables == quick_report(votes).tables


def test_flagged_votes_in_and_out() -> None:
    careful, hasty = votes_of(20), votes_of(6, name="q", seed=1, flags=frozenset({"quick", "one-sided"}))
    both, without = quick_report(careful + hasty), quick_report(careful + hasty, flagged=False)
    assert (both.participants, without.participants) == (26, 20)
    assert both.participants_flagged == without.participants_flagged == 6
    assert without.tables == quick_report(careful, flagged=False).tables
    assert table_of(both).choices == table_of(without).choices + 66


def photo_votes_of(
    choices: dict[str | None, int], arms: Sequence[str] = ARMS, style: str = "ink"
) -> list[PhotoVoteRow]:
    """Quick votes with these choices, the arms going round the places."""
    chosen = [arm for arm, count in choices.items() for _ in range(count)]
    turns = [tuple(np.roll(arms, number)) for number in range(len(chosen))]
    return [
        PhotoVoteRow(f"token-{number}", order, arm, None, style, "2026-01-01T00:00:00.000+00:00")
        for number, (arm, order) in enumerate(zip(chosen, turns, strict=True))
    ]


def test_photo_votes_have_tables_of_their_own() -> None:
    enough = photo_votes_of({"jojogan-one": 10, "jojogan-few": 20, "ours-one": 30, "ours-few": 50, None: 10})
    few = photo_votes_of({"ours-one": 1, "ours-few": 2}, OURS, style="oil")
    made = report([*votes_of(12)], [*few, *enough], resamples=100)
    assert made.tables == report(votes_of(12), resamples=100).tables, "they count nowhere else"
    oil, ink = made.quick
    assert (oil.style, oil.arms, oil.choices, oil.results) == ("oil", OURS, 3, ())
    assert oil.withheld == "97 more choices are needed before results are shown here."
    assert [(row.choices, row.share) for row in ink.results] == [
        (count, pytest.approx(count / 120)) for count in (10, 20, 30, 50)
    ]
    assert (ink.undecided, ink.withheld) == (10, "")
    low, high = ink.results[3].interval
    assert (low, high) == pytest.approx(proportion_confint(50, 120, method="wilson"))
    assert sum(ink.positions.observed) == 110
    text = "\n".join(report_lines(made))
    assert "style ink (120 choices)" in text and "style oil (3 choices)\n  97 more choices" in text
    assert re.search(rf"Ours, few-shot +41\.67 %  {100 * low:.2f}-{100 * high:.2f} %", text)
    assert re.search(r"Could not decide +8\.33 %", text)


def test_photo_votes_of_nobody_who_could_decide() -> None:
    (table,) = report([], photo_votes_of({None: 100}), resamples=100).quick
    assert table.undecided == 100 and {row.share for row in table.results} == {0.0}
    assert table.positions.p_value is None


def test_headline() -> None:
    """The sentence of the page's plan, with the numbers of a study that would print it."""
    counts = {"ours-few": 583, "ours-one": 347, "jojogan-few": 186, "jojogan-one": 50, None: 74}
    choices = [arm for arm, count in counts.items() for _ in range(count)]
    shuffled = np.random.default_rng(5).permutation(len(choices))
    votes = [vote(f"p{i // 10}", choices[index], trial_key=f"t{i % 10}") for i, index in enumerate(shuffled)]
    assert quick_report(votes).headline == "Few-shot, ours: preferred in 47 % of 1,240 choices, 44-50 %"
    level = votes_of(14, preferences=(0.1, 0.3, 0.1, 0.3, 0.2), seed=2)
    assert re.fullmatch(
        r"(Few-shot, ours|Few-shot, JoJoGAN): preferred in \d+ % of 154 choices, \d+-\d+ %; "
        r"no clear difference to few-shot, (ours|JoJoGAN) yet",
        quick_report(level).headline,
    )


def test_report_is_repeatable_hashable_and_plain(two_packs: Report) -> None:
    assert quick_report(votes_of(12)) == quick_report(votes_of(12))
    assert hash(quick_report(votes_of(12))) == hash(quick_report(votes_of(12)))
    values = as_json(two_packs)
    assert json.loads(json.dumps(values, allow_nan=False))["tables"][0]["undecided_share"] > 0
    assert values["headline"] == two_packs.headline


def test_text_for_the_terminal(two_packs: Report) -> None:
    lines = "\n".join(report_lines(two_packs))
    assert "Watercolour portraits - Good at portrait drawing (16 people, 176 choices)" in lines
    assert "Strengths over all packs" in lines and "Fleiss' kappa" in lines and "chi-square" in lines
    assert all(len(line) <= 120 for line in lines.splitlines()[1:-1])
    level = votes_of(14, preferences=(0.1, 0.3, 0.1, 0.3, 0.2), seed=2)
    assert "more participants are needed" in "\n".join(report_lines(quick_report(level)))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_figure_shows_shares_intervals_and_the_papers_figures(two_packs: Report, theme: figure.Theme) -> None:
    table = table_of(two_packs)
    drawn = figure.draw(table, theme=theme)
    axes = drawn.axes[0]
    widths = [bar.get_width() for bar in axes.patches]
    expected = [value for row in table.ranked for value in (100 * row.share, PAPER_TABLE_1.percent[row.arm])]
    assert widths == pytest.approx(expected)
    lines = {round(float(end), 6) for line in axes.lines for end in np.atleast_1d(line.get_xdata())}
    assert lines >= {round(100 * end, 6) for row in table.ranked for end in row.interval}
    words = [text.get_text() for text in axes.texts]
    assert "Ours, few-shot" in words and "paper 48.74 %" in words
    low, high = axes.get_xlim()
    renderer = figure_canvas(drawn)
    for text in axes.texts:
        box = text.get_window_extent(renderer).transformed(axes.transData.inverted())
        assert low <= box.x0 and box.x1 <= high * 1.03, f"'{text.get_text()}' leaves the picture"


def figure_canvas(drawn: object) -> object:
    """A renderer that can measure text."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    return FigureCanvasAgg(drawn).get_renderer()


def test_figure_files(two_packs: Report) -> None:
    table = table_of(two_packs, "viewer", "toon")
    png = figure.render(table)
    picture = Image.open(io.BytesIO(png))
    assert picture.format == "PNG" and picture.width == pytest.approx(figure.WIDTH_IN * figure.DPI, abs=1)
    assert png == figure.render(table), "same table, same picture"
    assert png != figure.render(table, theme="dark")
    root = ElementTree.fromstring(figure.render(table, form="svg"))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    for theme in ("light", "dark"):
        shown = Image.open(io.BytesIO(figure.render(table, theme=theme))).convert("RGB")
        assert "#{:02x}{:02x}{:02x}".format(*shown.getpixel((2, 2))) == figure.COLOURS[theme]["panel"]


def test_the_paper_stands_only_beside_what_it_measured(two_packs: Report) -> None:
    beside = [(table.pack, table.group) for table in two_packs.tables if figure.paper_percent_beside(table)]
    assert beside == [("water", "all")]


def test_alt_text_says_what_the_figure_shows(two_packs: Report) -> None:
    table = table_of(two_packs)
    text = figure.alt_text(table)
    assert text.startswith("Bar chart of Watercolour portraits, everybody: share of 528 choices")
    for row in table.results:
        assert f"{row.title} {100 * row.share:.1f} %" in text
    assert "in the paper 48.74 %" in text
    assert "in the paper" not in figure.alt_text(table_of(two_packs, "artist"))


def test_figure_has_the_pages_colours() -> None:
    from core.ui.components.theme import DARK, LIGHT

    for name, tokens in (("light", LIGHT), ("dark", DARK)):
        assert figure.COLOURS[name] == {token: tokens[token] for token in figure.COLOURS[name]}


def test_report_imports_nothing_heavy_and_pyplot_is_never_used() -> None:
    code = (
        "import sys\nimport core.study.analysis.report, core.study.analysis.figure, core.study.analysis.export\n"
        "heavy = {'scipy', 'statsmodels', 'choix', 'pandas', 'pyarrow', 'matplotlib', 'torch', 'huggingface_hub'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "from tests.made_votes import votes_of\n"
        "table = core.study.analysis.report.report(votes_of(12), resamples=50).main_table\n"
        "core.study.analysis.figure.render(table)\nprint('matplotlib.pyplot' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split("\n")[:2] == ["[]", "False"]
