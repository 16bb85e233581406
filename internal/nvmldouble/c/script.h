/* The script: what it says, and reading it. The format is at the top of nvml.c. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MAX_GPUS = 64, MAX_FIELD = 512 };

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
       GPU_IS_LOST = 15, LIB_RM_VERSION_MISMATCH = 18, ARGUMENT_VERSION_MISMATCH = 25, UNKNOWN = 999 };

enum fault_kind { FIELD, CALL, HANG, NA, SPIKE, RESET, SCALE, FREEZE, POLLING };
enum sample_mode { SAMPLES_OFF, SAMPLES_UNIX, SAMPLES_BOOT, SAMPLES_ZEROS };

struct fault {
	enum fault_kind kind;
	char name[64];  /* CALL, HANG */
	unsigned field; /* FIELD */
	int scope;      /* FIELD; -1: any */
	int code;       /* FIELD, CALL */
	double value;   /* SPIKE, SCALE, POLLING */
	double from, to;
};

struct step { double t, w; };

enum { MAX_PARTS = 7 };

struct gpu {
	char model[96], uuid[96], pci[32], serial[32];
	unsigned arch;
	int cc_major, cc_minor, persistence, mig, scopes;
	char part[MAX_PARTS][96]; /* UUIDs of MIG instances */
	int parts;
	double limit_w, module_extra_w, temperature_c, sm_mhz, mem_mhz, util_percent, reasons;
	struct step *step;
	int steps;
	double sine_mean, sine_amp, sine_period;
	double idle, prefill, plateau, prefill_s, busy_s, decode_s, start_s;
	double counter_period, counter_phase, counter_base;
	double average_window, instant_window, refresh;
	double latency_us;
	bool busy_wait;
	enum sample_mode samples;
	double sample_period;
	int sample_depth;
	struct fault *fault;
	int faults;
};

struct script {
	long long origin_ns; /* never 0 once read */
	char driver[80], nvml[80], calls[512];
	double look_every_s, calls_every_s, unknown_after, upgraded;
	int init, init_hangs, driver_load, gpus;
	struct gpu gpu[MAX_GPUS];
};

static void bad(int line, const char *what)
{
	fprintf(stderr, "nvmldouble: script line %d: %s\n", line, what);
	abort();
}

static void set_defaults(struct gpu *g, int i)
{
	snprintf(g->model, sizeof g->model, "NVIDIA H200");
	snprintf(g->uuid, sizeof g->uuid, "GPU-d0b1e000-0000-4000-8000-%012x", i);
	snprintf(g->pci, sizeof g->pci, "0000:%02x:00.0", 0x1b + i);
	g->arch = 9, g->cc_major = 9, g->persistence = 1, g->scopes = 1, g->limit_w = 700;
	g->temperature_c = 45, g->sm_mhz = 1980, g->mem_mhz = 3201;
	g->counter_period = 0.1, g->average_window = 1, g->instant_window = 0.025, g->refresh = 0.1;
	g->sample_period = 0.02, g->sample_depth = 120;
}

/* number takes the next word as a number. */
static double number(char **rest, int line)
{
	char *end, *word = strtok_r(NULL, " \t", rest);
	double x = word ? strtod(word, &end) : 0;
	if (!word || *end)
		bad(line, "a number is missing");
	return x;
}

static void word_into(char *out, size_t size, char **rest, int line)
{
	char *word = strtok_r(NULL, " \t", rest);
	if (!word || strlen(word) >= size)
		bad(line, "a word is missing or too long");
	strcpy(out, word);
}

static void text_into(char *out, size_t size, char *rest, int line)
{
	while (*rest == ' ' || *rest == '\t')
		rest++;
	if (strlen(rest) >= size)
		bad(line, "the text is too long");
	strcpy(out, rest);
}

static void parse_fault(struct gpu *g, char **rest, int line)
{
	static const char *const kinds[] = {"field", "call", "hang", "na", "spike", "reset", "scale", "freeze", "polling"};
	struct fault f = {.scope = -1, .from = -INFINITY, .to = INFINITY};
	char word[64];
	word_into(word, sizeof word, rest, line);
	size_t k = 0;
	while (k < sizeof kinds / sizeof *kinds && strcmp(word, kinds[k]))
		k++;
	f.kind = (enum fault_kind)k;
	switch (f.kind) {
	case FIELD: f.field = (unsigned)number(rest, line), f.code = (int)number(rest, line); break;
	case CALL: word_into(f.name, sizeof f.name, rest, line), f.code = (int)number(rest, line); break;
	case HANG: word_into(f.name, sizeof f.name, rest, line); break;
	case SPIKE: case SCALE: case POLLING: f.value = number(rest, line); break;
	case NA: case RESET: case FREEZE: break;
	default: bad(line, "no such fault");
	}
	for (char *option; (option = strtok_r(NULL, " \t", rest));)
		if (!strcmp(option, "from")) f.from = number(rest, line);
		else if (!strcmp(option, "to")) f.to = number(rest, line);
		else if (!strcmp(option, "scope")) f.scope = (int)number(rest, line);
		else bad(line, "no such option of a fault");
	g->fault = realloc(g->fault, sizeof f * (size_t)(g->faults + 1));
	g->fault[g->faults++] = f;
}

static void parse_gpu(struct gpu *g, char *key, char *args, int line)
{
	struct { const char *key; double *value; } numbers[] = {
		{"limit_w", &g->limit_w}, {"module_extra_w", &g->module_extra_w}, {"temperature_c", &g->temperature_c},
		{"sm_mhz", &g->sm_mhz}, {"mem_mhz", &g->mem_mhz}, {"util_percent", &g->util_percent},
		{"reasons", &g->reasons}, {"counter_period_s", &g->counter_period}, {"counter_phase_s", &g->counter_phase},
		{"counter_base_j", &g->counter_base}, {"average_window_s", &g->average_window},
		{"instant_window_s", &g->instant_window}, {"refresh_s", &g->refresh}, {"sample_period_s", &g->sample_period},
		{NULL, NULL}};
	struct { const char *key; int *value; } integers[] = {
		{"arch", (int *)&g->arch}, {"persistence", &g->persistence}, {"mig", &g->mig}, {"scopes", &g->scopes},
		{"sample_depth", &g->sample_depth}, {NULL, NULL}};
	char *rest = args, word[16];
	strtok_r(args, " \t", &rest); /* args begins with a dash for strtok_r to begin at */
	if (!strcmp(key, "model")) { text_into(g->model, sizeof g->model, rest, line); return; }
	if (!strcmp(key, "uuid")) { text_into(g->uuid, sizeof g->uuid, rest, line); return; }
	if (!strcmp(key, "pci")) { text_into(g->pci, sizeof g->pci, rest, line); return; }
	if (!strcmp(key, "serial")) { text_into(g->serial, sizeof g->serial, rest, line); return; }
	if (!strcmp(key, "part")) {
		if (g->parts == MAX_PARTS)
			bad(line, "too many MIG instances");
		text_into(g->part[g->parts++], sizeof g->part[0], rest, line);
		return;
	}
	if (!strcmp(key, "cc")) { g->cc_major = (int)number(&rest, line), g->cc_minor = (int)number(&rest, line); return; }
	if (!strcmp(key, "fault")) { parse_fault(g, &rest, line); return; }
	if (!strcmp(key, "step")) {
		struct step x = {number(&rest, line), 0};
		x.w = number(&rest, line);
		if (g->steps && x.t <= g->step[g->steps - 1].t)
			bad(line, "steps must be in the order of time");
		g->step = realloc(g->step, sizeof x * (size_t)(g->steps + 1));
		g->step[g->steps++] = x;
		return;
	}
	if (!strcmp(key, "sine")) {
		g->sine_mean = number(&rest, line), g->sine_amp = number(&rest, line), g->sine_period = number(&rest, line);
		return;
	}
	if (!strcmp(key, "decode")) {
		double *to[] = {&g->idle, &g->prefill, &g->plateau, &g->prefill_s, &g->busy_s, &g->decode_s, &g->start_s};
		for (size_t i = 0; i < sizeof to / sizeof *to; i++)
			*to[i] = number(&rest, line);
		return;
	}
	if (!strcmp(key, "latency_us")) {
		g->latency_us = number(&rest, line);
		word_into(word, sizeof word, &rest, line);
		g->busy_wait = !strcmp(word, "busy");
		return;
	}
	if (!strcmp(key, "samples")) {
		static const char *const modes[] = {"off", "unix", "boot", "zeros"};
		word_into(word, sizeof word, &rest, line);
		for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
			if (!strcmp(word, modes[i])) { g->samples = (enum sample_mode)i; return; }
		bad(line, "no such mode of samples");
	}
	for (int i = 0; numbers[i].key; i++)
		if (!strcmp(key, numbers[i].key)) { *numbers[i].value = number(&rest, line); return; }
	for (int i = 0; integers[i].key; i++)
		if (!strcmp(key, integers[i].key)) { *integers[i].value = (int)number(&rest, line); return; }
	bad(line, "no such key of a gpu");
}

static void parse_line(struct script *s, char *text, int line)
{
	text[strcspn(text, "#\r\n")] = 0;
	char copy[1024], *rest, *word;
	word = strtok_r(text, " \t", &rest);
	if (!word)
		return;
	if (!strcmp(word, "driver")) { text_into(s->driver, sizeof s->driver, rest, line); return; }
	if (!strcmp(word, "nvml")) { text_into(s->nvml, sizeof s->nvml, rest, line); return; }
	if (!strcmp(word, "calls")) { text_into(s->calls, sizeof s->calls, rest, line); return; }
	if (!strcmp(word, "look_every_s")) { s->look_every_s = number(&rest, line); return; }
	if (!strcmp(word, "calls_every_s")) { s->calls_every_s = number(&rest, line); return; }
	if (!strcmp(word, "unknown_after")) { s->unknown_after = number(&rest, line); return; }
	if (!strcmp(word, "upgraded")) { s->upgraded = number(&rest, line); return; }
	if (!strcmp(word, "driver_load")) { s->driver_load = (int)number(&rest, line); return; }
	if (!strcmp(word, "init")) { s->init = (int)number(&rest, line); return; }
	if (!strcmp(word, "init_hangs")) { s->init_hangs = (int)number(&rest, line); return; }
	if (!strcmp(word, "origin_unix_ns")) { s->origin_ns = atoll(rest); return; }
	if (!strcmp(word, "gpus")) {
		s->gpus = (int)number(&rest, line);
		if (s->gpus < 0 || s->gpus > MAX_GPUS)
			bad(line, "too many GPUs");
		return;
	}
	if (strcmp(word, "gpu"))
		bad(line, "no such statement");
	char which[8], key[32];
	word_into(which, sizeof which, &rest, line);
	word_into(key, sizeof key, &rest, line);
	int only = strcmp(which, "*") ? atoi(which) : -1;
	if (only >= s->gpus)
		bad(line, "no such GPU");
	for (int i = 0; i < s->gpus; i++)
		if (only < 0 || only == i) {
			snprintf(copy, sizeof copy, "- %s", rest ? rest : "");
			parse_gpu(&s->gpu[i], key, copy, line);
		}
}

/* read_script reads the script at path, or the default where there is none. Scripts are never freed: a call that
 * runs may still look at the one before. */
static struct script *read_script(const char *path, long long now_ns)
{
	struct script *s = calloc(1, sizeof *s);
	strcpy(s->driver, "590.48.01"), strcpy(s->nvml, "13.590.48.01");
	s->look_every_s = 0.001, s->calls_every_s = 0.1, s->unknown_after = s->upgraded = INFINITY, s->gpus = 1;
	for (int i = 0; i < MAX_GPUS; i++)
		set_defaults(&s->gpu[i], i);
	if (!path) {
		char line[] = "gpu 0 step 0 500";
		parse_line(s, line, 0);
	} else {
		char text[1024];
		FILE *f = fopen(path, "r");
		if (!f) {
			fprintf(stderr, "nvmldouble: script %s: %s\n", path, strerror(errno));
			abort();
		}
		for (int line = 1; fgets(text, sizeof text, f); line++)
			parse_line(s, text, line);
		fclose(f);
	}
	if (s->origin_ns == 0)
		s->origin_ns = now_ns;
	return s;
}
