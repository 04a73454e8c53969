"""The recipe of a mix: the schema of the YAML files that `mblip build` reads."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_type_hints

from mblip.data.images.check import ImageSettings
from mblip.data.languages import Language, LanguageCode, get_language
from mblip.data.prompts import Templates
from mblip.data.recipes.dotted import is_dotted
from mblip.data.recipes.ranges import Count, Seed, Share, ShareAbove0
from mblip.data.recipes.sources import (
    Source,
    convert_language,
    convert_source,
    own_and_arguments,
    prepared,
)
from mblip.data.recipes.strict_loading import Converter, call_with, convert, join
from mblip.data.recipes.yaml_values import Located, read_yaml

from ..allocation import Allocation
from ..fetching.settings import FetchSettings
from ..translation.engines import OnFailure, OwnEngine, TranslationSettings, find_engine

Translation = TranslationSettings | OwnEngine | None
OWN_SOURCES = frozenset({"own_folder", "own_dataset"})


@dataclass(frozen=True)
class MixSource(Source):
    """A source of examples.

    A `share` of its examples is taken, drawn by (seed, source, id). `allocation` replaces the mix's allocation for
    this source. The dataset card shows `license` and `origin` for data that are not published.
    """

    share: ShareAbove0 = 1.0
    allocation: Allocation | None = None
    license: str | None = None
    origin: str | None = None


@dataclass(frozen=True)
class PromptSettings:
    """Which prompt templates the examples get; see `apply_prompt`."""

    native_share: Share = 0.0
    native_folder: Path | None = None
    templates: Templates = "ours"

    def __post_init__(self) -> None:
        if self.native_folder is None:
            return
        if not self.native_share:
            raise ValueError(
                f"`native_folder` is {self.native_folder}, but `native_share` is 0. Set both, or neither."
            )
        if not any(self.native_folder.glob("*.yaml")):
            raise ValueError(
                f"`native_folder` is {self.native_folder}, which holds no YAML files. Write them with "
                "`mblip translate-prompts`."
            )


@dataclass(frozen=True)
class MixRecipe:
    """A mix: its sources, the languages that their English examples are allotted to, and how it is stored.

    `num_shards` is the number of parquet files; aim at a few hundred megabytes per file. Without `allocation`, every
    example stays in its source's language.
    """

    sources: tuple[MixSource, ...]
    num_shards: Count
    allocation: Allocation | None = None
    translation: Translation = None
    prompts: PromptSettings = field(default_factory=PromptSettings)
    images: ImageSettings = field(default_factory=ImageSettings)
    fetching: FetchSettings = field(default_factory=FetchSettings)
    seed: Seed = 42
    name: str = "mix"
    add_languages: tuple[Language, ...] = ()

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError("`sources` is empty, expected at least one.")
        given = (self.allocation, *(source.allocation for source in self.sources))
        allocations = [allocation for allocation in given if allocation is not None]
        if allocations and self.translation is None:
            raise ValueError("`allocation` assigns other languages, but there is no `translation`. Add it.")
        drawn = {code for allocation in allocations for code, share in allocation.shares.items() if share}
        without = sorted(code for code in drawn if not get_language(code).nllb_code)
        if without and isinstance(self.translation, TranslationSettings):
            raise ValueError(
                f"The allocation includes {', '.join(without)}, which an NLLB cannot translate into without an "
                "`nllb_code`. Add it, leave them out of its `languages`, or give an `engine` of your own."
            )
        _check_own_names(self.sources)

    def allot(self, source: MixSource) -> Allocation | None:
        """The allocation for a source's examples. None: they stay in their language."""
        return source.allocation or self.allocation


def read_mix_recipe(path: Path) -> MixRecipe:
    """The recipe in a YAML file.

    Raises:
        ValueError: the file cannot be read, or a field is unknown or has a wrong type. The message names the location.
    """
    recipe: MixRecipe = convert(prepared(read_yaml(path)), MixRecipe, "", CONVERTERS)
    return recipe


def _check_own_names(sources: Iterable[Source]) -> None:
    """Raise ValueError if two sources of own data have the same name. Their images would be confused."""
    locations: dict[str, tuple[str, str | None]] = {}
    for source in _with_nested(sources):
        if source.source not in OWN_SOURCES:
            continue
        arguments = source.arguments
        name = arguments.get("name") or Path(arguments["path"]).resolve().name
        location = (str(Path(arguments["path"])), arguments.get("images"))
        if locations.setdefault(name, location) != location:
            raise ValueError(
                f"Two sources of own data have the name {name!r}: {locations[name][0]} and {location[0]}. "
                "Give one of them another `name`, to keep their images and draws apart."
            )


def _with_nested(sources: Iterable[Source]) -> Iterator[Source]:
    for source in sources:
        yield source
        yield from _with_nested(value for value in source.arguments.values() if isinstance(value, Source))


def _convert_source(found: Located, path: str) -> MixSource:
    own_keys = {"share": ShareAbove0, "allocation": Allocation | None, "license": str, "origin": str}
    source, own = convert_source(found, path, own_keys, CONVERTERS)
    return MixSource(source.source, source.arguments, folder=source.folder, **own)


def _convert_translation(found: Located, path: str) -> Translation:
    """NLLB's settings, or an engine by a dotted path with the arguments of its function."""
    engine = found.value.get("engine") if isinstance(found.value, dict) else None
    if found.value is None:
        return None
    if engine is None or engine.value in get_args(get_type_hints(TranslationSettings)["engine"]):
        settings: TranslationSettings = call_with(TranslationSettings, found, path, CONVERTERS)
        return settings
    name, key = engine.value, f"{engine.location}: `{join(path, 'engine')}`"
    if not isinstance(name, str) or not is_dotted(name):
        raise ValueError(f"{key} is {name!r}, expected transformers, ctranslate2, or yours: `my_module:my_engine`.")
    try:
        function = find_engine(name, engine.folder)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error
    own, arguments = own_and_arguments(function, found, path, {"engine": str, "on_failure": OnFailure}, CONVERTERS)
    return OwnEngine(own.pop("engine"), arguments, folder=engine.folder, **own)


CONVERTERS: Mapping[Any, Converter] = {
    MixSource: _convert_source,
    LanguageCode: convert_language,
    Translation: _convert_translation,
}
