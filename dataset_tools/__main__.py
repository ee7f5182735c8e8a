"""``python -m recbole_tema.dataset_tools``: the console script ``recbole-tema-data``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
