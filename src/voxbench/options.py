"""The options of the commands, what each takes, and what it says of itself in their help."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from voxbench.schema import ScoreKind, Split


class Option(NamedTuple):
    """An option of a command: a switch, or one that takes a value of a type, of certain words, or must be given."""

    name: str
    purpose: str
    takes: type | None = None
    choices: tuple[str, ...] | None = None
    required: bool = False


ROOT = Option("root", "a folder other than that of params.yaml; needed where CORPUS is a reader, not a row", Path)
EVALUATE_OPTIONS = (
    Option("scores", "the score file: csv, tsv, txt, npy or parquet", Path, required=True),
    Option("output", "a new folder, or one that this command wrote", Path, required=True),
    Option("kind", "what the scores are; --task says it, too", str, tuple(map(str, ScoreKind))),
    Option("task", "detection as that field reports it", str, ("speaker_verification", "anti_spoofing")),
    Option("labels", "trial list, protocol or table with the truth, where the score file lacks it", Path),
    Option("columns", "names of the score file's columns, a,b,c, where it has no header", str),
    Option("utterances", "file with the names of an array's rows, one in a line", Path),
    Option("split", "evaluate the rows of this split alone", str),
    Option("groups", "columns to group by, a,b,c; without it the usual ones", str),
    Option("dev-scores", "scores of development rows: calibration and thresholds are fitted there", Path),
    Option("dev-labels", "their labels", Path),
    Option("dev-split", "their split; without --dev-scores another split of --scores", str),
    Option("against", "scores of another system of the same rows: differences, tests, what could be found", Path),
    Option("against-labels", "their labels; without it those of --labels", Path),
    Option("asv-scores", "scores of the speaker verifier, for the t-DCF", Path),
    Option("asv-rates", "a verifier by its published errors, such as asvspoof2019-la-eval", str),
    Option("centre", "embeddings of other people, whose mean is subtracted from all", Path),
    Option("cohort", "embeddings of other people, against whose means AS-norm normalises scores", Path),
    Option("top", "how many of the cohort's speakers, the closest, count for AS-norm", int),
    Option("plda", "embeddings of other people, on which a PLDA is fitted that takes the cosine's place", Path),
    Option("plda-dimensions", "the dimensions that it keeps", int),
    Option("plda-iterations", "how often its fit is improved", int),
    Option("speakers", "lines `recording speaker` of these embeddings, where nothing else says it", Path),
    Option("enrolments", "lines `template recording`: the enroll side of a trial names a template of its clips", Path),
)
STORE = (
    Option("voices", "the folder of the enrolled voices; without it voices beside params.yaml", Path),
    Option("json", "print the answer as JSON"),
)
MODEL = Option("model", "BENCHMARK/MODEL or models:/NAME@ALIAS; without it the one that enrolled the voice", str)
POLICY = Option("policy", "another of the policies that are stored with the model", str)
SUBSET_OPTIONS = (
    Option("hours", "how much sound", float, required=True),
    Option("seed", "another one draws other recordings", int, required=True),
    Option("speakers", "of so many people, of each sex its share; without it of all", int),
    Option("split", "of this official split alone", str, tuple(map(str, Split))),
    Option("output", "the list, a new file", Path, required=True),
)
TRAIN_OPTIONS = (
    Option("model", "which network", str, required=True),
    Option("output", "its folder (trained/BENCHMARK/MODEL)", Path),
    Option("devices", "how many accelerators (1)", int),
    Option("resume", "a checkpoint to go on from, or the folder of one", Path),
    Option("dry-run", "print the plan and every setting, and stop"),
    Option("verbose", "print a line for each epoch"),
)
SPOOF_OPTIONS = (
    Option("output", "the new corpus, a new folder", Path, required=True),
    Option("attacks", "how many attacks each recording meets, of those of its side", int, required=True),
    Option("seed", "another one draws other attacks", int, required=True),
    Option("seen", "the attacks of training and validation, a,b,c; without it those of the twin's", str),
    Option("unseen", "the attacks of the test; without it those of the twin's", str),
)
TANDEM_OPTIONS = (
    Option("output", "a new folder, or one that this command wrote", Path, required=True),
    Option("verifier", "the network that compares voices: BENCHMARK/MODEL, models:/NAME@ALIAS, or a folder", str),
    Option("countermeasure", "the network that tells bona fide from spoofed recordings, named alike", str),
    Option("clips", "how many bona fide recordings enrol a speaker", int),
    Option("dev-corpus", "take development trials from the validation rows of another corpus", str),
    Option("scores", "in place of networks: a table of trials with the columns enroll, test, asv, cm, key", Path),
    Option("dev", "their development trials; without it those of --scores whose split is valid", Path),
)
CONVERT_OPTIONS = (
    Option("model", "convert: which network of ours NAME, a checkpoint of SpeechBrain or of AASIST, is of", str),
    Option("bands", "convert: how many mel bands it reads; none for AASIST, which reads waves", int),
    Option("output", "convert: the new file", Path),
)
OPTIONS = {
    "doctor": (ROOT, Option("json", "print the findings as JSON")),
    "download": (
        ROOT,
        Option("list", "show sizes, licence and what is there, and stop"),
        Option("yes", "do not ask"),
        Option("unverified", "take files for which nobody publishes a checksum"),
        Option("keep-archives", "keep archives after they are unpacked"),
    ),
    "subset": SUBSET_OPTIONS,
    "train": TRAIN_OPTIONS,
    "evaluate": EVALUATE_OPTIONS,
    "embed": (
        MODEL._replace(purpose="BENCHMARK/MODEL, models:/NAME@ALIAS, or the folder of train", required=True),
        Option("output", "the new file, parquet", Path, required=True),
        Option("split", "the recordings of this split alone", str, tuple(map(str, Split))),
    ),
    "enroll": (
        MODEL._replace(purpose="BENCHMARK/MODEL, models:/NAME@ALIAS, or the folder of train", required=True),
        Option("replace", "in the place of an enrolled voice of that name"),
        *STORE,
    ),
    "verify": (
        MODEL,
        POLICY,
        Option("countermeasure", "BENCHMARK/MODEL that must judge the recording bona fide, too", str),
        *STORE,
    ),
    "identify": (MODEL, POLICY, Option("top", "show so many of the best; without it all", int), *STORE),
    "forget": STORE,
    "voices": STORE,
    "predict": (
        MODEL._replace(purpose="BENCHMARK/MODEL, models:/NAME@ALIAS, or the folder of train", required=True),
        POLICY,
        Option("phrase", "of a network that writes down what is said: whether it is this", str),
        Option("json", "print the answers as JSON"),
    ),
    "authenticate": (
        Option("phrase", "what was to be said", str, required=True),
        Option("policy", "YAML: the three networks, and what each has to reach", Path, required=True),
        *STORE,
    ),
    "spoof": SPOOF_OPTIONS,
    "tandem": TANDEM_OPTIONS,
    "weights": CONVERT_OPTIONS,
}
"""Those of each command that has any."""
