"""Crossmodal-3600: photos from all over the world, captioned by people in 36 languages.

captions.jsonl, as published, is JSON lines of {"image/key": "00a72fa141918070", "image/locale": "ar", "ar":
{"caption": ["...", "..."], "caption/tokenized": [...], "caption/tokenized/lowercase": [...]}, ..., "zh": {...}}. The
photo is <key>.jpg. Bengali has one caption per photo, the other languages have one to five. Hebrew is `he` in the file
and `iw` here. Croatian (`hr`) and Quechua (`quz`) are not among the 96 languages that mBLIP is trained on.

Thapliyal et al., 2022. Licences: captions CC BY 4.0, photos CC BY 2.0 (image_attributions.csv).

mBLIP's paper asks about all 3,600 photos, Centurio about the first 512 of the file (`num_images`), Pangea about 100
that its own data set holds (XM100). `subset` names a file of keys. CIDEr-D depends on the photos, so figures of
different photos cannot be compared.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mblip.data.images import Image
from mblip.data.recipes.ranges import Count
from mblip.data.skipped import SkipReport
from mblip.data.sources.image_names import Images, image_location
from mblip.data.sources.records import check_record

from ..captioning import ask_for_caption, captioning_task
from ..languages import mix_code
from ..metrics.caption_tokens import Tokenization
from ..protocol import Setup
from ..read_files import Published, ReadFiles
from ..records import DatasetLocation, LocatedRecord, check_one_location, image_of, records_of
from ..task import EvaluationExample, EvaluationTask, Origin

NAME = "xm3600"
ORIGIN = Origin(
    "https://google.github.io/crossmodal-3600",
    "captions CC BY 4.0, photos CC BY 2.0",
    layout="captions.jsonl, and <image/key>.jpg of images.tgz in one folder",
)

PUBLISHED = Published({"test": 3600}, num_languages=36)


def xm3600(
    setup: Setup,
    *,
    captions: Path | None = None,
    images: Images | None = None,
    dataset: DatasetLocation | None = None,
    languages: tuple[str, ...] | None = None,
    subset: Path | None = None,
    num_images: Count | None = None,
    tokenization: Tokenization = "ptb",
) -> EvaluationTask:
    """The photos in each language.

    Args:
        captions: the published file. Or give a `dataset` with its fields, or with a part for each of the `languages`.
        images: the folder, URL or archive of the photos, unless the dataset holds them.
        languages: None: all languages of the captions.
        subset: a file of keys, one per line.
        num_images: take only the first photos of the file. None, without a subset: as many as the protocol.
    """
    check_one_location(captions, dataset)
    asked = None if languages is None else tuple(map(mix_code, languages))
    parts = languages if dataset is not None and dataset.is_by_language else (None,)
    if parts is None:
        raise ValueError("The dataset has a part for each language. Name the `languages` to read.")
    if subset is not None and num_images is not None:
        raise ValueError(f"found `num_images` and the `subset` {subset}, expected one of the two.")
    rules, skipped = setup.rules(NAME, subset=subset, num_images=num_images), SkipReport()
    prompts, files = setup.prompts_of(rules), ReadFiles(PUBLISHED)
    num_images = rules.arguments.get("num_images")

    def examples() -> Iterator[EvaluationExample]:
        parted = (record for part in parts for record in records_of(captions, dataset, files=files, language=part))
        photos = read_photos(parted, images=images)
        chosen_codes = chosen_languages(photos.values(), asked)
        chosen = _chosen_keys(photos, subset, num_images, skipped)
        files.add(subset, len(chosen))
        for key in chosen:
            for language in chosen_codes:
                yield from ask_for_caption(
                    prompts,
                    photos[key].image,
                    photos[key].captions.get(language, ()),
                    image_id=f"{NAME}/{key}",
                    language=language,
                    id=f"{language}/{key}",
                    benchmark=NAME,
                    skipped=skipped,
                )

    asked_for = list(examples())
    num_photos = len({example.image_id for example in asked_for})
    is_other = rules.arguments.get("num_photos") not in (None, num_photos) and not rules.changes
    return captioning_task(
        NAME if subset is None else f"{NAME}_{Path(subset).stem}",
        asked_for,
        setup=setup,
        tokenization=tokenization,
        origin=ORIGIN,
        skipped=skipped,
        files=files,
        rules=rules,
        changes=(f"{num_photos:,} photos, not XM100's",) if is_other else (),
    )


def _chosen_keys(
    photos: Mapping[str, "Photo"], subset: Path | None, num_images: int | None, skipped: SkipReport
) -> list[str]:
    """The keys of the subset or the first ones, in the order of the file."""
    if subset is not None:
        chosen, reason = read_subset(subset, photos), f"photo outside the subset {Path(subset).stem}"
    else:
        chosen, reason = set(list(photos)[:num_images]), f"photo not among the first {num_images or 0:,}"
    for key in photos:
        if key not in chosen:
            skipped.add(reason, f"{NAME}/{key}")
    return [key for key in photos if key in chosen]


@dataclass(frozen=True)
class Photo:
    """A photo with its captions by language, in our codes."""

    image: Image
    captions: Mapping[str, Sequence[str]]


def read_photos(records: Iterable[LocatedRecord], *, images: str | None) -> dict[str, Photo]:
    """The photos of records by their keys, in their order.

    Raises:
        ValueError: a record is not as published, a key is repeated, a language is unknown, or there is no `images` and
            no image in the record; the message names the location.
    """
    photos: dict[str, Photo] = {}
    for location, record in records:
        key = check_record(record, {"image/key": str}, location=location)["image/key"]
        found, known = captions_of(record, location=location), photos.get(key)
        if known is not None and not found.keys().isdisjoint(known.captions):
            raise ValueError(f"{location}: found the `image/key` {key!r} a second time. Download the file again.")
        name = f"{key}.jpg"
        file = None if images is None else image_location(images, name, location=location)
        photos[key] = (
            Photo(image_of(record, file, location=location, name=name), found)
            if known is None
            else Photo(known.image, {**known.captions, **found})
        )
    return photos


def captions_of(record: Mapping[str, object], *, location: str) -> dict[str, Sequence[str]]:
    """The captions of a record by language, in our codes.

    Raises:
        ValueError: a language is unknown, or its captions are not as published.
    """
    names = [name for name in record if not name.startswith("image")]
    captions: dict[str, Sequence[str]] = {}
    for name, found in check_record(record, dict.fromkeys(names, dict | None), location=location).items():
        try:
            code = mix_code(name)
        except ValueError as error:
            raise ValueError(f"{location}: the field {name!r} is not a language. {error}") from error
        if found is not None:  # `datasets` writes None for missing languages
            captions[code] = check_record(found, {"caption": list[str]}, location=f"{location}, {name}")["caption"]
    return captions


def chosen_languages(photos: Iterable[Photo], asked: Sequence[str] | None) -> tuple[str, ...]:
    """The requested languages, or all languages in order of first appearance.

    Raises:
        ValueError: a requested language has no captions.
    """
    found = tuple(dict.fromkeys(language for photo in photos for language in photo.captions))
    if missing := [language for language in asked or () if language not in found]:
        there = ", ".join(found) or "no language"
        raise ValueError(f"{NAME}: found no captions in {', '.join(missing)}, expected languages among {there}.")
    return tuple(asked or found)


def read_subset(path: str | Path, keys: Collection[str]) -> set[str]:
    """Read a file of keys, one per line.

    Raises:
        ValueError: the file does not exist, is empty, or has an unknown key.
    """
    try:
        chosen = set(Path(path).read_text(encoding="utf-8-sig").split())
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}. Expected the keys of the subset, one per line.") from error
    unknown = sorted(chosen.difference(keys))
    if unknown or not chosen:
        found = f"the unknown key {unknown[0]!r}" if unknown else "no key"
        raise ValueError(f"{path}: found {found}, expected keys of the {len(keys)} photos of {NAME}, one per line.")
    return chosen
