"""Cross-domain sequential recommendation on RecBole: LLM-EMF, TEMA-LLM and the baselines."""

import importlib
from typing import Any

from recbole_tema._layout import checkout_root

__version__ = "0.1.0"

_root = checkout_root()
if _root is not None and str(_root) not in __path__:
    # In a checkout `recbole_tema.dataset_tools` lies beside the package, not in it.
    __path__.append(str(_root))


def __getattr__(name: str) -> Any:
    # Lazy, so that `recbole-tema-data` does not pay for importing RecBole and torch.
    module = {
        "Recommender": "recbole_tema.recommend",
        "run_on_datasets": "recbole_tema.quick_start",
        "run_recbole_tema": "recbole_tema.quick_start",
        "tune_models": "recbole_tema.tuning",
    }.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from recbole_tema.compat import require_compatible_versions

    require_compatible_versions()
    return getattr(importlib.import_module(module), name)


__all__ = ["Recommender", "__version__", "run_on_datasets", "run_recbole_tema", "tune_models"]
