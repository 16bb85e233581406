// The few functions of libamd_smi that wattmark calls, behind dlopen. Written from the published signatures; no header
// of AMD's is used. All of it is called from one thread.
//
// Everything that the library writes goes to one buffer of C memory, far larger than any of its structs, zeroed before
// each call, with pages around it that cannot be touched: a library that writes more than 16 KiB crashes instead of
// changing memory of ours.
#include <stdint.h>

enum { WM_BUFFER = 16384, WM_PROCESSORS = 1024, WM_NOT_SUPPORTED = 2 };

const char *wm_load(const char *name); // NULL, or what went wrong
const char *wm_path(void);             // path of the loaded library
const uint8_t *wm_buffer(void);        // what the last call wrote

uint32_t wm_init(void);
uint32_t wm_shut_down(void);
const char *wm_words(uint32_t status);
uint32_t wm_version(void);
uint32_t wm_enumerate(uint32_t *count); // fills the list that the calls below index

uint32_t wm_bdf(uint32_t i, uint64_t *bdf);
uint32_t wm_metrics(uint32_t i);
uint32_t wm_asic(uint32_t i);
uint32_t wm_driver(uint32_t i);
uint32_t wm_power_cap(uint32_t i, uint64_t *cap);
uint32_t wm_compute_partition(uint32_t i);
uint32_t wm_memory_partition(uint32_t i);
