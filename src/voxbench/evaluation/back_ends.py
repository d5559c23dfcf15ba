"""What scores embeddings besides the cosine, from files: centring, a cohort for AS-norm, PLDA, and templates.

Each file holds embeddings of other people than those of the trials. A recording or a known speaker of the trials in
one of them is refused: scores would be compared with those of the very voices that are tested. The speaker of a
recording is taken from a column `speaker`, from `--speakers` (lines `recording speaker`, as Kaldi's utt2spk), or else
is the first folder of its name, as in VoxCeleb.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from voxbench.evaluation.embeddings import Embeddings, read_embeddings
from voxbench.evaluation.files import Source, file_sha256, listed, read_table
from voxbench.evaluation.joining import PAIR, SHOWN
from voxbench.evaluation.speakers import speakers_of
from voxbench.metrics.plda import PldaSettings
from voxbench.metrics.trial_scores import (
    BackEnd,
    fit_centred_plda,
    mean_embedding,
    refuse_shared_speakers,
    speaker_means,
)
from voxbench.schema import InputError

HASH_DIGITS = 12


@dataclass(frozen=True, slots=True)
class BackEndFiles:
    """The options of the command line of these names; None is one that was not given.

    Raises InputError for an option without the one that it belongs to.
    """

    centre: Path | None
    cohort: Path | None
    top: int | None
    plda: Path | None
    plda_dimensions: int | None
    plda_iterations: int | None
    speakers: Path | None
    enrolments: Path | None

    def __post_init__(self) -> None:
        for group in (("cohort", "top"), ("plda", "plda_dimensions", "plda_iterations")):
            absent = [name for name in group if getattr(self, name) is None]
            if absent and len(absent) < len(group):
                given = next(name for name in group if name not in absent)
                raise InputError(f"{_option(given)} without {_option(absent[0])}: give {_options(group)}, or none")
        if self.speakers is not None and not self.training:
            raise InputError(f"--speakers {self.speakers} is of --centre, --cohort or --plda: give one of them")

    @property
    def training(self) -> dict[str, Path]:
        """Return the files of embeddings of other people, by their options."""
        named = {"--centre": self.centre, "--cohort": self.cohort, "--plda": self.plda}
        return {option: path for option, path in named.items() if path is not None}


@dataclass(frozen=True, slots=True, eq=False)
class OtherPeople:
    """Recordings and speakers of the embeddings of one option; `speakers` is None where nobody names them."""

    embeddings: Embeddings
    speakers: np.ndarray | None


@dataclass(frozen=True, slots=True, eq=False)
class GivenBackEnd:
    """A back end, the clips of each template by its name (none: trials name recordings), and what it was made of."""

    back_end: BackEnd
    enrolments: dict[str, list[str]]
    training: dict[str, OtherPeople]
    notes: tuple[str, ...]

    def refuse_leaks(self, trials: Source) -> tuple[str, ...]:
        """Raise InputError for people of the trials in what was trained on; return a note of what nobody can know."""
        if not self.training:
            return ()
        sides = speakers_of(trials.table)[0]
        tested = {speaker for side in sides for speaker in np.unique(side)}
        recordings = [trials.table[side].unique().to_pylist() for side in PAIR]
        unknown = []
        for option, people in self.training.items():
            heard = set(people.embeddings.names.to_pylist())
            shared = sorted({name for names in recordings for name in names if name in heard})
            if shared:
                raise InputError(
                    f"{option} {people.embeddings.path} has {len(shared):,} recordings of {trials.path} "
                    f"({listed(shared[:SHOWN])}): it must be of other people"
                )
            if people.speakers is None or not tested:
                unknown.append(option)
                continue
            refuse_shared_speakers(np.unique(people.speakers), tested, f"{option} {people.embeddings.path}")
        return (f"nobody says whether {' and '.join(unknown)} are of other people than the trials",) if unknown else ()


NO_BACK_END = GivenBackEnd(BackEnd(None, None, None, None), {}, {}, ())
"""The cosine, and trials that name recordings."""


def read_back_end(files: BackEndFiles) -> GivenBackEnd:
    """Read and fit what is asked for.

    Raises InputError for files that hold no embeddings, recordings whose speaker nobody names, where speakers are
    needed, and what `voxbench.metrics.trial_scores` refuses.
    """
    named = _named_speakers(files.speakers)
    read = {path: _other_people(path, named) for path in set(files.training.values())}
    people = {option: read[path] for option, path in files.training.items()}
    notes, mean_D, plda, cohort_KD = [], None, None, None
    if files.centre is not None:
        vectors_ND = people["--centre"].embeddings.vectors_ND
        mean_D = mean_embedding(vectors_ND)
        notes.append(f"the mean of the {len(vectors_ND):,} embeddings of {_file(files.centre)} is subtracted")
    if files.plda is not None and files.plda_dimensions is not None and files.plda_iterations is not None:
        settings = PldaSettings(files.plda_dimensions, files.plda_iterations)
        of = people["--plda"]
        plda = fit_centred_plda(of.embeddings.vectors_ND, _known("--plda", of), mean_D, settings)
        notes.append(
            f"PLDA of {settings.dimensions} dimensions, fitted in {settings.iterations} iterations on "
            f"{len(of.embeddings.names):,} embeddings of {_file(files.plda)}"
        )
    if files.cohort is not None:
        of = people["--cohort"]
        cohort_KD = speaker_means(of.embeddings.vectors_ND, _known("--cohort", of))[1]
        notes.append(f"AS-norm: the {files.top} closest of {len(cohort_KD):,} speakers of {_file(files.cohort)}")
    back_end = BackEnd(mean_D, plda, cohort_KD, files.top)
    enrolments = {} if files.enrolments is None else read_enrolments(files.enrolments)
    if files.enrolments is not None:
        clips = sum(map(len, enrolments.values()))
        notes.append(f"{len(enrolments):,} templates of {clips:,} clips of {_file(files.enrolments)}")
    return GivenBackEnd(back_end, enrolments, people, tuple(notes))


def read_enrolments(path: Path) -> dict[str, list[str]]:
    """Return the clips of each template: lines `template recording`. Raises InputError for a clip that occurs twice."""
    enrolments: dict[str, list[str]] = {}
    for template, clip in _pairs(path, "template", "recording"):
        enrolments.setdefault(template, []).append(clip)
    for template, clips in enrolments.items():
        if len(set(clips)) < len(clips):
            double = next(clip for clip in clips if clips.count(clip) > 1)
            raise InputError(f"{path}: {template} has the clip {double} twice; expected each once")
    return enrolments


def _named_speakers(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    speakers: dict[str, str] = {}
    for recording, speaker in _pairs(path, "recording", "speaker"):
        if speakers.setdefault(recording, speaker) != speaker:
            raise InputError(f"{path}: {recording} is of {speakers[recording]} and of {speaker}; correct one")
    return speakers


def _pairs(path: Path, first: str, second: str) -> Iterable[tuple[str, str]]:
    table = read_table(path).table
    if table.num_columns != 2:
        raise InputError(f"{path} has {table.num_columns} columns; expected two without a header, `{first} {second}`")
    columns = [pc.utf8_trim_whitespace(column.cast(pa.string())) for column in table.columns]
    empty = [pc.any(pc.fill_null(pc.equal(column, ""), True)).as_py() for column in columns]
    if any(empty):
        raise InputError(f"{path}: a {first if empty[0] else second} is empty; expected `{first} {second}` in each row")
    return zip(*(column.to_pylist() for column in columns), strict=True)


def _other_people(path: Path, named: dict[str, str]) -> OtherPeople:
    """Return embeddings with their speakers, None where these are unknown."""
    embeddings = read_embeddings(path)
    names: list[str] = embeddings.names.to_pylist()
    if named:
        absent = [name for name in names if name not in named]
        if absent:
            raise InputError(
                f"--speakers lacks {len(absent):,} of the {len(names):,} recordings of {path} "
                f"({listed(absent[:SHOWN])}); add a line `recording speaker` for each"
            )
        return OtherPeople(embeddings, np.array([named[name] for name in names], dtype=object))
    if embeddings.speakers is not None:
        if embeddings.speakers.null_count:
            raise InputError(f"{path}: speaker is empty in {embeddings.speakers.null_count:,} rows; name each")
        return OtherPeople(embeddings, embeddings.speakers.to_numpy(zero_copy_only=False))
    folders = [name.partition("/") for name in names]
    has_folders = all(rest for _, _, rest in folders)
    return OtherPeople(
        embeddings, np.array([folder for folder, _, _ in folders], dtype=object) if has_folders else None
    )


def _known(option: str, people: OtherPeople) -> np.ndarray:
    if people.speakers is None:
        raise InputError(
            f"nobody names the speakers of {option} {people.embeddings.path}: it has no column speaker, and its names "
            "no folder; give --speakers FILE with lines `recording speaker`"
        )
    return people.speakers


def _file(path: Path) -> str:
    return f"{path.name} (sha256 {file_sha256(path)[:HASH_DIGITS]})"


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _options(names: Iterable[str]) -> str:
    return ", ".join(map(_option, names))
