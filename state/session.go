package state

import (
	"bytes"
	"encoding/json"

	"wattmark/sampler"
)

// session is a line "#start {…}": from here on a daemon wrote.
type session struct {
	Boot string `json:"boot_id"`
	Host string `json:"host"`
	// At is when that daemon started.
	At sampler.Moment `json:"start"`
	// Continued: the daemon that wrote the file before this one went on here.
	Continued bool `json:"continued"`
}

// gpuLine is a line "#gpu {…}": who has this index in the rows that follow.
type gpuLine struct {
	ID   string       `json:"id"`
	Info sampler.Info `json:"info"`
}

const (
	startMark = "#start "
	gpuMark   = "#gpu "
)

func appendLine(out []byte, mark string, what any) []byte {
	text, err := json.Marshal(what)
	if err != nil {
		panic(err) // numbers and texts always marshal
	}
	return append(append(append(out, mark...), text...), '\n')
}

// readLine reads a line of that kind; false if it is none, or torn.
func readLine(line []byte, mark string, into any) bool {
	text, ok := bytes.CutPrefix(line, []byte(mark))
	return ok && json.Unmarshal(text, into) == nil
}
