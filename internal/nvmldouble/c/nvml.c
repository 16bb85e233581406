/*
 * A double of libnvidia-ml.so.1: what NVML answers, from a script instead of a GPU.
 *
 * The environment variable WATTMARK_NVML_SCRIPT names the script. It is read at nvmlInit and again when the file
 * changes (looked at every millisecond at most), so that a test can bring and lift faults while a program runs.
 * Without the variable there is one GPU at a constant 500 W. A script that cannot be understood ends the process.
 *
 * One statement a line; # begins a comment; times are seconds since the origin:
 *
 *   origin_unix_ns N            t = 0 on CLOCK_REALTIME; 0: when the library is first initialised
 *   driver V / nvml V           versions
 *   init CODE                   what nvmlInit returns
 *   init_hangs 1                nvmlInit blocks for as long as the script says so
 *   driver_load N               the driver was loaded anew: what was initialised under another N answers 1, not
 *                               initialised, until it is shut down and initialised again
 *   upgraded T                  the driver was upgraded at T: from then on nvmlInit returns 18, and every call 999, in
 *                               a process that loaded this library before T
 *   unknown_after T             from T on every call returns 999
 *   look_every_s S             how often at most it is looked whether this file has changed (0.001)
 *   calls PATH / calls_every_s S    call counts, rewritten when a call comes at least S (0.1) after the last
 *                               rewrite, and at nvmlShutdown: "call NAME GPU N", "field GPU ID N", "thread ID"
 *   gpus N                      before the first gpu statement
 *   gpu I|* KEY ARGS            I from 0; *: all
 *
 * Keys of a gpu:
 *   model, uuid, pci, serial TEXT
 *   arch N / cc MAJOR MINOR / limit_w W / persistence 0|1 / mig -1|0|1 (-1: not supported)
 *   part UUID                   a MIG instance; several times
 *   scopes N / module_extra_w W power fields answer for: 1 GPU, 2 module, 3 both; the module draws W more
 *   temperature_c, sm_mhz, mem_mhz, util_percent, reasons N
 *   step T W                    power W from T on; the first step also before T
 *   sine MEAN AMP PERIOD        MEAN + AMP sin(2 pi t / PERIOD)
 *   decode IDLE PREFILL PLATEAU PREFILL_S BUSY_S PERIOD_S START_S
 *                               from START on, each period: PREFILL, then PLATEAU until BUSY, then IDLE
 *                               steps, sine and decode add up
 *   counter_period_s S / counter_phase_s S / counter_base_j J
 *                               the counter takes its value at phase + k period, in whole mJ
 *   average_window_s S / instant_window_s S / refresh_s S
 *   latency_us N sleep|busy     of every call
 *   samples off|unix|boot|zeros / sample_period_s S / sample_depth N
 *   fault KIND ARGS [from T] [to T]
 *
 * Kinds of fault. NAME is a function without its _v2, or * for all functions of that GPU:
 *   field ID CODE [scope N]     that field's nvmlReturn
 *   call NAME CODE              what the function returns (call * 15: the GPU is lost)
 *   hang NAME                   the call blocks until `to`, or until the script has the fault no more
 *   na                          power is not available: fields 185 and 186, nvmlDeviceGetPowerUsage
 *   spike W                     what the power sensors say
 *   reset                       the counter starts from 0 at `from`
 *   scale F                     the counter runs at F times the power
 *   freeze                      the counter stands still, and catches up at `to`
 *   polling J                   each read of the counter adds J
 *
 * Structures are laid out as in facts of the NVML ABI; the wording is our own.
 */
#define _GNU_SOURCE
#include "script.h"
#include "model.h"
#include "calls.h"

struct pci_info {
	char legacy[16];
	unsigned domain, bus, device, device_id, subsystem_id;
	char id[32];
};

struct pci_info_v2 {
	char id[16];
	unsigned domain, bus, device, device_id, subsystem_id, reserved[4];
};

struct field_value {
	unsigned field, scope;
	long long timestamp, latency_us;
	unsigned type, result;
	union value value;
};

struct sample {
	unsigned long long timestamp;
	union value value;
};

struct utilization { unsigned gpu, memory; };
struct temperature { unsigned version, sensor; int celsius; };

_Static_assert(sizeof(struct pci_info) == 68, "nvmlPciInfo_t");
_Static_assert(sizeof(struct field_value) == 40, "nvmlFieldValue_t");
_Static_assert(sizeof(struct sample) == 16, "nvmlSample_t");

static int text_out(const char *text, char *out, unsigned length)
{
	if (!out || strlen(text) + 1 > length)
		return out ? INSUFFICIENT_SIZE : INVALID_ARGUMENT;
	strcpy(out, text);
	return SUCCESS;
}

/* ---- the library ---- */

static int start(void)
{
	struct script *s = reload(true);
	count(FN_nvmlInit, MAX_GPUS);
	for (struct timespec ms = {0, 1000000}; s->init_hangs; s = reload(true))
		nanosleep(&ms, NULL);
	if (s->init)
		return s->init;
	if (outdated(s))
		return LIB_RM_VERSION_MISMATCH;
	if (atomic_fetch_add(&initialised, 1) == 0)
		atomic_store(&initialised_under, s->driver_load);
	return SUCCESS;
}

int nvmlInit(void) { return start(); }
int nvmlInit_v2(void) { return start(); }
int nvmlInitWithFlags(unsigned flags) { (void)flags; return start(); }

int nvmlShutdown(void)
{
	if (atomic_load(&initialised) == 0)
		return UNINITIALIZED;
	if (atomic_load(&initialised_under) != current()->driver_load)
		atomic_store(&initialised, 0); /* a driver that is gone leaves nothing to count */
	else
		atomic_fetch_sub(&initialised, 1);
	count(FN_nvmlShutdown, MAX_GPUS);
	write_calls(current());
	return SUCCESS;
}

const char *nvmlErrorString(int result)
{
	static _Thread_local char text[40];
	count(FN_nvmlErrorString, MAX_GPUS);
	snprintf(text, sizeof text, "double's error %d", result);
	return text;
}

int nvmlSystemGetDriverVersion(char *version, unsigned length)
{
	ENTER_GLOBAL(nvmlSystemGetDriverVersion);
	return text_out(s->driver, version, length);
}

int nvmlSystemGetNVMLVersion(char *version, unsigned length)
{
	ENTER_GLOBAL(nvmlSystemGetNVMLVersion);
	return text_out(s->nvml, version, length);
}

static int device_count(unsigned *n)
{
	ENTER_GLOBAL(nvmlDeviceGetCount);
	*n = (unsigned)s->gpus;
	return SUCCESS;
}

int nvmlDeviceGetCount(unsigned *n) { return device_count(n); }
int nvmlDeviceGetCount_v2(unsigned *n) { return device_count(n); }

static int by_index(unsigned index, device *out)
{
	if (index >= (unsigned)current()->gpus)
		return INVALID_ARGUMENT;
	device d = &handles[index];
	ENTER(nvmlDeviceGetHandleByIndex);
	*out = d;
	return SUCCESS;
}

int nvmlDeviceGetHandleByIndex(unsigned index, device *out) { return by_index(index, out); }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, device *out) { return by_index(index, out); }

int nvmlDeviceGetHandleByUUID(const char *uuid, device *out)
{
	for (int i = 0; i < current()->gpus; i++)
		if (strcmp(current()->gpu[i].uuid, uuid) == 0)
			return by_index((unsigned)i, out);
	return NOT_FOUND;
}

static int by_bus_id(const char *id, device *out)
{
	unsigned want[4], have[4];
	if (sscanf(id, "%x:%x:%x.%x", want, want + 1, want + 2, want + 3) != 4)
		return INVALID_ARGUMENT;
	for (int i = 0; i < current()->gpus; i++)
		if (sscanf(current()->gpu[i].pci, "%x:%x:%x.%x", have, have + 1, have + 2, have + 3) == 4 &&
		    memcmp(want, have, sizeof want) == 0)
			return by_index((unsigned)i, out);
	return NOT_FOUND;
}

int nvmlDeviceGetHandleByPciBusId(const char *id, device *out) { return by_bus_id(id, out); }
int nvmlDeviceGetHandleByPciBusId_v2(const char *id, device *out) { return by_bus_id(id, out); }

/* ---- identity ---- */

/* part_of returns the number of a MIG instance's handle, -1 for a GPU's. All that such a handle is good for is its UUID. */
static int part_of(device d)
{
	return d >= part_handles && d < part_handles + MAX_GPUS * MAX_PARTS ? (int)(d - part_handles) : -1;
}

int nvmlDeviceGetUUID(device d, char *uuid, unsigned length)
{
	int part = part_of(d);
	if (part >= 0)
		return text_out(current()->gpu[part / MAX_PARTS].part[part % MAX_PARTS], uuid, length);
	ENTER(nvmlDeviceGetUUID);
	return text_out(g->uuid, uuid, length);
}

int nvmlDeviceGetName(device d, char *name, unsigned length)
{
	ENTER(nvmlDeviceGetName);
	return text_out(g->model, name, length);
}

int nvmlDeviceGetSerial(device d, char *serial, unsigned length)
{
	ENTER(nvmlDeviceGetSerial);
	return g->serial[0] ? text_out(g->serial, serial, length) : NOT_SUPPORTED;
}

int nvmlDeviceGetIndex(device d, unsigned *index)
{
	ENTER(nvmlDeviceGetIndex);
	*index = (unsigned)(g - s->gpu);
	return SUCCESS;
}

static int pci_v2(device d, struct pci_info_v2 *out)
{
	ENTER(nvmlDeviceGetPciInfo);
	unsigned domain, bus, dev, function;
	if (sscanf(g->pci, "%x:%x:%x.%x", &domain, &bus, &dev, &function) != 4)
		return UNKNOWN;
	memset(out, 0, sizeof *out);
	snprintf(out->id, sizeof out->id, "%04X:%02X:%02X.%X", domain & 0xffff, bus & 0xff, dev & 0x1f, function & 7);
	out->domain = domain;
	out->bus = bus;
	out->device = dev;
	return SUCCESS;
}

int nvmlDeviceGetPciInfo(device d, struct pci_info_v2 *out) { return pci_v2(d, out); }
int nvmlDeviceGetPciInfo_v2(device d, struct pci_info_v2 *out) { return pci_v2(d, out); }
int nvmlDeviceGetPciInfo_v3(device d, struct pci_info *out)
{
	struct pci_info_v2 old;
	int code = pci_v2(d, &old);
	if (code)
		return code;
	memset(out, 0, sizeof *out);
	memcpy(out->legacy, old.id, sizeof out->legacy);
	out->domain = old.domain;
	out->bus = old.bus;
	out->device = old.device;
	snprintf(out->id, sizeof out->id, "%08X%s", old.domain, strchr(old.id, ':'));
	return SUCCESS;
}

int nvmlDeviceGetArchitecture(device d, unsigned *arch)
{
	ENTER(nvmlDeviceGetArchitecture);
	*arch = g->arch;
	return SUCCESS;
}

int nvmlDeviceGetCudaComputeCapability(device d, int *major, int *minor)
{
	ENTER(nvmlDeviceGetCudaComputeCapability);
	*major = g->cc_major;
	*minor = g->cc_minor;
	return SUCCESS;
}

int nvmlDeviceGetEnforcedPowerLimit(device d, unsigned *mw)
{
	ENTER(nvmlDeviceGetEnforcedPowerLimit);
	*mw = (unsigned)(g->limit_w * 1000);
	return SUCCESS;
}

int nvmlDeviceGetPowerManagementLimit(device d, unsigned *mw)
{
	ENTER(nvmlDeviceGetPowerManagementLimit);
	*mw = (unsigned)(g->limit_w * 1000);
	return SUCCESS;
}

int nvmlDeviceGetPersistenceMode(device d, unsigned *mode)
{
	ENTER(nvmlDeviceGetPersistenceMode);
	*mode = g->persistence != 0;
	return SUCCESS;
}

int nvmlDeviceGetMigMode(device d, unsigned *now, unsigned *pending)
{
	ENTER(nvmlDeviceGetMigMode);
	if (g->mig < 0)
		return NOT_SUPPORTED;
	*now = *pending = (unsigned)g->mig;
	return SUCCESS;
}

int nvmlDeviceGetMaxMigDeviceCount(device d, unsigned *n)
{
	ENTER(nvmlDeviceGetMaxMigDeviceCount);
	*n = g->mig == 1 ? MAX_PARTS : 0;
	return SUCCESS;
}

int nvmlDeviceGetMigDeviceHandleByIndex(device d, unsigned index, device *out)
{
	ENTER(nvmlDeviceGetMigDeviceHandleByIndex);
	if (g->mig != 1)
		return NOT_SUPPORTED;
	if (index >= MAX_PARTS)
		return INVALID_ARGUMENT;
	if (index >= (unsigned)g->parts)
		return NOT_FOUND;
	*out = &part_handles[(g - s->gpu) * MAX_PARTS + (int)index];
	return SUCCESS;
}

/* ---- power and energy ---- */

int nvmlDeviceGetTotalEnergyConsumption(device d, unsigned long long *mj)
{
	ENTER(nvmlDeviceGetTotalEnergyConsumption);
	*mj = counter_mj(g, (int)(g - s->gpu), t);
	return SUCCESS;
}

int nvmlDeviceGetPowerUsage(device d, unsigned *mw)
{
	ENTER(nvmlDeviceGetPowerUsage);
	if (fault(g, NA, t))
		return NOT_SUPPORTED;
	*mw = power_mw(g, t, averages(g) ? g->average_window : g->instant_window, false);
	return SUCCESS;
}

static int field_code(const struct gpu *g, const struct field_value *f, double t)
{
	bool power = f->field == POWER_AVERAGE || f->field == POWER_INSTANT;
	for (int i = 0; i < g->faults; i++) {
		const struct fault *x = &g->fault[i];
		if (x->kind == FIELD && active(x, t) && x->field == f->field &&
		    (x->scope < 0 || (unsigned)x->scope == f->scope))
			return x->code;
	}
	if (power && (f->scope > 1 || !(g->scopes & (1 << f->scope)) || fault(g, NA, t)))
		return NOT_SUPPORTED;
	if (f->field == POWER_AVERAGE && !averages(g))
		return NOT_SUPPORTED;
	return SUCCESS;
}

static int field_answer(const struct gpu *g, int i, struct field_value *f, double t)
{
	int code = field_code(g, f, t);
	if (code)
		return code;
	switch (f->field) {
	case TOTAL_ENERGY:
	case SCOPED_ENERGY:
		f->type = TYPE_U64;
		f->value.u64 = counter_mj(g, i, t);
		return SUCCESS;
	case POWER_AVERAGE:
	case POWER_INSTANT:
		f->type = TYPE_U32;
		f->value.u32 = power_mw(g, t, f->field == POWER_AVERAGE ? g->average_window : g->instant_window,
					f->scope == 1);
		return SUCCESS;
	case POWER_LIMIT:
		f->type = TYPE_U32;
		f->value.u32 = (unsigned)(g->limit_w * 1000);
		return SUCCESS;
	}
	return NOT_SUPPORTED;
}

int nvmlDeviceGetFieldValues(device d, int n, struct field_value *values)
{
	ENTER(nvmlDeviceGetFieldValues);
	if (n <= 0 || !values)
		return INVALID_ARGUMENT;
	int gpu = (int)(g - s->gpu);
	for (int i = 0; i < n; i++) {
		struct field_value *f = &values[i];
		count_field(gpu, f->field);
		f->timestamp = realtime_ns() / 1000;
		f->latency_us = 0;
		f->type = TYPE_U32;
		f->value.u64 = 0; /* as the driver does: an unsupported field looks like 0 */
		f->result = (unsigned)field_answer(g, gpu, f, t);
	}
	return SUCCESS;
}

int nvmlDeviceGetSamples(device d, unsigned type, unsigned long long last, unsigned *value_type, unsigned *n,
			 struct sample *out)
{
	ENTER(nvmlDeviceGetSamples);
	if (g->samples == SAMPLES_OFF || type != 0)
		return NOT_SUPPORTED;
	*value_type = TYPE_U32;
	if (!out) {
		*n = (unsigned)g->sample_depth;
		return SUCCESS;
	}
	unsigned filled = 0;
	double newest = floor(t / g->sample_period);
	for (int i = g->sample_depth - 1; i >= 0 && filled < *n; i--) {
		double at = (newest - i) * g->sample_period;
		unsigned long long stamp = stamp_us(s, g->samples, at);
		if (stamp <= last)
			continue;
		out[filled].timestamp = stamp;
		out[filled].value.u64 = 0;
		out[filled++].value.u32 = (unsigned)(1000 * mean_w(g, at, g->instant_window));
	}
	if (filled == 0)
		return NOT_FOUND;
	if (g->samples == SAMPLES_ZEROS)
		for (; filled < *n; filled++)
			memset(&out[filled], 0, sizeof out[filled]);
	*n = filled;
	return SUCCESS;
}

/* ---- context ---- */

int nvmlDeviceGetTemperature(device d, unsigned sensor, unsigned *celsius)
{
	ENTER(nvmlDeviceGetTemperature);
	if (sensor != 0)
		return INVALID_ARGUMENT;
	*celsius = (unsigned)g->temperature_c;
	return SUCCESS;
}

int nvmlDeviceGetTemperatureV(device d, struct temperature *out)
{
	ENTER(nvmlDeviceGetTemperatureV);
	if (out->version != (sizeof *out | 1u << 24))
		return ARGUMENT_VERSION_MISMATCH;
	out->celsius = (int)g->temperature_c;
	return SUCCESS;
}

int nvmlDeviceGetClockInfo(device d, unsigned type, unsigned *mhz)
{
	ENTER(nvmlDeviceGetClockInfo);
	if (type > 3)
		return INVALID_ARGUMENT;
	*mhz = (unsigned)(type == 2 ? g->mem_mhz : g->sm_mhz);
	return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(device d, struct utilization *out)
{
	ENTER(nvmlDeviceGetUtilizationRates);
	if (g->mig == 1)
		return NOT_SUPPORTED;
	out->gpu = (unsigned)g->util_percent;
	out->memory = out->gpu / 2;
	return SUCCESS;
}

int nvmlDeviceGetCurrentClocksEventReasons(device d, unsigned long long *reasons)
{
	ENTER(nvmlDeviceGetCurrentClocksEventReasons);
	*reasons = (unsigned long long)g->reasons;
	return SUCCESS;
}

int nvmlDeviceGetCurrentClocksThrottleReasons(device d, unsigned long long *reasons)
{
	ENTER(nvmlDeviceGetCurrentClocksThrottleReasons);
	*reasons = (unsigned long long)g->reasons;
	return SUCCESS;
}
