"""How long everything takes on this machine: `python -m core benchmark`. Medians, machine facts, and their ratio."""
