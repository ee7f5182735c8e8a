"""Pages of made-up comparisons."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recbole_tema.report import Cases, RunResult, tables_of_results
from recbole_tema.report.html import Card, DatasetFigures, Example, Report, write_report

DOMAINS = ("food", "kitchen & <home>")
N = 300
PICTURE = "data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw=="


def made_up_report(
    models=("TEMA", "LLMEMF (paper, no tags)", "Pop"),
    seeds=(1, 2),
    modes=("uni999", "full"),
    title='{item}: Organic <script>alert(1)</script> & "Tea" {{ 7 * 7 }} </title>' + " very" * 60,
    failures=None,
    picture="",
) -> Report:
    """A comparison of random ranks, the first model's the best, with a dozen examples."""
    rng = np.random.default_rng(0)
    items = [f"i{number}" for number in range(40)]
    domain = rng.integers(0, 2, N)
    cases = Cases(
        [f"u{number}" for number in range(N)],
        [items[2 * at + which] for at, which in zip(rng.integers(0, 20, N), domain, strict=True)],
        domain,
        DOMAINS,
        rng.geometric(0.1, N),
        rng.integers(0, 3, N) * rng.geometric(0.05, N),
        rng.random(N) < 0.4,
    )
    results = [
        RunResult(
            model=model,
            seed=seed,
            cases=cases,
            ranks={m: np.ceil(rng.exponential(30 + 20 * at, N)) for m in modes},
            epochs=12,
            best_epoch=9,
            parameters=123_456,
            train_seconds=99.0,
            seconds_per_epoch=8.2,
            eval_seconds=1.5,
            peak_memory=900 << 20,
        )
        for at, model in enumerate(models)
        for seed in seeds
    ]
    curves = {
        model: {seed: {e: 0.2 - 0.15 / (1 + e + at) for e in range(12)} for seed in seeds}
        for at, model in enumerate(models)
    }
    cards = {
        item: Card(
            item,
            DOMAINS[at % 2],
            title.replace("{item}", item),
            ("green tea", "<b>bold</b>", "quick"),
            picture,
        )
        for at, item in enumerate(items)
    }
    examples = [
        Example(
            case,
            ("cold", "rare", "popular")[number % 3],
            cases.targets[case],
            tuple(rng.choice(items, 8)),
            {
                model: tuple(dict.fromkeys([*rng.choice(items, 4), cases.targets[case]]))
                for model in models
            },
            {model: float(rng.integers(1, 9000)) + 0.5 * (number % 2) for model in models},
        )
        for number, case in enumerate(range(12))
    ]
    return Report(
        models=models,
        seeds=seeds,
        results=results,
        tables=tables_of_results(results),
        topk=(5, 10),
        curves=curves,
        valid_metric="NDCG@10",
        dataset=DatasetFigures("food-kitchen", 250, (20, 20), (1000, 2000)),
        settings={model: {"epochs": 12, "candidates": ["full"], "of": model} for model in models},
        failures=failures or {},
        examples=examples,
        cards=cards,
        versions={"recbole_tema": "1.0", "torch": "2.13.0"},
    )


@pytest.fixture(scope="session")
def report_of() -> Callable[..., Report]:
    """``report_of(models=…, seeds=…, modes=…, title=…, failures=…, picture=…)``."""
    return made_up_report


@pytest.fixture
def page_of(tmp_path: Path) -> Callable[..., Path]:
    """The same, written; gives the page's path."""
    return lambda **choices: write_report(tmp_path, made_up_report(**choices))
