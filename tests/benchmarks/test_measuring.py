"""What the benchmarks measure with: shared weights, counted operations, turns, and peak memory."""

import sys
from pathlib import Path

import peak_memory
import pytest
import torch
from flop_counts import PartFlops, count_flops, count_part_flops
from model_pair import build_pair
from model_shapes import cut_shape, full_shape, toy_shape
from paired_inputs import ask
from peak_memory import run_alone
from side_by_side import time_in_turns
from training_step import train_as_in_re_alignment

CPU = torch.device("cpu")


@pytest.fixture
def pair():
    return build_pair(toy_shape("mt0-xl"), "cpu", torch.float32)


def test_both_sides_hold_the_same_parameters(pair):
    ours = {id(parameter) for parameter in pair.ours.parameters()}
    assert ours == {id(parameter) for parameter in pair.theirs.parameters()}


def test_image_side_and_lora_train_and_the_rest_is_frozen(pair):
    train_as_in_re_alignment(pair)
    trained = {name for name, parameter in pair.theirs.named_parameters() if parameter.requires_grad}
    kinds = {name.split(".")[0] if "lora_" not in name else "lora" for name in trained}
    assert kinds == {"query_tokens", "qformer", "language_projection", "lora"}


def test_our_inputs_hold_every_image_once_and_the_references_one_per_prompt(pair):
    inputs = ask(pair, num_images=2, prompts_per_image=3, num_tokens=5)
    assert inputs.ours["image_indices"].tolist() == [0, 0, 0, 1, 1, 1]
    assert torch.equal(inputs.ours["pixel_values"][[0, 0, 0, 1, 1, 1]], inputs.theirs["pixel_values"])
    assert torch.equal(inputs.ours["input_ids"], inputs.theirs["input_ids"])
    assert inputs.image_share == 1 / 3


def test_the_bound_leaves_out_repeated_images_and_rows_without_a_label():
    flops = PartFlops(vision=52, qformer=4, language_model=40, head=4)
    assert flops.bound(image_share=0.25) == 100 / (14 + 40 + 4)
    assert flops.bound(image_share=1.0, label_share=0.5) == 100 / 98
    assert flops.bound(image_share=1.0) == 1.0


def test_the_parts_are_counted_as_by_hand(pair):
    """The head: 2 x rows x width x vocabulary forward, and as much again for the gradient of its input."""
    train_as_in_re_alignment(pair)
    inputs = ask(pair, num_images=1, prompts_per_image=2, num_tokens=3, num_targets=5)
    flops = count_part_flops(
        pair.theirs, inputs.theirs["pixel_values"], lambda: pair.theirs(**inputs.theirs).loss.backward()
    )
    assert flops.head == 2 * 2 * (2 * 5) * 32 * 128
    patches = 2 * 4 * (3 * 14 * 14) * 24
    layer = 2 * 5 * (4 * 24 * 24 + 2 * 24 * 48) + 2 * 2 * 5 * 5 * 24
    assert flops.vision == 2 * (patches + 2 * layer)
    assert flops.qformer > 0
    assert flops.language_model > flops.head


def test_ours_needs_the_operations_that_the_bound_counts(pair):
    train_as_in_re_alignment(pair)
    inputs = ask(pair, num_images=2, prompts_per_image=4, num_tokens=3, num_targets=5)
    flops = count_part_flops(
        pair.theirs, inputs.theirs["pixel_values"], lambda: pair.theirs(**inputs.theirs).loss.backward()
    )
    ours = count_flops(lambda: pair.ours(**inputs.ours).loss.backward())
    assert flops.total / ours == pytest.approx(flops.bound(inputs.image_share), rel=0.02)


def test_the_sides_take_turns_in_beginning():
    order: list[str] = []
    time_in_turns(lambda: order.append("ours"), lambda: order.append("theirs"), 3, CPU)
    assert order == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the high-water mark of memory is read from Linux's /proc")
@pytest.mark.usefixtures("_children_find_the_packages")
def test_peak_memory_is_what_a_step_takes_at_its_highest_though_it_frees_it(tmp_path):
    script = tmp_path / "step.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(Path(peak_memory.__file__).parent)!r})\n"
        "import torch; from peak_memory import peak_megabytes\n"
        "step = lambda: [torch.ones(25_000_000).sum() for _ in range(2)]  # 100 MB, freed before the next\n"
        "print(peak_megabytes(step, torch.device('cpu')))\n"
    )
    assert 95 < float(run_alone(script, [])) < 130


@pytest.mark.parametrize(("language_model", "vocab_size"), [("mt0-xl", 250112), ("bloomz-7b1", 250880)])
def test_a_cut_shape_keeps_widths_and_takes_a_share_of_every_depth(language_model, vocab_size):
    full, cut = full_shape(language_model), cut_shape(language_model, num_vision_layers=13)
    assert full.vocab_size == vocab_size
    depths = {name for name in full.text if full.text[name] != cut.text[name]} - {"vocab_size"}
    assert depths == ({"num_layers", "num_decoder_layers"} if language_model == "mt0-xl" else {"n_layer"})
    assert cut.vocab_size == round(vocab_size / 3)
    assert cut.vision == full.vision | {"num_hidden_layers": 13}
    assert cut.qformer == full.qformer | {"num_hidden_layers": 4}
