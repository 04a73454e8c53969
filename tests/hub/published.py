"""What people publish, at tiny size: components, an old BLIP-2, finished runs; and how what is pulled is compared."""

from pathlib import Path

import torch
from huggingface_hub import ModelCard
from peft import PeftModel
from safetensors.torch import load_file

from mblip.training.finishing import finish_model, save_adapter, save_model
from mblip.training.recipe_reading import read_recipe
from mblip.training.run_folder import open_run
from mblip.training.starting_model import build_model
from mblip.training.trainable import choose_trainable
from modeling_mblip import MBlipForConditionalGeneration
from tests.hub.repositories import Repository, StoredFile, is_large
from tests.hub.server import LoopbackHub
from tests.tiny import tiny_batch, tiny_blip2
from tests.training.tiny_run import write_components, write_recipe

SHARD_SIZE = "30KB"


def upload(hub: LoopbackHub, name: str, folder: Path, **settings: bool) -> Repository:
    """A repository with the files of a folder, put there without a client."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    assert paths
    files = {
        path.relative_to(folder).as_posix(): StoredFile(path.read_bytes(), is_large(path.name, path.stat().st_size))
        for path in paths
    }
    return hub.add(name, files, **settings)


def add_components(hub: LoopbackHub, folder: Path, family: str = "mt5") -> None:
    """`parents/blip2` and `parents/text`, a language model with its tokenizer."""
    write_components(folder, family)
    upload(hub, "parents/blip2", folder / "blip2")
    upload(hub, "parents/text", folder / "language_model")


def save_old_blip2(folder: Path) -> dict[str, torch.Tensor]:
    """A BLIP-2 as it was saved in 2023: pickled shards with an index, and no image token in its configuration.

    Returns:
        Its weights.
    """
    blip2 = tiny_blip2("t5", seed=1, image_token_index=None)
    blip2.save_pretrained(folder, max_shard_size=SHARD_SIZE)
    index_path = folder / "model.safetensors.index.json"
    index = index_path.read_text()
    for shard in sorted(folder.glob("model-*.safetensors")):
        name = shard.name.replace("model-", "pytorch_model-").replace(".safetensors", ".bin")
        torch.save(load_file(shard), folder / name)
        index = index.replace(shard.name, name)
        shard.unlink()
    (folder / "pytorch_model.bin.index.json").write_text(index)
    index_path.unlink()
    return blip2.state_dict()


def finish_run(folder: Path, blip2: str, language_model: str) -> tuple[Path, torch.Tensor]:
    """A run's folder as train.py leaves it, with what trained at random values.

    Returns:
        The folder, and the logits of the model it holds.
    """
    recipe = read_recipe(write_recipe(folder, model={"blip2": blip2, "language_model": language_model}))
    run = open_run(recipe, is_main_process=True)
    model, processor = build_model(recipe.model, recipe.seed)
    adapted = choose_trainable(model, run.stages[1])
    randomise(adapted)
    save_adapter(adapted, run)
    merged = finish_model(adapted, run)
    metadata = f"license: mit\nlibrary_name: transformers\nbase_model:\n- {blip2}\n- {language_model}"
    use = 'model = MBlipForConditionalGeneration.from_pretrained("FOLDER")'
    card = ModelCard(f"---\n{metadata}\n---\n\n# out\n\n## Use\n\n{use}\n\n## Results\n\nNone.\n")
    save_model(merged, processor, str(card), run)
    return run.folder, logits(merged)


def randomise(model: PeftModel) -> None:
    """Give what trains random values, so that no part of it can go missing unnoticed."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(0.0, 0.2)


def logits(model: torch.nn.Module, family: str = "mt5") -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(**tiny_batch(family)).logits


def load(name: str, **settings: object) -> MBlipForConditionalGeneration:
    return MBlipForConditionalGeneration.from_pretrained(name, **settings)
