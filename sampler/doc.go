// Package sampler reads GPUs on a schedule into memory.
//
// A [Device] is one GPU as its vendor's driver shows it. The [Sampler] runs one feed per device: a goroutine that is
// the only caller of that device, a ring of readings and a mutex. Feeds share nothing, so a driver call that hangs
// silences one GPU and nothing else. What was read is handed out as a [Series]: facts with their times, no arithmetic.
package sampler
