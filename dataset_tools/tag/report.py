"""What tags a data set got, as text for people."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recbole_tema.formats import ALL_DOMAINS

from ..text_table import table
from ..wording import counted
from .responses import Responses
from .stages.asking import Failed
from .titles import split_tag

MOST_FREQUENT = 15
MOST_FREQUENT_OF_TYPE = 6
HEADINGS = ("domain", "items", "without tags", "different tags", "tags an item")


@dataclass(frozen=True)
class TagFigures:
    """Numbers of items and tags.

    Attributes:
        items, tagged, given: by domain, the items, those with tags, and their tags in all.
        counts: by domain, the items of each tag.
        everything: the items of each tag in all domains.
        shared: of the tags of more than one domain.
    """

    items: Counter[str]
    tagged: Counter[str]
    given: Counter[str]
    counts: dict[str, Counter[str]]
    everything: Counter[str]
    shared: Counter[str]

    @classmethod
    def of(cls, domains: Sequence[str], tags: Sequence[Mapping[str, float]]) -> "TagFigures":
        """From the domain and the tags of each item."""
        counts = {name: Counter[str]() for name in dict.fromkeys(domains)}
        items, tagged, given = Counter[str](), Counter[str](), Counter[str]()
        for domain, own in zip(domains, tags, strict=True):
            counts[domain].update(own.keys())
            items[domain] += 1
            tagged[domain] += bool(own)
            given[domain] += len(own)
        everything: Counter[str] = sum(counts.values(), Counter())
        bridges = (tag for tag in everything if sum(tag in own for own in counts.values()) > 1)
        shared = Counter({tag: everything[tag] for tag in bridges})
        return cls(items, tagged, given, counts, everything, shared)

    def rows(self) -> list[list[object]]:
        """A row for each domain and one for all: its name and `HEADINGS`' numbers."""
        rows = [
            _row(name, self.items[name], self.tagged[name], self.given[name], len(tags))
            for name, tags in self.counts.items()
        ]
        items, tagged, given = (c.total() for c in (self.items, self.tagged, self.given))
        return [*rows, _row(ALL_DOMAINS, items, tagged, given, len(self.everything))]

    def most_frequent(self) -> Iterator[tuple[str, list[tuple[str, int]]]]:
        """The most frequent tags in each domain, and of those in more than one."""
        for name, counts in self.counts.items():
            yield f"in {name}", top(counts, MOST_FREQUENT)
        yield "in more than one domain", top(self.shared, MOST_FREQUENT)


def _row(name: str, items: int, tagged: int, given: int, different: int) -> list[object]:
    return [name, items, items - tagged, different, f"{given / max(items, 1):.1f}"]


def tags_report(domains: Sequence[str], tags: Sequence[Mapping[str, float]]) -> str:
    """Numbers of items and tags by domain and by type, and the most frequent tags."""
    figures = TagFigures.of(domains, tags)
    lines = [table(HEADINGS, figures.rows())]
    lines.append(f"tags of more than one domain: {len(figures.shared):,}")
    for what, most in figures.most_frequent():
        lines.append(f"most frequent {what}: " + _listed(most))
    return "\n".join([*lines, *_by_type(figures.everything, figures.shared)])


def top(counts: Mapping[str, int], number: int) -> list[tuple[str, int]]:
    """The tags of the highest counts, the highest first."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:number]


def _listed(most: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{tag} ({number:,})" for tag, number in most)


def _by_type(counts: Counter[str], shared: Collection[str]) -> Iterator[str]:
    """For data sets with types of tags a table of them, and the most frequent of each."""
    of_type: dict[str, Counter[str]] = defaultdict(Counter)
    for tag, count in counts.items():
        kind, value = split_tag(tag)
        of_type[kind][value] = count
    if set(of_type) <= {""}:
        return
    bridges = Counter(split_tag(tag)[0] for tag in shared)
    yield table(
        ["type", "different tags", "of several domains", "on items"],
        [
            [kind or "(none)", len(values), bridges[kind], values.total()]
            for kind, values in sorted(of_type.items())
        ],
    )
    for kind, values in sorted(of_type.items()):
        if kind:
            yield f"most frequent {kind}: " + _listed(top(values, MOST_FREQUENT_OF_TYPE))


def answers_report(answers: Responses, retry: Path) -> str:
    """What could be read of an LLM's answers; ``retry`` is where the rest went."""
    read = sum(1 for own in answers.candidates if own)
    items = counted(len(answers.candidates), "item")
    lines = [f"{counted(answers.answers, 'answer')}: tags of {read:,} of {items}"]
    lines += [f"  {n:,} × {reason}" for reason, n in answers.problems.most_common() if n]
    if answers.dropped_tags:
        lines.append(
            f"  {counted(answers.dropped_tags, 'list member')} dropped: too long, or no word"
        )
    if answers.failed:
        lines.append(f"  {counted(len(answers.failed), 'item')} to ask again: {retry.name}")
    return "\n".join(lines)


def failures_report(failed: Sequence[Failed], retry: Path) -> list[str]:
    """How many questions have no readable answer, by stage and reason."""
    counts = Counter((each.stage, each.reason) for each in failed)
    lines = [f"  {number:,} × {stage}: {why}" for (stage, why), number in counts.most_common()]
    told = f"{counted(len(failed), 'question')} failed, see {retry.name}"
    return [told, *lines] if failed else []
