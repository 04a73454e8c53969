"""The drafts of cards: each number in a table is in model_cards/facts.json, with its source, and none is a score."""

import json
import re

import pytest
import torch
from transformers import AutoConfig

from mblip.training.trainable import LearningRates, parameter_groups, set_trainable
from modeling_mblip import MBlipConfig, MBlipForConditionalGeneration
from tests.card_tables import CARD_FOLDER, read_card, tables

FACTS = json.loads((CARD_FOLDER / "facts.json").read_text(encoding="utf-8"))
DRAFTS = {
    "mblip-mt0-xl": {
        "model_type": "mt5",
        **{"d_model": 2048, "d_kv": 64, "d_ff": 5120, "num_layers": 24, "num_heads": 32, "vocab_size": 250112},
        "feed_forward_proj": "gated-gelu",
    },
    "mblip-bloomz-7b": {
        "model_type": "bloom",
        **{"hidden_size": 4096, "n_layer": 30, "n_head": 32, "vocab_size": 250880},
    },
}


def numbers(value: object) -> set[float]:
    """The numbers in nested JSON."""
    if isinstance(value, dict):
        return set().union(*(numbers(entry) for entry in value.values()))
    return {float(value)} if isinstance(value, int | float) else set()


@pytest.mark.parametrize("name", DRAFTS)
def test_every_number_in_a_drafts_tables_is_a_stated_fact(name):
    own = numbers(FACTS["models"][name]) | numbers({key: FACTS[key] for key in ("vision", "qformer", "hardware")})
    text = re.sub(r"`[^`]*`", "", read_card(name).text)
    found = [
        float(number.replace(",", ""))
        for table in tables(text)
        for row in table
        for cell in row
        for number in re.findall(r"\d[\d,]*(?:\.\d+)?(?:e-?\d+)?", cell)
    ]
    assert len(found) > 25
    assert [number for number in found if number not in own] == []
    for part in (FACTS["vision"], FACTS["qformer"], *FACTS["models"][name].values()):
        assert part["source"] in FACTS["sources"]


@pytest.mark.parametrize("name", DRAFTS)
def test_a_draft_states_no_score(name):
    card = read_card(name)
    assert "model-index" not in card.data.to_dict()
    assert "**A draft: there are no weights behind it.**" in card.text
    section = card.text.split("\n## Results\n")[1].split("\n## ")[0]
    assert section.startswith("\nNone were measured.")
    assert tables(section) == []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shape"), DRAFTS.items(), ids=DRAFTS)
def test_a_drafts_counted_parameters_are_counted_again(name, shape):
    config = MBlipConfig(text_config=AutoConfig.for_model(**shape))
    with torch.device("meta"):
        model = set_trainable(MBlipForConditionalGeneration(config), "re_alignment")
    stated = dict(FACTS["models"][name]["trained_parameters"])
    assert stated.pop("source") == "counted"
    counts = dict.fromkeys(stated, 0)
    for group in parameter_groups(model, LearningRates(projection=0, qformer=0, lora=0, rest=None), weight_decay=0.0):
        counts[group["name"].partition(",")[0]] += sum(parameter.numel() for parameter in group["params"])
    assert counts | {"total": sum(counts.values())} == stated
    vision, qformer = config.vision_config, config.qformer_config
    assert [FACTS["vision"][k] for k in ("layers", "width", "heads", "MLP width", "pixels", "patch")] == [
        vision.num_hidden_layers,
        vision.hidden_size,
        vision.num_attention_heads,
        vision.intermediate_size,
        vision.image_size,
        vision.patch_size,
    ]
    assert [FACTS["qformer"][k] for k in ("layers", "width", "heads", "cross-attention every layers")] == [
        qformer.num_hidden_layers,
        qformer.hidden_size,
        qformer.num_attention_heads,
        qformer.cross_attention_frequency,
    ]
