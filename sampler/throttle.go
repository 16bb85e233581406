package sampler

// ThrottleCause is one reason for which a GPU runs below its clocks.
type ThrottleCause struct {
	Bit   Throttle
	Code  string // for programs
	Words string // for people
}

// ThrottleCauses are all of them.
func ThrottleCauses() []ThrottleCause {
	return []ThrottleCause{
		{ThrottlePowerCap, "power_cap", "power limit"},
		{ThrottleThermal, "thermal", "heat"},
		{ThrottleHardware, "hardware", "hardware slowdown"},
		{ThrottlePowerBrake, "power_brake", "power brake"},
		{ThrottleOther, "other", "other"},
	}
}

// Words names the causes in the set; it is empty where the GPU is not throttled.
func (t Throttle) Words() []string {
	words := []string{}
	for _, cause := range ThrottleCauses() {
		if t&cause.Bit != 0 {
			words = append(words, cause.Words)
		}
	}
	return words
}
