"""What tells where and how often things are unpickled."""

import os
import sys
from copy import copy


class Probe:
    """What notes the processes that unpickle it."""

    def __init__(self, path):
        self.path = str(path)

    def __setstate__(self, state):
        self.__dict__ = state
        with open(self.path, "a") as file:
            file.write(f"{os.getpid()}\n")


def counting_unpicklings(tsne, path):
    """A fitted estimator that notes in a file which processes unpickle it."""
    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers know no tests
    counted = copy(tsne)
    counted.probe = Probe(path)
    return counted


def processes_noted(path):
    """The processes that unpickled it, each as often as it did."""
    return [int(line) for line in path.read_text().split()]
