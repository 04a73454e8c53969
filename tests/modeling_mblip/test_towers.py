"""Image encoders of other kinds than BLIP-2's ViT: their width and features, one step, generation, saving, loading."""

import pytest
import torch
from transformers import AutoModel, CLIPConfig, SiglipConfig, T5Config

from modeling_mblip import MBlipConfig, MBlipForConditionalGeneration
from modeling_mblip.configuration_mblip import idle_parameters
from tests.tiny import NUM_QUERY_TOKENS, tiny_batch, tiny_config, tiny_model
from tests.tiny_towers import IMAGE_SIZE, OTHER_TOWERS, TOWERS, tiny_tower_config, tower_batch

EVERY = [*TOWERS, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHER_TOWERS)]
TAKES_FLAG = {"siglip_vision_model", "clip_vision_model", "vit", "deit", "beit", "data2vec-vision", "ijepa", "swin"}


def tower_model(name: str, family: str = "mt5", **changes) -> MBlipForConditionalGeneration:
    return tiny_model(family, vision_config=tiny_tower_config(name), **changes)


def own_features(model, pixel_values) -> torch.Tensor:
    """What a tower of the same weights returns outside of mBLIP."""
    alone = AutoModel.from_config(model.config.vision_config).eval()
    alone.load_state_dict(model.vision_model.state_dict())
    alone.requires_grad_(False)  # as the model's: torch's matmul takes another path where weights may train
    with torch.no_grad():
        features = alone(pixel_values).last_hidden_state
    return features.flatten(2).mT if features.ndim == 4 else features


@pytest.mark.parametrize("name", EVERY)
def test_features_are_those_of_the_towers_own_class(name):
    model, pixel_values = tower_model(name), torch.randn(2, 3, IMAGE_SIZE, IMAGE_SIZE)
    model.requires_grad_(False)
    features = model.encode_vision(pixel_values)
    assert torch.equal(features, own_features(model, pixel_values))
    assert model.config.qformer_config.encoder_hidden_size == features.shape[2]
    assert model.qformer.encoder.layer[0].crossattention.attention.key.in_features == features.shape[2]
    output = model.get_image_features(pixel_values)
    assert torch.equal(output.last_hidden_state, features)
    assert output.pooler_output.shape == (2, NUM_QUERY_TOKENS, 32)


@pytest.mark.parametrize("name", TOWERS)
def test_a_model_with_the_tower_trains_and_is_the_same_after_saving(name, tmp_path):
    model, batch = tower_model(name).train(), tower_batch()
    model.requires_grad_(False)
    for part in (model.query_tokens, model.qformer, model.language_projection):
        part.requires_grad_(True)
    frozen = {key: value.clone() for key, value in model.vision_model.state_dict().items()}
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=0.1)
    before = model(**batch).loss
    before.backward()
    optimizer.step()
    assert model(**batch).loss < before
    assert all(torch.equal(frozen[key], value) for key, value in model.vision_model.state_dict().items())
    model.eval().save_pretrained(tmp_path)
    again = MBlipForConditionalGeneration.from_pretrained(tmp_path)
    assert type(again.vision_model) is type(model.vision_model)
    with torch.no_grad():
        assert torch.equal(again(**batch).logits, model(**batch).logits)
    prompts = {key: value for key, value in batch.items() if key != "labels"}
    assert torch.equal(again.generate(**prompts, max_new_tokens=4), model.generate(**prompts, max_new_tokens=4))


@pytest.mark.parametrize("name", ["siglip_vision_model", "clip_vision_model", "dinov2", "dinov3_vit"])
def test_activation_checkpointing_gives_the_same_gradients_of_a_tower_that_trains(name):
    model, batch, found = tower_model(name).train(), tower_batch(), []
    for enable in (lambda: None, model.activation_checkpointing_enable):
        enable()
        model.zero_grad()
        torch.manual_seed(0)
        model(**batch).loss.backward()
        found.append({key: each.grad.clone() for key, each in model.named_parameters() if each.grad is not None})
    assert any(getattr(each, "gradient_checkpointing", False) for each in model.vision_model.modules())
    assert sum(key.startswith("vision_model.") for key in found[0]) > 10
    torch.testing.assert_close(found[1], found[0])


@pytest.mark.parametrize(("name", "family"), [("siglip_vision_model", "bloom"), ("own_tower", "mt5")])
def test_features_of_each_step_give_what_images_give(name, family):
    model, batch = tower_model(name, family), tower_batch(family)
    pixel_values = batch.pop("pixel_values")
    with torch.no_grad():
        wanted = model(**batch, pixel_values=pixel_values).logits
        vision = model.encode_vision(pixel_values)
        query = model.qformer(model.query_tokens(3), encoder_hidden_states=vision).last_hidden_state
        image = model.get_image_features(pixel_values).pooler_output
        for features in ({"vision_features": vision}, {"query_features": query}, {"image_features": image}):
            assert torch.equal(model(**batch, **features).logits, wanted)
    prompts = {key: value for key, value in batch.items() if key != "labels"}
    wanted = model.generate(**prompts, pixel_values=pixel_values, max_new_tokens=3)
    for features in ({"vision_features": vision}, {"query_features": query}):
        assert torch.equal(model.generate(**prompts, **features, max_new_tokens=3), wanted)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"vision_features": torch.zeros(3, 5, 23)}, r"shape \(3, 5, 23\), expected \(3 images, 5 patches, 24 wide\)"),
        ({"query_features": torch.zeros(3, 4, 17)}, r"shape \(3, 4, 17\), expected \(3 images, 4, 16 wide\)"),
        ({"query_features": torch.zeros(3, 3, 16)}, r"shape \(3, 3, 16\), expected \(3 images, 4, 16 wide\)"),
        ({"vision_features": torch.full((3, 5, 24), torch.nan)}, "`vision_features` holds other values than finite"),
        ({"vision_features": torch.zeros(2, 5, 24)}, r"12 `<image>` tokens, but 2 image slot"),
        (
            {"vision_features": torch.zeros(3, 5, 24), "query_features": torch.zeros(3, 4, 16)},
            "Both `vision_features` and `query_features` came in",
        ),
    ],
)
def test_features_of_another_shape_or_of_two_steps_are_refused(inputs, message):
    with pytest.raises(ValueError, match=message):
        tiny_model()(**tiny_batch() | {"pixel_values": None} | inputs)


@pytest.mark.parametrize("name", EVERY)
def test_larger_images_pass_where_the_tower_takes_them(name):
    model, larger = tower_model(name), torch.randn(1, 3, 2 * IMAGE_SIZE, 2 * IMAGE_SIZE)
    assert model.takes_flag == (name in TAKES_FLAG)
    if model.takes_flag:
        with pytest.raises(
            ValueError, match=r"expected \(1 images, 3, 32, 32\).*need `interpolate_pos_encoding=True`"
        ):
            model.encode_vision(larger)
    if name == "aimv2_vision_model":
        with pytest.raises(ValueError, match="does not encode images of 64 x 64"):
            model.encode_vision(larger)
        return
    features = model.encode_vision(larger, interpolate_pos_encoding=True)
    assert features.shape[1] > model.encode_vision(larger[..., :32, :32]).shape[1]


@pytest.mark.parametrize("whole", [CLIPConfig, SiglipConfig])
def test_of_a_whole_models_configuration_the_tower_is_taken(whole):
    config = MBlipConfig(vision_config=whole(vision_config={"hidden_size": 24, "num_attention_heads": 2}))
    assert config.vision_config.model_type == f"{whole.model_type}_vision_model"
    assert config.qformer_config.encoder_hidden_size == 24
    assert MBlipConfig(**config.to_dict()).vision_config.to_dict() == config.vision_config.to_dict()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (T5Config(), "type 't5' does not encode images of 224 x 224: it takes text"),
        ({"model_type": "bert"}, "type 'bert' does not encode images"),
        ({"model_type": "clip_text_model"}, "type 'clip_text_model' does not encode images"),
        ({"model_type": "siglip2_vision_model"}, "NaFlex variant, which takes patches"),
        ({"model_type": "vit_mae"}, "hides patches at random"),
        ({"model_type": "timesformer"}, "type 'timesformer' does not encode images"),
        ({"model_type": "wav2vec2"}, "type 'wav2vec2' does not encode images"),
        ({"model_type": "no_such_type"}, "type 'no_such_type', expected one that transformers knows"),
        (tiny_config().qformer_config, "type 'blip_2_qformer' does not encode images"),
        (tiny_tower_config("dinov2").to_dict() | {"num_channels": 1}, "does not encode images of 32 x 32"),
    ],
)
def test_what_encodes_no_images_is_refused_and_never_a_vit(config, message):
    with pytest.raises(ValueError, match=message):
        MBlipConfig(vision_config=config)


@pytest.mark.parametrize("name", ["convnext", "siglip_vision_model"])
def test_a_configuration_of_16_bits_has_the_same_width(name):
    config = tiny_tower_config(name).to_dict() | {"dtype": "bfloat16"}
    assert MBlipConfig(vision_config=config).qformer_config.encoder_hidden_size in (20, 24)
    assert idle_parameters(MBlipConfig(vision_config=config).vision_config).isdisjoint({"embeddings.norm.weight"})


def test_a_qformer_of_another_type_is_refused():
    with pytest.raises(ValueError, match=r"`qformer_config` is of type 'dinov2', expected 'blip_2_qformer'"):
        MBlipConfig(qformer_config=tiny_tower_config("dinov2"))


@pytest.mark.parametrize("name", ["dinov2", "convnext", "own_tower"])
def test_a_batch_without_images_gives_the_image_side_gradients_of_zero(name):
    model, batch = tower_model(name).train(), tower_batch()
    model.vision_model.requires_grad_(False)
    ids = batch["input_ids"].masked_fill(batch["input_ids"] == 128, 7)
    model(input_ids=ids, labels=batch["labels"]).loss.backward()
    assert not model.language_projection.weight.grad.any()
    assert not model.qformer.encoder.layer[0].crossattention.attention.key.weight.grad.any()
