"""A whole configuration for the small project: the report reads little of it, but nothing in it is left out."""

from typing import Any

from voxbench.config import Params

SPLITTING = {"by": "speaker", "stratify": "gender", "valid_fraction": 0.2, "test_fraction": 0.2, "seed": 1}
CLEANING = {
    **{"sample_rate_hz": 16000, "silence_q": 0.075, "pre_emphasis": 0.97, "low_pass_order": 10, "low_pass_hz": 4000},
    **{"zero_phase": True, "min_seconds": 1, "max_seconds": 60, "max_clipped_fraction": 0.1},
    **{"silence_at": "everywhere", "z_score": True},
}
FEATURES = {
    **{"spectrogram": "log_mel", "window_ms": 25, "hop_ms": 10, "n_fft": 1024, "f_min_hz": 0, "f_max_hz": 8000},
    **{"n_mels": 64, "n_mfcc": 13, "top_db": 80, "cepstra": "mfcc", "deltas": 0},
}
AUGMENTATION = {
    **{"probability": 0, "noise_snr_db": None, "reverberation_seconds": None, "speed": None, "low_pass_hz": None},
    **{"mask_seconds": None, "mask_fraction": None, "mask_stripes": 1, "babble_snr_db": None, "babble_voices": None},
    **{"music_snr_db": None, "speed_speakers": None, "convolutive_db": None, "impulsive_fraction": None},
    **{"coloured_snr_db": None, "codecs": None, "mask_filters": None},
}
TRAINING = {
    **{"learning_rate": 0.001, "betas": (0.9, 0.999), "weight_decay": 0.0001, "scheduler_factor": 0.5},
    **{"scheduler_patience": 3, "min_learning_rate": 0.00001, "dropout": 0.5, "recurrent_dropout": 0.3},
    **{
        "batch_size": 8,
        "clips_per_speaker": None,
        "margin": None,
        "batch_seconds": None,
        "crop_seconds": 0.5,
        "evaluation_crops": 2,
        "resize": 64,
        "weights": "random",
        "stem": "sum",
        "subtract": "corpus_mean",
    },
    **{"scheduler": "plateau", "average_best": False, "class_weights": None, "one_class": None},
    **{"evaluation_place": "spread", "shorter": "refuse"},
    **{"balance": "none", "augmentation": AUGMENTATION, "seed": 42},
}
VERIFICATION = {
    **{"centre": True, "as_norm": None, "plda": None, "recordings_per_speaker": None, "test_list": None},
    "trials": {
        **{"targets_per_speaker": 4, "nontargets_per_target": 2.0, "same_sex": 0.5, "across_sessions": True},
        "seed": 1,
    },
}
SCHEDULE = {"max_epochs": 3, "patience": 3, "trainable": "all", "checkpoints": False}
MODELS = ("resnet18", "alexnet", "bilstm_h128_l1")


def params() -> Params:
    """Return the parameters of four benchmarks on three corpora."""
    return Params.model_validate(
        {
            "twins": {},
            "mixtures": {},
            "corpora": {
                "voxceleb1": _corpus("voxceleb"),
                "timit": _corpus("timit"),
                "commonvoice": _corpus("common_voice"),
            },
            "studies": {
                "gender-voxceleb1": _study("gender", "voxceleb1", "accuracy"),
                "age-timit": _study("age_years", "timit", "mae"),
            },
            "benchmarks": {
                "gender-voxceleb1": _benchmark(
                    "gender", "voxceleb1", "accuracy", "gender-voxceleb1", "leaky", "augmented"
                ),
                "age-timit": _benchmark("age_years", "timit", "mae", "age-timit", "leaky"),
                "age-commonvoice": _benchmark("age_group", "commonvoice", "balanced_accuracy", "gender-voxceleb1"),
                "gender-timit": _benchmark("gender", "timit", "accuracy", "gender-voxceleb1", "augmented"),
            },
            "training": TRAINING,
            "selection": {
                **{"schedule": SCHEDULE, "train_per_class": None, "round_size": 4, "prune_percentile": 50},
                **{
                    "prune_after_epochs": 1,
                    "space": {"learning_rate": _range(0.0001, 0.01), "dropout": _range(0.1, 0.6)},
                },
            },
            "finetune": {"schedule": SCHEDULE, "train_per_class": None, "large_margin": None},
            "repeat": {"seeds": (3, 1, 7, 12)},
            "verification": VERIFICATION,
            "transcription": {"beam": None, "phrases": {"others": 2, "near": 1, "seed": 42}},
            "ablation": {
                "seeds": (3, 1, 7),
                "finalists": 1,
                "variants": {
                    "leaky": {"split": "utterance", "training": {}},
                    "augmented": {"split": None, "training": {"augmentation": {"probability": 0.5}}},
                },
            },
            "decisions": {
                "calibration": {"map": "affine", "p_target": 0.5, "ridge": 0.001, "smoothing": 1, "quality": None},
                "policies": {
                    "equal": {"policy": "eer_point"},
                    "bayes": {"policy": "bayes", "p_target": 0.5, "c_miss": 1, "c_fa": 1},
                    "few-alarms": {"policy": "fixed_far", "rate": 0.1},
                },
                "policy": "bayes",
            },
            "evaluation": {
                "costs": ({"p_target": 0.05, "c_miss": 1, "c_fa": 1},),
                "draws": 10_000_000,
                "max_undefined": 0.05,
                "trim_silence_q": 0.1,
            },
            "report": {
                **{"level": 0.95, "resamples": 60, "power": 0.8, "min_group_speakers": 3},
                **{"bins": {"kept_seconds": (3.5, 5.0), "snr_db": (10.0,)}, "seed": 42},
                **{"probes": ("silence", "duration", "channel", "energy"), "probe_ridge": 0.01},
            },
            "parallel": {"backend": "loky", "scheduler": None, "workers": 1, "rows_per_shard": 64},
        }
    )


def _corpus(reader: str) -> dict[str, Any]:
    about = {"reader": reader, "root": f"data/raw/{reader}", "licence": "none", "max_excluded_fraction": 0.1}
    about |= {"only": None, "trials": (), "asv_scores": None}
    return about | {"splitting": SPLITTING, "cleaning": CLEANING, "features": FEATURES}


def _study(task: str, corpus: str, metric: str) -> dict[str, Any]:
    counts = {"finalists": {"cnn": 2, "lstm": 1}, "trials": {"cnn": 4, "lstm": 2}}
    return {"task": task, "corpus": corpus, "metric": metric, "models": MODELS, "override": {}} | counts


def _benchmark(task: str, corpus: str, metric: str, study: str, *variants: str) -> dict[str, Any]:
    about = {"task": task, "corpus": corpus, "metric": metric, "select_from": study}
    return about | {"variants": variants, "override": {}}


def _range(low: float, high: float) -> dict[str, Any]:
    return {"low": low, "high": high, "log": False}
