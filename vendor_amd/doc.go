// Package amd reads AMD GPUs: through libamd_smi where it is installed, and through the kernel's sysfs files where it
// is not, is older than the driver, or hangs.
//
// Both paths lead to the same table, which the GPU's firmware fills at once: power, the energy counter, the counter's
// own time, temperatures, clocks and activity. It is called gpu_metrics. What its bytes mean is in prefix.go (as the
// library passes it on) and table.go (as the kernel shows it); what a table is worth is decided in judge.go, in one
// place for both.
//
// libamd_smi is C++ that may hang, abort and mix up GPUs when several threads call it. It therefore runs in a child
// process of this same program ([RunChild]), on one thread, and is killed and started again when it does not answer.
// A GPU during whose read that happened gets a child of its own, so that it cannot silence the others a second time.
package amd
