"""Settings that the processor takes from the model's `config.json` in the same folder.

We read the file as JSON, so the model's classes need not be installed.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import constants
from transformers import AutoConfig, PreTrainedConfig

HUB_ARGUMENTS = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")


@dataclass(frozen=True)
class ModelSettings:
    """Settings from a model's config.json. None means that the folder does not give the setting."""

    num_query_tokens: int | None = None
    image_token_id: int | None = None
    padding_side: str | None = None

    @property
    def processor_arguments(self) -> dict[str, Any]:
        """The settings that are arguments of the processor, without those that are None."""
        settings = {"num_query_tokens": self.num_query_tokens, "image_token_id": self.image_token_id}
        return {name: value for name, value in settings.items() if value is not None}


def check_agreement(
    name_or_path: Any, saved: Mapping[str, Any], settings: ModelSettings, given: Collection[str]
) -> None:
    """Check that a folder's processor_config.json agrees with the model's config.json beside it.

    Args:
        saved: the content of processor_config.json.
        given: names of arguments that the caller gives. These may differ from the saved ones.

    Raises:
        ValueError: they differ. config.json is right, because the model uses it.
    """
    for name, expected in settings.processor_arguments.items():
        found = saved.get(name)
        if found is not None and found != expected and name not in given:
            raise ValueError(
                f"processor_config.json of {name_or_path} says `{name}` {found}, expected {expected} as in the "
                f"model's config.json. Correct it, or give `{name}={expected}` here, and save the processor again."
            )


def check_location(name_or_path: Any) -> None:
    """Refuse a mistyped folder, which the Hub would be asked for: `a/b` if there is a folder `a`, but neither `a/b`
    nor a repository `a/b` in the Hub's cache. The model has its own check, because each is shipped without the other.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    path = Path(name_or_path)
    is_cached = Path(constants.HF_HUB_CACHE, f"models--{'--'.join(path.parts)}").is_dir()
    if len(path.parts) == 2 and path.parent.is_dir() and not path.exists() and not is_cached:
        raise FileNotFoundError(
            f"There is no folder {path}, though there is a folder {path.parent}. If you mean a repository on the Hub, "
            f"run `hf download {path}` first."
        )


def read_model_settings(name_or_path: Any, **kwargs: Any) -> ModelSettings:
    """The settings of the mBLIP or BLIP-2 model in a folder or repository. All are None if there is no such model."""
    hub_arguments = {name: kwargs[name] for name in HUB_ARGUMENTS if name in kwargs}
    try:
        config, _ = PreTrainedConfig.get_config_dict(name_or_path, **hub_arguments)
    except OSError:  # no config.json: a processor saved on its own
        return ModelSettings()
    if "text_config" not in config or "qformer_config" not in config:
        return ModelSettings()
    image_token_id = config.get("image_token_id", config.get("image_token_index"))
    is_known = isinstance(image_token_id, int) and image_token_id >= 0
    return ModelSettings(
        num_query_tokens=config.get("num_query_tokens"),
        image_token_id=image_token_id if is_known else None,
        padding_side="right" if is_encoder_decoder(config["text_config"]) else "left",
    )


def is_encoder_decoder(text_config: dict[str, Any]) -> bool:
    if "is_encoder_decoder" in text_config:
        return text_config["is_encoder_decoder"]
    return AutoConfig.for_model(**text_config).is_encoder_decoder
