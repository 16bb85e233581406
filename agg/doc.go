// Package agg is the door to the benchmark's files: it reads the benchmark's result, sets the power keys in the
// aggregate without touching another byte, and writes the validation file. Formats, names and reason codes are those of
// InferenceX's power schema 2.
package agg
