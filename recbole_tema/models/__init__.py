"""LLM-EMF, TEMA-LLM and what they share. Found by name through :mod:`recbole_tema.registry`."""
