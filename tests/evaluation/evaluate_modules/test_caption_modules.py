"""The captioning metrics as modules: the values are those of the functions, whichever way captions come in."""

import pytest

from mblip.evaluation.metrics.caption_scores import score_captions
from mblip.evaluation.metrics.chrf import chrf

HYPOTHESES = ["a dog", "two cats sleep", ""]
REFERENCES = [["a big dog"], ["two cats", "cats sleep"], ["a bird"]]


@pytest.mark.parametrize(
    ("module", "scores"),
    [
        ("cider_d", {"cider_d": "CIDEr-D"}),
        ("rouge_l", {"rouge_l": "ROUGE-L"}),
        ("bleu", {f"bleu_{order}": f"BLEU-{order}" for order in (1, 2, 3, 4)}),
    ],
)
def test_a_module_gives_the_values_of_score_captions(module, scores, load_module):
    expected = score_captions(HYPOTHESES, REFERENCES)
    found = load_module(module).compute(predictions=HYPOTHESES, references=REFERENCES)
    per_image, tokenization = found.pop("per_image"), found.pop("tokenization")
    assert found == {name: expected.overall[ours] for name, ours in scores.items()}
    by_name = per_image if module == "bleu" else {module: per_image}
    assert by_name == {name: list(expected.per_image[ours]) for name, ours in scores.items()}
    assert tokenization == expected.tokenization


def test_captions_may_come_in_batches_and_one_by_one(load_module):
    whole = load_module("cider_d").compute(predictions=HYPOTHESES, references=REFERENCES)
    module = load_module("cider_d")
    module.add_batch(predictions=HYPOTHESES[:2], references=REFERENCES[:2])
    module.add(prediction=HYPOTHESES[2], reference=REFERENCES[2])
    assert module.compute() == whole


@pytest.mark.parametrize("name", ["cider_d", "bleu_1", "rouge_l"])
@pytest.mark.parametrize("tokenization", ["ptb", "segmented"])
def test_language_and_tokenization_are_arguments_of_compute(name, tokenization, load_module):
    hypotheses, references = ["小河流", "猫"], [["小河", "河"], ["猫在沙发上"]]
    arguments = {"language": "zh", "tokenization": tokenization}
    expected = score_captions(hypotheses, references, **arguments)
    module = load_module(name.removesuffix("_1"))
    found = module.compute(predictions=hypotheses, references=references, **arguments)
    assert found[name] == expected.overall[{"cider_d": "CIDEr-D", "bleu_1": "BLEU-1", "rouge_l": "ROUGE-L"}[name]]
    # By words, nothing is in common; by character, much is.
    assert (found[name] > 1e-3) == (tokenization == "ptb")


def test_chrf_gives_the_values_of_the_function(load_module):
    pytest.importorskip("sacrebleu", reason="sacrebleu is not installed: `pip install mblip[eval]`")
    expected = chrf(HYPOTHESES, REFERENCES)
    found = load_module("chrf").compute(predictions=HYPOTHESES, references=REFERENCES)
    assert found == {"chrf": expected.overall, "per_image": list(expected.per_image)}


@pytest.mark.parametrize("module", ["cider_d", "bleu", "rouge_l", "chrf"])
def test_a_text_where_a_list_of_references_belongs_is_an_error(module, load_module):
    with pytest.raises(ValueError, match="expected a list"):
        load_module(module).compute(predictions=["a dog"], references=["a dog"])


@pytest.mark.parametrize("module", ["cider_d", "bleu", "rouge_l", "chrf"])
def test_the_example_of_a_module_gives_what_it_says(module, load_module):
    loaded = load_module(module)
    call, result = loaded.inputs_description.split(">>> ")[-1].strip().split("\n    ")
    assert eval(call, {module: loaded}) == pytest.approx(eval(result), abs=1e-15)
