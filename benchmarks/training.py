"""Time and memory of training, beside RecBole 1.2.1's own and beside a plain loss.

    python benchmarks/training.py epoch --dataset food-kitchen --data_path dataset
    python benchmarks/training.py systems --dataset food-kitchen --data_path dataset
    python benchmarks/training.py loss --dataset MB --data_path dataset

``epoch``: an epoch of TEMA against one of RecBole's SASRec. ``systems``: epochs of the other
systems against one of TEMA. ``loss``: a training step of LLM-EMF as
in the paper, full softmax over every candidate, with the plain and the chunked loss. Each prints a
Markdown table; README.md beside this file says what the figures hold.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isolated import isolated

if TYPE_CHECKING:
    from training_ways import Epoch

PAPER = {
    "embedding_size": 256,
    "modalities": ["id", "image", "text"],
    "feature_projection": "none",
    "fusion": "mixture",
    "similarity": "cosine",
    "temperature": 0.15,
    "inner_size": 0,
    "n_heads": 1,
    "n_negatives": 0,
    "untrained_negatives": True,
    "train_batch_size": 256,
}


SYSTEMS = {
    **dict.fromkeys(("ABXI", "C2DSR", "TriCDR", "PiNet", "PSJNet", "MIFN"), "embedding_size"),
    "SASRecWindows": "hidden_size",
    "GRU4RecWindows": "embedding_size",
}
"""The other systems, and what each calls its dimensions."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("epoch", "systems", "loss"))
    parser.add_argument("--dataset", required=True, help="a folder below --data_path")
    parser.add_argument("--data_path", required=True, help="where the data sets are")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=10, help="of the ways that are slow")
    options = parser.parse_args()
    if options.threads < 1 or options.steps < 1:
        parser.error("--threads and --steps must be at least 1")
    options.data_path = str(Path(options.data_path).resolve())
    print({"epoch": epochs, "systems": systems, "loss": losses}[options.what](options))


def epochs(options: argparse.Namespace) -> str:
    """TEMA with the sampled and with the full loss, and SASRec both ways, 64 dimensions all."""
    length = {"MAX_ITEM_LIST_LENGTH": 50}
    tema = {"embedding_size": 64, "inner_size": 128, "n_negatives": 512, **length}
    sasrec = {"hidden_size": 64, **length}
    rows = {
        "RecBole's SASRec": _measure(options, "recbole_epoch", "SASRec", sasrec, options.steps),
        "SASRec, our data and trainer": _measure(
            options, "our_epoch", "SASRec", {**sasrec, "train_batch_size": 2048}, options.steps
        ),
        "TEMA, 512 negatives": _measure(options, "our_epoch", "TEMA", tema, None, True),
        "TEMA, full loss": _measure(
            options,
            "our_epoch",
            "TEMA",
            {**tema, "n_negatives": 0, "untrained_negatives": True},
            options.steps,
            True,
        ),
    }
    baseline = rows["RecBole's SASRec"]
    columns = ["", "epoch, s", "ratio", "step over its matrix products", "peak, MiB"]
    lines = []
    for name, epoch in rows.items():
        about = "≈ " if epoch.steps < epoch.all_steps else ""
        products = epoch.products_seconds
        lines.append(
            [
                name,
                f"{about}{epoch.epoch_seconds:,.1f} ({epoch.epoch_cpu_seconds:,.1f})",
                f"{baseline.epoch_cpu_seconds / epoch.epoch_cpu_seconds:,.1f}",
                f"{epoch.cpu_seconds / products:.2f}" if products else "",
                f"{epoch.peak_mib:,.0f}",
            ]
        )
    return _table(columns, lines)


def systems(options: argparse.Namespace) -> str:
    """Every other system at 64 dimensions, 64 histories, 1,024 negatives; TEMA once more last."""
    length = {"MAX_ITEM_LIST_LENGTH": 50, "train_batch_size": 64, "n_negatives": 1024}
    tema = ("TEMA", {"embedding_size": 64, "inner_size": 128, **length})
    others = [(name, {key: 64, **length}) for name, key in SYSTEMS.items()]
    lines, baseline = [], 0.0
    for name, settings in (tema, *others, tema):
        epoch = _measure(options, "our_epoch", name, settings, options.steps)
        baseline = baseline or epoch.epoch_cpu_seconds
        about = "≈ " if epoch.steps < epoch.all_steps else ""
        lines.append(
            [
                name,
                f"{about}{epoch.epoch_seconds:,.1f} ({epoch.epoch_cpu_seconds:,.1f})",
                f"{epoch.epoch_cpu_seconds / baseline:.1f}",
                f"{epoch.peak_mib:,.0f}",
            ]
        )
    return _table(["", "epoch, s", "over TEMA's", "peak, MiB"], lines)


def losses(options: argparse.Namespace) -> str:
    """Both implementations of the full mixture loss at the paper's dimensions."""
    names = ("plain", "chunked")
    rows = {
        name: _measure(
            options, "our_epoch", "LLMEMF", {**PAPER, "loss_implementation": name}, options.steps
        )
        for name in names
    }
    plain = rows["plain"]
    columns = ["", "step, s", "time", "added by a step, MiB", "memory", "process, MiB"]
    lines = []
    for name, epoch in rows.items():
        added = epoch.peak_mib - epoch.held_mib
        lines.append(
            [
                name,
                f"{epoch.seconds / epoch.steps:.2f} ({epoch.cpu_seconds / epoch.steps:.2f})",
                f"{epoch.cpu_seconds / plain.cpu_seconds * plain.steps / epoch.steps:.2f}",
                f"{added:,.0f}",
                f"1/{(plain.peak_mib - plain.held_mib) / added:.1f}",
                f"{epoch.peak_mib:,.0f}",
            ]
        )
    return _table(columns, lines)


def _measure(
    options: argparse.Namespace,
    way: str,
    model: str,
    settings: dict[str, Any],
    steps: int | None,
    *more: bool,
) -> "Epoch":
    try:
        measured: Epoch = isolated(
            "training_ways",
            way,
            model,
            options.dataset,
            options.data_path,
            settings,
            steps,
            *more,
            threads=options.threads,
        )
    except ValueError as error:
        sys.exit(f"training.py: {error}")
    return measured


def _table(columns: list[str], lines: list[list[str]]) -> str:
    rule = ["---", *["---:"] * (len(columns) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [columns, rule, *lines])


if __name__ == "__main__":
    main()
