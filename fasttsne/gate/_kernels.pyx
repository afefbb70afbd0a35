# cython: language_level=3
# cython: boundscheck=False, wraparound=False, initializedcheck=False
# cython: embedsignature=False, binding=True, freethreading_compatible=True
"""The gate to the C kernels: check, release the GIL, call, raise.

Nothing here computes. Callers pass C-contiguous arrays of the types in the signatures; the gate
checks whatever could make C read or write out of bounds. Every call can be interrupted: while a
kernel runs, the calling thread checks for signals a few times a second, and an exception from a
signal handler is raised from the call.
"""

import os
import threading

import numpy as np

from cython cimport floating
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.math cimport exp, log, sqrt
from libc.string cimport memcpy
from scipy.linalg.cython_blas cimport sgemm

include "declarations.pxi"
include "calls.pxi"
include "configuration.pxi"
include "neighbors.pxi"
include "ranks.pxi"
include "affinities.pxi"
include "coarsening.pxi"
include "forces.pxi"
include "descent.pxi"
include "new_points.pxi"
include "contrastive.pxi"
