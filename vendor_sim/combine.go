package sim

// Scale is Factor times a load.
type Scale struct {
	Load   Load
	Factor float64
}

// PowerWatts is Factor·P(t).
func (s Scale) PowerWatts(t float64) float64 { return s.Factor * s.Load.PowerWatts(t) }

// EnergyJoules is Factor·E(t).
func (s Scale) EnergyJoules(t float64) float64 { return s.Factor * s.Load.EnergyJoules(t) }

// Offset is a load and Watts more.
type Offset struct {
	Load  Load
	Watts float64
}

// PowerWatts is P(t) + Watts.
func (o Offset) PowerWatts(t float64) float64 { return o.Load.PowerWatts(t) + o.Watts }

// EnergyJoules is E(t) + Watts·t.
func (o Offset) EnergyJoules(t float64) float64 { return o.Load.EnergyJoules(t) + o.Watts*t }

// Shift is a load By seconds later.
type Shift struct {
	Load Load
	By   float64 // s
}

// PowerWatts is P(t − By).
func (s Shift) PowerWatts(t float64) float64 { return s.Load.PowerWatts(t - s.By) }

// EnergyJoules is E(t − By) − E(−By).
func (s Shift) EnergyJoules(t float64) float64 {
	return s.Load.EnergyJoules(t-s.By) - s.Load.EnergyJoules(-s.By)
}

// Busy is a load between the seconds Start and End, and IdleWatts before and after.
type Busy struct {
	Load       Load
	IdleWatts  float64
	Start, End float64 // s
}

// PowerWatts is P(t) inside [Start, End), IdleWatts outside.
func (b Busy) PowerWatts(t float64) float64 {
	if t < b.Start || t >= b.End {
		return b.IdleWatts
	}
	return b.Load.PowerWatts(t)
}

// EnergyJoules is IdleWatts times the idle part of [0, t], plus the load's energy over the rest.
func (b Busy) EnergyJoules(t float64) float64 { return b.since(t) - b.since(0) }

// since is the integral from Start to t.
func (b Busy) since(t float64) float64 {
	x := min(max(t, b.Start), b.End)
	return b.IdleWatts*((t-b.Start)-(x-b.Start)) + b.Load.EnergyJoules(x) - b.Load.EnergyJoules(b.Start)
}
