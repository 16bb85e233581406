package main

import (
	"cmp"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// validNode reports that a node's name can stand in a file's name, beside a run's.
func validNode(name string) bool {
	return regexp.MustCompile(`^[A-Za-z0-9._-]{0,36}$`).MatchString(name)
}

// slurmNode is what a node is called where nobody says: in a Slurm job of several nodes, which mostly share a folder,
// its short host name; else nothing.
func slurmNode() string {
	count := cmp.Or(os.Getenv("SLURM_JOB_NUM_NODES"), os.Getenv("SLURM_NNODES"))
	if n, err := strconv.Atoi(count); err != nil || n < 2 {
		return ""
	}
	name := os.Getenv("SLURMD_NODENAME")
	if name == "" {
		name, _ = os.Hostname()
	}
	if name, _, _ = strings.Cut(name, "."); !validNode(name) {
		return ""
	}
	return name
}
