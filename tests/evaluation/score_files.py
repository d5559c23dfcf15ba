"""What tests of reading share: files from a few lines, and requests from a few words."""

from pathlib import Path

import pytest

from voxbench.evaluation.back_ends import NO_BACK_END
from voxbench.evaluation.reading import ScoreRequest, read_scores
from voxbench.schema import InputError, ScoreKind

DETECTION, CLASSES, VALUE, TEXT = ScoreKind.DETECTION, ScoreKind.CLASSES, ScoreKind.VALUE, ScoreKind.TEXT
TRIALS = "1 a/v/1.wav a/w/1.wav\n0 a/v/1.wav b/w/1.wav\n1 b/v/1.wav b/w/1.wav\n"


def written(folder, name, content):
    """Write text or bytes and return the path."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(kind, scores, labels=None, columns=(), utterances=None, split=None, task=None, back_end=NO_BACK_END):
    """Return the rows of a request."""
    return read_scores(ScoreRequest(kind, scores, labels, tuple(columns), utterances, split, task, back_end))


def refused(kind, scores, labels=None, **options):
    """Return the one line by which a request is refused, without the folder of the score file."""
    with pytest.raises(InputError) as raised:
        read(kind, scores, labels, **options)
    message = str(raised.value)
    assert "\n" not in message
    return message.replace(f"{Path(scores).parent}/", "")


def columns_of(rows):
    """Return the two columns of metrics as lists."""
    return tuple(column.tolist() for column in rows.columns)
