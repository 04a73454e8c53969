import pytest

from mblip.data.languages import get_language
from mblip.data.protected_text import split_sentences
from mblip.mix.translation.texts import translate_texts
from tests.mix.translation.fake_engines import FakeEngine, to_german


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("A dog. A cat! Is it? Yes", ["A dog.", "A cat!", "Is it?", "Yes"]),
        ("a dog . it is small.  the end", ["a dog . it is small.  the end"]),
        ("Mr. Smith of the U.S. Army sits. He eats.", ["Mr. Smith of the U.S. Army sits.", "He eats."]),
        ("1. The dog\n2. The cat", ["1. The dog", "2. The cat"]),
        ('He says "Stop. Go." Then he leaves.', ['He says "Stop. Go."', "Then he leaves."]),
        ("In 2015. Then...  “Big” cats.", ["In 2015.", "Then...", "“Big” cats."]),
        ("One.\n\nTwo. <image> Three.", ["One.", "Two.", "<image> Three."]),
        ("3.5 dogs at 10.30", ["3.5 dogs at 10.30"]),
        ("", [""]),
    ],
)
def test_sentences_end_where_one_can_be_sure(text, sentences):
    found = split_sentences(text)
    assert [sentence.text for sentence in found] == sentences
    assert "".join(sentence.text + sentence.gap for sentence in found) == text


TEXT = "\nThe dog is happy. It sleeps on the sofa.\nThe dog is happy.\n"


def test_each_distinct_sentence_is_asked_for_once_and_its_white_space_kept():
    engine = FakeEngine(to_german)
    (translated,) = translate_texts([TEXT], engine, get_language("en"), get_language("de"))
    assert translated.text == "\nDer Hund ist glücklich. Er schläft auf dem Sofa.\nDer Hund ist glücklich.\n"
    assert translated.failure is None
    assert engine.calls == [("The dog is happy.", "It sleeps on the sofa.")]


def test_chinese_sentences_have_no_spaces_between_them():
    chinese = {"The dog is happy.": "这只狗很开心。", "It sleeps on the sofa.": "它在沙发上睡觉。"}
    engine = FakeEngine(lambda text, *_: chinese[text])
    (translated,) = translate_texts([TEXT], engine, get_language("en"), get_language("zh"))
    assert translated.text == "\n这只狗很开心。它在沙发上睡觉。\n这只狗很开心。\n"


def test_a_sentence_without_a_translation_fails_the_whole_text():
    engine = FakeEngine(lambda text, *_: "" if "sofa" in text else to_german(text, "en", "de"))
    (translated,) = translate_texts([TEXT], engine, get_language("en"), get_language("de"))
    assert str(translated.failure) == "no translation: of a sentence"
