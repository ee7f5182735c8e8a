"""The graph of a data set's items, to ``NAME.graph.safetensors``."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recbole_tema.formats import (
    DOMAIN,
    ITEM,
    DatasetFiles,
    FormatError,
    Graph,
    read_items,
    read_tags,
    write_graph,
)

from ..tag.categories import category_candidates
from ..text_table import table
from ..wording import counted
from .links import nearest_by_links, read_links
from .nearest import Pairs
from .shared import nearest_by_attributes, shared_attributes, split_brands


def graph_dataset(
    folder: Path,
    *,
    links: Sequence[Path] = (),
    neighbours: int = 10,
    max_items: int = 1000,
    made_by: str = "",
) -> str:
    """Write the graph of the items of a data set and return a report for people.

    Its relations are what the data set has: ``category`` (of the items file), ``brand`` and ``tag``
    (of the tags file), and the relations of the links.

    Args:
        folder: data set folder.
        links: JSON lines with the items that a shop lists beside each.
        neighbours: of an item, for each relation and domain.
        max_items: an attribute on more items joins nothing.
        made_by: the command, to be noted in the file.
    """
    files = DatasetFiles(folder)
    files.check()
    if neighbours < 1:
        raise FormatError("--neighbours must be 1 or more")
    if max_items < 2:
        raise FormatError("--max-items must be 2 or more")
    items = read_items(files.items)
    tokens = items[ITEM].tolist()
    names, domains = np.unique(items[DOMAIN].to_numpy(str), return_inverse=True)
    attributes = {"category": [list(each) for each in category_candidates(items)]}
    if files.tags.is_file():
        tags = read_tags(files.tags, tokens)
        attributes["brand"], attributes["tag"] = split_brands([list(tags[each]) for each in tokens])
    found: dict[str, Pairs] = {}
    for relation, of_items in attributes.items():
        shared = shared_attributes(of_items, max_items)
        if len(shared.items):
            found[relation] = nearest_by_attributes(shared, domains, neighbours, relation)
    for relation, pairs in read_links(links, tokens).items():
        found[relation] = nearest_by_links(pairs, domains, neighbours)
    if not found:
        raise FormatError(
            f"{files.folder}: its items have nothing in common: no categories and no tags that 2 "
            f"to {max_items} items share. Make tags with: recbole-tema-data tag {files.folder}, or "
            "name the metadata with --links FILE"
        )
    graph = _graph(tokens, found, made_by)
    write_graph(files.graph, graph)
    return f"{_report(graph, names, domains)}\n{files.graph}"


def _graph(tokens: list[str], found: dict[str, Pairs], made_by: str) -> Graph:
    both = Pairs.joined(list(found.values()))
    relations = np.repeat(np.arange(len(found)), [len(each.items) for each in found.values()])
    order = np.argsort(both.items, kind="stable")
    counts = np.bincount(both.items, minlength=len(tokens))
    return Graph(
        tokens,
        list(found),
        np.concatenate([[0], np.cumsum(counts)]),
        both.neighbours[order],
        relations[order].astype(np.uint8),
        both.weights[order].astype(np.float32),
        made_by,
    )


def _report(graph: Graph, names: np.ndarray, domains: np.ndarray) -> str:
    """How many edges there are of each relation, and how many items have one."""
    own = np.repeat(np.arange(len(graph.tokens)), np.diff(graph.ends))
    across = domains[own] != domains[graph.neighbours]
    rows = []
    for number, relation in [*enumerate(graph.names), (None, "any")]:
        at = np.ones(len(own), bool) if number is None else graph.relations == number
        within, beyond = own[at & ~across], own[at & across]
        counts = [len(within), len(beyond), len(np.unique(within)), len(np.unique(beyond))]
        rows.append([relation, *counts])
    headings = ["relation", "edges within a domain", "across", "items with one within", "across"]
    return f"{counted(len(graph.tokens), 'item')} of {', '.join(names)}\n{table(headings, rows)}"
