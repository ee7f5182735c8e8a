"""The command line: help, exit codes, one line for an error."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from recbole_tema.dataset_tools.cli import main
from recbole_tema.formats import DatasetFiles, read_interactions

HEAD = "user_id,item_id,timestamp\n"


@pytest.mark.parametrize("command", ["build", "encode", "graph", "images", "tag", "validate"])
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert f"recbole-tema-data {command} " in capsys.readouterr().out


@pytest.mark.parametrize("command", ["build", "encode", "graph", "images", "tag", "validate"])
def test_help_tells_the_exit_codes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert re.search(r"^exit code .*2: ", capsys.readouterr().out, re.MULTILINE | re.DOTALL)


def test_tag_help_names_the_folder_of_the_prompts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["tag", "--help"])
    (folder,) = re.findall(r"The package's stand in\n(.+)\n", capsys.readouterr().out)
    names = {"enrich.yaml", "propose.yaml", "refine.yaml", "score.yaml", "rate.yaml"}
    assert {path.name for path in Path(folder).iterdir()} >= names


def test_help_needs_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['x', 'encode', '--help']\n"
        "from recbole_tema.dataset_tools.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'transformers', 'sklearn', 'recbole'} & set(sys.modules)\n"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=root)


def test_build_tag_and_encode(tmp_path, write, capsys) -> None:
    x = write("x.csv", HEAD + "a,x1,1\na,x2,2\na,x1,9\n")
    y = write("y.csv", HEAD + "a,y1,3\na,bad item,3\n")
    items = write("i.csv", "item_id,title\nx1,red bag\nx2,red box\n")
    call = ["build", "--name", "d", "--out", str(tmp_path), "--domain", f"x={x}", "--domain"]
    call += [f"y={y}", "--items", f"x={items}", "--max-length", "3"]
    assert main(call) == 2
    error = capsys.readouterr().err
    assert "1 bad row, nothing was written" in error
    assert "y.csv, line 3" in error

    assert main([*call, "--allow-bad-rows"]) == 0
    assert "left out 1 bad row, listed in d.bad_rows.csv" in capsys.readouterr().out
    files = DatasetFiles(tmp_path / "d")
    assert read_interactions(files.inter)["item_id"].tolist() == ["x2", "y1", "x1"]
    assert "--allow-bad-rows" in files.properties.read_text()

    assert main(["tag", str(tmp_path / "d"), "--min-items", "1"]) == 0
    assert main(["encode", str(tmp_path / "d")]) == 0
    assert files.features("tag").is_file()


TAG_EXAMPLES = ("api.deepseek.com", "vLLM", "Ollama", "a model in a folder", "offline")


def test_tag_help_has_an_example_of_each_way(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["tag", "--help"])
    told = capsys.readouterr().out
    assert [way for way in TAG_EXAMPLES if way not in told] == []
    assert all(f"--{option}" in told for option in ("stages", "encoder", "base-url", "dry-run"))


@pytest.mark.parametrize(
    "option", ["--stages=enrich", "--prompts=p", "--dry-run", "--max-cost=3", "--timeout=9"]
)
def test_options_of_a_language_model_need_one(small: Path, capsys, option: str) -> None:
    tags = DatasetFiles(small).tags
    tags.write_text("paid for")
    assert main(["tag", str(small), option]) == 2
    error = capsys.readouterr().err
    assert f"tag: {option.split('=')[0]}: " in error
    assert "give --model" in error
    assert tags.read_text() == "paid for"


def test_a_full_disk_is_one_line_and_code_2(small: Path) -> None:
    limits = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); "
    code = f"{limits}from recbole_tema.dataset_tools.cli import main; sys.exit(main(sys.argv[1:]))"
    root = Path(__file__).resolve().parents[2]
    ended = subprocess.run(
        # -B: Python would leave its own files cut off, too.
        [sys.executable, "-B", "-c", f"import sys; {code}", "tag", str(small)],
        capture_output=True,
        text=True,
        cwd=root,
    )
    files = DatasetFiles(small)
    assert ended.returncode == 2
    assert str(files.tags) in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not files.tags.exists()


def test_an_error_is_one_line_and_code_2(tmp_path, write, capsys) -> None:
    assert main(["tag", str(tmp_path / "none")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("recbole-tema-data tag: ")
    assert error.count("\n") == 1
    assert main(["build", "--name", "d", "--out", str(tmp_path), "--domain", "x=none.csv"]) == 2
    assert "none.csv: no such file" in capsys.readouterr().err
    twice = ["--domain", "x=a", "--domain", "x=b"]
    assert main(["build", "--name", "d", "--out", str(tmp_path), *twice]) == 2
    assert "given twice" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["build", "--name", "d", "--out", str(tmp_path), "--domain", "x"])
