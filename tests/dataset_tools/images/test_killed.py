"""SIGKILL while images are fetched: nothing half is in place, little is asked for twice."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from recbole_tema.formats import DatasetFiles
from tests.dataset_tools.images.conftest import Site, picture, send

IMAGES = 60
KILLS = 3
PER_HOST = 4


def stored(files: DatasetFiles) -> list[dict]:
    index = files.images / "index.jsonl"
    whole = index.read_text().splitlines(keepends=True) if index.exists() else []
    return [json.loads(line) for line in whole if line.endswith("\n")]


def test_killed_at_any_moment(site: Site, dataset) -> None:
    def page(request: BaseHTTPRequestHandler) -> None:
        time.sleep(0.02)
        send(request, 200, pictures[request.path])

    pictures = {f"/{at}": picture(10 + at, 10) for at in range(IMAGES)}
    site.pages = dict.fromkeys(pictures, page)
    files = dataset({path: site.url(path) for path in pictures})
    root = str(Path(__file__).resolve().parents[3])
    command = [sys.executable, "-m", "recbole_tema.dataset_tools", "images", str(files.folder)]
    command += ["--allow-private", "--per-host", str(PER_HOST)]
    options = {"cwd": root, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    for kill in range(KILLS):
        process = subprocess.Popen(command, **options)
        enough = (kill + 1) * IMAGES // (KILLS + 2)
        while len(stored(files)) < enough:
            assert process.poll() is None or len(stored(files)) >= enough
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        for image in stored(files):
            data = (files.images / image["file"]).read_bytes()
            assert data == pictures[image["item_id"]]
            assert hashlib.sha256(data).hexdigest() == image["sha256"]
        # An image that is in place but not in the index yet is whole, too.
        for path in files.images.glob("[!.]*.jpg"):
            assert path.read_bytes() in pictures.values()
    done = subprocess.run(command, check=True, text=True, **options)
    assert len(stored(files)) == IMAGES
    assert "there already" in done.stdout
    assert IMAGES <= site.asked.total() <= IMAGES + KILLS * 2 * PER_HOST  # asking, and writing
    assert not list(files.images.glob(".writing-*"))
