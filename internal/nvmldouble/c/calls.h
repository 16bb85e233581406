/* What every call goes through: the clock, the script's changes, faults, latency, and counting. */

typedef struct handle *device;
struct handle { char unused; };

static struct handle handles[MAX_GPUS], part_handles[MAX_GPUS * MAX_PARTS];
static _Atomic(struct script *) script;
static atomic_int initialised, initialised_under;

/* CLOCK_REALTIME is read once and carried on by CLOCK_MONOTONIC: a stepped wall clock does not bend the trace. */
static pthread_once_t clock_once = PTHREAD_ONCE_INIT;
static long long real_ns, mono_ns, boot_ns;

static long long clock_ns(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* The best of a few tries counts: the process may lose its processor between two readings. */
static void tie_clocks(void)
{
	long long best = 0;
	for (int i = 0; i < 20 && (i == 0 || best > 5000); i++) {
		long long before = clock_ns(CLOCK_MONOTONIC);
		long long real = clock_ns(CLOCK_REALTIME), boot = clock_ns(CLOCK_BOOTTIME);
		long long took = clock_ns(CLOCK_MONOTONIC) - before;
		if (i > 0 && took >= best)
			continue;
		best = took, real_ns = real, boot_ns = boot, mono_ns = before + took / 2;
	}
}

static long long realtime_ns(void)
{
	pthread_once(&clock_once, tie_clocks);
	return clock_ns(CLOCK_MONOTONIC) - mono_ns + real_ns;
}

static double since_origin(const struct script *s) { return (double)(realtime_ns() - s->origin_ns) / 1e9; }

static long long loaded_ns; /* when this process loaded the library, on CLOCK_REALTIME */

__attribute__((constructor)) static void note_load(void) { loaded_ns = realtime_ns(); }

/* outdated: the driver was upgraded since this process loaded the library. */
static bool outdated(const struct script *s)
{
	return since_origin(s) >= s->upgraded && (double)(loaded_ns - s->origin_ns) / 1e9 < s->upgraded;
}

/* stamp_us is the time stamp of a sample at t. */
static unsigned long long stamp_us(const struct script *s, enum sample_mode mode, double t)
{
	long long unix_ns = s->origin_ns + (long long)(t * 1e9);
	return (unsigned long long)((mode == SAMPLES_BOOT ? unix_ns - real_ns + boot_ns : unix_ns) / 1000);
}

/* ---- the script, read again when its file changes ---- */

static pthread_mutex_t reload_mutex = PTHREAD_MUTEX_INITIALIZER;
static atomic_llong looked_ns;
static struct stat seen;

static struct script *reload(bool now)
{
	long long at = clock_ns(CLOCK_MONOTONIC);
	struct script *known_script = atomic_load(&script);
	if (!now && known_script && at - atomic_load(&looked_ns) < (long long)(known_script->look_every_s * 1e9))
		return known_script;
	pthread_mutex_lock(&reload_mutex);
	const char *path = getenv("WATTMARK_NVML_SCRIPT");
	struct stat st = {0};
	bool known = atomic_load(&script) != NULL;
	if (!known || (path && stat(path, &st) == 0 &&
		       (st.st_ino != seen.st_ino || st.st_size != seen.st_size ||
			st.st_mtim.tv_sec != seen.st_mtim.tv_sec || st.st_mtim.tv_nsec != seen.st_mtim.tv_nsec))) {
		if (!known && path)
			stat(path, &st);
		struct script *s = read_script(path, realtime_ns());
		seen = st;
		atomic_store(&script, s);
	}
	atomic_store(&looked_ns, at); /* last: nobody goes on with the old script once somebody has seen the new one */
	pthread_mutex_unlock(&reload_mutex);
	return atomic_load(&script);
}

static struct script *current(void) { return reload(false); }

/* ---- counting ---- */

#define FUNCTIONS(X) \
	X(nvmlInit) X(nvmlShutdown) X(nvmlErrorString) X(nvmlSystemGetDriverVersion) X(nvmlSystemGetNVMLVersion) \
	X(nvmlDeviceGetCount) X(nvmlDeviceGetHandleByIndex) X(nvmlDeviceGetUUID) X(nvmlDeviceGetName) \
	X(nvmlDeviceGetSerial) X(nvmlDeviceGetIndex) X(nvmlDeviceGetPciInfo) X(nvmlDeviceGetArchitecture) \
	X(nvmlDeviceGetCudaComputeCapability) X(nvmlDeviceGetEnforcedPowerLimit) X(nvmlDeviceGetPowerManagementLimit) \
	X(nvmlDeviceGetMaxMigDeviceCount) X(nvmlDeviceGetMigDeviceHandleByIndex) \
	X(nvmlDeviceGetPersistenceMode) X(nvmlDeviceGetMigMode) X(nvmlDeviceGetTotalEnergyConsumption) \
	X(nvmlDeviceGetPowerUsage) X(nvmlDeviceGetFieldValues) X(nvmlDeviceGetSamples) X(nvmlDeviceGetTemperature) \
	X(nvmlDeviceGetTemperatureV) X(nvmlDeviceGetClockInfo) X(nvmlDeviceGetUtilizationRates) \
	X(nvmlDeviceGetCurrentClocksEventReasons) X(nvmlDeviceGetCurrentClocksThrottleReasons)

#define AS_ENUM(name) FN_##name,
#define AS_TEXT(name) #name,
enum fn { FUNCTIONS(AS_ENUM) FN_COUNT };
static const char *const fn_names[] = {FUNCTIONS(AS_TEXT)};

static atomic_ulong calls[FN_COUNT][MAX_GPUS + 1]; /* the last column: calls that name no GPU */
static atomic_ulong fields[MAX_GPUS][MAX_FIELD];

static pthread_mutex_t threads_mutex = PTHREAD_MUTEX_INITIALIZER;
static long threads[1024];
static int n_threads;
static _Thread_local bool thread_known;

static void count(enum fn f, int gpu)
{
	atomic_fetch_add_explicit(&calls[f][gpu], 1, memory_order_relaxed);
	if (thread_known)
		return;
	thread_known = true;
	pthread_mutex_lock(&threads_mutex);
	if (n_threads < (int)(sizeof threads / sizeof *threads))
		threads[n_threads++] = (long)gettid();
	pthread_mutex_unlock(&threads_mutex);
}

static void count_field(int gpu, unsigned id)
{
	if (id < MAX_FIELD && gpu < MAX_GPUS)
		atomic_fetch_add_explicit(&fields[gpu][id], 1, memory_order_relaxed);
}

static pthread_mutex_t write_mutex = PTHREAD_MUTEX_INITIALIZER;
static atomic_llong written_ns;

static void write_calls(const struct script *s)
{
	if (!s->calls[0])
		return;
	char temporary[sizeof s->calls + 8];
	snprintf(temporary, sizeof temporary, "%s.new", s->calls);
	pthread_mutex_lock(&write_mutex);
	atomic_store(&written_ns, clock_ns(CLOCK_MONOTONIC));
	FILE *f = fopen(temporary, "w");
	if (f) {
		for (int i = 0; i < FN_COUNT; i++)
			for (int g = 0; g <= MAX_GPUS; g++)
				if (calls[i][g])
					fprintf(f, "call %s %d %lu\n", fn_names[i], g == MAX_GPUS ? -1 : g, calls[i][g]);
		for (int g = 0; g < MAX_GPUS; g++)
			for (int i = 0; i < MAX_FIELD; i++)
				if (fields[g][i])
					fprintf(f, "field %d %d %lu\n", g, i, fields[g][i]);
		pthread_mutex_lock(&threads_mutex);
		for (int i = 0; i < n_threads; i++)
			fprintf(f, "thread %ld\n", threads[i]);
		pthread_mutex_unlock(&threads_mutex);
		fclose(f);
		rename(temporary, s->calls);
	}
	pthread_mutex_unlock(&write_mutex);
}

/* ---- the way into a function ---- */

/* take_time lets the call take its time, in which is what this library itself has taken since it began. */
static void take_time(const struct gpu *g, long long began)
{
	if (g->latency_us <= 0)
		return;
	long long ns = (long long)(g->latency_us * 1000), until = began + ns;
	if (!g->busy_wait) {
		struct timespec ts = {ns / 1000000000, ns % 1000000000};
		nanosleep(&ts, NULL);
	}
	while (clock_ns(CLOCK_MONOTONIC) < until)
		;
}

static const struct fault *fault_of(const struct gpu *g, enum fault_kind kind, enum fn f, double t)
{
	for (int i = 0; i < g->faults; i++) {
		const struct fault *x = &g->fault[i];
		if (x->kind == kind && active(x, t) && (!strcmp(x->name, "*") || !strcmp(x->name, fn_names[f])))
			return x;
	}
	return NULL;
}

/* enter counts a call and decides whether and when it fails. On success *gp and *tp are the GPU and the time. */
static int enter(enum fn f, device d, struct script **sp, struct gpu **gp, double *tp)
{
	long long began = clock_ns(CLOCK_MONOTONIC);
	struct script *s = *sp = current();
	int i = d ? (int)(d - handles) : MAX_GPUS;
	if (!s || atomic_load(&initialised) == 0)
		return UNINITIALIZED;
	if (i < 0 || i > MAX_GPUS)
		return INVALID_ARGUMENT;
	count(f, i);
	if (s->calls[0] && clock_ns(CLOCK_MONOTONIC) - atomic_load(&written_ns) >= (long long)(s->calls_every_s * 1e9))
		write_calls(s);
	*tp = since_origin(s);
	if (atomic_load(&initialised_under) != s->driver_load)
		return UNINITIALIZED;
	if (outdated(s))
		return UNKNOWN;
	if (!d)
		return *tp >= s->unknown_after ? UNKNOWN : SUCCESS;
	if (i >= s->gpus)
		return GPU_IS_LOST;
	take_time(&s->gpu[i], began);
	while (*tp = since_origin(s), fault_of(&s->gpu[i], HANG, f, *tp)) {
		usleep(1000);
		s = *sp = reload(true);
		if (i >= s->gpus)
			return GPU_IS_LOST;
	}
	*gp = &s->gpu[i];
	if (*tp >= s->unknown_after)
		return UNKNOWN;
	const struct fault *fails = fault_of(*gp, CALL, f, *tp);
	return fails ? fails->code : SUCCESS;
}

#define ENTER(name) \
	struct script *s; \
	struct gpu *g; \
	double t; \
	int entered = enter(FN_##name, d, &s, &g, &t); \
	if (entered) \
		return entered

#define ENTER_GLOBAL(name) \
	struct script *s; \
	struct gpu *g = NULL; \
	double t; \
	int entered = enter(FN_##name, NULL, &s, &g, &t); \
	(void)g; \
	if (entered) \
		return entered
