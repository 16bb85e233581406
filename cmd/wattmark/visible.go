package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"wattmark/sampler"
	amd "wattmark/vendor_amd"
)

// onlyVisible reports that the names are just 'visible': the GPUs that the environment shows to programs.
func onlyVisible(names []string) bool { return len(names) == 1 && names[0] == "visible" }

// namedHere are the GPUs to name to a daemon, where 'visible' means those of this process's environment: a job knows its
// GPUs, the daemon beside it may not. nil: all.
func namedHere(names []string, sysfsRoot string) ([]string, error) {
	if !onlyVisible(names) {
		return names, nil
	}
	shown, err := cudaVisible(os.LookupEnv)
	if err == nil && shown == nil {
		shown, err = amd.VisibleDevices(os.LookupEnv, sysfsRoot)
	}
	if err != nil {
		return nil, usageError{fmt.Errorf("--gpus visible: %w", err)}
	}
	return shown, nil
}

// cudaVisible is what the environment shows to CUDA programs: numbers, UUIDs of GPUs, or of MIG instances, which stand for
// their GPU. nil: all GPUs.
func cudaVisible(lookup func(string) (string, bool)) ([]string, error) {
	list, set := lookup("CUDA_VISIBLE_DEVICES")
	if !set {
		return nil, nil
	}
	var shown []string
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if name == "" || strings.HasPrefix(name, "-") {
			break // CUDA stops at the first entry that is none
		}
		shown = append(shown, name)
	}
	if len(shown) == 0 {
		return nil, errors.New("CUDA_VISIBLE_DEVICES shows no GPU")
	}
	return shown, nil
}

// upToUnknown returns the names before the first that means no GPU, as CUDA does. What a person should know of them
// becomes a problem.
func (b *backend) upToUnknown(infos []sampler.Info, shown []string) ([]string, error) {
	for i, name := range shown {
		if _, err := sampler.Choose(infos, []string{name}); err != nil {
			if i == 0 {
				return nil, err
			}
			b.Problems = append(b.Problems, fmt.Sprintf("--gpus visible: %v: it and what follows is left out, as CUDA does", err))
			shown = shown[:i]
			break
		}
	}
	numbered := slices.ContainsFunc(shown, func(name string) bool { _, err := strconv.Atoi(name); return err == nil })
	alike := !slices.ContainsFunc(infos, func(info sampler.Info) bool { return info.Model != infos[0].Model })
	if numbered && !alike && os.Getenv("CUDA_DEVICE_ORDER") != "PCI_BUS_ID" && infos[0].Vendor == "nvidia" {
		b.Problems = append(b.Problems, "--gpus visible: CUDA_VISIBLE_DEVICES has numbers, and the GPUs are not all alike: "+
			"CUDA numbers the fastest first, wattmark as nvidia-smi does; set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name UUIDs")
	}
	return shown, nil
}
