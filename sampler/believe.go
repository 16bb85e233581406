package sampler

// What no GPU does. Readings of megawatts are on record (32 bits of milliwatts below zero are 4.29 MW), and so are readings of
// 0 W from GPUs at work.
const (
	beyondLimit = 2    // times the power limit; power above the limit is ordinary for some milliseconds
	beyondAll   = 20e3 // W, where the limit is not known: above any module
	leastPower  = 10   // W, less than any GPU idles at
)

// Believe returns the reading without the power that the GPU cannot have had, and how many values were left out: less than
// nothing, more than twice its limit, or nothing while it is at work.
func (i Info) Believe(r Reading) (Reading, int) {
	rejected := 0
	working := r.Utilization.Value().Or(0) > 0 || i.believed(r.PowerWatts).Or(0) > leastPower || i.believed(r.InstantWatts).Or(0) > leastPower
	for _, power := range []*Value{&r.PowerWatts, &r.InstantWatts} {
		watts, ok := power.Known()
		if ok && (!i.believed(*power).OK() || watts == 0 && working) {
			*power = Value{}
			rejected++
		}
	}
	return r, rejected
}

// believed returns the power if a GPU can draw so much.
func (i Info) believed(power Value) Value {
	most := float64(beyondAll)
	if limit, ok := i.PowerLimitWatts.Known(); ok && limit > 0 {
		most = beyondLimit * limit
	}
	if watts, ok := power.Known(); ok && (watts < 0 || watts > most) {
		return Value{}
	}
	return power
}

// believes reports that the energy counter can have advanced so much in this time: by twice the limit, and what it may
// have had in store from before.
func (i Info) believes(joules, seconds float64) bool {
	limit, ok := i.PowerLimitWatts.Known()
	return !ok || limit <= 0 || joules <= beyondLimit*limit*(seconds+1+2*i.CounterPeriod.Seconds())
}
