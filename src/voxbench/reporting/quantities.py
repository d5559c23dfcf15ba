"""How numbers are written: with their unit, with digits that the sample can carry, and a dash where there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from voxbench.metrics import Interval

DASH = "\u2013"
MINUS = "\u2212"
NARROW_SPACE = "\u202f"
# What people read in place of a word of files.
SPOKEN = {"bonafide": "bona fide"}
# From so many rows on, a hundredth of a percent is more than one row.
ROWS_FOR_HUNDREDTHS = 10_000


@dataclass(frozen=True)
class Quantity:
    """What a metric is called, the unit it is shown in, and its digits."""

    label: str
    unit: str
    factor: float
    decimals: int

    @property
    def heading(self) -> str:
        """Return label and unit, as a column is headed."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def step(self) -> str:
        """Return the unit of a difference."""
        return " points" if self.unit == "%" else f" {self.unit}" if self.unit else ""

    def number(self, value: float) -> str:
        """Return a value without its unit."""
        return decimal(self.factor * value, self.decimals)

    def value(self, value: float) -> str:
        """Return a value with its unit."""
        space = NARROW_SPACE if self.unit == "%" else " "
        return f"{self.number(value)}{space}{self.unit}" if self.unit else self.number(value)

    def signed(self, value: float) -> str:
        """Return a difference with its sign, without its unit."""
        return f"{'+' if round(self.factor * value, self.decimals) > 0 else ''}{self.number(value)}"

    def spread(self, mean: float, sd: float) -> str:
        """Return mean and standard deviation, without the unit."""
        return f"{self.number(mean)} ± {self.number(sd)}"

    def interval(self, interval: Interval) -> str:
        """Return estimate and bounds, without the unit."""
        return f"{self.number(interval.estimate)} [{self.number(interval.low)}, {self.number(interval.high)}]"


PERCENT = Quantity("", "%", 100, 1)
QUANTITIES = {
    "accuracy": replace(PERCENT, label="accuracy"),
    "top_2_accuracy": replace(PERCENT, label="top-2 accuracy"),
    "balanced_accuracy": replace(PERCENT, label="balanced accuracy"),
    "macro_f1": replace(PERCENT, label="macro F1"),
    "expected_calibration_error": replace(PERCENT, label="calibration error"),
    "matthews_correlation": Quantity("Matthews correlation", "", 1, 3),
    "log_loss": Quantity("log loss", "nats", 1, 3),
    "class_distance": Quantity("distance", "classes", 1, 3),
    "brier": Quantity("Brier score", "", 1, 3),
    "roc_auc": Quantity("AUC", "", 1, 3),
    "mae": Quantity("MAE", "years", 1, 2),
    "median_absolute_error": Quantity("median absolute error", "years", 1, 2),
    "rmse": Quantity("RMSE", "years", 1, 2),
    "r2": Quantity("R\u00b2", "", 1, 3),
    "pearson": Quantity("Pearson's r", "", 1, 3),
    "concordance": Quantity("concordance", "", 1, 3),
    "eer": replace(PERCENT, label="EER", decimals=2),
    "eer_asvspoof": replace(PERCENT, label="EER (ASVspoof)", decimals=2),
    "min_dcf_p01": Quantity("minDCF (0.01)", "", 1, 4),
    "min_dcf_p05": Quantity("minDCF (0.05)", "", 1, 4),
    "act_dcf_p01": Quantity("actDCF (0.01)", "", 1, 4),
    "act_dcf_p05": Quantity("actDCF (0.05)", "", 1, 4),
    "cllr": Quantity("Cllr", "bits", 1, 4),
    "min_cllr": Quantity("minCllr", "bits", 1, 4),
    "auc": Quantity("AUC", "", 1, 4),
    "wer": replace(PERCENT, label="word error rate", decimals=2),
    "cer": replace(PERCENT, label="character error rate", decimals=2),
    "eer_rocch": replace(PERCENT, label="EER (ROC hull)", decimals=2),
    "p_miss": replace(PERCENT, label="miss rate", decimals=2),
    "p_fa": replace(PERCENT, label="false-alarm rate", decimals=2),
    "min_dcf": Quantity("minDCF", "", 1, 4),
    "act_dcf": Quantity("actDCF", "", 1, 4),
    "min_tdcf": Quantity("min t-DCF", "", 1, 4),
    "sasv_eer": replace(PERCENT, label="SASV-EER", decimals=2),
    "sv_eer": replace(PERCENT, label="SV-EER", decimals=2),
    "spf_eer": replace(PERCENT, label="SPF-EER", decimals=2),
    "p_fa_spoof": replace(PERCENT, label="spoofs accepted", decimals=2),
    "min_a_dcf": Quantity("min a-DCF", "", 1, 4),
    "a_dcf": Quantity("a-DCF", "", 1, 4),
}


def quantity(metric: str, rows: int) -> Quantity:
    """Return how a metric over `rows` rows is written; one that this table does not know is written as it is.

    >>> quantity("min_dcf(p_target=0.05, c_fa=10)", 100).label
    'minDCF (p_target = 0.05, c_fa = 10)'
    """
    name, _, settings = metric.partition("(")
    known = QUANTITIES.get(name, Quantity(name.replace("_", " "), "", 1, 3))
    if settings:
        known = replace(known, label=f"{known.label} ({settings.removesuffix(')').replace('=', ' = ')})")
    return replace(known, decimals=2) if known.unit == "%" and rows >= ROWS_FOR_HUNDREDTHS else known


def decimal(value: float, decimals: int) -> str:
    """Return a number with fixed decimals, groups of three and a true minus sign; a dash for NaN.

    >>> decimal(2.26, 1), decimal(-0.01, 1), decimal(-0.26, 1) == MINUS + "0.3"
    ('2.3', '0.0', True)
    """
    if math.isnan(value):
        return DASH
    shown = f"{value:,.{decimals}f}"
    if float(shown.replace(",", "")) == 0:
        shown = shown.removeprefix("-")
    return shown.replace("-", MINUS).replace(",", NARROW_SPACE)


def count(number: int) -> str:
    """Return a whole number in groups of three digits.

    >>> count(11177538).split()
    ['11', '177', '538']
    """
    return decimal(number, 0)


def counted(number: int, noun: str) -> str:
    """Return a number and its noun.

    >>> counted(1, "speaker"), counted(2, "speaker")
    ('1 speaker', '2 speakers')
    """
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def p_value(p: float) -> str:
    """Return a p-value with three decimals; below a thousandth as such.

    >>> p_value(0.0123), p_value(0.0001), p_value(float("nan")) == DASH
    ('0.012', '< 0.001', True)
    """
    return DASH if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_equation(p: float) -> str:
    """Return `p = 0.012` or `p < 0.001`, held together on one line."""
    shown = p_value(p)
    return (f"p {shown}" if shown.startswith("<") else f"p = {shown}").replace(" ", "\u00a0")


def spoken(word: str) -> str:
    """Return the word of a class as people read it.

    >>> spoken("bonafide"), spoken("male")
    ('bona fide', 'male')
    """
    return SPOKEN.get(word, word)


def visible(text: str) -> str:
    r"""Return text that cannot act on what stands around it: control and direction characters become escapes.

    >>> print(visible("a" + chr(0x202E) + "b"))
    a\u202eb
    """
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
