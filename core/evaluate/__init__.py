"""Measurements behind `python -m core evaluate`: what the backbone keeps of a face, and what a style changes."""
