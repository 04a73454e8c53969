"""Recipes: what is read, and that everything wrong is named with its location."""

import sys
from pathlib import Path

import pytest

from mblip.data.recipes.yaml_values import read_yaml, to_plain_values, write_yaml
from mblip.training.recipe import RowsRecipe
from mblip.training.recipe_reading import parse_command_line, read_recipe, to_recipe, to_yaml
from tests.training.tiny_run import ROOT, tiny_recipe


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(write_yaml(tiny_recipe(tmp_path)), encoding="utf-8")
    return path


def yaml_file(folder: Path, text: str) -> Path:
    path = folder / "values.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_plain_words_are_read_by_the_rules_of_yaml_1_2(tmp_path):
    text = "a: [de, no, on, y]\nb: 2e-5\nc: [true, false]\nd: [null, ~]\ne: 010\nf: [1.5, -3, .5]\ng: '2e-5'\nh: 12:30"
    assert to_plain_values(read_yaml(yaml_file(tmp_path, text))) == {
        "a": ["de", "no", "on", "y"],
        "b": 2e-5,
        "c": [True, False],
        "d": [None, None],
        "e": 10,
        "f": [1.5, -3, 0.5],
        "g": "2e-5",
        "h": "12:30",
    }


def test_text_that_looks_like_something_else_survives_writing_and_reading(tmp_path):
    values = {"a": ["no", "2e-5", "true", "010", "", "~"], "b": 1e-05, "c": None, "d": True}
    assert to_plain_values(read_yaml(yaml_file(tmp_path, write_yaml(values)))) == values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "values.yaml, line 3: the key 'a' is repeated"),
        ("", "values.yaml is empty"),
        ("a: [1", "values.yaml cannot be read as YAML, line 1: expected ',' or ']', but got '<stream end>'"),
        (
            "a: 1\nb:\tc: 2",
            "values.yaml cannot be read as YAML, line 2: found character .* that cannot start any token",
        ),
        ("a: 1\nb: \0", r"values.yaml cannot be read as YAML, line 2: the character '\\x00'"),
        ("a: 1\nb: !!python/object:os.system {}", "line 2: found the tag tag:yaml.org,2002:python/object:os.system"),
        ("a: !!int x", "line 1: found the tag tag:yaml.org,2002:int, expected a value without one"),
        ("a: &a [x]\nb: [*a, *a]", r"line 2: found the alias \*a, expected the value itself"),
        ("&a [*a]", r"line 1: found the alias \*a"),
        ("a: &a {b: 1}\nc: {<<: *a}", r"line 2: found the alias \*a"),
        ("[" * 3000, "line 1: found more than 50 lists and mappings inside one another"),
        ("\n".join(" " * i + "a:" for i in range(300)), "line 50: found more than 50 lists and mappings"),
        ("a: 1\n? [b]\n: 2", "values.yaml, line 2: found a list or mapping as a key, expected text"),
        ("a: 1\n---\nb: 2", "line 2: but found another document"),
        ("a: " + "9" * 5000, "values.yaml, line 1: found a number of 5,000 digits"),
        ("a: " + "x" * (1 << 20), "values.yaml has 1,048,579 bytes, expected a recipe of at most 1,048,576"),
    ],
    ids=range(16),
)
def test_a_broken_file_is_an_error_that_names_it(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_yaml(yaml_file(tmp_path, text))


def test_values_deep_inside_one_another_are_read_up_to_a_limit(tmp_path):
    assert to_plain_values(read_yaml(yaml_file(tmp_path, "[" * 49 + "no" + "]" * 49)))[0][0][0] != "no"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stages", "[" * 3000], "^--stages cannot be read as YAML: found more than 50 lists and mappings"),
        (["--stages", "[*a]"], r"^--stages cannot be read as YAML: found the alias \*a"),
        (["--a" + ".a" * 3000, "1"], r"^--a\.a\.a.*: found 3,000 points, expected at most 50"),
        (["--stages.²", "1"], r"`stages` is a list of 2 entries, but found the position '²'"),
        (["--stages." + "9" * 5000, "1"], "`stages` is a list of 2 entries, but found the position"),
    ],
    ids=range(5),
)
def test_a_bomb_on_the_command_line_is_refused(recipe_file, arguments, message):
    with pytest.raises(ValueError, match=message):
        parse_command_line([str(recipe_file), *arguments])


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"There is no recipe .*missing\.yaml"):
        read_yaml(tmp_path / "missing.yaml")


def test_a_file_that_is_no_text_is_an_error(tmp_path):
    (tmp_path / "recipe.yaml").write_bytes(b"\x89PNG")
    with pytest.raises(ValueError, match=r"recipe\.yaml is not text in UTF-8, expected a recipe"):
        read_yaml(tmp_path / "recipe.yaml")


def test_norwegian_may_stand_bare_in_a_list_of_languages(recipe_file):
    text = recipe_file.read_text(encoding="utf-8").replace("- en", "- no")
    recipe_file.write_text(text, encoding="utf-8")
    assert read_recipe(recipe_file).data.sources[0].arguments["languages"] == ("no", "de")


def test_a_recipe_written_with_its_defaults_reads_as_the_same(recipe_file, tmp_path):
    recipe = read_recipe(recipe_file)
    assert to_recipe(read_yaml(yaml_file(tmp_path, to_yaml(recipe)))) == recipe


@pytest.mark.parametrize("streaming", [False, True])
def test_rows_are_of_one_path_or_of_several_with_their_weights(tmp_path, streaming):
    one = {"path": "mix/data", "streaming": streaming}
    several = [one | {"weight": 2, "tasks": ["vqa"]}, one | {"languages": ["no", "sw"]}]
    read = [read_data(tmp_path, {"rows": rows}) for rows in (one, several)]
    assert read[0].rows == (RowsRecipe("mix/data", streaming=streaming),)
    assert read[1].rows == (
        RowsRecipe("mix/data", weight=2.0, tasks=frozenset({"vqa"}), streaming=streaming),
        RowsRecipe("mix/data", languages=frozenset({"no", "sw"}), streaming=streaming),
    )
    assert [data.is_streamed for data in read] == [streaming] * 2


def read_data(folder, data):
    """A recipe's data, which written and read again is the same."""
    path = yaml_file(folder, write_yaml(tiny_recipe(folder, data=data)))
    recipe = to_recipe(read_yaml(path))
    assert to_recipe(read_yaml(yaml_file(folder, to_yaml(recipe)))) == recipe
    return recipe.data


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"path": "a", "weight": 2}, "the only entry of `rows` has a weight"),
        ([{"path": "a", "streaming": True}, {"path": "b"}], "some `rows` are streamed and others are not"),
        ([{"path": "a"}, {"path": "b", "weight": 0}], r"`data\.rows\.1\.weight` is 0, expected above 0"),
        ([{"path": "a"}, {"path": "b", "wait": 1}], r"line \d+: the key `data\.rows\.1\.wait` is unknown"),
        ({"path": "a", "tasks": ["vaq"]}, r"`data\.rows`: Found the task 'vaq', expected one of"),
        ({"path": "a", "languages": ["xx"]}, r"line \d+: `data\.rows\.languages\.0`: Found the language 'xx'"),
        (
            {"path": "me/mix", "revision": "main"},
            "`revision` is 'main', expected the full 40 digits of a commit of me/mix",
        ),
        ([], "found neither of `sources` and `rows`, expected one of them"),
    ],
)
def test_what_is_wrong_in_rows_is_named(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        read_data(tmp_path, {"rows": rows})


@pytest.mark.parametrize("arguments", [["--stages.1.max_steps", "3"], ["--stages.1.max_steps=3"]])
def test_a_field_on_the_command_line_replaces_the_recipe_s(recipe_file, arguments):
    recipe = parse_command_line([str(recipe_file), *arguments, "--output_dir", "elsewhere", "--training.save_steps=9"])
    assert (recipe.stages[0].max_steps, recipe.stages[1].max_steps) == (6, 3)
    assert recipe.output_dir == Path("elsewhere")
    assert recipe.training["save_steps"] == 9


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "save_steps",
            "save_step",
            r"recipe.yaml, line \d+: the key `training.save_step` is unknown. Did you mean `save_steps`",
        ),
        (
            "max_steps: 6",
            "max_steps: soon",
            r"line \d+: `stages.0.max_steps` is 'soon', text, expected a whole number",
        ),
        ("seed: 7", "seed: 1.5", r"line \d+: `seed` is 1.5, a number, expected a whole number"),
        ("seed: 7", "seed: true", r"line \d+: `seed` is True, true or false, expected a whole number"),
        (
            "stage: warm_up",
            "stage: warmup",
            r"`stages.0.stage` is 'warmup', text, expected one of warm_up, re_alignment",
        ),
        (
            "source: scenes.source:scenes",
            "source: gqua",
            r"line \d+: `data.sources.0.source`: there is no source 'gqua'. Did you mean `gqa`",
        ),
        (
            "num_images: 20",
            "num_image: 20",
            r"the key `data.sources.0.num_image` is unknown. Did you mean `num_images`",
        ),
        (
            "  - de",
            "  - xx",
            r"line \d+: `data.sources.0.languages.1`: Found the language 'xx'.*No code or name",
        ),
        ("  blip2:", "  name_or_path:", "`model`: found `name_or_path` and `language_model`, expected either"),
        ("max_steps: 6", "max_steps: 0", r"line \d+: `stages.0.max_steps` is 0, expected at least 1 and at most"),
        ("  max_steps: 6\n", "", "`stages.0`: found neither `max_steps` nor `num_epochs`"),
        ("  learning_rate: 0.005\n", "", "`stages.0` lacks `learning_rate`"),
        ("stage: re_alignment", "stage: full", "`stages.1`: `full` trains no LoRA: take `lora` out"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_location(recipe_file, old, new, message):
    text = recipe_file.read_text(encoding="utf-8")
    assert old in text
    recipe_file.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_recipe(recipe_file)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stages.1.max_stepz", "3"], "--stages.1.max_stepz: the key `stages.1.max_stepz` is unknown. Did you mean"),
        (["--stages.2.max_steps", "3"], "`stages` is a list of 2 entries, but found the position '2'"),
        (["--seed", "no"], "--seed: `seed` is 'no', text, expected a whole number"),
        (
            ["--stages.0.stage", "full", "--model.load_in", "4bit"],
            "`full` trains the language model, but a quantised one cannot train: take `load_in` out",
        ),
        (
            ["--stages.1.num_epochs", "3", "--stages.1.max_steps", "3"],
            r"recipe\.yaml, line \d+, with --stages\.1\.num_epochs, --stages\.1\.max_steps: `stages\.1`: found both "
            r"`max_steps` and `num_epochs`, expected one of them",
        ),
        (
            ["--model.name_or_path", "me/model"],
            r"line \d+, with --model\.name_or_path: `model`: found `name_or_path` and `blip2` and `language_model`, .*"
            r"`null` takes one out: `--model\.blip2 null`",
        ),
        (
            ["--data.rows", "{path: rows}"],
            r"line \d+, with --data\.rows: `data`: found both of `sources` and `rows`, .* `--data\.sources \"\[\]\"`",
        ),
        (
            ["--training.keep_best", "true", "--seed", "3"],
            r"recipe\.yaml, line 1, with --training\.keep_best, --seed: `keep_best` needs evaluations",
        ),
        (["--seed"], "Found '--seed' on the command line, expected `--field value`"),
        (["seed", "3"], "Found 'seed' on the command line"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_named(recipe_file, arguments, message):
    with pytest.raises(ValueError, match=message):
        parse_command_line([str(recipe_file), *arguments])


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("seed", "-1", "at least 0 and at most 4294967295"),
        ("seed", str(2**70), "at least 0 and at most 4294967295"),
        ("stages.1.learning_rate", "1e400", "a finite number|above 0 and at most 1e38"),
        ("stages.1.learning_rate", "1" + "0" * 400, "a finite number"),
        ("stages.1.learning_rate", "0", "above 0 and at most 1e38"),
        ("stages.1.learning_rate", "1e39", "above 0 and at most 1e38"),
        ("stages.1.learning_rate", "nan", "a number"),
        ("stages.1.lora_learning_rate", "-1e-4", "above 0 and at most 1e38"),
        ("stages.1.batch_size", "0", "at least 1 and at most 2147483647"),
        ("stages.1.batch_size", "true", "a whole number"),
        ("stages.1.batch_size", "4.0", "a whole number"),
        ("stages.1.batch_size", '"5"', "a whole number"),
        ("stages.1.warmup_steps", "-1", "at least 0 and at most 1e38"),
        ("data.max_target_tokens", "-3", "at least 1 and at most 2147483647"),
        ("data.max_text_tokens", "0", "at least 1 and at most 2147483647"),
        ("data.prompts_per_image", "0", "at least 1 and at most 2147483647"),
        ("data.prompts_per_image", str(10**40), "at least 1 and at most 2147483647"),
        ("data.num_examples", "0", "at least 1 and at most 2147483647"),
        ("data.sources.0.weight", "0", "above 0 and at most 1e38"),
        ("data.sources.0.num_images", "-5", "at least 1 and at most 2147483647"),
        ("data.sources.0.question_share", "1.5", "at least 0 and at most 1"),
        ("data.augmentation", "{crop_ratio: [0.5, 1e999]}", "a finite number"),
        ("evaluation", "{settings: {batch_size: 0}}", "at least 1 and at most 2147483647"),
        ("evaluation", "{settings: {generation: {num_beams: 0}}}", "at least 1 and at most 2147483647"),
        ("evaluation", "{scenes.task:scenes: {num_images: 0}}", "at least 1 and at most 2147483647"),
        ("evaluation", "{xm3600: {num_images: -1}}", "at least 1 and at most 2147483647"),
        ("evaluation", "{chair: {synonyms: a, num_images: 0}}", "at least 1 and at most 2147483647"),
        ("evaluation", "{vqav2: {num_questions: 0}}", "at least 1 and at most 2147483647"),
        ("training.weight_decay", "-5", "at least 0 and at most 1e38"),
        ("training.save_steps", "-5", "above 0 and at most 1e38"),
        ("training.save_steps", "0", "above 0 and at most 1e38"),
        ("training.save_total_limit", "1", "at least 2 and at most 2147483647"),
        ("training.logging_steps", "0", "above 0 and at most 1e38"),
        ("training.eval_images", "0", "at least 1 and at most 2147483647"),
        ("training.max_grad_norm", "1e999", "a finite number|at least 0 and at most 1e38"),
        ("training.gradient_accumulation_steps", "0", "at least 1 and at most 2147483647"),
        ("training.adam_epsilon", "0", "above 0 and at most 1e38"),
        ("training.adam_beta2", "1", "at least 0 and below 1"),
        ("training.label_smoothing_factor", "2", "at least 0 and below 1"),
        ("stages.1.training.dataloader_num_workers", "-1", "at least 0 and at most 2147483647"),
        ("stages.1.lora.r", "0", "at least 1 and at most 2147483647"),
        ("stages.1.lora.lora_alpha", "0", "at least 1 and at most 2147483647"),
        ("stages.1.lora.lora_dropout", "7", "at least 0 and below 1"),
        ("stages.1.lora.rank_pattern", "{q: 0}", "at least 1 and at most 2147483647"),
        ("stages.1.lora.alpha_pattern", "{q: -1}", "above 0 and at most 1e38"),
    ],
)
def test_a_number_out_of_range_is_one_line_with_its_location_and_range(recipe_file, field, value, expected):
    with pytest.raises(ValueError, match=rf"^--{field}: `{field}[^`]*` is [^\n]*, expected ({expected})\.$"):
        parse_command_line([str(recipe_file), f"--{field}", value])


@pytest.mark.parametrize(
    ("arguments", "num_steps", "num_epochs"),
    [
        (["--stages.1.num_epochs", "3", "--stages.1.max_steps", "null"], None, 3.0),
        (["--stages.1.max_steps=2", "--stages.1.num_epochs=null"], 2, None),
        (["--stages.1.num_epochs", "3"], None, 3.0),
        (["--stages.1.num_epochs", "3", "--stages.1.max_steps", "null", "--stages.1.num_epochs", "4"], None, 4.0),
    ],
)
def test_steps_and_epochs_replace_each_other_and_null_takes_a_field_out(recipe_file, arguments, num_steps, num_epochs):
    stage = parse_command_line([str(recipe_file), *arguments]).stages[1]
    assert (stage.max_steps, stage.num_epochs) == (num_steps, num_epochs)


def test_an_empty_list_takes_the_sources_out(recipe_file):
    recipe = parse_command_line([str(recipe_file), "--data.rows", "{path: rows}", "--data.sources", "[]"])
    assert (recipe.data.sources, recipe.data.rows) == ((), (RowsRecipe("rows"),))


@pytest.mark.parametrize(
    ("argument", "meant"),
    [
        ("--optim", "--training.optim"),
        ("--use_dora", "--stages.N.lora.use_dora"),
        ("--lora.use_dora", "--stages.N.lora.use_dora"),
        ("--max_steps", "--stages.N.max_steps"),
        ("--name_or_path", "--model.name_or_path"),
        ("--sources", "--data.sources"),
        ("--keep_best", "--training.keep_best"),
        ("--stages.1.optim", "--stages.1.training.optim"),
        ("--stages.1.use_dora", "--stages.1.lora.use_dora"),
        ("--stages.1.rows.path", "--stages.1.data.rows.path"),
    ],
)
def test_a_field_outside_its_part_of_the_recipe_is_an_error_that_says_where_it_belongs(recipe_file, argument, meant):
    with pytest.raises(ValueError, match=rf"^{argument}: the key `.*` is unknown\. Did you mean `{meant}`\?$"):
        parse_command_line([str(recipe_file), argument, "1"])


def test_a_field_of_a_file_outside_its_part_of_the_recipe_names_its_line(recipe_file):
    recipe_file.write_text("optim: sgd\n" + recipe_file.read_text(encoding="utf-8"), encoding="utf-8")
    message = r"recipe\.yaml, line 1: the key `optim` is unknown\. Did you mean `training\.optim`\?$"
    with pytest.raises(ValueError, match=message):
        read_recipe(recipe_file)


def test_a_warm_up_after_a_re_alignment_is_refused(recipe_file):
    with pytest.raises(ValueError, match="`stages` are re_alignment, re_alignment, warm_up"):
        parse_command_line(
            [
                str(recipe_file),
                "--stages",
                "[{stage: re_alignment, max_steps: 1, batch_size: 1, learning_rate: 1},"
                " {stage: re_alignment, max_steps: 1, batch_size: 1, learning_rate: 1},"
                " {stage: warm_up, max_steps: 1, batch_size: 1, learning_rate: 1}]",
            ]
        )


def test_every_recipe_of_the_project_that_trains_is_read():
    paths = [*(ROOT / "mblip" / "recipes").glob("*.yaml"), *(ROOT / "quickstart").glob("*.yaml")]
    found = [path for path in paths if "\nstages:" in path.read_text(encoding="utf-8")]
    assert {path.parent.name for path in found} == {"recipes", "quickstart"}
    for path in found:
        assert read_recipe(path).stages


def test_the_warm_up_is_on_web_captions_alone():
    (rows,) = read_recipe(ROOT / "mblip" / "recipes" / "warm_up_mt0_xl.yaml").data.rows
    assert (rows.sources, rows.tasks, rows.languages) == (frozenset({"capfilt"}), None, None)


def test_a_runs_own_recipe_knows_where_modules_of_its_own_are(tmp_path, monkeypatch):
    """A run keeps its recipe in a folder of its own, away from the modules that dotted paths name."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "recipes").mkdir()
    module = (
        "from mblip.evaluation import EvaluationTask\ndef source(seed): ...\ndef task(setup) -> EvaluationTask: ...\n"
    )
    (tmp_path / "recipes" / "beside_the_recipe.py").write_text(module)
    plain = tiny_recipe(tmp_path)
    plain["data"]["sources"] = [{"source": "beside_the_recipe:source"}]
    plain["evaluation"] = {"beside_the_recipe:task": {}}
    (tmp_path / "recipes" / "mine.yaml").write_text(write_yaml(plain))
    recipe = read_recipe(tmp_path / "recipes" / "mine.yaml")
    assert recipe.modules == tmp_path / "recipes"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_text(to_yaml(recipe))
    again = read_recipe(tmp_path / "run" / "recipe.yaml")
    assert again == recipe
    assert [source.folder for source in again.data.sources] == [tmp_path / "recipes"]


def test_a_task_whose_name_holds_a_dot_is_changed_on_the_command_line():
    arguments = [str(ROOT / "quickstart/quickstart.yaml"), "--evaluation.scenes.task:scenes.num_images", "7"]
    (task,) = parse_command_line(arguments).evaluation.tasks
    assert (task.name, task.arguments) == ("scenes.task:scenes", {"num_images": 7})
