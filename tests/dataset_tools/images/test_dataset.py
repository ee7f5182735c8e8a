"""Fetching from a real server on this machine."""

import errno
import fcntl
import hashlib
import itertools
import re
import threading
import time
from http.server import BaseHTTPRequestHandler

import pytest
from PIL import Image

from recbole_tema.dataset_tools.images import addresses, download
from recbole_tema.dataset_tools.images.index import read_index
from recbole_tema.formats import FormatError
from tests.dataset_tools.images.conftest import Site, picture, redirect, send
from tests.dataset_tools.images.fetching import fetch, limits, paths, reasons


def test_images_lie_where_the_paths_say(site: Site, dataset) -> None:
    site.pages = {"/a.jpg": picture(8, 6), "/b": picture(5, 4, "PNG")}
    files = dataset({"A": site.url("/a.jpg"), "b/../b": site.url("/b"), "p": "local.jpg"})
    run = fetch(files)
    first, second, local, none = paths(files)
    assert first == files.images / "A.jpg"
    assert first.read_bytes() == site.pages["/a.jpg"]
    # By what it is, not by what the URL says.
    assert second.suffix == ".png"
    assert Image.open(second).size == (5, 4)
    assert local == files.folder / "local.jpg"
    assert none is None
    about = read_index(files.images)["A"]
    assert (about.width, about.height) == (8, 6)
    assert about.sha256 == hashlib.sha256(site.pages["/a.jpg"]).hexdigest()
    assert reasons(files) == {}
    assert site.headers["/b"]["Accept-Encoding"] == "identity"
    report = run.report
    for line in (r"fetched now +2", r"image is a path, nothing to fetch +1", r"no image named +1"):
        assert re.search(line, report)


def test_what_is_there_and_whole_is_not_fetched_again(site: Site, dataset) -> None:
    site.pages = {f"/{item}": picture(colour=item) for item in ("red", "green", "blue")}
    files = dataset({item.upper(): site.url(f"/{item}") for item in ("red", "green", "blue")})
    assert len(fetch(files).stored) == 3
    (files.images / "RED.jpg").unlink()
    (files.images / "BLUE.jpg").write_bytes(picture(colour="white"))
    run = fetch(files)
    assert sorted(run.there) == ["GREEN"]
    assert sorted(run.stored) == ["BLUE", "RED"]
    assert site.asked == {"/red": 2, "/green": 1, "/blue": 2}
    assert (files.images / "BLUE.jpg").read_bytes() == site.pages["/blue"]
    run = fetch(files)
    assert len(run.there) == 3
    assert site.asked.total() == 5


def test_one_run_at_a_time_in_a_folder(site: Site, dataset) -> None:
    refusals = []

    def page(request: BaseHTTPRequestHandler) -> None:
        with pytest.raises(FormatError) as error:
            fetch(files)
        refusals.append(str(error.value))
        send(request, 200, picture())

    site.pages = {"/a": page}
    files = dataset({"A": site.url("/a")})
    assert len(fetch(files).stored) == 1
    expected = (
        f"{files.images}: another command is fetching images into it; wait until it has ended"
    )
    assert refusals == [expected]
    assert site.asked == {"/a": 1}
    assert [*read_index(files.images)] == ["A"]
    assert [*fetch(files).there] == ["A"]


def test_a_file_system_without_locks_does(site: Site, dataset, monkeypatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "no locks here")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    site.pages = {"/a": picture()}
    assert len(fetch(dataset({"A": site.url("/a")})).stored) == 1


def test_an_item_with_another_url_gets_another_image(site: Site, dataset) -> None:
    site.pages = {"/a": picture(), "/b": picture(kind="PNG")}
    fetch(dataset({"A": site.url("/a")}))
    files = dataset({"A": site.url("/b")})
    assert paths(files)[0] is None
    fetch(files)
    assert paths(files)[0] == files.images / "A.png"
    assert not (files.images / "A.jpg").exists()


def test_items_of_one_url_share_the_request_and_no_file(site: Site, dataset) -> None:
    site.pages = {"/same": picture()}
    files = dataset({item: site.url("/same") for item in ("A", "a", "B")})
    fetch(files)
    assert site.asked == {"/same": 1}
    found = paths(files)[:3]
    assert len({path.name.casefold() for path in found}) == 3
    assert all(path.read_bytes() == site.pages["/same"] for path in found)


def test_redirects(site: Site, dataset) -> None:
    site.pages = {
        "/old": redirect("/new?size=1"),
        "/new?size=1": redirect(site.url("/end", "127.0.0.2")),
        "/end": picture(),
        "/loop": redirect("/loop"),
        "/mail": redirect("mailto:shop@example.com"),
        "/file": redirect("file:///etc/passwd"),
        "/bad": redirect("http://shop:eighty/"),
    }
    wanted = ("old", "loop", "mail", "file", "bad")
    files = dataset({item: site.url(f"/{item}") for item in wanted})
    assert list(fetch(files).stored) == ["old"]
    assert site.asked["/loop"] == 6
    found = reasons(files)
    assert all(lasting for _, lasting in found.values())
    assert found["loop"][0] == "more than 5 redirects"
    assert found["mail"][0] == "neither http nor https: mailto:shop@example.com"
    assert found["file"][0] == "neither http nor https: file:/etc/passwd"
    assert found["bad"][0].startswith("not a URL: ")


def test_private_addresses_are_refused_and_nobody_is_asked(site: Site, dataset) -> None:
    site.pages = {"/a": picture()}
    hosts = {"v4": "127.0.0.1", "number": "2130706433", "name": "localhost", "mapped": "[::1]"}
    files = dataset({item: site.url("/a", host) for item, host in hosts.items()})
    run = fetch(files, allow_private=False)
    assert run.stored == {}
    assert not site.asked
    assert {reason.partition(":")[0] for reason, _ in reasons(files).values()} == {
        "address refused"
    }
    assert "127.0.0.1 is loopback; --allow-private" in reasons(files)["v4"][0]
    # For good, but not when the flag is given.
    assert len(fetch(files, allow_private=False).skipped) == 4
    assert {"v4", "number"} <= fetch(files).stored.keys()


def test_a_redirect_to_a_private_address_is_refused(site: Site, dataset, monkeypatch) -> None:
    real = addresses.not_public
    # As if 127.0.0.1 were a public server.
    monkeypatch.setattr(addresses, "not_public", lambda a: "" if a == "127.0.0.1" else real(a))
    site.pages = {"/a": redirect(site.url("/secret", "127.0.0.2")), "/secret": picture()}
    files = dataset({"A": site.url("/a")})
    assert fetch(files, allow_private=False).stored == {}
    assert reasons(files) == {
        "A": ("address refused: 127.0.0.2 is loopback; --allow-private would allow it", True)
    }
    assert site.asked == {"/a": 1}
    # It is the address that was in the way.
    assert fetch(files).stored.keys() == {"A"}


def test_schemes_and_urls_that_cannot_be(site: Site, dataset) -> None:
    wrong = {
        "ftp": "ftp://127.0.0.1/a.jpg",
        "file": "file:///etc/passwd",
        "nohost": "http:///a.jpg",
        "port": "http://127.0.0.1:99999/a.jpg",
        "letters": "http://127.0.0.1:x/a.jpg",
    }
    files = dataset(wrong)
    fetch(files)
    found = reasons(files)
    assert found.keys() == wrong.keys()
    assert all(lasting for _, lasting in found.values())
    assert found["ftp"][0] == "neither http nor https: ftp://127.0.0.1/a.jpg"


def test_the_same_picture_from_many_urls_is_told(site: Site, dataset) -> None:
    site.pages = {f"/{at}": picture() for at in range(3)} | {"/own": picture(colour="blue")}
    files = dataset({path[1:]: site.url(path) for path in site.pages})
    assert "the same picture from 3 URLs" in fetch(files).report


class Crowd:
    """A page that counts who asks for it at once; the first ``expected`` wait for each other."""

    def __init__(self, expected: int) -> None:
        self.most = 0
        self._open = 0
        self._asked = itertools.count()
        self._expected = expected
        self._together = threading.Barrier(expected, timeout=30)
        self._lock = threading.Lock()

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        with self._lock:
            self._open += 1
            self.most = max(self.most, self._open)
            is_early = next(self._asked) < self._expected
        if is_early:
            self._together.wait()
        time.sleep(0.02)
        # Before the answer, after which the next one may ask.
        with self._lock:
            self._open -= 1
        send(request, 200, picture())


def test_a_host_is_asked_so_much_at_a_time(site: Site, dataset) -> None:
    crowd = Crowd(3)
    site.pages = {f"/{at}": crowd for at in range(30)}
    files = dataset({str(at): site.url(f"/{at}") for at in range(30)})
    fetch(files, per_host=3)
    assert crowd.most == 3


def test_all_hosts_together_are_asked_so_much_at_a_time(site: Site, dataset) -> None:
    crowd = Crowd(4)
    site.pages = {f"/{at}": crowd for at in range(30)}
    files = dataset({str(at): site.url(f"/{at}", f"127.0.0.{1 + at % 5}") for at in range(30)})
    fetch(files, concurrency=4)
    assert crowd.most == 4


def test_a_full_disk_ends_the_run_and_loses_nothing(site: Site, dataset, monkeypatch) -> None:
    site.pages = {f"/{at}": picture() for at in range(6)}
    files = dataset({str(at): site.url(f"/{at}") for at in range(6)})
    real, calls = download.store, []

    def full(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) > 3:
            raise OSError(28, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(download, "store", full)
    with pytest.raises(OSError, match="No space left"):
        fetch(files, per_host=1, concurrency=1)
    monkeypatch.setattr(download, "store", real)
    run = fetch(files)
    assert len(run.there) == 3
    assert len(run.stored) == 3


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"concurrency": 0}, "--concurrency must be"),
        ({"per_host": 0}, "--per-host must be"),
        ({"retries": -1}, "--retries must be"),
        ({"max_pixels": 10**9}, "--max-pixels must be at most"),
        ({"limits": limits(0)}, "--max-bytes must be"),
        ({"limits": limits(timeout=float("nan"))}, "--timeout must be"),
    ],
)
def test_settings_that_cannot_be(dataset, changes: dict, option: str) -> None:
    files = dataset({})
    with pytest.raises(FormatError, match=option):
        fetch(files, **changes)
    assert not files.images.exists()
