"""The preference study as participants meet it, on a desk and on a phone, and everything that is sent to them."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from core.config import ASSETS_DIR
from core.study.protocol import codes
from core.study.protocol.packs import Pack
from core.study.records import LABELS
from core.study.storage.store import Store
from tests import drawn_pack, study_parts
from tests.app_process import AppProcess
from tests.study_parts import ARM_TITLES, ARMS, kept_open, study_on

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Route

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SLOW_MS = 60_000
DRAWING_MS = 120_000
TRIALS = 11
STREAMS = ("/heartbeat/", "/queue/data")
# What never stands in anything sent before the end. The page's own settings may say "JoJoGAN (baseline)".
ARMS_NAMED = re.compile(r"jojogan[-_, ]*(one|few)|\bours[-_, ]*(one|few)|one-shot|few-shot", re.IGNORECASE)
METHODS_NAMED = re.compile(r"jojogan|\bours\b", re.IGNORECASE)
WATCH_STREAMS = """
(() => {
  const real = window.fetch;
  window.fetch = async (...given) => {
    const reply = await real(...given);
    if (!(reply.headers.get('content-type') || '').includes('event-stream') || !reply.body) return reply;
    const [mine, theirs] = reply.body.tee();
    (async () => {
      const reader = mine.getReader(), text = new TextDecoder();
      for (;;) {
        const part = await reader.read();
        if (part.done) return;
        window.recordSent(reply.url, text.decode(part.value, {stream: true}));
      }
    })();
    return new Response(theirs, {status: reply.status, statusText: reply.statusText, headers: reply.headers});
  };
  for (const name of ['EventSource', 'WebSocket']) {
    const Real = window[name];
    window[name] = class extends Real {
      constructor(...given) {
        super(...given);
        this.addEventListener('message', (event) => window.recordSent(String(given[0]), String(event.data)));
      }
    };
  }
})();
"""


class Sent:
    """Everything that a browser is sent: bodies, headers, streams."""

    def __init__(self, pack: Pack) -> None:
        self.texts: list[tuple[str, str]] = []
        self.headers: list[tuple[str, str]] = []
        self.arms: dict[str, str] = {}  # by address of the picture
        self._known = {
            hashlib.sha256(path.read_bytes()).hexdigest(): arm
            for trial in pack.trials
            for arm, path in trial.candidates.items()
        }

    def watch(self, context: BrowserContext) -> None:
        """Record what the context is sent from now on."""
        context.expose_function("recordSent", lambda url, text: self.texts.append((url, text)))
        context.add_init_script(WATCH_STREAMS)
        context.route("**/*", self._pass_on)

    def _pass_on(self, route: Route) -> None:
        url = route.request.url
        if any(stream in url for stream in STREAMS):
            route.continue_()
            return
        reply = route.fetch(max_retries=3)  # a kept connection may just have been closed
        body = reply.body()
        self.headers.append((url, str(reply.headers)))
        if "/study/picture/" in url:
            self.arms["study/picture/" + url.rsplit("/", 1)[1]] = self._known.get(hashlib.sha256(body).hexdigest())
        else:
            self.texts.append((url, body.decode("utf-8", errors="replace")))
        route.fulfill(response=reply, body=body)

    def check(self) -> None:
        """Nothing sent so far names what a picture was made with."""
        events = [(url, text) for url, text in self.texts if "/run/" in url or "/queue/" in url]
        assert len(events) > TRIALS
        assert any("/config" in url or "gradio_config" in text for url, text in self.texts)
        for url, text in [*self.texts, *self.headers]:
            found = ARMS_NAMED.search(url) or ARMS_NAMED.search(text)
            assert not found, f"{url}: {text[max(0, found.start() - 80) : found.end() + 80]}"
        for url, text in events:
            found = METHODS_NAMED.search(text)
            assert not found, f"{url}: {text[max(0, found.start() - 80) : found.end() + 80]}"
        pictures = [headers for url, headers in self.headers if "/study/picture/" in url]
        assert len(pictures) > 4 * TRIALS
        assert not re.search("last-modified|etag|content-disposition", " ".join(pictures), re.IGNORECASE)


@pytest.fixture(scope="module")
def study_app(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppProcess]:
    """The app with a drawn study of eleven trials."""
    app = AppProcess(tmp_path_factory.mktemp("study"))
    drawn_pack.write(app.data / "packs" / "drawn", side_px=192)
    with app:
        yield app


@pytest.fixture(scope="module")
def pack(study_app: AppProcess) -> Pack:
    """The drawn study's pictures."""
    from core.study.protocol.packs import load_pack

    return load_pack(study_app.data / "packs" / "drawn")


Open = Callable[..., "BrowserContext"]


@pytest.fixture
def browser_of(chromium: Browser) -> Iterator[Open]:
    """Function that gives a participant a browser of their own."""
    contexts = []

    def open_browser(*, phone: bool = False, dark: bool = False) -> BrowserContext:
        context = chromium.new_context(
            viewport={"width": 390, "height": 844} if phone else {"width": 1280, "height": 900},
            has_touch=phone,
            is_mobile=phone,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        context.set_default_timeout(SLOW_MS)
        contexts.append(context)
        return context

    yield open_browser
    for context in contexts:
        context.close()


def visit(context: BrowserContext, app: AppProcess, tab: str = "vote") -> Page:
    """Open the page on a tab."""
    page = context.new_page()
    page.goto(app.url, wait_until="load")
    page.click(f"button[role=tab][data-tab-id={tab}]")
    return page


def begin(page: Page) -> None:
    """Agree, name the group and start the drawn set."""
    page.wait_for_selector("#vote-start")
    drawn = page.locator("#vote-pack input[value=drawn]")
    if drawn.count():
        drawn.check()
    page.check("#vote-agreed input")
    page.check("#vote-group input[value=viewer]")
    page.click("#vote-start")
    shown(page, "1 of 11")


def shown(page: Page, count: str) -> None:
    """Wait until a screen is there with all its pictures."""
    page.wait_for_function(
        "count => document.querySelector('#vote-stage .st.ready .st-count')?.innerText === count", arg=count
    )


def state(page: Page) -> tuple[str, str]:
    """(kind, ticket) of the screen that is shown."""
    stage = page.locator("#vote-stage .st")
    return stage.get_attribute("data-kind"), stage.get_attribute("data-ticket")


def confirm(page: Page, press: Callable[[], object]) -> None:
    """Confirm by `press` and wait for the next screen."""
    _, ticket = state(page)
    page.wait_for_selector("#vote-stage [data-do=choose]:not([disabled])")
    press()
    page.wait_for_function(
        "ticket => document.querySelector('#vote-stage .st.ready')?.dataset.ticket !== ticket", arg=ticket
    )
    page.wait_for_selector("#vote-stage .st.ready")


def by_key(page: Page, key: str) -> None:
    """Select and confirm with the keyboard."""
    page.keyboard.press(key)
    confirm(page, lambda: page.keyboard.press("Enter"))


def pass_check(page: Page) -> None:
    """Do as an attention check says, if one is shown."""
    if state(page)[0] == "check":
        letter = page.inner_text("#vote-stage .st-ask").split()[-1]
        by_key(page, str(LABELS.index(letter) + 1))


def arms_shown(page: Page, sent: Sent) -> list[str]:
    """What the candidates were made with, found by their bytes."""
    pictures = page.locator("#vote-stage .st-card img").evaluate_all("all => all.map((one) => one.getAttribute('src'))")
    return [sent.arms[picture] for picture in pictures]


def code_of(page: Page) -> str:
    """The participant's code, as the page tells it."""
    return page.text_content("#vote-stage .st-letters output")


def votes_of(app: AppProcess, code: str) -> list:
    """What the store counts for a code."""
    participant = codes.participant_id(codes.normalised(code))
    return [vote for vote in Store(app.data / "votes.sqlite3").votes() if vote.participant == participant]


def test_a_whole_run_at_a_desk_and_nothing_sent_names_a_method(
    study_app: AppProcess, pack: Pack, browser_of: Open, screenshots: Path
) -> None:
    context, sent = browser_of(), Sent(pack)
    sent.watch(context)
    page = visit(context, study_app)
    page.wait_for_selector("#vote-start")
    page.click("#vote-start")
    page.get_by_text("Please read what we keep").wait_for()
    page.check("#vote-agreed input")
    page.click("#vote-start")
    page.get_by_text("Please tell us which of the two groups").wait_for()
    page.screenshot(path=screenshots / "vote-intro.png", full_page=True)
    begin(page)
    code = code_of(page)
    page.screenshot(path=screenshots / "vote-trial.png")

    # Keys: a selected one moves, Enter confirms, nothing selected confirms nothing.
    chosen: list[str | None] = []
    page.keyboard.press("Enter")
    page.keyboard.press("2")
    page.keyboard.press("4")
    assert page.locator("#vote-stage .st-card input").nth(3).is_checked()
    chosen.append(arms_shown(page, sent)[3])
    page.wait_for_timeout(1600)
    confirm(page, lambda: page.keyboard.press("Enter"))
    shown(page, "2 of 11")
    by_key(page, "0")
    chosen.append(None)

    # A double click counts once; Undo goes back one trial.
    shown(page, "3 of 11")
    page.locator("#vote-stage .st-card").nth(0).click()
    confirm(page, lambda: page.dblclick("#vote-stage [data-do=choose]"))
    shown(page, "4 of 11")
    page.click("#vote-stage [data-do=undo]")
    shown(page, "3 of 11")
    assert len(votes_of(study_app, code)) == 2
    chosen.append(arms_shown(page, sent)[1])
    by_key(page, "2")

    # Results wait; coming back to the tab and reloading it go on where it was.
    shown(page, "4 of 11")
    page.keyboard.press("1")
    assert not page.locator("#results").count()
    page.click("button[role=tab][data-tab-id=stylize]")
    page.click("button[role=tab][data-tab-id=vote]")
    shown(page, "4 of 11")
    page.wait_for_timeout(1000)
    assert page.locator("#vote-stage .st-card input").first.is_checked(), "what was selected stays selected"
    page.reload(wait_until="load")
    page.get_by_text("Welcome back.").wait_for()
    shown(page, "4 of 11")

    # A second tab answers; the first one then says so and moves on.
    other = visit(context, study_app)
    shown(other, "4 of 11")
    chosen.append(arms_shown(other, sent)[2])
    by_key(other, "3")
    other.close()
    by_key(page, "1")
    assert "another answer already" in page.inner_text("#vote-stage .st-say")
    pass_check(page)
    shown(page, "5 of 11")

    while state(page)[0] != "review":
        pass_check(page)
        arms = arms_shown(page, sent)
        assert sorted(arms) == sorted(pack.arms)
        assert not METHODS_NAMED.search(page.inner_html("#vote-stage") + page.url + page.title())
        chosen.append("ours-few")
        by_key(page, str(arms.index("ours-few") + 1))
    page.screenshot(path=screenshots / "vote-review.png")
    assert len(chosen) == TRIALS
    kept = page.evaluate("JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage)])")
    assert not METHODS_NAMED.search(kept)
    sent.check()

    page.click("#vote-stage [data-do=finish]")
    page.wait_for_selector("#vote-stage .st[data-kind=finished]")
    page.screenshot(path=screenshots / "vote-finished.png")
    own = page.locator("#vote-stage .st-own li").all_inner_texts()
    told = {line.split("\n")[0]: int(line.split("\n")[-1].split()[0]) for line in own}
    assert told == {**{ARM_TITLES[arm]: chosen.count(arm) for arm in pack.arms}, "Can't decide": 1}
    votes = votes_of(study_app, code)
    assert [vote.choice for vote in votes].count(None) == 1
    assert len(votes) == TRIALS
    assert 1600 <= votes[0].dwell_ms < 60_000

    page.get_by_text("No results yet: 1 finished").wait_for()
    page.click("#vote-stage [data-do=results]")
    page.wait_for_function("document.querySelector('#results').getBoundingClientRect().bottom <= innerHeight + 4")
    page.screenshot(path=screenshots / "results-empty.png", full_page=True)
    page.click("#vote-stage [data-do=open]")
    assert page.inner_text("#vote-stage .st-letters output") == code
    page.click("#vote-stage [data-do=ask-withdraw]")
    page.click("#vote-stage [data-do=withdraw]")
    page.get_by_text("11 answers were taken out of every result.").wait_for()
    page.wait_for_selector("#results", state="detached")
    assert votes_of(study_app, code) == []


def finished_by(app: AppProcess, pack: Pack, people: int) -> str:
    """Let people finish the set, who mostly prefer one method; the last one's code."""
    study, code = study_on(app.data / "votes.sqlite3", pack), ""
    with kept_open(study):
        for person in range(people):
            code = study_parts.begin(study, slug=pack.slug, group="artist" if person % 3 == 0 else "viewer")
            study_parts.answer(study, code, lambda screen, person=person: LABELS[(screen.number * 7 + person) % 3])
            study.finish(code)
    return codes.shown(code)


def test_results_fold_out_under_the_own_ones(
    chromium: Browser, browser_of: Open, tmp_path: Path, screenshots: Path
) -> None:
    app = AppProcess(tmp_path)
    pack = drawn_pack.write(app.data / "packs" / "drawn", side_px=96)
    with app:
        code = finished_by(app, pack, people=14)
        for phone, dark in itertools.product((False, True), (False, True)):
            page = visit(browser_of(phone=phone, dark=dark), app)
            page.wait_for_selector("#vote-code")
            assert not page.locator("#results").count(), "results wait for the own choices"
            page.click("#vote-code > button")
            page.fill("#vote-code input, #vote-code textarea", code)
            page.click("#vote-resume")
            page.wait_for_selector("#vote-stage .st[data-kind=finished]")
            page.wait_for_selector("#results .st-chart img.on-light", state="attached")
            compared = page.inner_text("#results .st-arms")
            assert all(title in compared for title in ARM_TITLES.values())
            assert "learns from all pictures" in compared
            page.click("#results-body summary >> nth=0")
            assert re.search("clear difference", page.inner_text("#results"))
            assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
            name = f"results-{'phone' if phone else 'desk'}-{'dark' if dark else 'light'}.png"
            page.screenshot(path=screenshots / name, full_page=True)


def test_a_run_on_a_phone_goes_on_elsewhere_with_its_code(
    study_app: AppProcess, browser_of: Open, screenshots: Path
) -> None:
    page = visit(browser_of(phone=True), study_app)
    page.wait_for_selector("#vote-start")
    page.screenshot(path=screenshots / "vote-intro-phone.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    begin(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    boxes = [card.bounding_box() for card in page.locator("#vote-stage .st-pic").all()]
    assert len({(box["width"], box["height"]) for box in boxes}) == 1, "equal sizes"
    assert len({box["x"] for box in boxes}) == len({box["y"] for box in boxes}) == 2, "two by two"
    assert boxes[0]["width"] > 150
    assert not page.locator("#vote-stage kbd").first.is_visible(), "a phone has no keys"
    page.locator("#vote-stage .st-card").nth(2).tap()
    page.screenshot(path=screenshots / "vote-trial-phone.png")
    confirm(page, lambda: page.tap("#vote-stage [data-do=choose]"))
    shown(page, "2 of 11")
    top, bottom = page.locator("#vote-stage .st-top").bounding_box(), page.locator(".st-go").bounding_box()
    assert top["y"] >= 0, "the next trial is in view from its top"
    assert bottom["y"] + bottom["height"] - top["y"] < 844, "and fits the screen"
    code = code_of(page)

    page = visit(browser_of(phone=True, dark=True), study_app)
    page.wait_for_selector("#vote-code")
    page.click("#vote-code > button")
    page.fill("#vote-code input, #vote-code textarea", "nonsense")
    page.click("#vote-resume")
    page.get_by_text("Type the twelve letters").wait_for()
    page.fill("#vote-code input, #vote-code textarea", "oil2-ABCD-efgh")
    page.click("#vote-resume")
    page.get_by_text("We don't know the code 'oil2-ABCD-efgh'.").wait_for()
    page.screenshot(path=screenshots / "vote-unknown-code.png")
    page.fill("#vote-code input, #vote-code textarea", code.lower().replace("-", " "))
    page.click("#vote-resume")
    page.get_by_text("Welcome back.").wait_for()
    shown(page, "2 of 11")
    while state(page)[0] != "review":
        pass_check(page)
        page.locator("#vote-stage .st-none, #vote-stage .st-card").last.tap()
        confirm(page, lambda: page.tap("#vote-stage [data-do=choose]"))
    page.tap("#vote-stage [data-do=finish]")
    page.wait_for_selector("#vote-stage .st[data-kind=finished]")
    page.screenshot(path=screenshots / "vote-finished-phone.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert len(votes_of(study_app, code)) == TRIALS

    page.tap("#vote-stage [data-do=results]")
    page.get_by_text("No results yet").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_run_survives_a_killed_server(study_app: AppProcess, browser_of: Open) -> None:
    page = visit(browser_of(), study_app)
    begin(page)
    by_key(page, "1")
    shown(page, "2 of 11")
    code = code_of(page)
    study_app.kill()
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    page.wait_for_timeout(500)
    study_app.start()
    page.get_by_text("Welcome back.").wait_for()  # the page finds the server again by itself
    shown(page, "2 of 11")
    by_key(page, "3")
    shown(page, "3 of 11")
    assert [vote.position for vote in votes_of(study_app, code)] == [0, 2]


def test_a_photo_vote_on_an_own_photo(study_app: AppProcess, browser_of: Open, screenshots: Path) -> None:
    folder, shipped = study_app.data / "arms" / "charcoal", ASSETS_DIR / "study" / "arms" / "watercolour"
    folder.mkdir(parents=True)
    for arm in ARMS:
        (folder / f"{arm}.safetensors").write_bytes((shipped / f"{arm}.safetensors").read_bytes())
    page = visit(browser_of(), study_app, "stylize")
    page.click("#styles button[data-pick=charcoal]")
    page.wait_for_selector("#photo-vote", timeout=DRAWING_MS)
    page.click("#photo-vote > button")
    page.click("#photo-vote-start")
    page.wait_for_selector("#photo-vote-stage .st.ready", timeout=DRAWING_MS)
    pictures = page.locator("#photo-vote-stage .st-card img").evaluate_all("all => all.map((one) => one.src)")
    assert len(set(pictures)) == len(ARMS)
    assert all(picture.startswith("data:image/png") for picture in pictures)
    assert not METHODS_NAMED.search(re.sub(r"base64,[^\"]+", "", page.inner_html("#photo-vote-stage")))
    page.screenshot(path=screenshots / "photo-vote.png", full_page=True)
    page.click("#photo-vote-stage .st-card >> nth=1")
    page.click("#photo-vote-stage [data-do=choose]")
    page.get_by_text("Thank you, your vote is saved").wait_for()
    (row,) = Store(study_app.data / "votes.sqlite3").photo_votes()
    assert row.style == "charcoal"
    assert row.choice == row.order[1]
    page.click("#styles button[data-pick=halftone]")
    page.wait_for_selector("#photo-vote-stage .st", state="detached", timeout=DRAWING_MS)
    page.click("#photo-vote > button")
    page.click("#photo-vote-start")
    page.wait_for_selector("#photo-vote-stage .st.ready", timeout=DRAWING_MS)
    assert page.locator("#photo-vote-stage .st-card").count() == 2, "with and without brushwork"


def test_the_stage_can_be_used_by_keyboard_alone(study_app: AppProcess, browser_of: Open) -> None:
    page = visit(browser_of(), study_app)
    begin(page)
    focused = "document.activeElement"
    page.focus("#vote-stage .st-card input")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(f"{focused}.value") == "B"
    assert page.evaluate(f"{focused}.checked")
    ring = "getComputedStyle(document.activeElement.parentElement.querySelector('.st-pic')).outlineWidth"
    assert page.evaluate(ring) == "3px"
    confirm(page, lambda: page.keyboard.press("Enter"))
    shown(page, "2 of 11")
    assert page.evaluate(f"{focused}.className") == "st-ask", "the next question is read aloud"
    page.focus("#vote-stage [data-do=open]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#vote-stage dialog[open]")
    page.keyboard.press("1")
    page.keyboard.press("Escape")
    page.wait_for_selector("#vote-stage dialog", state="hidden")
    assert page.locator("#vote-stage input:checked").count() == 0, "keys in the dialog select nothing"
