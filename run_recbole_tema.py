"""Train and evaluate from a checkout: ``python run_recbole_tema.py --model TEMA``."""

from recbole_tema.cli import main

# Each process of --nproc imports this file.
if __name__ == "__main__":
    raise SystemExit(main())
