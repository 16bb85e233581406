"""What InferenceX's utils/aggregate_power.py (schema 2, August 2026) makes of a recorded CSV, for differential tests.

The rules are written down anew from shared/facts/inferencex.md, sections 2.1 to 2.5; nothing here is the script's own
text. Where those sections leave a choice, the comment says "taken as".

    reference.py cells N SEED        one JSON line per cell: what it means as a time and as power
    reference.py rows N SEED         one JSON line per file: the rows that Python's csv module finds
    reference.py cases N SEED DIR    N folders below DIR with gpu_metrics.csv, r.json, agg_r.json and expected.json
    reference.py folder N 0 DIR      what it makes of the files in DIR, with N GPUs expected
"""

import csv
import datetime
import io
import json
import math
import os
import pathlib
import random
import re
import sys

GAP = 3.0
NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
METRICS = [
    "avg_power_w", "avg_total_gpu_power_w", "total_gpu_energy_j", "joules_per_successful_query",
    "joules_per_input_token", "joules_per_output_token", "joules_per_total_token",
]


# --- cells -----------------------------------------------------------------------------------------------------------

def seconds_of(text):
    """The Unix time of a cell, None if it shows none."""
    text = text.strip()
    if NUMBER.fullmatch(text):
        value = float(text)
        return value / 1000.0 if value > 1e12 else value
    for layout in ("%Y/%m/%d %H:%M:%S.%f", "%Y/%m/%d %H:%M:%S"):
        try:
            return datetime.datetime.strptime(text, layout).timestamp()
        except (ValueError, OverflowError):
            pass
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None


def watts_of(text):
    """The power in a cell, None if there is none that can be used."""
    text = text.strip()
    if text.lower() in ("", "[n/a]", "n/a", "na"):
        return None
    found = NUMBER.search(text)
    if not found:
        return None
    watts = float(found.group())
    return watts if math.isfinite(watts) and watts >= 0 else None


def columns_of(names):
    names = [name.strip().lower() for name in names]
    time = power = gpu = None
    for i, name in enumerate(names):
        if time is None and "time" in name:
            time = i
        if power is None and "power" in name and not any(word in name for word in ("limit", "cap", "max", "min")):
            power = i
        if gpu is None and name in ("index", "gpu", "gpu_id", "gpu_index", "card", "device"):
            gpu = i
    return time, power, gpu


# --- the file --------------------------------------------------------------------------------------------------------

def id_order(gpu):
    return (0, int(gpu), "") if gpu.isdigit() else (1, 0, gpu)


def load(path, low, high):
    """The readings per GPU in [low, high] as {gpu: [(seconds, watts)]}, and the reasons; None for no readings at all."""
    reasons = []

    def add(reason):
        if reason not in reasons:
            reasons.append(reason)

    if not path.is_file():
        return None, ["telemetry_file_missing"]
    if path.stat().st_size == 0:
        return None, ["telemetry_file_empty"]
    readings, nameless = {}, False
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            rows = (row for row in csv.reader(file, skipinitialspace=True) if row)
            time, power, gpu = columns_of(next(rows, []))
            for column, reason in ((time, "timestamp_column_missing"), (power, "power_column_missing"),
                                   (gpu, "gpu_identity_column_missing")):
                if column is None:
                    add(reason)
            if reasons:
                return None, reasons
            for row in rows:
                def field(i):
                    return row[i] if i < len(row) else ""
                at = seconds_of(field(time))
                if at is None:
                    add("invalid_timestamp_sample")
                    continue
                if at < low or at > high:
                    continue
                watts = watts_of(field(power))
                if watts is None:
                    add("invalid_power_sample")
                    continue
                name = field(gpu).strip()
                if not name:
                    nameless = True
                    continue
                readings.setdefault(name, {}).setdefault(at, []).append(watts)
    except (OSError, csv.Error):
        add("telemetry_file_unreadable")
    if nameless:
        add("gpu_identity_missing")
    return {
        gpu: [(at, sum(values) / len(values)) for at, values in sorted(readings[gpu].items())]
        for gpu in sorted(readings, key=id_order)
    }, reasons


def power_at(samples, at):
    for (t0, p0), (t1, p1) in zip(samples, samples[1:]):
        if abs(t0 - at) <= 1e-9:
            return p0
        if abs(t1 - at) <= 1e-9:
            return p1
        if t0 <= at <= t1:
            return p0 + (p1 - p0) * (at - t0) / (t1 - t0)
    raise AssertionError("not bracketed")


def area(points):
    return math.fsum((p0 + p1) / 2 * (t1 - t0) for (t0, p0), (t1, p1) in zip(points, points[1:]))


def energy_of(samples, start, end):
    inside = [(t, p) for t, p in samples if start < t < end]
    return area([(start, power_at(samples, start))] + inside + [(end, power_at(samples, end))])


def integrate(path, start, end, expected):
    out = {"observed_gpu_count": 0, "observed_gpu_ids": [], "per_gpu_sample_counts": {},
           "per_gpu_max_sample_gap_s": {}, "per_gpu_energy_j": {}, "device_issues": {}}
    reasons = []

    def add(reason):
        if reason not in reasons:
            reasons.append(reason)

    if expected <= 0:
        add("invalid_expected_gpu_count")
    readings, found = load(path, start - GAP, end + GAP)
    for reason in found:
        add(reason)
    if readings is None:
        return out, reasons
    if not readings:
        add("no_usable_power_samples")
    if len(readings) != expected:  # taken as: also where the expected count itself is invalid
        add("expected_gpu_count_mismatch")
    out["observed_gpu_count"], out["observed_gpu_ids"] = len(readings), list(readings)
    for gpu, samples in readings.items():
        out["per_gpu_sample_counts"][gpu] = len(samples)

        def issue(reason):
            out["device_issues"].setdefault(gpu, []).append(reason)
            add(reason)

        if len(samples) < 2:
            issue("insufficient_power_samples")
            continue
        if samples[0][0] > start or samples[-1][0] < end:
            issue("benchmark_window_not_bracketed")
            continue
        first = max(i for i, (t, _) in enumerate(samples) if t <= start)
        last = min(i for i, (t, _) in enumerate(samples) if t >= end)
        gap = max((samples[i + 1][0] - samples[i][0] for i in range(first, last)), default=0.0)
        out["per_gpu_max_sample_gap_s"][gpu] = gap
        if gap > GAP:
            issue("sampling_gap_exceeded")
        out["per_gpu_energy_j"][gpu] = energy_of(samples, start, end)
    return out, reasons


# --- the counters beside the file ------------------------------------------------------------------------------------

def snapshot(path):
    found = {}
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        rows = (row for row in csv.reader(file, skipinitialspace=True) if row)
        names = [name.strip() for name in next(rows, [])]
        if "gpu" not in names or "total_energy_consumption" not in names:
            return {}
        gpu, energy = names.index("gpu"), names.index("total_energy_consumption")
        for row in rows:
            if len(row) <= max(gpu, energy) or not row[gpu].strip() or not NUMBER.fullmatch(row[energy].strip()):
                continue
            found[row[gpu].strip()] = float(row[energy].strip())
    return found


def accumulators(path):
    start_path = path.with_name(path.stem + "_energy_start.csv")
    end_path = path.with_name(path.stem + "_energy_end.csv")
    if not start_path.is_file() and not end_path.is_file():
        return None
    no = {"available": False}
    if not start_path.is_file():
        return no | {"reason": "missing_start_snapshot"}
    if not end_path.is_file():
        return no | {"reason": "missing_end_snapshot"}
    start, end = snapshot(start_path), snapshot(end_path)
    if not start:
        return no | {"reason": "unparseable_start_snapshot"}
    if not end:
        return no | {"reason": "unparseable_end_snapshot"}
    stream, _ = load(path, -9e9, 9e9)
    if stream is None:
        return no | {"reason": "cross_check_error"}
    both = [gpu for gpu in sorted(start, key=id_order) if gpu in end]
    used = [gpu for gpu in both if gpu in stream]
    deltas = {gpu: end[gpu] - start[gpu] for gpu in both}
    negative = [gpu for gpu in both if deltas[gpu] < 0]
    delta, integral = sum(deltas.values()), sum(area(stream[gpu]) for gpu in used)
    error = abs(delta - integral) / delta if delta > 0 else None
    everyone = sorted(set(start) | set(end) | set(stream), key=id_order)
    times = [t for samples in stream.values() for t, _ in samples]
    return {
        "available": True, "accumulator_delta_j": delta, "integrated_stream_j": integral, "relative_error": error,
        "within_tolerance": error is not None and error <= 0.05 and not negative, "tolerance": 0.05,
        "per_gpu_delta_j": deltas, "integrated_gpu_ids": used,
        "unmatched_gpus": [gpu for gpu in everyone if gpu not in used],  # taken as: not in all three
        "negative_delta_gpus": negative, "stream_span_s": max(times) - min(times) if times else 0.0,
    }


# --- the whole -------------------------------------------------------------------------------------------------------

def finite(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def benchmark_of(path):
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None, ["invalid_benchmark_result"], {}
    if not isinstance(result, dict):
        raise AttributeError(f"'{type(result).__name__}' object has no attribute 'get'")
    reasons, window = [], None
    start, end = result.get("benchmark_start_time_unix"), result.get("benchmark_end_time_unix")
    duration = result.get("duration")
    if not (finite(start) and finite(end) and finite(duration)) or end <= start or duration <= 0:
        reasons.append("invalid_benchmark_window")
    else:
        window = {"start_time_unix": start, "end_time_unix": end, "reported_duration_s": duration,
                  "integration_duration_s": end - start}
        if abs(duration - (end - start)) > max(0.5, 0.01 * (end - start)):
            reasons.append("benchmark_duration_mismatch")
    counts = {}
    for key, reason in (("completed", "invalid_successful_query_count"),
                        ("total_input_tokens", "invalid_input_token_count"),
                        ("total_output_tokens", "invalid_output_token_count")):
        count = result.get(key)
        good = isinstance(count, int) and not isinstance(count, bool) and count > 0
        counts[key] = count if good else 0
        if not good:
            reasons.append(reason)
    if window is not None:
        window |= counts
    return window, reasons, counts


def aggregate(folder, expected):
    """The validation file (metrics unrounded), and the aggregate after the patch or None."""
    csv_path, bench, agg = folder / "gpu_metrics.csv", folder / "r.json", folder / "agg_r.json"
    window, error, check = None, None, None
    out = {"observed_gpu_count": 0, "observed_gpu_ids": [], "per_gpu_sample_counts": {},
           "per_gpu_max_sample_gap_s": {}, "per_gpu_energy_j": {}, "device_issues": {}}
    try:
        window, reasons, counts = benchmark_of(bench)
        check = accumulators(csv_path)
        if window is not None:
            out, more = integrate(csv_path, window["start_time_unix"], window["end_time_unix"], expected)
            reasons += [reason for reason in more if reason not in reasons]
    except (AttributeError, UnicodeDecodeError) as unexpected:
        reasons, error = ["aggregation_internal_error"], type(unexpected).__name__
    metrics = {}
    if not reasons:
        energy = sum(out["per_gpu_energy_j"].values())
        total = energy / window["integration_duration_s"]
        i, o = counts["total_input_tokens"], counts["total_output_tokens"]
        metrics = dict(zip(METRICS, [total / out["observed_gpu_count"], total, energy, energy / counts["completed"],
                                     energy / i, energy / o, energy / (i + o)]))
    patched = None
    try:
        patched = json.loads(agg.read_text(encoding="utf-8"))
        for key in METRICS:
            patched.pop(key, None)
        patched |= {"power_metric_schema_version": 2, "power_valid": 0 if reasons else 1}
        patched.pop("power_invalid_reasons", None)
        for key, value in metrics.items():
            patched[key] = round(value, 3 if key.endswith(("_w", "_j")) else 6)
    except FileNotFoundError:
        reasons.append("aggregate_result_missing")
    except (OSError, ValueError, AttributeError):
        reasons.append("aggregate_result_unwritable")
    validation = {
        "schema_version": 1, "power_valid": not reasons, "reasons": reasons, "telemetry_source": "gpu_metrics.csv",
        "benchmark_result": "r.json", "benchmark_window": window,
        "integration_method": "per_device_trapezoidal_with_linear_boundary_interpolation",
        "expected_gpu_count": expected, **out, "accumulator_check": check, "metrics": {} if reasons else metrics,
    }
    return {"validation": validation, "internal_error": error, "aggregate": patched, "expected": expected}


# --- generated input -------------------------------------------------------------------------------------------------

def a_stamp(rng, at, form):
    zone = datetime.timezone.utc
    if form == "iso offset":
        zone = datetime.timezone(datetime.timedelta(minutes=rng.choice([-480, -210, 0, 60, 330])))
    elif form in ("smi", "iso"):
        zone = None
    moment = datetime.datetime.fromtimestamp(at, zone)
    if form == "smi":
        text = moment.strftime("%Y/%m/%d %H:%M:%S.%f")
        return rng.choice([text[:-3]] * 8 + [text, text[:-7]])
    if form == "iso":
        return moment.isoformat(rng.choice(" T"), timespec="milliseconds")
    if form in ("iso offset", "iso z"):
        text = moment.isoformat(rng.choice(" T"))
        return text.replace("+00:00", "Z") if form == "iso z" else text
    if form == "ms":
        return str(round(at * 1000))
    return rng.choice([str(int(at)), f"{at:.3f}", f"{at:.6f}", f"{at:.9f}"] if form == "epoch mixed" else [f"{at:.3f}"])


def a_power(rng, watts, form):
    odd = ["", "N/A", "[N/A]", "n/a", "[Not Supported]", "-5 W", "1.2e3", "1,234 W", "+50", ".5", "nan", "inf", "9" * 400,
           "abc12", "12abc", "--7", "NA"]
    if form == "odd" and rng.random() < 0.05:
        return rng.choice(odd)
    return rng.choice([f"{watts:.2f} W", f"{watts:.2f} W", f"{watts:.1f}", str(int(watts)), f" {watts} W "])


def quoted(rng, cell, more):
    if "," in cell or '"' in cell or "\n" in cell or rng.random() < more:
        return '"' + cell.replace('"', '""') + '"'
    return cell


def a_case(rng, folder):
    """A folder with one measurement, more or less odd."""
    start = rng.choice([1736944496.0, 1755000000.123456, 1793523600.0 + rng.uniform(-5000, 5000), 1000.0, 1e9 + 0.5])
    length = rng.choice([0.4, 1.0, 2.0, 10.0, 37.25, 60.0]) + rng.choice([0, 0, rng.random()])
    end = start + length
    gpus = rng.choice([["0"], ["0", "1"], [str(i) for i in range(8)], ["GPU-b", "GPU-a", "10", "2", "007"], ["card0", "card1"]])
    interval = rng.choice([0.1, 0.5, 1.0, 1.0, 1.0, 2.9, 3.0])
    calm = rng.random() < 0.45  # a run that is likely to be valid
    form = rng.choice(["smi", "smi", "iso", "iso offset", "iso z", "ms", "epoch", "epoch mixed"])
    if start < 1e6 and form in ("ms", "iso", "smi", "iso offset", "iso z"):
        form = "epoch"
    power = "fine" if calm else rng.choice(["fine", "odd"])
    names = rng.choice([
        ["timestamp", "index", "power.draw [W]", "temperature.gpu"],
        ["timestamp", "gpu", "gfx_activity", "jpeg_activity", "socket_power", "power_management"],
        ["power.limit [W]", "Timestamp", "max_power", "GPU_ID", "Average Power (W)", "uptime"],
    ])
    names = list(names)
    if not calm and rng.random() < 0.15:
        rng.shuffle(names)
    if not calm and rng.random() < 0.05:
        names.pop(rng.randrange(len(names)))
    time, watts, gpu = columns_of(names)

    base = rng.uniform(100, 700)
    rows = []
    t = start - rng.choice([0.0, 1.0, 2.5, 3.0, 20.0] if calm else [-1.0, 0.0, 2.9, 3.0, 3.1, 20.0])
    stop = end + rng.choice([1.0, 3.0, 20.0] if calm else [-1.0, 0.0, 1.0, 3.0, 3.1, 20.0])
    while t <= stop + interval:
        for i, name in enumerate(gpus):
            at = t + (0 if form == "ms" else 0.002 * i * rng.random())
            if not calm and rng.random() < 0.01:
                continue
            cells = [rng.choice(["98 %", "N/A", "['N/A', 'N/A']", "61"]) for _ in names]
            if time is not None:
                cells[time] = a_stamp(rng, at, form)
            if watts is not None:
                cells[watts] = a_power(rng, base + 100 * math.sin(t) + 10 * i, power)
            if gpu is not None:
                cells[gpu] = name if calm or rng.random() > 0.003 else rng.choice(["", " ", "9"])
            rows.append(cells)
            if rng.random() < 0.02:
                rows.append(list(cells[:watts]) + [a_power(rng, base, "fine")] + list(cells[watts + 1:]) if watts is not None else cells)
        t += interval
        if not calm and rng.random() < 0.02:
            t += rng.choice([2.0, 3.0, 4.0])
    if rng.random() < 0.2:
        rng.shuffle(rows)
    more = rng.choice([0, 0, 0, 0.1])
    space = rng.choice([",", ", ", ",   "])
    lines = [space.join(quoted(rng, cell, more) for cell in row) for row in [names] + rows]
    if not calm and rng.random() < 0.3 and len(lines) > 2:
        oddities = [lines[0], "", "Unable to determine the device handle", ",,", '"', " ", lines[1][:rng.randrange(20)], "\x00",
                    lines[1] + ",extra", '"a\nb"', "x" * 131073, '"' + "y" * 131073]
        lines.insert(rng.randrange(1, len(lines)), rng.choice(oddities))
    end_of_line = rng.choice(["\n", "\n", "\n", "\r\n", "\r"])
    text = end_of_line.join(lines) + rng.choice([end_of_line, end_of_line, ""])
    if rng.random() < 0.1:
        text = text[:-rng.randrange(1, 40)] if len(text) > 60 and not calm else text
    data = text.encode()
    if not calm and rng.random() < 0.05:
        data = b"\xef\xbb\xbf" + data
    if not calm and rng.random() < 0.05:
        at = rng.randrange(len(data))
        data = data[:at] + rng.choice([b"\xff", b"\xe9", b'"', b"\r", b",", b"-", b"."]) + data[at:]
    if not calm and rng.random() < 0.03:
        data = rng.choice([b"", b"\n\n", b"nothing\n"])
    if rng.random() > (0 if calm else 0.02):
        (folder / "gpu_metrics.csv").write_bytes(data)

    if rng.random() < 0.2:
        for which, origin in (("start", 1000.0), ("end", 1000.0 + base * (stop - start + 3))):
            if rng.random() < 0.9:
                found = [f"{g},{origin + rng.choice([0, 0, 0, -9e9]) if which == 'end' else origin}" for g in gpus if rng.random() < 0.95]
                found += rng.choice([[], ["5,N/A"], ["77,100.5"]])
                header = rng.choice(["gpu,total_energy_consumption"] * 5 + ["gpu,energy"])
                (folder / f"gpu_metrics_energy_{which}.csv").write_text("\n".join([header] + found) + "\n")

    result = {"benchmark_start_time_unix": start, "benchmark_end_time_unix": end, "duration": length,
              "completed": rng.choice([1, 10, 640]), "total_input_tokens": rng.randrange(1, 1 << 20),
              "total_output_tokens": rng.randrange(1, 1 << 20), "note": math.nan}
    if not calm and rng.random() < 0.2:
        key = rng.choice(list(result)[:6])
        result[key] = rng.choice([None, 0, -1, "5", True, 1.5])
    text = json.dumps(result)
    if not calm and rng.random() < 0.04:
        text = rng.choice(["[1, 2]", "3", "3.5", '"x"', "null", "true", "{", "", "[1", '{"a": "\xe9"}'])
    (folder / "r.json").write_bytes(text.encode("latin-1"))
    agg = {"hw": "h200", "tp": 8, "power_valid": 1, "total_gpu_energy_j": 5.0, "conc": 64}
    if rng.random() < 0.98:
        (folder / "agg_r.json").write_text(json.dumps(agg, indent=2) if rng.random() < 0.98 else "{")
    expected = len(gpus) if calm or rng.random() < 0.8 else rng.choice([0, -1, 1, 4, 9])
    (folder / "expected.json").write_text(json.dumps(aggregate(folder, expected)))


def some_cells(rng):
    digits, marks = "0123456789", "-:/ .,TZW+ e%\t\u00a0x"
    stamps = ["2025/01/15 12:34:56.789", "2025-01-15T12:34:56.789+01:00", "2025-01-15 12:34:56", "20250115T123456Z",
              "2025-W03-3T12", "2025W033", "2025-W03", "2025W03", "1736944496", "1736944496.789", "1736944496789", "2025-01-15",
              "2025/1/5 1:2:3", "2025-03-09 02:30:00", "2025-11-02 01:30:00", "2025/11/02 01:30:00.5", "2025-01-15T12:34:56,7891234",
              "2025-01-15T12:34-08:00", "20250115 1234", "2024-02-30", "2024/02/29 23:59:59", "1000000000000", "1000000000001",
              "2025-01-15T12:34:56+23:59:59.5", "2025-W53-1", "2020-W53-7T00:00", "2025-W01-0000", "1955-06-01", "2399/12/31 23:59:59",
              "1736944496.789123456", "412.34 W", "[N/A]", "n/a", "1.2e3", "-5", "12:34:56", "0.1", "123456789012345678901234567890",
              "2025/01/15  12:34:56", "2025/01/ 5 12:34:56", "2025/01/15 12:34:60", "2025-01-15T24:00", "2025-01-15T12:34:56.", "2025-01-15T12:"]
    text = rng.choice(stamps)
    for _ in range(rng.choice([0, 0, 1, 1, 2, 4])):
        at = rng.randrange(len(text) + 1)
        kind = rng.randrange(4)
        if kind == 0 and text:
            text = text[:at] + text[at + 1:]
        elif kind == 1:
            text = text[:at] + rng.choice(marks) + text[at:]
        elif kind == 2:
            text = text[:at] + rng.choice(digits) + text[at + 1:]
        else:
            text = text[:at]
    return text


def some_rows(rng):
    return "".join(rng.choice(["a", "b", "1", ",", ",", '"', '"', " ", "\n", "\r", "\r\n", "é", "\x00"])
                   for _ in range(rng.randrange(40)))


def main():
    what, n, rng = sys.argv[1], int(sys.argv[2]), random.Random(int(sys.argv[3]))
    if what == "cells":
        for _ in range(n):
            text = some_cells(rng)
            seconds, watts = seconds_of(text), watts_of(text)
            print(json.dumps({"text": text, "seconds": seconds if seconds is None else seconds.hex(),
                              "watts": watts if watts is None else watts.hex()}))
    elif what == "rows":
        for _ in range(n):
            text = some_rows(rng)
            rows = [row for row in csv.reader(io.StringIO(text, newline=""), skipinitialspace=True) if row]
            print(json.dumps({"text": text, "rows": rows}))
    elif what == "folder":
        print(json.dumps(aggregate(pathlib.Path(sys.argv[4]), n)))
    else:
        for i in range(n):
            folder = pathlib.Path(sys.argv[4]) / f"{i:05d}"
            os.makedirs(folder)
            a_case(rng, folder)


main()
