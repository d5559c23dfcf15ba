"""The synthetic twin of ASVspoof 2021: attacks unseen in the twin of 2019, through lines and codecs, and replay.

Editions: `LA`, `DF` and `PA`. Everything is for testing; the drawn `test_fraction` of the speakers makes the eval
subset, the others the progress subset. Of every sentence there is one bona fide recording and one of each attack, and
all of them share speech, pauses, channel, codec and level; noise is drawn anew. Each speaker's first sentence is there
once more without its pauses, as the hidden subset.

- LA: attacks A07 to A13 of the twin of 2019 (7 to 1), each sentence through the next of seven codecs
  (`voxbench.audio.codecs`; G.722 of 64 kbit/s by FFmpeg), pstn by way of mad_tx, none locally, the others by a drawn
  line.
- DF: the same attacks, each sentence through the next of nine compressions (m4a: AAC of 24 and 96 kbit/s by FFmpeg,
  whose delay of 64 ms is left in; mp3m4a and oggm4a are low_mp3 or low_ogg, then low_m4a). Every fourth speaker is of
  source vcc2020, with attacks Task1-team07 to Task1-team13 and the columns of that challenge.
- PA: replay with three devices at three distances (9 to 1). Rooms, microphones and devices are drawn once for the
  corpus, distances are `DISTANCES_M`.

`reverberation_seconds` has no effect in PA, whose rooms are its own. LA and PA have verification keys and scores; the
scores are drawn from normal distributions (`asvspoof_twins.SCORES`). No attack here is a neural vocoder, so none of
DF's is called one. There is no hidden subset of simulated replay (hidden1 of PA): all replay here is simulated.

Shape letter: S samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from voxbench.audio.attacks import attacks
from voxbench.audio.channel import set_peak, transmit
from voxbench.audio.codecs import transcode
from voxbench.audio.replay import Device, Place, draw_device, draw_place, pick_up, play, replay
from voxbench.audio.spectra import fit
from voxbench.config import Twin
from voxbench.corpora.asvspoof2019 import NOTHING, SPOOF
from voxbench.corpora.asvspoof2019_twin import UNSEEN
from voxbench.corpora.asvspoof2021 import COLUMNS, SCENARIO_WITHOUT_ASV
from voxbench.corpora.asvspoof_twins import (
    SAMPLE_RATE_HZ,
    Said,
    Speaker,
    Trial,
    Wave,
    check,
    claims,
    draw_names,
    draw_scores,
    embed,
    say,
    write_flac,
)
from voxbench.corpora.registries import twins
from voxbench.corpora.synthesis import cast, whole_tree, write_lines
from voxbench.schema import BONAFIDE
from voxbench.seeding import generator

EDITIONS = ("LA", "DF", "PA")
CODECS = {
    "LA": ("none", "alaw", "pstn", "g722", "ulaw", "gsm", "opus"),
    "DF": ("nocodec", "low_mp3", "high_mp3", "low_m4a", "high_m4a", "low_ogg", "high_ogg", "mp3m4a", "oggm4a"),
}
CHAINS = {"mp3m4a": ("low_mp3", "low_m4a"), "oggm4a": ("low_ogg", "low_m4a")}
FFMPEG = {"g722": ("g722", "g722", 64_000), "low_m4a": ("mp4", "aac", 24_000), "high_m4a": ("mp4", "aac", 96_000)}
"""Container, codec and bits per second of what libsndfile cannot code."""

LINES = {"none": ("loc_tx",), "pstn": ("mad_tx",)}
OTHER_LINES = ("ita_tx", "sin_tx", "loc_tx")
TRADITIONAL = ("griffin_lim_linear", "channel_vocoder", "sinusoids", "robot_phase")
"""Attacks that DF's column `vocoder` calls traditional; the others are unknown."""

ROOMS, MICROPHONES = 9, 3
DISTANCES_M = {"1": 0.5, "2": 0.75, "3": 1.0, "4": 1.25, "5": 1.5, "6": 2.0}
QUALITIES = {"s2": "A", "s3": "B", "s4": "C"}
ATTACKER_M = {"c2": 0.3, "c3": 0.75, "c4": 1.25}
REPLAYS = tuple(f"{distance}-{device}" for distance in ATTACKER_M for device in QUALITIES)
VCC_EVERY = 4
VCC_NAMES = {"female": "TEF", "male": "TEM"}


class Conditions(NamedTuple):
    """What one sentence and all its recordings go through; what a scenario has not is empty."""

    codec: str
    line: str
    room: str
    microphone: str
    distance: str


@twins.register("asvspoof2021")
def write_twin(root: Path, settings: Twin) -> None:
    """Write a synthetic scenario of ASVspoof 2021: audio, countermeasure key, verification key and scores, a note.

    Equal settings give equal bytes. Raises InputError if `root` exists and is not empty, for an edition other than LA,
    DF and PA, for counts that leave a subset without one of the sexes, and for settings that this layout does not have.
    """
    check(settings, "ASVspoof 2021", EDITIONS)
    scenario = str(settings.edition)
    roles = cast(settings, "asvspoof2021 cast")
    speakers = [Speaker(index, sex, "eval" if is_eval else "progress") for index, (sex, is_eval) in enumerate(roles)]
    with whole_tree(root) as folder:
        rows = _write_audio(folder / f"ASVspoof2021_{scenario}_eval", scenario, speakers, settings)
        rows.sort(key=lambda row: row[0].name)
        names = [trial.name for trial, _ in rows]
        write_lines(folder / f"ASVspoof2021_{scenario}_eval" / f"ASVspoof2021.{scenario}.cm.eval.trl.txt", names)
        key = [" ".join(facts[column] for column in COLUMNS[scenario]) for _, facts in rows]
        write_lines(folder / "keys" / scenario / "CM" / "trial_metadata.txt", key)
        if scenario not in SCENARIO_WITHOUT_ASV:
            _write_verification(folder / "keys" / scenario / "ASV", scenario, rows, settings.seed)
        note = "Synthetic speech in the layout of ASVspoof 2021: every voice is generated, nobody was recorded."
        scores = "Verification scores are drawn from normal distributions: they are no system's."
        write_lines(folder / "README.txt", [note, scores, "Made by voxbench with eSpeak NG; not part of ASVspoof."])


def _write_audio(
    folder: Path, scenario: str, speakers: list[Speaker], settings: Twin
) -> list[tuple[Trial, Mapping[str, str]]]:
    """Write all recordings; return each with the columns of its key."""
    (folder / "flac").mkdir(parents=True)
    made = (BONAFIDE, *(REPLAYS if scenario == "PA" else UNSEEN))
    sentences = settings.sessions_per_speaker * settings.clips_per_session + 1
    names = iter(draw_names(f"{scenario}_E_", len(speakers) * sentences * len(made), settings.seed))
    rows: list[tuple[Trial, Mapping[str, str]]] = []
    spoken = (said for each in speakers for said in say(each, settings, "asvspoof2021", settings.clips_per_session))
    for turn, said in enumerate(spoken):
        conditions = _conditions(said, scenario, turn, settings.seed)
        for is_trimmed in (False, True) if said.place[1:] == (0, 0) else (False,):
            for attack in made:
                trial = Trial(said.speaker, next(names), "", attack)
                wave_S, facts = _record(said, scenario, conditions, trial, is_trimmed, settings)
                write_flac(folder / "flac" / f"{trial.name}.flac", wave_S)
                rows.append((trial, facts | _labels(trial, scenario, is_trimmed)))
    return rows


def _conditions(said: Said, scenario: str, turn: int, seed: int) -> Conditions:
    """Deal a sentence its codec, in turn, and draw the rest."""
    draws = generator(seed, "asvspoof2021 conditions", *said.place)
    order = generator(seed, "asvspoof2021 codecs").permutation(len(CODECS.get(scenario, ("",))))
    codec = CODECS[scenario][order[turn % len(order)]] if scenario in CODECS else ""
    return Conditions(
        codec=codec,
        line=str(draws.choice(LINES.get(codec, OTHER_LINES))),
        room=str(draws.integers(1, ROOMS + 1)),
        microphone=str(draws.integers(1, MICROPHONES + 1)),
        distance=str(draws.choice(list(DISTANCES_M))),
    )


def _record(
    said: Said, scenario: str, conditions: Conditions, trial: Trial, is_trimmed: bool, settings: Twin
) -> tuple[Wave, dict[str, str]]:
    """Return one recording and what the key says of how it was made."""
    word = "trimmed" if is_trimmed else "whole"
    draws = generator(settings.seed, "asvspoof2021 recording", *said.place, trial.attack, word)
    if scenario == "PA":
        heard_S, facts = _replayed(
            embed(said, said.speech_S, not is_trimmed), conditions, trial.attack, draws, settings
        )
        return transmit(heard_S, SAMPLE_RATE_HZ, replace(said.channel, rt60_seconds=0.0), draws), facts
    speech_S = said.speech_S
    if trial.attack != BONAFIDE:
        speech_S = attacks[UNSEEN[trial.attack]](speech_S, SAMPLE_RATE_HZ, draws)
    sent_S = transmit(embed(said, speech_S, not is_trimmed), SAMPLE_RATE_HZ, said.channel, draws)
    coded_S = set_peak(code(sent_S, conditions.codec), said.channel.peak_dbfs)
    if scenario == "LA":
        return coded_S, {"codec": conditions.codec, "transmission": conditions.line}
    return coded_S, {"compression": conditions.codec}


def code(wave_S: Wave, name: str) -> Wave:
    """Return the wave `(S,)` at 16 kHz after a codec of `CODECS`: as many samples, the same dtype."""
    for step in CHAINS.get(name, (name,)):
        wave_S = _code_by_ffmpeg(wave_S, *FFMPEG[step]) if step in FFMPEG else transcode(wave_S, SAMPLE_RATE_HZ, step)
    return wave_S


def _code_by_ffmpeg(wave_S: Wave, container: str, codec: str, bits_per_s: int) -> Wave:
    import av  # only where it is used: importing it takes longer than all of this room

    stored = BytesIO()
    with av.open(stored, "w", format=container) as target:
        stream = target.add_stream(codec, rate=SAMPLE_RATE_HZ, layout="mono", bit_rate=bits_per_s)
        assert isinstance(stream, av.AudioStream)
        pcm_S = np.rint(np.clip(wave_S, -1.0, 1.0) * 32767.0).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(pcm_S[None], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        target.mux([*stream.encode(frame), *stream.encode(None)])
    stored.seek(0)
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
    with av.open(stored, "r", format=container) as source:
        parts = [part for frame in source.decode(audio=0) for part in resampler.resample(frame)]
    coded_S = np.concatenate([part.to_ndarray()[0] for part in [*parts, *resampler.resample(None)]])
    return fit(coded_S, wave_S.size).astype(wave_S.dtype)


def _replayed(
    wave_S: Wave, conditions: Conditions, attack: str, draws: np.random.Generator, settings: Twin
) -> tuple[Wave, dict[str, str]]:
    """Return what the verification system's microphone hears in PA, and the columns that say so."""
    seed = settings.seed
    sounding = "D" if attack == BONAFIDE else "d"
    facts = {
        "asv_room": f"R{conditions.room}",
        "asv_microphone": f"M{conditions.microphone}",
        "distance_to_asv": sounding + conditions.distance,
        **dict.fromkeys(("attacker_room", "attacker_microphone", "replay_device", "attacker_to_talker"), NOTHING),
    }
    if attack != BONAFIDE:
        distance, device = attack.split("-")
        room, microphone = str(draws.integers(1, ROOMS + 1)), str(draws.integers(1, MICROPHONES + 1))
        facts |= {"attacker_room": f"r{room}", "attacker_microphone": f"m{microphone}"}
        facts |= {"replay_device": device, "attacker_to_talker": distance}
        overheard = _place(room, ATTACKER_M[distance], draws, seed)
        player = draw_device(QUALITIES[device], generator(seed, "asvspoof2021 device", device))
        wave_S = play(wave_S, SAMPLE_RATE_HZ, _microphone(microphone, seed))
        wave_S = replay(wave_S, SAMPLE_RATE_HZ, overheard, player, draws)
    place = _place(conditions.room, DISTANCES_M[conditions.distance], draws, seed)
    return play(pick_up(wave_S, SAMPLE_RATE_HZ, place), SAMPLE_RATE_HZ, _microphone(conditions.microphone, seed)), facts


def _place(room: str, distance_m: float, draws: np.random.Generator, seed: int) -> Place:
    """Return a place in one of the corpus's rooms: of every size and reverberation, at a position of its own."""
    number = int(room) - 1
    environment = f"{'abc'[number // 3]}{'abc'[number % 3]}a"
    drawn = draw_place(environment, generator(seed, "asvspoof2021 room", room))
    return replace(drawn, distance_m=distance_m, seed=int(draws.integers(2**62)))


def _microphone(number: str, seed: int) -> Device:
    """Return one of the corpus's microphones: band edges, and no non-linearity."""
    draws = generator(seed, "asvspoof2021 microphone", number)
    return Device(low_hz=draws.uniform(50.0, 120.0), high_hz=draws.uniform(6_000.0, 7_800.0), drive=0.0)


def _labels(trial: Trial, scenario: str, is_trimmed: bool) -> dict[str, str]:
    """Return the columns that say who speaks, what the recording is, and where it belongs."""
    speaker, is_spoof = trial.speaker, trial.attack != BONAFIDE
    labels = {
        "speaker": f"{'PA' if scenario == 'PA' else 'LA'}_{speaker.index + 1:04d}",
        "trial": trial.name,
        "attack": trial.attack,
        "key": SPOOF if is_spoof else BONAFIDE,
        "trim": "trim" if is_trimmed else "notrim",
        "subset": "hidden" if is_trimmed else speaker.part,
    }
    if scenario == "DF":
        kind = "traditional_vocoder" if is_spoof and UNSEEN[trial.attack] in TRADITIONAL else "unknown"
        labels |= {"source": "asvspoof", "vocoder": kind if is_spoof else BONAFIDE}
        labels |= dict.fromkeys(("task", "team", "gender_pair", "language"), NOTHING)
        labels["attack"] = trial.attack if is_spoof else NOTHING
        if speaker.index % VCC_EVERY == VCC_EVERY - 1:
            labels |= {"source": "vcc2020", "speaker": f"{VCC_NAMES[speaker.gender]}{speaker.index + 1}"}
            if is_spoof:
                team = f"team{trial.attack[1:]}"
                labels |= {"attack": f"Task1-{team}", "task": "Task1", "team": team}
                labels |= {"gender_pair": 2 * speaker.gender[0].upper(), "language": "E"}
    return labels


def _write_verification(folder: Path, scenario: str, rows: list[tuple[Trial, Mapping[str, str]]], seed: int) -> None:
    """Write the verification key and its scores, line for line."""
    facts_of = {trial.name: facts for trial, facts in rows}
    made = claims([trial for trial, _ in rows])
    scores = draw_scores([key for _, _, key in made], generator(seed, "asvspoof2021 scores"))
    keys, lines = [], []
    for (speaker, trial, key), score in zip(made, scores, strict=True):
        claimed = f"{scenario}_{speaker.index + 1:04d}"
        facts = {**facts_of[trial.name], "speaker": claimed, "key": key}
        keys.append(" ".join(facts[column] for column in COLUMNS[scenario]))
        lines.append(f"{claimed} {trial.name} {score:.6f}")
    write_lines(folder / "trial_metadata.txt", keys)
    write_lines(folder / "ASVTorch_Kaldi" / "score.txt", lines)
