// Package window measures the energy that GPUs used between two moments.
//
// Every GPU has one monotone curve E(t): the joules it has used since some arbitrary origin. A hardware energy counter
// samples E, a power reading samples its derivative. A window is two moments, its energy is E(end) − E(start), and all
// else is bookkeeping about how well those two values are known. [Measure] is that one computation, and it is pure:
// live sampling, a recording and a test's slice differ only in the [Source].
//
// An error says that a request could not be carried out. A [Reason] says that it was, and that the number must not be
// published. A [Note] is something to know about a number that stands. A result is valid if it has no reason anywhere.
package window
