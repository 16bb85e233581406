"""Reads a DCGM endpoint as AIPerf's GPU telemetry and srt-slurm's power collector do, by the rules of their sources.

    consumers.py aiperf URL SECONDS    one JSON object: power, energy and records per GPU
    consumers.py srt URL SECONDS       one JSON object: reason codes, and energy per GPU between two stamps

The rules are written down anew; nothing here is their own text. Standard library only.
"""

import json
import math
import re
import sys
import time
import urllib.request

LINE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: -?[0-9]+)?')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)')


def samples_of(text):
    """All samples of the Prometheus text format, as (name, labels, value); ValueError where it is none."""
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        found = LINE.fullmatch(line)
        if not found:
            raise ValueError(f"not a sample: {line!r}")
        labels, at = {}, 0
        for label in LABEL.finditer(found[2] or ""):
            if label.start() != at:
                raise ValueError(f"labels of {line!r}")
            labels[label[1]] = re.sub(r"\\(.)", lambda c: {"n": "\n"}.get(c[1], c[1]), label[2])
            at = label.end()
        if at != len(found[2] or ""):
            raise ValueError(f"labels of {line!r}")
        yield found[1], labels, float(found[3])


def get(url, timeout, method="GET"):
    request = urllib.request.Request(url, method=method, headers={"Accept": "*/*"})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return answer.status, answer.headers, answer.read().decode("utf-8")


# --- AIPerf ----------------------------------------------------------------------------------------------------------

FIELDS = {  # name: (field, factor)
    "DCGM_FI_DEV_POWER_USAGE": ("gpu_power_usage", 1), "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": ("energy_consumption", 1e-9),
    "DCGM_FI_DEV_GPU_UTIL": ("gpu_utilization", 1), "DCGM_FI_DEV_MEM_COPY_UTIL": ("mem_utilization", 1),
    "DCGM_FI_DEV_FB_USED": ("gpu_memory_used", 1.048576 * 1e-3), "DCGM_FI_DEV_GPU_TEMP": ("gpu_temperature", 1),
    "DCGM_FI_DEV_XID_ERRORS": ("xid_errors", 1), "DCGM_FI_DEV_POWER_VIOLATION": ("power_violation", 1e-3),
}


def aiperf(url, seconds):
    status, _, body = get(url, 10, "HEAD")  # older versions look whether it is there
    assert status == 200 and body == ""
    last, schema, records, power, counters, gpus = None, None, 0, {}, {}, {}

    def scrape():
        nonlocal last, schema, records
        at = time.time()
        status, headers, body = get(url, 10)
        assert status == 200 and headers["Content-Type"].startswith("text/plain"), headers["Content-Type"]
        if body == last:  # identical bodies are dropped
            return at
        last, found = body, {}
        for name, labels, value in samples_of(body):
            if "gpu" not in labels:
                continue
            index = int(labels["gpu"])
            if index not in gpus:  # the first sample with the label describes the GPU, whatever its name
                gpus[index] = {"uuid": labels["UUID"], "model": labels["modelName"],
                               "hostname": labels.get("Hostname") or labels.get("hostname"),
                               "pci_bus_id": labels.get("pci_bus_id"), "device": labels.get("device")}
            assert labels["UUID"] == gpus[index]["uuid"] and labels["modelName"], labels
            base = name.removesuffix("_total")
            if base in FIELDS:
                field, factor = FIELDS[base]
                found.setdefault(index, {})[field] = value * factor
        if schema is None:
            schema = {field: [] for fields in found.values() for field in fields}
        for index, fields in found.items():
            for field, value in fields.items():
                schema[field].append(value)  # KeyError for one that appears later
            power.setdefault(index, []).append(fields["gpu_power_usage"])
            if "energy_consumption" in fields:
                counters.setdefault(index, []).append((at, fields["energy_consumption"]))
        records += 1
        return at

    start = scrape()  # the boundary scrape at the beginning of the profiling phase
    next_at = start
    while next_at < start + seconds:
        next_at += 0.333
        time.sleep(max(0.0, next_at - time.time()))
        end = scrape()
    return {
        "start": start, "end": end, "records": records, "fields": sorted(schema),
        "gpus": {str(index): gpus[index] | {
            "mean_w": sum(power[index]) / len(power[index]),
            "energy_j": max(0.0, counters[index][-1][1] - counters[index][0][1]) * 1e6 if index in counters else None,
            "monotone": all(a[1] <= b[1] for a, b in zip(counters.get(index, []), counters.get(index, [])[1:])),
        } for index in gpus},
    }


# --- srt-slurm -------------------------------------------------------------------------------------------------------

def srt(url, seconds):
    reasons, rows = [], {}

    def scrape():
        before = time.time()
        try:
            status, _, body = get(url, 2)
        except OSError as error:
            reasons.append("endpoint_timeout" if "timed out" in str(error) else "endpoint_http_error")
            return before
        settled = time.time()
        at = (before + settled) / 2
        try:
            found = [(labels, value) for name, labels, value in samples_of(body) if name == "DCGM_FI_DEV_POWER_USAGE"]
        except ValueError:
            reasons.append("endpoint_parse_error")
            return at
        if not found:
            reasons.append("power_metric_missing")
        seen = set()
        for labels, watts in found:
            if labels.get("GPU_I_ID") or labels.get("GPU_I_PROFILE"):
                reasons.append("mig_instance_unsupported")
            elif not labels.get("gpu", "").isdigit():
                reasons.append("gpu_index_missing")
            elif not labels.get("UUID"):
                reasons.append("gpu_uuid_missing")
            elif not math.isfinite(watts) or watts < 0:
                reasons.append("invalid_power_value")
            elif labels["gpu"] in seen:
                reasons.append("duplicate_power_metric")
            else:
                seen.add(labels["gpu"])
                rows.setdefault(labels["gpu"], []).append((at, labels["UUID"], watts))
        return at

    next_at = scrape()
    start = time.time()
    while time.time() < start + seconds:
        next_at += 1.0
        time.sleep(max(0.0, next_at - time.time()))
        scrape()
    end = time.time()
    time.sleep(0.05)
    scrape()
    energy = {}
    for gpu, samples in rows.items():
        times = [at for at, _, _ in samples]
        if any(a >= b for a, b in zip(times, times[1:])):
            reasons.append("timestamp_non_monotonic")
        if len({uuid for _, uuid, _ in samples}) != 1:
            reasons.append("gpu_uuid_changed")
        if times[0] > start or times[-1] < end:
            reasons.append("measurement_window_not_bracketed")
            continue
        if max(b - a for a, b in zip(times, times[1:])) > 3.0:
            reasons.append("sample_gap_exceeded")

        def power_at(t, samples=samples):
            for (t0, _, p0), (t1, _, p1) in zip(samples, samples[1:]):
                if t0 <= t <= t1:
                    return p0 + (p1 - p0) * (t - t0) / (t1 - t0)
            raise AssertionError("not bracketed")
        points = [(start, power_at(start))] + [(t, p) for t, _, p in samples if start < t < end] + [(end, power_at(end))]
        energy[gpu] = sum((p0 + p1) / 2 * (t1 - t0) for (t0, p0), (t1, p1) in zip(points, points[1:]))
    return {"start": start, "end": end, "reasons": sorted(set(reasons)), "energy_j": energy,
            "uuids": {gpu: samples[0][1] for gpu, samples in rows.items()}}


if __name__ == "__main__":
    print(json.dumps({"aiperf": aiperf, "srt": srt}[sys.argv[1]](sys.argv[2], float(sys.argv[3]))))
