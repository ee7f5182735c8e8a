"""A web site on this machine, pictures, and data sets whose items name URLs."""

import io
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from recbole_tema.dataset_tools.images import download
from recbole_tema.formats import (
    LEAVE_ONE_OUT,
    DatasetFiles,
    dataset_properties,
    write_interactions,
    write_items,
    write_properties,
)

Answer = Callable[[BaseHTTPRequestHandler], None]


def picture(width: int = 8, height: int = 6, kind: str = "JPEG", colour: str = "red") -> bytes:
    """The bytes of a plain picture."""
    data = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(data, kind)
    return data.getvalue()


class Site:
    """Answers by path; ``asked`` counts the requests."""

    def __init__(self) -> None:
        self.pages: dict[str, Answer | bytes] = {}
        self.asked: Counter[str] = Counter()
        self.headers: dict[str, dict[str, str]] = {}
        self._lock = threading.Lock()
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        # On all addresses of this machine, 127.0.0.2 too.
        self.server = ThreadingHTTPServer(("0.0.0.0", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        with self._lock:
            self.asked[request.path] += 1
            self.headers[request.path] = dict(request.headers)
        try:
            page = self.pages.get(request.path)
            if page is None:
                send(request, 404, b"gone")
            elif isinstance(page, bytes):
                send(request, 200, page)
            else:
                page(request)
        except OSError:  # the client has had enough
            request.close_connection = True


def send(
    request: BaseHTTPRequestHandler,
    status: int,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> None:
    request.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)


def redirect(to: str) -> Answer:
    return lambda request: send(request, 302, headers={"Location": to})


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


@pytest.fixture
def dataset(tmp_path: Path) -> Callable[[Mapping[str, str]], DatasetFiles]:
    """Write a data set ``d`` with the images that are given by item."""

    def write(images: Mapping[str, str]) -> DatasetFiles:
        files = DatasetFiles(tmp_path / "d")
        names = [*images, "last"]
        items = pd.DataFrame({"item_id": names, "image": [*images.values(), ""], "domain": "x"})
        items.loc[len(items) - 1, "domain"] = "y"
        write_items(files.items, items)
        write_interactions(
            files.inter,
            pd.DataFrame({"user_id": "u", "item_id": names, "timestamp": range(len(names))}),
        )
        write_properties(files.properties, dataset_properties(["x", "y"], LEAVE_ONE_OUT), "test")
        return files

    return write


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "FIRST_WAIT", 0.01)
