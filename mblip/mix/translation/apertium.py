"""Apertium's rule-based translator as an engine: Debian's packages, no weights, hundreds of captions a second.

    apt install apertium apertium-eng-spa
    translation: {engine: "mblip.mix.translation.apertium:translate"}      # in the recipe of a mix

Catalan, Esperanto, Galician and Spanish are translated from English, the other languages from the Spanish of that.
Each call starts new processes: Apertium's tagger learns as it reads, so one text in a hundred depends on those before
it. Equal lists of texts get equal translations.
"""

import hashlib
import re
import shutil
import subprocess

from mblip.data.recipes.ranges import Share

from .checks import UNKNOWN_SYMBOL

PIVOT, TIMEOUT_SECONDS = "es", 600
# Apertium's names of the directions between two languages, there and back, and Debian's package.
PAIRS = (
    ("en", "es", "eng-spa", "spa-eng", "apertium-eng-spa"),
    ("en", "ca", "eng-cat", "cat-eng", "apertium-eng-cat"),
    ("en", "gl", "en-gl", "gl-en", "apertium-en-gl"),
    ("en", "eo", "en-eo", "eo-en", "apertium-eo-en"),
    ("es", "pt", "es-pt_BR", "pt-es", "apertium-es-pt"),
    ("es", "fr", "es-fr", "fr-es", "apertium-fr-es"),
    ("es", "it", "spa-ita", "ita-spa", "apertium-spa-ita"),
    ("es", "ast", "spa-ast", "", "apertium-spa-ast"),
)
DIRECTIONS = {(one, other): (there, package) for one, other, there, _, package in PAIRS}
DIRECTIONS |= {(other, one): (back, package) for one, other, _, back, package in PAIRS if back}
_RESERVED = re.compile(r"[\\\[\]{}^$/<>]")  # in Apertium's stream format, to be escaped by a backslash
_AS_IT_IS = re.compile(r"[*#@~\n]+")  # Apertium's marks, and line breaks; what is in brackets is left alone
_OUTPUT = re.compile(r"\[(?P<kept>[^\]]*)\]|(?:\\?[*#@])+(?P<unknown>\w[\w'’-]*)|\\(?P<escaped>.)", re.DOTALL)


def translate(texts: list[str], source: str, target: str, *, max_unknown_share: Share = 0.0) -> list[str]:
    """Translate texts. A word that Apertium does not know or cannot inflect stays as it is.

    At most `max_unknown_share` of a text's words may be such. In other texts they get a `<unk>`, which the checks
    refuse. From Asturian, the translations are "".

    Raises:
        ValueError: no direction leads from `source` to `target`, its package is missing, or Apertium fails.
    """
    if source == "ast":
        return [""] * len(texts)  # no pair leads back from Asturian, so answers of VQA stay English
    steps = [(source, target)] if (source, target) in DIRECTIONS else [(source, PIVOT), (PIVOT, target)]
    if not all(step in DIRECTIONS for step in steps):
        known = sorted({code for pair in DIRECTIONS for code in pair})
        raise ValueError(f"Apertium does not translate {source} to {target}. It knows {', '.join(known)}.")
    streams = [_escaped(text) for text in texts]
    for step in steps:
        streams = [_marked(stream) for stream in _run(*DIRECTIONS[step], streams)]
    return [_plain(text, stream, max_unknown_share) for text, stream in zip(texts, streams, strict=True)]


def _escaped(text: str) -> str:
    """A text in Apertium's stream format. It ends as a sentence; else the tagger reads other words into it."""
    text = text.replace("\0", " ").strip()
    text = text.lower() if text[1:].isupper() and " " in text else text  # half of it would stay English, unmarked
    escaped = _AS_IT_IS.sub(r"[\g<0>]", _RESERVED.sub(r"\\\g<0>", text))
    return f"{escaped}{'' if text.endswith(('.', '!', '?')) else '.'}[]"


def _run(direction: str, package: str, streams: list[str]) -> list[str]:
    """Translate streams with new processes."""
    install = f"Install it: `apt install apertium {package}`."
    if shutil.which("apertium") is None:
        raise ValueError(f"There is no program `apertium`. {install}")
    command, given = ["apertium", "-z", "-f", "none", direction], "".join(f"{stream}\0" for stream in streams)
    try:
        done = subprocess.run(command, input=given.encode(), capture_output=True, timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"Apertium ({direction}) took {TIMEOUT_SECONDS} s for {len(streams)} texts.") from error
    errors = done.stderr.decode(errors="replace")
    if f"Mode {direction} does not exist" in errors:
        raise ValueError(f"Apertium has no direction {direction}. {install}")
    found = done.stdout.decode(errors="replace").split("\0")[: len(streams)]
    num_ended = sum(stream.endswith("[]") for stream in found)
    if done.returncode or num_ended < len(streams):
        raise ValueError(f"Apertium ({direction}) ended after {num_ended} of {len(streams)} texts: {errors[-500:]}")
    return found


def _marked(stream: str) -> str:
    """The stream with `<unk>` before unknown words, in brackets, so that a second step leaves them alone."""
    return _OUTPUT.sub(lambda found: f"[{UNKNOWN_SYMBOL}{word}]" if (word := found["unknown"]) else found[0], stream)


def _plain(text: str, stream: str, max_unknown_share: float) -> str:
    """The text of a stream, which begins with a capital and ends with a full stop if the source does."""
    if "/" not in text:
        stream = re.sub(r"(?<=\w)\\/[\w'’-]+", "", stream)  # one of two spellings is enough
    plain = _OUTPUT.sub(lambda found: found["escaped"] or found["kept"] or "", stream)
    plain = re.sub(r" +(,|[.!?]$) *", r"\1 ", re.sub(" +", " ", plain)).strip()
    plain = plain if text.rstrip().endswith(".") else plain.removesuffix(".")
    if plain.count(UNKNOWN_SYMBOL) <= max_unknown_share * len(plain.split()):
        plain = plain.replace(UNKNOWN_SYMBOL, "")
    first = text.lstrip()[:1]
    return (plain[:1].upper() if first.isupper() else plain[:1].lower() if first.islower() else plain[:1]) + plain[1:]


def _installed() -> str:
    command = ["dpkg-query", "-W", "apertium", *(pair[-1] for pair in PAIRS)]
    if shutil.which(command[0]) is None:
        return "Apertium, whose version is unknown without dpkg"
    program, *pairs = subprocess.run(command, capture_output=True, text=True).stdout.split("\n")
    return f"{' '.join(program.split())}, pairs {hashlib.sha256(''.join(pairs).encode()).hexdigest()[:8]}"


VERSION = _installed()  # other dictionaries, other translations
