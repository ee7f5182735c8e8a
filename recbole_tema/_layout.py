"""Where the package's parts lie: installed side by side, or spread over a checkout.

A wheel holds ``recbole_tema/dataset_tools`` and ``recbole_tema/properties``; in a checkout both lie
beside the package. Nothing else in the project needs to know which of the two it is running from.
"""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def checkout_root() -> Path | None:
    """The root of the checkout that this package runs from, or None when it is installed."""
    root = PACKAGE.parent
    parts = (root / "setup.py", root / "dataset_tools", root / "properties")
    return root if all(part.exists() for part in parts) else None


def properties_dir() -> Path:
    """The folder of the property files that the project ships."""
    installed = PACKAGE / "properties"
    root = checkout_root()
    return root / "properties" if root is not None and not installed.is_dir() else installed
