//go:build linux && cgo

#define _GNU_SOURCE
#include "smi.h"

#include <dlfcn.h>
#include <link.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FLAG_GPUS = 2, TYPE_GPU = 1, SOCKETS = 256 };

static struct {
	uint32_t (*init)(uint64_t flags);
	uint32_t (*shut_down)(void);
	uint32_t (*words)(uint32_t status, const char **text);
	uint32_t (*version)(void *out);
	uint32_t (*sockets)(uint32_t *n, void **out);
	uint32_t (*processors)(void *socket, uint32_t *n, void **out);
	uint32_t (*type)(void *processor, uint32_t *out);
	uint32_t (*bdf)(void *processor, uint64_t *out);
	uint32_t (*metrics)(void *processor, void *out);
	uint32_t (*asic)(void *processor, void *out);
	uint32_t (*driver)(void *processor, void *out);
	uint32_t (*cap)(void *processor, uint32_t sensor, void *out);
	uint32_t (*compute)(void *processor, char *out, uint32_t n);
	uint32_t (*memory)(void *processor, char *out, uint32_t n);
} smi;

static const struct { const char *name; size_t at; int needed; } symbols[] = {
	{"amdsmi_init", offsetof(__typeof__(smi), init), 1},
	{"amdsmi_shut_down", offsetof(__typeof__(smi), shut_down), 1},
	{"amdsmi_get_socket_handles", offsetof(__typeof__(smi), sockets), 1},
	{"amdsmi_get_processor_handles", offsetof(__typeof__(smi), processors), 1},
	{"amdsmi_get_processor_type", offsetof(__typeof__(smi), type), 1},
	{"amdsmi_get_gpu_bdf_id", offsetof(__typeof__(smi), bdf), 1},
	{"amdsmi_get_gpu_metrics_info", offsetof(__typeof__(smi), metrics), 1},
	{"amdsmi_status_code_to_string", offsetof(__typeof__(smi), words), 0},
	{"amdsmi_get_lib_version", offsetof(__typeof__(smi), version), 0},
	{"amdsmi_get_gpu_asic_info", offsetof(__typeof__(smi), asic), 0},
	{"amdsmi_get_gpu_driver_info", offsetof(__typeof__(smi), driver), 0},
	{"amdsmi_get_power_cap_info", offsetof(__typeof__(smi), cap), 0},
	{"amdsmi_get_gpu_compute_partition", offsetof(__typeof__(smi), compute), 0},
	{"amdsmi_get_gpu_memory_partition", offsetof(__typeof__(smi), memory), 0},
};

static char path[4096];
static char trouble[1024];
static uint8_t *buffer;
static void *handles[WM_PROCESSORS];
static uint32_t handle_count;

static const char *make_buffer(void) {
	if (buffer)
		return NULL;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t room = (WM_BUFFER + page - 1) / page * page;
	uint8_t *p = mmap(NULL, room + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED || mprotect(p + page, room, PROT_READ | PROT_WRITE))
		return "no memory for a buffer";
	buffer = p + page + room - WM_BUFFER; // its end is the guard page's beginning
	return NULL;
}

static void *cleared(void) {
	memset(buffer, 0, WM_BUFFER);
	return buffer;
}

const char *wm_load(const char *name) {
	const char *why = make_buffer();
	if (why)
		return why;
	// Never closed: the library registers handlers and threads of its own that would outlive it.
	void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return dlerror();
	for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
		void *function = dlsym(library, symbols[i].name);
		if (!function && symbols[i].needed) {
			strcpy(trouble, "it has no function ");
			strcat(trouble, symbols[i].name);
			return trouble;
		}
		memcpy((char *)&smi + symbols[i].at, &function, sizeof function);
	}
	struct link_map *map = NULL;
	strncpy(path, name, sizeof path - 1);
	if (!dlinfo(library, RTLD_DI_LINKMAP, &map) && map && map->l_name && map->l_name[0])
		strncpy(path, map->l_name, sizeof path - 1);
	return NULL;
}

const char *wm_path(void) { return path; }

const uint8_t *wm_buffer(void) { return buffer; }

uint32_t wm_init(void) {
	// Versions up to 24 share a mutex in /dev/shm with every other process that uses the library, and wait 5 s for
	// one that is stuck. It has to be in the C environment: Go's os.Setenv is not enough for all ways to get here.
	setenv("RSMI_MUTEX_THREAD_ONLY", "1", 1);
	return smi.init(FLAG_GPUS);
}

uint32_t wm_shut_down(void) { return smi.shut_down(); }

const char *wm_words(uint32_t status) {
	const char *text = NULL;
	if (!smi.words || smi.words(status, &text) || !text)
		return "";
	return text;
}

uint32_t wm_version(void) { return smi.version ? smi.version(cleared()) : WM_NOT_SUPPORTED; }

uint32_t wm_enumerate(uint32_t *count) {
	static void *sockets[SOCKETS];
	uint32_t socket_count = 0;
	handle_count = 0;
	*count = 0;
	uint32_t status = smi.sockets(&socket_count, NULL);
	if (status)
		return status;
	if (socket_count > SOCKETS)
		socket_count = SOCKETS;
	status = smi.sockets(&socket_count, sockets);
	for (uint32_t s = 0; !status && s < socket_count && s < SOCKETS; s++) {
		uint32_t n = 0;
		status = smi.processors(sockets[s], &n, NULL);
		if (status)
			break;
		if (n > WM_PROCESSORS - handle_count)
			n = WM_PROCESSORS - handle_count;
		void **own = handles + handle_count;
		status = smi.processors(sockets[s], &n, own);
		if (status)
			break;
		for (uint32_t p = 0; p < n && handle_count < WM_PROCESSORS; p++) {
			uint32_t type = 0;
			if (!smi.type(own[p], &type) && type == TYPE_GPU)
				handles[handle_count++] = own[p];
		}
	}
	*count = handle_count;
	return status;
}

uint32_t wm_bdf(uint32_t i, uint64_t *bdf) {
	uint32_t status = smi.bdf(handles[i], cleared());
	memcpy(bdf, buffer, sizeof *bdf);
	return status;
}

uint32_t wm_metrics(uint32_t i) { return smi.metrics(handles[i], cleared()); }

uint32_t wm_asic(uint32_t i) { return smi.asic ? smi.asic(handles[i], cleared()) : WM_NOT_SUPPORTED; }

uint32_t wm_driver(uint32_t i) { return smi.driver ? smi.driver(handles[i], cleared()) : WM_NOT_SUPPORTED; }

uint32_t wm_power_cap(uint32_t i, uint64_t *cap) {
	*cap = 0;
	uint32_t status = smi.cap ? smi.cap(handles[i], 0, cleared()) : WM_NOT_SUPPORTED;
	if (!status)
		memcpy(cap, buffer, sizeof *cap);
	return status;
}

uint32_t wm_compute_partition(uint32_t i) {
	return smi.compute ? smi.compute(handles[i], cleared(), 255) : WM_NOT_SUPPORTED;
}

uint32_t wm_memory_partition(uint32_t i) {
	return smi.memory ? smi.memory(handles[i], cleared(), 255) : WM_NOT_SUPPORTED;
}
