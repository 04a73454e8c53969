"""Constrained generation says candidates alone, and with beams enough the one that ranking finds."""

import pytest
import torch
from chat_models import CHAT_MODELS, chat_processor
from likelihood_models import IMAGES, PROMPTS, encode, model_and_processor

from mblip.evaluation.answering import answer_texts
from mblip.evaluation.likelihood.candidate_tokens import CandidateTokens
from mblip.evaluation.likelihood.constrained import candidates_only
from mblip.evaluation.likelihood.ranking import rank
from mblip.evaluation.model_inputs import prompt_tensors

FAMILIES = ("mt5", "bart", "t5gemma", "bloom", "llama", "gemma2", "mamba")
CANDIDATES = ("red", "red circle", "blue", "red circle star w77", "w50 w60 w70")


def ready(family):
    """A model, its processor, and three prompts of two lengths with an image each, as `generate` takes them."""
    model, processor = model_and_processor(family)
    if family in ("mt5", "t5"):
        model.generation_config.eos_token_id = [1, 2]  # the tiny tokenizer's end is 2
    prompts = ["caption", "what colour is", "caption"] if family != "mamba" else ["caption", "answer", "caption"]
    rows = processor(images=[[image] for image in IMAGES], text=prompts, padding=True, return_tensors="pt")
    ids = [
        ids_T[mask_T.bool()].tolist() for ids_T, mask_T in zip(rows["input_ids"], rows["attention_mask"], strict=True)
    ]
    inputs = prompt_tensors(model, processor, ids) | {"image_features": encode(model, processor)}
    return model, processor, prompts, inputs


def generate(family, candidates, **arguments):
    model, processor, prompts, inputs = ready(family)
    allowed = candidates_only(model, processor, prompts, candidates, num_images=[1] * 3, input_ids=inputs["input_ids"])
    ids_BL = model.generate(
        **inputs, prefix_allowed_tokens_fn=allowed, max_new_tokens=allowed.max_new_tokens, do_sample=False, **arguments
    )
    chosen = allowed.chosen(ids_BL, begins_with_start=model.config.is_encoder_decoder)
    ranked = rank(model, processor, prompts, candidates, image_features=inputs["image_features"])
    return chosen, answer_texts(processor, ids_BL), [int(answers.scores.argmax()) for answers in ranked]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("num_beams", [1, 3, 8])
def test_every_answer_is_a_candidate(family, num_beams):
    chosen, texts, _ = generate(family, CANDIDATES, num_beams=num_beams)
    assert [CANDIDATES[number] for number in chosen] == texts


@pytest.mark.parametrize("family", FAMILIES)
def test_as_many_beams_as_candidates_find_the_highest_sum(family):
    chosen, _, best = generate(family, CANDIDATES, num_beams=len(CANDIDATES), length_penalty=0.0)
    assert chosen == best


@pytest.mark.parametrize("family", ["t5", "llama"])
def test_each_prompt_has_candidates_of_its_own(family):
    each = [["red", "blue"], ["yes"], ["one two", "one three"]]
    chosen, texts, _ = generate(family, each, num_beams=2)
    assert [mine[number] for mine, number in zip(each, chosen, strict=True)] == texts


def test_the_tree_names_what_may_follow():
    model, processor, prompts, inputs = ready("llama")
    allowed = candidates_only(model, processor, prompts, CANDIDATES, num_images=[1] * 3, input_ids=inputs["input_ids"])
    red, red_circle, blue, star, _ = CandidateTokens(processor, is_encoder_decoder=False).of("", 0, CANDIDATES)
    prompt = inputs["input_ids"][0]

    def following(*tokens):
        return sorted(allowed(0, torch.cat([prompt, torch.tensor(tokens, dtype=torch.long)])))

    end = processor.tokenizer.eos_token_id
    assert following() == sorted({red[0], blue[0], 50})
    assert following(red[0]) == sorted({end, red_circle[1]})
    assert following(red[0], red_circle[1]) == sorted({end, star[2]})
    assert following(*blue) == [end]  # has ended
    assert following(99) == [end]  # a beam that was given up
    assert allowed.max_new_tokens == 5
    assert allowed.chosen(torch.tensor([[*red, 0], [*star[:3]], [*blue, 0]]), begins_with_start=False) == [0, None, 2]


def test_an_answer_ends_where_generation_ends_it_whatever_a_template_writes_behind():
    """Gemma's template closes the turn and then the sequence; generation stops at the end of the turn."""
    processor = chat_processor(CHAT_MODELS["gemma"])
    turn_end = processor.tokenizer.convert_tokens_to_ids("<end_of_turn>")
    model, _ = model_and_processor("llama")
    model.generation_config.eos_token_id = [processor.tokenizer.eos_token_id, turn_end]
    allowed = candidates_only(
        model, processor, ["what"], ["ab"], num_images=[0], input_ids=torch.zeros(1, 3, dtype=torch.long)
    )
    a, b = processor.tokenizer("ab", add_special_tokens=False)["input_ids"]
    assert allowed.chosen(torch.tensor([[a, b, turn_end]]), begins_with_start=False) == [0]


def test_a_model_that_would_go_on_behind_a_candidate_is_an_error():
    model, processor = model_and_processor("llama")
    model.generation_config.eos_token_id = 77
    with pytest.raises(
        ValueError, match=r"ends an answer with the token 2, but generation_config\.eos_token_id is 77"
    ):
        candidates_only(model, processor, PROMPTS[:1], ["red"], num_images=[0], input_ids=torch.zeros(1, 3))


def test_a_model_that_forces_another_first_token_is_an_error():
    model, processor = model_and_processor("mbart")
    model.generation_config.forced_bos_token_id = 9
    with pytest.raises(ValueError, match="forced_bos_token_id is 9, expected None"):
        candidates_only(model, processor, PROMPTS[:1], ["red"], num_images=[0], input_ids=torch.zeros(1, 3))
