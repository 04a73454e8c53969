import re

import pytest

from mblip.data.languages import get_language
from mblip.data.protected_text import ascii_digits, find_protected, protect
from mblip.mix.translation.texts import translate_texts
from tests.mix.translation.fake_engines import FakeEngine, to_german

ENGLISH, GERMAN = get_language("en"), get_language("de")
SIGN = 'A man holds a sign that says "STOP" and "Go home" on 2nd and 10,000.'


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (SIGN, 'A man holds a sign that says "971" and "970" on 2nd and 10,000.'),
        ("a cafe called “Chez Marie”", "a cafe called “971”"),
        ("a 'don't walk' light", "a '971' light"),
        ("the dogs' toys and the cats' beds", "the dogs' toys and the cats' beds"),
        ("rock 'n' roll of the '90s", "rock 'n' roll of the '90s"),
        ('a 12" pizza and a 9" pizza', 'a 12" pizza and a 9" pizza'),
        ('an unfinished "quotation', 'an unfinished "quotation'),
        ("Answer in {language}:", "Answer in 971:"),
        ("Is <image> the same as <image>?", "Is 971 the same as 970?"),
        ("<image> What is it?\n<image>", "What is it?"),
        (r"the word \<image> itself", "the word 971 itself"),
        ('"Bus 971" is 9,700 cm long', '"969" is 9,700 cm long'),
        ("<image>", ""),
    ],
)
def test_quotations_images_and_braces_give_way_to_numbers_that_the_text_does_not_hold(text, masked):
    protected = protect(text)
    assert protected.masked == masked
    assert protected.lost(masked) == ()
    assert protected.restore(masked) == text


def test_numbers_are_protected_where_they_stand():
    spans = find_protected("Bus 12 at 10:30, 2nd of 3,000.5 in mp3 at 50%, not 'Bus 7'.")
    assert [span.text for span in spans if span.kind == "number"] == ["12", "10:30", "2nd", "3,000.5", "mp3", "50%"]


def test_native_digits_come_back_as_ascii():
    assert ascii_digits("३ कुत्ते, ٣ كلاب, 3 dogs, x²") == "3 कुत्ते, 3 كلاب, 3 dogs, x²"


@pytest.mark.parametrize(
    ("translation", "restored"),
    [
        ("„971“ und „970“ auf 2. von 10.000", "„STOP“ und „Go home“ auf 2. von 10.000"),
        ("« 971 » et 970 : 2e, 10 000,5 ou 10'000", '«STOP» et "Go home" : 2e, 10 000,5 ou 10\'000'),
        ("२ सड़क, १०,००० पर \"९७०\" और '९७१'", "2 सड़क, 10,000 पर \"Go home\" और 'STOP'"),
        ("l'971, \"970 2 10000", 'l\'"STOP", "Go home" 2 10000'),
    ],
)
def test_stand_ins_are_found_in_any_order_script_and_marks(translation, restored):
    protected = protect(SIGN)
    assert protected.lost(translation) == ()
    assert protected.restore(translation) == restored


@pytest.mark.parametrize(
    ("translation", "lost"),
    [
        ("„970“ auf 2. von 10.000", ('"STOP"',)),
        ("„971“, „971“ und „970“ auf 2. von 10.000", ('"STOP"',)),
        ("„971“ und „970“ auf der zweiten von 10.000", ("2",)),
        ("„971“ und „970“ auf 2. von 1.000", ("10000",)),
        ("„9710“ und „970“ auf 2. von 10 000", ('"STOP"', "10000")),
    ],
)
def test_what_is_lost_changed_or_doubled_is_named(translation, lost):
    assert protect(SIGN).lost(translation) == lost


def test_pieces_lie_between_what_is_protected_and_go_together_again():
    protected = protect("<image> A sign with \"STOP\", 'Go on' and 3 lions ")
    assert protected.pieces == ("A sign with", "and", "lions")
    assert protected.join_pieces(["Ein Schild mit", "und", "Löwen"]) == (
        "<image> Ein Schild mit \"STOP\", 'Go on' und 3 Löwen "
    )


def test_a_text_of_names_and_numbers_alone_has_nothing_to_translate():
    assert not protect('"New York", 2015!').is_translatable
    engine = FakeEngine(lambda *_: pytest.fail("asked"))
    (translated,) = translate_texts(['"New York", 2015!'], engine, ENGLISH, GERMAN)
    assert (translated.text, translated.failure, engine.calls) == ('"New York", 2015!', None, [])


MANGLERS = {
    "drops digits": lambda text: re.sub(r"\d", "", text),
    "drops the first": lambda text: re.sub(r"\d+", "", text, count=1),
    "doubles stand-ins": lambda text: re.sub(
        r"97\d|3", lambda match: f"{match[0]} 971" if len(match[0]) > 1 else "", text
    ),
    "spells out": lambda text: re.sub(r"\d+", "viele", text),
    "adds digits": lambda text: re.sub(r"\d+", r"\g<0>00", text),
    "adds one": lambda text: re.sub(r"\d+", lambda match: str(int(match[0]) + 1), text),
}


@pytest.mark.parametrize("mangle", MANGLERS.values(), ids=MANGLERS)
def test_where_a_stand_in_is_lost_the_pieces_around_are_translated(mangle):
    text = 'A man holds a sign that says "STOP ON RED" next to the old bridge. 3 dogs sleep in the garden'
    engine = FakeEngine(lambda *asked: mangle(to_german(*asked)))
    (translated,) = translate_texts([text], engine, ENGLISH, GERMAN)
    assert translated.text == (
        'Ein Mann hält ein Schild, auf dem steht: "STOP ON RED" neben der alten Brücke. 3 Hunde schlafen im Garten'
    )
    assert translated.failure is None
    assert translated.is_in_pieces


HARMLESS = {
    "another order": (lambda text: f"Neben der alten Brücke: 3, „{re.findall('9..', text)[0]}“", "„STOP ON RED“"),
    "native digits": (
        lambda text: to_german(text, "en", "de").translate(str.maketrans("0123456789", "०१२३४५६७८९")),
        "3",
    ),
    "another case": (lambda text: to_german(text, "en", "de").upper(), "STOP ON RED"),
}


@pytest.mark.parametrize(("rule", "kept"), HARMLESS.values(), ids=HARMLESS)
def test_other_orders_cases_and_digits_lose_nothing(rule, kept):
    text = 'A man holds a sign that says "STOP ON RED" next to the old bridge and 3'
    (translated,) = translate_texts([text], FakeEngine(lambda text, *_: rule(text)), ENGLISH, GERMAN)
    assert kept in translated.text
    assert "971" not in translated.text
    assert "3" in translated.text
    assert not translated.is_in_pieces


def test_what_no_piece_can_save_fails_by_name():
    engine = FakeEngine(lambda text, *_: "" if "old bridge" in text else to_german(text, "en", "de"))
    (translated,) = translate_texts(['A sign "STOP" next to the old bridge'], engine, ENGLISH, GERMAN)
    assert str(translated.failure) == 'lost: "STOP"'
