"""How long it takes to load a data set and to rank its test cases, beside RecBole 1.2.1's own way.

    python benchmarks/evaluation.py --dataset food-kitchen --data_path dataset

prints a Markdown table of times, ratios and peak memory; README.md beside this file says what each
figure holds. RecBole's ``uni999`` encodes a history once per candidate and would take hours, so it
ranks only ``--recbole-cases`` test cases; its time for all is extrapolated in proportion.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from isolated import isolated
from measuring import Measured

FULL, UNI = "full", "uni999"


def main() -> None:
    """Measure every part and print the table."""
    options = _options()
    with tempfile.TemporaryDirectory() as cache:
        print(table(_measured(options, cache), options))


def _measured(options: argparse.Namespace, cache: str) -> dict[str, Measured]:
    # A function of ways.py and what it is called with besides the settings.
    parts: dict[str, tuple[Any, ...]] = {
        "our preparation": ("our_preparation", False),
        "our first preparation": ("our_preparation", cache),
        "our second preparation": ("our_preparation", cache),
        "our tables": ("our_tables", False),
        "our kept tables": ("our_tables", cache),
        f"our {UNI}": ("our_ranking", [UNI]),
        f"our {FULL}": ("our_ranking", [FULL]),
        "our both": ("our_ranking", [FULL, UNI]),
        "RecBole's preparation": ("recbole_preparation",),
        f"RecBole's {FULL}": ("recbole_ranking", FULL),
        f"RecBole's {UNI}": ("recbole_ranking", UNI, options.recbole_cases),
        "same ranks": ("same_ranks",),
    }
    measured: dict[str, Measured] = {}
    for name, part in parts.items():
        settings = (options.model, options.dataset, options.data_path)
        try:
            measured[name] = isolated("ways", "part", settings, *part, threads=options.threads)
        except ValueError as error:
            sys.exit(f"evaluation.py: {error}")
    return measured


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", required=True, help="a folder below --data_path")
    parser.add_argument("--data_path", required=True, help="where the data sets are")
    parser.add_argument("--model", default="SASRec", help="a sequential model of RecBole's own")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--recbole-cases", type=int, default=200, help="test cases that RecBole's uni999 ranks"
    )
    options = parser.parse_args()
    if options.threads < 1 or options.recbole_cases < 1:
        parser.error("--threads and --recbole-cases must be at least 1")
    options.data_path = str(Path(options.data_path).resolve())
    return options


def table(measured: dict[str, Measured], options: argparse.Namespace) -> str:
    """The figures as Markdown, with what they rest on above and below."""
    part = measured[f"RecBole's {UNI}"]
    head = (
        f"{options.model}, untrained, on {options.dataset}: {part.all_cases:,} test cases, "
        f"threads: {options.threads}. ≈: RecBole's {UNI} ranked {part.cases:,} of them in "
        f"{part.seconds:.1f} s, extrapolated in proportion. In brackets: processor time."
    )
    columns = ["", "ours, s", "RecBole's, s", "ratio", "our peak, MiB", "RecBole's peak, MiB"]
    rows = [
        ("files to first batches", "our preparation", ["RecBole's preparation"]),
        ("the same, cache written", "our first preparation", ["RecBole's preparation"]),
        ("the same, from the cache", "our second preparation", ["RecBole's preparation"]),
        (UNI, f"our {UNI}", [f"RecBole's {UNI}"]),
        (FULL, f"our {FULL}", [f"RecBole's {FULL}"]),
        (f"{UNI} and {FULL}", "our both", [f"RecBole's {UNI}", f"RecBole's {FULL}"]),
    ]
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)]]
    for name, our_part, their_parts in rows:
        lines.append([name, *_cells(measured[our_part], [measured[each] for each in their_parts])])
    body = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([head, "", *body, "", *_notes(measured)])


def _cells(ours: Measured, theirs: list[Measured]) -> list[str]:
    """Times, ratio and peaks; ``theirs`` run one after the other."""
    seconds = sum(each.for_all(each.seconds) for each in theirs)
    cpu_seconds = sum(each.for_all(each.cpu_seconds) for each in theirs)
    extrapolated = any(each.cases < each.all_cases for each in theirs)
    about, digits = ("≈ ", 0) if extrapolated else ("", 2)
    return [
        f"{ours.seconds:.2f} ({ours.cpu_seconds:.2f})",
        f"{about}{seconds:,.{digits}f} ({cpu_seconds:,.{digits}f})",
        f"{about}{seconds / ours.seconds:,.{min(digits, 1)}f}",
        f"{ours.peak_mib:,.0f}",
        f"{max(each.peak_mib for each in theirs):,.0f}",
    ]


def _notes(measured: dict[str, Measured]) -> list[str]:
    ranks = measured["same ranks"]
    tables, kept = measured["our tables"], measured["our kept tables"]
    notes = []
    if tables.notes["tables"]:
        notes.append(
            f"- Ours reads features and tags in {tables.seconds:.2f} ({tables.cpu_seconds:.2f}) s, "
            f"with the tags from the cache in {kept.seconds:.2f} ({kept.cpu_seconds:.2f}) s."
        )
    same, equal = (f"{ranks.notes[name]:,.0f}" for name in ("compared", "equal"))
    return [
        *notes,
        f"- Peaks are of whole processes; {ranks.imported_mib:,.0f} MiB of each are the imported "
        "libraries.",
        f"- Of our {UNI}, {measured[f'our {UNI}'].notes['draw']:.2f} s drew the candidates; a "
        "training run draws them once.",
        f"- Ranks under {FULL}, RecBole's scores restricted to the target's domain: {same} of "
        f"{ranks.all_cases:,} cases have the same user, history and target both ways; {equal} of "
        f"these the same rank; largest difference {ranks.notes['largest']:g}.",
    ]


if __name__ == "__main__":
    main()
