"""Which class stands behind which model name: ours are listed, RecBole's are the fallback."""

import difflib
from importlib import import_module
from typing import Any

from recbole.utils import ModelType

from recbole_tema.compat import import_recbole_model

MODELS = {
    "ABXI": "recbole_tema.models.abxi:ABXI",
    "C2DSR": "recbole_tema.models.c2dsr:C2DSR",
    "GRU4RecWindows": "recbole_tema.models.windows:GRU4RecWindows",
    "ItemKNN": "recbole_tema.models.itemknn:ItemKNN",
    "LLMEMF": "recbole_tema.models.llmemf:LLMEMF",
    "MIFN": "recbole_tema.models.mifn:MIFN",
    "PSJNet": "recbole_tema.models.psjnet:PSJNet",
    "PiNet": "recbole_tema.models.pinet:PiNet",
    "SASRecWindows": "recbole_tema.models.windows:SASRecWindows",
    "TEMA": "recbole_tema.models.tema:TEMA",
    "TriCDR": "recbole_tema.models.tricdr:TriCDR",
    "Pop": "recbole_tema.models.pop:Pop",
}


# Names that a misspelt one may mean: RecBole has a hundred more.
KNOWN = (*MODELS, "BERT4Rec", "BPR", "GRU4Rec", "NARM", "NeuMF", "SASRec", "SRGNN", "STAMP")

# RecBole's models that cannot run beside current libraries, or need what our data sets lack.
_SCIPY = "RecBole 1.2.1 builds its graph with a method that scipy no longer has"
UNSUPPORTED = {
    **dict.fromkeys(("GCMC", "LightGCN", "NCL", "NGCF", "SpectralCF"), _SCIPY),
    "FEARec": "it reads padded histories that this project never materialises",
    "DIEN": "it needs negative histories of its own",
    **dict.fromkeys(("RaCT", "S3Rec"), "its pre-training passes pickled checkpoints on"),
    **dict.fromkeys(("GRU4RecKG", "KSR"), "it needs files of entities"),
}


def model_class(name: str) -> type[Any]:
    """The class of a model, ours or RecBole's.

    Raises:
        ValueError: neither the project nor RecBole knows the name, or it cannot run here.
    """
    if name in UNSUPPORTED:
        raise ValueError(f"{name} cannot be run: {UNSUPPORTED[name]}")
    if name in MODELS:
        module, attribute = MODELS[name].split(":")
        return getattr(import_module(module), attribute)
    try:
        found = import_recbole_model(name)
    except (ValueError, AttributeError, ModuleNotFoundError) as error:
        # RecBole looks the module up in lower case and the class as written: both may miss.
        ours, known = sorted(MODELS, key=str.casefold), {each.casefold(): each for each in KNOWN}
        close = difflib.get_close_matches(name.casefold(), known, 1)
        raise ValueError(
            f"unknown model {name!r}{f', did you mean {known[close[0]]}?' if close else '.'} Ours: "
            f"{', '.join(ours)}; besides, every model of RecBole by its exact name, such as "
            "SASRec, GRU4Rec, SRGNN, BPR, NeuMF"
        ) from error
    if found.type in (ModelType.KNOWLEDGE, ModelType.DECISIONTREE):
        raise ValueError(f"{name} cannot be run: it is of type {found.type.name}")
    return found
