"""The warning where another harness gives the same answers another figure."""

from dataclasses import replace

from table_model import example, knows_all

from mblip.evaluation import EvaluationTask, GenerationSettings, GqaAccuracy, conditions_table, evaluate_task
from mblip.evaluation.reports.other_harnesses import harness_warnings


def evaluated(answer, **metric):
    """A model that gives this answer in German and "yes" in Swahili, where "yes" is right."""
    examples = [example(number, language=code, references=("yes",)) for code in ("de", "sw") for number in range(2)]
    model, processor = knows_all([replace(one, references=(answer,)) for one in examples[:2]] + examples[2:])
    task = EvaluationTask("q", examples, GqaAccuracy(**metric), GenerationSettings(9), "own")
    return evaluate_task(model, processor, task)


def test_a_figure_more_than_a_point_away_is_told_with_its_languages_and_both_values():
    results = evaluated("It is yes.")
    assert harness_warnings(results) == [
        "as_is: on the same answers, `relaxed_accuracy` (the original mBLIP's relaxed match: the cleaned answer "
        "begins or ends with it) differs from `accuracy` by more than a point: de 100.0 against 0.0. Compare only "
        "figures of one rule.",
        "as_is: on the same answers, `accuracy_pangea` (Pangea's match: the answer contains the reference) differs "
        "from `accuracy` by more than a point: de 100.0 against 0.0. Compare only figures of one rule.",
    ]
    assert all(line in conditions_table(results) for line in harness_warnings(results))


def test_the_main_figure_of_another_harness_is_compared_with_ours():
    _, *lines = harness_warnings(evaluated("It is yes.", main="accuracy_pangea"))
    assert [line.split("`")[1] for line in lines] == ["accuracy", "accuracy_centurio", "accuracy_lmms_eval"]


def test_equal_figures_give_no_warning():
    assert harness_warnings(evaluated("yes")) == []


def test_a_difference_of_exactly_a_point_gives_no_warning():
    (score, *_) = evaluated("yes").scores
    score = replace(score, value=0.5, figures={"accuracy": 0.5, "relaxed_accuracy": 0.51})  # 0.51 - 0.5 > 0.01
    assert harness_warnings(replace(evaluated("yes"), scores=(score,))) == []


def test_pangeas_match_comes_with_what_it_gives_to_a_constant_answer():
    first, *_ = harness_warnings(evaluated("It is yes.", main="accuracy_pangea"))
    assert (
        first == "as_is: the constant answer 'no, nothing on the left or right, yes' gets 100.0 by `accuracy_pangea`."
    )
