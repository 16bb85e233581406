"""Checks the workload among the objects on stdin and prints a pod of it, as its controller would make one."""
import json
import sys

folder = sys.argv[1]
found = json.load(sys.stdin)
objects = found["items"] if found["kind"] == "List" else [found]
workload = next(o for o in objects if o["kind"] in ("Deployment", "DaemonSet"))
kinds = sorted(o["kind"] for o in objects)
want = {"base": ["Deployment"], "monitored": ["Deployment", "PodMonitor"], "daemonset": ["DaemonSet", "PodMonitor"]}
assert kinds == want[folder], kinds

template = workload["spec"]["template"]
spec = template["spec"]
sidecars = [c for c in spec.get("initContainers", []) if c["name"] == "wattmark"]
meter = next(c for c in sidecars + spec["containers"] if c["name"] == "wattmark")
if folder != "daemonset":
    assert meter["restartPolicy"] == "Always", "not a native sidecar"
assert "nvidia.com/gpu" not in json.dumps(meter["resources"]), "the meter takes a GPU"
assert "readinessProbe" not in meter, "the meter decides whether the server is ready"
for probe in ("startupProbe", "livenessProbe"):
    assert meter[probe]["httpGet"]["path"] == "/healthz", probe
for o in objects:
    if o["kind"] == "PodMonitor":
        endpoint = o["spec"]["podMetricsEndpoints"][0]
        assert endpoint["port"] in [p["name"] for p in meter["ports"]]
        assert o["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()

pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", "labels": template["metadata"]["labels"]}, "spec": spec}
json.dump(pod, sys.stdout, indent=1)
