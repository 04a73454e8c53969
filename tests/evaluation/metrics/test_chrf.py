"""chrF: what sacrebleu gives, in our unit, with any number of references."""

import pytest

from mblip.evaluation.metrics.chrf import chrf

sacrebleu = pytest.importorskip("sacrebleu", reason="sacrebleu is not installed: `pip install mblip[eval]`")

HYPOTHESES = ["a dog runs", "two cats", "한 마리 개"]
REFERENCES = [["a dog ran home", "the dog runs"], ["two cats sleep"], ["개 한 마리", "강아지", "개"]]


def test_chrf_is_sacrebleus_for_the_set_and_for_each_image():
    found = chrf(HYPOTHESES, REFERENCES)
    for value, hypothesis, group in zip(found.per_image, HYPOTHESES, REFERENCES, strict=True):
        assert value == sacrebleu.sentence_chrf(hypothesis, group).score / 100
    streams = [[group[k] if k < len(group) else None for group in REFERENCES] for k in range(3)]
    assert found.overall == sacrebleu.corpus_chrf(HYPOTHESES, streams).score / 100
    assert 0 < found.overall < 1


def test_the_best_reference_counts():
    assert chrf(["a dog"], [["two cats", "a dog"]]).per_image == (1.0,)


def test_two_spellings_of_one_text_are_equal():
    assert chrf(["cafe\u0301"], [["caf\u00e9"]]).overall == 1.0


@pytest.mark.parametrize("reference", ["a dog", ""])
def test_an_empty_text_has_zero(reference):
    assert chrf([""], [[reference]]).overall == 0.0


def test_an_image_without_a_reference_is_an_error():
    with pytest.raises(ValueError, match="Image 1: found no reference"):
        chrf(["a", "b"], [["a"], []])


def test_without_sacrebleu_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sacrebleu.metrics", None)
    with pytest.raises(ImportError, match=r"sacrebleu, which is not installed: `pip install mblip\[eval\]`"):
        chrf(["a"], [["a"]])
