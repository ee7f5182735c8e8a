"""Asks many questions at once, gives the answers in order, and never asks what it knows."""

import asyncio
import math
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

from recbole_tema.formats import FormatError

from .again import first_temperature
from .asking import Asking
from .engine import Engine
from .judge import judge
from .ledger import Ledger
from .prices import Price
from .progress import Progress
from .request import Failure, Read, Reply, Request
from .settings import RunnerSettings
from .store import Store, question_key
from .tokens import TokenCounter, rule_of_thumb
from .usage import Estimate, Usage

WINDOW = 1024
"""Questions between the first that is not answered and the last that is begun, at least."""
TERMINATED = 128 + signal.SIGTERM


class Runner:
    """An `Asker` over an engine and a store of answers, for the length of a ``with`` block.

    The engine is opened when the first question is not in the store. Questions are asked in a
    thread of their own, so that answers are kept as they arrive, whatever the caller does between
    two results; its ``read`` functions run there too. ``ask_all`` takes requests from the caller's
    thread and may be used again while another is going on, such as to ask about its results.

    Leaving the block ends the asking: what is in flight may still arrive for a moment. SIGTERM
    leaves it by SystemExit (where the block runs in the main thread), Ctrl-C by KeyboardInterrupt.

    Args:
        price: of the model's tokens; None where it is not known.
        count_tokens: of questions, beforehand.

    Raises:
        FormatError: a limit on cost without a price.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store,
        settings: RunnerSettings | None = None,
        *,
        price: Price | None = None,
        count_tokens: TokenCounter = rule_of_thumb,
    ) -> None:
        self._engine = engine
        self._store = store
        self._settings = settings or RunnerSettings()
        self._price = price
        self._count_tokens = count_tokens
        self._ledger = Ledger(price)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._asking: Asking | None = None
        self._old_handler: Any = None
        if self._settings.max_cost is not None and price is None:
            raise FormatError(
                f"--max-cost: the price of {engine.model} is not known; give a table with it by "
                "--prices FILE"
            )

    @property
    def usage(self) -> Usage:
        """What this run took so far."""
        return self._ledger.total

    @property
    def by_stage(self) -> dict[str, Usage]:
        """What each stage of this run took so far."""
        return self._ledger.stages

    def __enter__(self) -> "Runner":
        if threading.current_thread() is threading.main_thread():
            self._old_handler = signal.signal(signal.SIGTERM, _terminate)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._loop is not None:
                self._close(self._loop)
        finally:
            if self._old_handler is not None:
                signal.signal(signal.SIGTERM, self._old_handler)

    def ask_all(
        self, requests: Iterable[Request], read: Callable[[Request, Reply], Read]
    ) -> Iterator[tuple[Request, Read | Failure]]:
        """Each request with what ``read`` made of its answer, in the order of the requests.

        An unreadable answer is asked for again up to ``max_attempts`` in all, answers of earlier
        runs included, with the reason at the end of the question and a little more temperature.

        Raises:
            Stopped: the server or the budget ends the run; what was answered is kept.
            FormatError: the store or the model cannot be used.
        """
        window = max(WINDOW, 4 * self._settings.concurrency)
        waiting: deque[tuple[Request, Future[Read | Failure]]] = deque()
        with Progress(requests, self._ledger) as progress:
            try:
                for request in requests:
                    progress.begin(request.stage)
                    self._ledger.count(request.stage, requests=1)
                    outcome = self._outcome(request, read)
                    outcome.add_done_callback(progress.done)
                    waiting.append((request, outcome))
                    while waiting and (len(waiting) >= window or waiting[0][1].done()):
                        yield self._result(*waiting.popleft())
                while waiting:
                    yield self._result(*waiting.popleft())
            finally:
                if waiting and self._loop is not None and self._asking is not None:
                    rest = [outcome for _, outcome in waiting]
                    self._loop.call_soon_threadsafe(self._asking.abandon, rest)

    def estimate(self, stage: str, requests: Iterable[Request]) -> Estimate:
        """What asking all of these, a stage's, would take; nothing is asked."""
        found = Estimate(stage)
        if self._price is not None:
            found.currency, found.as_of = self._price.currency, self._price.as_of
        seen: set[bytes] = set()
        answers, mean = self._store.mean_output(stage, self._engine.model)
        expected = 0.0
        for request in requests:
            key = self._key(request)
            short = bytes.fromhex(key)[:16]
            if short in seen:
                continue
            seen.add(short)
            found.requests += 1
            if self._store.has(key):
                found.stored += 1
                continue
            found.input_tokens += self._count_tokens(request)
            # Servers that count a model's thoughts may tell more than was allowed.
            found.most_output_tokens += max(request.max_tokens, math.ceil(mean))
            expected += mean if answers else request.max_tokens
        found.measured = answers
        found.output_tokens = round(expected)
        found.cost = self._ledger.cost(found.input_tokens, expected)
        found.most_cost = self._ledger.cost(found.input_tokens, found.most_output_tokens)
        return found

    def _key(self, request: Request) -> str:
        first = first_temperature(request, self._settings.temperature)
        return question_key(self._engine.model, request, first)

    def _outcome(
        self, request: Request, read: Callable[[Request, Reply], Read]
    ) -> "Future[Read | Failure]":
        outcome: Future[Read | Failure] = Future()
        answers = self._store.attempts(self._key(request))
        verdict = judge(request, answers, read, self._settings.max_attempts)
        if verdict.settled:
            self._ledger.count(request.stage, stored=1)
            outcome.set_result(verdict.result)
        else:
            loop, asking = self._opened()
            loop.call_soon_threadsafe(asking.start, outcome, request, read)
        return outcome

    def _result(
        self, request: Request, outcome: "Future[Read | Failure]"
    ) -> tuple[Request, Read | Failure]:
        result = outcome.result()
        if isinstance(result, Failure):
            self._ledger.count(request.stage, failures=1)
        return request, result

    def _opened(self) -> tuple[asyncio.AbstractEventLoop, Asking]:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._loop.run_forever, name="asking", daemon=True
            )
            self._thread.start()
        if self._asking is None:
            self._asking = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()
        return self._loop, self._asking

    async def _open(self) -> Asking:
        await self._engine.open()
        return Asking(
            self._engine,
            self._store,
            self._settings,
            self._ledger,
            self._count_tokens,
            f"what was answered is kept in {self._store.path}: the same command goes on from there",
        )

    def _close(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            asyncio.run_coroutine_threadsafe(self._shut(), loop).result()
        finally:
            loop.call_soon_threadsafe(loop.stop)
            if self._thread is not None:
                self._thread.join()
            with suppress(RuntimeError):
                loop.close()

    async def _shut(self) -> None:
        if self._asking is not None:
            await self._asking.stop()
        await self._engine.close()


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)
