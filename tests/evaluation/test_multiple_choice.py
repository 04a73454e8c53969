"""Multiple choice: prompts, orders, how answers are read, and what the metric reports."""

import pytest
from PIL import Image
from table_model import knows_all

from mblip.evaluation import EvaluationTask, GenerationSettings, evaluate_task
from mblip.evaluation.multiple_choice import MultipleChoiceAccuracy, ask_choice, read_choice
from mblip.evaluation.protocol import PromptForm

COLOURS = ["green", "red", "dark red", "a dog"]
PROMPT = PromptForm("as_is", "{question}\n{options}\nAnswer with a letter.")


def ask(options=("red", "blue", "green"), right=1, prompt=PROMPT, **changes):
    arguments = {"id": "q1", "inputs": {"question": "Which?"}, "images": (), "image_id": "i1", "language": "en"}
    return list(ask_choice((prompt,), options=options, right=right, **arguments | changes))


@pytest.mark.parametrize(
    "answer",
    [
        "B",
        "b",
        "B.",
        "(B)",
        "( b )",
        "[B]",
        "**B**",
        '"B"',
        "Ｂ",
        "（Ｂ）",
        "【B】",
        "「B」",
        "Ⓑ",
        "B。",
        "\u200fB\u200f.",
        "B:",
        "B) red",
        "B. red",
        "(B) Red.",
        "B red",
        "b) red",
        "B: red",
        "Ｂ：red",
        "B.red",
        "B - red",
        "B, red",
        "【B】red",
        "B\nred",
        "B. The car is red.",
        "B. Because a cat is red",
        "(B) since green is wrong",
        "Answer: B",
        "Answer:B",
        "Option B",
        "The answer is B.",
        "The correct answer is (B) red.",
        "answer: b",
        "答案：B",
        "答案是B。",
        "정답: B",
        "Réponse : B",
        "الإجابة: B",
        "उत्तर: (B)",
        "Ответ: B.",
        "คำตอบ: B",
        "red",
        "Red",
        "RED.",
        "“red”",
        "red ",
        "Answer: red",
        "The answer is red.",
    ],
)
def test_a_letter_or_the_text_of_the_option_is_read(answer):
    assert read_choice(answer, COLOURS) == 1


SENTENCES = {
    "en": "The correct answer is **B. red**.|The correct option is B.|The best answer is B|Final answer: B|"
    "<answer>B</answer>|\\boxed{B}|Option (B) is correct.|The color is red, so the answer is B.|ASSISTANT: B",
    "es": "La respuesta correcta es B.|La respuesta es la B.|La opción correcta es B. red|Opción B",
    "fr": "La réponse est B.|La bonne réponse est (B).|Réponse correcte : B",
    "de": "Die richtige Antwort ist B.|Antwort B|Die Antwort ist B) red.",
    "pt": "A resposta correta é B.|A alternativa correta é a B.|Letra B",
    "ru": "Правильный ответ — B.|Правильный ответ: B. red",
    "ar": "الإجابة الصحيحة هي B.|الجواب هو B",
    "hi": "सही उत्तर B है।|सही उत्तर है (B) red।",
    "zh": "正确答案是B。|选B|应选B|答案为B|正确答案是 B. red。",
    "ja": "答えはBです。|正解は「B. red」です。|Bです。",
    "ko": "정답은 B입니다.|정답은 (B) red입니다.|답: B",
    "th": "คำตอบคือ B|คำตอบที่ถูกต้องคือ B. red|ตอบ B",
    "sw, id, tr, vi": "Jibu sahihi ni B.|Jawabannya adalah B.|Doğru cevap B.|Đáp án đúng là B.",
    "pl, sv, el, uk": "Poprawna odpowiedź to B.|Rätt svar är B.|Η σωστή απάντηση είναι B.|Правильна відповідь: B",
    "bn, ta, he, fa, af": "সঠিক উত্তর হল B|சரியான விடை B|התשובה הנכונה היא B|پاسخ صحیح B است|Die antwoord is B.",
    "more": "B\n\nExplanation: the car is red.|B. A red car is shown.|Answer: B\nExplanation: A red car.|B\nB\nB",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_a_sentence_that_says_which_answer_is_right_is_read_in_every_language(language):
    answers = SENTENCES[language].split("|")
    assert {answer: read_choice(answer, COLOURS) for answer in answers} == dict.fromkeys(answers, 1)


@pytest.mark.parametrize(
    "answer",
    [
        "The answer is not B.",
        "The answer isn't B",
        "La respuesta no es B.",
        "答案不是B。",
        "答えはBではありません",
        "정답은 B가 아닙니다",
        "उत्तर B नहीं है",
        "cevap B değil",
        "คำตอบไม่ใช่ B",
        "Odpowiedź to nie B.",
        "Svaret är inte B",
        "উত্তর B নয়",
        "Answer: A or B",
        "Antwort: A oder B",
        "答案：A、B",
        "答えはAとB",
        "Answer: A/B",
        "Answer: A cat",
        "The answer is A bright red car",
        "The answer is B) green",
        "Option A-level",
        "A. green\nB. red\nC. dark red\nD. a dog",
        "The options are A, B, C and D.",
        "Vitamin B",
        "",
        " ",
        ".",
        "E",
        "(E)",
        "E. red",
        "pink",
        "A or B",
        "A, B",
        "B, C",
        "B. C.",
        "A) green B) red",
        "A B C D",
        "B) green",
        "B: dark red",
        "Answer: B, green",
        "A cat",
        "A bright red car",
        "it is B",
        "not B",
        "В",
        "ب",
        "2",
        "reddish",
        "red or green",
        "e.g. red",
        "I think it is not B",
        "Both A and B",
        "B. No, (C)",
        "B. Not A",
    ],
)
def test_what_names_no_option_or_several_is_invalid(answer):
    assert read_choice(answer, COLOURS) is None


def test_an_option_s_text_that_begins_with_a_letter_is_read_as_a_text():
    assert read_choice("a dog", COLOURS) == 3
    assert read_choice("A dog.", COLOURS) == 3
    assert read_choice("A dog", ["dog", "a dog"]) is None  # the letter and its text, and the other's text


def test_a_letter_alone_is_a_letter_although_it_is_another_option_s_text():
    assert read_choice("A", ["C", "B", "A"]) == 0
    assert read_choice("Answer: C", ["C", "B", "A"]) == 2


def test_options_that_differ_only_in_case_or_signs_are_told_apart():
    options = ["Mg", "mg", "x²", "x2", "-5", "5", "5%"]
    assert [read_choice(answer, options) for answer in ("mg", "x²", "5", "Answer: 5%")] == [1, 2, 5, 6]
    assert read_choice("MG", ["Mg", "mg"]) is None


def test_by_text_a_letter_is_not_an_answer():
    assert read_choice("B", COLOURS, "text") is None
    assert read_choice("B) red", COLOURS, "text") is None
    assert read_choice("C", ["A", "B", "C"], "text") == 2


def test_a_prompt_lists_the_options_with_letters_and_the_right_one_is_the_reference():
    (example,) = ask()
    assert example.prompt == "Which?\nA. red\nB. blue\nC. green\nAnswer with a letter."
    assert (example.references, example.candidates) == (("B",), ("A", "B", "C"))
    assert example.facts == {"A": "red", "B": "blue", "C": "green"}
    assert example.content_free == "N/A\nN/A\nAnswer with a letter."


def test_by_text_the_options_are_listed_without_letters_or_not_at_all():
    (listed,) = ask(answer_by="text")
    (unlisted,) = ask(answer_by="text", prompt=PromptForm("as_is", "{question}"))
    assert listed.prompt == "Which?\nred\nblue\ngreen\nAnswer with a letter."
    assert (unlisted.prompt, unlisted.content_free) == ("Which?", "N/A")
    assert listed.references == unlisted.references == ("blue",)
    assert listed.candidates == ("red", "blue", "green")


def test_a_shuffled_order_depends_on_seed_and_question_alone_and_keeps_the_right_option():
    orders = {(seed, id): ask(order="shuffled", seed=seed, id=id)[0] for seed in range(4) for id in "abcd"}
    assert len({tuple(example.facts.values()) for example in orders.values()}) > 3
    assert all(example.facts[example.references[0]] == "blue" for example in orders.values())
    assert ask(order="shuffled", seed=2, id="c") == [orders[2, "c"]]


def test_circular_asks_every_rotation_and_is_right_only_if_all_are():
    rotations = ask(order="circular")
    assert [
        (example.id, "".join(example.facts[x][0] for x in "ABC"), *example.references) for example in rotations
    ] == [
        ("q1/rotation 0", "rbg", "B"),
        ("q1/rotation 1", "bgr", "A"),
        ("q1/rotation 2", "grb", "C"),
    ]
    examples = rotations + ask(order="circular", id="q2", options=("yes", "no"), right=0)
    figures = MultipleChoiceAccuracy().score(examples, ["B", "A", "C", "A", "A"]).figures
    assert (figures["accuracy"], figures["circular_accuracy"]) == (0.8, 0.5)
    assert figures["chance"] == pytest.approx((3 / 3 + 2 / 2) / 5)


def test_the_metric_reports_invalid_answers_and_each_position():
    examples = ask() + ask(id="q2", right=0) + ask(id="q3", right=1) + ask(id="q4", options=("a", "b"), right=1)
    scored = MultipleChoiceAccuracy().score(examples, ["B", "B", "a bus", ""])
    assert scored.per_example == (1.0, 0.0, 0.0, 0.0)
    assert scored.figures == pytest.approx(
        {
            "accuracy": 0.25,
            "chance": (1 / 3 * 3 + 1 / 2) / 4,
            "share_invalid": 0.5,
            "share_empty": 0.25,
            "accuracy_centurio": 0.25,
            "share_A": 0.0,
            "share_right_A": 0.25,
            "recall_A": 0.0,
            "share_B": 0.5,
            "share_right_B": 0.75,
            "recall_B": 1 / 3,
            "share_C": 0.0,
            "share_right_C": 0.0,
        }
    )


@pytest.mark.parametrize("answer_by", ["letter", "text"])
def test_a_model_that_always_answers_rightly_is_right_in_every_rotation(answer_by):
    image = (Image.new("RGB", (2, 2)),)
    examples = ask(order="circular", answer_by=answer_by, images=image) + ask(
        id="q2", options=("אדום", "כחול"), order="circular", answer_by=answer_by, images=image, language="iw"
    )
    metric = MultipleChoiceAccuracy(answer_by)
    task = EvaluationTask("colours", examples, metric, GenerationSettings(max_new_tokens=3), "own")
    for score in evaluate_task(*knows_all(examples), task).scores:
        assert (score.value, score.figures["circular_accuracy"], score.figures["share_invalid"]) == (1.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"options": ("red",), "right": 0}, "found 1 options, expected a list of 2 to 26"),
        ({"options": [str(i) for i in range(27)]}, "found 27 options, expected a list of 2 to 26"),
        ({"options": "['red', 'blue']"}, "found the text .*expected a list"),
        ({"options": ("red", "red ", "blue")}, "found the options .*expected different texts"),
        ({"options": ("red", " ")}, "expected different texts, none of them empty"),
        ({"right": 3}, "`right` is 3, expected the position of one of 3"),
        ({"right": -1}, "`right` is -1"),
        ({"order": "cyclic"}, "`order: cyclic` is unknown. Expected one of as_given, shuffled, circular"),
        ({"prompt": PromptForm("as_is", "{question}")}, r"does not list the options. Write \{options\} into it"),
        (
            {"prompt": PromptForm("as_is", "{question}"), "answer_by": "text", "order": "circular"},
            "does not list the options",
        ),
    ],
)
def test_a_question_that_cannot_be_asked_is_an_error(changes, message):
    with pytest.raises(ValueError, match=message):
        ask(**changes)
