"""What it takes to keep every epoch: the time of writing the checkpoint that one can go on from.

    python benchmarks/checkpointing.py --dataset food-kitchen --data_path dataset [--model TEMA]

trains some epochs with their validations and checkpoints as ``recbole-tema`` does, and prints a
Markdown table: seconds an epoch, seconds of them for its checkpoint (``-last.pth``), the share, and
the size of the file.
"""

import argparse
import logging
import os
import statistics
import sys
import tempfile
import time
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", required=True, help="a folder below --data_path")
    parser.add_argument("--data_path", required=True, help="where the data sets are")
    parser.add_argument("--model", default="TEMA")
    parser.add_argument("--epochs", type=int, default=4, help="the first one is left out")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if options.epochs < 2 or options.threads < 1:
        parser.error("--epochs must be at least 2 and --threads 1")
    options.data_path = str(Path(options.data_path).resolve())
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    warnings.simplefilter("ignore")
    logging.getLogger().setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        print(measure(options))
        os.chdir("/")


def measure(options: argparse.Namespace) -> str:
    """The table of one model."""
    from recbole_tema.config import TEMAConfig
    from recbole_tema.data.dataset import CrossDomainDataset
    from recbole_tema.training.resume import RunCheckpoints
    from recbole_tema.training.run import train_and_rank
    from recbole_tema.training.trainer import PerDomainTrainer

    began: list[float] = []
    saving: list[float] = []
    train_epoch, save_last = PerDomainTrainer._train_epoch, PerDomainTrainer._save_last

    def timed_epoch(trainer: Any, *arguments: Any, **more: Any) -> Any:
        began.append(time.perf_counter())
        return train_epoch(trainer, *arguments, **more)

    def timed_save(trainer: Any, *arguments: Any) -> None:
        start = time.perf_counter()
        save_last(trainer, *arguments)
        saving.append(time.perf_counter() - start)

    PerDomainTrainer._train_epoch, PerDomainTrainer._save_last = timed_epoch, timed_save
    settings = {
        "data_path": options.data_path,
        "epochs": options.epochs + 1,
        "show_progress": False,
        "gpu_id": "",
    }
    config = TEMAConfig(options.model, options.dataset, config_dict=settings)
    checkpoints = RunCheckpoints(Path("out"))
    config["checkpoint_dir"] = str(checkpoints.folder)
    train_and_rank(config, CrossDomainDataset(config), checkpoints)
    # From the beginning of one epoch to that of the next, the first one apart.
    epochs = [stop - start for start, stop in pairwise(began[1:])]
    epoch, save = statistics.median(epochs), statistics.median(saving[1:])
    size = checkpoints.files(options.model, config["seed"]).last.stat().st_size / (1 << 20)
    return (
        "| model | epoch, s | checkpoint, s | share | size, MiB |\n"
        "| --- | ---: | ---: | ---: | ---: |\n"
        f"| {options.model} | {epoch:.2f} | {save:.3f} | {save / epoch:.2%} | {size:.1f} |"
    )


if __name__ == "__main__":
    main()
