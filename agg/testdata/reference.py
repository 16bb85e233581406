"""What Python and InferenceX's utils/aggregate_power.py (schema 2, August 2026) make of the same input.

The rules are written down anew from facts/inferencex.md, sections 2.1 and 2.4. Each case is one line of JSON.
"""

import json
import math
import random
import struct
import sys

METRICS = [
    "avg_power_w", "avg_total_gpu_power_w", "total_gpu_energy_j", "joules_per_successful_query",
    "joules_per_input_token", "joules_per_output_token", "joules_per_total_token",
]


def decimals(key):
    return 3 if key.endswith(("_w", "_j")) else 6


def a_float(rng):
    kind = rng.randrange(6)
    if kind == 0:  # any bits
        x = struct.unpack("<d", rng.randbytes(8))[0]
        return x if math.isfinite(x) else 0.0
    if kind == 1:  # ties, exact in binary
        return rng.randrange(1 << 20) / 16.0
    if kind == 2:  # near ties, not exact
        return rng.randrange(1 << 30) / 2000.0
    if kind == 3:
        return rng.randrange(1 << 40) / 2000000.0
    if kind == 4:
        return 10.0 ** rng.randrange(-12, 25)
    return rng.uniform(0, 1e6)


def numbers(rng, n):
    for _ in range(n):
        x = a_float(rng)
        yield {"x": x.hex(), "repr": json.dumps(x), "three": json.dumps(round(x, 3)), "six": json.dumps(round(x, 6))}


def a_value(rng, depth=0):
    kind = rng.randrange(12 if depth < 3 else 8)
    simple = [
        None, True, rng.randrange(-5, 1 << 70), a_float(rng), math.nan, math.inf, -math.inf,
        rng.choice(["", "x", "é\u2028\U0001f600", 'a"b\\c/\n\t', "power_valid", "{", "]", ","]),
    ]
    if kind < 8:
        return simple[kind]
    if kind < 10:
        return [a_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice("abcd") + str(i): a_value(rng, depth + 1) for i in range(rng.randrange(4))}


def a_style(rng):
    return rng.choice([
        {"indent": 2}, {"indent": 2}, {"indent": 4}, {"indent": "\t"}, {"indent": 0}, {},
        {"separators": (",", ":")}, {"indent": 1, "separators": (",", " : ")},
    ]) | {"ensure_ascii": rng.random() < 0.5}


def patches(rng, n):
    """The aggregate before and after, as json.dumps writes it in one of its styles."""
    for _ in range(n):
        names = rng.sample(["hw", "tp", "conc", "é", "", "nested", "isl"], rng.randrange(1, 6))
        names += rng.sample(METRICS + ["power_valid", "power_metric_schema_version", "power_invalid_reasons"],
                            rng.choice([0, 0, 2, 10]))
        rng.shuffle(names)
        agg = {name: a_value(rng) for name in names}
        style = a_style(rng)
        end = rng.choice(["", "\n"])
        before = json.dumps(agg, **style) + end
        values = {name: abs(a_float(rng)) for name in METRICS} if rng.random() < 0.7 else None

        for name in METRICS:
            agg.pop(name, None)
        agg["power_metric_schema_version"] = 2
        agg["power_valid"] = 1 if values else 0
        agg.pop("power_invalid_reasons", None)
        for name, value in (values or {}).items():
            agg[name] = round(value, decimals(name))
        yield {
            "before": before, "after": json.dumps(agg, **style) + end,
            "values": {name: value.hex() for name, value in (values or {}).items()},
        }


def is_number(value):
    return not isinstance(value, bool) and isinstance(value, (int, float)) and math.isfinite(value)


def reasons_of(result):
    found = []
    start, end, duration = (result.get(k) for k in
                            ("benchmark_start_time_unix", "benchmark_end_time_unix", "duration"))
    if start is not None or end is not None:  # wattmark: a result with neither has no window, which is no reason
        if not (is_number(start) and is_number(end) and is_number(duration) and end > start and duration > 0):
            found.append("invalid_benchmark_window")
        elif abs(duration - (end - start)) > max(0.5, 0.01 * (end - start)):
            found.append("benchmark_duration_mismatch")
    for field, reason in (("completed", "invalid_successful_query_count"),
                          ("total_input_tokens", "invalid_input_token_count"),
                          ("total_output_tokens", "invalid_output_token_count")):
        count = result.get(field)
        if isinstance(count, bool) or not isinstance(count, int) or count <= 0 or count >= 1 << 63:
            found.append(reason)
    return found


def benchmarks(rng, n):
    odd = [None, True, "5", 0, -1, -0.0, math.nan, math.inf, [1], {"completed": 5}]
    for _ in range(n):
        length = rng.choice([10.0, 100.0, 1000.0])
        start = rng.choice([1000, 1.7e9, 1755000000.123456])
        good = {
            "benchmark_start_time_unix": start,
            "benchmark_end_time_unix": start + length,
            "duration": length + rng.choice([0, 0, 0.49, -0.49, 0.51, -0.51, 0.009 * length, 0.011 * length]),
            "completed": rng.choice([10, 10, 10.0, (1 << 63) - 1, 1 << 63]),
            "total_input_tokens": rng.choice([1, 100, 1e3]),
            "total_output_tokens": rng.choice([1, 100, 1e3]),
        }
        fields = []
        for name, value in good.items():
            if rng.random() < 0.85:
                fields.append((name, value))
            elif rng.random() < 0.7:
                fields.append((name, rng.choice(odd)))
        if rng.random() < 0.2:
            fields = [f for f in fields if "unix" not in f[0]]
        fields += [(name, a_value(rng)) for name in ("itls", "date", "éx")]
        if fields and rng.random() < 0.3:  # a key twice: the last counts
            fields.append((rng.choice(fields)[0], rng.choice(odd + [7])))
        rng.shuffle(fields)
        text = "{" + rng.choice([",", ", ", ",\n  "]).join(
            json.dumps(k, ensure_ascii=rng.random() < 0.5) + rng.choice([":", ": "]) + json.dumps(v) for k, v in fields) + "}"
        yield {"text": text, "reasons": reasons_of(json.loads(text))}


kind, n, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
cases = {"numbers": numbers, "patches": patches, "benchmarks": benchmarks}[kind]
for case in cases(random.Random(seed), n):
    print(json.dumps(case))
