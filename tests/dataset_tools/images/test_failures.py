"""Servers that are slow, busy, wrong or hostile."""

import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler

import pytest

from recbole_tema.dataset_tools.images import hosts
from tests.dataset_tools.images.conftest import Site, picture, send
from tests.dataset_tools.images.fetching import fetch, limits, paths, reasons


def test_for_good_or_for_now(site: Site, dataset) -> None:
    site.pages = {
        "/gone": lambda request: send(request, 404),
        "/forbidden": lambda request: send(request, 403, picture()),
        "/broken": lambda request: send(request, 500),
    }
    files = dataset({item: site.url(f"/{item}") for item in ("gone", "forbidden", "broken")})
    fetch(files)
    assert site.asked == {"/gone": 1, "/forbidden": 1, "/broken": 3}
    assert reasons(files) == {
        "gone": ("status 404", True),
        "forbidden": ("status 403", True),
        "broken": ("status 500", False),
    }
    run = fetch(files)
    assert site.asked == {"/gone": 1, "/forbidden": 1, "/broken": 6}
    assert sorted(run.skipped) == ["forbidden", "gone"]
    # Those that were not asked for stay in the file.
    assert reasons(files).keys() == {"gone", "forbidden", "broken"}
    site.pages["/gone"] = picture()
    fetch(files, retry_failed=True)
    assert site.asked == {"/gone": 2, "/forbidden": 2, "/broken": 9}
    assert reasons(files).keys() == {"forbidden", "broken"}
    assert paths(files)[0] is not None


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_waited_for(site: Site, dataset, as_date: bool) -> None:
    times: list[float] = []

    def page(request: BaseHTTPRequestHandler) -> None:
        times.append(time.time())
        if len(times) == 1:
            # A date has no fractions of seconds.
            wait = formatdate(times[0] + 2, usegmt=True) if as_date else "1"
            send(request, 503, headers={"Retry-After": wait})
        else:
            send(request, 200, picture())

    site.pages = {"/busy": page}
    files = dataset({"A": site.url("/busy")})
    assert fetch(files).stored.keys() == {"A"}
    assert times[1] - times[0] >= 0.99


def test_a_busy_host_is_left_alone_by_all(site: Site, dataset) -> None:
    times: list[float] = []

    def page(request: BaseHTTPRequestHandler) -> None:
        times.append(time.time())
        if len(times) == 1:
            send(request, 429, headers={"Retry-After": "1"})
        else:
            send(request, 200, picture())

    site.pages = {f"/{at}": page for at in range(4)}
    files = dataset({str(at): site.url(f"/{at}") for at in range(4)})
    assert len(fetch(files, per_host=1).stored) == 4
    assert times[1] - times[0] >= 0.99


def test_a_host_that_wants_too_much_time_is_left_to_a_later_run(site: Site, dataset) -> None:
    site.pages = {"/a": lambda r: send(r, 429, headers={"Retry-After": "86400"})}
    files = dataset({"A": site.url("/a")})
    fetch(files)
    assert site.asked["/a"] == 1
    assert reasons(files) == {"A": ("status 429: to be asked again after 86400 s", False)}


def test_a_host_that_never_answers_is_given_up(site: Site, dataset, monkeypatch) -> None:
    monkeypatch.setattr(hosts, "GIVES_UP", 3)
    site.pages = {f"/{at}": lambda r: send(r, 500) for at in range(9)} | {"/good": picture()}
    files = dataset({str(at): site.url(f"/{at}") for at in range(9)})
    fetch(files, per_host=1, retries=0)
    # One more may be on its way.
    assert 3 <= site.asked.total() <= 4
    found = reasons(files)
    assert len(found) == 9
    assert not any(lasting for _, lasting in found.values())
    assert (
        sum(reason.startswith("host gave no answer: 127.0.0.1") for reason, _ in found.values())
        >= 5
    )


def test_slow_and_endless_answers_are_cut(site: Site, dataset) -> None:
    def drip(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        for _ in range(200):
            request.wfile.write(b"\xff")
            request.wfile.flush()
            time.sleep(0.05)

    def endless(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while True:
            request.wfile.write(bytes(10_000))

    def silent(request: BaseHTTPRequestHandler) -> None:
        time.sleep(20)

    site.pages = {"/drip": drip, "/endless": endless, "/silent": silent}
    files = dataset({"endless": site.url("/endless")})
    fetch(files, retries=0, limits=limits(1_000_000))
    assert reasons(files) == {"endless": ("too large: more than 1,000,000 bytes", True)}
    files = dataset({item: site.url(f"/{item}") for item in ("drip", "silent")})
    fetch(files, retries=0, limits=limits(timeout=0.5))
    found = reasons(files)
    for item in ("drip", "silent"):
        assert found[item] == ("no whole answer within 0.5 s", False)


def test_the_length_that_a_server_tells_is_not_believed(site: Site, dataset) -> None:
    data = picture(64, 64, "BMP")
    chunked = {"Transfer-Encoding": "chunked"}

    def hidden(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header(*next(iter(chunked.items())))
        request.end_headers()
        request.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n0\r\n\r\n")

    def short(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data[:100])
        request.close_connection = True

    site.pages = {"/hidden": hidden, "/short": short}
    files = dataset({item: site.url(f"/{item}") for item in ("hidden", "short")})
    fetch(files, retries=0, limits=limits(len(data) - 1))
    found = reasons(files)
    assert found["hidden"] == (f"too large: more than {len(data) - 1:,} bytes", True)
    assert found["short"][0].startswith("connection broken: ")
    assert not found["short"][1]
    assert fetch(files, retry_failed=True, limits=limits(len(data))).stored.keys() == {"hidden"}


def test_what_is_no_picture_is_refused_for_good(site: Site, dataset) -> None:
    whole = picture(64, 64)
    site.pages = {
        "/html.jpg": b"<!DOCTYPE html><html>Sorry</html>",
        "/cut.jpg": whole[: len(whole) // 2],
        "/large.png": picture(300, 300, "PNG"),
        "/packed.jpg": lambda r: send(r, 200, whole, {"Content-Encoding": "gzip"}),
    }
    files = dataset({path[1:]: site.url(path) for path in site.pages})
    run = fetch(files, max_pixels=64 * 64)
    assert run.stored == {}
    found = reasons(files)
    assert all(lasting for _, lasting in found.values())
    assert found["html.jpg"][0].startswith("not an image: it begins with '<!DOCTYPE html>")
    assert found["cut.jpg"][0].startswith("a damaged image: ")
    assert found["large.png"][0] == "too large: 300 × 300 pixels"
    assert found["packed.jpg"][0].startswith("packed answer: gzip")
    left = sorted(path.name for path in files.images.iterdir())
    assert left == [".lock", "failed.jsonl", "index.jsonl"]
    assert "1 × not an image: " in run.report
    assert "such as item html.jpg: http://" in run.report
