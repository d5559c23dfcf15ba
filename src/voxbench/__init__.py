"""voxbench: which model, on which corpus, is really better, and can it be served?"""

__version__ = "0.1.0"
