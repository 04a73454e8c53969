"""Set-ups: the prompts and decoding of the protocols, what they do not have, and what differs from them."""

import pytest

from mblip.data.prompts import get_task
from mblip.evaluation import EvaluationExample, EvaluationTask, ExactMatch
from mblip.evaluation.generation_settings import GenerationChanges
from mblip.evaluation.protocol import HELD_OUT_TEMPLATE, OWN, PROTOCOLS, Setup, changes_of_run

PAPER = "Caption in {language}: "


@pytest.mark.parametrize(
    ("setup", "prompt", "changes"),
    [
        (Setup(), "Caption in Farsi: ", ()),
        (Setup(language_names="original"), "Caption in Farsi: ", ()),
        (Setup(language_names="trained"), "Caption in Persian: ", ("language names as trained",)),
        (Setup(protocol="centurio"), "Caption in Persian: ", ()),
        (Setup(protocol="pangea"), "Caption in Persian: ", ()),
        (Setup(protocol="pangea", language_names="original"), "Caption in Farsi: ", ("language names as original",)),
    ],
)
def test_a_protocol_has_its_names_of_languages_and_other_names_change_it(setup, prompt, changes):
    (form,) = setup.prompts("captioning", paper=PAPER)
    assert (form.condition, form.fill("fa"), setup.changes) == ("as_is", prompt, changes)


def test_an_input_may_have_braces_in_it():
    (form,) = Setup().prompts("vqa", paper="Question: {question} Short answer in {language}:")
    assert form.fill("sw", question="{Why}?") == "Question: {Why}? Short answer in Swahili:"


@pytest.mark.parametrize(
    ("protocol", "asked"), [("paper", "Question:  Why? Short"), ("pangea", "Question: Why? Short")]
)
def test_only_pangea_takes_space_off_a_question(protocol, asked):
    (form,) = Setup(protocol=protocol).prompts("vqa", paper="Question: {question} Short answer in {language}:")
    assert form.fill("sw", question=" Why?").startswith(asked)


def test_all_templates_are_asked_the_one_held_out_of_training_last():
    setup = Setup(templates=True)
    forms = setup.prompts("captioning", paper=PAPER)
    task = get_task("captioning")
    assert [form.text for form in forms] == [template.text for template in (*task.templates, task.held_out)]
    assert [form.condition for form in forms][:2] == ["wording 1", "wording 2"]
    assert forms[-1].condition == HELD_OUT_TEMPLATE
    assert setup.changes == ("every prompt template",)


@pytest.mark.parametrize(
    ("protocol", "caption", "short_answer"),
    [
        ("paper", "5 beams, 1 to 50 new tokens, length penalty 1", "5 beams, 1 to 10 new tokens, length penalty -1"),
        (
            "centurio",
            "greedy search, 1 to 128 new tokens, repetition penalty 1.1",
            "greedy search, 1 to 10 new tokens",
        ),
        ("pangea", "greedy search, at most 128 new tokens", "greedy search, at most 16 new tokens"),
    ],
)
def test_a_protocol_decodes_each_kind_of_answers_in_its_way(protocol, caption, short_answer):
    setup = Setup(protocol=protocol)
    assert [str(setup.generation(kind)) for kind in ("caption", "short_answer")] == [caption, short_answer]


@pytest.mark.parametrize(
    ("protocol", "benchmark", "having"),
    [
        ("centurio", "pope", "paper"),
        ("centurio", "nlvr2", "paper, pangea"),
        ("centurio", "chair", "paper"),
        ("centurio", "xflickrco", "paper"),
        ("pangea", "xvnli", "paper, centurio"),
        ("pangea", "vqav2", "paper, centurio"),
        ("pangea", "coco_karpathy", "paper, centurio"),
    ],
)
def test_a_benchmark_that_a_protocol_does_not_have_is_refused(protocol, benchmark, having):
    message = rf"^the protocol `{protocol}` does not have {benchmark}; found it in: {having}\. Set `protocol: paper`"
    with pytest.raises(ValueError, match=message):
        Setup(protocol=protocol).rules(benchmark)


def test_an_argument_that_differs_is_a_change_and_the_protocols_own_value_is_none():
    rules = Setup().rules("vqav2", num_questions=300)
    assert (rules.arguments, rules.changes) == ({"num_questions": 300}, ("num_questions 300",))
    assert (
        Setup().rules("vqav2", num_questions=5000).changes == Setup().rules("vqav2", num_questions=None).changes == ()
    )


def test_every_rule_names_its_source():
    assert all(rules.source for protocol in PROTOCOLS.values() for rules in protocol.benchmarks.values())


@pytest.mark.parametrize(
    ("protocol", "precision", "changes"),
    [
        ("paper", "bfloat16, language model in 8 bit", ()),
        ("paper", "bfloat16", ("language model in bfloat16",)),
        ("paper", "float32, language model in 4 bit (nf4)", ("language model in 4 bit (nf4)",)),
        ("centurio", "bfloat16", ()),
        ("pangea", "bfloat16, language model in 8 bit", ("language model in 8 bit",)),
        (OWN, "bfloat16, language model in 8 bit", ()),
    ],
)
def test_another_precision_than_the_protocols_is_a_change(protocol, precision, changes):
    task = task_of(protocol)
    assert changes_of_run(task, task.generation, precision) == changes


def test_every_setting_of_the_decoding_that_a_run_overrides_is_a_change():
    task = task_of("paper")
    changed = GenerationChanges(max_new_tokens=20, num_beams=1, length_penalty=0.5).applied_to(task.generation)
    changes = ("max_new_tokens 20", "num_beams 1", "length_penalty 0.5")
    assert changes_of_run(task, changed, "bfloat16, language model in 8 bit") == changes


def task_of(protocol):
    example = EvaluationExample((), "a", "?", ("yes",), "en", "as_is", "1")
    return EvaluationTask("t", [example], ExactMatch(), Setup().generation("short_answer"), protocol)
