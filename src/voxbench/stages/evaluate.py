"""`voxbench evaluate`: from a score file alone to metrics with intervals, groups, thresholds, figures and a page.

It needs a project for its `params.yaml` only, reads no corpus, and trains nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from voxbench.evaluation.measuring import Settings, find
from voxbench.evaluation.reading import ScoreRequest, read_scores
from voxbench.evaluation.records import ScoreRows
from voxbench.evaluation.tandem import Asv, asv_of_file, published_asv
from voxbench.progress import Progress
from voxbench.reporting.evaluation import PAGE, STEPS, check_folder, terminal_lines, write_evaluation
from voxbench.schema import InputError, ScoreKind, Split
from voxbench.stages.workspace import Workspace


@dataclass(frozen=True)
class EvaluateOptions:
    """The words of the command line; None is an option that was not given.

    `columns` and `groups` are names with commas between. Development rows come from `dev_scores`, or, where only
    `dev_split` is given, from another split of `scores`.
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
    asv_scores: Path | None
    asv_rates: str | None


def evaluate(workspace: Workspace, options: EvaluateOptions) -> None:
    """Evaluate a score file, write all that is found into `options.output`, and print the metrics.

    What does not fit together is refused before anything is read, and a folder that holds other files is left alone.
    """
    request = _request(options)
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
    with Progress("evaluate", 2 + STEPS) as progress:
        scored = read_scores(request)
        development, asv = _development(options, request), _asv(options)
        if development is not None:
            notes = (f"development rows: {note}" for note in development.notes)
            scored = replace(scored, notes=(*scored.notes, *notes))
        progress.advance(f"read {len(scored.columns[0]):,} rows of {options.scores}")
        findings = find(scored, development, asv, settings)
        progress.advance("metrics and intervals")
        write_evaluation(findings, params.evaluation.costs, options.output, progress.advance)
    print("\n".join([*terminal_lines(findings), f"written to {options.output / PAGE}"]))


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
        ScoreRequest(request.kind, scores, labels, request.columns, None, options.dev_split, request.task)
    )


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
    for path in (options.scores, options.labels, options.utterances, options.dev_scores, options.dev_labels):
        if path is not None and output in path.resolve().parents:
            raise InputError(f"{path} lies in --output {options.output}, which is written anew: name another folder")
