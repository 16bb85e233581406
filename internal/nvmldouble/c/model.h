/* The GPU: true power and its exact integral, and what the sensors make of it. Times are seconds since the origin. */

enum { TOTAL_ENERGY = 83, POWER_AVERAGE = 185, POWER_INSTANT = 186, POWER_LIMIT = 190, SCOPED_ENERGY = 191 };
enum { TYPE_U32 = 1, TYPE_U64 = 3 };

union value {
	unsigned u32;
	unsigned long long u64;
};

static bool active(const struct fault *f, double t) { return t >= f->from && t < f->to; }

/* fault returns the first active fault of a kind, or NULL. */
static const struct fault *fault(const struct gpu *g, enum fault_kind kind, double t)
{
	for (int i = 0; i < g->faults; i++)
		if (g->fault[i].kind == kind && active(&g->fault[i], t))
			return &g->fault[i];
	return NULL;
}

/* averages: Ampere except GA100, and later, give the mean over a second as power. */
static bool averages(const struct gpu *g) { return g->cc_major * 10 + g->cc_minor > 80; }

static double steps_j(const struct gpu *g, double t)
{
	if (g->steps == 0)
		return 0;
	const struct step *x = g->step;
	if (t <= x[0].t)
		return x[0].w * (t - x[0].t);
	double joules = 0;
	for (int i = 0; i < g->steps; i++) {
		double end = i + 1 < g->steps ? fmin(t, x[i + 1].t) : t;
		if (end <= x[i].t)
			break;
		joules += x[i].w * (end - x[i].t);
	}
	return joules;
}

static double sine_j(const struct gpu *g, double t)
{
	if (g->sine_period <= 0)
		return 0;
	double turn = 2 * M_PI / g->sine_period;
	return g->sine_mean * t - g->sine_amp / turn * cos(turn * t);
}

static double decode_j(const struct gpu *g, double t)
{
	if (g->decode_s <= 0)
		return 0;
	double x = t - g->start_s;
	if (x <= 0)
		return g->idle * x;
	double whole = floor(x / g->decode_s), r = x - whole * g->decode_s;
	double period = g->prefill * g->prefill_s + g->plateau * (g->busy_s - g->prefill_s) +
			g->idle * (g->decode_s - g->busy_s);
	return whole * period + g->prefill * fmin(r, g->prefill_s) +
	       g->plateau * fmax(0, fmin(r, g->busy_s) - g->prefill_s) + g->idle * fmax(0, r - g->busy_s);
}

/* energy_j is the integral of the true power from 0 to t, in closed form. */
static double energy_j(const struct gpu *g, double t)
{
	return steps_j(g, t) - steps_j(g, 0) + sine_j(g, t) - sine_j(g, 0) + decode_j(g, t) - decode_j(g, 0);
}

static double mean_w(const struct gpu *g, double t, double window)
{
	return (energy_j(g, t) - energy_j(g, t - window)) / window;
}

/* power_mw is a power sensor: the mean over the window before the last refresh. */
static unsigned power_mw(const struct gpu *g, double t, double window, bool module)
{
	const struct fault *spike = fault(g, SPIKE, t);
	if (spike)
		return (unsigned)(1000 * spike->value);
	return (unsigned)(1000 * (mean_w(g, floor(t / g->refresh) * g->refresh, window) +
				  (module ? g->module_extra_w : 0)));
}

/* counted_j is what the counter would hold at t if it ticked all the time and were never reset. */
static double counted_j(const struct gpu *g, double t)
{
	double joules = g->counter_base + energy_j(g, t);
	for (int i = 0; i < g->faults; i++) {
		const struct fault *f = &g->fault[i];
		if (f->kind == SCALE && t > f->from) {
			double from = fmax(0, f->from);
			joules += (f->value - 1) * (energy_j(g, fmin(t, f->to)) - energy_j(g, from));
		}
	}
	return joules;
}

static atomic_ullong counter_reads[MAX_GPUS];

/* counter_mj is one read of the counter of GPU i: what it held at its last tick. */
static unsigned long long counter_mj(const struct gpu *g, int i, double t)
{
	unsigned long long reads = atomic_fetch_add(&counter_reads[i], 1) + 1;
	const struct fault *frozen = fault(g, FREEZE, t), *polling = fault(g, POLLING, t);
	if (frozen)
		t = fmax(0, frozen->from);
	/* the nudge of 1 ns keeps k period from falling below itself in floating point */
	double tick = floor((t - g->counter_phase) / g->counter_period + 1e-9) * g->counter_period + g->counter_phase;
	double joules = counted_j(g, fmax(0, tick)), reset_at = -INFINITY;
	for (int k = 0; k < g->faults; k++)
		if (g->fault[k].kind == RESET && t >= g->fault[k].from && g->fault[k].from > reset_at)
			reset_at = g->fault[k].from;
	if (reset_at > -INFINITY)
		joules = tick > reset_at ? joules - counted_j(g, fmax(0, reset_at)) : 0;
	if (polling)
		joules += polling->value * (double)reads;
	return joules > 0 ? (unsigned long long)(1000 * joules) : 0;
}
