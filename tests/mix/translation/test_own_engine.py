"""A translation engine of one's own: a function in a file beside the recipe of a mix."""

import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from mblip.data import load_rows
from mblip.data.languages import get_language
from mblip.mix.build.command import main
from mblip.mix.build.recipe import read_mix_recipe
from mblip.mix.translate_prompts import main as translate_prompts
from mblip.mix.translation import engines
from mblip.mix.translation.cache import CachedEngine, TranslationCache
from mblip.mix.translation.engines import OwnEngine
from tests.mix.build.mix_files import write_mix_recipe

ENGLISH, GERMAN = get_language("en"), get_language("de")
WORDS = {"a": "ein", "red": "roter", "dog": "Hund", "on": "auf", "the": "dem", "bed": "Bett", "sleeping": "schlafend"}
DICTIONARY = f"""
VERSION = "2 of the dictionary"
WORDS = {WORDS!r}


def translate(texts: list[str], source: str, target: str, *, unknown: str = "<unk>") -> list[str]:
    if (source, target) != ("en", "de"):
        raise ValueError(f"The dictionary does not translate {{source}} to {{target}}, only en to de.")
    return [" ".join(WORDS.get(word, unknown + word) for word in text.split()) for text in texts]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder on Python's path for this test, whose `my_engine` is forgotten afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    forget()


def write_engine(folder, code):
    (folder / "my_engine.py").write_text(code)
    return OwnEngine("my_engine:translate", folder=folder)


def mix_of(folder, *captions, **translation):
    """A recipe of a mix whose English captions are all allotted to German."""
    photos = folder / "photos"
    photos.mkdir(exist_ok=True)
    Image.new("RGB", (40, 40), "red").save(photos / "1.png")
    lines = (json.dumps({"file_name": "1.png", "text": caption}) for caption in captions)
    (photos / "metadata.jsonl").write_text("\n".join(lines))
    source = {"source": "own_folder", "path": str(photos), "task": "captioning", "language": "en"}
    keys = {"allocation": {"kind": "uniform", "languages": ["de"]}, "translation": translation, "num_shards": 1}
    return write_mix_recipe(folder, source | {"columns": {"target": "text"}}, **keys)


def test_an_engine_in_one_file_beside_the_recipe_translates_a_mix(folder):
    write_engine(folder, DICTIONARY)
    recipe = mix_of(
        folder, "a red dog sleeping on the bed", "a red zebra sleeping on the bed", engine="my_engine:translate"
    )
    main([str(recipe), "--output", str(folder / "out")])
    (row,) = load_rows(folder / "out" / "data")
    assert row["targets"] == ["ein roter Hund schlafend auf dem Bett"]
    provenance = json.loads(row["provenance"][0])
    assert provenance["target.engine"] == "my_engine:translate"
    assert provenance["target.model"] == "2 of the dictionary"
    assert re.fullmatch("sha256:[0-9a-f]{16}", provenance["target.revision"])
    card = (folder / "out" / "README.md").read_text()
    assert "By `my_engine:translate` (2 of the dictionary)." in card
    assert "| language | translated | examples skipped | refused: unknown word |" in card
    assert "| German | 1 | 1 | 1 |" in card
    assert "ein roter \\<unk>zebra schlafend auf dem Bett' (1 `\\<unk>`)" in card


def test_the_engine_and_the_recipe_of_the_documentation_translate(folder):
    page = (Path(__file__).parents[3] / "docs" / "translation.md").read_text(encoding="utf-8")
    code, part = (re.search(rf"```{name}\n(.*?)```", page, re.DOTALL)[1] for name in ("python", "yaml"))
    write_engine(folder, code)
    engine = read_mix_recipe(mix_of(folder, "a dog", **yaml.safe_load(part)["translation"])).translation
    assert engine.translate(["a red dog on the couch"], ENGLISH, GERMAN) == ["ein roter Hund auf dem <unk>couch"]
    assert engine.model == "2"


def test_keyword_parameters_of_the_engine_are_keys_of_the_recipe(folder):
    write_engine(folder, DICTIONARY)
    arguments = {"engine": "my_engine:translate", "unknown": "", "on_failure": "stay_english"}
    engine = read_mix_recipe(mix_of(folder, "a dog", **arguments)).translation
    assert engine.arguments == {"unknown": ""}
    assert engine.on_failure == "stay_english"
    assert engine.translate(["a zebra"], ENGLISH, GERMAN) == ["ein zebra"]


@pytest.mark.parametrize(
    ("translation", "message"),
    [
        ({"engine": "no_engine:translate"}, "found no module `no_engine` in .* Put it beside the recipe"),
        ({"engine": "my_engine:translates"}, "no `translates` in .*my_engine.py. Did you mean `translate`"),
        ({"engine": "my_engine:WORDS"}, "`WORDS` is not a function or class in"),
        ({"engine": "my_engine:two"}, r"takes \(texts, target\) by position, expected \(texts, source, target\)"),
        ({"engine": "my_engine:translate", "model": "x"}, "the key `translation.model` is unknown. Expected one of"),
        ({"engine": "my_engine:translate", "unknown": 1}, "`translation.unknown` is 1, a number, expected text"),
        ({"engine": "apertium"}, "is 'apertium', expected transformers, ctranslate2, or yours: `my_module:my_engine`"),
        ({"engine": ["x"]}, "`translation.engine` is .*, expected transformers"),
        ({"engine": "transformers"}, "`translation` lacks `model`"),
    ],
)
def test_a_recipe_whose_engine_leads_nowhere_is_refused_with_file_and_line(folder, translation, message):
    write_engine(folder, f"{DICTIONARY}\n\ndef two(texts, target): ...\n")
    with pytest.raises(ValueError, match=rf"mix.yaml, line \d+: .*{message}"):
        read_mix_recipe(mix_of(folder, "a dog", **translation))


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("None", "returned a NoneType, expected a list with one for each text"),
        ("'ein Hund'", "returned a str, expected a list"),
        ("(text for text in texts)", "returned a generator, expected a list"),
        ("texts[:1]", "asked for 2 translations from en to de, returned 1 of them, expected"),
        ("[*texts, '']", "returned 3 of them, expected"),
        ("['ein', None]", "returned None for 'dog', expected text that UTF-8 can write"),
        ("[b'ein', '']", "returned b'ein' for 'a', expected text"),
        (r"['ein', '\ud83d']", r"returned '\\ud83d' for 'dog', expected text that UTF-8 can write"),
    ],
)
def test_an_answer_that_is_not_one_text_per_text_is_refused_and_not_cached(folder, returned, message):
    engine = write_engine(folder, f"def translate(texts, source, target):\n    return {returned}\n")
    cached = CachedEngine(engine, TranslationCache(folder / "cache.sqlite"))
    with pytest.raises(ValueError, match=f"`my_engine:translate`.*{message}"):
        cached.translate(["a", "dog"], ENGLISH, GERMAN)
    assert cached.cache._connection.execute("SELECT count(*) FROM translations").fetchone() == (0,)


COUNTED = """
from pathlib import Path

VERSION = "1"


def translate(texts, source, target, *, suffix: str = ""):
    with Path(__file__).with_name("calls").open("a") as file:
        file.writelines(f"{text}\\n" for text in texts)
    if "stop" in texts and not Path(__file__).with_name("mended").exists():
        raise ERROR
    return [text.upper() + suffix for text in texts]
"""


def calls(folder):
    return (folder / "calls").read_text().split() if (folder / "calls").exists() else []


def forget():
    """The next import reads the file anew, as in another process."""
    sys.modules.pop("my_engine", None)
    engines._module.cache_clear()


@pytest.mark.parametrize(
    ("change", "arguments", "num_asked"),
    [
        (("", ""), {}, 1),
        (('VERSION = "1"', 'VERSION = "2"'), {}, 2),
        (("text.upper()", "text.title()"), {}, 2),
        (("", ""), {"suffix": "!"}, 2),
    ],
    ids=["the same", "another VERSION", "another file", "other arguments"],
)
def test_a_changed_engine_gets_nothing_that_the_old_one_wrote(folder, change, arguments, num_asked):
    cache = TranslationCache(folder / "cache.sqlite")
    CachedEngine(write_engine(folder, COUNTED), cache).translate(["dog"], ENGLISH, GERMAN)
    forget()
    write_engine(folder, COUNTED.replace(*change))
    changed = OwnEngine("my_engine:translate", arguments, folder=folder)
    CachedEngine(changed, cache).translate(["dog"], ENGLISH, GERMAN)
    assert calls(folder) == ["dog"] * num_asked


@pytest.mark.parametrize("error", ["RuntimeError", "KeyboardInterrupt", "SystemExit"])
def test_an_engine_that_dies_in_the_middle_loses_nothing_that_was_done(folder, error):
    engine = write_engine(folder, COUNTED.replace("ERROR", error))
    cached = CachedEngine(engine, TranslationCache(folder / "cache.sqlite"), texts_per_commit=2)
    texts = ["cat", "dog", "stop", "zebra"]
    with pytest.raises((RuntimeError, KeyboardInterrupt, SystemExit)):
        cached.translate(texts, ENGLISH, GERMAN)
    assert calls(folder) == ["cat", "dog", "stop", "zebra"]
    (folder / "mended").touch()
    assert cached.translate(texts, ENGLISH, GERMAN) == ["CAT", "DOG", "STOP", "ZEBRA"]
    assert calls(folder)[4:] == ["stop", "zebra"]


def test_prompt_templates_are_translated_by_an_engine_of_ones_own(folder, monkeypatch, capsys):
    (folder / "shouting.py").write_text(
        "def translate(texts, source, target):\n    return [text.upper() for text in texts]\n"
    )
    monkeypatch.chdir(folder)
    translate_prompts(["fi", "--engine", "shouting:translate", "--output", str(folder / "templates")])
    assert "# Engine: shouting:translate. Model: no VERSION stated" in (folder / "templates" / "fi.yaml").read_text()
    with pytest.raises(SystemExit):
        translate_prompts(["fi", "--engine", "shouting", "--output", str(folder / "more")])
    own = ["fi", "--engine", "shouting:translate", "--output", str(folder / "more")]
    with pytest.raises(ValueError, match="`shouting:translate` is your own engine, which --num_beams would not reach"):
        translate_prompts([*own, "--num_beams", "2"])
    assert "'shouting' is not transformers, ctranslate2 or `my_module:my_engine`" in capsys.readouterr().err
