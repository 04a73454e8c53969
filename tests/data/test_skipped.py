"""What is skipped: counted, named, logged once a reason."""

import logging

import pytest

from mblip.data.skipped import SkipReport, has_usable_texts


def test_reasons_are_counted_and_the_first_five_examples_named():
    skipped = SkipReport()
    for number in range(7):
        skipped.add("answer seen fewer than 15 times", f"vqav2/{number}")
    skipped.add("empty text", "capfilt/a|b")
    assert skipped.counts == {"answer seen fewer than 15 times": 7, "empty text": 1}
    assert skipped.table() == (
        "| skipped because | examples | such as |\n"
        "|---|---:|---|\n"
        "| answer seen fewer than 15 times | 7 | vqav2/0, vqav2/1, vqav2/2, vqav2/3, vqav2/4 |\n"
        "| empty text | 1 | capfilt/a\\|b |"
    )


def test_the_first_example_of_a_reason_is_logged(caplog):
    skipped = SkipReport()
    with caplog.at_level(logging.INFO):
        for number in range(3):
            skipped.add("empty text", f"capfilt/{number}")
    assert [record.getMessage() for record in caplog.records] == [
        "Skipped: empty text (capfilt/0, and all further ones)."
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty text"),
        (" \n", "empty text"),
        ("an <image> here", "`<image>` in the text"),
        ("a broken \ud83d smile", "half a character in the text"),
    ],
)
def test_a_text_that_cannot_be_trained_on_is_counted(text, reason):
    skipped = SkipReport()
    assert has_usable_texts(["a dog", "ein Hund \U0001f600"], name="capfilt/1", skipped=skipped)
    assert skipped.counts == {}
    assert not has_usable_texts(["a dog", text], name="capfilt/2", skipped=skipped)
    assert skipped.counts == {reason: 1}
    assert skipped.names == {reason: ["capfilt/2"]}
