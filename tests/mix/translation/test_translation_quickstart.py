"""The script that makes the quickstart's translator: what it learns from."""

import random
from pathlib import Path

import pytest

from mblip.data.languages import get_language
from mblip.mix.translation.nllb import NllbTokens
from scenes.languages import SCENE_LANGUAGES

QUICKSTART = Path(__file__).parents[3] / "quickstart"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(QUICKSTART))
    import tiny_nllb

    return tiny_nllb


def test_the_translator_learns_translations_out_of_and_into_english(script):
    rng = random.Random(0)
    pairs = [script.draw_pair(rng) for _ in range(2000)]
    assert {pair.target for pair in pairs} == set(SCENE_LANGUAGES)
    assert all((pair.source == "en") != (pair.target == "en") for pair in pairs)
    assert 0.15 < sum(pair.target == "en" for pair in pairs) / len(pairs) < 0.25
    singles = [script.draw_pair(rng, is_single=True) for _ in range(500)]
    assert not any("above" in pair.text + pair.translation for pair in singles if "?" not in pair.text)


def test_the_target_language_is_given_to_the_decoder_and_not_learned(script):
    tokens, german = NllbTokens(QUICKSTART / "translator"), get_language("de")
    pairs = [script.Pair("en", "a red circle", "de", "ein roter Kreis"), script.Pair("en", "red", "de", "rot")]
    batch = script._batch([script._encode(tokens.tokenizer, pair) for pair in pairs])
    long, short = tokens.encode(["ein roter Kreis", "rot"], german)
    assert (long[0], long[-1]) == (tokens.language_id(german), 2)
    num_missing = len(long) - len(short)
    assert batch["decoder_input_ids"].tolist() == [[2, *long[:-1]], [2, *short, *[1] * (num_missing - 1)]]
    assert batch["labels"].tolist() == [[-100, *long[1:]], [-100, *short[1:], *[-100] * num_missing]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
