"""Comparing two systems: what is paired, what is refused, which figures there are, and what the command prints."""

import json
import re
from dataclasses import dataclass, replace

import pytest

from mblip.evaluation import EvaluationTask, ExactMatch, GenerationSettings
from mblip.evaluation.answer_scoring import (
    ChairMetric,
    ChoiceAccuracy,
    GqaAccuracy,
    MaxmAccuracy,
    VqaAccuracy,
    YesNoAccuracy,
)
from mblip.evaluation.captioning import CaptionMetric
from mblip.evaluation.compare import compare_results, differences, main, pair_predictions
from mblip.evaluation.environment import ModelFacts
from mblip.evaluation.evaluate import results_of
from mblip.evaluation.multiple_choice import LETTERS, ROTATION, MultipleChoiceAccuracy
from mblip.evaluation.predictions import predict, write_predictions
from mblip.evaluation.reports.comparison import figures_table, languages_table
from mblip.evaluation.reports.files import predictions_path, write_results
from mblip.evaluation.task import FileRead
from tests.evaluation.table_model import example

BRIEF, BRIEF_OPTIONS = {"num_resamples": 50}, ["--num_resamples", "50"]
FILE = FileRead("captions.jsonl", "test", 3, sha256="3a5f" * 16)


def results(examples, outputs, metric, **changes):
    """The results of a system that answers `examples` with `outputs`."""
    task = EvaluationTask("animals", examples, metric, GenerationSettings(9), "paper", files=(FILE,))
    answers = [predict("animals", "paper", one, output) for one, output in zip(examples, outputs, strict=True)]
    found = results_of(
        task,
        answers,
        model=ModelFacts("model", None, None, None, "float32"),
        generation=GenerationSettings(9),
        hardware="CPU",
        began=0.0,
    )
    return replace(found, **changes)


def yes_or_no(outputs, *languages, condition="as_is", metric=None, **changes):
    """The results of the same answers in each language. Yes is right."""
    examples = [
        example(number, language=code, references=("yes",), condition=condition)
        for code in languages or ("de",)
        for number in range(len(outputs))
    ]
    return results(examples, outputs * len(languages or ("de",)), metric or GqaAccuracy(), **changes)


def test_answers_are_paired_by_example_whatever_their_order():
    a, b = yes_or_no(["yes", "yes", "no"]), yes_or_no(["no", "yes", "no"])
    b = replace(b, predictions=b.predictions[::-1])
    pairs = pair_predictions(a.predictions, b.predictions)
    assert [(ours.output, theirs.output) for ours, theirs in pairs] == [("yes", "no"), ("yes", "yes"), ("no", "no")]
    (compared,) = compare_results(a, b, **BRIEF)
    german = compared.figures["accuracy"].languages["de"]
    assert (german.value_a, german.value_b, german.difference.value) == pytest.approx((2 / 3, 1 / 3, 1 / 3))
    assert (german.num_wins, german.num_losses, german.num_examples) == (1, 0, 3)


def test_an_image_counts_once_whatever_the_number_of_its_languages():
    a, b = yes_or_no(["yes"] * 4, "de", "sw"), yes_or_no(["no"] * 4, "de", "sw")
    (compared,) = compare_results(a, b, **BRIEF)
    accuracy = compared.figures["accuracy"]
    assert compared.num_images == 4
    assert accuracy.mean.p_value == accuracy.languages["de"].p_value  # 4 images, not 8


TYPES = [{"answer_type": kind, "question_type": kind} for kind in ("other", "number", "other", "other")]
CAPTIONS = [("a dog runs", "the dog runs home"), ("two red cats sleep",), ("a bus",), ("a man and a dog",)]
OPTIONS = [dict(zip(LETTERS, ("dog", "cat"), strict=False))] * 4
CHOICE = ChoiceAccuracy(("yes", "no"))
METRICS = {
    "exact": (ExactMatch(), [("dog",)] * 4, [{}] * 4, ["dog", "cat", "", "Dog"], ["cat", "cat", "dog", "dog"]),
    "vqa": (VqaAccuracy(), [("2",) * 3 + ("3",) * 7] * 4, TYPES, ["2", "3", "", "Two"], ["3", "3.", "4", ""]),
    "gqa": (GqaAccuracy(), [("no",)] * 4, [{}] * 4, ["no", "No.", "snow", ""], ["the no", "no", "", "x"]),
    "maxm": (MaxmAccuracy(), [("dog", "a dog")] * 4, [{"answers": "Dog"}] * 4, ["dog", "Dog", "", "x"], ["x"] * 4),
    "pope": (
        YesNoAccuracy(),
        [("yes",), ("yes",), ("no",), ("no",)],
        [{}] * 4,
        ["yes", "no", "no", "Yes"],
        ["NO"] * 4,
    ),
    "xvnli": (
        ChoiceAccuracy(("yes", "no")),
        [("yes",), ("no",)] * 2,
        [{}] * 4,
        ["yes"] * 4,
        ["no", "no", "", "'yes'"],
    ),
    "chair": (
        ChairMetric({"dog": "dog", "cat": "cat"}),
        [("dog",)] * 4,
        [{}] * 4,
        ["a dog", "cats and a dog", "", "a cat"],
        ["a dog", "a dog", "two cats", "a bus"],
    ),
    "captions": (
        CaptionMetric(("en",)),
        CAPTIONS,
        [{}] * 4,
        ["a dog runs home", "two cats sleep [x]", "", "a man and a cat"],
        ["a dog", "two red cats", "a bus", "the man and the dog"],
    ),
    "pangea": (CaptionMetric(("en",), main="ROUGE-L_pangea"), CAPTIONS, [{}] * 4, ["a dog", "x", "", "a"], ["a"] * 4),
    "choice": (MultipleChoiceAccuracy(), [("A",), ("B",)] * 2, OPTIONS, ["A", "B", "A", "x"], ["B", "B", "A", "B"]),
}


@pytest.mark.parametrize("name", METRICS)
def test_every_figure_is_compared_with_its_stored_values(name):
    metric, references, facts, *answers = METRICS[name]
    asked = [
        replace(example(i, references=references[i], facts=facts[i]), id=f"{i // 2}{ROTATION}{i % 2}")
        for i in range(4)
    ]
    a, b = (results(asked, outputs, metric) for outputs in answers)
    (compared,) = compare_results(a, b, **BRIEF)
    stored = [one.by_language("as_is")["en"].figures for one in (a, b)]
    of_the_references = {"share_unreachable", "chance"}
    assert set(compared.figures) == (stored[0].keys() & stored[1].keys()) - of_the_references
    assert next(iter(compared.figures)) == metric.main
    for figure, found in compared.figures.items():
        values = found.languages["en"].value_a, found.languages["en"].value_b
        assert values == pytest.approx([figures[figure] for figures in stored], rel=1e-12)
        assert found.mean.difference.value == pytest.approx(values[0] - values[1], abs=1e-12)


def test_bleu_is_drawn_again_as_a_figure_of_the_whole_set():
    asked = [example(i, references=("a b c d e f g h",)) for i in range(40)]
    better, worse = ["a b c d e f g x"] * 40, ["a b c d e f g h", "x"] * 20
    pair = [results(asked, outputs, CaptionMetric(("en",))) for outputs in (better, worse)]
    (compared,) = compare_results(*pair, figure="BLEU-4", num_resamples=1000)
    bleu = compared.figures["BLEU-4"].mean
    assert bleu.value_a > 0.8 > bleu.value_b
    assert bleu.difference.interval.low > 0
    assert bleu.p_value < 0.005


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "plants"}, r"task: A has animals, B has plants\.\nEvaluate or score both alike\.$"),
        (
            {"generation": GenerationSettings(9, num_beams=5)},
            r"generation: A has greedy .*, B has 5 beams(.*\n)*.*--allow g",
        ),
        ({"answering": "rank, sum"}, r"answering: A has generate, B has rank, sum"),
        ({"protocol": "pangea"}, r"protocol: A has paper, B has pangea"),
        ({"changes": ("num_beams 1",)}, r"changes: A has nothing, B has num_beams 1"),
        ({"marks": ("2 of 3 records",)}, r"marks: A has nothing, B has 2 of 3 records"),
        ({"files": (replace(FILE, sha256="00"),)}, r"files: A has test 3a5f3a5f3a5f3a5f, B has test 00\."),
    ],
)
def test_what_is_not_alike_is_refused_by_name_with_both_values(changes, message):
    a, b = yes_or_no(["yes", "no"]), yes_or_no(["yes", "yes"], **changes)
    with pytest.raises(ValueError, match=message):
        compare_results(a, b)
    if "task" not in changes:
        assert compare_results(a, b, allow=list(changes), **BRIEF)


def test_other_metrics_main_figures_and_tokenizations_are_refused():
    other_main = yes_or_no(["yes"], metric=GqaAccuracy(main="accuracy_pangea"))
    with pytest.raises(ValueError, match=r"metric: A has accuracy, B has accuracy_pangea\.\nEvaluate"):
        compare_results(yes_or_no(["yes"]), other_main)
    with pytest.raises(ValueError, match=r"metric: A has .*GqaAccuracy, B has .*YesNoAccuracy"):
        compare_results(yes_or_no(["yes"]), yes_or_no(["yes"], metric=YesNoAccuracy()))
    asked = [example(0, language="zh", references=("一只狗",))]
    words, characters = (results(asked, ["一只狗"], CaptionMetric(("zh",), kind)) for kind in ("ptb", "segmented"))
    with pytest.raises(ValueError, match="tokenization: A has PTB tokens; zh: code points, B has PTB tokens; seg"):
        compare_results(words, characters)
    assert compare_results(words, characters, allow=["tokenization"], **BRIEF)


def test_of_a_scored_system_the_decoding_is_not_compared():
    b = yes_or_no(["no", "no"], generation=None, system="captioner")
    assert differences(yes_or_no(["yes", "no"]), b) == {}


@dataclass(frozen=True)
class NumLetters(ExactMatch):
    """A metric that is not of this package."""


def test_a_metric_of_your_own_is_compared_by_its_stored_scores():
    a, b = yes_or_no(["yes", "no"], metric=NumLetters()), yes_or_no(["no", "no"], metric=NumLetters())
    a = replace(a, predictions=tuple(replace(one, output="?") for one in a.predictions))
    (compared,) = compare_results(a, b, **BRIEF)
    assert list(compared.figures) == ["exact_match"]
    assert compared.figures["exact_match"].mean.value_a == 0.5
    without = replace(a, predictions=tuple(replace(one, score=None) for one in a.predictions))
    with pytest.raises(ValueError, match="Answers of A in 'de' have no scores"):
        compare_results(without, b)


def other(found, **changes):
    return replace(found, predictions=(replace(found.predictions[0], **changes), *found.predictions[1:]))


def doubled(found):
    return replace(found, predictions=tuple(replace(one) for one in found.predictions * 2))


@pytest.mark.parametrize(
    ("b", "message"),
    [
        (
            yes_or_no(["yes"] * 2, "de", "sw"),
            r"2 examples in both, 1 \(such as '2/de' in 'de' under 'as_is'\) only in A, "
            r"2 \(such as '0/sw' in 'sw' under 'as_is'\) only in B",
        ),
        (yes_or_no(["yes"] * 2), r"2 examples in both, 1 \(.*\) only in A, 0 only in B; expected the same"),
        (other(yes_or_no(["yes"] * 3), image_id="9"), "different `image_id` of the example '0/de' in 'de'"),
        (other(yes_or_no(["yes"] * 3), references=("?",)), "different `references` of the example '0/de'"),
        (other(yes_or_no(["yes"] * 3), facts={"A": "yes"}), "different `facts` of the example '0/de'"),
        (
            doubled(yes_or_no(["yes"] * 3)),
            "B answers '0/de' in 'de' under 'as_is' more than once",
        ),
    ],
)
def test_answers_that_are_not_about_the_same_are_refused(b, message):
    with pytest.raises(ValueError, match=message):
        compare_results(yes_or_no(["yes"] * 3), b)


def test_answers_that_do_not_give_the_stored_figures_are_refused():
    changed = other(yes_or_no(["yes", "no"]), output="no")
    with pytest.raises(ValueError, match=r"^A, animals in 'de', `accuracy.*`: found 0.0000.*, expected 0.5000"):
        compare_results(changed, yes_or_no(["yes", "no"]))


def test_the_tables_have_a_row_for_each_language_and_each_figure():
    a, b = yes_or_no(["yes", "yes"], "de", "hr"), yes_or_no(["The yes.", "no"], "de", "hr")
    (compared,) = compare_results(a, b, num_resamples=3)
    table = re.sub(r"\[[^]]*\]", "[…]", languages_table(compared.figures["accuracy"]))
    assert table.splitlines() == [
        "| Language | Answers | A | B | A − B | p | p (Holm) | A higher | B higher |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| German (`de`) | 2 | 100.0 | 50.0 | +50.0 […] | 1.0000 | 1.0000 | 1 | 0 |",
        "| Croatian (`hr`) † | 2 | 100.0 | 50.0 | +50.0 […] | 1.0000 | 1.0000 | 1 | 0 |",
        "| mean of 2 | 4 | 100.0 | 50.0 | +50.0 […] | 1.0000 |  | 2 | 0 |",
    ]
    table = re.sub(r"\[[^]]*\]", "[…]", figures_table(compared))
    assert "| accuracy_centurio | 1.0000 | 0.0000 | +1.0000 […] |" in table
    assert "| accuracy_pangea | 1.0000 | 0.5000 | +0.5000 […] |" in table


def write(folder, **found):
    write_results(folder, found, "")
    for name, one in found.items():
        write_predictions(predictions_path(folder, name), one.predictions)
    return str(folder)


def test_the_command_compares_folders_or_predictions_files_in_them(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = yes_or_no(["yes", "no"], "de", "hr"), yes_or_no(["yes", "yes"], "de", "hr")
    a = write(tmp_path / "a", xgqa=first, gqa=first)
    b = write(tmp_path / "b", xgqa=replace(second, protocol="pangea"), pope=second)
    main([a, b, "--num_resamples", "20", "--seed", "3", "--allow", "protocol"])
    report = capsys.readouterr().out
    assert report.startswith(
        f"# A: {a}, B: {b}\n\n## animals, protocol `paper` against `pangea`\n\n### as_is: accuracy\n\n| Language |"
    )
    for part in (
        "| German (`de`) | 2 | 50.0 | 100.0 | -50.0 [",
        "All figures, mean over languages:\n\n| Figure | A | B |",
        "bootstrap over 2 image sets",
        "Only 2 image sets: the intervals are too narrow. Trust p.",
        "20 resamples, seed 3.",
        "Permitted: A and B differ in protocol: A has paper, B has pangea.",
        "† not among the 96 languages of the training mix.",
        "Not compared, because only one of A and B has it: gqa, pope.",
    ):
        assert part in report
    main([a, b, "--num_resamples", "20", "--seed", "3", "--allow", "protocol"])
    assert capsys.readouterr().out == report
    files = [f"{a}/predictions_gqa.jsonl", f"{b}/predictions_pope.jsonl"]
    main([*files, "--metric", "accuracy_pangea", "--num_resamples", "20"])
    report = capsys.readouterr().out
    assert "### as_is: accuracy_pangea" in report
    assert "All figures" not in report
    with pytest.raises(ValueError, match=r"Found no figure BLEU in both, expected one of accuracy, relaxed_accuracy"):
        main([*files, "--metric", "BLEU"])


def test_a_figure_that_one_system_lacks_is_named_with_its_languages(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    sides = [yes_or_no(["no", "No"], "de", "sw", metric=YesNoAccuracy()), yes_or_no(["yes", "no"], "de", "sw")]
    sides[1] = results([one.example for one in sides[1].predictions], ["yes", "no", "no", "no"], YesNoAccuracy())
    main([*(write(tmp_path / name, pope=side) for name, side in zip("ab", sides, strict=True)), *BRIEF_OPTIONS])
    report = capsys.readouterr().out
    assert "Not compared, because A or B has no such figure there: `precision` (de, sw)." in report
    assert "| precision |" not in report
    with pytest.raises(ValueError, match=r"Found no figure precision in both, expected .*recall, f1"):
        compare_results(*sides, figure="precision")


def test_a_path_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"Found no .*typo, expected a folder"):
        main([str(tmp_path / "typo")] * 2)


def test_a_predictions_file_without_its_results_is_an_error(tmp_path):
    write_predictions(tmp_path / "predictions_gqa.jsonl", yes_or_no(["yes"]).predictions)
    with pytest.raises(ValueError, match=r"Found no .*results.json"):
        main([str(tmp_path / "predictions_gqa.jsonl")] * 2)
    write(tmp_path, gqa=yes_or_no(["yes"]))
    (tmp_path / "captions.jsonl").touch()
    with pytest.raises(ValueError, match=r"no answers to captions, expected both. .*mblip score"):
        main([str(tmp_path / "captions.jsonl")] * 2)
    main([*[str(tmp_path / "results.json")] * 2, *BRIEF_OPTIONS])


def test_facts_of_an_example_are_in_its_line_and_only_where_there_are_any(tmp_path):
    with_facts = predict("vqa", "paper", example(0, facts={"answer_type": "other"}), "yes")
    path = tmp_path / "predictions.jsonl"
    write_predictions(path, [with_facts, replace(with_facts, facts={})])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0]["facts"] == {"answer_type": "other"}
    assert "facts" not in lines[1]
