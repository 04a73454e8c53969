import pytest

from mblip.evaluation.metrics.exact_match import is_exact_match


@pytest.mark.parametrize(
    ("output", "references", "expected"),
    [
        ("a red star", ("a red star",), True),
        ("  a red star\n", ("a red star",), True),
        ("a red star", ("a star", "a red star "), True),
        ("cafe\u0301", ("caf\u00e9",), True),
        ("\u0928\u093c", ("\u0929",), True),
        ("A red star", ("a red star",), False),
        ("a red star.", ("a red star",), False),
        ("a red", ("a red star",), False),
        ("", ("a red star",), False),
        (" ", ("",), False),
    ],
)
def test_an_answer_is_right_only_character_by_character_after_strip_and_nfc(output, references, expected):
    assert is_exact_match(output, references) is expected
