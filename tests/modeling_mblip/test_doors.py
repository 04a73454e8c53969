"""Doors that transformers opens to any model: constrained and custom decoding, bias, compilation, offloading.

Decoding loops of one's own and caches are in test_generation.py, the pipeline in
tests/processing_mblip/test_pipeline.py.
"""

import threading

import pytest
import torch
from tiny import ENCODER_DECODERS, tiny_batch, tiny_blip2, tiny_model, tiny_processor, tiny_tokenizer
from transformers import TextIteratorStreamer, dynamic_module_utils

from modeling_mblip import MBlipForConditionalGeneration

KINDS = ("mt5", "bloom", "llama")
FORCED = {"max_new_tokens": 5, "min_new_tokens": 5, "do_sample": False}
every_kind = pytest.mark.parametrize("family", KINDS)


def prompts(family, batch_size=2):
    batch = tiny_batch(family, batch_size)
    batch.pop("labels")
    return batch


def new_tokens(family, ids):
    """What was generated, without an encoder-decoder's start token."""
    return (ids[:, 1:] if family in ENCODER_DECODERS else ids).tolist()


@every_kind
def test_beams_are_constrained_to_the_tokens_allowed_at_each_prefix(family):
    answers = {0: [9, 10, 11, 9, 10], 1: [12, 13, 14, 12, 13]}
    first = 1 if family in ENCODER_DECODERS else tiny_batch(family)["input_ids"].shape[1]

    def allowed(row, ids):
        return [answers[row][len(ids) - first]]

    ids = tiny_model(family).generate(**prompts(family), **FORCED, num_beams=3, prefix_allowed_tokens_fn=allowed)
    assert new_tokens(family, ids) == [answers[0], answers[1]]


@every_kind
@pytest.mark.parametrize("num_beams", [1, 3])
def test_tokens_can_be_barred_and_favoured(family, num_beams):
    model, batch = tiny_model(family), prompts(family)
    greedy = model.generate(**batch, **FORCED, num_beams=num_beams)
    tokens = sorted({token for row in new_tokens(family, greedy) for token in row})
    barred = model.generate(**batch, **FORCED, num_beams=num_beams, bad_words_ids=[[token] for token in tokens])
    assert not set(tokens) & {token for row in new_tokens(family, barred) for token in row}
    favoured = model.generate(**batch, **FORCED, num_beams=num_beams, sequence_bias={(9,): 100.0})
    assert new_tokens(family, favoured) == [[9] * 5] * 2


@every_kind
@pytest.mark.parametrize(("how", "num"), [({"do_sample": True}, 3), ({"num_beams": 4}, 2), ({"num_beams": 4}, 4)])
def test_several_answers_to_a_prompt_stand_together(family, how, num):
    """All answers of a prompt are those that it gets alone."""
    model, batch = tiny_model(family), prompts(family)
    arguments = FORCED | how | {"num_return_sequences": num, "top_k": 1 if "do_sample" in how else None}
    ids = model.generate(**batch, **arguments)
    assert len(ids) == 2 * num
    alone = [model.generate(**{k: v[i : i + 1] for k, v in batch.items()}, **arguments) for i in range(2)]
    assert torch.equal(ids, torch.cat(alone))
    assert not torch.equal(alone[0], alone[1])


FORCING = """
from transformers import GenerationMixin


def generate(model, force_words_ids=None, **kwargs):
    def search(model, input_ids, logits_processor, stopping_criteria, generation_config, **model_kwargs):
        def force(ids, scores):
            step = ids.shape[1] - input_ids.shape[1]
            if step < len(force_words_ids[0]):
                scores[:, [word for word in range(scores.shape[1]) if word != force_words_ids[0][step]]] = -1e9
            return scores

        logits_processor.append(force)
        return model._sample(input_ids, logits_processor, stopping_criteria, generation_config, **model_kwargs)

    return GenerationMixin.generate(model, custom_generate=search, **kwargs)
"""


@pytest.fixture
def forcing(tmp_path, monkeypatch):
    """A folder with a decoding loop of its own, as transformers has had constrained beams since version 5."""
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    (tmp_path / "forcing" / "custom_generate").mkdir(parents=True)
    (tmp_path / "forcing" / "custom_generate" / "generate.py").write_text(FORCING)
    return str(tmp_path / "forcing")


@every_kind
def test_custom_decoding_runs_over_prompts_with_their_images_in_place(family, forcing):
    model, batch = tiny_model(family), prompts(family)
    ids = model.generate(**batch, **FORCED, custom_generate=forcing, trust_remote_code=True, force_words_ids=[[9, 10]])
    rest = FORCED | {"max_new_tokens": 5}
    start = iter([9, 10])
    tokens = {0: next(start), 1: next(start)}
    first = 1 if family in ENCODER_DECODERS else batch["input_ids"].shape[1]
    expected = model.generate(
        **batch,
        **rest,
        prefix_allowed_tokens_fn=lambda row, ids: [tokens[len(ids) - first]] if len(ids) - first < 2 else range(128),
    )
    assert torch.equal(ids, expected)
    assert [row[:2] for row in new_tokens(family, ids)] == [[9, 10], [9, 10]]


@every_kind
@pytest.mark.parametrize("argument", [{"force_words_ids": [[9, 10]]}, {"constraints": ["any"]}])
def test_constrained_beams_are_where_transformers_has_put_them(family, argument):
    """Since version 5 they are code of a repository, which transformers does not run unasked."""
    with pytest.raises(ValueError, match=r"Constrained Beam Search requires `trust_remote_code=True`"):
        tiny_model(family).generate(**prompts(family), num_beams=3, max_new_tokens=4, **argument)


@every_kind
def test_a_streamer_in_another_thread_gets_what_generate_returns(family):
    model, batch, tokenizer = tiny_model(family), prompts(family, 1), tiny_tokenizer()
    streamer = TextIteratorStreamer(tokenizer, skip_special_tokens=True, timeout=120)
    thread = threading.Thread(target=model.generate, kwargs={**batch, **FORCED, "streamer": streamer})
    thread.start()
    text = "".join(streamer)
    thread.join()
    assert text.strip() == tokenizer.decode(model.generate(**batch, **FORCED)[0], skip_special_tokens=True)


@every_kind
def test_what_is_generated_is_decoded_by_the_processor(family):
    model, processor = tiny_model(family), tiny_processor(family)
    ids = model.generate(**prompts(family), **FORCED)
    texts = processor.batch_decode(ids, skip_special_tokens=True)
    assert texts == processor.tokenizer.batch_decode(ids, skip_special_tokens=True)
    assert all(texts)


# Dynamo makes an internal error of a warning that is an error. Those that come are torch's own (`.grad` of what is no
# leaf, functools.lru_cache, torch.jit) and BLOOM's (its GELU's autograd function is instantiated).
COMPILING = (pytest.mark.slow, pytest.mark.filterwarnings("default"))


def compiling(test):
    for mark in COMPILING:
        test = mark(test)
    return test


@compiling
@pytest.mark.parametrize(("family", "how"), [("mt5", "forward"), ("llama", "forward"), ("bloom", "generate")])
def test_a_traced_model_gives_the_same(family, how):
    """torch.compile up to the graphs; what machine code adds is the next test's."""
    check_compiled(family, how, backend="eager")


@compiling
def test_a_compiled_model_gives_the_same():
    check_compiled("llama", "forward", backend="inductor")


@torch.no_grad()
def check_compiled(family, how, backend):
    torch._dynamo.reset()
    model, batch = tiny_model(family), prompts(family)
    if how == "forward":
        batch |= {"labels": tiny_batch(family, 2)["labels"]}
        expected = model(**batch)
        got = torch.compile(model, backend=backend)(**batch)
        torch.testing.assert_close(got.logits, expected.logits, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(got.loss, expected.loss, rtol=1e-5, atol=1e-5)
        return
    expected = model.generate(**batch, **FORCED)
    compiled = tiny_model(family)
    compiled.forward = torch.compile(compiled.forward, backend=backend)
    assert torch.equal(compiled.generate(**batch, **FORCED), expected)
    assert torch.equal(compiled.generate(**batch, **FORCED, cache_implementation="static"), expected)


@pytest.fixture
def saved(tmp_path):
    def save(family):
        model = tiny_model(family)
        model.save_pretrained(tmp_path / "model")
        return model, tmp_path / "model"

    return save


@every_kind
def test_a_model_placed_automatically_answers_the_same(family, saved):
    model, folder = saved(family)
    placed = MBlipForConditionalGeneration.from_pretrained(folder, device_map="auto").eval()
    batch = {name: tensor.to(placed.device) for name, tensor in prompts(family).items()}
    assert torch.equal(placed.generate(**batch, **FORCED).cpu(), model.generate(**prompts(family), **FORCED))


@every_kind
@pytest.mark.parametrize("share", [0.7, 0.2])
@pytest.mark.parametrize("num_beams", [1, 3])
def test_a_model_that_lies_in_part_on_the_disk_answers_the_same(family, share, num_beams, saved, tmp_path):
    model, folder = saved(family)
    num_bytes = sum(parameter.nbytes for parameter in model.parameters())
    offloaded = MBlipForConditionalGeneration.from_pretrained(
        folder,
        device_map="auto",
        max_memory={"cpu": int(share * num_bytes)},
        offload_folder=tmp_path / "offloaded",
    ).eval()
    assert "disk" in offloaded.hf_device_map.values()
    assert any(parameter.is_meta for parameter in offloaded.language_model.parameters())
    batch = prompts(family)
    expected = model.generate(**batch, **FORCED, num_beams=num_beams)
    assert torch.equal(offloaded.generate(**batch, **FORCED, num_beams=num_beams), expected)
    labels = tiny_batch(family, 2)["labels"]
    torch.testing.assert_close(offloaded(**batch, labels=labels).loss, model(**batch, labels=labels).loss)


# transformers says of every such model that saving needs memory for its shards.
@pytest.mark.filterwarnings("ignore:Attempting to save a model with offloaded modules:UserWarning")
@pytest.mark.parametrize("on_disk", [["model.layers.1"], ["model.embed_tokens", "model.layers.0"]])
def test_a_composition_whose_language_model_lies_in_part_on_the_disk_is_whole_when_saved(on_disk, tmp_path):
    tiny_blip2("t5").save_pretrained(tmp_path / "blip2")
    tiny_model("llama").language_model.save_pretrained(tmp_path / "text")
    names = ["model.embed_tokens", "model.layers.0", "model.layers.1", "model.norm", "model.rotary_emb", "lm_head"]
    composed = MBlipForConditionalGeneration.from_blip2_pretrained(
        tmp_path / "blip2",
        tmp_path / "text",
        device_map={name: "disk" if name in on_disk else "cpu" for name in names},
        offload_folder=tmp_path / "offloaded",
    )
    assert any(parameter.is_meta for parameter in composed.language_model.parameters())
    answer = composed.generate(**prompts("llama"), **FORCED)
    composed.save_pretrained(tmp_path / "saved")
    again = MBlipForConditionalGeneration.from_pretrained(tmp_path / "saved")
    assert torch.equal(again.generate(**prompts("llama"), **FORCED), answer)
