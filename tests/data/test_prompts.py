"""Prompt templates: enough of them, each with its source, and chosen the same way everywhere."""

import os
import re
import string
import subprocess
import sys
from collections import Counter

import pytest

from mblip.data.example import Example
from mblip.data.prompts import TASKS, apply_prompt

ANSWERED_IN_ENGLISH = ("image_deciding", "matching", "vqa_in_english", "entailment", "two_image_statement")
INPUTS = {
    "question": "How many dogs?",
    "answer": "two",
    "label": "Hund",
    "caption": "Two dogs run.",
    "hypothesis": "It rains.",
    "statement": "Both dogs run.",
}

FROZEN_DRAWS = {
    "captioning": [
        "Describe this picture. Use German.",
        "In German, tell me what this image shows.",
        "A photo caption written in German:",
    ],
    "vqa": [
        "Look at the image and answer in German: question",
        "Give a short German answer to this question about the picture: question",
        "question\nGerman answer:",
    ],
    "question_generation": [
        'Which question about this picture is answered by "answer"? Write it in German:',
        "A: answer Q (German):",
        "The answer is answer. In German, what was the question?",
    ],
    "image_naming": [
        "German name of what is shown:",
        "This image shows (answer in German):",
        "In German, what is this called?",
    ],
    "image_deciding": [
        'Is it correct to call the main object of the picture "label"? Yes or no?',
        "Label: label. Does it fit the image? Answer in English with yes or no:",
        '"label": is that what the photo shows? Reply with yes or no in English.',
    ],
    "matching": [
        "Caption: caption Does it match the image? Yes or no?",
        "Decide whether image and sentence belong together (yes or no): caption",
        'Is "caption" a fitting description of what is shown? Reply with yes or no in English.',
    ],
}  # of the templates that the shipped models were trained with


def example(task, number=0, **changes):
    inputs = {name: INPUTS[name] for name in TASKS[task].inputs} if task in TASKS else {}
    fields = {"target": "zwei", "language": "de", "inputs": inputs} | changes
    return Example((), "", task=task, source="test", id=str(number), image_id="r", **fields)


def placeholders(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("task", TASKS)
def test_a_task_has_six_templates_and_one_that_training_never_sees(task):
    texts = [template.text for template in TASKS[task].templates]
    assert len(set(texts)) == len(texts) >= 6
    assert TASKS[task].held_out.text not in texts
    seen = {apply_prompt(example(task, number), seed=0).prompt for number in range(300)}
    assert len(seen) == len(texts)
    assert apply_prompt(example(task), seed=0, held_out=True).prompt not in seen


@pytest.mark.parametrize("task", TASKS)
def test_a_template_uses_all_its_inputs_and_says_where_it_comes_from(task):
    for template in (*TASKS[task].templates, TASKS[task].held_out):
        assert set(TASKS[task].inputs) <= placeholders(template.text) <= {*TASKS[task].inputs, "language"}
        names_language = task not in ANSWERED_IN_ENGLISH and template.text != "{question}"
        assert ("language" in placeholders(template.text)) == names_language
        assert template.source


@pytest.mark.parametrize(("task", "texts"), FROZEN_DRAWS.items())
def test_a_seed_draws_what_it_always_drew(task, texts):
    asked = [
        example(task, number, target="x", inputs={name: name for name in TASKS[task].inputs}) for number in range(3)
    ]
    assert [apply_prompt(example, seed=0).prompt for example in asked] == texts


def test_parts_to_translate_are_parts_that_a_task_has():
    assert all(set(task.translated) <= {"target", *task.inputs} for task in TASKS.values())
    assert TASKS["matching"].translated == ("caption",)
    assert TASKS["conversation"].translated == TASKS["vqa"].translated == ("question", "target")
    assert TASKS["reasoning"].translated == TASKS["vqa_in_english"].translated == ()


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("task", TASKS)
def test_every_placeholder_is_filled_and_braces_of_inputs_survive(task, held_out):
    inputs = {name: f"{{{name}}} {{x" for name in TASKS[task].inputs}
    for number in range(30):
        prompt = apply_prompt(example(task, number, inputs=inputs), seed=0, held_out=held_out).prompt
        for text in inputs.values():
            assert text in prompt
            prompt = prompt.replace(text, "")
        assert "{" not in prompt
        assert "}" not in prompt


def test_no_two_tasks_are_asked_for_alike():
    # Questions with English answers are asked as `vqa` asks in English: it is the same task.
    alike = {}
    for name, task in TASKS.items():
        for template in (*task.templates, task.held_out):
            kind = "vqa" if name == "vqa_in_english" else name
            text = template.text.replace("{language}", "English").casefold().strip()
            assert alike.setdefault(text, kind) == kind
    assert len(alike) > 80


def test_no_article_stands_before_a_language_that_may_begin_with_a_vowel():
    """a Ukrainian, an Indonesian, an Urdu word: the article goes by the sound, and a recipe may add any language."""
    texts = [template.text for task in TASKS.values() for template in (*task.templates, task.held_out)]
    assert len(texts) > 80
    found = [text for text in texts if re.search(r"\ban? \{language\}", text, re.IGNORECASE)]
    assert found == []


def test_as_released_asks_for_questions_in_english_whatever_their_language():
    asked = [example("question_generation", number) for number in range(50)]
    assert all("German" in apply_prompt(example, seed=0).prompt for example in asked)
    released = [apply_prompt(example, seed=0, templates="as_released").prompt for example in asked]
    assert all("English" in prompt and "German" not in prompt for prompt in released)


def test_as_released_gives_the_answer_as_its_own_reason_in_one_template():
    asked = [example("reasoning", number, target="two because one barks because it can") for number in range(60)]
    assert {apply_prompt(example, seed=0).target for example in asked} == {"two because one barks because it can"}
    released = Counter(apply_prompt(example, seed=0, templates="as_released").target for example in asked)
    assert set(released) == {"two because one barks because it can", "two because two"}
    assert released["two because two"] < 25


def test_as_released_calls_hebrew_what_the_original_called_it():
    asked = example("captioning", language="iw")
    assert "former Hebrew" in apply_prompt(asked, seed=0, templates="as_released").prompt
    assert "former" not in apply_prompt(asked, seed=0).prompt


def test_the_published_checkpoints_are_asked_as_they_were_evaluated():
    assert TASKS["captioning"].templates[0].text == "Caption in {language}: "
    assert TASKS["vqa"].templates[0].text == "Question: {question} Short answer in {language}:"


def test_a_template_is_filled_with_the_inputs_and_the_english_name_of_the_language():
    prompt = apply_prompt(example("vqa"), seed=0, held_out=True).prompt
    assert prompt == "Somebody sees this image and wonders: How many dogs? Respond in German."


def test_braces_in_a_question_stay_as_they_are():
    asked = example("vqa", inputs={"question": "What is {language}?"})
    assert "What is {language}?" in apply_prompt(asked, seed=0).prompt


def test_every_template_is_drawn_about_equally_often():
    drawn = Counter(apply_prompt(example("captioning", number), seed=0).prompt for number in range(8000))
    assert all(900 < count < 1100 for count in drawn.values())


def test_the_template_depends_on_seed_source_and_id():
    by_seed = [apply_prompt(example("captioning"), seed=seed).prompt for seed in range(20)]
    by_source = [
        apply_prompt(Example((), "", "ja", "de", "captioning", str(i), "0", "r"), seed=0).prompt for i in range(20)
    ]
    assert len(set(by_seed)) > 1
    assert len(set(by_source)) > 1


@pytest.mark.slow
def test_another_process_draws_the_same_templates():
    code = """
from mblip.data.example import Example
from mblip.data.prompts import apply_prompt
for i in range(20):
    print(apply_prompt(Example((), "", "ja", "de", "captioning", "t", str(i), "r"), seed=0).prompt)
"""
    elsewhere = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "1"},
    ).stdout.splitlines()
    examples = [Example((), "", "ja", "de", "captioning", "t", str(i), "r") for i in range(20)]
    assert elsewhere == [apply_prompt(example, seed=0).prompt for example in examples]


@pytest.mark.parametrize("inputs", [{}, {"question": "?", "answer": "two"}])
def test_inputs_that_are_not_the_tasks_are_an_error(inputs):
    with pytest.raises(ValueError, match=r"Example '0' of 'test' has the inputs .* task 'vqa' takes \['question'\]"):
        apply_prompt(example("vqa", inputs=inputs), seed=0)


def test_an_unknown_task_is_an_error_that_names_the_example():
    with pytest.raises(
        ValueError, match="Example '0' of 'test': Found the task 'poetry', expected one of captioning, "
    ):
        apply_prompt(example("poetry"), seed=0)


def test_a_prompt_is_not_put_around_a_prompt():
    asked = apply_prompt(example("captioning"), seed=0)
    with pytest.raises(ValueError, match="already has the prompt"):
        apply_prompt(asked, seed=0)
