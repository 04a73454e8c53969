"""The VQA evaluator's cleaning, with its oddities: expected texts were worked out by its rules, not by ours."""

import pytest

from mblip.evaluation.metrics.vqa_cleaning import CONTRACTIONS, clean_vqa_answer, straighten


@pytest.mark.parametrize(
    ("answer", "cleaned"),
    [
        ("Yes", "yes"),
        ("", ""),
        (" \t\n ", ""),
        ("the", ""),
        ("a the an", ""),
        ("A man and the dog", "man and dog"),
        ("theatre", "theatre"),
    ],
)
def test_articles_and_case_go_away(answer, cleaned):
    assert clean_vqa_answer(answer) == cleaned


@pytest.mark.parametrize(
    ("answer", "cleaned"),
    [
        ("two", "2"),
        ("None", "0"),
        ("zero", "0"),
        ("TEN", "10"),
        ("eleven", "eleven"),
        ("twofold", "twofold"),
        ("two,three", "2 3"),
        ("one.", "1"),
    ],
)
def test_numbers_to_ten_become_digits(answer, cleaned):
    assert clean_vqa_answer(answer) == cleaned


@pytest.mark.parametrize(
    ("answer", "cleaned"),
    [
        ("well-lit", "well lit"),  # touches no space
        ("well- lit", "well lit"),  # touches one: goes away, the space stays
        ("well -lit", "well lit"),
        ("a-b - c-d", "ab cd"),  # one of them touches a space, so all go away
        ("a-b / c", "b c"),  # each mark for itself: "a b" loses its article
        ("yes!", "yes"),
        ("(red)", "red"),
        ("what?!", "what"),
        ("\\_@<>`", ""),
        ('"stop"', "stop"),
        ("1:30", "1:30"),  # colons are none of its marks
        ("it's", "it's"),
        ("50%", "50%"),
        ("$5", "$5"),
        ("5€ & more", "5€ & more"),
    ],
)
def test_marks_become_a_space_or_nothing(answer, cleaned):
    assert clean_vqa_answer(answer) == cleaned


@pytest.mark.parametrize(
    ("answer", "cleaned"),
    [
        ("1,000", "1000"),
        ("1,000-2,000", "10002000"),  # a comma in a number takes all marks with it
        ("red,blue", "red blue"),
        ("1, 2", "1 2"),
        ("٣,٤", "٣٤"),  # digits of any script
        ("1,000 (t-shirts)", "1000 tshirts"),
    ],
)
def test_a_comma_between_digits_makes_every_mark_go_away(answer, cleaned):
    assert clean_vqa_answer(answer) == cleaned


@pytest.mark.parametrize(
    ("answer", "cleaned"),
    [
        ("st. mary", "st mary"),
        ("3.5", "3.5"),
        (".5", ".5"),
        ("3.", "3"),
        ("u.s.a", "usa"),
        ("2 p.m.", "2 pm"),
        ("x<=3.", "x 3"),
        (". . .", ""),
    ],
)
def test_full_stops_stay_in_front_of_digits_alone(answer, cleaned):
    assert clean_vqa_answer(answer) == cleaned


def test_the_33rd_full_stop_stays():
    assert clean_vqa_answer("x" + 32 * ".") == "x"
    assert clean_vqa_answer("x" + 33 * ".") == "x."


@pytest.mark.parametrize(
    ("answer", "cleaned"),
    [
        ("Dont", "don't"),
        ("dont know", "don't know"),
        ("its", "its"),  # not among them
        ("Im", "im"),  # nor are those with a capital, since all is in small letters
        ("shed", "shed"),
        ("couldnt've", "couldn't've"),
        ("couldn'tve", "couldn't've"),
        ("couldntve", "couldntve"),
        ("'ow'sat", "'ow's'at"),
        ("somebody'd", "somebodyd"),
        ("oclock", "o'clock"),
    ],
)
def test_one_missing_apostrophe_is_put_back(answer, cleaned):
    assert clean_vqa_answer(answer) == cleaned


def test_there_are_as_many_contractions_as_the_evaluator_changes():
    # It lists 120; four have a capital and never occur, "let's" and "she's" stay what they are.
    assert len(CONTRACTIONS) == 114
    assert not [word for word in CONTRACTIONS if word != word.lower()]


@pytest.mark.parametrize(
    ("answer", "cleaned"),
    [
        ("red\nblue", "red blue"),
        ("red\t\tblue", "red blue"),
        ("red\r\nblue", "red blue"),
        ("red-\nblue", "red blue"),  # a line break is a space before marks are looked at
        ("red\u00a0-blue", "red blue"),  # any white space parts words, but only U+0020 makes a mark go away
        ("a-b\u00a0- c", "ab c"),
    ],
)
def test_white_space_parts_words(answer, cleaned):
    assert clean_vqa_answer(answer) == cleaned


@pytest.mark.parametrize(("answer", "cleaned"), [("É", "é"), ("日本。", "日本。"), ("Straße", "straße"), ("İ", "i̇")])
def test_other_scripts_are_put_in_small_letters_alone(answer, cleaned):
    assert clean_vqa_answer(answer) == cleaned


def test_straighten_keeps_case_and_marks():
    assert straighten("\n The\tdog. ") == "The dog."
