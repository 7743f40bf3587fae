"""The page's words: each has a translation, none is left over, and finished sentences find theirs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from gradio.context import LocalContext

import app
from core.errors import StyleFileInvalid
from core.make_assets.packs.__main__ import PLANS
from core.make_assets.packs.build import PackPlan
from core.ui import friendly_errors as edge
from core.ui import i18n as words
from core.ui.components import widgets
from core.ui.components.example_sets import example_sets

ROOT = Path(__file__).resolve().parent.parent
PAGE = [ROOT / "app.py", *sorted((ROOT / "core" / "ui").rglob("*.py"))]
SENTENCES = [
    *PAGE,
    ROOT / "core" / "errors.py",
    ROOT / "core" / "imaging" / "photo.py",
    *(ROOT / "core" / "engines" / "fewshot_gan" / f"{name}.py" for name in ("style_file", "backbone")),
    *sorted((ROOT / "core" / "study").rglob("*.py")),
]
TAKES_WORDS = {"t", "label", "translated", "hint", "notice", "empty"}
FOR_PROGRAMS = {"api.py"}  # its callers are programs, which read English
PLACEHOLDER = re.compile(r"\{[^{}]*\}")


def text_of(node: ast.AST) -> str | None:
    """A string or f-string as a template, `{}` for whatever varies; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return PLACEHOLDER.sub("{}", node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return None


def called(node: ast.Call) -> str:
    """The last name of what is called: `gr.Error(...)` -> 'Error'."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def spoken(path: Path) -> Iterator[tuple[int, str]]:
    """(line, template) of the texts that a module hands to visitors by name of the call."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        given = list(node.args[:1]) if called(node) in TAKES_WORDS | {"Error", "Warning", "Info"} else []
        given += [keyword.value for keyword in node.keywords if keyword.arg == "title" and called(node) == "Error"]
        for item in given:
            text = text_of(item)
            if text is not None and re.search("[A-Za-z]{2}", text.replace("{}", "")):
                yield node.lineno, text


def sentences_of_errors() -> Iterator[str]:
    """Templates of the sentences in `core.errors` that name no option of the command line."""
    for node in ast.walk(ast.parse((ROOT / "core" / "errors.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and called(node) == "__init__":
            texts = filter(None, map(text_of, node.args))
            yield from (
                text for text in texts if re.search("[a-z]{2}", text) and " --" not in text.replace("(--", " --")
            )


@pytest.fixture
def in_chinese(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An event of a visitor whose browser speaks Chinese."""
    token = LocalContext.request.set(SimpleNamespace(headers={"accept-language": "zh-CN,zh;q=0.9,en;q=0.8"}))
    yield
    LocalContext.request.reset(token)


def test_every_word_of_the_page_is_translated() -> None:
    known = {PLACEHOLDER.sub("{}", key) for key in words.catalogue()}
    missing = [
        f"{path.name}:{line}: {text}"
        for path in PAGE
        if path.name not in FOR_PROGRAMS
        for line, text in spoken(path)
        if text not in known
    ]
    missing += [f"errors.py: {text}" for text in sentences_of_errors() if text not in known]
    assert not missing, "add to core/ui/locales/zh-CN.json:\n" + "\n".join(missing)


def test_no_translation_is_left_over() -> None:
    used = set()
    for path in SENTENCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = text_of(node)
            if text:
                used |= {text, f"{text[:1].upper()}{text[1:]}."}  # reasons become sentences on the status line
                used.add(f"{text[:1].lower()}{text[1:]}")  # titles stand inside sentences
    used |= (
        {look["title"] for look in shelf()}
        | {found.title for found in example_sets()}
        | {plan.title for plan in PLANS.values()}
    )
    left_over = [key for key in words.catalogue() if PLACEHOLDER.sub("{}", key) not in used]
    assert not left_over


def shelf() -> list[dict[str, str]]:
    """The ready-made styles' cards."""
    import json

    return json.loads((ROOT / "assets" / "styles" / "shelf.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("card", shelf(), ids=lambda card: card["slug"])
def test_ready_made_styles_have_chinese_titles(card: dict[str, str]) -> None:
    assert card["title"] in words.catalogue()


@pytest.mark.parametrize("plan", PLANS.values(), ids=lambda plan: plan.slug)
def test_shipped_packs_have_chinese_titles(plan: PackPlan) -> None:
    assert plan.title in words.catalogue()


@pytest.mark.parametrize(("english", "chinese"), words.catalogue().items(), ids=lambda text: text[:24])
def test_translations_fit_their_texts(english: str, chinese: str) -> None:
    assert sorted(PLACEHOLDER.findall(english)) == sorted(PLACEHOLDER.findall(chinese))
    assert chinese.strip() == chinese
    assert ("<" in english) == ("<" in chinese)


def test_english_is_the_default() -> None:
    assert words.t("Seed") == "Seed"
    assert words.t("Step {step} of {steps}", step=3, steps=9) == "Step 3 of 9"
    assert words.translated("anything") == "anything"


@pytest.mark.parametrize(
    ("header", "expected"),
    [("zh-CN", "zh-CN"), ("zh-cn,en;q=0.5", "zh-CN"), ("en,zh-CN", "en"), ("zh-TW", "en"), ("de", "en"), ("", "en")],
)
def test_the_first_language_of_the_browser_counts(header: str, expected: str) -> None:
    token = LocalContext.request.set(SimpleNamespace(headers={"accept-language": header}))
    assert words.language() == expected
    LocalContext.request.reset(token)


@pytest.mark.usefixtures("in_chinese")
def test_sentences_with_names_in_them_are_found() -> None:
    said = words.translated(
        "We couldn't find a face in 'a {b}.jpg'. Try a picture where both eyes are visible, or crop it yourself."
    )
    assert "a {b}.jpg" in said
    assert "both eyes" not in said
    nested = words.translated(str(StyleFileInvalid("x.safetensors", "it is not a safetensors file")))
    assert "x.safetensors" in nested
    assert "it is not" not in nested
    assert words.translated("Nobody wrote this.") == "Nobody wrote this."


@pytest.mark.usefixtures("in_chinese")
def test_errors_and_widgets_speak_chinese() -> None:
    import gradio as gr

    @edge.friendly
    def handler() -> None:
        raise KeyError("secret")

    @edge.friendly
    def told() -> None:
        raise gr.Error("Train a style first.", title="No style yet")

    for function in (handler, told):
        with pytest.raises(gr.Error) as caught:
            function()
        assert not re.search("[A-Za-z]{3}", caught.value.message + caught.value.title)
    assert not re.search("[A-Za-z]{3}", re.sub("<[^>]*>", "", widgets.training_run(3, 10, [3.0, 1.0], 64)))


def test_the_browser_gets_both_languages_of_everything() -> None:
    app.build()
    told = words.for_browser().translations_dict
    assert set(told) == {"en", "zh-CN"}
    assert set(told["en"]) == set(told["zh-CN"])
    assert told["zh-CN"]["Draw my portrait"] == words.catalogue()["Draw my portrait"]
    same = [text for text, chinese in told["zh-CN"].items() if text == chinese and re.search("[A-Za-z]{3}", text)]
    assert not same
    assert not [text for text in told["en"] if "}" in text], "Gradio would cut the key off there"
