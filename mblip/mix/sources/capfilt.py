"""Web captions of BLIP's CapFilt: URLs of web images, with captions that BLIP wrote or kept.

The files of salesforce/BLIP (ccs_filtered.json, ccs_synthetic_filtered_large.json, from which mBLIP's captions were
chosen, and others) are each one JSON array of {"url": "https://...", "caption": "a dog on a beach"}, of up to
gigabytes, and are read as a stream. They hold no images; fetch these by URL. Licence: BLIP's repository is BSD
3-Clause; images and alternative texts belong to their sites.

An example's id comes from URL and caption, so it does not change if other records are removed from the file. A
repeated record gives two examples with one id, and a build takes one of them.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mblip.data.example import Example
from mblip.data.images.locations import is_url
from mblip.data.json_stream import iter_json_array
from mblip.data.recipes.ranges import Count, Share
from mblip.data.skipped import SkipReport, counted_once, has_usable_texts
from mblip.data.sources import published
from mblip.data.sources.image_names import url_image_id
from mblip.data.sources.records import check_record

from ..filters.near_duplicates import drop_near_duplicates
from ..filters.noun_phrases import select_by_noun_phrases, spacy_noun_phrases

SOURCE = "capfilt"
FIELDS = {"url": str, "caption": str}


@dataclass(frozen=True)
class NounPhrases:
    """How to choose captions by their noun phrases. `model` is spaCy's."""

    model: str = "en_core_web_sm"
    min_captions: Count = 10
    max_captions: Count = 30
    num_processes: Count = 1


@published("web captions", "salesforce/BLIP, CapFilt", "repository BSD 3-Clause; images: their sites'")
def capfilt(
    seed: int,
    skipped: SkipReport | None = None,
    *,
    path: Path,
    max_similarity: Share | None = None,
    noun_phrases: NounPhrases | None = None,
    as_released: bool = False,
) -> Iterator[Example]:
    """Web captions of BLIP CapFilt, a JSON array of URLs and captions.

    With `max_similarity`, such as 0.8, a caption at least this similar to an earlier one is skipped. With
    `noun_phrases`, the remaining captions are chosen by their noun phrases, in the original's way with `as_released`.
    """

    skipped = SkipReport() if skipped is None else skipped

    def read(counted: SkipReport) -> Iterator[Example]:
        captions = read_capfilt(path, skipped=counted)
        if max_similarity is None:
            return captions
        return drop_near_duplicates(captions, threshold=max_similarity, skipped=counted)

    if noun_phrases is None:
        return read(skipped)
    return select_by_noun_phrases(
        counted_once(read, skipped),
        parser=spacy_noun_phrases(noun_phrases.model, num_processes=noun_phrases.num_processes),
        min_captions=noun_phrases.min_captions,
        max_captions=noun_phrases.max_captions,
        seed=seed,
        as_released=as_released,
        skipped=skipped,
    )


def read_capfilt(path: str | Path, *, skipped: SkipReport | None = None) -> Iterator[Example]:
    """The captions of a file, one after another in constant memory. Each run of white space becomes one space.

    A record is skipped and counted if its URL is not an http or https address, or its caption is empty.

    Raises:
        ValueError: the file is not as published. The message names the record and the field.
    """
    skipped = SkipReport() if skipped is None else skipped
    for index, record in enumerate(iter_json_array(path)):
        fields = check_record(record, FIELDS, location=f"{path}, record {index}")
        url, caption = fields["url"], " ".join(fields["caption"].split())
        id = hashlib.blake2b(f"{url}\n{caption}".encode(errors="surrogatepass"), digest_size=10).hexdigest()
        name = f"{SOURCE}/{id}"
        if not has_usable_texts([url, caption], name=name, skipped=skipped):
            continue
        if not is_url(url):
            skipped.add("no http or https address", name)
            continue
        yield Example(
            images=(url,),
            prompt="",
            target=caption,
            language="en",
            task="captioning",
            source=SOURCE,
            id=id,
            image_id=url_image_id(url),
        )
