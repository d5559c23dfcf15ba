"""Reports: the pipeline's page, that of a score file, their figures, and the numbers that other tools show.

Nothing is imported here: the page of a score file does without the libraries of the pipeline's.
"""
