"""BLEU, CIDEr-D and ROUGE-L against pycocoevalcap, where it is installed: random sets and odd ones, no Java."""

import random

import numpy as np
import pytest

from mblip.evaluation.metrics.bleu import bleu
from mblip.evaluation.metrics.cider import cider_d
from mblip.evaluation.metrics.ngram_counts import count_ngrams
from mblip.evaluation.metrics.rouge_l import rouge_l

WHY = "pycocoevalcap is not installed: `pip install pycocoevalcap`"
BLEU = pytest.importorskip("pycocoevalcap.bleu.bleu", reason=WHY).Bleu
CIDER = pytest.importorskip("pycocoevalcap.cider.cider", reason=WHY).Cider
ROUGE = pytest.importorskip("pycocoevalcap.rouge.rouge", reason=WHY).Rouge

ODD_SETS = {
    "one image": ([["a", "dog"]], [[["a", "dog"], ["dog"]]]),
    "one word": ([["dog"], ["cat"]], [[["dog"]], [["dog"], ["cat"]]]),
    "empty hypotheses": ([[], []], [[["a", "dog"]], [["cat"]]]),
    "an empty reference": ([["a"], []], [[[], ["a"]], [[]]]),
    "all the same": ([["a", "b", "c", "d", "e"]] * 4, [[["a", "b", "c", "d", "e"]] * 3] * 4),
    "one longer than all, one shorter": (
        [list("abcdefghijklmnop"), ["x"]],
        [[list("abc"), list("abcd")], [list("xyz"), list("uvwxy")]],
    ),
    "equally near lengths": ([list("abcd")] * 2, [[list("ab"), list("abcdef")], [list("abcdef"), list("ab")]]),
    "tokens of two words": ([["1\u00a01/2", "cups"], ["a"]], [[["1", "1/2", "cups"]], [["1\u00a01/2"]]]),
}


def random_set(seed):
    """Few or many words, one to thirty images, one to five references, some of them copies."""
    draw = random.Random(seed)
    vocabulary = [f"w{i}" for i in range(draw.choice([2, 5, 50, 400]))]

    def caption():
        return draw.choices(vocabulary, k=draw.choice([0, 1, 2, 3, 5, 9, 30, 80]))

    num_images = draw.choice([1, 2, 3, 30])
    references = [[caption() for _ in range(draw.randint(1, 5))] for _ in range(num_images)]
    references[0].append(["w0"])
    hypotheses = [list(draw.choice(group)) if draw.random() < 0.3 else caption() for group in references]
    return hypotheses, references


def theirs(hypotheses, references):
    """(overall, per image) of the six scores."""
    groups = {i: [" ".join(tokens) for tokens in group] for i, group in enumerate(references)}
    captions = {i: [" ".join(tokens)] for i, tokens in enumerate(hypotheses)}
    overall, per_image = BLEU(4).compute_score(groups, captions, verbose=0)
    others = [metric.compute_score(groups, captions) for metric in (CIDER(), ROUGE())]
    return [*zip(overall, per_image, strict=True), *others]


def ours(hypotheses, references):
    counts = count_ngrams(hypotheses, references)
    scores = [*bleu(counts), cider_d(counts), rouge_l(hypotheses, references)]
    return [(score.overall, score.per_image) for score in scores]


def assert_equal(hypotheses, references):
    pairs = zip(ours(hypotheses, references), theirs(hypotheses, references), strict=True)
    for (overall, per_image), (their_overall, their_per_image) in pairs:
        assert overall == pytest.approx(their_overall, rel=0, abs=1e-12)
        np.testing.assert_allclose(per_image, their_per_image, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ODD_SETS)
def test_odd_sets_have_the_scores_of_the_reference_implementation(name):
    assert_equal(*ODD_SETS[name])


@pytest.mark.parametrize("seed", range(40))
def test_random_sets_have_the_scores_of_the_reference_implementation(seed):
    assert_equal(*random_set(seed))
