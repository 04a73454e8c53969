"""The command that composes: a folder with all that loading needs, or one without weights, and what it says of it."""

import json
import shutil

import pytest
import torch
from safetensors import SafetensorError
from tiny import IMAGE_SIZE, NUM_QUERY_TOKENS, tiny_blip2, tiny_model, tiny_text_config, tiny_tokenizer
from transformers import AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

from mblip.training.compose import main
from modeling_mblip import MBlipForConditionalGeneration
from processing_mblip import MBlipProcessor

PREPROCESSOR_OF_2023 = {
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_processor_type": "BlipImageProcessor",
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "processor_class": "Blip2Processor",
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": IMAGE_SIZE, "width": IMAGE_SIZE},
}


@pytest.fixture(scope="module")
def components(tmp_path_factory):
    """A BLIP-2 with an OPT, laid out as in 2023, and language models of both kinds."""
    folder = tmp_path_factory.mktemp("parents")
    tiny_blip2("opt", seed=1).save_pretrained(folder / "blip2", max_shard_size="30KB")
    (folder / "blip2" / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR_OF_2023))
    for seed, family in enumerate(["mt5", "bloom"]):
        tiny_model(family, seed=seed).language_model.save_pretrained(folder / family)
        tiny_tokenizer(100).save_pretrained(folder / family)
    return folder


def lines(capsys):
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("weightless", [False, True])
@pytest.mark.parametrize(("family", "side"), [("mt5", "right"), ("bloom", "left")])
def test_the_folder_holds_model_and_processor(family, side, weightless, components, tmp_path, capsys):
    folder = tmp_path / "composed"
    main([str(components / "blip2"), str(components / family), str(folder), *(["--weightless"] if weightless else [])])
    assert bool(list(folder.glob("*.safetensors"))) != weightless
    model = AutoModelForImageTextToText.from_pretrained(folder)
    expected = MBlipForConditionalGeneration.from_blip2_pretrained(components / "blip2", components / family)
    for name, weight in expected.state_dict().items():
        if not name.startswith("language_projection"):
            assert torch.equal(model.state_dict()[name], weight), name
    assert model.generation_config.eos_token_id == expected.generation_config.eos_token_id
    for processor in (MBlipProcessor.from_pretrained(folder), AutoProcessor.from_pretrained(folder)):
        assert type(processor) is MBlipProcessor
        assert (processor.num_query_tokens, processor.image_token_id) == (NUM_QUERY_TOKENS, 100)
        assert processor.tokenizer.padding_side == side
        assert processor.image_processor.size == {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    assert AutoTokenizer.from_pretrained(folder).padding_side == side
    written = lines(capsys)
    assert written[-1].endswith(f"{NUM_QUERY_TOKENS} `<image>` tokens (id 100) per image.")


def test_it_says_what_came_from_where_and_what_was_initialised(components, tmp_path, capsys):
    main([str(components / "blip2"), str(components / "bloom"), str(tmp_path / "composed"), "--dtype", "bfloat16"])
    model = MBlipForConditionalGeneration.from_pretrained(tmp_path / "composed")
    origins = {
        "vision_model": ("bfloat16", f"from {components / 'blip2'}"),
        "qformer": ("float32", f"from {components / 'blip2'}"),
        "query_tokens": ("float32", f"from {components / 'blip2'}"),
        "language_projection": ("float32", "initialised, to be trained"),
        "language_model": ("bfloat16", f"from {components / 'bloom'}"),
    }
    expected = {
        f"{name} {sum(p.numel() for p in getattr(model, name).parameters()):,} parameters {dtype} {origin}"
        for name, (dtype, origin) in origins.items()
    }
    assert set(lines(capsys)[:-1]) == expected


def test_the_projection_of_the_blip2_is_kept_where_asked(components, tmp_path, capsys):
    blip2 = tiny_blip2("opt", seed=1)
    for name, weightless in (("whole", []), ("base", ["--weightless"])):
        arguments = [str(components / "blip2"), str(components / "mt5"), str(tmp_path / name), "--projection", "blip2"]
        main(arguments + weightless)
        model = MBlipForConditionalGeneration.from_pretrained(tmp_path / name)
        assert torch.equal(model.language_projection.weight, blip2.language_projection.weight)
    assert not [line for line in lines(capsys) if "initialised" in line]


@pytest.mark.parametrize("weightless", [[], ["--weightless"]])
def test_a_projection_that_does_not_fit_is_refused_and_nothing_is_left(weightless, components, tmp_path):
    wide = tiny_text_config("mt5", d_model=48)
    tiny_model("mt5", text_config=wide).language_model.save_pretrained(tmp_path / "wide")
    tiny_tokenizer(100).save_pretrained(tmp_path / "wide")
    arguments = [
        str(components / "blip2"),
        str(tmp_path / "wide"),
        str(tmp_path / "composed"),
        "--projection",
        "blip2",
    ]
    with pytest.raises((ValueError, OSError), match=r"(shape \(32, 16\), expected \(48, 16\)|32 dimensions)"):
        main(arguments + weightless)
    assert sorted(tmp_path.iterdir()) == [tmp_path / "wide"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blip2": "mt5"}, r"is a checkpoint of type 'mt5', expected BLIP-2's layout"),
        ({"folder": "."}, r"already exists\. Delete it, or give another folder"),
        ({"options": ["--weightless", "--dtype", "bfloat16"]}, "A base without weights has no dtype"),
        ({"blip2": "gone"}, r"There is no folder .*gone, and this is no repository name"),
    ],
)
def test_what_is_wrong_with_the_input_is_said(changes, message, components, tmp_path):
    blip2, folder = components / changes.get("blip2", "blip2"), tmp_path / changes.get("folder", "composed")
    with pytest.raises((ValueError, OSError), match=rf"{message}"):
        main([str(blip2), str(components / "bloom"), str(folder), *changes.get("options", [])])


def test_a_language_model_without_a_tokenizer_is_refused_and_no_folder_appears(components, tmp_path):
    tiny_model("bloom").language_model.save_pretrained(tmp_path / "mute")
    with pytest.raises((ValueError, OSError), match=r"tokenizer"):
        main([str(components / "blip2"), str(tmp_path / "mute"), str(tmp_path / "composed")])
    assert sorted(tmp_path.iterdir()) == [tmp_path / "mute"]


def test_local_components_are_found_from_anywhere(components, tmp_path, monkeypatch):
    monkeypatch.chdir(components)
    main(["blip2", "bloom", str(tmp_path / "base"), "--weightless"])
    monkeypatch.chdir(tmp_path)
    assert MBlipForConditionalGeneration.from_pretrained("base").config.image_token_id == 100


def test_the_weights_are_written_in_shards_of_the_size_asked_for(components, tmp_path):
    main(
        [str(components / "blip2"), str(components / "bloom"), str(tmp_path / "composed"), "--max-shard-size", "50KB"]
    )
    assert len(list((tmp_path / "composed").glob("model-*-of-*.safetensors"))) > 1
    MBlipForConditionalGeneration.from_pretrained(tmp_path / "composed")


def test_a_base_whose_component_is_gone_says_which(components, tmp_path):
    shutil.copytree(components / "bloom", tmp_path / "bloom")
    main([str(components / "blip2"), str(tmp_path / "bloom"), str(tmp_path / "base"), "--weightless"])
    shutil.rmtree(tmp_path / "bloom")
    with pytest.raises(
        OSError,
        match=r"base holds no weights: it composes .*There is no folder .*bloom, and this is no repository name",
    ):
        AutoModelForImageTextToText.from_pretrained(tmp_path / "base")


def test_a_full_disk_ends_the_command_with_a_message_and_leaves_nothing(components, tmp_path, monkeypatch):
    def fill_disk(*args, **kwargs):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("transformers.modeling_utils.safe_save_file", fill_disk)
    with pytest.raises(OSError, match=r"There is no room for .*composed \(.*No space left on device.* MiB are free\)"):
        main([str(components / "blip2"), str(components / "bloom"), str(tmp_path / "composed")])
    assert list(tmp_path.iterdir()) == []
