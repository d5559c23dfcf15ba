"""Evaluation of a score file, whoever made it: read, joined with its labels, measured with uncertainty, decided."""
