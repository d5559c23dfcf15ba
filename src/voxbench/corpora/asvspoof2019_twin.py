"""The synthetic twin of ASVspoof 2019: generated speakers, and real attacks on what they say.

Editions: `LA` (resynthesis, `voxbench.audio.attacks`) and `PA` (replay, `voxbench.audio.replay`).

Of every sentence a speaker says there is one bona fide recording and one of each attack of the set, so that speakers,
sentences, durations, pauses before and after, channel and level are the same in both classes by construction; only the
noise is drawn anew for each file. Spoofed to bona fide is 6 to 1 in train and dev and 7 to 1 in eval of LA (8.8 and 8.7
in the original), and 9 to 1 throughout PA (9, 4.5 and 6.4).

| attack (LA) | is                 | attack (LA) | is                 |
|-------------|--------------------|-------------|--------------------|
| A01         | griffin_lim_mel    | A07         | griffin_lim_linear |
| A02         | lpc_vocoder        | A08         | channel_vocoder    |
| A03         | cepstral_vocoder   | A09         | sinusoids          |
| A04         | unit_concatenation | A10         | coarse_residual    |
| A05         | pitch_shift        | A11         | duration_warp      |
| A06         | formant_shift      | A12         | robot_phase        |
|             |                    | A13         | low_rate_codec     |

A01 to A06 are in train and dev, A07 to A13 in eval alone. PA has its nine attacks in all sets, as the original has, but
eval's loudspeakers are none of those of train and dev. A PA recording's room comes from its environment, so
`reverberation_seconds` has no effect there. The test set is a drawn share of the speakers and dev as large.

Verification protocols are those of a system that compares each recording with its speaker (target, or spoof) and, when
bona fide, with one other speaker of the set. Each speaker is enrolled with one recording that is no trial (PA: with one
for each environment where a claim is made). The scores are no system's: they are drawn from normal distributions
(`asvspoof_twins.SCORES`), with an equal error rate near 2 % and about 70 % of spoofs accepted there, close to the
original's.

Shape letter: S samples.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from voxbench.audio.attacks import attacks
from voxbench.audio.channel import transmit
from voxbench.audio.replay import ATTACKS, DISTANCE_M, ENVIRONMENTS, Device, draw_device, draw_place, pick_up, replay
from voxbench.config import Twin
from voxbench.corpora.asvspoof2019 import NOTHING, SETS, SPOOF
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
from voxbench.schema import BONAFIDE, GENDERS, InputError
from voxbench.seeding import generator

EDITIONS = ("LA", "PA")
SEEN = {
    "A01": "griffin_lim_mel",
    "A02": "lpc_vocoder",
    "A03": "cepstral_vocoder",
    "A04": "unit_concatenation",
    "A05": "pitch_shift",
    "A06": "formant_shift",
}
UNSEEN = {
    "A07": "griffin_lim_linear",
    "A08": "channel_vocoder",
    "A09": "sinusoids",
    "A10": "coarse_residual",
    "A11": "duration_warp",
    "A12": "robot_phase",
    "A13": "low_rate_codec",
}
"""LA's attacks of train and dev, and of eval: names of `voxbench.audio.attacks`."""

DEVICES = 3
"""Loudspeakers of one quality that a set's attackers use."""


@twins.register("asvspoof2019")
def write_twin(root: Path, settings: Twin) -> None:
    """Write a synthetic scenario of ASVspoof 2019: audio, countermeasure and verification protocols, scores, a note.

    Equal settings give equal bytes. Raises InputError if `root` exists and is not empty, for an edition other than LA
    and PA, for counts that leave a set without one of the sexes, and for settings that this layout does not have.
    """
    check(settings, "ASVspoof 2019", EDITIONS)
    scenario = str(settings.edition)
    speakers = _deal(settings)
    with whole_tree(root) as folder:
        for part in SETS:
            own = [speaker for speaker in speakers if speaker.part == part]
            _write_part(folder, scenario, part, own, settings)
        note = "Synthetic speech in the layout of ASVspoof 2019: every voice is generated, nobody was recorded."
        scores = "Verification scores are drawn from normal distributions: they are no system's."
        write_lines(folder / "README.txt", [note, scores, "Made by voxbench with eSpeak NG; not part of ASVspoof."])


def _deal(settings: Twin) -> list[Speaker]:
    """Deal sexes and sets to the speakers: eval by `cast`, dev as many of the others."""
    roles = cast(settings, "asvspoof2019 cast")
    parts = ["eval" if is_test else "train" for _, is_test in roles]
    for gender in GENDERS:
        own = [index for index, (sex, is_test) in enumerate(roles) if sex == gender and not is_test]
        test = sum(sex == gender and is_test for sex, is_test in roles)
        if len(own) <= test:
            raise InputError(
                f"{settings.speakers} speakers with test_fraction {settings.test_fraction}: a dev set as large as the "
                f"test set leaves no {gender} speaker to train; raise speakers or lower test_fraction"
            )
        for index in own[:test]:
            parts[index] = "dev"
    return [Speaker(index, gender, parts[index]) for index, (gender, _) in enumerate(roles)]


def _record(said: Said, scenario: str, trial: Trial, settings: Twin) -> Wave:
    """Return one recording of what was said, by its speaker or by an attack."""
    attack = trial.attack
    draws = generator(settings.seed, "asvspoof2019 recording", *said.place, attack)
    speech_S, channel = said.speech_S, said.channel
    if scenario == "LA":
        if attack != BONAFIDE:
            speech_S = attacks[(SEEN | UNSEEN)[attack]](speech_S, SAMPLE_RATE_HZ, draws)
        return transmit(embed(said, speech_S, pauses=True), SAMPLE_RATE_HZ, channel, draws)
    place = draw_place(trial.environment, generator(settings.seed, "asvspoof2019 place", *said.place[:2]))
    wave_S = embed(said, speech_S, pauses=True)
    if attack != BONAFIDE:
        distance, quality = tuple(attack)
        device = loudspeaker(quality, said.speaker.part, int(draws.integers(DEVICES)), settings.seed)
        near, seed = draws.uniform(*DISTANCE_M[distance.lower()]), int(draws.integers(2**62))
        wave_S = replay(wave_S, SAMPLE_RATE_HZ, replace(place, distance_m=near, seed=seed), device, draws)
    heard_S = pick_up(wave_S, SAMPLE_RATE_HZ, place)
    return transmit(heard_S, SAMPLE_RATE_HZ, replace(channel, rt60_seconds=0.0), draws)


def loudspeaker(quality: str, part: str, number: int, seed: int) -> Device:
    """Return device `number` (below `DEVICES`) of a quality: train and dev share theirs, eval has its own."""
    users = "unseen" if part == "eval" else "seen"
    return draw_device(quality, generator(seed, "asvspoof2019 device", users, quality, number))


def _write_part(folder: Path, scenario: str, part: str, speakers: list[Speaker], settings: Twin) -> None:
    """Write the audio and the protocols of train, dev or eval."""
    letter = SETS[part][1]
    made = (BONAFIDE, *(ATTACKS if scenario == "PA" else UNSEEN if part == "eval" else SEEN))
    audio = folder / f"ASVspoof2019_{scenario}_{part}" / "flac"
    audio.mkdir(parents=True)
    clips = settings.clips_per_session
    count = len(speakers) * settings.sessions_per_speaker * clips * len(made)
    names = iter(draw_names(f"{scenario}_{letter}_", count, settings.seed))
    trials: list[Trial] = []
    enrolling: dict[Speaker, Said] = {}
    for said in (said for speaker in speakers for said in say(speaker, settings, "asvspoof2019", clips + 1)):
        if said.place[2] == clips:  # the sentence that enrols its speaker
            enrolling.setdefault(said.speaker, said)
            continue
        room = generator(settings.seed, "asvspoof2019 environment", *said.place[:2])
        environment = str(room.choice(ENVIRONMENTS)) if scenario == "PA" else NOTHING
        for attack in made:
            trials.append(Trial(said.speaker, next(names), environment, attack))
            write_flac(audio / f"{trials[-1].name}.flac", _record(said, scenario, trials[-1], settings))
    trials.sort(key=lambda trial: trial.name)
    protocol = f"ASVspoof2019_{scenario}_cm_protocols/ASVspoof2019.{scenario}.cm.{SETS[part][2]}.txt"
    write_lines(folder / protocol, [_cm_line(trial, scenario) for trial in trials])
    if part != "train":
        claimed = {(claimed.index, trial.environment, claimed) for claimed, trial, _ in claims(trials)}
        enrolled = []
        for number, (_, environment, speaker) in enumerate(sorted(claimed, key=lambda each: each[:2]), start=1):
            enrolled.append(Trial(speaker, f"{scenario}_{letter}_A{number:06d}", environment, BONAFIDE))
            wave_S = _record(enrolling[speaker], scenario, enrolled[-1], settings)
            write_flac(audio / f"{enrolled[-1].name}.flac", wave_S)
        _write_verification(folder, scenario, part, (trials, enrolled), settings.seed)


def _speaker_name(speaker: Speaker, scenario: str) -> str:
    return f"{scenario}_{speaker.index + 1:04d}"


def _cm_line(trial: Trial, scenario: str) -> str:
    speaker = _speaker_name(trial.speaker, scenario)
    attack, key = (NOTHING, BONAFIDE) if trial.attack == BONAFIDE else (trial.attack, SPOOF)
    return f"{speaker} {trial.name} {trial.environment} {attack} {key}"


def _write_verification(
    folder: Path, scenario: str, part: str, recorded: tuple[list[Trial], list[Trial]], seed: int
) -> None:
    """Write the verification protocols (enrolment and trials, by sex and of both) and the scores."""
    trials, enrolled = recorded
    above = folder / f"ASVspoof2019_{scenario}_asv_protocols"
    both: list[tuple[Speaker, Trial, str]] = []
    for gender in ("male", "female"):
        own = [claim for claim in claims(trials) if claim[0].gender == gender]
        models: dict[str, list[str]] = {}
        for each in (each for each in enrolled if each.speaker.gender == gender):
            place = f"_{each.environment}" if scenario == "PA" else ""
            models.setdefault(_speaker_name(each.speaker, scenario) + place, []).append(each.name)
        stem = f"ASVspoof2019.{scenario}.asv.{part}.{gender}"
        write_lines(above / f"{stem}.trn.txt", [f"{model} {','.join(names)}" for model, names in models.items()])
        write_lines(above / f"{stem}.trl.txt", [_asv_line(claim, scenario) for claim in own])
        both += own
    stem = f"ASVspoof2019.{scenario}.asv.{part}.gi.trl"
    write_lines(above / f"{stem}.txt", [_asv_line(claim, scenario) for claim in both])
    scores = draw_scores([key for _, _, key in both], generator(seed, "asvspoof2019 scores", part))
    lines = [f"{trial.attack} {key} {score:.6f}" for (_, trial, key), score in zip(both, scores, strict=True)]
    write_lines(folder / f"ASVspoof2019_{scenario}_asv_scores" / f"{stem}.scores.txt", lines)


def _asv_line(claim: tuple[Speaker, Trial, str], scenario: str) -> str:
    speaker, trial, key = claim
    place = f" {trial.environment}" if scenario == "PA" else ""
    return f"{_speaker_name(speaker, scenario)} {trial.name}{place} {trial.attack} {key}"
