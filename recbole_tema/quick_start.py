"""One call from the names of models and data sets to ranks, metrics, tables and pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_tema.asked import Asked
from recbole_tema.launch import in_processes
from recbole_tema.running import run_asked
from recbole_tema.training.resume import RunCheckpoints


class RunStopped(KeyboardInterrupt):
    """A run was interrupted; it can be gone on with in the folder ``output``."""

    def __init__(self, output: Path) -> None:
        super().__init__(f"go on with run_recbole_tema(…, output={str(output)!r}, resume=True)")
        self.output = output


def run_recbole_tema(
    model: str | Sequence[str] | None = None,
    dataset: str | None = None,
    config_file_list: list[str] | None = None,
    config_dict: dict[str, Any] | None = None,
    output: str | Path | None = None,
    resume: bool = False,
    seeds: str | int | Sequence[int] | None = None,
    ablation: bool | str | Path = False,
    sweep: str | Sequence[str] | Mapping[str, Sequence[Any]] | None = None,
) -> dict[str, Any]:
    """Train one or several models, rank the same test cases with each, and write the outcome.

    A model and seed that fails is reported and left out while the others go on; what is wrong for
    all is raised. The test cases and their candidates are the same for all models and seeds.

    Args:
        model: a model's name, several joined by commas, or a list of names. One with property files
            of its own is ``NAME@FILE.yaml``, several ``NAME@A.yaml+B.yaml``; they win over
            ``config_file_list``, and the dict over them. None: what the files or the dict say, else
            TEMA.
        dataset: a folder below ``data_path``. None: what the files or the dict say, else
            ``ml-100k``, which is built on first use.
        config_file_list: property files.
        config_dict: settings that win over the files, such as ``{"candidates": "full,uni999"}``.
        output: folder for the results; by default one with the time in its name below ``results/``.
        resume: go on with the run in ``output`` that was stopped or killed, with the settings and
            data of then: the outcome is the same, bit for bit, as if it had never been stopped.
            What was finished is ranked again, not trained; what failed is tried again.
        seeds: numbers, or a text of them joined by commas: every model is trained with each. None:
            what the files or the dict say under ``seeds``, else their one ``seed``.
        ablation: beside each model its ablations: True: those that the project ships for it; or a
            file of them, or a folder with ``MODEL.yaml``. See
            :func:`recbole_tema.rows.ablation.read_ablation`.
        sweep: settings that are varied one at a time: ``{key: values}``, or texts ``key=v1,v2``
            with values in YAML. The settings as given are a row too.

    Returns:
        ``metrics`` ({row: {seed: {candidates: {domain: {metric: value}}}}}), ``output`` (Path),
        ``checkpoints`` ({row: {seed: file of the best weights}}), ``failed`` ({row: {seed:
        reason}}). A row is called as its model, and what is its own stands behind it in brackets:
        ``TEMA (paper)``, ``TEMA (n_layers=2)``.

    With ``nproc`` above 1, or under ``torchrun``, several processes share the work; see
    :func:`recbole_tema.launch.in_processes` for what the calling program has to look like.

    Raises:
        ValueError: settings that are wrong, no model that can be run on this data set (also
            FormatError), a run in ``output``, finished or not, or one that cannot be gone on with.
        OSError: a file could not be read or written.
        RunStopped: a KeyboardInterrupt that names the folder to go on in.
    """
    asked = Asked.of(
        model, dataset, config_file_list, config_dict, output, resume, seeds, ablation, sweep
    )
    if len(asked.datasets) > 1:
        raise ValueError(
            f"dataset: expected one, got {', '.join(asked.datasets)}; run_on_datasets, and the "
            "command's --dataset, take several"
        )
    return _in_processes(asked)[asked.datasets[0]]


def run_on_datasets(dataset: str | Sequence[str], **arguments: Any) -> dict[str, dict[str, Any]]:
    """:func:`run_recbole_tema` on one data set after the other, and tables of all side by side.

    Settings hold for all of them; what is one data set's own stands in its property file. What is
    wrong with any of them is found before the first is trained.

    Args:
        dataset: folders below ``data_path``, joined by commas or a list.
        arguments: the others of ``run_recbole_tema``. Of several data sets each has a folder of
            its name in ``output``, beside tables and pictures of all. ``resume`` goes on with those
            that were begun, and begins the others.

    Returns:
        By data set what ``run_recbole_tema`` returns.

    Raises:
        ValueError, OSError, RunStopped: as there.
    """
    return _in_processes(Asked.of(dataset=dataset, **arguments))


def _in_processes(asked: Asked) -> dict[str, dict[str, Any]]:
    """What :func:`run_on_datasets` does."""
    folder = asked.folder()
    try:
        result: dict[str, dict[str, Any]] = in_processes(asked.processes, run_asked, asked, folder)
    except KeyboardInterrupt as stop:
        folders = asked.folders(folder).values()
        if any(RunCheckpoints(each, asked.checkpoint_dir).can_go_on() for each in folders):
            raise RunStopped(folder) from stop
        raise
    return result
