// Package sysfsdouble makes the files in which the Linux kernel shows AMD GPUs (sysfs and the KFD topology), with
// gpu_metrics tables of versions 1.3 to 1.9, hwmon and identity. Values advance with the closed-form loads of
// [amdsmidouble.Load], so that the library's stand-in and these files can tell of the same GPUs.
package sysfsdouble
