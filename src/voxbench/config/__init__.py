"""`params.yaml` as frozen, typed sections."""

from voxbench.config.augmentation import Augmentation
from voxbench.config.base import Section, Trainable, changed
from voxbench.config.corpora import Cleaning, Corpus, Features, Mixture, Splitting, Subset, Twin
from voxbench.config.decisions import CalibrationSettings, Decisions, Evaluation, OperatingCosts
from voxbench.config.learning import (
    Ablation,
    Finetune,
    LargeMargin,
    Margin,
    OneClass,
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
from voxbench.config.sections import Benchmark, Learning, Parallel, Params, Report, Searching
from voxbench.config.transcription import Beam, LanguageModel, Phrases, Transcription
from voxbench.config.verification import AsNorm, Plda, TrialRule, Verification

__all__ = [
    "Ablation",
    "AsNorm",
    "Augmentation",
    "Beam",
    "Benchmark",
    "CalibrationSettings",
    "Cleaning",
    "Corpus",
    "Decisions",
    "Evaluation",
    "Features",
    "Finetune",
    "LanguageModel",
    "LargeMargin",
    "Learning",
    "Margin",
    "Mixture",
    "OneClass",
    "OperatingCosts",
    "Parallel",
    "Params",
    "Phrases",
    "Plda",
    "Range",
    "Repeat",
    "Report",
    "Schedule",
    "Searching",
    "Section",
    "Selection",
    "Space",
    "Splitting",
    "Study",
    "Subset",
    "Trainable",
    "Training",
    "Transcription",
    "TrialRule",
    "Twin",
    "Variant",
    "Verification",
    "changed",
    "load_params",
]
