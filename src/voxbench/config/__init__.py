"""`params.yaml` as frozen, typed sections."""

from voxbench.config.base import Section, Trainable, changed
from voxbench.config.corpora import Cleaning, Corpus, Features, Mixture, Splitting, Twin
from voxbench.config.decisions import CalibrationSettings, Decisions, Evaluation, OperatingCosts
from voxbench.config.learning import (
    Ablation,
    Augmentation,
    Finetune,
    Range,
    Repeat,
    Schedule,
    Selection,
    Space,
    Study,
    Training,
    Variant,
)
from voxbench.config.loading import load_params
from voxbench.config.sections import Benchmark, Learning, Parallel, Params, Report

__all__ = [
    "Ablation",
    "Augmentation",
    "Benchmark",
    "CalibrationSettings",
    "Cleaning",
    "Corpus",
    "Decisions",
    "Evaluation",
    "Features",
    "Finetune",
    "Learning",
    "Mixture",
    "OperatingCosts",
    "Parallel",
    "Params",
    "Range",
    "Repeat",
    "Report",
    "Schedule",
    "Section",
    "Selection",
    "Space",
    "Splitting",
    "Study",
    "Trainable",
    "Training",
    "Twin",
    "Variant",
    "changed",
    "load_params",
]
