"""Show a model in the browser: captions and answers in many languages at once.

    mblip demo MODEL
    mblip demo                                   the newest training in outputs/
    mblip demo MODEL --host 0.0.0.0 --port 8000  for others on your network
    mblip demo MODEL --languages en,sw --load_in 4bit

MODEL is a folder or a name on the Hub, in mBLIP's or BLIP-2's layout, or an adapter, which we load on its base. The
page offers the languages of the model's card, or all 96 of the training mix if the card names none.

The image encoder reads an image once for all languages, and again only when 16 other requests came between. Captions
and free answers appear token by token, all languages of a batch together. Answers among candidates appear language by
language, each with its probability among the candidates: the softmax of their log-likelihoods. One request runs at a
time; other visitors wait.

Shape suffixes: I = images, Q = query tokens per image, D = width of the language model, B = prompts, L = new tokens.
"""

import argparse
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache, lru_cache
from html import escape
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple, get_args

import torch
from huggingface_hub import metadata_load
from transformers.generation.streamers import BaseStreamer

from mblip.data.language_check import SCRIPT_NAMES, identify_language, unidentified, wrong_script
from mblip.data.languages import LANGUAGES, OTHER_CODES, Language, get_language
from mblip.data.prompts import get_task
from mblip.data.recipes.ranges import count
from mblip.evaluation.answering import answer_texts
from mblip.evaluation.environment import describe_precision
from mblip.evaluation.languages import evaluation_language
from mblip.evaluation.likelihood import rank
from mblip.evaluation.metrics.language_fidelity import NEAR_LANGUAGES, UNKNOWN, find_language
from mblip.evaluation.model_inputs import encode_prompts, prompt_tensors, shown_features
from mblip.evaluation.recipe import DtypeName, LoadIn
from mblip.loading import Precision, load_on_device
from modeling_mblip.checkpoint_reading import find_file
from processing_mblip.image_decoding import MAX_BYTES, decode
from processing_mblip.image_refusal import RefusedImageError

REFRESH_SECONDS = 0.2
MAX_CHOSEN, NUM_LARGEST = 12, 6  # of more languages than these, the page begins with the largest in mC4
MARKS = {"yes": "✓", "near": "≈", "no": "✗", "not told": "–"}
STOPPED = "() => document.querySelectorAll('.state').forEach(state => state.append(' · stopped'))"
TITLE = "<h1>{}</h1><p>Drop an image, choose languages, and read its caption in all of them, or ask about it.</p>"


class Asked(NamedTuple):
    """A prompt, the language of its answer, and the rows of the image features that it shows."""

    prompt: str
    language: Language
    images: tuple[int, ...]


class Answer(NamedTuple):
    """An answer as far as it is written. `is_done`: no more will come. `is_cut`: it reached `max_new_tokens`."""

    text: str = ""
    is_done: bool = False
    is_cut: bool = False


class Answerer:
    """A model's answers, without a page. `batch_size`: the most images or prompts to run at once."""

    def __init__(self, model: Any, processor: Any, batch_size: int = 32, max_new_tokens: int = 50) -> None:
        self.model, self.processor, self.batch_size, self.max_new_tokens = model, processor, batch_size, max_new_tokens
        self.encode: Callable[[tuple[str, ...]], torch.Tensor] = lru_cache(maxsize=16)(self._encode)

    @torch.no_grad()
    def _encode(self, paths: tuple[str, ...]) -> torch.Tensor:
        """The features (I, Q, D) of image files. Raises ValueError for a file that is no image that we read."""
        images = [open_upload(Path(path)) for path in paths]
        parts = [images[start : start + self.batch_size] for start in range(0, len(images), self.batch_size)]
        pixels = (self.processor(images=part, return_tensors="pt")["pixel_values"] for part in parts)
        return torch.cat([self.model.get_image_features(part.to(self.model.device)).pooler_output for part in pixels])

    def write(self, features_IQD: torch.Tensor, asked: Sequence[Asked]) -> Iterator[list[Answer]]:
        """Generate answers, greedily, and yield all of them again and again as they grow. Closing it stops the model.

        Raises:
            ValueError: a prompt with its images, or with its answer too, is longer than the language model reads.
        """
        ids = encode_prompts(self.processor, [each.prompt for each in asked], [len(each.images) for each in asked])
        most = getattr(self.model.config.text_config.get_text_config(), "max_position_embeddings", None)  # T5: none
        needed = max(map(len, ids)) + self.max_new_tokens * (not self.model.config.is_encoder_decoder)
        if most is not None and needed > most:
            raise ValueError(
                f"Images, text and answer take {needed} tokens, but the model reads {most}. Give fewer images in one "
                "prompt, or a shorter question."
            )
        answers = [Answer()] * len(asked)
        for start in range(0, len(asked), self.batch_size):
            part = asked[start : start + self.batch_size]
            inputs = prompt_tensors(self.model, self.processor, ids[start : start + len(part)])
            inputs |= shown_features(features_IQD, [image for each in part for image in each.images])
            for answers[start : start + len(part)] in self._write_batch(inputs):
                yield list(answers)

    def _write_batch(self, inputs: Mapping[str, torch.Tensor]) -> Iterator[list[Answer]]:
        stopped, tokens = Event(), _Tokens()
        settings: dict[str, Any] = {"max_new_tokens": self.max_new_tokens, "num_beams": 1, "do_sample": False}
        settings["stopping_criteria"] = [lambda ids, scores, **_: ids.new_full(ids.shape[:1], stopped.is_set()).bool()]
        with ThreadPoolExecutor(1) as pool:
            work = pool.submit(self.model.generate, **inputs, **settings, streamer=tokens)
            try:
                while not wait([work], timeout=REFRESH_SECONDS).done:
                    yield self._read(tokens, len(inputs["input_ids"]))
            finally:
                stopped.set()
        work.result()
        yield self._read(tokens, len(inputs["input_ids"]), is_over=True)

    def _read(self, tokens: "_Tokens", num_prompts: int, is_over: bool = False) -> list[Answer]:
        steps = list(tokens.steps)
        ids_BL = torch.stack(steps, dim=1) if steps else torch.empty(num_prompts, 0, dtype=torch.long)
        ends = self.model.generation_config.eos_token_id
        whole = torch.isin(ids_BL, torch.tensor([] if ends is None else ends)).any(dim=1).tolist()
        texts = [text.rstrip("\ufffd") for text in answer_texts(self.processor, ids_BL)]  # half a character at the end
        return [Answer(text, is_over or end, is_over and not end) for text, end in zip(texts, whole, strict=True)]

    def choose(
        self, features_IQD: torch.Tensor, asked: Sequence[Asked], candidates: Sequence[str]
    ) -> Iterator[list[dict[str, float]]]:
        """The probability of each candidate among all, highest first; yields all answers so far, prompt by prompt."""
        chosen: list[dict[str, float]] = []
        for prompt, _, images in asked:
            inputs: dict[str, Any] = {"image_features": features_IQD, "image_rows": [images]}
            (ranked,) = rank(self.model, self.processor, [prompt], candidates, **inputs, batch_size=self.batch_size)
            shares = zip(candidates, ranked.log_likelihoods.softmax(dim=0).tolist(), strict=True)
            chosen.append(dict(sorted(shares, key=lambda share: -share[1])))
            yield list(chosen)


class _Tokens(BaseStreamer):
    """The new tokens of a batch, step by step. transformers' own streamers take one prompt alone."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def put(self, value: torch.Tensor) -> None:
        self.steps += [value] * (value.dim() == 1)  # the prompts come first, with two dimensions

    def end(self) -> None:
        pass


def open_upload(path: Path) -> Any:
    """Decode an image. The error names the file without its folder, which is the server's business."""
    try:
        return decode(path.read_bytes())
    except RefusedImageError as error:
        raise ValueError(f"{path.name} cannot be read as an image ({error}). Choose another file.") from error


def ask_all(languages: Sequence[str], num_images: int, *, together: bool, question: str | None) -> list[Asked]:
    """The prompts for a caption (`question` is None) or an answer in each language: about each image, or `together`.

    Raises:
        ValueError: there is no image, no language, or no question.
    """
    for what, is_there in (("image", num_images), ("language", languages), ("question", question != "")):
        if not is_there:
            raise ValueError(f"Found no {what}. Give at least one.")
    template = get_task("captioning" if question is None else "vqa").templates[0].text
    shown = [tuple(range(num_images))] if together else [(image,) for image in range(num_images)]
    asked = [(get_language(code), images) for images in shown for code in languages]
    return [Asked(template.format(language=each.name, question=question), each, images) for each, images in asked]


def model_languages(name_or_path: str) -> list[str]:
    """The languages that a model's card names, by our codes. Empty if there is no card, or it names none of ours."""
    path = find_file(name_or_path, "README.md")
    named = ((metadata_load(path) or {}).get("language") if path else None) or []
    codes = [str(code).lower() for code in ([named] if isinstance(named, str) else named)]
    return sorted({OTHER_CODES.get(code, code) for code in codes} & LANGUAGES.keys())


@cache
def is_right_to_left(script: str) -> bool:
    """Whether the letters of a script (ISO 15924) run from right to left in Unicode."""
    letters = (letter for letter in map(chr, range(0x10000)) if letter.isalpha())
    first = next(letter for letter in letters if unicodedata.name(letter, "").startswith(SCRIPT_NAMES[script]))
    return unicodedata.bidirectional(first) in ("R", "AL")


@lru_cache(maxsize=1024)  # a cell is drawn again and again
def tell_language(text: str, language: Language) -> tuple[str, str]:
    """Whether a text is in a language: one of `MARKS`, and why. By the measure of language fidelity in evaluations.

    It does not tell of short texts, nor of the seven languages that py3langid does not know, but checks their script.
    """
    if (wrong := wrong_script(text, language)) is not None:
        return "no", f"another script: {wrong}"
    if language in unidentified():
        return "not told", "py3langid does not know this language"
    found = UNKNOWN if identify_language(text) is None else find_language(text, asked=language.code)
    if found == UNKNOWN:
        return "not told", "too short to tell the language"
    if found == language.code:
        return "yes", f"in {language.name}"
    told = "near" if found in NEAR_LANGUAGES.get(language.code, ()) else "no"
    return told, f"reads like {evaluation_language(found).name}"


def answer_html(asked: Asked, answer: Answer) -> str:
    """An answer in its language's direction. Once it is written, also whether it is in its language."""
    language = asked.language
    direction = "rtl" if is_right_to_left(language.script) else "ltr"
    text = f'<p dir="{direction}" lang="{language.code}-{language.script}">{escape(answer.text)}</p>'
    if not answer.is_done:
        return text
    told, why = tell_language(answer.text, language)
    cut = "; cut off" if answer.is_cut else ""
    return f'{text}<small class="{told[:3]}">{MARKS[told]} {escape(why)}{cut}</small>'


def candidates_html(shares: Mapping[str, float]) -> str:
    """Candidates with their probabilities, as bars."""
    bar = '<li><span dir="auto">{}</span><meter value="{:.4f}"></meter>{:.1%}</li>'
    return f"<ul>{''.join(bar.format(escape(text), share, share) for text, share in shares.items())}</ul>"


def table_html(asked: Sequence[Asked], names: Sequence[str], cells: Sequence[str], num_done: int) -> str:
    """Cells beside their languages, under the names of their images if there are several, and a progress bar."""
    num, heading, parts = len(asked), "", []
    if num_done < num:
        parts.append(f'<p class="state"><progress max="{num}" value="{num_done}"></progress>{num_done} of {num}</p>')
    for each, cell in zip(asked, cells, strict=False):
        if len(names) > 1 and heading != (heading := ", ".join(names[image] for image in each.images)):
            parts.append(f"<h3>{escape(heading)}</h3>")
        parts.append(f'<section data-language="{each.language.code}"><b>{each.language.name}</b>{cell}</section>')
    return "".join(parts)


def respond(
    answerer: Answerer, paths: Sequence[str], codes: Sequence[str], question: str | None, candidates: str, **how: bool
) -> Iterator[str]:
    """The answers to a request as HTML, again and again as they grow. See `ask_all`; `candidates` has one per line.

    Raises:
        ValueError: something is missing, is too long, or cannot be read.
    """
    choices = list(dict.fromkeys(filter(None, map(str.strip, candidates.splitlines()))))
    if len(choices) == 1:
        raise ValueError(f"Found one candidate, {choices[0]!r}. Give two or more, one per line, or none.")
    asked, names = ask_all(codes, len(paths), question=question, **how), [Path(path).name for path in paths]
    features_IQD = answerer.encode(tuple(paths))
    if choices:
        yield table_html(asked, names, [], 0)
        for chosen in answerer.choose(features_IQD, asked, choices):
            yield table_html(asked, names, [candidates_html(shares) for shares in chosen], len(chosen))
        return
    for answers in answerer.write(features_IQD, asked):
        cells = list(map(answer_html, asked, answers))
        yield table_html(asked, names, cells, sum(answer.is_done for answer in answers))


def page(answerer: Answerer, languages: Sequence[str], title: str) -> Any:
    """The page: a `gradio.Blocks` with its queue."""
    import gradio as gr

    def show(images: Any, languages: list[str], together: bool, question: Any = None, candidates: str = "") -> Any:
        """Errors become messages. What the page shows already stays."""
        question = question if question is None else question.strip()
        paths = [path for path, _ in images or ()]
        try:
            yield from respond(answerer, paths, languages, question, candidates, together=together)
        except torch.OutOfMemoryError as error:
            message = "Out of memory. Choose fewer images, or start the demo with a smaller --batch_size."
            raise gr.Error(message, duration=None, print_exception=False) from error
        except (ValueError, OSError) as error:
            raise gr.Error(escape(str(error)), duration=None, print_exception=False) from error

    codes = sorted(languages, key=lambda code: get_language(code).name)
    largest = sorted(codes, key=lambda code: -get_language(code).mc4_share_percent)[:NUM_LARGEST]
    choices = [(f"{get_language(code).name} ({code})", code) for code in codes]
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(3600, 3600)) as blocks:
        gr.HTML(TITLE.format(escape(title)))
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                images = gr.Gallery(label="Images", file_types=["image"], columns=3, height=280, elem_id="images")
                first = codes if len(codes) <= MAX_CHOSEN else largest
                chosen = gr.Dropdown(choices, value=first, multiselect=True, label="Languages", elem_id="languages")
                every = gr.Button(f"All {len(codes)} languages", size="sm")
                together = gr.Checkbox(label="Several images: all in one prompt", elem_id="together")
            with gr.Column(scale=3, min_width=320):
                with gr.Tab("Captions"):
                    with gr.Row():
                        caption = gr.Button("Caption", variant="primary", elem_id="caption", scale=4)
                        stops = [gr.Button("Stop", scale=1, min_width=80)]
                    captions = gr.HTML(elem_id="captions", elem_classes="answers")
                with gr.Tab("Question"):
                    question = gr.Textbox(label="Question", placeholder="In any language", elem_id="question")
                    few = "One per line; without any, the answer is free"
                    candidates = gr.Textbox(label="Candidates", placeholder=few, lines=3, elem_id="candidates")
                    with gr.Row():
                        ask = gr.Button("Ask", variant="primary", elem_id="ask", scale=4)
                        stops.append(gr.Button("Stop", scale=1, min_width=80, elem_id="stop"))
                    answers = gr.HTML(elem_id="answers", elem_classes="answers")
        alone: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1, "show_progress": "minimal"}
        seen = [images, chosen, together]
        running = [
            caption.click(show, seen, captions, **alone),
            gr.on([ask.click, question.submit], show, [*seen, question, candidates], answers, **alone),
        ]
        for stop in stops:
            stop.click(None, cancels=running).then(None, js=STOPPED)
        every.click(lambda: codes, outputs=chosen, queue=False, api_visibility="private")
    return blocks.queue(max_size=64)


def launch(
    model: str,
    languages: Sequence[str] = (),
    device: str | None = None,
    dtype: DtypeName = "auto",
    load_in: LoadIn | None = None,
    host: str | None = None,
    port: int | None = None,
    **settings: int,
) -> None:
    """Load a model and serve its page, until the process ends. `main` describes the arguments."""
    import gradio as gr

    unidentified()  # loads py3langid
    codes = [get_language(code).code for code in languages] or model_languages(model)
    loaded, processor = load_on_device(model, Precision.named(dtype, load_in), device)
    print(f"Loaded {model}: {describe_precision(loaded)}.", flush=True)
    if not codes:
        print(f"Its card names no languages, so the page offers all {len(LANGUAGES)}. Choose with --languages.")
    blocks = page(Answerer(loaded, processor, **settings), codes or list(LANGUAGES), f"mBLIP: {model}")
    theme, css = (
        gr.themes.Default(primary_hue="teal", font="system-ui", font_mono="monospace"),
        Path(__file__).with_suffix(".css"),
    )
    looks: dict[str, Any] = {"theme": theme, "css_paths": css, "footer_links": [], "ssr_mode": False}
    blocks.launch(server_name=host, server_port=port, max_file_size=MAX_BYTES, **looks)


def newest_model() -> str:
    """The model of the newest training in outputs/. Raises ValueError if there is none."""
    found = sorted(Path("outputs").glob("*/model/config.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise ValueError(
            "Found no MODEL, and no finished training in outputs/. Give a model's folder or its name on the Hub, or "
            "train the small model first, in about five minutes: python train.py"
        )
    return str(found[-1].parent)


def main(arguments: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="mblip demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", help="a model folder, an adapter, or a name on the Hub")
    parser.add_argument(
        "--languages", type=lambda text: text.split(","), default=(), help="offer these, such as en,sw"
    )
    parser.add_argument("--device", help="such as cuda:1 or cpu; default: the GPU if there is one")
    parser.add_argument("--dtype", choices=get_args(DtypeName), default="auto", help="dtype of ViT and language model")
    parser.add_argument("--load_in", choices=get_args(LoadIn), help="the language model's weights in fewer bits")
    parser.add_argument("--host", help="address to listen on; default 127.0.0.1, which is this machine alone")
    parser.add_argument("--port", type=int, help="default: the first free one from 7860")
    parser.add_argument("--batch_size", type=count, default=32, help="prompts per batch")
    parser.add_argument("--max_new_tokens", type=count, default=50, help="tokens of the longest answer")
    given = vars(parser.parse_args(arguments))
    launch(given.pop("model") or newest_model(), **given)
