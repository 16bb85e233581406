package amd

import "time"

// limits bound every wait. Tests use shorter ones.
type limits struct {
	start       time.Duration // for the library to start
	startBeside time.Duration // the same, where sysfs can be read meanwhile
	call        time.Duration // for one answer; a mark waits 500 ms for a GPU
	hang        time.Duration // after this a call that has not returned is taken for hung, and the child is killed
	close       time.Duration // for the library to shut down
	backoff     time.Duration // before a child is started again, doubling up to maxBackoff
	maxBackoff  time.Duration
	steady      time.Duration // a child that has lived this long is replaced at once, and the doubling starts anew
	probe       time.Duration // between the two readings by which the energy counter is judged
	file        time.Duration // for one sysfs file
}

func defaultLimits() limits {
	return limits{
		start: 10 * time.Second, startBeside: 3 * time.Second,
		call: 400 * time.Millisecond, hang: time.Second, close: 500 * time.Millisecond,
		backoff: time.Second, maxBackoff: time.Minute, steady: 10 * time.Second,
		probe: 500 * time.Millisecond, file: 400 * time.Millisecond,
	}
}
