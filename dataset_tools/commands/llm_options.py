"""Options of the commands that ask a large language model, and the runner that they describe."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_tema.formats import DatasetFiles, FormatError

if TYPE_CHECKING:
    from ..llm.engine import Engine
    from ..llm.runner import Runner

KEY_VARIABLE = "OPENAI_API_KEY"
SERVER_CONCURRENCY = 16
# Batches that wait beside the one in work: they are sorted by length, so that little is padding.
LOCAL_BATCHES = 8


def add_llm_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which model is asked, how fast, and what it may cost."""
    group = parser.add_argument_group(
        "language model",
        "A server with --base-url and --model NAME, or a model of one's own with --model DIR. "
        "Every answer is kept in NAME.llm.sqlite as it comes and never asked for again. The key of "
        f"a server is read from ${KEY_VARIABLE} or the variable that --api-key-env names.",
    )
    add = group.add_argument
    add(
        "--base-url",
        metavar="URL",
        help="OpenAI-compatible server, such as https://api.deepseek.com/v1 or "
        "http://127.0.0.1:8000/v1",
    )
    add(
        "--model",
        metavar="NAME|DIR",
        help="with --base-url the model's name there, else the folder of a causal transformers "
        "model that runs here",
    )
    add(
        "--api-key-env",
        default=KEY_VARIABLE,
        metavar="VARIABLE",
        help=f"environment variable that holds the key (default: {KEY_VARIABLE}; a server may need "
        "none)",
    )
    add(
        "--concurrency",
        type=int,
        metavar="N",
        help=f"questions in flight at once (default: {SERVER_CONCURRENCY} for a server, "
        f"{LOCAL_BATCHES} batches for a local model)",
    )
    add("--requests-per-minute", type=float, metavar="N", help="at most (default: no limit)")
    add("--tokens-per-minute", type=float, metavar="N", help="at most (default: no limit)")
    add(
        "--temperature",
        type=float,
        default=0.0,
        metavar="T",
        help="0 takes the likeliest words (default: 0); an unreadable answer is asked for again "
        "with a little more",
    )
    add(
        "--max-attempts",
        type=int,
        default=3,
        metavar="N",
        help="how often a question is asked whose answer cannot be read (default: 3)",
    )
    add(
        "--max-retries",
        type=int,
        default=8,
        metavar="N",
        help="how often a request is sent again after 429, 5xx, a timeout or a lost connection "
        "(default: 8)",
    )
    add(
        "--timeout",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="of one request (default: 300)",
    )
    add(
        "--dry-run",
        action="store_true",
        help="only say how many questions are left to ask, and what they would cost, of each stage "
        "and in all",
    )
    add(
        "--prices",
        type=Path,
        metavar="FILE",
        help="YAML table of prices by model instead of the one that comes with the package",
    )
    add(
        "--max-cost",
        type=float,
        metavar="X",
        help="stop before this run costs more, in the price table's currency",
    )
    add(
        "--store",
        type=Path,
        metavar="FILE",
        help="where answers are kept (default: NAME.llm.sqlite in the data set's folder)",
    )
    add(
        "--tokenizer",
        type=Path,
        metavar="DIR",
        help="tokenizer of a server's model, to count tokens beforehand (default: characters/3.5)",
    )
    add(
        "--llm-batch-size",
        type=int,
        default=8,
        metavar="N",
        help="questions in one batch of a local model (default: 8)",
    )
    add(
        "--llm-device",
        default="cpu",
        metavar="D",
        help="of a local model, such as cpu or cuda (default: cpu)",
    )
    add(
        "--llm-dtype",
        default="auto",
        choices=("auto", "float32", "bfloat16", "float16"),
        help="of a local model's weights (default: auto, float32 on a CPU and as saved elsewhere)",
    )


def asks_llm(arguments: argparse.Namespace) -> bool:
    """Whether the options name a language model."""
    return arguments.base_url is not None or arguments.model is not None


@contextmanager
def asker_from(arguments: argparse.Namespace, files: DatasetFiles) -> "Iterator[Runner]":
    """The runner (an `Asker`) that the options describe, for the length of the block.

    With --dry-run nothing is asked or written: call its ``estimate``.

    Raises:
        FormatError: options that do not fit together, a damaged store, no such model.
        Stopped (a FormatError): while asking, by --max-cost or where the server refuses all.
        SystemExit: on SIGTERM, after what arrives within a moment is kept.
    """
    from ..llm.prices import FREE, read_prices
    from ..llm.runner import Runner
    from ..llm.settings import RunnerSettings
    from ..llm.store import Store
    from ..llm.tokens import token_counter

    engine = _engine(arguments)
    local = arguments.base_url is None
    usual = LOCAL_BATCHES * arguments.llm_batch_size if local else SERVER_CONCURRENCY
    settings = RunnerSettings(
        concurrency=usual if arguments.concurrency is None else arguments.concurrency,
        requests_per_minute=arguments.requests_per_minute,
        tokens_per_minute=arguments.tokens_per_minute,
        temperature=arguments.temperature,
        max_attempts=arguments.max_attempts,
        max_retries=arguments.max_retries,
        max_cost=arguments.max_cost,
    )
    tokenizer = Path(arguments.model) if local else arguments.tokenizer
    path = files.llm_answers if arguments.store is None else arguments.store
    with (
        Store(path, create=not arguments.dry_run) as store,
        Runner(
            engine,
            store,
            settings,
            price=FREE if local else read_prices(arguments.prices).get(arguments.model),
            count_tokens=token_counter(tokenizer),
        ) as runner,
    ):
        yield runner


def _engine(arguments: argparse.Namespace) -> "Engine":
    if arguments.model is None:
        raise FormatError("--base-url: give the model's name at that server too, with --model NAME")
    if arguments.base_url is not None:
        from ..llm.server import ServerEngine

        return ServerEngine(
            arguments.base_url, arguments.model, arguments.api_key_env, arguments.timeout
        )
    from ..llm.local import LocalEngine

    return LocalEngine(
        Path(arguments.model),
        batch_size=arguments.llm_batch_size,
        device=arguments.llm_device,
        dtype=arguments.llm_dtype,
    )
