#!/usr/bin/env bash
# Tests the manifests on a real kube-apiserver, built from source: strict validation, admission at the pod security level
# "restricted", the PodMonitor against the operator's CRD; and that a real Prometheus, by the service discovery that the
# PodMonitor stands for, finds and scrapes the sidecar's port. No kubelet: nothing is run on a node.
# Needs root, Go, gcc, curl, python3, openssl, and Debian's etcd-server; Debian's Prometheus knows no Kubernetes. The first
# run builds for ten minutes on two cores; WATTMARK_TEST_CACHE names a folder that keeps what was built. All of it runs in a network namespace of its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
export CGO_CFLAGS=${CGO_CFLAGS:--O2 -g -Wno-deprecated-declarations}
kubernetes=v1.36.2 operator=v0.95.1 prometheus=v0.316.0
crd=monitoring.coreos.com_podmonitors.yaml

if [ -z "${WATTMARK_TEST_WORK:-}" ]; then # outside: build, then once more inside
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	cache=${WATTMARK_TEST_CACHE:-$work}
	mkdir -p "$cache/kubernetes"
	if [ ! -x "$cache/kubernetes/kube-apiserver" ] || [ ! -x "$cache/kubernetes/prometheus" ]; then
		for program in apiserver kubectl; do
			mkdir -p "$cache/kubernetes/src/$program"
			cp deploy/kubernetes/testdata/$program.go.txt "$cache/kubernetes/src/$program/main.go"
		done
		(
			cd "$cache/kubernetes/src"
			rm -f go.mod go.sum
			go mod init kubernetes
			go mod edit -require k8s.io/kubernetes@$kubernetes
			module=$(go mod download -json k8s.io/kubernetes@$kubernetes | sed -n 's/.*"GoMod": "\(.*\)",.*/\1/p')
			grep -oE 'k8s\.io/[a-z-]+ => \./staging' "$module" | cut -d' ' -f1 |
				xargs -I{} go mod edit -replace "{}={}@v0.${kubernetes#v1.}"
			go mod tidy
			v=k8s.io/component-base/version
			flags="-s -w -X $v.gitVersion=$kubernetes -X $v.gitMajor=1 -X $v.gitMinor=36"
			go build -trimpath -ldflags="$flags" -o ../kube-apiserver ./apiserver
			go build -trimpath -ldflags="$flags" -o ../kubectl ./kubectl
			GOBIN=$(realpath ..) go install -tags remove_all_sd,enable_kubernetes_sd github.com/prometheus/prometheus/cmd/prometheus@$prometheus
		)
	fi
	if [ ! -f "$cache/kubernetes/$crd" ]; then # from the operator's types, as the operator makes its own
		mkdir -p "$cache/kubernetes/crd"
		(
			cd "$cache/kubernetes/crd"
			rm -f go.mod go.sum
			printf 'package crd\n\nimport _ "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"\n' >crd.go
			go mod init crd
			go get -tool sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0
			go get github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring@$operator
			go tool controller-gen crd:crdVersions=v1 output:crd:dir=. \
				paths=github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1
			cp $crd ..
		)
	fi
	cp "$cache/kubernetes/$crd" "$work/crd.yaml"
	go build -o "$work/wattmark" ./cmd/wattmark
	WATTMARK_TEST_WORK=$work PATH="$cache/kubernetes:$PATH" unshare --net --pid --fork --kill-child --mount-proc "$0"
	exit
fi

work=$WATTMARK_TEST_WORK
fail() {
	echo "FAIL: $*" >&2
	exit 1
}
await() { # await SECONDS WHAT COMMAND…
	local limit=$1 what=$2
	shift 2
	for _ in $(seq $((limit * 5))); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.2
	done
	fail "$what, within $limit s: $(tail -n 3 "$work"/*.log)"
}
ip link set lo up
ip address add 10.9.8.7/32 dev lo # the pod's

etcd --data-dir "$work/etcd" 2>"$work/etcd.log" &
openssl genrsa -out "$work/sa.key" 2048 2>"$work/openssl.log"
echo 'tok,admin,1,system:masters' >"$work/tokens.csv"
kube-apiserver --etcd-servers=http://127.0.0.1:2379 --bind-address=127.0.0.1 --advertise-address=10.9.8.7 --secure-port=6443 --cert-dir="$work/certs" \
	--service-cluster-ip-range=10.0.0.0/24 --service-account-issuer=https://localhost --service-account-key-file="$work/sa.key" \
	--service-account-signing-key-file="$work/sa.key" --token-auth-file="$work/tokens.csv" --authorization-mode=RBAC \
	--disable-admission-plugins=ServiceAccount 2>"$work/api.log" &
await 60 "the apiserver" curl -fsk -H 'Authorization: Bearer tok' https://127.0.0.1:6443/readyz
k() { kubectl --server=https://127.0.0.1:6443 --insecure-skip-tls-verify --token=tok "$@"; }
k version
k create namespace meter
k label namespace meter pod-security.kubernetes.io/enforce=restricted pod-security.kubernetes.io/enforce-version=latest
k create -f "$work/crd.yaml"
k wait --for=condition=established crd/podmonitors.monitoring.coreos.com --timeout=30s

apply() { k apply --dry-run=server --validate=strict -n meter -f "$@"; }
for folder in base monitored daemonset; do
	k kustomize deploy/kubernetes/$folder >"$work/$folder.yaml"
	await 10 "$folder" apply "$work/$folder.yaml" # a new CRD is served a moment later
	apply "$work/$folder.yaml" -o json >"$work/$folder.json" 2>"$work/$folder.warnings"
	[ ! -s "$work/$folder.warnings" ] || fail "$folder: $(cat "$work/$folder.warnings")"
	python3 deploy/kubernetes/testdata/pod.py "$folder" <"$work/$folder.json" >"$work/$folder-pod.json"
	apply "$work/$folder-pod.json" # pods, not workloads, are what the level is enforced on
done

# That the checks above can fail.
sed 's/restartPolicy: Always/restartPolcy: Always/' "$work/base.yaml" >"$work/bad.yaml"
if apply "$work/bad.yaml" 2>"$work/why"; then fail "a misspelt field passes"; fi
grep -q restartPolcy "$work/why" || fail "refused for another reason: $(cat "$work/why")"
sed 's/"containerPort": 9844/"hostPort": 9844, &/' "$work/base-pod.json" >"$work/bad.json"
if apply "$work/bad.json" 2>"$work/why"; then fail "a host port passes"; fi
grep -q 'violates PodSecurity "restricted' "$work/why" || fail "refused for another reason: $(cat "$work/why")"
sed 's/interval: 1s/intervall: 1s/' "$work/monitored.yaml" >"$work/bad.yaml"
if apply "$work/bad.yaml" 2>"$work/why"; then fail "a misspelt field of the PodMonitor passes"; fi

# The pod as a kubelet would report it, with the daemon where its port is; Prometheus as the operator would set it up.
k create -n meter -f "$work/base-pod.json"
k patch pod pod -n meter --subresource=status --type=merge \
	-p '{"status":{"phase":"Running","podIP":"10.9.8.7","podIPs":[{"ip":"10.9.8.7"}],"hostIP":"10.9.8.7"}}'
WATTMARK_LISTEN=:9844 "$work/wattmark" serve --backend sim --sim 2xH200 --results-dir "$work" --state-dir= 2>"$work/daemon.log" &
cat >"$work/prometheus.yml" <<-'CONF'
	scrape_configs:
	  - job_name: podMonitor/meter/wattmark/0
	    scrape_interval: 1s
	    kubernetes_sd_configs:
	      - {role: pod, api_server: 'https://127.0.0.1:6443', authorization: {credentials: tok}, tls_config: {insecure_skip_verify: true}}
	    relabel_configs:
	      - {action: keep, source_labels: [__meta_kubernetes_pod_label_monitoring], regex: wattmark}
	      - {action: keep, source_labels: [__meta_kubernetes_pod_container_port_name], regex: wattmark}
	      - {target_label: job, replacement: wattmark}
CONF
prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" --web.listen-address=127.0.0.1:9090 2>"$work/prometheus.log" &
scraped() {
	curl -fsS 127.0.0.1:9090/api/v1/query --data-urlencode 'query=count(wattmark_gpu_power_watts{job="wattmark",instance="10.9.8.7:9844"})' |
		grep -q '"2"\]'
}
await 30 "two GPUs in Prometheus" scraped
echo "PASS on $(kube-apiserver --version), $(prometheus --version 2>&1 | head -1)"
