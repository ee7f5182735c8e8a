"""A scripted OpenAI-compatible server on 127.0.0.1, and a tiny causal model."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from recbole_tema.dataset_tools.llm.prices import Price
from recbole_tema.dataset_tools.llm.request import Reply, Request
from recbole_tema.dataset_tools.llm.runner import Runner
from recbole_tema.dataset_tools.llm.server import ServerEngine
from recbole_tema.dataset_tools.llm.settings import RunnerSettings
from recbole_tema.dataset_tools.llm.store import Store
from recbole_tema.dataset_tools.llm.usage import Usage

KEY_VARIABLE = "TEST_LLM_KEY"


@dataclass
class Scripted:
    """What the server says next: a body, a status, headers, after some seconds.

    A body that is no string is sent as JSON; ``None`` closes the connection without a word.
    """

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0


Script = Callable[[dict[str, Any]], Scripted]


class Server:
    """Answers by ``script``; keeps the bodies and headers that came and how many were open."""

    say = Scripted

    def __init__(self) -> None:
        self.script: Script = self.echo
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.most_open = 0
        self._open = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                said = outer._answer(body, dict(self.headers.items()))
                if said.body is None:
                    self.close_connection = True
                    return
                data = said.body if isinstance(said.body, str) else json.dumps(said.body)
                self.send_response(said.status)
                for name, value in ({"Content-Type": "application/json"} | said.headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data.encode())))
                self.end_headers()
                self.wfile.write(data.encode())

            def log_message(self, *_: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """Clients that hang up are part of the tests."""

        self._http = Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        self.address = f"http://127.0.0.1:{self._http.server_port}/v1"

    @staticmethod
    def said(body: dict[str, Any]) -> str:
        """The last message of a request."""
        return str(body["messages"][-1]["content"])

    @staticmethod
    def completion(text: str | None, **more: Any) -> dict[str, Any]:
        """A chat completion; ``message`` and ``choice`` add to its parts."""
        message = {"role": "assistant", "content": text} | more.pop("message", {})
        choice = {"index": 0, "message": message, "finish_reason": "stop"} | more.pop("choice", {})
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        return {"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage} | more

    def answer(self, text: str | None, **more: Any) -> Scripted:
        return Scripted(self.completion(text, **more))

    def echo(self, body: dict[str, Any]) -> Scripted:
        return self.answer(f"you said {self.said(body)}")

    def in_turn(self, *answers: Scripted) -> Script:
        """A script that gives these one after the other, and echoes afterwards."""
        left = list(answers)
        return lambda body: left.pop(0) if left else self.echo(body)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _answer(self, body: dict[str, Any], headers: dict[str, str]) -> Scripted:
        with self._lock:
            self.bodies.append(body)
            self.headers.append({name.lower(): value for name, value in headers.items()})
            self.times.append(time.monotonic())
            self._open += 1
            self.most_open = max(self.most_open, self._open)
        try:
            said = self.script(body)
            time.sleep(said.delay)
        finally:
            with self._lock:
                self._open -= 1
        return said


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


Question = Callable[..., Request]


@pytest.fixture
def question() -> Question:
    """Makes a request of one text; further fields by name."""

    def make(text: str, **more: Any) -> Request:
        fields: dict[str, Any] = {
            "stage": "test",
            "subject": text,
            "prompt": "test-1",
            "messages": (("user", text),),
            "max_tokens": 50,
        }
        return Request(**(fields | more))

    return make


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    return tmp_path / "x.llm.sqlite"


Ask = Callable[..., list[Any]]


@pytest.fixture
def ask(server: Server, store_path: Path) -> Ask:
    """Asks the server all questions, with the store of this test; the results in order.

    ``seen`` gets the run's usage. Waits are short unless a setting says otherwise.
    """

    def run(
        questions: Any,
        read: Callable[[Request, Reply], Any] = lambda _, reply: reply.text,
        *,
        timeout: float = 30.0,
        seen: list[Usage] | None = None,
        price: Price | None = None,
        **settings: Any,
    ) -> list[Any]:
        chosen = RunnerSettings(**({"first_wait": 0.01, "longest_wait": 0.02} | settings))
        engine = ServerEngine(server.address, "m", KEY_VARIABLE, timeout)
        with Store(store_path) as store, Runner(engine, store, chosen, price=price) as runner:
            try:
                return [result for _, result in runner.ask_all(questions, read)]
            finally:
                if seen is not None:
                    seen.append(runner.usage)

    return run
