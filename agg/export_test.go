package agg

// For the comparison with Python, which speaks of numbers rather than results, and for a limit that is soon reached.
var (
	Round         = round
	PythonFloat   = pythonFloat
	Decimals      = decimals
	ReadUpToLimit = readBenchmark
)
