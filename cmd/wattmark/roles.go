package main

import (
	"errors"

	"wattmark/window"
)

// roleFlags say how many GPUs a disaggregated deployment has for what.
type roleFlags struct {
	Prefill gpuCount `name:"prefill-gpus" placeholder:"P" help:"How many GPUs are for prefill. Where no mark gave a role, they are the first ones."`
	Decode  gpuCount `name:"decode-gpus" placeholder:"D" help:"How many GPUs are for decode."`
}

// given reports that they were given.
func (r roleFlags) given() bool { return r.Prefill.given && r.Decode.given }

// check refuses one without the other.
func (r roleFlags) check() error {
	if r.Prefill.given != r.Decode.given {
		return errors.New("--prefill-gpus and --decode-gpus go together")
	}
	return nil
}

// hold holds a merged result to the numbers of GPUs that should be there.
func (r roleFlags) hold(result window.Result, expected gpuCount) window.Result {
	switch {
	case expected.given:
		result = result.Expecting(expected.n)
	case r.given():
		result = result.Expecting(r.Prefill.n + r.Decode.n)
	}
	if r.given() {
		result = result.ExpectingRoles(r.Prefill.n, r.Decode.n)
	}
	return result
}
