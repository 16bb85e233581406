// Package probe characterises the sensors of one GPU from readings alone: how often the energy counter steps and how
// evenly, whether its rate depends on how often it is read, how often the power fields are refreshed and over how long
// they are means, whether counter and power agree, how long driver calls take.
//
// [Run] reads a GPU at three paces and hands what it read to pure functions, which are tested on simulated GPUs whose
// sensors are known. It changes no setting and needs no load; but what moves with power shows only while power moves.
// What the readings do not decide is missing from the [Report], with a note that says why: nothing is guessed.
package probe
