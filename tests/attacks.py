"""Checkpoints that would run code."""

import os
import pickle

from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler


class RunsCode:
    """What an attacker would put into a checkpoint."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], tuple(self.call[1:])


ATTACKS = [
    RunsCode(os.mkdir, 'pwned'),
    RunsCode(exec, 'open("pwned", "w")'),
    RunsCode(getattr, pickle.Pickler, 'dump'),
    RunsCode(getattr, HistoryBuffer, '__init__'),
    RunsCode(getattr, OneCycleParamScheduler, '__init__'),
    RunsCode(getattr, HistoryBuffer.mean, '__globals__'),
    RunsCode(getattr, [], 'append'),
]
