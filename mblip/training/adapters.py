"""Adapters of PEFT's that name a base others can load.

An adapter holds what re-alignment trained and is worth nothing without the very weights it was trained on. PEFT writes
down whatever name the model in memory had: none at all, or that of a folder in BLIP-2's own layout, on which
transformers would build its BLIP-2 class and leave the trained query tokens out.
"""

import os
from typing import Any

from peft import PeftModel
from transformers import PreTrainedConfig

from modeling_mblip.checkpoint_reading import has_weights
from modeling_mblip.configuration_mblip import MBlipConfig
from modeling_mblip.loading_mblip import parents_to_compose


class MBlipAdapterModel(PeftModel):
    """LoRA and trained image side around an `MBlipForConditionalGeneration`; `set_trainable` makes it.

    The base is checked here, in `save_pretrained`, because whoever saves comes by it: train.py, a plain Trainer, a
    notebook. `PeftModel.from_pretrained` gives PEFT's own class, which does not look; `check_base` can be called
    before it saves.
    """

    def save_pretrained(
        self,
        save_directory: str | os.PathLike,
        safe_serialization: bool = True,
        selected_adapters: list[str] | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """As in PEFT.

        Raises:
            ValueError: an adapter's base is none that can be loaded, see `check_base`.
        """
        for name in self.peft_config if selected_adapters is None else selected_adapters:
            check_base(self.peft_config[name].base_model_name_or_path, self.peft_config[name].revision)
        super().save_pretrained(os.fspath(save_directory), safe_serialization, selected_adapters, *args, **kwargs)


def is_own_checkpoint(name_or_path: str, revision: str | None = None) -> bool:
    """Whether a checkpoint is of mBLIP's own type, as the base of an adapter must be, and not in BLIP-2's layout."""
    config, _ = PreTrainedConfig.get_config_dict(name_or_path, revision=revision)
    return config.get("model_type") == MBlipConfig.model_type


def check_base(name_or_path: str | None, revision: str | None = None) -> None:
    """Refuse a base that others could not load an adapter on.

    Raises:
        ValueError: it has no name, cannot be found, is not of mBLIP's own type, or has neither weights nor parents.
    """
    if not name_or_path:
        raise ValueError(
            "The adapter's base has no name: it was made in memory. Save it with `save_pretrained`, or, if "
            "`from_blip2_pretrained` made it, without weights with `save_composition`, and give the folder: "
            '`model.peft_config["default"].base_model_name_or_path = folder`.'
        )
    try:
        config, _ = PreTrainedConfig.get_config_dict(name_or_path, revision=revision)
    except OSError as error:
        raise ValueError(f"The adapter's base {name_or_path} cannot be loaded: {error}") from error
    if config.get("model_type") != MBlipConfig.model_type:
        raise ValueError(
            f"The adapter's base {name_or_path} is of type {config.get('model_type')!r}, expected "
            f"{MBlipConfig.model_type!r}: on any other, transformers builds another class. Convert it, "
            f'`MBlipForConditionalGeneration.from_pretrained("{name_or_path}").save_pretrained(folder)`, and name '
            "that folder as the base."
        )
    is_composition = parents_to_compose(name_or_path, revision=revision) is not None
    if not is_composition and not has_weights(name_or_path, revision=revision):
        raise ValueError(
            f"The adapter's base {name_or_path} holds no weights and names no parents. Save it with `save_pretrained` "
            "or `save_composition`."
        )
