"""The command line of `images`."""

import os

import pytest

from recbole_tema.dataset_tools.cli import main
from tests.dataset_tools.images.conftest import Site, picture


def test_images_for_a_data_set(site: Site, dataset, capsys) -> None:
    site.pages = {"/a": picture()}
    files = dataset({"A": site.url("/a"), "B": site.url("/gone")})
    call = ["images", str(files.folder), "--per-host", "2"]
    # Nothing comes from this machine unless that is allowed.
    assert main(call) == 1
    assert "2 × address refused: 127.0.0.1 is loopback" in capsys.readouterr().out
    assert main([*call, "--allow-private"]) == 0
    out = capsys.readouterr().out
    assert "1 × status 404\n      such as item B: http://127.0.0.1" in out
    assert "failed.jsonl; again, with all of it: --retry-failed" in out
    assert (files.images / "A.jpg").is_file()
    # Nothing is left to ask for.
    assert main([*call, "--allow-private"]) == 0
    assert site.asked == {"/a": 1, "/gone": 1}
    assert main([*call, "--allow-private", "--retry-failed"]) == 1
    assert site.asked["/gone"] == 2


def test_images_in_another_folder(site: Site, dataset, tmp_path) -> None:
    site.pages = {"/a": picture()}
    files = dataset({"A": site.url("/a")})
    assert main(["images", str(files.folder), "--to", str(tmp_path / "i"), "--allow-private"]) == 0
    assert (tmp_path / "i" / "A.jpg").is_file()
    assert not files.images.exists()


def test_without_a_url_nothing_is_made(dataset, capsys) -> None:
    files = dataset({"A": "pictures/a.jpg", "B": "pictures/b.jpg"})
    assert main(["images", str(files.folder)]) == 0
    told = capsys.readouterr().out
    assert "image is a path, nothing to fetch      2" in told
    assert "no image named                         1" in told
    assert told.endswith("nothing to fetch: no item names a URL\n")
    assert not files.images.exists()


def test_wrong_settings_and_folders(dataset, tmp_path, capsys) -> None:
    assert main(["images", str(tmp_path / "none")]) == 2
    assert main(["images", str(dataset({}).folder), "--concurrency", "0"]) == 2
    assert "--concurrency must be 1 or more" in capsys.readouterr().err


def test_proxies_of_the_environment_are_not_used(
    site: Site, dataset, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    site.pages = {"/a": picture()}
    files = dataset({"A": site.url("/a")})
    assert main(["images", str(files.folder), "--allow-private"]) == 0
    assert "HTTP_PROXY, ALL_PROXY is set and not used" in capsys.readouterr().err


def test_what_killed_processes_left_is_cleared(dataset) -> None:
    files = dataset({})
    files.images.mkdir()
    # No process has this number; this one is alive.
    dead = files.images / ".writing-999999999-0-A.jpg"
    alive = files.images / f".writing-{os.getpid()}-99-B.jpg"
    other = files.images / ".writing"
    for path in (dead, alive, other):
        path.write_bytes(b"half")
    assert main(["images", str(files.folder)]) == 0
    assert not dead.exists()
    assert alive.exists()
    assert other.exists()
