"""Small training runs on speakers."""

from dataclasses import replace

from stages.verification import LARGE, PEOPLE, VERIFY
from training.recipes import schedule
from voxbench.config import LargeMargin
from voxbench.schema import Split
from voxbench.stages.finalists import SPLIT, source
from voxbench.training.judging import judge_of
from voxbench.training.recipe import Recipe

LSTM = "bilstm_h128_l1"


def recipe(people, model=LSTM, *, epochs=2, large=None, plan=None, **training):
    learning = people.params.learning(VERIFY)
    return Recipe(
        model=model,
        training=learning.training.model_copy(update=training),
        schedule=schedule(max_epochs=epochs, **(plan or {})),
        seed=1,
        train_per_class=2,
        large_margin=LargeMargin(**(LARGE | large)) if large is not None else None,
        verification=learning.verification,
        transcription=None,
    )


def load(people, one):
    return source(people, "verification", PEOPLE, SPLIT).load(one)


def copied(people, **steps):
    """Return the settings of augmentation with a copy of every row at another speed, and some steps."""
    return people.params.training.augmentation.model_copy(update={"speed_speakers": (0.9,)} | steps)


def judge(data, one, split=Split.VALID, **verification):
    """Return the judge of a split with other settings of verification."""
    changed = replace(one, verification=one.verification.model_copy(update=verification))
    return judge_of(data, split, changed, data.training_rows(one.train_per_class, one.seed))
