import pytest

from mblip.data.languages import get_language
from mblip.mix.translation.answers import AnswerTranslator, choose_translatable_answers, normal_answer, tidy_answer
from mblip.mix.translation.report import TranslationReport
from tests.mix.translation.fake_engines import FakeEngine


def test_frequent_answers_without_digits_are_translatable():
    answers = ["red"] * 15 + ["blue"] * 14 + ["2"] * 20 + ["yes"] * 30
    assert choose_translatable_answers(answers) == {"red", "yes"}
    assert choose_translatable_answers(answers, min_count=14) == {"red", "blue", "yes"}


@pytest.mark.parametrize(
    ("answer", "same"),
    [("The dog.", "dog"), ("Ice-cream", "ice cream"), ("a T-shirt", "t shirt"), ("ＤＯＧ", "dog"), ("an an", "")],
)
def test_case_articles_punctuation_and_width_make_no_other_word(answer, same):
    assert normal_answer(answer) == same


def test_other_words_differ():
    assert normal_answer("dogs") != normal_answer("dog")
    assert normal_answer("theatre") == "theatre"


@pytest.mark.parametrize(
    ("answer", "translation", "tidied"),
    [("dog", "Hund.", "Hund"), ("dog", "狗。", "狗"), ("dog", " कुत्ता । ", "कुत्ता"), ("etc.", "usw.", "usw.")],
)
def test_the_full_stop_that_models_add_is_taken_away(answer, translation, tidied):
    assert tidy_answer(answer, translation) == tidied


@pytest.mark.parametrize(
    ("language", "translation", "back", "kept"),
    [
        ("de", "Hund.", "The dog", "Hund"),
        ("de", "dog", "dog", "dog"),
        ("de", "Katze", "cat", None),
        ("de", "", "", None),
        ("ru", "dog", "dog", None),
        ("ru", "собака", "dog", "собака"),
        ("de", "Hund Hund Hund Hund Hund", "dog", None),
    ],
)
def test_an_answer_is_kept_if_it_is_a_translation_and_comes_back(language, translation, back, kept):
    report = TranslationReport()
    engine = FakeEngine(lambda text, source, target: translation if source == "en" else back)
    translator = AnswerTranslator(engine, {"dog"}, report)
    assert translator.translate(["dog", "dog", "cat"], get_language(language)) == {"dog": kept, "cat": None}
    assert translator.translate(["dog"], get_language(language)) == {"dog": kept}
    assert len(engine.calls) == 2
    assert sum(report.failures.values()) == (kept is None)
