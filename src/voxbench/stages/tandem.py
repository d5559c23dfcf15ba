"""`voxbench tandem`: speaker verification and anti-spoofing as one accept or reject, fitted and judged.

Of a prepared corpus of spoofed speech, or of a table of scores made elsewhere (`voxbench.evaluation.sasv_files`). Of a
corpus the validation rows are development, the test rows are judged. In each, every speaker with so many bona fide
recordings is enrolled with `clips` of them, drawn by `verification.trials.seed`; every other recording is a trial:
bona fide speech against all who are enrolled, of its own speaker a target and of the others a nontarget, and a spoofed
one against the speaker whom it claims. A recording that one of the networks cannot hear is lost, and counted.

Both networks hear the raw recordings as served models would. Nobody in the test trials may be known to either from
training or validation, and nobody in the development trials from training (`voxbench.stages.strangers`).

Shape letters: S enrolled speakers, M recordings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from voxbench.audio import read_bytes
from voxbench.evaluation.sasv import fit_tandem, system_scores
from voxbench.evaluation.sasv_files import SPOOF, check_apart, check_trials, read_tandem
from voxbench.evaluation.sasv_measuring import measure_tandem
from voxbench.metrics import UndefinedError
from voxbench.metrics.trial_scores import identification_scores
from voxbench.reporting.quantities import counted
from voxbench.reporting.tandem import PAGE, TandemSource, check_output, tandem_lines, write_tandem
from voxbench.schema import BONAFIDE, AudioError, InputError, Split
from voxbench.seeding import generator
from voxbench.serving.bundle import read_bundle
from voxbench.serving.countermeasure import Countermeasure
from voxbench.serving.verifier import Speech, Verifier
from voxbench.stages.hearing import answers_of, embed
from voxbench.stages.model_folders import model_folder
from voxbench.stages.strangers import acquainted
from voxbench.stages.workspace import Workspace

NAMES = {Split.VALID: "development", Split.TEST: "test"}


@dataclass(frozen=True)
class TandemOptions:
    """The words of the command line; None is an option that was not given."""

    output: Path
    verifier: str | None
    countermeasure: str | None
    clips: int | None
    dev_corpus: str | None
    scores: Path | None
    dev: Path | None


@dataclass(frozen=True)
class _Networks:
    """Both networks, by what they are called and where they lie, and how many recordings enrol a speaker."""

    verifier: Path
    countermeasure: Path
    clips: int


def tandem(workspace: Workspace, corpus: str | None, options: TandemOptions) -> None:
    """Fit a tandem on development trials, judge it on test trials, write all that is found and print its figures."""
    check_output(options.output)
    if options.scores is None:
        development, test, source = _of_networks(workspace, corpus, options)
    else:
        development, test, source = _of_files(corpus, options)
    params = workspace.params
    fit = fit_tandem(development, params.decisions)
    findings = measure_tandem(fit, system_scores(fit, test), params.report, params.evaluation)
    write_tandem(findings, source, options.output)
    notes = [f"note: {note}" for note in (*source.notes, *findings.notes)]
    print("\n".join([*tandem_lines(findings), *notes, f"written to {options.output / PAGE}"]))


Parts = tuple[pd.DataFrame, pd.DataFrame, TandemSource]


def _of_files(corpus: str | None, options: TandemOptions) -> Parts:
    given = {
        "CORPUS": corpus,
        "--verifier": options.verifier,
        "--countermeasure": options.countermeasure,
        "--clips": options.clips,
        "--dev-corpus": options.dev_corpus,
    }
    if strange := [name for name, value in given.items() if value is not None]:
        raise InputError(f"--scores takes the place of networks and corpora: leave out {', '.join(strange)}")
    assert options.scores is not None
    development, test = read_tandem(options.scores, options.dev)
    names = {"development": (options.dev or options.scores).name, "test": options.scores.name}
    return development, test, TandemSource(options.scores.name, names, ())


def _of_networks(workspace: Workspace, corpus: str | None, options: TandemOptions) -> Parts:
    networks = _networks(workspace, corpus, options)
    assert corpus is not None
    places = ((options.dev_corpus or corpus, Split.VALID), (corpus, Split.TEST))
    manifests = [_rows(workspace, name, split) for name, split in places]
    folders = {"verifier": networks.verifier, "countermeasure": networks.countermeasure}
    learnt = {what: read_bundle(folder) for what, folder in folders.items()}
    facts = {what: f"{bundle.benchmark}/{bundle.model}" for what, bundle in learnt.items()}
    facts |= {"enrolled with": counted(networks.clips, "recording"), "corpus": corpus}
    notes: list[str] = []
    for (name, split), rows in zip(places, manifests, strict=True):
        knowing = {what: bundle.corpus for what, bundle in learnt.items()}
        if name != places[0][0]:
            knowing |= {"fit on development trials": places[0][0]}
            facts |= {"development": places[0][0]}
        notes += _strangers(workspace, knowing, name, split, rows)
    parts: list[pd.DataFrame] = []
    for (name, split), rows in zip(places, manifests, strict=True):
        trials, lost = _scored(workspace, networks, name, split, rows)
        check_trials(trials, f"{NAMES[split]} trials of {name}")
        parts.append(trials)
        notes += lost
    if places[0][0] == corpus:
        check_apart(*parts)
    return parts[0], parts[1], TandemSource(corpus, facts, tuple(notes))


def _networks(workspace: Workspace, corpus: str | None, options: TandemOptions) -> _Networks:
    """Return both networks; words that are missing, and networks of other tasks, are refused before any is asked."""
    given = {
        "CORPUS": corpus,
        "--verifier": options.verifier,
        "--countermeasure": options.countermeasure,
        "--clips": options.clips,
    }
    if missing := [name for name, value in given.items() if value is None]:
        raise InputError(f"found no {missing[0]}: give {', '.join(given)}; or --scores, a table made elsewhere")
    if options.dev is not None:
        raise InputError(f"--dev {options.dev} without --scores: give --dev-corpus, or the scores that it belongs to")
    assert options.verifier is not None
    assert options.countermeasure is not None
    assert options.clips is not None
    if options.clips < 1:
        raise InputError(f"--clips {options.clips}: a speaker is enrolled with one recording or more")
    found = _Networks(
        model_folder(workspace, options.verifier), model_folder(workspace, options.countermeasure), options.clips
    )
    Verifier(found.verifier)  # refuses what compares nothing
    Countermeasure(found.countermeasure)
    return found


def _rows(workspace: Workspace, corpus: str, split: Split) -> pd.DataFrame:
    """Return the rows of a split that say how they were made; a corpus without attacks is refused."""
    workspace.params.corpus(corpus)
    path = workspace.prepared(corpus) / "manifest.parquet"
    if not path.is_file():
        raise InputError(f"no {path.relative_to(workspace.root)}: run `dvc repro prepare@{corpus}` first")
    rows = pd.read_parquet(path, columns=["id", "speaker", "attack", "split"])
    if not (rows["attack"].notna() & (rows["attack"] != BONAFIDE)).any():
        raise InputError(
            f"{corpus} has no spoofed recording: a tandem needs a corpus of bona fide and spoofed speech, such as the "
            "readers asvspoof2019 and asvspoof2021 read"
        )
    return rows[(rows["split"] == split) & rows["attack"].notna()].drop(columns="split").reset_index(drop=True)


def _strangers(
    workspace: Workspace, knowing: Mapping[str, str], corpus: str, split: Split, rows: pd.DataFrame
) -> list[str]:
    """Refuse people of the trials whom something fitted knows; return what has to be said of namesakes.

    `knowing` has the corpus of each: of both networks and, where it is another one, of the development trials.
    """
    notes = []
    people = set(rows["speaker"])
    for what, trained in knowing.items():
        if not (workspace.prepared(trained) / "manifest.parquet").is_file():
            raise InputError(
                f"the {what} was trained on {trained}, of which there is no manifest, so nobody can say whom it knows: "
                f"run `dvc repro prepare@{trained}` first"
            )
        met = acquainted(workspace, trained, corpus, validated=split is Split.TEST)
        if known := people & met.known:
            raise InputError(
                f"{len(known)} of {len(people)} people of the {NAMES[split]} trials of {corpus} are known to the "
                f"{what} from {trained}, {min(known)!r} among them, and scores of them mean nothing for strangers: "
                "name what was trained on other people, or another corpus"
            )
        if namesakes := people & met.namesakes:
            notes.append(
                f"{counted(len(namesakes), 'name')} of the {NAMES[split]} trials' people are in {trained} too, which "
                f"the {what} learnt from, but the two corpora share no recording: taken for other people."
            )
    return notes


def _scored(
    workspace: Workspace, networks: _Networks, corpus: str, split: Split, rows: pd.DataFrame
) -> tuple[pd.DataFrame, list[str]]:
    """Return the trials of a split with both scores, and what has to be said of recordings that are no trial."""
    names, what = sorted(rows["id"]), f"{NAMES[split]} trials of {corpus}"
    speeches = answers_of(embed, workspace, networks.verifier, f"verifier, {what}", corpus, names)
    judged = answers_of(judge, workspace, networks.countermeasure, f"countermeasure, {what}", corpus, names)
    answers = {name: (speeches[name], judged[name]) for name in names}
    lost = {name: each for name, pair in answers.items() for each in pair if isinstance(each, str)}
    heard = rows[~rows["id"].isin(lost)]
    enrolments, trials, unclaimed = trials_between(heard, networks.clips, workspace.params.verification.trials.seed)
    notes = []
    if lost:
        reasons = pd.Series(lost).value_counts().sort_index()
        told = ", ".join(f"{number} {reason}" for reason, number in reasons.items())
        notes.append(f"{counted(len(lost), 'recording')} of {len(rows)} of the {what} cannot be heard ({told}).")
    if unclaimed:
        notes.append(
            f"{counted(unclaimed, 'spoofed recording')} of the {what} claim somebody with fewer than "
            f"{counted(networks.clips, 'bona fide recording')}, who cannot be enrolled: left out."
        )
    if trials.empty:
        return trials.assign(asv=[], cm=[]), notes
    trials["asv"] = _verified(Verifier(networks.verifier), enrolments, trials, speeches)
    trials["cm"] = trials["test"].map(judged).astype(np.float64)
    return trials, notes


def trials_between(heard: pd.DataFrame, clips: int, seed: int) -> tuple[dict[str, list[str]], pd.DataFrame, int]:
    """Return who is enrolled with which recordings, the trials, and how many spoofed recordings claim nobody enrolled.

    `heard` has the columns id, speaker and attack. A speaker's enrolment does not depend on other speakers. The trials
    have the columns enroll, test, key, speaker and attack.
    """
    speech = heard[heard["attack"] == BONAFIDE]
    enrolments: dict[str, list[str]] = {}
    for speaker, own in speech.groupby("speaker")["id"]:
        if len(own) >= clips:
            names = sorted(own)
            drawn = generator(seed, "tandem", str(speaker)).permutation(len(names))[:clips]
            enrolments[str(speaker)] = sorted(names[place] for place in drawn)
    used = {name for names in enrolments.values() for name in names}
    tests = speech[~speech["id"].isin(used)]
    claims = tests.merge(pd.DataFrame({"enroll": list(enrolments)}, dtype=object), how="cross")
    own_N = (claims["enroll"] == claims["speaker"]).to_numpy()
    claims["key"] = np.where(own_N, "target", "nontarget")
    spoofed = heard[heard["attack"] != BONAFIDE]
    attacks = spoofed[spoofed["speaker"].isin(list(enrolments))]
    attacks = attacks.assign(enroll=attacks["speaker"], key=SPOOF)
    trials = pd.concat([claims, attacks], ignore_index=True).rename(columns={"id": "test"})
    ordered = trials.sort_values(["enroll", "test"], ignore_index=True)
    return enrolments, ordered[["enroll", "test", "key", "speaker", "attack"]], len(spoofed) - len(attacks)


def judge(network: Path, root: Path, recordings: Sequence[str]) -> list[float | str]:
    """Return a countermeasure's score of some recordings below `root`, or the reason for none; in a worker process."""
    torch.set_num_threads(1)
    countermeasure = Countermeasure(network)
    answers: list[float | str] = []
    for recording in recordings:
        try:
            answers.append(countermeasure(read_bytes(root / recording)).score)
        except AudioError as error:
            answers.append(str(error.reason))
    return answers


def _verified(
    verifier: Verifier,
    enrolments: Mapping[str, Sequence[str]],
    trials: pd.DataFrame,
    speeches: Mapping[str, Speech | str],
) -> np.ndarray:
    """Return the verifier's score of each trial."""
    tests = sorted(set(trials["test"]))
    order = [*(name for names in enrolments.values() for name in names), *tests]
    sound = [speech for speech in map(speeches.__getitem__, order) if isinstance(speech, Speech)]
    ends = np.cumsum([len(names) for names in enrolments.values()])
    templates = np.split(np.arange(ends[-1]), ends[:-1])
    embeddings_UD = np.stack([speech.embedding_D for speech in sound])
    try:
        scores_MS = identification_scores(verifier.back_end, embeddings_UD, templates, range(int(ends[-1]), len(order)))
    except UndefinedError as error:
        raise InputError(f"{verifier.network} has no score of these trials: {error}") from error
    column, row = ({name: place for place, name in enumerate(names)} for names in (enrolments, tests))
    return np.asarray(scores_MS[trials["test"].map(row).to_numpy(), trials["enroll"].map(column).to_numpy()])
