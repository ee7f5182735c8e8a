"""The package as users install it: sdist, then wheel, run from another folder."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BUILD_INPUTS = (
    "CHANGELOG.md",
    "LICENSE",
    "MANIFEST.in",
    "README.md",
    "constraints.txt",
    "dataset_tools",
    "properties",
    "pyproject.toml",
    "recbole_tema",
    "run_recbole_tema.py",
    "setup.py",
    "tests",
)
SCRIPTS = ("recbole-tema", "recbole-tema-data", "recbole-tema-recommend")


def run(*command: str | Path, cwd: Path, python_path: Path | None = None) -> str:
    """What the command prints; a failure shows its error output."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if python_path is not None:
        environment["PYTHONPATH"] = str(python_path)
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command} in {cwd} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def installed_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like site-packages that holds the wheel and nothing else.

    It is built offline from a copy of the sources, so that no earlier build can leak into it, and
    by way of the sdist, so that a file which that forgets is noticed here. To use it, run Python
    elsewhere with ``PYTHONPATH`` set to this folder.
    """
    work = tmp_path_factory.mktemp("wheel")
    source, site = work / "source", work / "site"
    source.mkdir()
    for name in BUILD_INPUTS:
        if (ROOT / name).is_dir():
            leave_out = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, ignore=leave_out)
        elif (ROOT / name).is_file():
            shutil.copy(ROOT / name, source / name)
    build = "from setuptools.build_meta import build_sdist; print(build_sdist('../sdist'))"
    sdist = work / "sdist" / run(sys.executable, "-c", build, cwd=source).split()[-1]
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    offline = ("--no-deps", "--no-build-isolation", "--no-index")
    run(*pip, "wheel", *offline, "--wheel-dir", work / "wheels", sdist, cwd=work)
    (wheel,) = (work / "wheels").glob("*.whl")
    run(*pip, "install", "--no-deps", "--no-index", "--target", site, wheel, cwd=work)
    return site


def test_site_packages_gets_one_package(installed_wheel: Path) -> None:
    names = {path.name for path in installed_wheel.iterdir()} - {"bin"}
    metadata = {name for name in names if name.endswith(".dist-info")}
    assert len(metadata) == 1
    assert names - metadata == {"recbole_tema"}


def test_nothing_is_left_out(installed_wheel: Path) -> None:
    origins = {
        "recbole_tema": ROOT / "recbole_tema",
        "recbole_tema/dataset_tools": ROOT / "dataset_tools",
        "recbole_tema/properties": ROOT / "properties",
    }
    expected = {
        f"{target}/{path.relative_to(folder).as_posix()}"
        for target, folder in origins.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    installed = {
        path.relative_to(installed_wheel).as_posix()
        for path in (installed_wheel / "recbole_tema").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert installed == expected


def test_modules_and_properties_come_from_the_wheel(installed_wheel: Path, tmp_path: Path) -> None:
    program = (
        "import recbole_tema, recbole_tema.dataset_tools\n"
        "from recbole_tema._layout import properties_dir\n"
        "print(recbole_tema.__file__)\n"
        "print(recbole_tema.dataset_tools.__file__)\n"
        "print(properties_dir() / 'overall.yaml')\n"
    )
    printed = run(sys.executable, "-c", program, cwd=tmp_path, python_path=installed_wheel)
    package, tools, overall = map(Path, printed.splitlines())
    assert package == installed_wheel / "recbole_tema/__init__.py"
    assert tools == installed_wheel / "recbole_tema/dataset_tools/__init__.py"
    assert overall == installed_wheel / "recbole_tema/properties/overall.yaml"
    assert overall.is_file()


def test_a_checkout_works_from_another_folder(tmp_path: Path) -> None:
    program = (
        "import recbole_tema.dataset_tools\n"
        "from recbole_tema._layout import properties_dir\n"
        "print(recbole_tema.dataset_tools.__file__)\n"
        "print(properties_dir())\n"
    )
    printed = run(sys.executable, "-c", program, cwd=tmp_path, python_path=ROOT)
    tools, properties = map(Path, printed.splitlines())
    assert tools == ROOT / "dataset_tools/__init__.py"
    assert properties == ROOT / "properties"
    assert "usage" in run(sys.executable, ROOT / "run_recbole_tema.py", "--help", cwd=tmp_path)


def test_the_data_tools_run_as_a_module(installed_wheel: Path, tmp_path: Path) -> None:
    command = (sys.executable, "-m", "recbole_tema.dataset_tools", "--help")
    assert "build" in run(*command, cwd=tmp_path, python_path=installed_wheel)


@pytest.mark.parametrize("script", SCRIPTS)
def test_console_scripts_run(installed_wheel: Path, tmp_path: Path, script: str) -> None:
    command = (sys.executable, installed_wheel / "bin" / script, "--help")
    assert "usage" in run(*command, cwd=tmp_path, python_path=installed_wheel)


def test_a_model_runs_from_the_wheel(installed_wheel: Path, tmp_path: Path) -> None:
    script = installed_wheel / "bin" / "recbole-tema"
    command = (sys.executable, script, "--model", "TEMA,Pop", "--epochs=1", "--output", "out")
    printed = run(*command, cwd=tmp_path, python_path=installed_wheel)
    assert "action_thriller" in printed
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    for model in ("TEMA", "Pop"):
        by_domain = metrics[model]["2020"]["uni999"]
        assert list(by_domain) == ["action_thriller", "drama_comedy", "all"]
        assert all(0 < by_domain[domain]["mrr"] < 1 for domain in by_domain)
    assert (tmp_path / "dataset/ml-100k/ml-100k.inter").is_file()
