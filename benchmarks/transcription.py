"""Write down what is said in a clip, on one core: the real-time factor, what each part takes, and other programs.

    python benchmarks/transcription.py
    python benchmarks/transcription.py --models quartznet_5x1_192 --seconds 4 --json FILE

The networks have random weights, which compute as long as trained ones, and the row `librispeech-read` of params.yaml
says how clips are cleaned and which features are made. A clip is noise.

| part         | what is timed, from a decoded file on                                                        |
|--------------|----------------------------------------------------------------------------------------------|
| cleaning     | silence at the ends, pre-emphasis, z-score                                                   |
| front end    | rounding to 16 bits, log-mel spectrogram, rounding to half precision                         |
| network      | statistics, encoder and `CtcHead`                                                            |
| best path    | the text of the most probable classes                                                        |
| beam         | prefix beam search of `--width` hypotheses, `--threshold` nats deep                          |
| language     | the same with a model of `--order` characters of invented sentences, seen before (warm)      |
| phrase       | the score of one phrase, as many characters as are spoken in the clip                        |
| timings      | when each word of that phrase was said                                                       |
| flashlight   | flashlight-text's beam search of the same width and depth, all classes, without a lexicon    |
| forced_align | torchaudio's alignment of that phrase                                                        |

From the front end on, parts take what cleaning left. "Whole" is measured at one go, from cleaning to the text of the
best path; with a beam, the search takes the best path's place in the sum. Real-time factors are times by the seconds
of the clip.

Readers are timed twice: on the network's outputs, which random weights make so flat that a search has no easy frame
(the worst case), and on outputs as sure as those of a trained network, made of a sentence, not of sound: in the frame
of each of its characters, and for blank elsewhere, a logit lies 6 to 14 above the noise of the others. Where best path,
beam or flashlight reads another text than that sentence, the run has failed.

Times are the least of the repetitions, which take turns after one that is not counted; they are those of the processor,
which other programs on the machine disturb less than a clock. torch has one thread.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from flashlight.lib.text import decoder as flashlight
from torch import Tensor
from torchaudio.functional import forced_align

from voxbench.audio import clean
from voxbench.audio.voices import invent_sentence
from voxbench.config import Beam, LanguageModel, Params, load_params
from voxbench.features.extraction import build_front_end, network_input
from voxbench.features.store import dequantize, quantize
from voxbench.models import create_model, spec
from voxbench.seeding import generator
from voxbench.tasks.transcription import CtcHead
from voxbench.training.network import Network, Statistics
from voxbench.transcripts.alphabet import BLANK, CLASSES, NEVER, encode, spelt
from voxbench.transcripts.beam import Decoder, grams_of
from voxbench.transcripts.greedy import collapsed
from voxbench.transcripts.normalising import normalise
from voxbench.transcripts.phrases import phrase_scores
from voxbench.transcripts.timings import word_timings

PARAMS, CORPUS = Path(__file__).parents[1] / "params.yaml", "librispeech-read"
MODELS = ("quartznet_5x1_192", "deep_speech_2x96", "quartznet_5x3_384", "deep_speech_3x256")
CHARACTERS_PER_SECOND, LANGUAGE_SENTENCES = 14, 2000
WEIGHT, INSERTION = 0.5, 0.5
Ways = dict[str, Callable[[], Any]]


def race(ways: Ways, repeats: int) -> dict[str, float]:
    """Return the least processor seconds of each way; they take turns after a first run that is not counted."""
    found = dict.fromkeys(ways, float("inf"))
    for repeat in range(repeats + 1):
        for way, act in ways.items():
            started = time.process_time()
            act()
            if repeat:
                found[way] = min(found[way], time.process_time() - started)
    return found


def sentence(characters: int) -> str:
    """Return whole invented words, as many as fit into so many characters."""
    draws, text = generator(1, "benchmark", "transcription"), ""
    while len(text) <= characters:
        text = f"{text} {normalise(invent_sentence(draws, 'en-US'))}".strip()
    return text[: text.rindex(" ", 0, characters + 1)]


def planted(text: str, frames: int) -> Tensor:
    """Return log-probabilities `(1, T, C)` that are sure of a text, its characters evenly spread over the frames."""
    draws = np.random.default_rng(1)
    path_T = np.full(frames, BLANK)
    path_T[((np.arange(len(text)) + 0.5) * frames / len(text)).astype(int)] = encode([text])[0]
    logits_TC = draws.standard_normal((frames, len(CLASSES)))
    logits_TC[np.arange(frames), path_T] += draws.uniform(6.0, 14.0, frames)
    return torch.from_numpy(logits_TC).float().log_softmax(dim=1)[None]


def decoders_of(options: argparse.Namespace) -> dict[str, Decoder]:
    """Return the three ways to a text."""
    draws = generator(2, "benchmark", "transcription")
    texts = [normalise(invent_sentence(draws, "en-US")) for _ in range(LANGUAGE_SENTENCES)]
    language = LanguageModel(order=options.order, weight=WEIGHT, insertion=INSERTION)
    settings = {"best path": None} | {
        name: Beam(width=options.width, threshold=options.threshold, language_model=model)
        for name, model in (("beam", None), ("language", language))
    }
    return {name: Decoder(beam, grams_of(beam, texts)) for name, beam in settings.items()}


def by_flashlight(options: argparse.Namespace) -> Callable[[Tensor], str]:
    """Return flashlight's search, which wants a class of silence: one more, which is never said."""
    settings = flashlight.LexiconFreeDecoderOptions(
        beam_size=options.width,
        beam_size_token=len(CLASSES) + 1,
        beam_threshold=options.threshold,
        lm_weight=0.0,
        sil_score=0.0,
        log_add=True,
        criterion_type=flashlight.CriterionType.CTC,
    )
    search = flashlight.LexiconFreeDecoder(settings, flashlight.ZeroLM(), len(CLASSES), BLANK, [])

    def read(log_probs_1TC: Tensor) -> str:
        padded_TC = np.pad(log_probs_1TC[0].numpy(), ((0, 0), (0, 1)), constant_values=NEVER)
        best = search.decode(padded_TC.ctypes.data, *padded_TC.shape)[0]
        # The first and the last token are the silence around.
        return normalise(spelt(collapsed(np.array(best.tokens[1:-1]))))

    return read


def readers(log_probs_1TC: Tensor, text: str, options: argparse.Namespace) -> Ways:
    """Return all that is done with a network's outputs."""
    theirs, numbers_1L = by_flashlight(options), torch.from_numpy(encode([text]))
    ways: Ways = {name: lambda decoder=decoder: decoder(log_probs_1TC)[0] for name, decoder in options.decoders.items()}
    return ways | {
        "phrase": lambda: phrase_scores(log_probs_1TC, [text]),
        "timings": lambda: word_timings(log_probs_1TC[0], text, seconds_per_frame=1.0),
        "flashlight": lambda: theirs(log_probs_1TC),
        "forced_align": lambda: forced_align(log_probs_1TC, numbers_1L, blank=BLANK),
    }


def network_of(name: str, bands: int) -> Network:
    """Return a network of random weights that leaves features as they are."""
    torch.manual_seed(1)
    encoder = create_model(name, n_features=bands)
    assert encoder.stride is not None, "it writes down what is said"
    statistics = Statistics(np.zeros(bands), np.ones(bands), targets=np.zeros(1))
    head = CtcHead(encoder.embedding_dim, dropout=0.0)
    return Network(encoder, head, statistics, embeds=False, centred=False).eval()


def measure(name: str, seconds: float, params: Params, options: argparse.Namespace) -> dict[str, Any]:
    """Return seconds of every part, real-time factors and ratios for one network and one clip."""
    corpus = params.corpora[CORPUS]
    rate_hz = corpus.cleaning.sample_rate_hz
    wave_S = np.random.default_rng(1).laplace(0, 0.05, round(seconds * rate_hz)).clip(-0.9, 0.9).astype(np.float32)
    network, kind = network_of(name, corpus.features.n_mels), spec(name).input_kind
    front_end = build_front_end(corpus.features, rate_hz).eval()

    def heard(cleaned_S: np.ndarray) -> np.ndarray:
        return network_input(front_end, dequantize(*quantize(cleaned_S)), kind)

    def outputs(features_TF: np.ndarray) -> Tensor:
        found: Tensor = network.judged(torch.from_numpy(features_TF.astype(np.float32).T[None].copy()))
        return found

    cleaned_S = clean(wave_S, rate_hz, corpus.cleaning).wave
    features_TF = heard(cleaned_S)
    own_1TC, text = outputs(features_TF), sentence(round(CHARACTERS_PER_SECOND * seconds))
    sure_1TC = planted(text, own_1TC.shape[1])
    best_path = options.decoders["best path"]
    parts: Ways = {
        "cleaning": lambda: clean(wave_S, rate_hz, corpus.cleaning),
        "front end": lambda: heard(cleaned_S),
        "network": lambda: outputs(features_TF),
        "whole": lambda: best_path(outputs(heard(clean(wave_S, rate_hz, corpus.cleaning).wave))),
    }
    times: dict[str, Any] = {"parts": race(parts, options.repeats)}
    ways = {"flat": readers(own_1TC, text, options), "sure": readers(sure_1TC, text, options)}
    times |= {kind: race(each, options.repeats) for kind, each in ways.items()}
    unread = [way for way in ("best path", "beam", "flashlight") if ways["sure"][way]() != text]
    row = {"model": name, "stride": network.encoder.stride, "seconds": seconds, "frames": own_1TC.shape[1]}
    return row | {"times": times, "unread": unread} | derived(times, seconds)


def derived(times: dict[str, dict[str, float]], seconds: float) -> dict[str, Any]:
    """Return real-time factors of the path to each kind of text, and our times by those of other programs."""
    before = sum(times["parts"][part] for part in ("cleaning", "front end", "network"))
    factors = {"best path": times["parts"]["whole"] / seconds}
    for kind in ("flat", "sure"):
        factors |= {f"{way}, {kind}": (before + times[kind][way]) / seconds for way in ("beam", "language")}
    ratios = {
        kind: {
            "beam by flashlight": times[kind]["beam"] / times[kind]["flashlight"],
            "timings by forced_align": times[kind]["timings"] / times[kind]["forced_align"],
        }
        for kind in ("flat", "sure")
    }
    return {"real_time_factors": factors, "ratios": ratios}


def show(row: dict[str, Any]) -> None:
    """Print what was measured for one network and one clip."""
    print(f"{row['model']}, {row['seconds']:g} s, {row['frames']} frames of stride {row['stride']}")
    for kind, found in row["times"].items():
        print(f"  {kind:<6}" + ", ".join(f"{way} {1000 * seconds:,.2f}" for way, seconds in found.items()) + " ms")
    factors = ", ".join(f"{way} {factor:.4f}" for way, factor in row["real_time_factors"].items())
    print(f"  real-time factors: {factors}")
    for kind, ratios in row["ratios"].items():
        print(f"  {kind:<6}" + ", ".join(f"{way} {ratio:.2f}" for way, ratio in ratios.items()))
    for way in row["unread"]:
        print(f"  FAILED: {way} reads another text than the one that was planted")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seconds", type=float, nargs="+", default=[2.0, 4.0, 15.0])
    parser.add_argument("--width", type=int, default=20)
    parser.add_argument("--threshold", type=float, default=50.0, help="nats below the best hypothesis")
    parser.add_argument("--order", type=int, default=6, help="characters of the language model's n-grams")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    params, options.decoders = load_params(PARAMS), decoders_of(options)
    rows = []
    with torch.inference_mode():
        for name in options.models:
            for seconds in options.seconds:
                rows.append(measure(name, seconds, params, options))
                show(rows[-1])
    if options.json:
        shape = {"width": options.width, "threshold": options.threshold, "order": options.order}
        options.json.write_text(json.dumps(shape | {"rows": rows}, indent=2) + "\n", encoding="utf-8")
    return 1 if any(row["unread"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
