"""Search for the settings that validate best; the test cases are not ranked here."""

from recbole_tema.tuning.tune import TuningStopped, tune_models

__all__ = ["TuningStopped", "tune_models"]
