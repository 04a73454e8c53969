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


def test_centurio_leaves_out_text_in_brackets():
    told = [f"{output} [0.1, 0.2] [a dog]" for output in OUTPUTS]
    plain, scored = (CaptionMetric(("en",)).score(asked(), outputs).figures for outputs in (OUTPUTS, told))
    assert scored["CIDEr-D_centurio"] == plain["CIDEr-D_centurio"] == plain["CIDEr-D"] != scored["CIDEr-D"]


def test_pangea_takes_the_first_reference_and_does_not_segment():
    captions = [("一只狗 在草地上", "狗"), ("两个人 坐在桌旁",), ("一列火车",)]
    examples = [example(n, language="zh", references=texts) for n, texts in enumerate(captions)]
    metric = CaptionMetric(("zh",), main="ROUGE-L_pangea")
    scored = metric.score(examples, ["一只狗 跑", "两个人 坐在桌旁", "火车"])
    assert scored.per_example == pytest.approx((0.5, 1.0, 0.0))
    assert scored.figures["ROUGE-L_pangea"] == pytest.approx(0.5)
    assert scored.figures["CIDEr-D_pangea"] > 0
    assert "ROUGE-L_pangea" not in CaptionMetric(("zh",)).score(examples, ["", "", ""]).figures
    assert metric.description.endswith("without segmentation (PTB tokens)")
    assert list(metric.others) == ["ROUGE-L"]


def test_only_a_mean_over_images_can_be_the_main_figure():
    with pytest.raises(ValueError, match="Found `main: BLEU-4`, expected one of CIDEr-D, CIDEr-D_centurio"):
        CaptionMetric(("en",), main="BLEU-4")


@pytest.mark.parametrize("name", ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "chrF", "CIDEr-D", "ROUGE-L", "share_empty"])
def test_figures_are_functions_of_sums_over_images(name):
    scored = CaptionMetric(("en",)).score(asked(), OUTPUTS)
    assert scored.sums[name].value == pytest.approx(scored.figures[name], rel=1e-12)
    scores = score_captions(OUTPUTS, list(CAPTIONS.values()))
    if name in scores.per_image:
        assert scored.sums[name].per_example == pytest.approx(scores.per_image[name], rel=1e-12)
