// A stand-in for libamd_smi, written from the facts about its ABI and from nothing of AMD's. It is compiled by the
// tests once per ABI (-DABI=24 … 27, or an unknown one) and plays the script that WATTMARK_AMDSMI_SCRIPT names; the
// script's language is in amdsmidouble.Script. It is re-read whenever the file changes.
#define _GNU_SOURCE
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef ABI
#error "compile with -DABI=NN"
#endif

enum { OK = 0, NOT_SUPPORTED = 2, INIT_ERROR = 18, NOT_FOUND = 31, NOT_INIT = 32, DRIVER_NOT_LOADED = 34, UNEXPECTED_DATA = 43 };
enum { MAX_GPUS = 64, MAX_PARTITIONS = 8 };

struct gpu {
	unsigned domain, bus, device, function;
	char name[64], serial[32];
	double mean, amplitude, period; // of the load: W, W, s
	int square, average;
	uint64_t base, cap;                                   // counts, W
	int read_code, hang, abort, crash, empty;             // what a read does
	int constant, zero_watts, no_watts, no_stamp, frozen; // what a table says
	uint64_t reset;                                       // CLOCK_BOOTTIME ns at which the count falls to 0
	unsigned revision;                                    // of the driver's table
};

static struct {
	uint64_t origin; // CLOCK_BOOTTIME ns at which every load begins
	int gpus, partitions, driver_load, init_code, init_hang, init_abort, overlong, cap_in_watts;
	char log[512], noise[256];
	struct gpu gpu[MAX_GPUS];
} script;

static struct stat script_stat;
static pid_t init_thread;
static int initialised_under; // the count of driver loads
static struct { int gpu, partition; } processors[MAX_GPUS][MAX_PARTITIONS];

static void note(const char *format, ...) {
	if (!script.log[0])
		return;
	FILE *f = fopen(script.log, "a");
	if (!f)
		return;
	va_list args;
	va_start(args, format);
	vfprintf(f, format, args);
	va_end(args);
	fclose(f);
}

static void gpu_line(char *line) {
	int n = 0, used = 0;
	char key[32] = "";
	if (sscanf(line, "gpu %d %31s %n", &n, key, &used) < 2 || n < 0 || n >= MAX_GPUS)
		return;
	struct gpu *g = &script.gpu[n];
	char *value = line + used, word[32] = "";
	if (!strcmp(key, "bdf")) sscanf(value, "%x:%x:%x.%x", &g->domain, &g->bus, &g->device, &g->function);
	else if (!strcmp(key, "name")) snprintf(g->name, sizeof g->name, "%s", value);
	else if (!strcmp(key, "serial")) snprintf(g->serial, sizeof g->serial, "%s", value);
	else if (!strcmp(key, "base")) g->base = strtoull(value, NULL, 10);
	else if (!strcmp(key, "cap")) g->cap = strtoull(value, NULL, 10);
	else if (!strcmp(key, "reset")) g->reset = strtoull(value, NULL, 10);
	else if (!strcmp(key, "revision")) g->revision = atoi(value);
	else if (!strcmp(key, "read_code")) g->read_code = atoi(value);
	else if (!strcmp(key, "load")) {
		sscanf(value, "%31s %lf %lf %lf", word, &g->mean, &g->amplitude, &g->period);
		g->square = !strcmp(word, "square");
	} else if (!strcmp(key, "hang")) g->hang = 1;
	else if (!strcmp(key, "abort")) g->abort = 1;
	else if (!strcmp(key, "crash")) g->crash = 1;
	else if (!strcmp(key, "empty")) g->empty = 1;
	else if (!strcmp(key, "average")) g->average = 1;
	else if (!strcmp(key, "constant")) g->constant = 1;
	else if (!strcmp(key, "zero_watts")) g->zero_watts = 1;
	else if (!strcmp(key, "no_watts")) g->no_watts = 1;
	else if (!strcmp(key, "no_stamp")) g->no_stamp = 1;
	else if (!strcmp(key, "frozen")) g->frozen = 1;
}

static void load_script(void) {
	const char *path = getenv("WATTMARK_AMDSMI_SCRIPT");
	struct stat now;
	if (!path || stat(path, &now))
		return;
	if (now.st_ino == script_stat.st_ino && now.st_mtim.tv_nsec == script_stat.st_mtim.tv_nsec &&
	    now.st_mtim.tv_sec == script_stat.st_mtim.tv_sec)
		return;
	FILE *f = fopen(path, "r");
	if (!f)
		return;
	script_stat = now;
	memset(&script, 0, sizeof script);
	script.partitions = 1;
	script.cap_in_watts = ABI <= 24;
	char line[1024];
	while (fgets(line, sizeof line, f)) {
		line[strcspn(line, "\n")] = 0;
		char key[32] = "";
		int used = 0;
		if (sscanf(line, "%31s %n", key, &used) < 1)
			continue;
		char *value = line + used;
		if (!strcmp(key, "gpu")) gpu_line(line);
		else if (!strcmp(key, "origin")) script.origin = strtoull(value, NULL, 10);
		else if (!strcmp(key, "gpus")) script.gpus = atoi(value);
		else if (!strcmp(key, "partitions")) script.partitions = atoi(value);
		else if (!strcmp(key, "driver_load")) script.driver_load = atoi(value);
		else if (!strcmp(key, "init_code")) script.init_code = atoi(value);
		else if (!strcmp(key, "init_hang")) script.init_hang = 1;
		else if (!strcmp(key, "init_abort")) script.init_abort = 1;
		else if (!strcmp(key, "overlong")) script.overlong = atoi(value);
		else if (!strcmp(key, "cap_unit")) script.cap_in_watts = !strcmp(value, "W");
		else if (!strcmp(key, "log")) snprintf(script.log, sizeof script.log, "%s", value);
		else if (!strcmp(key, "noise")) snprintf(script.noise, sizeof script.noise, "%s", value);
	}
	fclose(f);
}

// enter is called by every function. It returns whether the caller is the thread that initialised the library.
static int enter(void) {
	load_script();
	if (script.noise[0]) {
		fprintf(stdout, "%s\n", script.noise);
		fflush(stdout);
		fprintf(stderr, "%s\n", script.noise);
	}
	if (syscall(SYS_gettid) == init_thread)
		return 1;
	note("thread %d\n", (int)syscall(SYS_gettid));
	return 0;
}

static void hang(void) {
	for (;;)
		pause();
}

static uint64_t boottime(void) {
	struct timespec ts;
	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + ts.tv_nsec;
}

static double seconds(uint64_t now) { return ((double)(int64_t)(now - script.origin)) / 1e9; }

static double watts(const struct gpu *g, uint64_t now) {
	double x = seconds(now);
	if (g->amplitude == 0)
		return g->mean;
	if (g->square) {
		double u = fmod(x, g->period);
		return u < g->period / 2 ? g->mean + g->amplitude : g->mean - g->amplitude;
	}
	return g->mean + g->amplitude * sin(2 * M_PI * x / g->period);
}

static double joules(const struct gpu *g, uint64_t now) {
	double x = seconds(now);
	if (g->amplitude == 0)
		return g->mean * x;
	if (g->square) {
		double u = fmod(x, g->period);
		return g->mean * x + g->amplitude * (u < g->period / 2 ? u : g->period - u);
	}
	return g->mean * x + g->amplitude * g->period / (2 * M_PI) * (1 - cos(2 * M_PI * x / g->period));
}

static uint64_t counts(const struct gpu *g, uint64_t now) {
	if (g->constant)
		return g->base;
	if (g->reset && now >= g->reset)
		return (uint64_t)((joules(g, now) - joules(g, g->reset)) * 65536);
	return g->base + (uint64_t)(joules(g, now) * 65536);
}

uint32_t amdsmi_init(uint64_t flags) {
	init_thread = syscall(SYS_gettid);
	enter();
	const char *mutex = getenv("RSMI_MUTEX_THREAD_ONLY");
	note("init tid=%d flags=%d mutex=%s\n", (int)init_thread, (int)flags, mutex ? mutex : "");
	if (script.init_hang)
		hang();
	if (script.init_abort)
		abort();
	if (!mutex || strcmp(mutex, "1"))
		return INIT_ERROR; // a real library would work until another process held its mutex
	if (script.init_code)
		return script.init_code;
	initialised_under = script.driver_load;
	return OK;
}

uint32_t amdsmi_shut_down(void) {
	enter();
	note("shut_down tid=%d\n", (int)syscall(SYS_gettid));
	return OK;
}

uint32_t amdsmi_get_socket_handles(uint32_t *n, void **handles) {
	enter();
	uint32_t room = *n;
	*n = script.gpus;
	for (uint32_t i = 0; handles && i < room && i < *n; i++)
		handles[i] = &processors[i][0];
	return OK;
}

uint32_t amdsmi_get_processor_handles(void *socket, uint32_t *n, void **handles) {
	enter();
	uint32_t room = *n;
	*n = script.partitions;
	int g = (int)(((char *)socket - (char *)processors) / sizeof processors[0]);
	for (int p = 0; handles && p < (int)room && p < script.partitions; p++) {
		processors[g][p].gpu = g;
		processors[g][p].partition = p;
		handles[p] = &processors[g][p];
	}
	return OK;
}

#define GPU(h) (&script.gpu[*(int *)(h)])
#define PARTITION(h) (((int *)(h))[1])

uint32_t amdsmi_get_processor_type(void *h, uint32_t *type) {
	(void)h;
	enter();
	*type = 1;
	return OK;
}

uint32_t amdsmi_get_gpu_bdf_id(void *h, uint64_t *id) {
	enter();
	struct gpu *g = GPU(h);
	*id = (uint64_t)g->domain << 32 | (uint64_t)PARTITION(h) << 28 | g->bus << 8 | g->device << 3 | g->function;
	return OK;
}

uint32_t amdsmi_get_gpu_asic_info(void *h, char *info) {
	enter();
	struct gpu *g = GPU(h);
#if ABI <= 24
	memset(info, 0, 456);
	snprintf(info + 340, 32, "%s", g->serial);
#else
	memset(info, 0, 896);
	snprintf(info + 532, 256, "%s", g->serial);
#endif
	snprintf(info, 64, "%s", g->name);
	return OK;
}

uint32_t amdsmi_get_gpu_driver_info(void *h, char *info) {
	(void)h;
	enter();
	memset(info, 0, ABI <= 24 ? 192 : 768);
	strcpy(info, "6.14.14");
	return OK;
}

uint32_t amdsmi_get_power_cap_info(void *h, uint32_t sensor, uint64_t *info) {
	enter();
	(void)sensor;
	memset(info, 0, 64);
	info[0] = GPU(h)->cap * (script.cap_in_watts ? 1 : 1000000);
	return OK;
}

uint32_t amdsmi_get_gpu_compute_partition(void *h, char *text, uint32_t n) {
	(void)h;
	enter();
	snprintf(text, n, "%s", script.partitions > 1 ? "CPX" : "SPX");
	return OK;
}

uint32_t amdsmi_get_gpu_memory_partition(void *h, char *text, uint32_t n) {
	(void)h;
	enter();
	snprintf(text, n, "NPS1");
	return OK;
}

uint32_t amdsmi_get_lib_version(uint32_t *v) {
	enter();
	const char *build = "double";
#if ABI <= 24
	v[0] = ABI, v[1] = 7, v[2] = 0, v[3] = 0;
#elif ABI == 25
	v[0] = 25, v[1] = 25, v[2] = 5, v[3] = 1;
#else
	v[0] = ABI, v[1] = 1, v[2] = 0, v[3] = 0;
#endif
	memcpy((char *)v + 16, &build, sizeof build);
	return OK;
}

uint32_t amdsmi_status_code_to_string(uint32_t code, const char **text) {
	static char words[64];
	snprintf(words, sizeof words, "%s_STATUS_%u", ABI <= 24 ? "RSMI" : "AMDSMI", code);
	*text = words;
	return OK;
}

static void put16(uint8_t *b, int at, unsigned x) { uint16_t v = x; memcpy(b + at, &v, 2); }
static void put64(uint8_t *b, int at, uint64_t v) { memcpy(b + at, &v, 8); }

uint32_t amdsmi_get_gpu_metrics_info(void *h, uint8_t *b) {
	static const int sizes[] = {[24] = 1832, [25] = 2368, [26] = 4544, [27] = 4720};
	int own_thread = enter();
	int gpu = *(int *)h;
	if (!own_thread) // what real libraries before 26.2 do now and then
		gpu = (gpu + 1) % script.gpus;
	struct gpu *g = &script.gpu[gpu];
	if (g->hang) hang();
	if (g->abort) abort();
	if (g->crash) *(volatile int *)16 = 0;
	if (g->read_code) return g->read_code;
	if (initialised_under != script.driver_load) return DRIVER_NOT_LOADED;
	if (PARTITION(h) > 0 && ABI == 25) return UNEXPECTED_DATA;
	if (PARTITION(h) > 0 && ABI >= 26) return NOT_SUPPORTED;
	if (script.overlong) memset(b, 0xA5, script.overlong);
	memset(b, 0xFF, ABI >= 24 && ABI <= 27 ? sizes[ABI] : 4720);
	put16(b, 0, 1664), b[2] = 1, b[3] = g->revision ? g->revision : (g->average ? 3 : 7);
	if (g->empty) {
		memset(b + 4, 0, 348);
		return OK;
	}
	uint64_t now = g->frozen ? script.origin + 1000000000u : boottime();
	unsigned w = g->zero_watts ? 0 : g->no_watts ? 0xFFFF : (unsigned)lround(watts(g, now));
	put16(b, g->average ? 22 : 120, w);
	put64(b, 24, counts(g, now));
	if (!g->no_stamp) put64(b, 32, now);
	put16(b, 6, 71), put16(b, 8, 58);   // hotspot, memory °C
	put16(b, 16, 93), put16(b, 18, 41); // graphics, memory %
	put16(b, g->average ? 54 : 312, 2100), put16(b, 58, 1300);
	return OK;
}

uint32_t amdsmi_get_energy_count(void *h, uint64_t *n, float *resolution, uint64_t *stamp) {
	enter();
	*stamp = boottime();
	*n = counts(GPU(h), *stamp);
	*resolution = 15.3f; // as every real library says; the truth is 15.2587890625
	return OK;
}
