"""What cannot be merged weight by weight is refused by name, and leaves nothing behind."""

import pytest
from merge_inputs import save_adapter, save_base
from peft import LoraConfig, PeftConfig
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from modeling_mblip.merge import main as merge


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_base("single", "mt5", tmp_path_factory.mktemp("refused"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"use_dora": True}, r"`use_dora=True`, which changes more than linear layers by their LoRA"),
        ({"bias": "all"}, r"`bias='all'`"),
        ({"init_lora_weights": "olora"}, r"`init_lora_weights='olora'`"),
        ({"target_modules": ["lm_head", "q"]}, r"adapts the head or the embeddings, of which PEFT saves a copy"),
        (
            {"target_modules": ["lm_head", "q"], "save_embedding_layers": False},
            r"changes 'language_model\.lm_head\.weight', which \S+ shares",
        ),
        (
            {"target_modules": ["shared", "q"], "save_embedding_layers": False},
            r"`language_model\.shared` is no plain one",
        ),
    ],
)
# PEFT itself warns of adapters on tied layers and embeddings.
@pytest.mark.filterwarnings("ignore:Model with `tie_word_embeddings=True`:UserWarning")
@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers` to `True`:UserWarning")
def test_what_is_no_plain_lora_on_linear_layers_is_refused_by_name(settings, message, base, tmp_path):
    save_adapter(base, tmp_path / "adapter", **settings)
    with pytest.raises(SystemExit, match=rf"Not merged\. .*{message}"):
        merge([str(tmp_path / "adapter"), str(tmp_path / "merged")])
    assert sorted(tmp_path.iterdir()) == [tmp_path / "adapter"]


def test_an_adapter_of_another_base_is_refused(base, tmp_path):
    other = save_base("single", "bloom", tmp_path)
    adapter = save_adapter(other, tmp_path / "adapter")
    with pytest.raises(SystemExit, match=r"Not merged\. "):
        merge([str(adapter), str(tmp_path / "merged"), "--base", str(base)])
    torn = load_file(save_adapter(base, tmp_path / "torn") / "adapter_model.safetensors")
    first = next(key for key in torn if "lora_B" in key)
    save_file(
        {key: tensor for key, tensor in torn.items() if key != first}, tmp_path / "torn/adapter_model.safetensors"
    )
    with pytest.raises(SystemExit, match=r"lora_B` is missing in the adapter, expected of shape \(\d+, 4\)"):
        merge([str(tmp_path / "torn"), str(tmp_path / "merged")])


def test_a_random_projection_must_be_in_the_adapter(tmp_path):
    base = save_base("weightless", "mt5", tmp_path)
    adapter = save_adapter(base, tmp_path / "adapter", modules_to_save=["qformer"])
    with pytest.raises(SystemExit, match=r"together lack 2 weights, the first being 'language_projection\.bias'"):
        merge([str(adapter), str(tmp_path / "merged")])


def test_a_sum_that_is_not_finite_is_refused(base, tmp_path):
    adapter = save_adapter(base, tmp_path / "adapter")
    weights = load_file(adapter / "adapter_model.safetensors")
    name = next(key for key in weights if "lora_B" in key)
    save_file(weights | {name: weights[name] * float("nan")}, adapter / "adapter_model.safetensors")
    with pytest.raises(SystemExit, match=r"Not merged\. .*holds values that are not finite"):
        merge([str(adapter), str(tmp_path / "merged")])
    assert not (tmp_path / "merged").exists()


def test_an_adapter_without_a_base_and_a_folder_that_is_no_adapter_are_refused(base, tmp_path):
    adapter = save_adapter(base, tmp_path / "adapter")
    config = PeftConfig.from_pretrained(adapter)
    assert isinstance(config, LoraConfig)
    config.base_model_name_or_path = None
    config.save_pretrained(adapter)
    with pytest.raises(SystemExit, match=r"names no base\. Give the one it was trained on with --base"):
        merge([str(adapter), str(tmp_path / "merged")])
    with pytest.raises(SystemExit, match=r"Not merged\. .*adapter_config\.json"):
        merge([str(base), str(tmp_path / "merged")])


def test_a_full_disk_ends_the_command_with_a_message(base, tmp_path, monkeypatch):
    def fill_disk(*args, **kwargs):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("modeling_mblip.merge.save_file", fill_disk)
    with pytest.raises(SystemExit, match=r"Not merged\. .*No space left on device"):
        merge([str(save_adapter(base, tmp_path / "adapter")), str(tmp_path / "merged")])
    assert not (tmp_path / "merged").exists()
