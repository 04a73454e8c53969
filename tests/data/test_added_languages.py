"""Languages that a recipe adds to the 96: from its `add_languages` to prompts, allocation, checks and evaluation."""

import runpy
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from mblip.cli import main
from mblip.data import Example, apply_prompt
from mblip.data import languages as table
from mblip.data.language_check import identify_language, wrong_language, wrong_script
from mblip.data.languages import LANGUAGES, Language, add_languages, get_language, translation_target
from mblip.evaluation.captioning import CaptionMetric
from mblip.evaluation.language_groups import groups_of
from mblip.evaluation.languages import evaluation_language, mix_code
from mblip.evaluation.metrics.language_fidelity import language_fidelity
from mblip.evaluation.metrics.segmentation import load_segmenter
from mblip.evaluation.recipe import read_evaluation_run
from mblip.evaluation.task import EvaluationExample
from mblip.mix.allocation import Allocation
from mblip.mix.build.recipe import read_mix_recipe
from mblip.mix.translation.cache import CachedEngine, TranslationCache
from mblip.mix.translation.engines import OwnEngine
from mblip.training.recipe_reading import parse_command_line
from tests.tiny import tiny_model, tiny_processor

ROMANSH = Language("rm", "Romansh", "Latn")
TOK_PISIN = Language("tpi", "Tok Pisin", "Latn", nllb_code="tpi_Latn")
CANTONESE = Language("yue", "Cantonese", "Hant", nllb_code="yue_Hant", mc4_share_percent=0.01)
IN_YAML = """add_languages:
  - {code: rm, name: Romansh, script: Latn}
  - {code: tpi, name: Tok Pisin, script: Latn, nllb_code: tpi_Latn}
  - {code: yue, name: Cantonese, script: Hant, nllb_code: yue_Hant, mc4_share_percent: 0.01}
"""


pytestmark = pytest.mark.usefixtures("table_of_96")


@pytest.fixture
def added():
    add_languages([ROMANSH, TOK_PISIN, CANTONESE])


def read_mix(folder, allocation, translation):
    """The allocation of a mix with the added languages."""
    (folder / "mix.yaml").write_text(f"""num_shards: 1
allocation: {allocation}
translation: {translation}
sources: [{{source: own_folder, path: mine, task: captioning, language: en, columns: {{target: text}}}}]
{IN_YAML}""")
    return read_mix_recipe(folder / "mix.yaml").allocation


def example(language: str, target: str) -> Example:
    return Example(("dog.jpg",), "", target, language, "captioning", "mine", "1", "1")


def test_the_languages_of_a_recipe_are_prompted_by_name(tmp_path):
    source = "{source: own_folder, path: mine, task: captioning, language: rm, columns: {target: text}}"
    (tmp_path / "mine.yaml").write_text(f"""output_dir: out
model: {{name_or_path: me/model}}
data: {{sources: [{source}]}}
stages: [{{stage: re_alignment, learning_rate: 1e-5, batch_size: 2, max_steps: 60, warmup_steps: 1, lora: {{}}}}]
{IN_YAML}""")
    recipe = parse_command_line([str(tmp_path / "mine.yaml")])
    assert recipe.add_languages == (ROMANSH, TOK_PISIN, CANTONESE)
    assert recipe.data.sources[0].arguments["language"] == "rm"
    assert "Romansh" in apply_prompt(example("rm", "in chaun nair"), seed=0).prompt
    again = parse_command_line(["fine_tune_own", "--add_languages", "[{code: oc, name: Occitan, script: Latn}]"])
    assert [language.name for language in again.add_languages] == ["Occitan"]


def test_an_evaluation_counts_answers_in_them_and_does_not_mark_them_as_unseen(tmp_path):
    (tmp_path / "mine.yaml").write_text(f"""model: me/model
output_dir: out
evaluation: {{coco_captions: {{annotations: "{{language}}.json", images: photos, languages: [rm, yue]}}}}
{IN_YAML}""")
    run = read_evaluation_run(tmp_path / "mine.yaml")
    assert run.evaluation.tasks[0].arguments["languages"] == ("rm", "yue")
    assert [mix_code(code) for code in ("rm", "tpi", "yue")] == ["rm", "tpi", "yue"]
    assert [evaluation_language(code).is_seen for code in ("rm", "yue", "hr")] == [True, True, False]
    assert groups_of(["rm", "de"])["low"] == ["rm"]


def test_they_get_their_share_of_a_mix_by_an_nllb_that_has_their_code_or_an_engine_of_ones_own(added, tmp_path):
    assert set(LANGUAGES) == set(Allocation("uniform").languages)
    assert len(LANGUAGES) == 99
    allocation = Allocation("mc4", floor=0.01, languages=("en", "tpi", "yue"))
    assert allocation.shares["tpi"] == 0.01
    assert [translation_target(code, as_released=True).script for code in ("tpi", "yue")] == ["Latn", "Hant"]
    nllb = "{model: facebook/nllb-200-distilled-600M}"
    with pytest.raises(ValueError, match="includes rm, which an NLLB cannot translate into without an `nllb_code`"):
        read_mix(tmp_path, "{kind: uniform, languages: [en, rm]}", nllb)
    assert read_mix(tmp_path, "{kind: uniform, languages: [en, tpi]}", nllb).shares == {"en": 0.5, "tpi": 0.5}
    assert read_mix(tmp_path, "{kind: mc4}", nllb).shares["rm"] == 0  # nothing is translated into it
    (tmp_path / "mine_rm.py").write_text("def translate(texts, source, target): return [target] * len(texts)")
    own = read_mix(tmp_path, "{kind: uniform, languages: [en, rm]}", "{engine: mine_rm:translate}")
    assert own.shares == {"en": 0.5, "rm": 0.5}


def test_the_cache_keeps_two_languages_without_an_nllb_code_apart(tmp_path):
    (tmp_path / "echo_engine.py").write_text("def translate(texts, source, target): return [target] * len(texts)")
    cache = TranslationCache(tmp_path / "cache.sqlite")
    engine = CachedEngine(OwnEngine("echo_engine:translate", folder=tmp_path), cache)
    occitan = Language("oc", "Occitan", "Latn")
    assert [engine.translate(["a dog"], LANGUAGES["en"], one) for one in (ROMANSH, occitan)] == [["rm"], ["oc"]]
    cache.close()


def test_the_language_of_a_text_is_checked_as_far_as_it_can_be_told(added):
    assert wrong_language("Ein schwarzer Hund liegt im grünen Gras.", ROMANSH) is None  # py3langid does not know it
    assert wrong_script("черная собака", ROMANSH) == "0 of 12 letters are Latn"
    assert wrong_script("隻狗喺草地度", CANTONESE) is None
    assert wrong_script("བོད་ཡིག", Language("bo", "Tibetan", "Tibt")) is None
    assert identify_language("佢哋喺草地上面同隻狗玩緊，好開心咁跑嚟跑去。") == "yue"
    assert language_fidelity(["佢哋喺草地上面同隻狗玩緊，好開心咁跑嚟跑去。"], "yue").share == 1
    with pytest.raises(ValueError, match="py3langid does not know 'rm'"):
        language_fidelity(["in chaun nair"], "rm")


@pytest.mark.parametrize(
    ("code", "caption", "has_fidelity"), [("rm", "in chaun nair", False), ("yue", "一隻狗喺度", True)]
)
def test_captions_in_them_are_scored_without_a_fidelity_that_nobody_can_tell(added, code, caption, has_fidelity):
    examples = [EvaluationExample((), str(i), "", (caption,), code, "as_is", str(i)) for i in range(2)]
    figures = CaptionMetric((code,)).score(examples, [caption, caption]).figures
    assert figures["BLEU-1"] == pytest.approx(1)
    assert ("language_fidelity" in figures) is has_fidelity
    assert figures["share_empty"] == 0


def test_cantonese_is_cut_into_characters_as_chinese_is(added):
    assert load_segmenter("yue").words("隻 狗喺度") == ["隻", "狗", "喺", "度"]
    assert load_segmenter("rm") is None


@pytest.mark.parametrize(
    ("language", "message"),
    [
        (replace(ROMANSH, code="de"), r"`de` \(Romansh\) cannot be added: `de` is German already"),
        (replace(ROMANSH, name="German"), r"`rm` \(German\) cannot be added: `de` is German already"),
    ],
)
def test_a_code_or_name_that_is_taken_is_refused(language, message):
    with pytest.raises(ValueError, match=message):
        add_languages([language])
    assert len(LANGUAGES) == 96


@pytest.mark.parametrize("change", [{"script": "Latin"}, {"code": "RM"}, {"code": ""}, {"script": ""}])
def test_a_code_or_script_of_another_form_is_refused(change):
    with pytest.raises(ValueError, match="expected codes of ISO 639 and ISO 15924, such as rm and Latn"):
        replace(ROMANSH, **change)


def test_a_wrong_entry_of_a_recipe_is_told_with_its_line():
    with pytest.raises(ValueError, match=r"--add_languages: `add_languages\.0\.scrpt`|key `add_languages\.0\.scrpt`"):
        parse_command_line(["fine_tune_own", "--add_languages", "[{code: rm, name: Romansh, scrpt: Latn}]"])
    with pytest.raises(ValueError, match=r"--add_languages: The language `de`"):
        parse_command_line(["fine_tune_own", "--add_languages", "[{code: de, name: Romansh, script: Latn}]"])


def test_processes_that_this_one_starts_know_them(added):
    anew = runpy.run_path(table.__file__)  # as a new process reads it
    assert anew["get_language"]("tpi").name == "Tok Pisin"
    assert len(anew["LANGUAGES"]) == 99


def test_an_unknown_language_is_told_how_to_add_it():
    with pytest.raises(ValueError, match=r"or one that a recipe adds: `add_languages: \[\{code: rm, name: Romansh"):
        get_language("rm")
    assert Path(table.__file__).with_name("languages.tsv").is_file()


ENGINE = """def translate(texts: list[str], source: str, target: str) -> list[str]:
    return [" ".join(word + "an" for word in text.split()) for text in texts]
"""
MIX = """num_shards: 1
add_languages: [{code: rm, name: Romansh, script: Latn}]
translation: {engine: "rm_engine:translate"}
allocation: {kind: uniform, languages: [en, rm]}
sources: [{source: "scenes.source:scenes", num_images: 20, languages: [en]}]
"""


@pytest.mark.slow
def test_a_language_without_a_code_is_mixed_trained_on_evaluated_and_stands_on_the_card(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_model("mt5").save_pretrained("base")
    tiny_processor("mt5").save_pretrained("base")
    Path("rm_engine.py").write_text(ENGINE)
    Path("mix.yaml").write_text(MIX)
    main(["build", "mix.yaml", "--output", "mix"])
    stage = "{stage: re_alignment, learning_rate: 1e-3, batch_size: 4, max_steps: 2, warmup_steps: 0, lora: {r: 2}}"
    fields = {"model": "{name_or_path: base}", "data": "{rows: {path: mix/data}}", "stages": f"[{stage}]"}
    fields |= {"output_dir": "run", "training": "{}", "add_languages": "[{code: rm, name: Romansh, script: Latn}]"}
    main(["train", "fine_tune_own", *(word for key, value in fields.items() for word in (f"--{key}", value))])
    Path("mine").mkdir()
    Image.new("RGB", (40, 40), "green").save("mine/a.png")
    Path("mine/metadata.csv").write_text("file_name,text\na.png,in rudi verd\n")
    task = ["--task", "own_folder", "--task.path", "mine", "--task.task", "captioning", "--task.language", "rm"]
    task += ["--task.columns", "{target: text}", "--load_in", "none", "--output_dir", "scores"]
    main(["eval", "run/model", *task])
    main(["card", "run", "--results", "scores/results.json"])
    card = Path("run/model/README.md").read_text(encoding="utf-8")
    assert "| Romansh (`rm`) | Latn |" in card
    assert "Caption in Romansh:" in card
    assert "†" not in card  # not marked as unseen
    assert " | 2 | 4 | 0.001; LoRA" in card  # steps and images per step
    assert "By language: rm 41, en 39." in card
