// Package nvidia reads NVIDIA GPUs through NVML, the driver's own library.
//
// [Open] loads libnvidia-ml.so.1 and finds the GPUs; each is a [sampler.Device] that makes one batched driver call per
// reading: the energy counter (field 83) and board power (fields 185, the mean over a second, and 186, the last tens
// of milliseconds). Which of them there are, and what "power" means, differs by architecture: see [sampler.Info].
// Beside Read each has PowerSamples, the driver's own buffer of power samples, which package probe looks at.
//
// Three rules hold everywhere, because breaking them loses a daemon or a measurement:
//   - A function that the installed library lacks ends the process when it is called (the linker's doing, not
//     recoverable): every symbol is looked up before its first use.
//   - Printing an nvml.Return calls into the driver: return codes become a [Code] at once, which has its own words.
//   - What the driver does not answer is missing, never 0. "Not supported" on a first try is remembered and not asked
//     again; every other error counts for that reading only.
package nvidia
