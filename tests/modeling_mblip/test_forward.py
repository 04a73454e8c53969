"""One forward pass: images into prompts, padding, precision, what runs and what gets gradients."""

import copy
import pickle

import pytest
import torch
from tiny import (
    DECODER_ONLY,
    ENCODER_DECODERS,
    FAMILIES,
    IMAGE_SIZE,
    IMAGE_TOKEN_ID,
    NUM_QUERY_TOKENS,
    tiny_batch,
    tiny_config,
    tiny_model,
)

from modeling_mblip import MBlipForConditionalGeneration, MBlipOutput

KINDS = ("mt5", "bloom")


def without_labels(batch):
    return {name: value for name, value in batch.items() if name != "labels"}


def with_decoder_tokens(family, batch):
    """What makes the model return logits without a loss."""
    tokens = {"decoder_input_ids": torch.tensor([[0, 7, 8]] * len(batch["input_ids"]))}
    return without_labels(batch) | (tokens if family in ENCODER_DECODERS else {})


def prompt(num_images, tokens):
    return [IMAGE_TOKEN_ID] * (num_images * NUM_QUERY_TOKENS) + tokens


def padded(prompts, side):
    width = max(map(len, prompts))
    rows = [[0] * (width - len(p)) + p if side == "left" else p + [0] * (width - len(p)) for p in prompts]
    masks = [
        [0] * (width - len(p)) + [1] * len(p) if side == "left" else [1] * len(p) + [0] * (width - len(p))
        for p in prompts
    ]
    return torch.tensor(rows), torch.tensor(masks)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_batch_of_prompts_with_0_1_and_2_images_equals_the_single_calls(family, side):
    model = tiny_model(family)
    prompts = [prompt(0, [9, 10, 11]), prompt(1, [12, 13]), prompt(2, [14, 15, 16, 17])]
    pixel_values = torch.randn(3, 3, IMAGE_SIZE, IMAGE_SIZE)
    images = [None, pixel_values[:1], pixel_values[1:]]
    input_ids, mask = padded(prompts, side)
    batch = with_decoder_tokens(family, {"input_ids": input_ids, "attention_mask": mask, "pixel_values": pixel_values})
    with torch.no_grad():
        logits = model(**batch).logits
    for row, (tokens, pixels) in enumerate(zip(prompts, images, strict=True)):
        single = with_decoder_tokens(
            family, {"input_ids": torch.tensor([tokens]), "attention_mask": torch.ones(1, len(tokens)).long()}
        )
        with torch.no_grad():
            alone = model(**single, pixel_values=pixels).logits[0]
        mine = logits[row] if family in ENCODER_DECODERS else logits[row][mask[row].bool()]
        torch.testing.assert_close(mine, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_without_an_image_the_language_model_gives_its_own_logits(family):
    model = tiny_model(family)
    batch = with_decoder_tokens(
        family, {"input_ids": torch.tensor([[9, 10, 11]]), "attention_mask": torch.ones(1, 3).long()}
    )
    with torch.no_grad():
        torch.testing.assert_close(model(**batch).logits, model.language_model(**batch).logits, rtol=0, atol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_another_image_changes_the_logits(family):
    model, batch = tiny_model(family), tiny_batch(family)
    with torch.no_grad():
        first = model(**batch).logits
        second = model(**batch | {"pixel_values": torch.randn_like(batch["pixel_values"])}).logits
    assert (first - second).abs().max() > 1e-4


@pytest.mark.parametrize("family", KINDS)
def test_image_indices_equal_repeating_the_image(family):
    model, batch = tiny_model(family), tiny_batch(family)
    rows = torch.tensor([1, 0, 1])
    two = batch["pixel_values"][:2]
    with torch.no_grad():
        repeated = model(**batch | {"pixel_values": two[rows]}).logits
        shared = model(**batch | {"pixel_values": two}, image_indices=rows).logits
        features = model.get_image_features(two).pooler_output
        batch.pop("pixel_values")
        given = model(**batch, image_features=features, image_indices=rows).logits
    torch.testing.assert_close(shared, repeated)
    torch.testing.assert_close(given, repeated)


def test_the_vit_sees_every_distinct_image_once(monkeypatch):
    model, batch = tiny_model("mt5"), tiny_batch("mt5")
    rows = []
    model.vision_model.register_forward_pre_hook(lambda module, arguments: rows.append(len(arguments[0])))
    model(**batch | {"pixel_values": batch["pixel_values"][:1]}, image_indices=torch.zeros(3, dtype=torch.long))
    assert rows == [1]


@pytest.mark.parametrize("family", KINDS)
@pytest.mark.parametrize("call", ["forward", "generate"])
def test_one_image_token_too_few_or_too_many_is_an_error(family, call):
    model, batch = tiny_model(family), without_labels(tiny_batch(family))
    for column, token in ((0, 9), (NUM_QUERY_TOKENS, IMAGE_TOKEN_ID)):
        input_ids = batch["input_ids"].clone()
        input_ids[0, column] = token
        with pytest.raises(ValueError, match="= 12 features came in"):
            getattr(model, call)(**batch | {"input_ids": input_ids})


@pytest.mark.parametrize("call", ["forward", "generate"])
def test_image_tokens_without_images_are_an_error(call):
    model, batch = tiny_model("mt5"), without_labels(tiny_batch("mt5"))
    batch.pop("pixel_values")
    with pytest.raises(ValueError, match="hold 12 `<image>` tokens, but 0 image slot"):
        getattr(model, call)(**batch)


BAD_INPUTS = {
    "input_ids": [
        (lambda ids: ids.tolist(), "is list, expected a dense tensor"),
        (lambda ids: ids.float(), "is torch.float32, expected ids, torch.int64"),
        (lambda ids: ids.to(torch.uint8), "is torch.uint8, expected ids"),
        (lambda ids: ids.flatten(), r"has shape \(30,\), expected \(prompts, tokens\)"),
        (lambda ids: ids[:0], r"has shape \(0, 10\)"),
        (lambda ids: ids.to("meta"), "is a meta tensor, torch.strided, expected a dense tensor"),
        (lambda ids: ids.index_fill(1, torch.tensor([9]), -5), "Prompt 0 holds the id -5"),
    ],
    "attention_mask": [
        (lambda mask: mask[:, 1:], r"has shape \(3, 9\), expected \(3 prompts, 10 tokens\)"),
        (lambda mask: mask.numpy(), "is ndarray"),
        (lambda mask: mask * 2, "holds other values than 1 at tokens and 0 at padding"),
        (lambda mask: mask * float("nan"), "holds other values than 1 at tokens"),
    ],
    "pixel_values": [
        (lambda pixels: pixels.byte(), "is torch.uint8, expected normalised, finite floats"),
        (lambda pixels: pixels.sigmoid() * 255, "holds other values than normalised, finite floats below 100"),
        (lambda pixels: pixels / 0, "holds other values than normalised"),
        (lambda pixels: pixels.index_fill(3, torch.tensor([0]), float("nan")), "holds other values than normalised"),
        (lambda pixels: pixels[:, :1], r"has shape \(3, 1, 28, 28\), expected \(3 images, 3, 28, 28\)"),
    ],
    "labels": [
        (lambda labels: labels.float(), "is torch.float32, expected ids of the vocabulary"),
        (lambda labels: labels[:, None], r"has shape"),
        (lambda labels: labels[:1], r"has shape .* expected \(3 prompts"),
        (lambda labels: labels.clamp(min=128), "holds other values than ids of the vocabulary, torch.int64, or -100"),
        (lambda labels: labels - 101, "holds other values than ids of the vocabulary"),
    ],
}


@pytest.mark.parametrize("call", ["forward", "generate"])
@pytest.mark.parametrize("family", ["mt5", "bloom"])
def test_a_damaged_input_is_refused_by_name(family, call):
    model, batch = tiny_model(family), tiny_batch(family)
    for name, damages in BAD_INPUTS.items():
        for damage, message in damages if call == "forward" or name != "labels" else []:
            expected = message if message.startswith("Prompt") else f"`{name}` {message}"
            with pytest.raises((ValueError, TypeError), match=expected):
                getattr(model, call)(**batch | {name: damage(batch[name])})


@pytest.mark.parametrize("number", [0, -1, float("nan"), torch.tensor(0)])
def test_a_number_of_labels_that_is_not_above_zero_is_an_error(number):
    with pytest.raises(ValueError, match="`num_items_in_batch` holds other values than a number above 0"):
        tiny_model()(**tiny_batch(), num_items_in_batch=number)


@pytest.mark.parametrize("family", ["mt5", "bloom"])
@pytest.mark.parametrize("skip_logits", [False, True])
def test_labels_of_either_integer_dtype_give_the_same_loss(family, skip_logits):
    model, batch = tiny_model(family), tiny_batch(family)
    expected = model(**batch, skip_logits=skip_logits).loss
    assert model(**batch | {"labels": batch["labels"].int()}, skip_logits=skip_logits).loss == expected


@pytest.mark.parametrize("indices", [torch.zeros(1, 1, dtype=torch.long), torch.zeros(1), torch.zeros(1).byte()])
def test_image_indices_of_another_shape_or_dtype_are_an_error(indices):
    with pytest.raises((ValueError, TypeError), match=r"`image_indices` (has shape .1, 1.|is torch)"):
        tiny_model()(**tiny_batch(), image_indices=indices)


@pytest.mark.parametrize(
    ("pixel_values", "error"), [(torch.zeros(1, 3, 28, 28).byte(), TypeError), (torch.zeros(1, 1, 28, 28), ValueError)]
)
def test_features_of_what_are_no_pixel_values_are_refused(pixel_values, error):
    with pytest.raises(error, match=r"`pixel_values` (is torch.uint8|has shape)"):
        tiny_model().get_image_features(pixel_values)
    with pytest.raises(ValueError, match=r"`image_features` has shape .*, expected \(3 images, 4, 32 wide\)"):
        tiny_model()(**tiny_batch() | {"pixel_values": None}, image_features=torch.zeros(3, 4, 31))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_ids": None}, "`input_ids` is None"),
        ({"image_features": torch.zeros(3, 4, 32)}, "Both `pixel_values` and `image_features`"),
        ({"pixel_values": None, "image_indices": torch.zeros(1).long()}, "`image_indices` came without images"),
        ({"pixel_values": None, "image_features": torch.zeros(3, 5, 32)}, r"expected \(3 images, 4, 32 wide\)"),
        ({"pixel_values": torch.zeros(3, 3, 14, 14)}, r"shape \(3, 3, 14, 14\), expected \(3 images, 3, 28, 28\)"),
        ({"pixel_values": torch.zeros(3, 28, 28)}, r"shape \(3, 28, 28\), expected \(images, 3, 28, 28\)"),
        ({"image_indices": torch.tensor([0, 1, 1])}, r"shows the rows \[0, 1\], expected each of the 3 image row"),
        ({"labels": torch.zeros(3, 2).long()}, r"`labels` has shape \(3, 2\)"),
    ],
)
def test_inputs_that_do_not_agree_are_errors(change, message):
    model, batch = tiny_model("bloom"), tiny_batch("bloom")
    with pytest.raises(ValueError, match=message):
        model(**batch | change)


def test_images_of_another_size_pass_where_positions_are_interpolated():
    model, batch = tiny_model("mt5"), tiny_batch("mt5")
    large = torch.randn(3, 3, 56, 56)
    assert model(**batch | {"pixel_values": large}, interpolate_pos_encoding=True).logits.shape == (3, 5, 128)


@pytest.mark.parametrize("family", KINDS)
def test_the_output_is_flat_and_its_logits_follow_the_mode(family):
    model, batch = tiny_model(family), tiny_batch(family)
    out = model(**batch)
    assert isinstance(out, MBlipOutput)
    assert out.logits.shape == (*batch["labels"].shape, 128)
    assert out.image_hidden_states.shape == (3, NUM_QUERY_TOKENS, 32)
    model.train()
    assert model(**batch).logits is None
    assert model(**batch, skip_logits=False).logits.shape == (*batch["labels"].shape, 128)
    assert model(**with_decoder_tokens(family, batch)).logits is not None
    assert isinstance(model(**batch, return_dict=False), tuple)


@pytest.mark.parametrize("family", KINDS)
def test_a_smoothed_loss_is_the_same_with_and_without_logits(family):
    model, batch = tiny_model(family, label_smoothing=0.1), tiny_batch(family)
    smoothed, without_logits = model(**batch), model(**batch, skip_logits=True)
    assert without_logits.logits is None
    torch.testing.assert_close(without_logits.loss, smoothed.loss)
    model.config.label_smoothing = 0.0
    assert abs(model(**batch).loss - smoothed.loss) > 1e-5


def test_a_share_of_smoothing_is_below_1():
    with pytest.raises(ValueError, match=r"`label_smoothing` is 1\.0, expected a number from 0 to below 1"):
        tiny_config(label_smoothing=1.0)


@pytest.mark.parametrize("family", KINDS)
def test_a_model_prints_its_own_class(family):
    assert repr(tiny_model(family)).startswith("MBlipForConditionalGeneration(\n  (vision_model): Blip2VisionModel(")


@pytest.mark.parametrize("family", KINDS)
def test_the_loss_is_divided_by_the_items_given(family):
    model, batch = tiny_model(family).train(), tiny_batch(family)
    mean = model(**batch).loss
    num_labels = int((batch["labels"] != -100).sum()) - (0 if family == "mt5" else 3)
    torch.testing.assert_close(model(**batch, num_items_in_batch=7).loss, mean * num_labels / 7)
    torch.testing.assert_close(model(**batch, num_items_in_batch=torch.tensor(7)).loss, mean * num_labels / 7)


@pytest.mark.parametrize("family", KINDS)
def test_a_batch_of_4_equals_4_accumulated_ones(family):
    model, batch = tiny_model(family).train(), tiny_batch(family, 4)
    num_items = int((batch["labels"] if family == "mt5" else batch["labels"][:, 1:]).ne(-100).sum())
    model(**batch).loss.backward()
    whole = {
        name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None
    }
    model.zero_grad()
    for row in range(4):
        single = {name: value[row : row + 1] for name, value in batch.items()}
        model(**single, num_items_in_batch=num_items).loss.backward()
    largest = max(gradient.abs().max() for gradient in whole.values())
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(parameter.grad / largest, whole[name] / largest, rtol=0, atol=1e-6, msg=name)


@pytest.mark.parametrize("num_runs", [0, 1])
@pytest.mark.parametrize("family", KINDS)
def test_a_batch_without_images_trains_the_image_side_by_exactly_zero(family, num_runs, monkeypatch):
    """The frozen ViT runs if there are several processes, which may hold it in shards."""
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: num_runs == 1)
    model, runs = tiny_model(family), []
    model.vision_model.requires_grad_(False)
    batch = tiny_batch(family)
    text = {"input_ids": batch["input_ids"][:, NUM_QUERY_TOKENS:], "labels": batch["labels"]}
    if family == "bloom":
        text["labels"] = text["labels"][:, NUM_QUERY_TOKENS:]
    expected = model(**text).loss
    model.train()
    model.vision_model.register_forward_hook(lambda *_: runs.append(1))
    loss = model(**text).loss
    loss.backward()
    assert len(runs) == num_runs
    torch.testing.assert_close(loss, expected)
    for part in (model.query_tokens, model.qformer, model.language_projection):
        for name, parameter in part.named_parameters():
            assert parameter.grad is not None, name
            assert not parameter.grad.any(), name


def test_a_frozen_vit_runs_without_gradients_and_without_dropout():
    model = tiny_model("mt5", vision_config=tiny_config().vision_config.to_dict() | {"attention_dropout": 0.9})
    model.vision_model.requires_grad_(False)
    model.train()
    batch = tiny_batch("mt5")
    first = model.get_image_features(batch["pixel_values"])
    second = model.get_image_features(batch["pixel_values"])
    assert torch.equal(first.last_hidden_state, second.last_hidden_state)
    assert not first.last_hidden_state.requires_grad
    assert first.pooler_output.requires_grad


def test_gradient_checkpointing_stays_out_of_the_frozen_vit():
    model, batch = tiny_model("mt5"), tiny_batch("mt5")
    model.vision_model.requires_grad_(False)
    model.train()
    model(**batch).loss.backward()
    expected = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    model.activation_checkpointing_enable()
    calls = []
    model.vision_model.encoder.layers[0].mlp.register_forward_hook(lambda *args: calls.append(args[2].requires_grad))
    model(**batch).loss.backward()
    assert calls == [False]
    assert expected.keys() == {n for n, p in model.named_parameters() if p.grad is not None}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, expected[name], msg=name)


@pytest.mark.parametrize("family", KINDS)
def test_query_tokens_qformer_and_projection_stay_fp32_in_bf16(family, tmp_path):
    tiny_model(family).save_pretrained(tmp_path)
    model = MBlipForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.bfloat16)
    for part in (model.query_tokens, model.qformer, model.language_projection):
        assert {parameter.dtype for parameter in part.parameters()} == {torch.float32}
    for part in (model.vision_model, model.language_model):
        assert {parameter.dtype for parameter in part.parameters()} == {torch.bfloat16}
    loss = model.train()(**tiny_batch(family)).loss
    loss.backward()
    assert loss.dtype == torch.float32
    assert model.query_tokens.weight.grad.dtype == torch.float32
    assert model.generate(**without_labels(tiny_batch(family)), max_new_tokens=2, do_sample=False).shape[0] == 3


def test_a_model_built_in_bf16_holds_what_trains_in_fp32():
    model = MBlipForConditionalGeneration._from_config(tiny_config(), dtype=torch.bfloat16)
    dtypes = {name.split(".")[0]: parameter.dtype for name, parameter in model.named_parameters()}
    trained = dict.fromkeys(("query_tokens", "qformer", "language_projection"), torch.float32)
    assert dtypes == trained | {"vision_model": torch.bfloat16, "language_model": torch.bfloat16}


@pytest.mark.parametrize("family", KINDS)
def test_inputs_embeds_stand_in_for_the_embeddings_of_input_ids(family):
    model, batch = tiny_model(family), tiny_batch(family)
    tokens = batch["input_ids"].masked_fill(batch["input_ids"] == IMAGE_TOKEN_ID, 0)
    embeds = model.get_input_embeddings()(tokens)
    with torch.no_grad():
        torch.testing.assert_close(model(**batch, inputs_embeds=embeds).logits, model(**batch).logits)


def test_positions_come_from_the_mask_only_where_the_language_model_takes_them():
    gpt2, bloom = tiny_model("gpt2"), tiny_model("bloom")
    arguments = {
        "inputs_embeds": torch.zeros(1, 3, 32),
        "input_ids": None,
        "attention_mask": torch.tensor([[0, 1, 1]]),
    }
    nothing = dict.fromkeys(
        ("position_ids", "labels", "decoder_input_ids", "decoder_attention_mask", "encoder_outputs")
    )
    assert gpt2.language_model_arguments(**arguments, **nothing)["position_ids"].tolist() == [[0, 0, 1]]
    assert "position_ids" not in bloom.language_model_arguments(**arguments, **nothing)


@pytest.mark.parametrize("family", ["m2m_100", "mt5", "mbart"])
def test_labels_are_shifted_right_as_the_language_model_does_it(family):
    model = tiny_model(family)
    shifted = model.prepare_decoder_input_ids_from_labels(torch.tensor([[5, 6, 2, -100]]))
    assert shifted.tolist() == {"m2m_100": [[2, 5, 6, 2]], "mt5": [[0, 5, 6, 2]], "mbart": [[2, 5, 6, 2]]}[family]


def test_a_decoder_only_model_prepares_no_decoder_inputs():
    with pytest.raises(ValueError, match="takes no `decoder_input_ids`"):
        tiny_model("bloom").prepare_decoder_input_ids_from_labels(torch.tensor([[5]]))


@pytest.mark.parametrize("family", DECODER_ONLY)
def test_a_decoder_only_model_takes_no_encoder_arguments(family):
    assert tiny_model(family).config.is_encoder_decoder is False


@pytest.mark.parametrize("family", KINDS)
def test_a_model_can_be_copied_and_pickled(family):
    model, batch = tiny_model(family), tiny_batch(family)
    expected = model(**batch).logits
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(twin(**batch).logits, expected, rtol=0, atol=0)


@pytest.mark.parametrize("family", KINDS)
def test_a_model_can_be_built_on_the_meta_device(family):
    with torch.device("meta"):
        model = MBlipForConditionalGeneration(tiny_config(family))
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}


def test_attention_can_be_chosen_part_by_part():
    config = tiny_config("bloom")
    model = MBlipForConditionalGeneration._from_config(
        config, attn_implementation={"vision_config": "eager", "qformer_config": "sdpa"}
    )
    assert model.vision_model.config._attn_implementation == "eager"
    assert model.qformer.config._attn_implementation == "sdpa"
    assert model.language_model.config._attn_implementation == "eager"
