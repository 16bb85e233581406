// Package amdsmidouble makes stand-ins for AMD's libamd_smi: shared libraries of our own C, one per ABI, that play a
// script. The true power and energy of every GPU is known in closed form, so that a test compares with the truth.
//
// A program under test is pointed at the library with --amdsmi-library (or [Build]'s folder in AMDSMI_LIB_DIR) and at
// the script with the environment variable WATTMARK_AMDSMI_SCRIPT ([ScriptEnv]). Rewriting the script file changes
// the GPUs' behaviour while the program runs.
//
// Nothing here comes from AMD's sources; what the stand-ins imitate is written down in docs/amd.md.
package amdsmidouble
