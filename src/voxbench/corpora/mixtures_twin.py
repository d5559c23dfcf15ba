"""The synthetic twin of a mixture corpus: generated voices that talk at once, and the table that counts them.

`edition` is the largest number of people in a mixture. The pool of `speakers` voices is dealt to the splits as in the
twin of LibriSpeech: `test_fraction` of each sex to test, as many to valid, all others to train. Each voice has
`sessions_per_speaker` * `clips_per_session` recordings, and each split as many mixtures as its voices have recordings,
so that the numbers of clips mean the same as in any other twin. Who is mixed is drawn by the law of
`voxbench.corpora.mixture_plan`, levels as recorded and with full overlap; the mean is the course's.

Recordings last between the bounds of `clip_seconds`; of each, an excerpt of the lower bound is mixed. All mixtures
have that length, which therefore does not give away the number of people.

Shape letter: S samples.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from numpy.typing import NDArray

from voxbench.audio.channel import transmit
from voxbench.audio.mixing import average, excerpt
from voxbench.audio.voices import draw_voice
from voxbench.config import Twin
from voxbench.corpora.librispeech_twin import cast_three
from voxbench.corpora.mixture_plan import JOINT, Mixing, plan_mixtures
from voxbench.corpora.mixtures import TABLE
from voxbench.corpora.registries import twins
from voxbench.corpora.synthesis import draw_channel, talk, whole_tree, write_lines
from voxbench.schema import InputError, Split
from voxbench.seeding import generator

SAMPLE_RATE_HZ = 16_000
MOST_PEOPLE = 9


@twins.register("mixtures")
def write_twin(root: Path, settings: Twin) -> None:
    """Write synthetic mixtures in FLAC with their table and a note; equal settings give equal bytes.

    Raises InputError if `root` exists and is not empty, for a cast that leaves a split with fewer voices of a sex
    than a mixture can need, and for settings that this layout does not have.
    """
    people = _people(settings)
    sources = _sources(settings)
    mixtures = {split: int((sources["split"] == split).sum()) for split in Split}
    seconds = settings.clip_seconds[0]
    plan = plan_mixtures(sources, Mixing(settings.seed, people, mixtures, seconds, None, (1.0, 1.0), None))
    recordings = sources.set_index("id")
    with whole_tree(root) as folder:
        for split in Split:
            (folder / split).mkdir()
        lines = ["path,split,sources,sexes,starts_seconds"]
        for row in plan.itertuples():
            taken = zip(row.ids, row.starts_seconds, strict=True)
            waves = [_excerpt(recordings.loc[name], start, settings) for name, start in taken]
            soundfile.write(folder / row.path, average(waves), SAMPLE_RATE_HZ, subtype="PCM_16")
            starts = JOINT.join(f"{start:.3f}" for start in row.starts_seconds)
            lines.append(",".join((row.path, row.split, row.sources, row.sexes, starts)))
        write_lines(folder / TABLE, lines)
        note = "Synthetic mixtures of generated voices: nobody was recorded."
        write_lines(folder / "README.txt", [note, "Made by voxbench with eSpeak NG."])


def _people(settings: Twin) -> int:
    """Return the largest number of people in a mixture, after a look at the other settings."""
    numbers = [str(number) for number in range(1, MOST_PEOPLE + 1)]
    if settings.edition not in numbers[1:]:
        raise InputError(
            f"edition {settings.edition!r} of the twin of mixtures; expected the largest number of people, "
            f"from {numbers[1]} to {numbers[-1]}"
        )
    if settings.age_years is not None or settings.unlabelled_fraction:
        raise InputError(
            f"age_years {settings.age_years}, unlabelled_fraction {settings.unlabelled_fraction:g}: mixtures have no "
            "ages, and each sex is known; set null and 0"
        )
    return int(settings.edition)


def _sources(settings: Twin) -> pd.DataFrame:
    """Return what could be recorded of each voice: id, speaker, gender, split, seconds, and the numbers it is made of.

    Nothing is spoken yet: a recording follows from its numbers, so only what a mixture needs is made.
    """
    rows = []
    for index, (gender, split) in enumerate(cast_three(settings, "mixtures cast")):
        for session in range(settings.sessions_per_speaker):
            for clip in range(settings.clips_per_session):
                draws = generator(settings.seed, "mixtures seconds", index, session, clip)
                rows.append(
                    {
                        "id": f"voice{index:03d}/{session}/{clip}",
                        "speaker": f"voice{index:03d}",
                        "gender": gender,
                        "split": str(split),
                        "seconds": draws.uniform(*settings.clip_seconds),
                        "index": index,
                        "session": session,
                        "clip": clip,
                    }
                )
    return pd.DataFrame(rows)


def _excerpt(recording: pd.Series, start_seconds: float, settings: Twin) -> NDArray[np.floating]:
    """Return the part `(S,)` of one recording that a mixture takes, as it came through its session's channel."""
    index, session, clip = int(recording["index"]), int(recording["session"]), int(recording["clip"])
    voice = draw_voice(generator(settings.seed, "mixtures voice", index), recording["gender"], None)
    draws = generator(settings.seed, "mixtures session", index, session)
    shift = 1.0 + draws.normal(0.0, settings.session_pitch_sd)
    voice = replace(voice, language=settings.language, pitch_hz=voice.pitch_hz * shift)
    channel = draw_channel(draws, settings, "mixtures", index, session)
    draws = generator(settings.seed, "mixtures clip", index, session, clip)
    spoken_S = talk(voice, (recording["seconds"], recording["seconds"]), SAMPLE_RATE_HZ, draws)
    wave_S = transmit(spoken_S, SAMPLE_RATE_HZ, channel, draws)
    return excerpt(wave_S, SAMPLE_RATE_HZ, start_seconds, settings.clip_seconds[0])
