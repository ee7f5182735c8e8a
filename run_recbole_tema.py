"""Train and evaluate from a checkout: ``python run_recbole_tema.py --model TEMA``."""

from recbole_tema.cli import main

raise SystemExit(main())
