"""The page's texts: each template has a translation with the same fields, none is left over, sentences find theirs."""

from __future__ import annotations

import ast
import json
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio.context import LocalContext
from jinja2 import nodes

import app
from core import errors
from core.config import PAPER_ARMS
from core.engines import registry
from core.engines.registry import EngineEntry
from core.errors import NoFaceFound, Sentence, StyleFileInvalid, StyleIdentityError
from core.make_assets.packs.build import PackPlan
from core.make_assets.packs.shipped import PLANS
from core.ui import i18n
from core.ui.components import gradio_words, rendering, widgets
from core.ui.components.example_sets import example_sets
from core.ui.friendly_errors import PageProblem, friendly

ROOT = Path(__file__).resolve().parent.parent
PAGE = [ROOT / "app.py", *sorted((ROOT / "core" / "ui").rglob("*.py"))]
SENTENCES = [
    *PAGE,
    ROOT / "core" / "errors.py",
    ROOT / "core" / "options.py",
    ROOT / "core" / "imaging" / "photo.py",
    *(ROOT / "core" / "engines" / f"{name}.py" for name in ("base", "registry")),
    *(ROOT / "core" / "engines" / "fewshot_gan" / f"{name}.py" for name in ("config", "choose")),
    *(ROOT / "core" / "engines" / "fewshot_gan" / f"{name}.py" for name in ("style_file", "hand_tensors", "backbone")),
    *sorted((ROOT / "core" / "study").rglob("*.py")),
]
TAKES_TEXT = {
    "t",
    "t_html",
    "label",
    "Sentence",
    "PageProblem",
    "hint",
    "notice",
    "heading",
    "batch",
    "button",
    "empty",
    "VoteRejected",
}
NAMED_TEXTS = {("PageProblem", "title"), ("option", "label"), ("option", "help")}
FOR_PROGRAMS = {"api.py", "fetching.py", "admission.py"}  # whose callers are programs, which read English
FIELD = re.compile(r"\{[^{}]*\}")


def called(node: ast.expr) -> str:
    """The last name of what is called: `gr.Error` -> 'Error'."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def in_module(path: Path) -> Iterator[str]:
    """The texts that a module hands to visitors: by name of the call, titles of page problems, the page's constants."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    given: list[ast.expr] = []
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            name = called(node.func)
            if name == "label" and path not in PAGE:
                continue  # a column of a query
            given += node.args[:1] if name in TAKES_TEXT else node.args[1:2] if name == "StyleFileInvalid" else []
            given += [option.value for option in node.keywords if (name, option.arg) in NAMED_TEXTS]
            given += [
                text
                for option in node.keywords
                if (name, option.arg) == ("option", "choices") and isinstance(option.value, ast.Dict)
                for text in option.value.values
            ]
    yield from (text.value for text in given if isinstance(text, ast.Constant) and isinstance(text.value, str))
    for statement in module.body if path in PAGE else ():
        if isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
            for part in ast.walk(statement.value):
                if isinstance(part, ast.Constant) and re.fullmatch("[A-Z].* .*[.?!:]", str(part.value)):
                    yield str(part.value)


def in_templates() -> Iterator[str]:
    """The texts of the Jinja templates: what they translate, and what they hand to macros that do."""
    for name in rendering.environment().list_templates():
        source = (rendering.TEMPLATES / name).read_text(encoding="utf-8")
        for call in rendering.environment().parse(source).find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name in TAKES_TEXT:
                for text in call.args[1:2] if call.node.name == "button" else call.args[:1]:
                    if isinstance(text, nodes.Const):
                        yield text.value


def in_errors() -> Iterator[str]:
    """Templates of the failures that name no option of the command line, and so may reach the page."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, StyleIdentityError)]
    texts = {kind.template for kind in kinds} - {"", "'{name}' {problem}."}
    yield from (text for text in texts if not re.search(r"(^| |\()--[a-z]", text))


def texts_in_use() -> list[str]:
    """Every template that is spoken to visitors by one of these ways."""
    modules = [path for path in SENTENCES if path.name not in FOR_PROGRAMS]
    found = [*(text for path in modules for text in in_module(path)), *in_templates(), *in_errors()]
    return sorted({text for text in found if re.search("[A-Za-z]{2}", FIELD.sub("", text))})


@pytest.fixture
def in_chinese() -> Iterator[None]:
    """An event of a visitor whose browser speaks Chinese."""
    token = LocalContext.request.set(SimpleNamespace(headers={"accept-language": "zh-CN,zh;q=0.9,en;q=0.8"}))
    yield
    LocalContext.request.reset(token)


def test_every_text_of_the_page_is_translated() -> None:
    missing = [text for text in texts_in_use() if text not in i18n.catalogue() and text not in gradio_words.TEXTS]
    assert not missing, "add to core/ui/locales/zh-CN.json:\n" + "\n".join(missing)
    assert len(texts_in_use()) > 250


def test_no_translation_is_left_over() -> None:
    used = {*in_templates(), *in_errors()}
    for path in SENTENCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
                used |= {text, f"{text[:1].lower()}{text[1:]}"}  # titles stand inside sentences
    used |= (
        {card["title"] for card in style_cards()}
        | {found.title for found in example_sets()}
        | {plan.title for plan in PLANS.values()}
        | {arm.title for arm in PAPER_ARMS}
        | {name for arm in PAPER_ARMS for name in (arm.paper_title, arm.paper_title[0].lower() + arm.paper_title[1:])}
        | {title for entry in registry.entries() if entry.training for title in entry.training.preset_titles.values()}
        | {title for entry in registry.entries() for title in (entry.title, *entry.variants.values())}
    )
    left_over = [key for key in i18n.catalogue() if key not in used]
    assert not left_over


def style_cards() -> list[dict[str, str]]:
    """The ready-made styles' cards."""
    cards: list[dict[str, str]] = json.loads((ROOT / "assets" / "styles" / "index.json").read_text(encoding="utf-8"))
    return cards


@pytest.mark.parametrize("card", style_cards(), ids=lambda card: card["slug"])
def test_ready_made_styles_have_chinese_titles(card: dict[str, str]) -> None:
    assert card["title"] in i18n.catalogue()


@pytest.mark.parametrize("plan", PLANS.values(), ids=lambda plan: plan.slug)
def test_shipped_packs_have_chinese_titles(plan: PackPlan) -> None:
    assert plan.title in i18n.catalogue()


@pytest.mark.parametrize("entry", registry.entries(), ids=lambda entry: entry.name)
def test_engines_and_their_models_have_chinese_titles(entry: EngineEntry) -> None:
    assert {entry.title, *entry.variants.values()} <= i18n.catalogue().keys()


@pytest.mark.parametrize(("english", "chinese"), i18n.catalogue().items(), ids=lambda text: text[:24])
def test_translations_fit_their_texts(english: str, chinese: str) -> None:
    assert set(FIELD.findall(english)) == set(FIELD.findall(chinese))
    assert chinese.strip() == chinese
    assert ("<" in english) == ("<" in chinese)


def test_english_is_the_default() -> None:
    assert i18n.t("Seed") == "Seed"
    assert i18n.t("Step {step} of {steps}", step=3, steps=9) == "Step 3 of 9"
    assert i18n.t("a {b} of a stranger") == "a {b} of a stranger"


@pytest.mark.parametrize(
    ("header", "expected"),
    [("zh-CN", "zh-CN"), ("zh-cn,en;q=0.5", "zh-CN"), ("en,zh-CN", "en"), ("zh-TW", "en"), ("de", "en"), ("", "en")],
)
def test_the_first_language_of_the_browser_counts(header: str, expected: str) -> None:
    token = LocalContext.request.set(SimpleNamespace(headers={"accept-language": header}))
    assert i18n.language() == expected
    LocalContext.request.reset(token)


# --- sentences that know their template --------------------------------------------------------------------


def test_a_sentence_is_its_english_text_and_knows_more() -> None:
    sentence = Sentence("{title}, {count} times", title=Sentence("Charcoal"), count=3)
    assert sentence == "Charcoal, 3 times" and json.dumps(sentence) == '"Charcoal, 3 times"'
    copy = pickle.loads(pickle.dumps(sentence))
    assert (copy, copy.template, copy.values) == (sentence, sentence.template, sentence.values)
    assert isinstance(copy.values["title"], Sentence)
    assert Sentence("a {b}") == "a {b}", "braces of a stranger's stay"


@pytest.mark.parametrize(
    "error",
    [
        errors.PhotoTooSmall("a {b}.jpg", 30, 64),
        errors.FaceIndexOutOfRange("a.jpg", 8, 1),
        errors.UnknownPack("x", ""),
        StyleFileInvalid("x", Sentence("it is larger than {limit} MB", limit=3)),
        PageProblem("The seed is a number from 0 to {limit}.", limit=9, title="No style yet"),
        errors.NoReferences(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_cross_process_borders_with_template_and_values(error: StyleIdentityError) -> None:
    error.add_note("on the way")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error) and str(copy) == str(error) == copy.template.format(**copy.values)
    assert copy.values == error.values and vars(copy) == vars(error)
    assert "{" not in str(error).replace("{b}", "")


def test_an_error_takes_its_template_s_fields_and_no_others() -> None:
    assert NoFaceFound(name="a.jpg").values == {"name": "a.jpg"}
    for given, named in (((), {}), (("a", "b"), {}), (("a",), {"name": "b"}), (("a",), {"face": 1})):
        with pytest.raises(TypeError, match="NoFaceFound needs"):
            NoFaceFound(*given, **named)


@pytest.mark.usefixtures("in_chinese")
def test_sentences_are_translated_by_their_templates() -> None:
    spoken = i18n.t(NoFaceFound("a {b}.jpg").sentence)
    assert "a {b}.jpg" in spoken and "both eyes" not in spoken
    for reason in ("it is not a safetensors file", Sentence("its part '{key}' does not fit the model", key="conv1")):
        nested = i18n.t(StyleFileInvalid("x.safetensors", reason).sentence)
        assert "x.safetensors" in nested
        assert not re.search(
            "[A-Za-z]{4}", nested.replace("x.safetensors", "").replace("safetensors", "").replace("conv1", "")
        )
    assert i18n.t("Nobody wrote this.") == "Nobody wrote this."
    assert i18n.t(Sentence("Nobody wrote {this}.", this=Sentence("Charcoal"))) == "Nobody wrote 炭笔."


@pytest.mark.usefixtures("in_chinese")
def test_a_stranger_s_text_is_not_translated() -> None:
    assert "“Charcoal”" in i18n.t(NoFaceFound("Charcoal").sentence), "a file may be named like a style"


@pytest.mark.usefixtures("in_chinese")
def test_errors_and_widgets_speak_chinese() -> None:
    @friendly
    def unexpected() -> None:
        raise KeyError("secret")

    @friendly
    def expected() -> None:
        raise PageProblem("Train a style first.", title="No style yet")

    for function in (unexpected, expected):
        with pytest.raises(gr.Error) as caught:
            function()
        assert not re.search("[A-Za-z]{3}", caught.value.message + caught.value.title)
    assert not re.search("[A-Za-z]{3}", re.sub("<[^>]*>", "", widgets.training_run(3, 10, [3.0, 1.0], 64)))


def test_the_browser_gets_both_languages_of_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i18n, "_in_browser", {})  # other tests of this process add engines that nobody translated
    app.build()
    texts = i18n.for_browser().translations_dict
    assert set(texts) == {"en", "zh-CN"}
    assert set(texts["en"]) == set(texts["zh-CN"])
    assert texts["zh-CN"]["Download the portrait"] == i18n.catalogue()["Download the portrait"]
    same = [text for text, chinese in texts["zh-CN"].items() if text == chinese and re.search("[A-Za-z]{3}", text)]
    assert not same
    assert not [text for text in texts["en"] if "}" in text], "Gradio would cut the key off there"
