// Package sim is simulated GPUs whose energy is known exactly.
//
// A [Load] gives power as a function of time together with its closed-form integral: the truth. [Sensors] turn it into
// what a driver would say: an energy counter that advances in ticks, a 1 s average, the mean of the last 25 ms, each
// refreshed every 100 ms. [Fault] values spoil it in the ways that real drivers do. A [GPU] is all three, read live
// ([GPU.Read]) or at any model time without waiting ([GPU.At], [GPU.Series]). [Parse] reads the --sim flag.
package sim
