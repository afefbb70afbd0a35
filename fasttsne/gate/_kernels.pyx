# cython: language_level=3
# cython: boundscheck=False, wraparound=False, initializedcheck=False
# cython: embedsignature=False, binding=True, freethreading_compatible=False
"""The gate to the C kernels: check, release the GIL, call, raise.

Nothing here computes. Arrays arrive C-contiguous and of the type that the signature says, from
the modules beside this one; what is checked is what would make C read or write out of bounds.
Every call can be interrupted: while a kernel runs, the calling thread looks for signals a few
times a second, and the exception that a signal handler raises leaves the call.
"""

import os

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
include "forces.pxi"
include "descent.pxi"
include "new_points.pxi"
include "contrastive.pxi"
