"""What a recipe and the command line of eval.py say: built-in benchmarks, and a benchmark of one's own in one file."""

from pathlib import Path

import pytest

from mblip.evaluation import EvaluationRecipe, GenerationChanges, RunSettings, Setup, TaskRecipe
from mblip.evaluation.command_line import parse_command_line
from mblip.evaluation.recipe import BUILT_IN, read_evaluation_run
from mblip.evaluation.tasks.pope import pope

COLOURS = '''
"""Which colour is it?"""

from pathlib import Path

from mblip.data.sources.records import check_record, read_json_lines
from mblip.evaluation import EvaluationTask, ExactMatch, Setup, ask, benchmark_task


def colours(setup: Setup, *, questions: Path, images: Path = Path("images"), language: str = "en") -> EvaluationTask:
    """The colour of each image."""
    prompts = setup.prompts("vqa", paper="Question: {question} Short answer in {language}:")
    examples = []
    for location, record in read_json_lines(questions):
        fields = check_record(record, {"image": str, "question": str, "answer": str}, location=location)
        examples += ask(
            prompts,
            inputs={"question": fields["question"]},
            references=(fields["answer"],),
            images=(images / fields["image"],),
            image_id=fields["image"],
            language=language,
            answer_language=language,
            id=fields["image"],
        )
    return benchmark_task("colours", examples, metric=ExactMatch(), setup=setup, kind="short_answer")


def no_task(*, questions: Path) -> None: ...


def of_another_kind(setup: Setup) -> list[str]:
    return []
'''
RECIPE = """model: some/model
output_dir: out
evaluation:
  setup: {protocol: centurio, missing_images: unchecked}
  my_colours:colours: {questions: QUESTIONS, language: sw}
"""


@pytest.fixture
def own(tmp_path):
    """A folder with a benchmark of one's own: one file, its questions, and a recipe that names it."""
    (tmp_path / "my_colours.py").write_text(COLOURS, encoding="utf-8")
    (tmp_path / "questions.jsonl").write_text('{"image": "a.png", "question": "Rangi gani?", "answer": "nyekundu"}\n')
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("QUESTIONS", str(tmp_path / "questions.jsonl")))
    return tmp_path


def asked(run):
    return [
        (task.name, task.protocol, e.prompt, e.images) for task in run.evaluation.build_tasks() for e in task.examples
    ]


def test_a_benchmark_of_ones_own_is_one_file_named_in_a_recipe(own):
    prompt = "Question: Rangi gani? Short answer in Swahili:"
    assert asked(read_evaluation_run(own / "recipe.yaml")) == [
        ("colours", "centurio", prompt, (Path("images/a.png"),)),
    ]


def test_a_benchmark_of_ones_own_is_asked_from_the_command_line_by_its_own_arguments(own, monkeypatch):
    monkeypatch.chdir(own)
    task = ["--task", "my_colours:colours", "--task.questions", "questions.jsonl", "--task.language=de"]
    run = parse_command_line(["some/model", *task, "--missing_images", "unchecked", "--batch_size", "8"])
    prompt = "Question: Rangi gani? Short answer in German:"
    assert asked(run) == [("colours", "paper", prompt, (Path("images/a.png"),))]
    assert run.evaluation.settings == RunSettings(batch_size=8)
    assert (run.model, run.output_dir) == ("some/model", Path("outputs/evaluation/some--model"))


def test_a_built_in_benchmark_is_asked_from_the_command_line():
    task = ["--task", "pope", "--task.questions", "pope_{split}.json", "--task.splits", "[random]"]
    run = parse_command_line(["m/", *task, "--task.answering", "rank", "--protocol", "centurio", "--output_dir", "o"])
    (found,) = run.evaluation.tasks
    arguments = {"questions": Path("pope_{split}.json"), "splits": ("random",), "answering": "rank"}
    assert found == TaskRecipe("pope", pope, arguments)
    assert (run.evaluation.setup, run.output_dir) == (Setup(protocol="centurio"), Path("o"))


def test_a_mapping_among_a_tasks_arguments_is_given_key_by_key():
    run = parse_command_line(["m", "--task", "xm3600", "--task.dataset.path", "me/x", "--task.dataset.split", "dev"])
    dataset = run.evaluation.tasks[0].arguments["dataset"]
    assert (dataset.path, dataset.split) == ("me/x", "dev")


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_file_of_tasks_is_a_benchmark(name, capsys):
    with pytest.raises(SystemExit, match="0"):
        parse_command_line(["--task", name, "--help"])
    assert capsys.readouterr().out.startswith(f"{name}: ")


def test_help_lists_what_a_task_takes(own, monkeypatch, capsys):
    monkeypatch.chdir(own)
    with pytest.raises(SystemExit, match="0"):
        parse_command_line(["--task", "my_colours:colours", "--help"])
    assert capsys.readouterr().out == (
        "my_colours:colours: The colour of each image.\n\narguments:\n"
        "  --task.questions (path): required\n"
        "  --task.images (path): default images\n"
        "  --task.language (text): default en\n"
        "\n`mblip eval --help` lists the other options.\n"
    )


def test_help_says_in_words_what_a_value_may_be(capsys):
    with pytest.raises(SystemExit, match="0"):
        parse_command_line(["--task", "xgqa", "--help"])
    printed = capsys.readouterr().out
    assert "  --task.vocabulary (path): optional\n" in printed
    assert "  --task.dataset (keys: path, split, config, revision, columns): optional\n" in printed
    assert "  --task.languages (list of text): default [bn, de, en, id, ko, pt, ru, zh]\n" in printed
    assert "  --task.answering (generate | constrained | rank): default generate\n" in printed
    with pytest.raises(SystemExit, match="0"):
        parse_command_line(["--task", "babel_imagenet", "--help"])
    printed = capsys.readouterr().out
    assert "  --task.held_out_by_language (true or false): default true\n" in printed
    assert "  --task.splits (list of train | held_out | held_out_language): default [train, held_out]\n" in printed


def replaced(own, old, new):
    recipe = own / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace(old, new))
    return recipe


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("my_colours:colours", "xm360", r"line 5: the task `xm360` is unknown\. Did you mean `xm3600`\?"),
        (
            "my_colours:colours",
            "cubism",
            r"the task `cubism` is unknown\. Expected one of babel_imagenet, .*, or",
        ),
        ("setup:", "setupp:", r"line 4: the task `setupp` is unknown\. Did you mean `setup`\?"),
        ("language:", "langage:", r"line 5: the key `.*colours\.langage` is unknown\. Did you mean `language`\?"),
        ("questions: ", "images: ", r"line 5: `evaluation\.my_colours:colours` lacks `questions`"),
        (
            "language: sw",
            "language: 3",
            r"line 5: `evaluation\.my_colours:colours\.language` is 3, a number",
        ),
        ("my_colours:", "my_colors:", r"line 5: `my_colors:colours`: found no module `my_colors` in "),
        (":colours", ":colors", r"line 5: `my_colours:colors`: no `colors` in .*\. Did you mean `colours`\?"),
        (":colours", ":COLOURS", r"`my_colours:COLOURS`: no `COLOURS` in "),
        (":colours", ":no_task", r"`my_colours:no_task` takes \(\*, questions.*expected the set-up and keyword-only"),
    ],
)
def test_what_is_wrong_in_a_recipe_is_named_with_its_line_and_the_nearest(own, old, new, message):
    with pytest.raises(ValueError, match=message):
        read_evaluation_run(replaced(own, old, new))


def test_what_a_task_refuses_is_named_with_its_place_in_the_recipe(own):
    run = read_evaluation_run(replaced(own, "language: sw", "language: xx"))
    with pytest.raises(ValueError, match=r"line 5: `evaluation\.my_colours:colours`: Found the language 'xx'"):
        run.evaluation.build_tasks()


def test_a_function_that_makes_no_task_is_an_error(own):
    path = replaced(own, ":colours: {questions: ", ":of_another_kind: {} #")
    with pytest.raises(ValueError, match=r"`my_colours:of_another_kind` returns list, expected an `EvaluationTask`"):
        read_evaluation_run(path).evaluation.build_tasks()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["m"], r"Found no --task with the model m, expected one of babel_imagenet, babel_imagenet_mc, chair"),
        (["m", "--task", "xm360"], r"--task: the task `xm360` is unknown\. Did you mean `xm3600`\?"),
        (
            ["m", "--task", "xm3600", "--task.num_image", "3"],
            r"`task\.num_image` is unknown\. Did you mean `num_images`",
        ),
        (["m", "--task", "xm3600", "--task.num_images", "few"], r"--task\.num_images: `task\.num_images` is 'few'"),
        (["m", "--task", "chair"], r"--task: `task` lacks `synonyms`"),
        (["m", "--task", "pope", "--model", "n"], r"Found --model as well as the model m"),
        (
            ["eval_pope", "--task", "pope"],
            r"Found --task with the recipe eval_pope, which lists its own tasks\. Change one with --evaluation",
        ),
        (["eval_pope", "--task.answering", "rank"], r"Found --task with the recipe eval_pope"),
        (
            ["m", "--task", "pope", "--evaluation.pope.answering", "rank"],
            r"Found --evaluation\.pope\.answering with the model m, .*; write a task's arguments as --task\.KEY",
        ),
        (["eval_xm3600s"], r"There is no recipe eval_xm3600s\..* Did you mean `eval_xm3600`\?"),
        (
            ["eval_xm3600s", "--model", "m"],
            r"There is no recipe eval_xm3600s\..* Did you mean `eval_xm3600`\?",
        ),
        (["eval_xm3600_paper"], r"There is no recipe eval_xm3600_paper\..* Did you mean `eval_xm3600`\?"),
        (
            ["here/eval_popp.yaml"],
            r"There is no recipe here/eval_popp\.yaml.* Did you mean `eval_pope`",
        ),
        (["mine", "--model", "m"], r"There is no recipe mine\..*`mblip recipes` lists"),
        (["org/eval_popes"], r"Found no --task with the model org/eval_popes, expected one of"),
        (["org/mine", "--model", "m"], r"Found --model as well as the model org/mine"),
        (
            ["eval_pope", "--evaluation.pope.answerin", "rank"],
            r"^--evaluation\.pope\.answerin: the key `.*answerin` is unknown\. Did you mean `answering`",
        ),
        (["eval_pope", "--evaluation.pop.answering=rank"], r"the task `pop` is unknown\. Did you mean `pope`\?"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        parse_command_line(arguments)


def test_a_folder_with_a_name_like_a_recipes_is_a_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("eval_popes").mkdir()
    with pytest.raises(ValueError, match="Found no --task with the model eval_popes"):
        parse_command_line(["eval_popes"])


def test_a_recipe_may_be_given_other_values_of_its_fields():
    fields = ["--evaluation.pope.answering", "rank", "--evaluation.settings.generation.length_penalty=-1.0"]
    run = parse_command_line([*fields, "--evaluation.pope.splits", "[random]", "eval_pope", "--model", "m"])
    plain = parse_command_line(["eval_pope"])
    (task,), (before,) = run.evaluation.tasks, plain.evaluation.tasks
    assert task.arguments == {**before.arguments, "answering": "rank", "splits": ("random",)}
    assert run.evaluation.settings.generation.length_penalty == -1.0
    assert (run.model, run.output_dir) == ("m", plain.output_dir)


def test_a_field_of_ones_own_task_in_a_recipe_is_replaced_by_its_path(own):
    run = parse_command_line([str(own / "recipe.yaml"), "--evaluation.my_colours:colours.language", "de"])
    assert [prompt for *_, prompt, _ in asked(run)] == ["Question: Rangi gani? Short answer in German:"]


def test_what_a_task_refuses_is_told_without_a_place_where_the_command_line_names_one_task(own, monkeypatch):
    monkeypatch.chdir(own)
    task = ["--task", "my_colours:colours", "--task.questions", "questions.jsonl"]
    run = parse_command_line(["some/model", *task])
    with pytest.raises(ValueError, match=r"^colours: 1 of 1 images are missing, such as a\.png \(not found: images/a"):
        run.evaluation.build_tasks()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--language"], "--language is unknown"),
        (["--task.languages"], "--task.languages has no value"),
        (["--task.languages", "--dtype", "auto"], "--task.languages has no value"),
        (["--evaluation"], "--evaluation has no value"),
    ],
)
def test_an_unknown_option_or_one_without_a_value_is_an_error(words, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        parse_command_line(["m", "--task", "pope", *words])
    assert f"{message}; write a task's arguments as --task.KEY VALUE, and a" in capsys.readouterr().err


def test_a_short_and_a_long_option_for_the_same_thing_agree_or_are_refused(own):
    recipe = str(own / "recipe.yaml")
    both = [recipe, "--protocol", "paper", "--evaluation.setup.protocol"]
    assert parse_command_line([*both, "paper"]).evaluation.setup.protocol == "paper"
    with pytest.raises(ValueError, match=r"^Found --evaluation\.setup\.protocol centurio as well as --protocol paper"):
        parse_command_line([*both, "centurio"])
    with pytest.raises(ValueError, match=r"--evaluation\.settings\.batch_size 8 as well as --batch_size 4\. Give one"):
        parse_command_line([recipe, "--batch_size", "4", "--evaluation.settings.batch_size", "8"])


def test_a_recipe_may_be_given_another_model_folder_and_protocol(own):
    recipe = str(own / "recipe.yaml")
    plain = parse_command_line([recipe])
    assert plain == read_evaluation_run(own / "recipe.yaml")
    run = parse_command_line([recipe, "--model", "other", "--output_dir", "there", "--protocol", "paper"])
    assert (run.model, run.output_dir, run.evaluation.tasks) == ("other", Path("there"), plain.evaluation.tasks)
    assert run.evaluation.setup == Setup(missing_images="unchecked")


def test_the_precision_is_an_option_of_a_model_and_of_a_recipe(own):
    for source in (["m", "--task", "marvl"], [str(own / "recipe.yaml")]):
        run = parse_command_line([*source, "--dtype", "bfloat16", "--load_in", "4bit"])
        assert (run.dtype, run.load_in) == ("bfloat16", "4bit")
        plain = parse_command_line(source)
        assert (plain.dtype, plain.load_in) == ("auto", None)
        assert parse_command_line([*source, "--load_in", "none"]).load_in == "none"


def test_a_recipe_without_a_task_is_an_error(own):
    with pytest.raises(ValueError, match=r"expected at least one task: babel_imagenet, .*, or a function of your"):
        EvaluationRecipe((), settings=RunSettings(generation=GenerationChanges(num_beams=5)))
    recipe = own / "recipe.yaml"
    recipe.write_text("model: m\noutput_dir: o\nevaluation: {}\n")
    with pytest.raises(ValueError, match=r"line 3: `evaluation`: expected at least one task"):
        read_evaluation_run(recipe)


def test_two_tasks_of_one_name_are_an_error(own):
    run = read_evaluation_run(own / "recipe.yaml")
    twice = EvaluationRecipe(run.evaluation.tasks * 2, run.evaluation.setup)
    with pytest.raises(ValueError, match="Found several tasks named 'colours'"):
        twice.build_tasks()


def test_a_mark_in_place_of_a_language_is_text_on_the_command_line(own):
    fields = ["--task.dataset.path", "data", "--task.dataset.split", "{language}"]
    (task,) = parse_command_line(["some/model", "--task", "xgqa", *fields]).evaluation.tasks
    assert task.arguments["dataset"].split == "{language}"
