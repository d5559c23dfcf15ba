"""The policy file of `voxbench authenticate`: which networks are asked, and what each of their answers has to reach.

It belongs to whoever decides about people, not to the benchmark, so it is a file of its own beside `params.yaml`:

```yaml
verifier: verify-voxceleb/ecapa_tdnn_64
countermeasure: spoof-asvspoof2019-la/lfcc_resnet18_s
recognizer: asr-librispeech/quartznet_5x1_192
least_speech_seconds: 1.0
accept:
  voice: {policy: far-10-percent}
  liveness: {policy: equal-error}
  phrase: {least_llr: 2.0}
```
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, FiniteFloat, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from voxbench.config.base import Name, Section
from voxbench.registry import closest
from voxbench.schema import InputError

Network = Annotated[str, Field(min_length=1)]


class Rule(Section):
    """What a part has to reach: the threshold of a `policy` that is stored with its network, or a ratio of one's own.

    `least_llr` is a natural-log likelihood ratio. One of the two is given; neither goes without saying.
    """

    policy: Name | None = None
    least_llr: FiniteFloat | None = None

    @model_validator(mode="after")
    def _one(self) -> Rule:
        given = [name for name in ("policy", "least_llr") if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "neither"
            raise ValueError(f"found {found}, expected one of policy, which is stored with the network, and least_llr")
        return self


class Acceptance(Section):
    """The rule of each part; a recording is accepted if it passes all three."""

    voice: Rule
    liveness: Rule
    phrase: Rule


class AuthenticationPolicy(Section):
    """The three networks, named as `--model` of other commands names one, and what each has to say.

    Where one of them hears fewer than `least_speech_seconds` of speech, nothing is decided.
    """

    verifier: Network
    countermeasure: Network
    recognizer: Network
    least_speech_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    accept: Acceptance


def load_policy(path: Path) -> AuthenticationPolicy:
    """Read and check a policy file; every error names the key and, for a misspelt one, the closest name."""
    try:
        raw = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the policy {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except YAMLError as error:
        raise InputError(f"the policy {path} is not YAML: {' '.join(str(error).split())}") from error
    try:
        return AuthenticationPolicy.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(_explained(problem) for problem in error.errors())
        raise InputError(f"the policy {path.name}: {problems}") from error


def _explained(problem: Any) -> str:
    location = [str(part) for part in problem["loc"]]
    place = ".".join(location)
    if problem["type"] == "extra_forbidden":
        return f"unknown key {place!r}{closest(location[-1], _siblings(location[:-1]))}"
    if problem["type"] == "missing":
        return f"key {place!r} is missing"
    if not location:
        return f"expected the keys {', '.join(AuthenticationPolicy.model_fields)}, found {problem['input']!r}"
    found = "" if problem["type"] == "value_error" else f", found {problem['input']!r}"
    return f"{place}: {problem['msg'].removeprefix('Value error, ')}{found}"


def _siblings(location: Iterable[str]) -> list[str]:
    """Return the key names of the section at `location`."""
    section: Any = AuthenticationPolicy
    for part in location:
        section = section.model_fields[part].annotation
    return list(section.model_fields)
