// Package recording writes readings as the CSV that nvidia-smi and amd-smi print, and reads such files back.
//
// What is read, and how oddities are taken, are the rules of InferenceX's utils/aggregate_power.py (August 2026):
// which column is which, what a number and a time are, which rows count. Options.Lenient does better where those rules
// are plainly wrong; docs/inferencex.md lists the differences. A [Recording] is a window.Source.
package recording
