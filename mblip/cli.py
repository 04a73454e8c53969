"""The command `mblip`: its subcommands, and how it reports errors.

A subcommand is a module with `main(arguments)`. We import it when it is called, so it needs only its own libraries. If
one is missing, `--help` still shows what the subcommand is for, and which extra it needs.
"""

import ast
import importlib
import logging
import os
import pickle
import sys
import traceback
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from huggingface_hub.errors import HfHubHTTPError, HTTPError
from safetensors import SafetensorError

from .atomic_write import is_full, no_room

COMMANDS: Mapping[str, tuple[str, str]] = {
    "train": ("mblip.train", "train a model from a recipe"),
    "plan": ("mblip.plan", "predict parameters, memory, hours and disk of a training or an evaluation"),
    "encode": ("mblip.encode", "encode the images of a recipe once, for many epochs and evaluations"),
    "eval": ("mblip.eval", "evaluate a model on benchmarks: scores with intervals, and a report"),
    "reproduce": ("mblip.reproduce", "repeat published measurements of a checkpoint, and say whether ours agree"),
    "retrieval": ("mblip.training.retrieval", "measure image-text retrieval in both directions"),
    "score": ("mblip.score", "score the predictions of any system under a benchmark's metric"),
    "compare": ("mblip.evaluation.compare", "compare two models by their predictions, with p-values"),
    "tables": ("mblip.evaluation.reports.systems", "put several systems and training seeds in one table, for a paper"),
    "lmms-eval": ("mblip.lmms_eval.tasks", "write the benchmarks of a recipe as tasks of lmms-eval"),
    "serve": ("mblip.serve", "serve a model to OpenAI's client and all that speak its protocol"),
    "build": ("mblip.mix.build.command", "build a training mix from a recipe"),
    "fetch": ("mblip.mix.fetching.fetch", "download the images of a list of URLs"),
    "embed": ("mblip.mix.build.embed", "embed captions and images, for a mix with hard negatives"),
    "translate-prompts": ("mblip.mix.translate_prompts", "translate the prompt templates into other languages"),
    "compose": ("mblip.training.compose", "compose the image side of a BLIP-2 and a language model"),
    "merge": ("mblip.training.merge", "merge an adapter into its base"),
    "export": ("mblip.export", "write a model in the layout of BLIP-2, for vLLM"),
    "publish": ("mblip.training.publish", "push a trained model or adapter to the Hub"),
    "demo": ("mblip.demo", "show a model in the browser: captions in many languages, questions, candidates"),
    "card": ("mblip.training.model_card", "rewrite the model card, with more results"),
    "recipes": ("mblip.recipes", "list the recipes that come with the package, or print one"),
}
# The extra of pyproject.toml that installs a library, by the library's import name.
EXTRAS: Mapping[str, str] = {
    "accelerate": "train",
    "datasets": "train",
    "peft": "train",
    "yaml": "train",
    "pyarrow": "train",  # comes with datasets
    "matplotlib": "train",
    "sentencepiece": "train",
    "google": "train",  # protobuf
    "xxhash": "train",
    "tqdm": "eval",
    "py3langid": "eval",
    "sacrebleu": "eval",
    "nltk": "eval",
    "evaluate": "eval",
    "bitsandbytes": "eval",
    "aiohttp": "scale",
    "ctranslate2": "scale",
    "faiss": "scale",
    "spacy": "scale",
    "gradio": "demo",
    "sudachipy": "ja",
    "sudachidict_core": "ja",
    "pythainlp": "th",
    "fastapi": "serve",
    "uvicorn": "serve",
    "openai": "serve",
    "pydantic": "serve",
}
PACKAGES = ("mblip", "modeling_mblip", "processing_mblip")
TRACEBACK = "MBLIP_TRACEBACK"
IMPORTS = "MBLIP_IMPORTS"  # Python files to import first, separated as in PATH
UNREADABLE = (OSError, SafetensorError, pickle.UnpicklingError)
REFUSALS = (ValueError, ImportError, *UNREADABLE)
WRONG_INPUT = 2  # the exit status, as argparse has it
FAILED = 1  # the exit status if the disk is full or the Hub is lost, and the same command may work later
SERVER_ERROR, TOO_MANY_REQUESTS = 500, 429
HELP = {"-h", "--help"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line `mblip ARGUMENTS`.

    Args:
        arguments: None: those of this process.

    Raises:
        SystemExit: with the exit status `WRONG_INPUT` or `FAILED`, after an error message; torchrun takes it as a
            failure.
    """
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in HELP:
        print(_overview())
        return
    if name not in COMMANDS:
        nearest = get_close_matches(name, COMMANDS, n=1)
        hint = f"Did you mean `mblip {nearest[0]}`?" if nearest else "`mblip --help` lists them."
        _end("mblip", f"there is no subcommand {name!r}. {hint}")
    module, wants_help = COMMANDS[name][0], not HELP.isdisjoint(rest)
    if name in ("train", "encode") and wants_help:  # its options are recipe fields, which no parser lists
        print(_docstring(module))
        return
    # bitsandbytes, which PEFT imports, warns at every start that an optional kernel for CPUs is missing.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    try:
        if IMPORTS in os.environ:
            importlib.import_module("mblip.data.recipes.dotted").import_files(os.environ[IMPORTS])
        importlib.import_module(module).main(rest)
    except _caught() as error:
        if os.environ.get(TRACEBACK):
            raise
        chain = _chain(error)
        if (failure := _failure(chain)) is not None:
            _end(f"mblip {name}", failure, WRONG_INPUT if name == "reproduce" else FAILED)  # its 1 is a verdict
        if not isinstance(error, REFUSALS):
            raise
        answers = "".join(f" ({cause})" for cause in chain[1:] if isinstance(cause, HfHubHTTPError))
        extra = _missing_extra(error)
        if extra is not None and wants_help:
            print(f'{_docstring(module)}\n\nTo see its options, first run: pip install "mblip[{extra}]"')
        elif extra is not None:
            _end(f"mblip {name}", f'{error}. Install what this command needs:\npip install "mblip[{extra}]"')
        elif answers or _is_for_the_caller(error):
            _end(f"mblip {name}", f"{error}{answers}\n({_location(error)}; {TRACEBACK}=1 shows the traceback)")
        else:
            raise


def _overview() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items())
    return (
        f"usage: mblip COMMAND ...\n\nMultilingual vision-language models.\n\n{commands}\n\n"
        "`mblip COMMAND --help` describes one. On several GPUs: torchrun --nproc_per_node 4 -m mblip COMMAND ...\n"
        f"Errors in your input are one message; set {TRACEBACK}=1 in the environment to see the traceback."
    )


def _docstring(module: str) -> str:
    """A module's docstring, read without importing the module."""
    path = Path(__file__).parent.joinpath(*module.split(".")[1:]).with_suffix(".py")
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def _caught() -> tuple[type[Exception], ...]:
    """`REFUSALS`, and what libraries raise beside them if the disk is full or the Hub is lost."""
    datasets = sys.modules.get("datasets")
    return (*REFUSALS, RuntimeError, HTTPError, *([] if datasets is None else [datasets.exceptions.DatasetsError]))


def _chain(error: BaseException) -> list[BaseException]:
    """An error and what caused it."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    return chain


def _failure(chain: Sequence[BaseException]) -> str | None:
    """One line about a lost Hub or a full disk, of which an error or one of its causes tells; None: about neither."""
    error = chain[0]
    if any(map(_is_lost, chain)):
        if "Run the same command again" in str(error):  # from `mblip publish`, which knows more
            return _one_line(str(error))
        what = _one_line(f"{type(error).__name__}: {error}")
        return f"The connection to the Hub failed ({what}). Run the same command again: what has arrived is kept."
    full = next(filter(is_full, chain), None)
    return None if full is None else f"{_one_line(str(no_room(Path.cwd(), full)))}."


def _is_lost(error: BaseException) -> bool:
    """Whether the Hub hung up, did not answer, or failed itself. If it refused what was asked, it is not lost."""
    if isinstance(error, HTTPError) and "response" in vars(error):
        status = vars(error)["response"].status_code
        return status == TOO_MANY_REQUESTS or status >= SERVER_ERROR
    return isinstance(error, HTTPError)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _missing_extra(error: Exception) -> str | None:
    return EXTRAS.get((error.name or "").partition(".")[0]) if isinstance(error, ModuleNotFoundError) else None


def _is_for_the_caller(error: Exception) -> bool:
    """Whether an error is about the user's input: an error about files or the Hub, or one that our own code raises.

    An error from another library may be our bug, so it keeps its traceback. So may a ValueError in our own code, such
    as unequal lengths in a `zip`. For this reason the message names the line.
    """
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return isinstance(error, UNREADABLE) or _is_ours(frame.f_globals)


def _is_ours(names: Mapping[str, object]) -> bool:
    return str(names.get("__name__")).partition(".")[0] in PACKAGES


def _location(error: Exception) -> str:
    """The last line of our code in an error's traceback."""
    ours = [each for each in traceback.walk_tb(error.__traceback__) if _is_ours(each[0].f_globals)]
    frame, line = ours[-1]
    return f"{Path(frame.f_code.co_filename).relative_to(Path(__file__).parents[1])}, line {line}"


def _end(prog: str, message: str, status: int = WRONG_INPUT) -> NoReturn:
    print(f"{prog}: error: {message}", file=sys.stderr)
    raise SystemExit(status)
