"""The engines on the quickstart's translator, which is an NLLB in small."""

import itertools
import sys
from pathlib import Path

import pytest
import torch

from mblip.data.example import Example
from mblip.data.languages import get_language
from mblip.data.stable_random import stable_random
from mblip.mix.model_folder import open_model_folder
from mblip.mix.translation import translate_examples
from mblip.mix.translation.cache import CachedEngine, TranslationCache
from mblip.mix.translation.engines import CAREFUL, GREEDY, Decoding
from mblip.mix.translation.nllb import LENGTH_STEP, NllbEngine, NllbTokens, length_batches
from mblip.mix.translation.report import TranslationReport
from scenes.languages import SCENE_LANGUAGES, caption
from scenes.world import sample_held_out_scene

TRANSLATOR = Path(__file__).parents[3] / "quickstart" / "translator"
ENGLISH = get_language("en")
SCENES = [sample_held_out_scene(stable_random("translation engines", number)) for number in range(24)]
CAPTIONS = [caption(scene, "en") for scene in SCENES]


@pytest.fixture(scope="module")
def engine():
    return NllbEngine(TRANSLATOR)


@pytest.fixture(scope="module")
def make_ctranslate2(tmp_path_factory):
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")
    from mblip.mix.translation.nllb import CTranslate2Engine

    folder = tmp_path_factory.mktemp("ctranslate2")
    return lambda **options: CTranslate2Engine(TRANSLATOR, cache_folder=folder, num_threads=1, **options)


@pytest.mark.parametrize("code", [code for code in SCENE_LANGUAGES if code != "en"])
def test_captions_of_held_out_scenes_are_mostly_translated_right(engine, code):
    translations = engine.translate(CAPTIONS, ENGLISH, get_language(code))
    wanted = [caption(scene, code) for scene in SCENES]
    assert sum(found == right for found, right in zip(translations, wanted, strict=True)) >= 18


def test_what_stands_in_a_batch_changes_no_translation(engine):
    alone = [engine.translate([text], ENGLISH, get_language("hi"))[0] for text in CAPTIONS]
    assert engine.translate(CAPTIONS, ENGLISH, get_language("hi")) == alone
    small = NllbEngine(TRANSLATOR, max_batch_pieces=3 * LENGTH_STEP)
    assert small.translate(CAPTIONS[::-1], ENGLISH, get_language("hi")) == alone[::-1]


def test_padding_changes_logits_by_rounding_alone(engine):
    sources = engine.tokens.encode(["a small red circle", CAPTIONS[0]], ENGLISH)
    pad = engine.tokens.tokenizer.pad_token_id
    longest = max(map(len, sources))
    both_BT = torch.tensor([[*ids, *[pad] * (longest - len(ids))] for ids in sources])
    start = torch.tensor([[2, engine.tokens.language_id(get_language("de"))]])
    with torch.inference_mode():
        alone = engine.network(torch.tensor([sources[0]]), decoder_input_ids=start).logits
        padded = engine.network(
            both_BT, attention_mask=(both_BT != pad).long(), decoder_input_ids=start.expand(2, -1)
        ).logits[:1]
    torch.testing.assert_close(padded, alone, atol=2e-5, rtol=0)


def test_batches_hold_texts_of_one_step_of_length_within_the_budget():
    sources = [[0] * length for length in (5, 40, 16, 17, 3, 600, 12)]
    batches = list(length_batches(sources, max_batch_pieces=32))
    assert [batch.positions for batch in batches] == [(4, 0), (6, 2), (3,), (1,)]
    assert [batch.max_new_pieces for batch in batches] == [64, 64, 112, 160]


def test_what_is_too_long_or_never_ends_has_no_translation(engine):
    with torch.inference_mode():
        endless = NllbEngine(TRANSLATOR)
        endless.network.get_output_embeddings().weight[2] = 0  # </s> is never the likeliest
        assert endless.translate(CAPTIONS[:2], ENGLISH, get_language("de")) == ["", ""]
    assert engine.translate(["a red circle " * 300, CAPTIONS[0]], ENGLISH, get_language("de"))[0] == ""


def test_words_of_special_tokens_are_read_as_characters(engine):
    (ids,) = engine.tokens.encode(["</s> deu_Latn <unk>"], ENGLISH)
    assert engine.tokens.pieces(ids)[0] == "eng_Latn"
    assert [ids.count(special) for special in (2, engine.tokens.language_id(get_language("de")), 0, 1)] == [1, 0, 0, 0]


def test_an_unknown_symbol_stays_visible(engine):
    unknown = engine.tokens.tokenizer.unk_token_id
    (ids,) = engine.tokens.encode(["red circle"], ENGLISH)
    assert engine.tokens.decode([*ids[1:-1], unknown, 2, 1, 1]) == "red circle<unk>"


def test_a_language_that_the_model_lacks_is_named(engine):
    with pytest.raises(ValueError, match=r"has no token spa_Latn \(Spanish\), only arb_Arab, ben_Beng"):
        engine.translate(["a"], ENGLISH, get_language("es"))


def test_names_say_what_may_change_a_translation(engine):
    assert engine.name == "transformers float32, greedy"
    assert engine.with_decoding(CAREFUL).name == "transformers float32, 4 beams, no 4 pieces twice"
    assert engine.with_decoding(CAREFUL).network is engine.network
    assert engine.decoding == GREEDY
    assert engine.model == "translator"
    assert engine.revision.startswith("sha256:")


@pytest.mark.parametrize("kind", ["transformers", "ctranslate2"])
def test_no_n_pieces_come_twice_where_that_is_asked(engine, make_ctranslate2, kind):
    chinese, text = get_language("zh"), "two small red circles above two small red circles"
    searching = engine if kind == "transformers" else make_ctranslate2()
    repeats = []
    for decoding in (GREEDY, Decoding(num_beams=1, no_repeat_ngram_size=2)):
        translation = searching.with_decoding(decoding).translate([text], ENGLISH, chinese)
        pairs = list(itertools.pairwise(engine.tokens.encode(translation, chinese)[0][1:-1]))
        assert len(pairs) > 3
        repeats.append(len(pairs) - len(set(pairs)))
    assert repeats[0] > 0
    assert repeats[1] == 0


@pytest.mark.parametrize("code", ["de", "zh", "ar", "sw"])
def test_ctranslate2_translates_as_transformers_does(engine, make_ctranslate2, code):
    found = make_ctranslate2().translate(CAPTIONS, ENGLISH, get_language(code))
    assert found == engine.translate(CAPTIONS, ENGLISH, get_language(code))
    assert all(found)


def test_ctranslate2_with_beams_and_in_int8_translates_nearly_as_well(engine, make_ctranslate2):
    german = get_language("de")
    wanted = engine.with_decoding(CAREFUL).translate(CAPTIONS, ENGLISH, german)
    for options in ({"decoding": CAREFUL}, {"precision": "int8"}):
        other = make_ctranslate2(**options)
        found = other.translate(CAPTIONS, ENGLISH, german)
        assert sum(one == two for one, two in zip(found, wanted, strict=True)) >= 20
    assert other.name == "ctranslate2 int8, greedy"


def test_ctranslate2_counts_the_same_limits(engine, make_ctranslate2):
    assert make_ctranslate2().translate(["a red circle " * 300], ENGLISH, get_language("de")) == [""]
    with pytest.raises(ValueError, match="has no token spa_Latn"):
        make_ctranslate2().translate(["a"], ENGLISH, get_language("es"))


def test_a_folder_is_converted_once_and_atomically(tmp_path, monkeypatch):
    converters = pytest.importorskip("ctranslate2.converters", reason="CTranslate2 is not installed")
    from mblip.mix.translation.nllb import convert

    folder = open_model_folder(TRANSLATOR)
    true_convert = converters.TransformersConverter.convert

    def killed(self, output, **options):
        true_convert(self, output, **options)
        (Path(output) / "model.bin").write_bytes(b"")
        raise KeyboardInterrupt

    monkeypatch.setattr(converters.TransformersConverter, "convert", killed)
    with pytest.raises(KeyboardInterrupt):
        convert(folder, tmp_path)
    assert list(tmp_path.iterdir()) == []

    def overtaken(self, output, **options):
        monkeypatch.setattr(converters.TransformersConverter, "convert", true_convert)
        convert(folder, tmp_path)
        return true_convert(self, output, **options)

    monkeypatch.setattr(converters.TransformersConverter, "convert", overtaken)
    converted = convert(folder, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [converted.name]
    assert converted.name.startswith("translator-sha256-")
    monkeypatch.setattr(converters.TransformersConverter, "convert", lambda *_: pytest.fail("converted twice"))
    assert convert(folder, tmp_path) == converted


def test_without_ctranslate2_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    from mblip.mix.translation.nllb import CTranslate2Engine

    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    with pytest.raises(ImportError, match="pip install ctranslate2"):
        CTranslate2Engine(TRANSLATOR, cache_folder=tmp_path)


def test_the_tokenizer_has_the_languages_of_the_drawn_world_alone():
    tokenizer = NllbTokens(TRANSLATOR).tokenizer
    codes = [token for token in tokenizer.all_special_tokens if not token.startswith("<")]
    assert codes == [get_language(code).nllb_code for code in SCENE_LANGUAGES]
    assert tokenizer.convert_tokens_to_ids(["<s>", "<pad>", "</s>", "<unk>"]) == [0, 1, 2, 3]


def test_examples_go_the_whole_way_with_either_engine(engine, make_ctranslate2, tmp_path):
    codes = [code for code in SCENE_LANGUAGES if code != "en"]
    examples = [
        Example((), "", answer, "en", "vqa", "drawn", f"answer {answer}", "0", {"question": "What colour is it?"})
        for answer in ("red", "green", "blue", "mauve")
    ] + [
        Example((), "", text, "en", "captioning", "drawn", f"caption {number}", str(number))
        for number, text in enumerate(CAPTIONS)
    ]
    results = []
    for number, kind in enumerate((engine, make_ctranslate2())):
        report = TranslationReport()
        cached = CachedEngine(kind, TranslationCache(tmp_path / f"{number}.sqlite"))
        translated = translate_examples(
            examples,
            cached,
            allot=lambda example: codes[len(example.target) % len(codes)],
            report=report,
            retry_engine=kind.with_decoding(CAREFUL),
            translatable_answers={"red", "green", "blue"},
        )
        results.append([(one.id, one.language, one.target, one.task) for one in translated])
        assert report.outcomes.total() >= 28
    assert results[0] == results[1]
    assert [kept[2:] for kept in results[0] if kept[0] == "answer mauve"] == [("mauve", "vqa_in_english")]
    right = [
        target == caption(SCENES[int(name.split()[1])], language)
        for name, language, target, _ in results[0]
        if name.startswith("caption")
    ]
    assert sum(right) >= 20
