"""`mblip demo` below its page: what is asked and answered, and the HTML of it. test_demo_page.py has the page."""

import functools
import html
import itertools
import os
import re
import time
from pathlib import Path

import pytest
from PIL import Image

from mblip import demo
from mblip.data.languages import LANGUAGES
from mblip.demo import (
    Answer,
    Answerer,
    answer_html,
    ask_all,
    is_right_to_left,
    model_languages,
    newest_model,
    respond,
    table_html,
    tell_language,
)
from mblip.evaluation.likelihood import rank
from tests.tiny import tiny_model, tiny_processor


@pytest.fixture
def paths(tmp_path):
    """Two images of files."""
    for name, colour in (("red.png", "red"), ("blue.png", "blue")):
        Image.new("RGB", (40, 30), colour).save(tmp_path / name)
    return [str(tmp_path / "red.png"), str(tmp_path / "blue.png")]


@pytest.fixture(scope="module", params=["mt5", "llama"])
def answerer(request):
    """Of an encoder-decoder and of a decoder-only language model."""
    return Answerer(tiny_model(request.param), tiny_processor(request.param), batch_size=2, max_new_tokens=6)


def ask(answerer, paths, codes=("en", "ar", "zh"), question=None, candidates="", together=False):
    return list(respond(answerer, paths, codes, question, candidates, together=together))


def texts(shown):
    """The answers of a table, in order."""
    return [html.unescape(text) for text in re.findall(r"<p dir[^>]*>(.*?)</p>", shown)]


def slow_down(monkeypatch, model, *, seconds):
    """Let each step of a model's decoding take so long. Returns a list that grows with the steps."""
    steps, prepare = [], model.prepare_inputs_for_generation

    @functools.wraps(prepare)  # transformers reads its arguments
    def slow(*args, **kwargs):
        time.sleep(seconds)
        steps.append(seconds)
        return prepare(*args, **kwargs)

    monkeypatch.setattr(model, "prepare_inputs_for_generation", slow)
    return steps


def test_an_image_is_encoded_once_for_all_languages_and_for_the_next_question(answerer, paths, monkeypatch):
    encoded, encode = [], answerer.model.get_image_features
    monkeypatch.setattr(
        answerer.model, "get_image_features", lambda pixels: encoded.append(len(pixels)) or encode(pixels)
    )
    ask(answerer, paths)
    ask(answerer, paths, question="What?")
    assert encoded == [2]


def test_a_batch_of_languages_gives_what_each_language_gives_alone(answerer, paths):
    together = texts(ask(answerer, paths)[-1])
    alone = [texts(ask(answerer, [path], (code,))[-1])[0] for path in paths for code in ("en", "ar", "zh")]
    assert together == alone
    assert len(alone) == 6


def test_answers_grow_token_by_token_and_are_counted_when_they_end(answerer, paths, monkeypatch):
    monkeypatch.setattr(demo, "REFRESH_SECONDS", 0)
    slow_down(monkeypatch, answerer.model, seconds=0.01)
    shown = ask(answerer, paths[:1], ("en",))
    grown = list(dict.fromkeys(text for each in shown for text in texts(each)))
    assert len(grown) > 2
    assert all(after.startswith(before) for before, after in itertools.pairwise(grown))
    assert '<progress max="1" value="0"></progress>0 of 1' in shown[0]
    assert "<progress" not in shown[-1]


def test_an_answer_that_is_cut_off_is_done_when_its_batch_ends(answerer, paths):
    short = Answerer(answerer.model, answerer.processor, batch_size=1, max_new_tokens=2)
    shown = ask(short, paths[:1], ("en", "de"))
    assert '<progress max="2" value="1"></progress>1 of 2' in "".join(shown)
    assert [shown[-1].count(text) for text in ("; cut off", "<small", "<progress")] == [2, 2, 0]


def test_closing_an_answer_stops_the_model(answerer, paths, monkeypatch):
    steps = slow_down(monkeypatch, answerer.model, seconds=0.05)
    endless = Answerer(answerer.model, answerer.processor, max_new_tokens=100)
    answers = endless.write(endless.encode(tuple(paths[:1])), ask_all(["en"], 1, together=True, question=None))
    next(answers)
    answers.close()  # waits for the step under way
    assert 0 < len(steps) < 20


def test_candidates_have_the_softmax_of_their_log_likelihoods_the_highest_first(answerer, paths):
    shown = ask(answerer, paths[:1], ("en", "ar"), "Is it red?", "no\n yes \n\nno")
    prompts = [f"Question: Is it red? Short answer in {name}:" for name in ("English", "Arabic")]
    features = answerer.encode((paths[0],))
    ranked = rank(
        answerer.model,
        answerer.processor,
        prompts,
        ["no", "yes"],
        image_features=features,
        image_rows=[(0,), (0,)],
    )
    shares = [each.log_likelihoods.softmax(0).sort(descending=True).values.tolist() for each in ranked]
    found = [float(share) for share in re.findall(r'value="([\d.]+)"></meter>', shown[-1])]
    assert found == pytest.approx([share for each in shares for share in each], abs=1e-4)
    assert len(found) == 4
    assert [each.count("<meter") for each in shown] == [0, 2, 4]


def test_several_images_are_asked_about_one_by_one_or_in_one_prompt():
    apart = ask_all(["en", "de"], 2, together=False, question=None)
    assert [(each.prompt, each.images) for each in apart] == [
        ("Caption in English: ", (0,)),
        ("Caption in German: ", (0,)),
        ("Caption in English: ", (1,)),
        ("Caption in German: ", (1,)),
    ]
    (both,) = ask_all(["sw"], 2, together=True, question="{0} same?")
    assert (both.prompt, both.images) == ("Question: {0} same? Short answer in Swahili:", (0, 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"paths": []}, "Found no image. Give at least one."),
        ({"codes": []}, "Found no language. Give at least one."),
        ({"question": ""}, "Found no question. Give at least one."),
        ({"candidates": "yes\n\nyes"}, "Found one candidate, 'yes'. Give two or more, one per line, or none."),
    ],
)
def test_what_is_missing_is_one_message(paths, change, message):
    given = {"paths": paths, "codes": ["en"], "question": "What?", "candidates": ""} | change
    with pytest.raises(ValueError, match=re.escape(message)):
        next(respond(None, **given, together=False))


def test_a_broken_image_is_named_without_its_folder(tmp_path):
    (tmp_path / "cat.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"^cat\.png cannot be read as an image \(not an image.*Choose another file"):
        ask(Answerer(None, None), [str(tmp_path / "cat.png")])


def test_too_many_images_for_one_prompt_are_refused_before_the_model_runs(paths):
    small = Answerer(tiny_model("llama"), tiny_processor("llama"))
    assert len(texts(ask(small, paths * 20, ("en",))[-1])) == 40
    with pytest.raises(ValueError, match=r"take \d+ tokens, but the model reads 128. Give fewer images in one prompt"):
        ask(small, paths * 20, ("en",), together=True)


def test_text_of_the_model_and_of_files_is_text_and_no_html():
    (asked,) = ask_all(["en"], 1, together=True, question=None)
    written = answer_html(asked, Answer("<script>&", is_done=True))
    shown = table_html([asked, asked], ["<b>.png", "b"], [written, ""], 2)
    assert "&lt;script&gt;&amp;" in shown
    assert "<h3>&lt;b&gt;.png</h3>" in shown
    assert "<script" not in shown
    assert "<b>.png" not in shown


def test_seven_languages_run_from_right_to_left():
    found = {code for code, language in LANGUAGES.items() if is_right_to_left(language.script)}
    assert found == {"ar", "fa", "iw", "ps", "sd", "ur", "yi"}
    shown = [answer_html(each, Answer()) for each in ask_all(["ur", "hi"], 1, together=1, question="?")]
    assert shown == ['<p dir="rtl" lang="ur-Arab"></p>', '<p dir="ltr" lang="hi-Deva"></p>']


@pytest.mark.parametrize(
    ("text", "code", "told", "why"),
    [
        ("drei kleine violette Kreise links von einem Ring", "de", "yes", "in German"),
        ("three small purple circles to the left of it", "de", "no", "reads like English"),
        ("tre små lilla cirkler til venstre for en ring", "no", "near", "reads like Danish"),
        ("three", "ar", "no", "another script: 0 of 5 letters are Arab"),
        ("rouge", "fr", "not told", "too short to tell the language"),
        ("", "fr", "not told", "too short to tell the language"),
        ("e toru ngā porohita iti i te taha maui", "mi", "not told", "py3langid does not know this language"),
    ],
)
def test_an_answer_is_told_to_be_in_its_language_or_not(text, code, told, why):
    assert tell_language(text, LANGUAGES[code]) == (told, why)


@pytest.mark.parametrize(
    ("card", "codes"),
    [
        ("---\nlanguage: [sw, he, multilingual, 'no']\n---\n", ["iw", "no", "sw"]),
        ("---\nlanguage: de\n---\n", ["de"]),
        ("---\nlicense: mit\n---\n", []),
        ("# no metadata\n", []),
        (None, []),
    ],
)
def test_the_languages_of_a_model_are_those_of_its_card(tmp_path, card, codes):
    (tmp_path / "config.json").write_text("{}")
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    assert model_languages(str(tmp_path)) == codes


def test_without_a_model_the_newest_training_is_shown_or_the_command_for_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"no finished training in outputs/.*python train\.py"):
        newest_model()
    for name in ("new", "old"):
        Path("outputs", name, "model").mkdir(parents=True)
        Path("outputs", name, "model", "config.json").touch()
    old = time.time() - 60
    os.utime("outputs/old/model/config.json", (old, old))
    assert newest_model() == "outputs/new/model"
