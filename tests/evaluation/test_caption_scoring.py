import pytest

from mblip.evaluation.captioning import CaptionMetric
from mblip.evaluation.metrics.caption_scores import score_captions
from tests.evaluation.table_model import example

CAPTIONS = {
    1: ("A brown dog runs over the green grass.", "A dog is running in a field."),
    2: ("Two people sit at a table and drink coffee.",),
    3: ("A red train stands at an empty station.", "The train waits at the station."),
}
OUTPUTS = ["A dog runs over the grass.", "Zwei Leute sitzen an einem Tisch und trinken Kaffee.", ""]


def asked(language="en"):
    return [example(number, language=language, references=captions) for number, captions in CAPTIONS.items()]


def test_the_figures_are_those_of_the_pure_functions():
    scored = CaptionMetric(("en",)).score(asked(), OUTPUTS)
    scores = score_captions(OUTPUTS, list(CAPTIONS.values()))
    assert {name: scored.figures[name] for name in scores.overall} == scores.overall
    assert scored.per_example == scores.per_image["CIDEr-D"]
    assert scored.figures["language_fidelity"] == scored.figures["share_empty"] == pytest.approx(1 / 3)
    assert scored.figures["mean_characters"] == pytest.approx(sum(map(len, OUTPUTS)) / 3)
    assert 0 < scored.figures["chrF"] < 1


def test_the_main_figure_is_the_mean_of_the_examples():
    metric = CaptionMetric(("en",))
    scored = metric.score(asked(), OUTPUTS)
    assert metric.main == "CIDEr-D"
    assert scored.figures["CIDEr-D"] == pytest.approx(sum(scored.per_example) / 3, rel=1e-12)
    assert scored.per_example[0] > 0


def test_an_empty_caption_has_nothing_in_any_figure():
    scored = CaptionMetric(("en",)).score(asked(), ["", " ", "\n"])
    nothing = {name: value for name, value in scored.figures.items() if name not in ("share_empty", "mean_characters")}
    assert set(nothing.values()) == {0.0}
    assert scored.figures["share_empty"] == 1.0


def test_the_description_has_what_tells_words_apart():
    assert CaptionMetric(("en", "sw")).description == "CIDEr-D as in pycocoevalcap (PTB tokens)"
    assert CaptionMetric(("en", "zh")).description == "CIDEr-D as in pycocoevalcap (PTB tokens; zh: code points)"
    characters = CaptionMetric(("th", "ja"), tokenization="characters").description
    assert characters == "CIDEr-D as in pycocoevalcap (PTB tokens; th: characters; ja: characters)"
    segmented = CaptionMetric(("th",), tokenization="segmented").description
    assert segmented == "CIDEr-D as in pycocoevalcap (PTB tokens; segmented before)"


def test_a_library_that_is_missing_is_told_of_before_anything_is_asked(monkeypatch):
    def missing(language, by_character):
        raise ImportError("Japanese captions are segmented by SudachiPy")

    monkeypatch.setattr("mblip.evaluation.captioning.load_segmenter", missing)
    with pytest.raises(ImportError, match="Japanese captions are segmented"):
        CaptionMetric(("ja",))


def test_chinese_is_scored_by_its_characters():
    captions = ("一只棕色的狗在草地上奔跑", "两个人坐在桌旁喝咖啡")
    examples = [example(n, language="zh", references=(text,)) for n, text in enumerate(captions)]
    figures = CaptionMetric(("zh",)).score(examples, ["一只狗在草地上奔跑", "两个人喝咖啡"]).figures
    assert figures["BLEU-4"] > 0.1  # one word a sentence would have no 4-gram
    assert figures["language_fidelity"] == 1.0
