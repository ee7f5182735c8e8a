"""The command ``recbole-tema``: RecBole's arguments and a few of our own."""

import argparse
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from recbole_tema import __version__
from recbole_tema._layout import properties_dir

DESCRIPTION = """\
Train models for cross-domain sequential recommendation and compare them on the same test cases.

This project's models are TEMA and LLMEMF, other cross-domain systems (ABXI, C2DSR, MIFN, PiNet,
PSJNet, TriCDR), SASRecWindows and GRU4RecWindows; every other name is a model of RecBole (SASRec,
GRU4Rec, SRGNN, Pop, BPR, ItemKNN, NeuMF, ...)."""

EPILOG = """\
Every setting of a property file can be given as --key=value and wins over the files:
  --epochs=20 --learning_rate=1e-3 --modalities="['id','text']"
Those that are used most, with the defaults for TEMA (ml-100k has fewer epochs and a time limit):
  --gpu_id=0                the GPU; --gpu_id= (empty): the processors
  --nproc=1                 processes that share the work; 2 on GPUs: --nproc=2 --gpu_id=0,1
  --data_path=dataset/      the folder around those of the data sets
  --checkpoint_dir=DIR      where checkpoints are kept; default: checkpoints/ below --output
  --epochs=100              at most
  --stopping_step=10        ends training after so many validations in a row without a better one
  --max_train_seconds=None  no epoch starts after so many seconds; None: no limit
  --learning_rate=0.002     each model has its own
  --train_batch_size=64     rows at once: whole histories for our models; each model has its own
  --seed=2020               of one training; --seeds 1,2,3: of several
  --text_features=None      llm: the text vectors of NAME.text_llm.safetensors in place of
                            NAME.text.safetensors
All settings, with their meaning and source, stand in overall.yaml and model/NAME.yaml of
  {properties}
Those of RecBole alone are in its documentation.

Examples:
  recbole-tema --model TEMA
  recbole-tema --model TEMA,LLMEMF,SASRec,GRU4Rec,Pop --dataset food-kitchen
  recbole-tema --model TEMA,SASRec --dataset food-kitchen --seeds 1,2,3 --output results/seeds
  recbole-tema --model TEMA,SASRec --dataset food-kitchen,arts-office --output results/both
  recbole-tema --model SASRec --dataset food-kitchen --candidates full,uni999 --output results/fk
  recbole-tema --model SASRec --dataset food-kitchen --candidates full,uni999 --output results/fk \\
      --resume
  recbole-tema --model TEMA,TEMA@paper/TEMA.yaml,SASRec@results/tune/best-SASRec.yaml
  recbole-tema --model TEMA,LLMEMF --dataset food-kitchen --ablation --seeds 1,2,3
  recbole-tema --model TEMA,LLMEMF --dataset food-kitchen --sweep temperature=0.5,0.75,1 \\
      --sweep 'score_view_weights=[1,0,1],[1,0.3,0.1]'
  recbole-tema --model TEMA --dataset food-kitchen --nproc=2
  recbole-tema --model TEMA --dataset food-kitchen --tune tune/TEMA.yaml --trials 30
  recbole-tema --model TEMA,SASRec --dataset food-kitchen --tune tune --trials 30"""


def parser() -> argparse.ArgumentParser:
    """The arguments that are not settings."""
    result = argparse.ArgumentParser(
        "recbole-tema",
        description=DESCRIPTION,
        epilog=EPILOG.replace("{properties}", str(properties_dir())),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = result.add_argument
    add("--version", action="version", version=f"recbole-tema {__version__}")
    add(
        "--model",
        metavar="NAME[@FILE.yaml],...",
        help="model, or several joined by commas (default: TEMA). NAME@FILE.yaml is a row with "
        "settings of its own, NAME@A.yaml+B.yaml one with those of several files: they win over "
        "--config_files, and --key=value over them. It is called after the file, TEMA (paper), or "
        "after its folder where the file is called after the model",
    )
    add(
        "--dataset",
        metavar="NAME,...",
        help="folder below data_path, as recbole-tema-data build makes it, or several joined by "
        "commas: one after the other, each into its folder below --output, with tables of all side "
        "by side; settings of one of them stand in its NAME.yaml (default: ml-100k, made on first "
        "use from the MovieLens-100K files that come with RecBole)",
    )
    add(
        "--seeds",
        metavar="N,...",
        help="train every model with each of these, such as 1,2,3; wins over --seed (default: the "
        "one of --seed, 2020)",
    )
    add(
        "--config_files",
        metavar='"A.yaml B.yaml"',
        help="property files, separated by blanks; later ones win. paper/TEMA.yaml and "
        "paper/LLMEMF.yaml, the papers' literal settings, come with the package",
    )
    add(
        "--candidates",
        help="what a target is ranked with: full (all items of its domain), unseen (those that the "
        "history does not hold), uni999 (999 sampled ones), or several such as uni999,unseen, from "
        "the same scores; default: uni999",
    )
    add(
        "--output",
        metavar="DIR",
        help="folder for metrics, ranks, tables, pictures and checkpoints; results in it are not "
        "written over; default: a new one below results/",
    )
    add(
        "--resume",
        action="store_true",
        help="go on with the run in --output DIR that was stopped or killed, bit for bit as if it "
        "had not been; everything else has to be as it was, but models and seeds may be added",
    )
    add(
        "--tune",
        metavar="SPACE",
        help="look for the settings that validate best. SPACE is a file, the space of every model "
        "of --model (tune/TEMA.yaml), or a folder, in which each model has its MODEL.yaml (tune). "
        "tune/ comes with the package; a path of your own goes before it. The same command goes on "
        "where it was stopped, and several of them at once share the work",
    )
    add(
        "--trials",
        metavar="N",
        type=int,
        help="with --tune, which needs it: how many settings of each model are tried",
    )
    add(
        "--ablation",
        metavar="FILE.yaml",
        nargs="?",
        const=True,
        default=False,
        help="beside each model what it does without one of its parts: the rows of FILE.yaml (of "
        "MODEL.yaml, where it is a folder), without it those that the project ships for TEMA and "
        "LLMEMF (ablation/). They win over all other settings. Models without an ablation are "
        "compared as they are; rows that the data set cannot have are left out and named. Writes "
        "ablation_MODE.md, .csv and .tex",
    )
    add(
        "--sweep",
        metavar="KEY=V1,V2,...",
        action="append",
        help="vary a setting of every model, all others as given; several --sweep are varied one "
        "at a time. Values are YAML: n_layers=0,1,2, 'views=[single],[merged]'. The settings as "
        "given are run once for all, also where their value is not named. Writes "
        "sweep_KEY_MODE.md, .csv, .tex and .png",
    )
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status, 2 for input that cannot be run.

    1 where some of several models or seeds failed; they are named, and the others are complete.

    SIGTERM and Ctrl-C end it with 143 and 130 and the command to go on with; a second one ends it
    at once.
    """
    from recbole_tema.compat import IncompatibleVersionError

    argv = sys.argv[1:] if argv is None else list(argv)
    arguments, rest = parser().parse_known_args(argv)
    settings: dict[str, str] = {}
    with _stop_signals() as received:
        try:
            settings.update(settings_of(rest))
            if arguments.candidates:
                settings["candidates"] = arguments.candidates
            if (arguments.tune is None) != (arguments.trials is None):
                raise ValueError("--tune SPACE and --trials N go together; see --help")
            modes = {name: getattr(arguments, name) for name in ("tune", "ablation", "sweep")}
            chosen = [f"--{name}" for name, value in modes.items() if value not in (None, False)]
            if len(chosen) > 1:
                raise ValueError(f"{' and '.join(chosen)}: one of them at a time")
            if arguments.tune and arguments.resume:
                raise ValueError("--tune goes on by itself where it was stopped; drop --resume")
            failed: dict[str, dict[str, dict[int, str]]] = {}
            run: dict[str, Any] = {
                "model": arguments.model,
                "dataset": arguments.dataset,
                "config_file_list": (arguments.config_files or "").split(),
                "config_dict": settings,
                "output": arguments.output,
            }
            if arguments.tune:
                from recbole_tema import tune_models

                tune_models(space=arguments.tune, trials=arguments.trials, **run)
            else:
                from recbole_tema import run_on_datasets

                results = run_on_datasets(
                    resume=arguments.resume,
                    seeds=arguments.seeds,
                    ablation=arguments.ablation,
                    sweep=arguments.sweep,
                    **run,
                )
                failed = {dataset: each["failed"] for dataset, each in results.items()}
        except (ValueError, OSError, IncompatibleVersionError) as error:
            if str(settings.get("state", "")).upper() == "DEBUG":
                raise
            print(f"recbole-tema: {_plainly(error, arguments.output)}", file=sys.stderr)
            return 2
        except KeyboardInterrupt as stop:
            number = received[0] if received else signal.SIGINT
            print(f"recbole-tema: stopped by {number.name}", file=sys.stderr)
            if output := getattr(stop, "output", None):
                kept, more = ("trial", []) if arguments.tune else ("epoch", ["--resume"])
                command = _resuming(argv, output, more)
                print(f"Every complete {kept} is kept. Go on with:\n  {command}", file=sys.stderr)
            return 128 + number
    for dataset, rows in failed.items():
        where = f" on {dataset}" if len(failed) > 1 else ""
        for row, reasons in rows.items():
            for seed, reason in reasons.items():
                message = f"{row} with seed {seed}{where} failed: {reason}"
                print(f"recbole-tema: {message}", file=sys.stderr)
    return 1 if any(failed.values()) else 0


def _plainly(error: Exception, output: str | None) -> str:
    """What went wrong; where the folder of ``--output`` could not be made, that."""
    if output and isinstance(error, OSError) and error.filename and not Path(output).is_dir():
        folder = Path(output).absolute()
        if Path(error.filename).absolute() in (folder, *folder.parents):
            return f"--output {output}: this folder cannot be made ({error.strerror})"
    return str(error)


@contextmanager
def _stop_signals() -> Iterator[list[signal.Signals]]:
    """SIGTERM does what Ctrl-C does, and a second one of either ends the process at once.

    Gives the signals received. Off the main thread, where Python handles none, nothing is changed.
    """
    received: list[signal.Signals] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        received.append(signal.Signals(number))
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():
        for each in (signal.SIGINT, signal.SIGTERM):
            # Ignored for a command in the background; None: not Python's own.
            if signal.getsignal(each) not in (signal.SIG_IGN, None):
                before[each] = signal.signal(each, stop)
    try:
        yield received
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _resuming(argv: Sequence[str], output: Path, more: Sequence[str]) -> str:
    """The command that goes on, by the arguments ``more``, with what ``argv`` began."""
    program = ["recbole-tema"]
    if sys.argv[0].endswith("run_recbole_tema.py"):
        program = ["python", sys.argv[0]]
    has_output = any(each.split("=")[0] == "--output" for each in argv)
    where = [] if has_output else ["--output", str(output)]
    again = [each for each in more if each not in argv]
    return shlex.join([*program, *argv, *where, *again])


def settings_of(arguments: Sequence[str]) -> dict[str, str]:
    """``--key=value`` arguments as a dict.

    Raises:
        ValueError: an argument of another form, or a key given twice with different values.
    """
    settings: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not equals or not key:
            hint = (
                f"write {argument}=VALUE"
                if argument.startswith("--") and key
                else ("several --config_files go into one pair of quotes")
            )
            raise ValueError(f"expected --key=value, got {argument!r}: {hint}; see --help")
        if settings.setdefault(key, value) != value:
            raise ValueError(f"--{key} is given twice: {settings[key]!r} and {value!r}")
    return settings
