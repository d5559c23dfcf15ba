"""The command line: parse, load `params.yaml`, call one function.

Each command imports its stage when it runs, so that a stage pays only for the libraries it uses.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from voxbench.commands import Command, disk_complaint, parser_of
from voxbench.options import OPTIONS
from voxbench.schema import InputError, Split
from voxbench.stages.workspace import Workspace, open_workspace


def _doctor(workspace: Workspace, arguments: argparse.Namespace) -> int:
    from voxbench.stages.doctor import doctor

    return doctor(workspace, arguments.corpus, arguments.root, arguments.json)


def _download(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.download import DownloadOptions, download

    options = DownloadOptions(arguments.yes, arguments.unverified, arguments.keep_archives, arguments.list)
    download(workspace, arguments.corpus, arguments.part, arguments.root, options)


def _synthesize(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.synthesize import synthesize

    synthesize(workspace, arguments.corpus)


def _prepare(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.prepare import prepare

    prepare(workspace, arguments.corpus)


def _mix(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.mix import mix

    mix(workspace, arguments.corpus)


def _features(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.features import features

    features(workspace, arguments.corpus)


def _select(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.select import select

    select(workspace, arguments.study)


def _finetune(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.finetune import finetune

    finetune(workspace, arguments.benchmark)


def _repeat(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.repeat import repeat

    repeat(workspace, arguments.benchmark)


def _ablate(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.ablate import ablate

    ablate(workspace, arguments.benchmark)


def _cross(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.cross import cross

    cross(workspace)


def _evaluate(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.evaluate import EvaluateOptions, evaluate

    named = {option.name.replace("-", "_") for option in OPTIONS["evaluate"]}
    evaluate(workspace, EvaluateOptions(**{name: getattr(arguments, name) for name in named}))


def _weights(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.weights import convert_weights, fetch_weights

    converting = (arguments.model, arguments.bands, arguments.output)
    if arguments.action == "fetch":
        if any(each is not None for each in converting):
            raise InputError("fetch takes names alone; --model, --bands and --output are of convert")
        fetch_weights(workspace, arguments.name)
        return
    model, bands, output = converting
    if model is None or output is None:
        raise InputError("convert needs --model and --output: which network it is, and where its file goes")
    convert_weights(workspace, list(map(Path, arguments.name)), model, bands, output)


def _tandem(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.tandem import TandemOptions, tandem

    named = {option.name.replace("-", "_") for option in OPTIONS["tandem"]}
    tandem(workspace, arguments.corpus, TandemOptions(**{name: getattr(arguments, name) for name in named}))


def _subset(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.subset import SubsetOptions, subset

    split = None if arguments.split is None else Split(arguments.split)
    options = SubsetOptions(arguments.hours, arguments.seed, arguments.speakers, split, arguments.output)
    subset(workspace, arguments.corpus, options)


def _embed(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.embed import EmbedOptions, embed_corpus

    split = None if arguments.split is None else Split(arguments.split)
    embed_corpus(workspace, arguments.corpus, EmbedOptions(arguments.model, split, arguments.output))


def _train(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.train import TrainOptions, train

    devices = 1 if arguments.devices is None else arguments.devices
    flags = (arguments.dry_run, arguments.verbose)
    options = TrainOptions(arguments.model, arguments.output, devices, arguments.resume, *flags)
    train(workspace, arguments.benchmark, options)


def _report(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.report import report

    report(workspace)


def _profile(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.config.profiles import apply_profile

    changes = apply_profile(arguments.params, arguments.profile)
    print("\n".join(changes) or "params.yaml has these values already")


def _spoof(workspace: Workspace, arguments: argparse.Namespace) -> None:
    from voxbench.stages.spoof import SpoofOptions, spoof

    named = [None if words is None else words.split(",") for words in (arguments.seen, arguments.unseen)]
    spoof(workspace, arguments.corpus, SpoofOptions(arguments.output, arguments.attacks, arguments.seed, *named))


def _predict(workspace: Workspace, arguments: argparse.Namespace) -> int:
    from voxbench.stages.predict import PredictOptions, predict

    options = PredictOptions(arguments.model, arguments.policy, arguments.phrase, arguments.json)
    return predict(workspace, arguments.clip, options)


def _authenticate(workspace: Workspace, arguments: argparse.Namespace) -> int:
    from voxbench.stages.authenticate import AuthenticateOptions, authenticate

    options = AuthenticateOptions(arguments.phrase, arguments.policy, arguments.voices, arguments.json)
    return authenticate(workspace, arguments.name, arguments.clip, options)


def _voices(workspace: Workspace, arguments: argparse.Namespace) -> int:
    from voxbench.stages.voices import Asked, answer

    named = {name: value for name, value in vars(arguments).items() if name not in ("params", "run")}
    return answer(workspace, Asked(**named))


COMMANDS = {
    "doctor": Command("say whether a corpus on disk is whole, and how to mend it", ("corpus",), "timit", _doctor),
    "download": Command(
        "fetch an open corpus, or say how to come by one that needs registration",
        ("corpus", "[part...]"),
        "librispeech dev-clean --root /data/LibriSpeech",
        _download,
    ),
    "synthesize": Command("write the synthetic twin of a corpus", ("corpus",), "voxceleb1", _synthesize),
    "subset": Command(
        "draw a part of a corpus by a seeded rule, as a list that corpora.CORPUS.only takes",
        ("corpus",),
        "voxceleb2 --hours 100 --seed 1 --split train --output data/subsets/voxceleb2-100h.csv",
        _subset,
    ),
    "spoof": Command(
        "attack the recordings of a prepared corpus, and write a corpus of both",
        ("corpus",),
        "librispeech --output data/raw/librispeech-spoofed --attacks 3 --seed 1",
        _spoof,
    ),
    "prepare": Command("clean a corpus, split it, account for every recording", ("corpus",), "timit", _prepare),
    "mix": Command("plan mixtures of people who talk at once", ("corpus",), "count-librispeech", _mix),
    "features": Command("compute the features of a prepared corpus", ("corpus",), "timit", _features),
    "select": Command("stage 1: search the candidate models of a study", ("study",), "gender-voxceleb1", _select),
    "finetune": Command("stage 2: train and register the finalists", ("benchmark",), "age-timit", _finetune),
    "train": Command(
        "train one model on a benchmark's data, outside of the pipeline",
        ("benchmark",),
        "verify-voxceleb --model ecapa_tdnn --verbose",
        _train,
    ),
    "repeat": Command("train every finalist with every seed and test", ("benchmark",), "age-timit", _repeat),
    "ablate": Command("train variants of a benchmark's finalists", ("benchmark",), "age-timit", _ablate),
    "cross": Command("test every benchmark's best network on every corpus", (), "", _cross),
    "evaluate": Command(
        "measure a score file, whoever made it: intervals, groups, thresholds, figures, one page",
        (),
        "--task anti_spoofing --scores scores.txt --labels protocol.txt --output results/anti-spoofing",
        _evaluate,
    ),
    "predict": Command(
        "say of recordings what a network makes of them: score, meaning and decision",
        ("clip...",),
        "one.wav --model spoof-asvspoof2019-la/lfcc_resnet18_s",
        _predict,
    ),
    "tandem": Command(
        "join a verifier and a countermeasure to one accept or reject, and measure it on a corpus of spoofed speech",
        ("[corpus]",),
        "asvspoof2019-la --verifier verify-voxceleb/ecapa_tdnn_64 --countermeasure spoof-asvspoof2019-la/aasist "
        "--clips 1 --output results/tandem",
        _tandem,
        "--scores trials.csv --dev development.csv --output results/tandem",
    ),
    "embed": Command(
        "write a verification network's embeddings of a prepared corpus, which evaluate reads",
        ("corpus",),
        "voxceleb1-verify --model verify-voxceleb/ecapa_tdnn_64 --split test --output results/embeddings/test.parquet",
        _embed,
    ),
    "enroll": Command(
        "enrol a voice from recordings, of which only embeddings are kept",
        ("name", "clip..."),
        "ann one.wav two.wav --model verify-voxceleb/ecapa_tdnn_64",
        _voices,
    ),
    "verify": Command(
        "compare a recording with an enrolled voice, exit status 0 accepted, 1 rejected, 2 no answer",
        ("name", "clip"),
        "ann three.wav",
        _voices,
    ),
    "authenticate": Command(
        "decide on voice, liveness and phrase by one policy, exit status 0 accepted, 1 rejected, 2 no answer",
        ("name", "clip"),
        "ann three.wav --phrase 'open the door' --policy policy.yaml",
        _authenticate,
    ),
    "identify": Command(
        "say which enrolled voice is heard, exit status 0 one of them, 1 none of them, 2 no answer",
        ("clip",),
        "three.wav --top 3",
        _voices,
    ),
    "forget": Command("delete an enrolled voice", ("name",), "ann", _voices),
    "voices": Command("list the enrolled voices", (), "", _voices),
    "report": Command("write reports/index.html and reports/metrics.json", (), "", _report),
    "profile": Command("replace values of params.yaml by those of a profile", ("profile",), "paper", _profile),
    "weights": Command(
        "fetch ImageNet weights, or convert those of SpeechBrain or AASIST",
        ("action", "name..."),
        "fetch resnet18",
        _weights,
        "convert embedding_model.ckpt --model ecapa_tdnn_1024_3072 --bands 80 --output data/weights/theirs.safetensors",
    ),
}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    return parser_of(COMMANDS)


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; wrong input, a full disk or a locked one are a line on standard error and exit status 2."""
    arguments = build_parser().parse_args(words)
    try:
        return arguments.run(open_workspace(arguments.params), arguments) or 0
    except InputError as error:
        print(f"voxbench {arguments.command}: {error}", file=sys.stderr)
    except OSError as error:
        said = disk_complaint(error)
        if said is None:
            raise
        print(f"voxbench {arguments.command}: {said}", file=sys.stderr)
    return 2
