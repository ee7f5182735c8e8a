"""Cross-domain sequential recommendation on RecBole: LLM-EMF, TEMA-LLM and the baselines."""

from typing import Any

from recbole_tema._layout import checkout_root

__version__ = "0.1.0"

_root = checkout_root()
if _root is not None and str(_root) not in __path__:
    # In a checkout `recbole_tema.dataset_tools` lies beside the package, not in it.
    __path__.append(str(_root))


def __getattr__(name: str) -> Any:
    # Lazy, so that `recbole-tema-data` does not pay for importing RecBole and torch.
    if name == "run_recbole_tema":
        from recbole_tema.compat import require_compatible_versions

        require_compatible_versions()
        from recbole_tema.quick_start import run_recbole_tema

        return run_recbole_tema
    if name == "tune_models":
        from recbole_tema.compat import require_compatible_versions

        require_compatible_versions()
        from recbole_tema.tuning import tune_models

        return tune_models
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["__version__", "run_recbole_tema", "tune_models"]
