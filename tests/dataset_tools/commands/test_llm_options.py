"""Options of the commands that ask a language model."""

import argparse
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from recbole_tema.dataset_tools.commands.llm_options import add_llm_options, asker_from, asks_llm
from recbole_tema.dataset_tools.llm.request import Request
from recbole_tema.formats import DatasetFiles, FormatError

ANSWER = {
    "choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 500},
}
REQUEST = Request("enrich", "i1", "enrich-1", (("user", "tea"),), 100)


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_llm_options(parser)
    return parser.parse_args(words)


@pytest.fixture
def address() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            data = json.dumps(ANSWER).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


@pytest.fixture
def files(tmp_path: Path) -> DatasetFiles:
    (tmp_path / "x").mkdir()
    return DatasetFiles(tmp_path / "x")


def test_without_a_model_none_is_asked() -> None:
    assert not asks_llm(parsed())
    assert asks_llm(parsed("--model", "m"))
    assert asks_llm(parsed("--base-url", "http://h/v1"))


def test_a_server_a_store_and_prices(address, files, tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("models: {m: {input: 1, output: 4}}")
    options = parsed("--base-url", address, "--model", "m", "--prices", str(prices))
    with asker_from(options, files) as asker:
        answers = [text for _, text in asker.ask_all([REQUEST], lambda _, reply: reply.text)]
    assert answers == ["hello"]
    # 1,000 · 1 / 1,000,000 + 500 · 4 / 1,000,000
    assert asker.usage.cost == pytest.approx(0.003)
    assert files.llm_answers.is_file()


def test_a_store_elsewhere(address, files, tmp_path: Path) -> None:
    store = tmp_path / "deep" / "answers.sqlite"
    options = parsed("--base-url", address, "--model", "m", "--store", str(store))
    with asker_from(options, files) as asker:
        list(asker.ask_all([REQUEST], lambda _, reply: reply.text))
    assert store.is_file()
    assert not files.llm_answers.exists()


def test_a_dry_run_writes_and_asks_nothing(files) -> None:
    options = parsed("--base-url", "http://127.0.0.1:9/v1", "--model", "gpt-4o-mini", "--dry-run")
    with asker_from(options, files) as asker:
        estimate = asker.estimate("enrich", [REQUEST, REQUEST])
    assert (estimate.requests, estimate.to_ask) == (1, 1)
    assert 0 < estimate.cost <= estimate.most_cost
    assert "check your provider's" in str(estimate)
    assert list(files.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--base-url", "http://h/v1"], "give the model's name at that server"),
        (["--model", "no-such-folder"], "no folder with a transformers model"),
        (["--base-url", "http://h/v1", "--model", "m", "--max-cost", "1"], "price of m is not"),
        (["--base-url", "http://h/v1", "--model", "m", "--concurrency", "0"], "--concurrency must"),
        (["--base-url", "http://h/v1", "--model", "m", "--prices", "no.yaml"], "no such file"),
        (["--base-url", "http://h/v1", "--model", "m", "--tokenizer", "no"], "no such folder"),
        (["--base-url", "http://h/v1", "--model", "m", "--timeout", "0"], "--timeout must be"),
        (["--base-url", "http://h/v1", "--model", "m", "--timeout", "nan"], "--timeout must be"),
    ],
)
def test_options_that_do_not_fit(files, words, message) -> None:
    with pytest.raises(FormatError, match=message), asker_from(parsed(*words), files):
        pass
