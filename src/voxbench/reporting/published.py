"""Figures that others published for a task and a kind of corpus, to stand beside ours, marked and with their source.

They come from whole corpora and from other splits, several of them with the same speakers in training and test, so
they are no yardstick for a run on a part of the data or on a synthetic twin.

Not among them: an EER of 2.48 % and a t-DCF of 0.0734 of RawNet2 on ASVspoof 2019 PA, which have no source.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

import pandas as pd

PAPER = (
    "Jorrin-Coz, Nakano, Perez-Meana, Hernandez-Gonzalez, Multi-Corpus Benchmarking of CNN and LSTM Models for "
    "Speaker Gender and Age Profiling, Computation 13(8):177, 2025"
)
CITED = f"as cited by {PAPER}"
PRECURSOR = "Jorrin-Coz et al. 2024, FAIA240379, stage 2 on mel spectrograms"
RUSSIAN = "voice-gender-ru (dkorzh10), Common Voice 7 ru, training rows split at random"
TRIVIAL = (
    "on the official split of TIMIT, the median age of the training speakers of the same sex, which hears nothing, "
    "gets 5.36 years for male and 6.23 years for female test speakers"
)
ECAPA = (
    "Desplanques, Thienpondt, Demuynck, ECAPA-TDNN: Emphasized Channel Attention, Propagation and Aggregation in TDNN "
    "Based Speaker Verification, Interspeech 2020"
)
WESPEAKER = "results of the WeSpeaker toolkit's VoxCeleb recipe, version 2, without score normalisation"
TAO = "Tao Ruijie's public ECAPA-TDNN, with score normalisation"
SPEECHBRAIN = "results of the SpeechBrain toolkit's VoxCeleb recipe, without score normalisation"
KALDI = "results of the Kaldi toolkit's VoxCeleb recipe, version 2"
JUNG = (
    "Jung, Heo, Tak, Shim, Chung, Lee, Yu, Evans, AASIST: Audio Anti-Spoofing Using Integrated Spectro-Temporal Graph "
    "Attention Networks, ICASSP 2022"
)
ZHANG = "Zhang, Jiang, Duan, One-Class Learning Towards Synthetic Voice Spoofing Detection, IEEE SPL 28, 2021"
TAK = "Tak, Patino, Todisco, Nautsch, Evans, Larcher, End-to-End Anti-Spoofing with RawNet2, ICASSP 2021"
QUARTZNET = (
    "Kriman, Beliaev, Ginsburg and others, QuartzNet: Deep Automatic Speech Recognition with 1D Time-Channel Separable "
    "Convolutions, ICASSP 2020"
)
LARGER = "19 million parameters, trained on 960 hours, the best path without a language model"
RELEASED = (
    "the scores that the authors released give an EER of 2.178 % and a t-DCF of 0.0558 (legacy) and 0.1150 (revised), "
    "by the organisers' code"
)
UNSOURCED = "2.48 % and 0.0734, which circulate as its figures on PA, have no source that could be found"
VOX2 = "on the list Vox1-O, by a network of the 5,994 speakers of VoxCeleb2"
BOTH = "on the list Vox1-O, by a network of the speakers of VoxCeleb1 and VoxCeleb2"

LA = "asvspoof2019 LA"


@dataclass(frozen=True)
class Published:
    """One figure: of which corpus (by its reader) and language (null for any), task and metric, and for whom.

    Of a reader that reads several scenarios, `reader` is its name and that of the scenario, with a blank between.
    """

    reader: str
    language: str | None
    task: str
    system: str
    metric: str
    value: float
    who: str
    source: str
    note: str


PUBLISHED = (
    Published("voxceleb", None, "gender", "Jorrin-Coz 2025, EfficientNet-B0", "accuracy", 0.9886, "", PAPER, ""),
    Published("voxceleb", None, "gender", "Jorrin-Coz 2024, MobileNetV2", "accuracy", 0.9896, "", PRECURSOR, ""),
    Published(
        *("voxceleb", None, "gender", "Hechmi 2021", "macro_f1", 0.9829, "", CITED),
        "an F1, of which the average over classes is not stated",
    ),
    Published("common_voice", "en", "gender", "Jorrin-Coz 2025, EfficientNet-B0", "accuracy", 0.9982, "", PAPER, ""),
    Published("common_voice", "en", "gender", "Alnuaim 2022, ResNet50", "accuracy", 0.9857, "", CITED, ""),
    Published("common_voice", "en", "age_group", "Jorrin-Coz 2025", "accuracy", 0.9986, "", PAPER, ""),
    Published("common_voice", "en", "age_group", "best before 2025", "accuracy", 0.97, "", CITED, ""),
    Published("common_voice", "ru", "gender", "voice-gender-ru, ResNet18", "accuracy", 0.968, "", RUSSIAN, ""),
    Published("common_voice", "ru", "gender", "voice-gender-ru, ResNet18", "roc_auc", 0.97, "", RUSSIAN, ""),
    Published("timit", None, "gender", "Kwasny 2021", "accuracy", 0.996, "", CITED, ""),
    Published("timit", None, "age_years", "Jorrin-Coz 2025", "mae", 5.35, "male", PAPER, TRIVIAL),
    Published("timit", None, "age_years", "Kwasny 2021", "mae", 5.12, "male", CITED, TRIVIAL),
    Published("timit", None, "age_years", "Kwasny 2021", "mae", 5.29, "female", CITED, TRIVIAL),
    Published("voxceleb", None, "verification", "Desplanques 2020, ECAPA-TDNN 512", "eer", 0.0101, "", ECAPA, VOX2),
    Published(
        "voxceleb", None, "verification", "Desplanques 2020, ECAPA-TDNN 512", "min_dcf_p01", 0.1274, "", ECAPA, VOX2
    ),
    Published("voxceleb", None, "verification", "Desplanques 2020, ECAPA-TDNN 1024", "eer", 0.0087, "", ECAPA, VOX2),
    Published(
        "voxceleb", None, "verification", "Desplanques 2020, ECAPA-TDNN 1024", "min_dcf_p01", 0.1066, "", ECAPA, VOX2
    ),
    Published("voxceleb", None, "verification", "WeSpeaker, x-vector", "eer", 0.01989, "", WESPEAKER, VOX2),
    Published("voxceleb", None, "verification", "WeSpeaker, ECAPA-TDNN 512", "eer", 0.01069, "", WESPEAKER, VOX2),
    Published("voxceleb", None, "verification", "WeSpeaker, ECAPA-TDNN 1024", "eer", 0.00856, "", WESPEAKER, VOX2),
    Published("voxceleb", None, "verification", "WeSpeaker, ResNet34", "eer", 0.00867, "", WESPEAKER, VOX2),
    Published("voxceleb", None, "verification", "WeSpeaker, ResNet293", "eer", 0.00595, "", WESPEAKER, VOX2),
    Published("voxceleb", None, "verification", "Tao, ECAPA-TDNN 1024, AS-norm", "eer", 0.0086, "", TAO, VOX2),
    Published("voxceleb", None, "verification", "Tao, ECAPA-TDNN 1024, AS-norm", "min_dcf_p05", 0.0686, "", TAO, VOX2),
    Published("voxceleb", None, "verification", "SpeechBrain, ECAPA-TDNN 1024", "eer", 0.009, "", SPEECHBRAIN, BOTH),
    Published("voxceleb", None, "verification", "Kaldi, x-vector, PLDA", "eer", 0.03128, "", KALDI, BOTH),
    Published("voxceleb", None, "verification", "Kaldi, x-vector, PLDA", "min_dcf_p01", 0.3258, "", KALDI, BOTH),
    Published(LA, None, "anti_spoofing", "Jung 2022, AASIST", "eer_asvspoof", 0.0083, "", JUNG, ""),
    Published(LA, None, "anti_spoofing", "Jung 2022, AASIST", "min_tdcf(legacy)", 0.0275, "", JUNG, ""),
    Published(LA, None, "anti_spoofing", "Jung 2022, AASIST-L", "eer_asvspoof", 0.0099, "", JUNG, ""),
    Published(LA, None, "anti_spoofing", "Jung 2022, AASIST-L", "min_tdcf(legacy)", 0.0309, "", JUNG, ""),
    Published(
        LA, None, "anti_spoofing", "Zhang 2021, LFCC-ResNet18, OC-softmax", "eer_asvspoof", 0.0219, "", ZHANG, RELEASED
    ),
    Published(
        *(LA, None, "anti_spoofing", "Zhang 2021, LFCC-ResNet18, OC-softmax", "min_tdcf(legacy)"),
        *(0.059, "", ZHANG, RELEASED),
    ),
    Published(LA, None, "anti_spoofing", "Tak 2021, RawNet2", "eer_asvspoof", 0.0466, "(best)", TAK, UNSOURCED),
    Published(LA, None, "anti_spoofing", "Tak 2021, RawNet2", "eer_asvspoof", 0.0564, "(worst)", TAK, UNSOURCED),
    *(
        Published(
            "librispeech", None, "transcription", "Kriman 2020, QuartzNet-15x5", "wer", rate, on, QUARTZNET, LARGER
        )
        for rate, on in ((0.039, "(test-clean)"), (0.1128, "(test-other)"))
    ),
)


def published_as(reader: str, labelled: pd.DataFrame) -> str:
    """Return by what `Published` knows a corpus: its reader and, where its rows are of one scenario, that.

    >>> published_as("asvspoof2019", pd.DataFrame({"extra_scenario": ["PA", "PA"]}))
    'asvspoof2019 PA'
    """
    if "extra_scenario" not in labelled:
        return reader
    scenarios = labelled["extra_scenario"].dropna().unique()
    return f"{reader} {scenarios[0]}" if len(scenarios) == 1 else reader


def published_figures(reader: str, languages: frozenset[str], task: str) -> pd.DataFrame:
    """Return what is published for `task` on the corpora that `reader` reads, in the corpus's own languages.

    Columns are the fields of `Published`; values are fractions, or in the unit of the task. A language outside of
    those published leaves no row.

    >>> published_figures("timit", frozenset({"en"}), "age_years")["value"].tolist()
    [5.35, 5.12, 5.29]
    """
    rows = [
        astuple(each)
        for each in PUBLISHED
        if each.reader == reader and each.task == task and (each.language is None or languages == {each.language})
    ]
    return pd.DataFrame(rows, columns=[field.name for field in fields(Published)])
