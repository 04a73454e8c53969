"""Ranked answers have the log-likelihoods of whole forwards, one for each answer, in every family there is here."""

import pytest
import torch
from chat_models import CHAT_MODELS, chat_processor
from likelihood_models import (
    CANDIDATES,
    IMAGE_ROWS,
    IMAGES,
    PROMPTS,
    encode,
    model_and_processor,
    separate_forward,
)
from peft import LoraConfig, get_peft_model
from tiny import FAMILIES, NUM_QUERY_TOKENS, enliven, tiny_config, tiny_text_config

from mblip.evaluation.likelihood.ranking import ContentFree, grey_features, grey_image, rank
from modeling_mblip import MBlipForConditionalGeneration

KINDS = ("mt5", "bart", "bloom", "llama", "gemma2", "mamba")


def assert_equals_separate_forwards(model, processor, ranked, candidates=CANDIDATES):
    for answers, prompt, rows in zip(ranked, PROMPTS, IMAGE_ROWS, strict=True):
        reference = [separate_forward(model, processor, prompt, rows, each) for each in candidates]
        assert answers.candidates == tuple(candidates)
        assert answers.num_tokens.tolist() == [num_tokens for _, num_tokens in reference]
        expected = torch.tensor([found for found, _ in reference], dtype=torch.float64)
        torch.testing.assert_close(answers.log_likelihoods, expected, rtol=2e-6, atol=0)
        assert answers.best == candidates[int(expected.argmax())]


@pytest.mark.parametrize("family", FAMILIES)
def test_ranking_equals_separate_forwards(family):
    """With none, one and two images a prompt, prompts of unequal length, and candidates that begin alike."""
    model, processor = model_and_processor(family)
    features = encode(model, processor)
    ranked = rank(model, processor, PROMPTS, CANDIDATES, image_features=features, image_rows=IMAGE_ROWS, batch_size=3)
    assert_equals_separate_forwards(model, processor, ranked)


@pytest.mark.parametrize("family", KINDS)
def test_adapters_take_part(family):
    model, processor = model_and_processor(family)
    names = "in_proj|x_proj" if family == "mamba" else "q|v|q_proj|v_proj|query_key_value"
    lora = LoraConfig(target_modules=rf"language_model\..*\.({names})", r=4, init_lora_weights=False)
    adapted = get_peft_model(model, lora)
    features = encode(adapted, processor)
    arguments = {"image_features": features, "image_rows": IMAGE_ROWS}
    ranked = rank(adapted, processor, PROMPTS, CANDIDATES, **arguments)
    assert_equals_separate_forwards(adapted, processor, ranked)
    with adapted.disable_adapter():
        without = rank(adapted, processor, PROMPTS, CANDIDATES, **arguments)
    assert not torch.allclose(without[0].log_likelihoods, ranked[0].log_likelihoods)


@pytest.mark.parametrize("name", CHAT_MODELS)
@pytest.mark.parametrize("family", ["t5", "llama"])
def test_candidates_go_through_the_chat_template(family, name):
    """Some chat templates write the same tokens before every answer, which are then read with the prompt."""
    processor = chat_processor(CHAT_MODELS[name])
    vocab_size = len(processor.tokenizer)
    text_config = tiny_text_config(family, vocab_size=vocab_size)
    changes = {"decoder_start_token_id": 0} if family == "t5" else {}
    config = tiny_config(text_config=text_config, image_token_id=vocab_size, num_query_tokens=2, **changes)
    torch.manual_seed(0)
    model = MBlipForConditionalGeneration(config).eval()
    enliven(model)
    features = encode(model, processor)
    ranked = rank(model, processor, PROMPTS, CANDIDATES, image_features=features, image_rows=IMAGE_ROWS)
    assert_equals_separate_forwards(model, processor, ranked)


@pytest.mark.parametrize("family", ["mistral", "gemma2", "gemma3_text", "t5gemma"])
def test_a_window_of_attention_shorter_than_the_prompt_is_kept(family):
    if family == "t5gemma":
        side = dict(FAMILIES[family]["decoder"], sliding_window=3)
        text_config = tiny_text_config(family, encoder=side, decoder=side)
    else:
        text_config = tiny_text_config(family, sliding_window=5)
    model, processor = model_and_processor(family, text_config=text_config)
    features = encode(model, processor)
    ranked = rank(model, processor, PROMPTS, CANDIDATES, image_features=features, image_rows=IMAGE_ROWS)
    assert_equals_separate_forwards(model, processor, ranked)


@pytest.mark.parametrize("family", KINDS)
def test_neither_batches_nor_neighbours_nor_the_side_of_padding_move_a_score(family):
    model, processor = model_and_processor(family)
    features = encode(model, processor)
    expected = rank(model, processor, PROMPTS, CANDIDATES, image_features=features, image_rows=IMAGE_ROWS)
    for padding_side in ("left", "right"):
        processor.tokenizer.padding_side = padding_side
        for batch_size in (1, 2, 100):
            found = rank(
                model,
                processor,
                PROMPTS[::-1],
                CANDIDATES,
                image_features=features,
                image_rows=IMAGE_ROWS[::-1],
                batch_size=batch_size,
            )
            for mine, theirs in zip(found, expected[::-1], strict=True):
                torch.testing.assert_close(mine.log_likelihoods, theirs.log_likelihoods, rtol=2e-6, atol=0)


@pytest.mark.parametrize("family", KINDS)
def test_each_prompt_may_have_candidates_of_its_own(family):
    model, processor = model_and_processor(family)
    features = encode(model, processor)
    each = [["red"], ["blue", "red circle"], ["yes", "no", "left"], ["red circle"], ["w50 w51", "w50 w52"]]
    ranked = rank(model, processor, PROMPTS, each, image_features=features, image_rows=IMAGE_ROWS)
    for answers, prompt, rows, mine in zip(ranked, PROMPTS, IMAGE_ROWS, each, strict=True):
        expected = [separate_forward(model, processor, prompt, rows, candidate)[0] for candidate in mine]
        assert answers.log_likelihoods.tolist() == pytest.approx(expected, rel=2e-6)


def test_without_rows_each_prompt_shows_its_own_image_and_without_features_none():
    model, processor = model_and_processor("bloom")
    shown = rank(model, processor, PROMPTS[:3], CANDIDATES, image_features=encode(model, processor))
    blind = rank(model, processor, PROMPTS[:3], CANDIDATES)
    for number, prompt in enumerate(PROMPTS[:3]):
        expected = separate_forward(model, processor, prompt, [number], "red")[0]
        assert shown[number].log_likelihoods[0].item() == pytest.approx(expected, rel=2e-6)
        expected = separate_forward(model, processor, prompt, [], "red")[0]
        assert blind[number].log_likelihoods[0].item() == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize("family", ["mt5", "llama"])
def test_every_prompt_is_read_once_however_many_candidates_it_has(family):
    model, processor = model_and_processor(family)
    features = encode(model, processor)
    part = model.get_encoder() if family == "mt5" else model.language_model.get_decoder()
    lengths = []

    def note(module, args, kwargs):
        embeds = kwargs.get("inputs_embeds")
        lengths.append(None if embeds is None else tuple(embeds.shape[:2]))

    part.register_forward_pre_hook(note, with_kwargs=True)
    rank(model, processor, ["caption"] * 3, CANDIDATES, image_features=features)
    read = [shape for shape in lengths if shape is not None]
    checked = [] if family == "mt5" else [(1, NUM_QUERY_TOKENS + 1 + 8)]  # one whole forward, to compare
    assert read == [(3, NUM_QUERY_TOKENS + 1), *checked]


def test_a_mean_is_per_token_and_may_choose_another_candidate():
    model, processor = model_and_processor("mt5")
    features = encode(model, processor)
    sums, means = (
        rank(model, processor, PROMPTS[:3], CANDIDATES, image_features=features, scoring=scoring)
        for scoring in ("sum", "mean")
    )
    for by_sum, by_mean in zip(sums, means, strict=True):
        assert torch.equal(by_sum.scores, by_sum.log_likelihoods)
        assert torch.equal(by_mean.log_likelihoods, by_sum.log_likelihoods)
        assert torch.equal(by_mean.scores, by_sum.log_likelihoods / by_sum.num_tokens)
    assert [answers.best for answers in sums] != [answers.best for answers in means]


@pytest.mark.parametrize("family", ["t5", "llama"])
def test_calibrated_scores_are_less_what_the_content_free_input_gives(family):
    model, processor = model_and_processor(family)
    features, grey = encode(model, processor), grey_features(model, processor)
    plain = ["answer", "w60 w61", "answer", "caption", "answer"]
    ranked = rank(
        model,
        processor,
        PROMPTS,
        CANDIDATES,
        image_features=features,
        image_rows=IMAGE_ROWS,
        scoring="calibrated",
        content_free=ContentFree(plain, image_features=grey),
    )
    images = [grey_image(processor)]
    for answers, prompt, template, rows in zip(ranked, PROMPTS, plain, IMAGE_ROWS, strict=True):
        for i, candidate in enumerate(CANDIDATES):
            seen = separate_forward(model, processor, prompt, rows, candidate)[0]
            prior = separate_forward(model, processor, template, [0] * len(rows), candidate, images)[0]
            assert answers.log_likelihoods[i].item() == pytest.approx(seen, rel=2e-6)
            assert answers.scores[i].item() == pytest.approx(seen - prior, abs=1e-4)


def test_content_free_inputs_may_go_without_images_and_equal_ones_are_asked_once(monkeypatch):
    model, processor = model_and_processor("t5")
    arguments = {"image_features": encode(model, processor), "image_rows": [(0,), (1,)], "scoring": "calibrated"}
    num_read = []
    read = model.forward_to_head
    monkeypatch.setattr(
        model,
        "forward_to_head",
        lambda **inputs: num_read.append(len(inputs["decoder_input_ids"])) or read(**inputs),
    )
    content_free = ContentFree(["answer", "answer"])
    ranked = rank(model, processor, ["answer", "answer"], ["red", "blue"], content_free=content_free, **arguments)
    assert num_read == [2, 1, 1, 4, 1, 1, 1, 2]  # read, compare twice, run; then the same for one prompt
    monkeypatch.undo()
    prior = rank(model, processor, ["answer"], ["red", "blue"])[0].log_likelihoods
    for answers in ranked:
        torch.testing.assert_close(answers.scores, answers.log_likelihoods - prior)


def test_its_mode_is_restored_and_dropout_does_not_act():
    model, processor = model_and_processor("bloom", text_config=tiny_text_config("bloom", hidden_dropout=0.5))
    features = encode(model, processor)
    expected = rank(model, processor, ["caption"], CANDIDATES, image_features=features[:1])
    model.train()
    found = rank(model, processor, ["caption"], CANDIDATES, image_features=features[:1])
    assert torch.equal(found[0].log_likelihoods, expected[0].log_likelihoods)
    assert model.training


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"candidates": [["red"], ["blue"]]}, "Found 3 prompts, 2 lists of candidates and 3 of image rows"),
        ({"image_rows": [(0,)]}, "Found 3 prompts, 3 lists of candidates and 1 of image rows"),
        ({"image_rows": [(0,), (3,), ()]}, "`image_rows` names row 3, but `image_features` has 3"),
        ({"candidates": []}, "Found 3 prompts, 0 lists of candidates"),
        ({"candidates": ["red", ""]}, "expected at least one and no blank ones"),
        ({"candidates": "yes"}, "`candidates` is the string 'yes', expected a list of strings"),
        ({"candidates": ["yes", ["no"]]}, "Found 1 strings and 1 lists as candidates"),
        ({"scoring": "median"}, 'Found scoring="median", expected one of sum, mean, calibrated'),
        ({"scoring": "calibrated"}, 'Found no `content_free` with scoring="calibrated"'),
        ({"content_free": ContentFree(["x"] * 3)}, 'Found `content_free` with scoring="sum"'),
        (
            {"scoring": "calibrated", "content_free": ContentFree(["x"])},
            "Found 1 prompts, 3 lists of candidates and 3 of image rows",
        ),
    ],
)
def test_what_does_not_agree_is_an_error(changes, why):
    model, processor = model_and_processor("t5")
    arguments = {"candidates": ["red", "blue"], "image_features": encode(model, processor)} | changes
    with pytest.raises(ValueError, match=why):
        rank(model, processor, PROMPTS[:3], **arguments)


def test_a_model_that_gives_no_numbers_chooses_nothing():
    model, processor = model_and_processor("t5")
    with torch.no_grad():
        model.language_model.shared.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match=r"are NaN in torch.float32\. Load the model in bfloat16 or float32"):
        rank(model, processor, ["caption"], CANDIDATES)


def test_one_prompt_is_a_list_of_one():
    model, processor = model_and_processor("t5")
    with pytest.raises(ValueError, match="`prompts` is the string 'caption', expected a list of strings"):
        rank(model, processor, "caption", CANDIDATES)


def test_an_encoder_decoder_without_a_start_token_is_an_error():
    model, processor = model_and_processor("t5")
    model.config.decoder_start_token_id = None
    with pytest.raises(ValueError, match="decoder_start_token_id is None"):
        rank(model, processor, ["caption"], ["red"])


def test_images_decide():
    model, processor = model_and_processor("llama")
    ranked = rank(model, processor, ["caption"] * 3, CANDIDATES, image_features=encode(model, processor))
    assert len({tuple(answers.log_likelihoods.tolist()) for answers in ranked}) == len(IMAGES)
