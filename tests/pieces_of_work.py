"""Work for worker processes, in a module that they can import."""

import os
import signal
import time
from pathlib import Path

from voxbench.schema import InputError


def square(number):
    time.sleep(0.001 * (number % 3))
    return number * number


def refuse(number):
    if number == 5:
        raise InputError(f"piece {number} is bad")
    return number


def refuse_or_touch(number, folder):
    if number != 5:
        time.sleep(0.05)
        Path(folder, str(number)).touch()
    return refuse(number)


def die(number):
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_once(number, flag):
    if number == 5 and not Path(flag).exists():
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number, os.getpid()
