"""Which class stands behind which model name: ours are listed, RecBole's are the fallback."""

from importlib import import_module
from typing import Any

from recbole_tema.compat import import_recbole_model

MODELS = {
    "LLMEMF": "recbole_tema.models.llmemf:LLMEMF",
    "TEMA": "recbole_tema.models.tema:TEMA",
    "Pop": "recbole_tema.models.pop:Pop",
}


def model_class(name: str) -> type[Any]:
    """The class of a model, ours or RecBole's.

    Raises:
        ValueError: neither the project nor RecBole knows the name.
    """
    if name in MODELS:
        module, attribute = MODELS[name].split(":")
        return getattr(import_module(module), attribute)
    try:
        return import_recbole_model(name)
    except (ValueError, AttributeError, ModuleNotFoundError) as error:
        # RecBole looks the module up in lower case and the class as written: both may miss.
        raise ValueError(
            f"unknown model {name!r}. Ours: {', '.join(MODELS)}; besides, every model of RecBole "
            f"by its exact name, such as SASRec, GRU4Rec, SRGNN, Pop, BPR, ItemKNN, NeuMF ({error})"
        ) from error
