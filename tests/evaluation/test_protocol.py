import pytest

from mblip.data.prompts import get_task
from mblip.evaluation.protocol import HELD_OUT_TEMPLATE, Setup

PAPER, CENTURIO = "Caption in {language}: ", "Briefly describe the image in {language} in one sentence."


@pytest.mark.parametrize(
    ("setup", "prompt"),
    [
        (Setup(), "Caption in Persian: "),
        (Setup(language_names="original"), "Caption in Farsi: "),
        (Setup(protocol="centurio"), "Briefly describe the image in Persian in one sentence."),
    ],
)
def test_a_protocol_has_one_prompt(setup, prompt):
    (form,) = setup.prompts("captioning", paper=PAPER, centurio=CENTURIO)
    assert (form.condition, form.fill("fa")) == ("as_is", prompt)


def test_centurio_asks_as_the_paper_does_where_it_has_no_prompt_of_its_own():
    (form,) = Setup(protocol="centurio").prompts("vqa", paper="Question: {question} Short answer in {language}:")
    assert form.fill("sw", question="{Why}?") == "Question: {Why}? Short answer in Swahili:"


def test_all_templates_are_asked_the_one_held_out_of_training_last():
    forms = Setup(templates=True).prompts("captioning", paper=PAPER)
    task = get_task("captioning")
    assert [form.text for form in forms] == [template.text for template in (*task.templates, task.held_out)]
    assert [form.condition for form in forms][:2] == ["wording 1", "wording 2"]
    assert forms[-1].condition == HELD_OUT_TEMPLATE


def test_the_decoding_settings_are_those_of_the_papers():
    searches = {kind: str(Setup().generation(kind)) for kind in ("caption", "short_answer", "description")}
    assert searches == {
        "caption": "5 beams, 1 to 50 new tokens, length penalty 1",
        "short_answer": "5 beams, 1 to 10 new tokens, length penalty -1",
        "description": "5 beams, 1 to 256 new tokens, length penalty 1, repetition penalty 1.5",
    }
    assert str(Setup(protocol="centurio").generation("caption")) == "greedy search, at most 50 new tokens"
