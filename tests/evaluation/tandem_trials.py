"""Trials of three kinds with two scores each, drawn so that each network is fair and neither is perfect."""

import numpy as np
import pandas as pd


def tandem_trials(seed, people=8, clips=4, spoofs=4):
    """Return trials in the columns of `voxbench.evaluation.sasv_files`: everybody claims to be everybody."""
    numbers = np.random.default_rng(seed)
    names = [f"{seed}-{person}" for person in range(people)]
    rows = []
    for name in names:
        for clip in range(clips):
            cm = numbers.normal(1.5)
            for claimed in names:
                key = "target" if claimed == name else "nontarget"
                rows.append(
                    (claimed, f"{name}/{clip}", numbers.normal(1.5 if key == "target" else -1.5), cm, key, name)
                )
        for clip in range(spoofs):
            rows.append((name, f"{name}/s{clip}", numbers.normal(1.0), numbers.normal(-1.5), "spoof", name))
    return pd.DataFrame(rows, columns=["enroll", "test", "asv", "cm", "key", "speaker"])
