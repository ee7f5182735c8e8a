"""Raw interactions and items to a data set folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from recbole_tema.formats import (
    ALL_DOMAINS,
    DOMAIN,
    HISTORY,
    ITEM,
    ITEM_COLUMNS,
    LEAVE_ONE_OUT,
    TIME,
    USER,
    DatasetFiles,
    FormatError,
    dataset_properties,
    id_problem,
    write_histories,
    write_interactions,
    write_items,
    write_properties,
)

from ..raw.bad_rows import BadRows
from ..raw.store import open_store
from ..wording import counted
from .leave_one_out import Filters
from .staging import check_target, staged_folder
from .tables import RawFiles, Tables, from_histories, from_interactions


@dataclass(frozen=True)
class Built:
    """Where the data set lies, what is in it as text, and the bad rows left out by reason."""

    folder: Path
    report: str
    bad_rows: dict[str, int]


def build_dataset(
    name: str,
    out: Path,
    *,
    items: Mapping[str, Path],
    domains: Mapping[str, Path] | None = None,
    splits: Mapping[str, Path] | None = None,
    images: Mapping[str, Path] | None = None,
    columns: Mapping[str, str] | None = None,
    filters: Filters | None = None,
    max_length: int | None = None,
    allow_bad_rows: bool = False,
    allow_truncated: bool = False,
    engine: str = "duckdb",
    exchange: Path | None = None,
    overwrite: bool = False,
    command: str = "recbole_tema.dataset_tools.build.build_dataset, called from Python",
) -> Built:
    """Build ``out/name/`` from raw files: CSV, TSV or JSON lines, the Amazon dumps among them.

    Args:
        name: name of the data set and its folder.
        out: folder of all data sets.
        items: items file of each domain; for leave-one-out a domain may do without.
        domains: interactions file of each domain, in order, for leave-one-out. Or else:
        splits: the histories under "train", "valid" and "test".
        images: folder of images of a domain, named ITEM.jpg, .jpeg, .png or .webp.
        columns: the files' own names of our columns, where they are none of the known ones
            (`KNOWN_NAMES`); a column's number, from 1, for a file without a header.
        filters: which users and items stay (leave-one-out).
        max_length: for histories that are split already: how many last items are kept.
        allow_bad_rows: leave bad rows out and list them beside the data set, instead of stopping.
        allow_truncated: use what is there of a gzip file that ends in the middle, and say so.
        engine: "duckdb", or "spark" for interactions that are too many for one machine.
        exchange: folder that all machines of a Spark cluster see.
        overwrite: replace a data set of this name, its features and tags included.
        command: what the data set's property file names as its origin.

    Raises:
        FormatError: bad rows that are not allowed (`BadRowsError`, with the whole report), an item
            of two domains, an empty domain, a leak between parts, a folder in the way. Nothing is
            written then.
    """
    if id_problem(name) or Path(name).name != name or name.startswith("."):
        raise FormatError(f"{name!r} cannot be the name of a data set: it names a folder and files")
    if (domains is None) == (splits is None):
        raise FormatError("give either --domain files, or --train, --valid and --test")
    if unknown := set(columns or {}) - {USER, ITEM, TIME, HISTORY, *ITEM_COLUMNS}:
        raise FormatError(f"--columns: {sorted(unknown)} are none of our columns; OURS=THEIRS")
    target = Path(out).absolute() / name
    check_target(target, overwrite)
    images = dict(images or {})
    _known_domains(images, domains if domains is not None else items, "--images")
    _known_domains(items, domains if domains is not None else items, "--items")
    bad = BadRows()
    with open_store() as store:
        raw = RawFiles(store, columns or {}, images, bad, allow_bad_rows, allow_truncated)
        if domains is not None:
            filters = filters or Filters()
            tables = from_interactions(raw, domains, items, filters, engine, exchange)
        else:
            assert splits is not None
            if filters is not None and filters != Filters():
                raise FormatError("--min-… filters are for leave-one-out; histories are kept whole")
            tables = from_histories(raw, splits, items, max_length)
    names = list(domains if domains is not None else items)
    if len(names) != 2 or ALL_DOMAINS in names:
        raise FormatError(
            f"expected two domains, none of them called {ALL_DOMAINS!r}; got {', '.join(names)}"
        )
    with staged_folder(target, overwrite) as folder:
        _write(DatasetFiles(folder), tables, bad, command)
    report = f"{tables.summary}\n{target}"
    if bad:
        listed = DatasetFiles(target).bad_rows.name
        left_out = f"left out {counted(len(bad), 'bad row')}, listed in {listed}"
        report = f"{left_out}:\n{bad.report()}\n\n{report}"
    return Built(target, report, bad.counts())


def _write(files: DatasetFiles, tables: Tables, bad: BadRows, command: str) -> None:
    write_items(files.items, tables.items)
    for split, frame in tables.parts.items():
        if tables.split == LEAVE_ONE_OUT:
            write_interactions(files.inter, frame)
        else:
            write_histories(files.split_inter(split), frame)
    domains = [str(domain) for domain in tables.items[DOMAIN].unique()]
    write_properties(files.properties, dataset_properties(domains, tables.split), command)
    if bad:
        bad.write(files.bad_rows)


def _known_domains(given: Mapping[str, Path], domains: Mapping[str, Path], option: str) -> None:
    for domain in given:
        if domain not in domains:
            raise FormatError(
                f"{option} {domain}=…: no domain of this name; there are {', '.join(domains)}"
            )
