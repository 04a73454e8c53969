"""From captions to tokens: segmentation by language, NFC, and what is refused."""

import pytest

from mblip.evaluation.metrics.caption_tokens import tokenize_captions


def test_hypotheses_and_references_come_back_image_by_image():
    tokens = tokenize_captions(["A dog.", ""], [["The dog runs!"], ["Two cats", "cats, two"]])
    assert tokens.hypotheses == [["a", "dog"], []]
    assert tokens.references == [[["the", "dog", "runs"]], [["two", "cats"], ["cats", "two"]]]
    assert tokens.description == "words as written; NFC; PTB tokens, lower case, no punctuation"


def test_hypotheses_and_references_are_segmented_alike():
    tokens = tokenize_captions(["一条小河"], [["小河，A4"]], language="zh")
    assert tokens.hypotheses == [["一", "条", "小", "河"]]
    assert tokens.references == [[["小", "河", "，", "a", "4"]]]
    assert tokens.description.startswith("code points; NFC; PTB")


def test_two_spellings_of_one_text_are_one():
    tokens = tokenize_captions(["cafe\u0301"], [["caf\u00e9"]], language="en")
    assert tokens.hypotheses == tokens.references[0] == [["caf\u00e9"]]


def test_texts_are_composed_behind_the_segmenter_as_in_the_original():
    tokens = tokenize_captions(["e\u0301"], [["\u00e9"]], language="zh")
    assert tokens.references == [[["\u00e9"]]]
    assert tokens.hypotheses != tokens.references[0]  # two code points, so two words


def test_by_character_other_languages_stay_as_they_are():
    tokens = tokenize_captions(["ein Hund"], [["Hunde"]], language="de", tokenization="characters")
    assert tokens.hypotheses == [["ein", "hund"]]
    assert tokens.description.startswith("words as written; NFC; PTB")


def test_by_character_japanese_takes_no_library():
    tokens = tokenize_captions(["猫が二匹"], [["二匹"]], language="ja", tokenization="characters")
    assert tokens.hypotheses == [["猫", "が", "二", "匹"]]
    assert tokens.description.startswith("characters; NFC; PTB")


def test_captions_with_spaces_are_not_segmented_again():
    tokens = tokenize_captions(["小河 流"], [["小 河"]], language="zh", tokenization="segmented")
    assert (tokens.hypotheses, tokens.references) == ([["小河", "流"]], [[["小", "河"]]])
    assert tokens.description.startswith("segmented before; NFC; PTB")


@pytest.mark.parametrize("code", ["hr", "quz", "iw", "fil"])
def test_every_language_of_the_benchmarks_is_known(code):
    assert tokenize_captions(["a"], [["a"]], language=code).hypotheses == [["a"]]


@pytest.mark.parametrize(("code", "nearest"), [("zh-TW", "`zh`"), ("he", "`iw`"), ("Japanese", "`ja`")])
def test_a_language_by_another_code_is_an_error_and_not_left_unsegmented(code, nearest):
    with pytest.raises(ValueError, match=f"Found the language '{code}'.*{nearest}"):
        tokenize_captions(["a"], [["a"]], language=code)


def test_another_tokenization_is_an_error():
    with pytest.raises(ValueError, match="Found the tokenization '13a', expected one of ptb, characters, segmented"):
        tokenize_captions(["a"], [["a"]], tokenization="13a")


def test_images_without_captions_are_an_error():
    with pytest.raises(ValueError, match="Found 2 hypotheses and references of 1 images"):
        tokenize_captions(["a", "b"], [["a"]])
