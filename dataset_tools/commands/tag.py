"""``recbole-tema-data tag``."""

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_tema.formats import DatasetFiles, FormatError, read_items

from ..llm.prompt import PACKAGED
from .llm_options import add_llm_options, asker_from, asks_llm
from .options import add_command, given_options

if TYPE_CHECKING:
    from ..tag.stages.settings import StageSettings

EXAMPLES = f"""examples:
  offline, from categories and what titles state:
  recbole-tema-data tag dataset/food-kitchen

  DeepSeek, all stages; first what it would cost (the key is read from $OPENAI_API_KEY):
  recbole-tema-data tag dataset/arts-office --base-url https://api.deepseek.com/v1 \\
      --model deepseek-chat --dry-run
  recbole-tema-data tag dataset/arts-office --base-url https://api.deepseek.com/v1 \\
      --model deepseek-chat --max-cost 20

  a server of one's own, vLLM or Ollama; tags alone, scored by a text encoder:
  recbole-tema-data tag dataset/arts-office --base-url http://127.0.0.1:8000/v1 \\
      --model Qwen/Qwen3-8B --concurrency 64
  recbole-tema-data tag dataset/arts-office --base-url http://127.0.0.1:11434/v1 \\
      --model qwen3:8b --stages propose,refine \\
      --scorer embedding --encoder models/all-MiniLM-L6-v2

  a model in a folder; enriched texts alone, with prompts of one's own:
  recbole-tema-data tag dataset/arts-office --model models/Qwen3-4B --llm-device cuda \\
      --stages enrich --prompts my-prompts

  answers that are there already, alone or with stages over them:
  recbole-tema-data tag dataset/arts-office --responses llm_responses.jsonl.gz
  recbole-tema-data tag dataset/arts-office --responses llm_responses.jsonl.gz \\
      --base-url http://127.0.0.1:8000/v1 --model Qwen/Qwen3-8B --stages refine,score

Without a model and answers the tags are the items' categories and what their titles say: "brand:
bodum", "kind: french press", "use: coffee", "diet: organic", and flavour, material, colour, origin,
size, weight, volume, length, pieces, pack. Rare tags score higher; an encoder (--scorer embedding)
scores by how near item and tag are, beside the items that do not carry the tag.

Stages of a model, in this order; answers are kept, so that a stage that ran before costs nothing:
  enrich   keywords, attributes and likely users of each item, to NAME.enriched.jsonl
  propose  tags of each item, with prompts that name its domain and the others
  refine   the list of tags of each domain: merged, without doubles, pruned; tags of several domains
           first, which stay shared. NAME.tag_list.jsonl says where every proposed tag went
  score    how well the candidates (an item's own tags and those nearest to its text) fit, in [0, 1]
An item's text is put into prompts as data; an answer is checked against the form asked for, the
numbers of the items and the tag list. With --items-per-request above 1 items share a question, so a
text could still sway its neighbours' tags; at 1 it cannot.

Prompts are YAML files named after the stages (enrich, propose, refine, score, and rate: scores as
numbers); --prompts DIR takes the place of those that it has. The package's stand in
{PACKAGED}

Responses are JSON lines {{"item_id": …, "model": …, "content": the answer as it came}}. Answers
that cannot be read are asked for again where there is a model, counted by reason, and kept as they
came in NAME.tags.retry.jsonl. NAME.tags.html shows the figures and twenty random items.

exit code 0: tags (or texts) are written; answers that could not be read are counted, and do not
change it. 2: a wrong file, model or setting, no tag for any item, or a run that the server or
--max-cost ended; answers are kept. 130 and 143: interrupted by Ctrl-C or SIGTERM; the same command
goes on."""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = add_command(commands, "tag", "write scored tags of the items", EXAMPLES)
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="data set folder")
    add("--responses", type=Path, metavar="FILE", help="answers of an LLM, JSON lines")
    add(
        "--source",
        metavar="S,S",
        help="some of proposals (of the stage propose), categories, attributes, responses, the "
        "first before the others (default: proposals and responses where there are any, else "
        "categories,attributes)",
    )
    add("--max-tags", type=int, default=8, metavar="N", help="tags of an item (default: 8)")
    add(
        "--min-items",
        type=int,
        default=2,
        metavar="N",
        help="items that a tag needs to stay (default: 2)",
    )
    add(
        "--scorer",
        metavar="S",
        help="rules: rare tags score higher; embedding: by the vectors of --encoder; llm: by the "
        "stage score (default: llm with that stage, else rules)",
    )
    add(
        "--encoder",
        metavar="FOLDER|NAME",
        help="text encoder, as a folder or by its hub name, of --scorer embedding; with the stage "
        "score it finds candidates (default there: TF-IDF)",
    )
    add(
        "--expand",
        type=int,
        default=0,
        metavar="N",
        help="with --scorer embedding: up to N tags an item that its text does not spell out "
        "(default: 0)",
    )
    add("--batch-size", type=int, default=64, metavar="N", help="of the encoder (default: 64)")
    add("--device", default="cpu", help="of the encoder, such as cpu or cuda (default: cpu)")
    _add_stages(parser)
    add_llm_options(parser)
    parser.set_defaults(run=run)


def _add_stages(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("stages of the language model")
    add = group.add_argument
    add(
        "--stages",
        metavar="S,S",
        help="some of enrich,propose,refine,score (default: all; without score where --scorer is "
        "another, without propose where --source does not have it)",
    )
    add("--prompts", type=Path, metavar="DIR", help="prompt files instead of the package's")
    add(
        "--think-tokens",
        type=int,
        default=0,
        metavar="N",
        help="tokens that answers may be longer, for a model that thinks first, such as 4000 for "
        "DeepSeek-R1; score such a model by numbers (default: 0)",
    )
    add(
        "--text-limit",
        type=int,
        default=600,
        metavar="N",
        help="characters of a title, a description and the categories that are shown (default: "
        "600)",
    )
    add(
        "--items-per-request",
        type=int,
        default=1,
        metavar="N",
        help="items of a question in propose (default: 1)",
    )
    add(
        "--propose-tags",
        type=int,
        default=8,
        metavar="N",
        help="tags proposed for an item at most (default: 8)",
    )
    add(
        "--refine-size",
        type=int,
        default=100,
        metavar="N",
        help="tags of a question in refine (default: 100)",
    )
    add(
        "--refine-rounds",
        type=int,
        default=2,
        metavar="N",
        help="times that refine goes through the list at most: first tags with one last word "
        "together, then tags of like frequency (default: 2)",
    )
    add(
        "--candidates",
        type=int,
        default=10,
        metavar="N",
        help="tags of an item that are scored at most; the cost grows with it (default: 10)",
    )
    add(
        "--score-by",
        default="auto",
        metavar="W",
        help="probabilities: of yes, a question for each item and tag; numbers: said by the model, "
        "a question for each item; auto: probabilities where the engine tells them (default: auto)",
    )
    add(
        "--min-score",
        type=float,
        default=0.5,
        metavar="X",
        help="score of the stage score that a tag needs to stay (default: 0.5)",
    )


def run(arguments: argparse.Namespace, command: str) -> None:
    from ..tag.dataset import tag_dataset
    from ..tag.sources import chosen_sources, refuse_without_text
    from ..tag.stages.run import LLM

    sources = arguments.source.split(",") if arguments.source else None
    tag = partial(
        tag_dataset,
        arguments.folder,
        responses=arguments.responses,
        sources=sources,
        max_tags=arguments.max_tags,
        min_items=arguments.min_items,
        scorer=arguments.scorer,
        encoder=arguments.encoder,
        expand=arguments.expand,
        batch_size=arguments.batch_size,
        device=arguments.device,
    )
    if not asks_llm(arguments):
        # Or tags that a model was paid for would give way to offline ones, by a word forgotten.
        if idle := [
            *given_options(arguments, _add_stages),
            *given_options(arguments, add_llm_options),
        ]:
            raise FormatError(
                f"{', '.join(idle)}: of a language model, and none is named: give --model"
            )
        print(tag())
        return
    settings = _settings(arguments, sources)
    files = DatasetFiles(arguments.folder)
    files.check()
    # Before the store of answers is made.
    chosen = chosen_sources(sources, arguments.responses, settings.stages)
    refuse_without_text(read_items(files.items), files.items, chosen, settings.stages)
    with asker_from(arguments, files) as asker:
        if arguments.dry_run:
            from ..llm.usage import total_line
            from ..tag.plan import ASSUMED, Plan

            plan = Plan(
                arguments.folder,
                settings,
                responses=arguments.responses,
                sources=sources,
                min_items=arguments.min_items,
            )
            estimates = []
            for stage in plan.stages:
                estimates.append(asker.estimate(stage, plan.requests_of(stage)))
                print(estimates[-1])
            print(total_line(estimates))
            print(ASSUMED)
            return

        def usage() -> dict[str, str]:
            stages = {stage: str(took) for stage, took in asker.by_stage.items()}
            return {**stages, "all stages": str(asker.usage)}

        local = arguments.base_url is None
        name = Path(arguments.model).resolve().name if local else arguments.model
        print(tag(llm=LLM(asker, settings, name, usage)))


def _settings(arguments: argparse.Namespace, sources: list[str] | None) -> "StageSettings":
    from ..tag.stages import PROPOSE, SCORE, STAGES
    from ..tag.stages.settings import StageSettings

    if arguments.stages:
        stages = arguments.stages.split(",")
    else:
        left_out = {SCORE} if arguments.scorer not in (None, "llm") else set()
        left_out |= {PROPOSE} if sources and "proposals" not in sources else set()
        stages = [stage for stage in STAGES if stage not in left_out]
    return StageSettings(
        stages=stages,
        prompts=arguments.prompts,
        think_tokens=arguments.think_tokens,
        text_limit=arguments.text_limit,
        items_per_request=arguments.items_per_request,
        propose_tags=arguments.propose_tags,
        refine_size=arguments.refine_size,
        refine_rounds=arguments.refine_rounds,
        candidates=arguments.candidates,
        score_by=arguments.score_by,
        min_score=arguments.min_score,
    )
