"""How much faster several processes train and evaluate than one, each with so many threads.

    python benchmarks/processes.py --dataset food-kitchen --data_path dataset

prints a Markdown table; README.md beside this file says what each figure holds. On a machine with
fewer processors than processes x threads there is nothing to gain.
"""

import argparse
import logging
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from isolated import isolated
from measuring import Measured, peak_mib

SEED = 2020


def main() -> None:
    """Measure every model by one process and by several, and print the table."""
    options = _options()
    lines = [
        ["", "1 process, s", f"{options.processes} processes, s", "ratio", "peak of 1, MiB"],
        ["---", *["---:"] * 4],
    ]
    lines[0].append(f"peak of each of {options.processes}, MiB")
    lines[1].append("---:")
    notes = []
    for model in options.model.split(","):
        measured = {}
        for number in (1, options.processes):
            measured[number] = isolated(
                "processes", "run", options, model, number, threads=options.threads
            )
        (epoch, ranks), (epochs, their_ranks) = measured[1], measured[options.processes]
        for name in ("training", "ranking"):
            lines.append([f"{model}, {name}", *_cells(epoch[name], epochs[name])])
        equal = sum(int((ranks[mode] == their_ranks[mode]).sum()) for mode in ranks)
        notes.append(
            f"- {model}: {equal:,} of {sum(map(len, ranks.values())):,} ranks of the untrained "
            "model are the same."
        )
    print(
        f"{options.dataset}, threads of each process: {options.threads}, epochs: {options.epochs}\n"
    )
    print("\n".join(f"| {' | '.join(line)} |" for line in lines))
    print("\n" + "\n".join(notes))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", required=True, help="a folder below --data_path")
    parser.add_argument("--data_path", required=True, help="where the data sets are")
    parser.add_argument("--model", default="TEMA,SASRec", help="one or several, joined by commas")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--epochs", type=int, default=1, help="timed together")
    options = parser.parse_args()
    if options.processes < 2 or options.threads < 1 or options.epochs < 1:
        parser.error("--processes must be at least 2, --threads and --epochs at least 1")
    options.data_path = str(Path(options.data_path).resolve())
    return options


def _cells(one: Measured, several: Measured) -> list[str]:
    return [
        f"{one.seconds:.2f} ({one.cpu_seconds:.2f})",
        f"{several.seconds:.2f} ({several.cpu_seconds:.2f})",
        f"{one.seconds / several.seconds:.2f}",
        f"{one.peak_mib:,.0f}",
        f"{several.peak_mib:,.0f}",
    ]


def run(
    options: argparse.Namespace, model: str, number: int
) -> tuple[dict[str, Measured], dict[str, np.ndarray]]:
    """The figures of ``number`` processes and the ranks that they found."""
    from recbole_tema.launch import ProcessSettings, in_processes

    found: tuple[dict[str, Measured], dict[str, np.ndarray]] = in_processes(
        ProcessSettings(number, number), measure, options, model
    )
    return found


def measure(
    options: argparse.Namespace, model: str
) -> tuple[dict[str, Measured], dict[str, np.ndarray]]:
    """Rank all test cases by an untrained model, then train it, in each process."""
    warnings.simplefilter("ignore")
    logging.getLogger().setLevel(logging.ERROR)
    import torch
    from recbole.utils import init_seed

    from recbole_tema.config import TEMAConfig
    from recbole_tema.data.dataset import CrossDomainDataset
    from recbole_tema.data.loaders import data_preparation
    from recbole_tema.distributed import barrier, process_group, sum_over_processes
    from recbole_tema.evaluation.ranker import CaseRanker
    from recbole_tema.training.trainer import trainer_class

    torch.set_num_threads(options.threads)
    keys: dict[str, Any] = {
        "data_path": options.data_path,
        "gpu_id": "",
        "seed": SEED,
        "epochs": options.epochs,
        "show_progress": False,
    }
    measured = {"training": Measured(), "ranking": Measured()}
    with process_group():
        config = TEMAConfig(model, options.dataset, config_dict=keys)
        train, _, test = data_preparation(config, CrossDomainDataset(config))
        ranker = CaseRanker(test, ["full", "uni999"], SEED)
        init_seed(SEED, True)
        built = config.model_class(config, train._dataset)
        trainer = trainer_class(config)(config, built)
        parts = {
            "ranking": lambda: ranker.ranks(built, config["device"]),
            "training": lambda: trainer.fit(train, None, verbose=False, saved=False),
        }
        found = {}
        for name, part in parts.items():
            barrier()
            time.sleep(0.1)  # the others have left the barrier
            with measured[name].timed():
                found[name] = part()
                barrier()
            figures = np.array([measured[name].cpu_seconds, peak_mib()])
            of_all = sum_over_processes(figures)
            measured[name].cpu_seconds = of_all[0]
            measured[name].peak_mib = of_all[1] / sum_over_processes(np.ones(1))[0]
    return measured, found["ranking"]


if __name__ == "__main__":
    main()
