"""Adapters: every way to load one gives the same model, several live on one, and each names a base others can load."""

import json
import shutil
from dataclasses import replace

import peft
import pytest
import torch
from packaging.version import Version
from peft import LoraConfig, PeftModel, get_peft_model
from tiny import tiny_batch, tiny_blip2, tiny_model
from transformers import AutoModelForImageTextToText
from transformers.integrations.peft import MIN_PEFT_VERSION

from mblip.loading import check_base
from mblip.training.trainable import IMAGE_SIDE_MODULES, continue_adapter, lora_config, set_trainable
from modeling_mblip import MBlipForConditionalGeneration

# transformers 5.24 asks for PEFT 0.22, which is not published: with 0.21 it loads adapters and refuses to handle them.
needs_the_peft_that_transformers_asks_for = pytest.mark.xfail(
    Version(peft.__version__) < Version(MIN_PEFT_VERSION),
    reason=f"transformers handles adapters with peft>={MIN_PEFT_VERSION} alone, found {peft.__version__}",
    raises=ValueError,
    strict=True,
)
NO_DROPOUT = LoraConfig(lora_alpha=16)


def logits(model):
    batch = tiny_batch("mt5", image_token_id=model.config.image_token_id)
    with torch.no_grad():
        return model.eval()(**batch).logits


def adapted(base, seed):
    """A model around which every trained weight, LoRA and image side, has moved somewhere of its own."""
    model = set_trainable(MBlipForConditionalGeneration.from_pretrained(base), "re_alignment", NO_DROPOUT)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.02)
    return model


@pytest.fixture(scope="module", params=["converted", "weightless"])
def trained(request, tmp_path_factory):
    """A base of either kind, and the logits of two adapters on it by their folders."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "converted":
        tiny_blip2("mt5").save_pretrained(folder / "published")
        MBlipForConditionalGeneration.from_pretrained(folder / "published").save_pretrained(folder / "base")
    else:
        tiny_blip2("t5", seed=1).save_pretrained(folder / "blip2")
        tiny_model("mt5", seed=2).language_model.save_pretrained(folder / "text")
        composed = MBlipForConditionalGeneration.from_blip2_pretrained(folder / "blip2", folder / "text")
        composed.save_composition(folder / "base")
    expected = {}
    for seed, name in enumerate(["first", "second"]):
        model = adapted(folder / "base", seed)
        model.save_pretrained(folder / name)
        expected[folder / name] = logits(model)
    return folder / "base", expected


def by_peft(base, adapter):
    return PeftModel.from_pretrained(MBlipForConditionalGeneration.from_pretrained(base), adapter)


def by_load_adapter(base, adapter):
    model = MBlipForConditionalGeneration.from_pretrained(base)
    model.load_adapter(str(adapter))
    return model


def by_auto_model(_, adapter):
    return AutoModelForImageTextToText.from_pretrained(adapter)


def by_the_class(_, adapter):
    return MBlipForConditionalGeneration.from_pretrained(adapter)


@pytest.mark.parametrize("load", [by_peft, by_load_adapter, by_auto_model, by_the_class])
def test_every_way_to_load_an_adapter_gives_the_model_that_was_trained(load, trained):
    base, expected = trained
    for adapter, its_logits in expected.items():
        model = load(base, adapter)
        assert torch.equal(logits(model), its_logits)
        assert not torch.equal(logits(MBlipForConditionalGeneration.from_pretrained(base)), its_logits)


@needs_the_peft_that_transformers_asks_for
def test_an_adapter_that_the_class_has_loaded_is_saved_as_one(trained, tmp_path):
    adapter, its_logits = next(iter(trained[1].items()))
    by_the_class(None, adapter).save_pretrained(tmp_path / "again")
    assert sorted(path.suffix for path in (tmp_path / "again").iterdir() if "adapter" in path.name) == [
        ".json",
        ".safetensors",
    ]
    assert torch.equal(logits(by_the_class(None, tmp_path / "again")), its_logits)


def test_a_base_without_weights_is_loaded_by_the_auto_model_too(trained):
    model = AutoModelForImageTextToText.from_pretrained(trained[0])
    assert type(model) is MBlipForConditionalGeneration
    assert model.vision_model.embeddings.class_embedding.any()


# transformers calls PEFT as if for a first adapter, and PEFT remarks that there is one.
@pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute:UserWarning")
@pytest.mark.parametrize(
    "kind", ["peft", pytest.param("transformers", marks=needs_the_peft_that_transformers_asks_for)]
)
def test_adapters_on_one_model_are_switched_with_their_own_image_sides(kind, trained):
    base, expected = trained
    (first, first_logits), (second, second_logits) = expected.items()
    model = MBlipForConditionalGeneration.from_pretrained(base)
    untouched = logits(model)
    if kind == "peft":
        model = PeftModel.from_pretrained(model, first, adapter_name="first")
    else:
        model.load_adapter(str(first), adapter_name="first")
    model.load_adapter(str(second), adapter_name="second")
    for name, wanted in (("second", second_logits), ("first", first_logits), ("second", second_logits)):
        model.set_adapter(name)
        assert torch.equal(logits(model), wanted)
    if kind == "peft":
        with model.disable_adapter():
            assert torch.equal(logits(model), untouched)
    else:
        model.disable_adapters()
        assert torch.equal(logits(model), untouched)
        model.enable_adapters()  # transformers' own leaves the base's image side in place
    assert torch.equal(logits(model), second_logits)


@pytest.mark.parametrize("load", [by_load_adapter, by_auto_model, by_the_class])
def test_an_adapter_that_transformers_finds_in_part_alone_is_refused(load, trained, tmp_path):
    """DoRA's magnitudes stay as they were made up, and the model answers otherwise than the trained one."""
    base, _ = trained
    model = MBlipForConditionalGeneration.from_pretrained(base)
    get_peft_model(model, replace(lora_config(model, NO_DROPOUT), use_dora=True)).save_pretrained(tmp_path / "dora")
    with pytest.raises(
        ValueError, match=r"does not find \d+ weights .*lora_magnitude_vector.*PeftModel.from_pretrained"
    ):
        load(base, tmp_path / "dora")
    by_peft(base, tmp_path / "dora")


def test_merged_equals_unmerged(trained):
    base, expected = trained
    for adapter, its_logits in expected.items():
        merged = logits(by_peft(base, adapter).merge_and_unload())
        assert (merged - its_logits).abs().max() <= 1e-5 * its_logits.abs().max()


def test_an_adapter_on_a_16_bit_base_brings_its_image_side_in_fp32(trained):
    """LoRA itself is skipped: PEFT holds it in fp32, transformers' `load_adapter` in the base's dtype."""
    model = AutoModelForImageTextToText.from_pretrained(next(iter(trained[1])), dtype=torch.bfloat16)
    for name, parameter in model.named_parameters():
        if name.startswith(IMAGE_SIDE_MODULES):
            assert parameter.dtype == torch.float32, name
        elif "lora_" not in name:
            assert parameter.dtype == torch.bfloat16, name


def test_an_adapter_is_as_small_as_what_it_trained(trained):
    base, expected = trained
    model = adapted(base, 0)
    trained_bytes = sum(4 * parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    for adapter in expected:
        size = (adapter / "adapter_model.safetensors").stat().st_size
        assert trained_bytes < size < trained_bytes + 200 * len(list(model.parameters()))


def test_an_adapter_of_a_model_made_in_memory_is_not_saved(tmp_path):
    model = set_trainable(tiny_model("mt5"), "re_alignment")
    with pytest.raises(ValueError, match=r"base has no name: it was made in memory\. Save it with `save_pretrained`"):
        model.save_pretrained(tmp_path / "adapter")
    assert not (tmp_path / "adapter").exists()
    tiny_model("mt5").save_pretrained(tmp_path / "base")
    model.peft_config["default"].base_model_name_or_path = str(tmp_path / "base")
    model.save_pretrained(tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tmp_path / "base")


def test_an_adapter_on_a_plain_blip2_folder_is_not_saved(tmp_path):
    tiny_blip2("mt5").save_pretrained(tmp_path / "blip2")
    model = adapted(tmp_path / "blip2", 0)
    with pytest.raises(ValueError, match=r"blip2 is of type 'blip-2', expected 'mblip'.*Convert it"):
        model.save_pretrained(tmp_path / "adapter")


def test_only_the_adapters_that_are_saved_need_a_base(tmp_path):
    tiny_model("mt5").save_pretrained(tmp_path / "base")
    model = adapted(tmp_path / "base", 0)
    model.add_adapter("other", replace(model.peft_config["default"], base_model_name_or_path=str(tmp_path / "gone")))
    model.save_pretrained(tmp_path / "adapter", selected_adapters=["default"])
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
    with pytest.raises(ValueError, match=r"base \S+gone cannot be loaded"):
        model.save_pretrained(tmp_path / "both")


@pytest.mark.parametrize(
    ("base", "message"), [(None, "names no base"), ("/gone/base", "There is no folder /gone/base")]
)
def test_an_adapter_whose_base_is_gone_or_unnamed_is_not_loaded_and_says_so(base, message, trained, tmp_path):
    adapter = shutil.copytree(next(iter(trained[1])), tmp_path / "adapter")
    config = json.loads((adapter / "adapter_config.json").read_text()) | {"base_model_name_or_path": base}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises((ValueError, FileNotFoundError), match=rf"adapter.*{message}.*Write the path of the base into"):
        MBlipForConditionalGeneration.from_pretrained(adapter)


def test_a_base_that_is_gone_or_empty_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"base \S+gone cannot be loaded"):
        check_base(str(tmp_path / "gone"))
    tiny_model("mt5").config.save_pretrained(tmp_path / "empty")
    with pytest.raises(ValueError, match=r"base \S+empty holds no weights and names no components"):
        check_base(str(tmp_path / "empty"))


@pytest.mark.parametrize("stage", ["warm_up", "re_alignment", "full"])
@pytest.mark.parametrize("load", [by_the_class, by_peft, "unwrapped"])
def test_a_stage_on_a_model_with_an_adapter_is_refused_with_what_to_do(stage, load, trained):
    base, adapters = trained
    adapter = next(iter(adapters))
    model = by_peft(base, adapter).get_base_model() if load == "unwrapped" else load(base, adapter)
    with pytest.raises(ValueError, match=r"has an adapter already.*Merge it: `load_checkpoint.*`continue_adapter"):
        set_trainable(model, stage)


def test_an_adapter_whose_base_trains_too_is_not_saved(trained, tmp_path):
    base, (adapter, _) = trained
    model = continue_adapter(MBlipForConditionalGeneration.from_pretrained(base), adapter)
    model.save_pretrained(tmp_path / "as it is")
    model.get_base_model().language_model.requires_grad_(True)
    loaded = by_the_class(base, adapter)
    loaded.language_model.requires_grad_(True)
    for moved in (model, loaded):
        with pytest.raises(ValueError, match=r"and \d+ other parameters of the base train, .*Save the whole model"):
            moved.save_pretrained(tmp_path / "moved")
    assert not (tmp_path / "moved").exists()
