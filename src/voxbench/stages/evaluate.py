"""`voxbench evaluate`: from a score file alone to metrics with intervals, groups, thresholds, figures and a page.

It needs a project for its `params.yaml` only, reads no corpus, and trains nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

from voxbench.evaluation.back_ends import NO_BACK_END, BackEndFiles, read_back_end
from voxbench.evaluation.files import ending
from voxbench.evaluation.measuring import Settings, find
from voxbench.evaluation.reading import ScoreRequest, read_scores
from voxbench.evaluation.records import ScoreRows
from voxbench.evaluation.tandem import Asv, asv_of_file, published_asv
from voxbench.evaluation.trial_tables import TRIALS, are_trials, table_of, write_trials
from voxbench.progress import Progress
from voxbench.reporting.evaluation import PAGE, STEPS, check_folder, terminal_lines, write_evaluation
from voxbench.reporting.evaluation_compared import Against
from voxbench.schema import InputError, ScoreKind, Split
from voxbench.stages.workspace import Workspace


@dataclass(frozen=True)
class EvaluateOptions:
    """The words of the command line; None is an option that was not given.

    `columns` and `groups` are names with commas between. Development rows come from `dev_scores`, or, where only
    `dev_split` is given, from another split of `scores`. `against` holds the scores of another system of the same rows,
    whose labels are `against_labels`, or else `labels`. `centre` to `enrolments` say how embeddings are scored:
    `voxbench.evaluation.back_ends`.
    """

    scores: Path
    output: Path
    kind: str | None
    task: str | None
    labels: Path | None
    columns: str | None
    utterances: Path | None
    split: str | None
    groups: str | None
    dev_scores: Path | None
    dev_labels: Path | None
    dev_split: str | None
    against: Path | None
    against_labels: Path | None
    asv_scores: Path | None
    asv_rates: str | None
    centre: Path | None
    cohort: Path | None
    top: int | None
    plda: Path | None
    plda_dimensions: int | None
    plda_iterations: int | None
    speakers: Path | None
    enrolments: Path | None


def evaluate(workspace: Workspace, options: EvaluateOptions) -> None:
    """Evaluate a score file, write all that is found into `options.output`, and print the metrics.

    What does not fit together is refused before anything is read, and a folder that holds other files is left alone.
    """
    request = _request(options)
    other = _against_request(options, request)
    files = BackEndFiles(**{field.name: getattr(options, field.name) for field in fields(BackEndFiles)})
    check_folder(options.output)
    _require_inputs_outside(options)
    params = workspace.params
    settings = Settings(
        report=params.report,
        evaluation=params.evaluation,
        decisions=params.decisions,
        groups=_names(options.groups, "--groups"),
        task=options.task,
    )
    with Progress("evaluate", 2 + STEPS + (other is not None)) as progress:
        if files.training or files.enrolments is not None:
            request = replace(request, back_end=read_back_end(files))
        scored = read_scores(request)
        development, asv = _development(options, request), _asv(options)
        if development is not None:
            notes = (f"development rows: {note}" for note in development.notes)
            scored = replace(scored, notes=(*scored.notes, *notes))
        progress.advance(f"read {len(scored.columns[0]):,} rows of {options.scores}")
        against = None
        if other is not None:
            against = _compared(scored, other, settings)
            progress.advance(f"comparison with {other.scores}")
        findings = find(scored, development, asv, settings)
        progress.advance("metrics and intervals")
        write_evaluation(findings, params.evaluation.costs, options.output, progress.advance, against)
        if are_trials(scored):
            write_trials(options.output / TRIALS, *table_of(scored))
    print("\n".join([*terminal_lines(findings, against), f"written to {options.output / PAGE}"]))


def _request(options: EvaluateOptions) -> ScoreRequest:
    if options.kind is None and options.task is None:
        kinds = "|".join(ScoreKind)
        raise InputError(f"neither --kind nor --task says what the scores are: give --kind {kinds}, or --task")
    return ScoreRequest(
        kind=ScoreKind(options.kind or ScoreKind.DETECTION),
        scores=options.scores,
        labels=options.labels,
        columns=_names(options.columns, "--columns"),
        utterances=options.utterances,
        split=options.split,
        task=options.task,
        back_end=NO_BACK_END,
    )


def _development(options: EvaluateOptions, request: ScoreRequest) -> ScoreRows | None:
    """Return the rows on which calibration and thresholds are fitted, None where none are named."""
    if options.dev_scores is None and options.dev_split is None:
        if options.dev_labels is not None:
            raise InputError(f"--dev-labels {options.dev_labels} without --dev-scores: give the scores they belong to")
        return None
    if options.dev_scores is None:
        if options.dev_split == (options.split or Split.TEST):
            raise InputError(
                f"--dev-split {options.dev_split} without --dev-scores takes another split of {options.scores}, but "
                f"{options.dev_split} is what is evaluated: name two different ones"
            )
        scores, labels = options.scores, options.dev_labels or options.labels
    else:
        scores, labels = options.dev_scores, options.dev_labels
    return read_scores(
        replace(request, scores=scores, labels=labels, utterances=None, split=options.dev_split),
    )


def _against_request(options: EvaluateOptions, request: ScoreRequest) -> ScoreRequest | None:
    """Return what to read of the other system, None where none is named.

    What says how the score file is written holds for the other one where both have the same ending.
    """
    if options.against is None:
        if options.against_labels is not None:
            raise InputError(
                f"--against-labels {options.against_labels} without --against: give the scores they belong to"
            )
        return None
    labels = options.against_labels or options.labels
    alike = ending(options.against) == ending(options.scores)
    columns, utterances = (request.columns, request.utterances) if alike else ((), None)
    return replace(request, scores=options.against, labels=labels, columns=columns, utterances=utterances)


def _compared(scored: ScoreRows, request: ScoreRequest, settings: Settings) -> Against:
    """Return the comparison of the scored rows with those of another system, before anything else is computed."""
    # Its tests take seconds to load, which an evaluation without a second system does not need.
    from voxbench.evaluation.comparing import compare

    try:
        other = read_scores(request)
    except InputError as error:
        raise InputError(f"--against: {error}") from error
    return Against(compare(scored, other, settings), other)


def _asv(options: EvaluateOptions) -> Asv | None:
    if options.asv_scores is not None and options.asv_rates is not None:
        raise InputError(f"--asv-scores {options.asv_scores} and --asv-rates {options.asv_rates}: give one of them")
    if options.asv_scores is not None:
        return asv_of_file(options.asv_scores)
    return None if options.asv_rates is None else published_asv(options.asv_rates)


def _names(words: str | None, option: str) -> tuple[str, ...]:
    """Return names with commas between as a tuple; an empty name is refused."""
    if words is None:
        return ()
    names = tuple(name.strip() for name in words.split(","))
    if "" in names:
        raise InputError(f"{option} {words!r} has an empty name: give names with one comma between, such as a,b,c")
    return names


def _require_inputs_outside(options: EvaluateOptions) -> None:
    """Refuse an input that stands among the outputs, which are written anew."""
    output = options.output.resolve()
    given = (options.scores, options.labels, options.utterances, options.dev_scores, options.dev_labels)
    of_embeddings = (options.centre, options.cohort, options.plda, options.speakers, options.enrolments)
    for path in (*given, *of_embeddings, options.against, options.against_labels):
        if path is not None and output in path.resolve().parents:
            raise InputError(f"{path} lies in --output {options.output}, which is written anew: name another folder")
