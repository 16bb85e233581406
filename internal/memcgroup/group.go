//go:build linux

package memcgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Group is a control group with a memory limit.
type Group struct {
	dir   string
	names names
}

// names are the files of a kernel interface.
type names struct{ limit, peak, now, kills, killsKey string }

const mounted = "/sys/fs/cgroup"

// New makes a group below this process' own that may use so many bytes of memory, kernel memory and page cache included,
// and no swap.
func New(bytes int64) (*Group, error) {
	own, err := ownGroups()
	if err != nil {
		return nil, err
	}
	v1 := names{"memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.usage_in_bytes", "memory.oom_control", "oom_kill"}
	v2 := names{"memory.max", "memory.peak", "memory.current", "memory.events", "oom_kill"}
	var errs []error
	for _, place := range []struct {
		parent string
		names  names
	}{
		{filepath.Join(mounted, "memory", own["memory"]), v1},
		{filepath.Join(mounted, "memory"), v1}, // in a container with the host's names
		{filepath.Join(mounted, own[""]), v2},
		{mounted, v2},
	} {
		g, err := place.names.make(place.parent, bytes)
		if err == nil {
			return g, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("no control group with a memory limit can be made here: %w", errors.Join(errs...))
}

// ownGroups are this process' groups by controller; "" is the one of version 2.
func ownGroups() (map[string]string, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	own := map[string]string{}
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		for controller := range strings.SplitSeq(fields[1], ",") {
			own[controller] = fields[2]
		}
	}
	return own, nil
}

func (n names) make(parent string, bytes int64) (*Group, error) {
	if _, err := os.Stat(filepath.Join(parent, "cgroup.procs")); err != nil {
		return nil, err
	}
	// Version 2 limits only what the parent hands on; version 1 has no such file, which must not be made.
	if file, err := os.OpenFile(filepath.Join(parent, "cgroup.subtree_control"), os.O_WRONLY, 0); err == nil {
		_, _ = file.WriteString("+memory")
		_ = file.Close()
	}
	dir, err := os.MkdirTemp(parent, "wattmark-")
	if err != nil {
		return nil, err
	}
	g := &Group{dir, n}
	if err := g.write(n.limit, strconv.FormatInt(bytes, 10)); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	// Where there is swap it must not help; where the kernel counts none, it has no such file.
	_ = g.write("memory.memsw.limit_in_bytes", strconv.FormatInt(bytes, 10))
	_ = g.write("memory.swap.max", "0")
	return g, nil
}

// write writes to a file of the group that exists.
func (g *Group) write(name, text string) error {
	file, err := os.OpenFile(filepath.Join(g.dir, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

// Procs is the file into which a process writes 0 to join the group.
func (g *Group) Procs() string { return filepath.Join(g.dir, "cgroup.procs") }

// Command are the words before a program's own that run it in the group.
func (g *Group) Command() []string {
	return []string{"/bin/sh", "-c", `echo 0 >"$0" && exec "$@"`, g.Procs()}
}

// Limit is the limit that the kernel keeps: whole pages.
func (g *Group) Limit() (int64, error) { return g.number(g.names.limit) }

// Peak is the most that was charged to the group at a time, page cache included.
func (g *Group) Peak() (int64, error) { return g.number(g.names.peak) }

// Usage is what is charged to it now.
func (g *Group) Usage() (int64, error) { return g.number(g.names.now) }

func (g *Group) number(name string) (int64, error) {
	text, err := os.ReadFile(filepath.Join(g.dir, name))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

// Killed is how many of its processes the kernel has killed for memory.
func (g *Group) Killed() (int64, error) { return g.field(g.names.kills, g.names.killsKey) }

// Stat is a line of memory.stat.
func (g *Group) Stat(key string) (int64, error) { return g.field("memory.stat", key) }

func (g *Group) field(name, key string) (int64, error) {
	text, err := os.ReadFile(filepath.Join(g.dir, name))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, key+" "); ok {
			return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, fmt.Errorf("no %s in %s", key, filepath.Join(g.dir, name))
}

// Anonymous is what is charged to it now and is of no file: what can go nowhere.
func (g *Group) Anonymous() (int64, error) {
	if bytes, err := g.Stat("rss"); err == nil { // version 1
		return bytes, nil
	}
	return g.Stat("anon")
}

// Reset begins the peak anew, where the kernel can.
func (g *Group) Reset() error { return g.write(g.names.peak, "0") }

// Close removes the group, once its processes have ended; it waits for them for some seconds.
func (g *Group) Close() error {
	err := os.Remove(g.dir)
	for deadline := time.Now().Add(5 * time.Second); errors.Is(err, syscall.EBUSY) && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
		err = os.Remove(g.dir)
	}
	return err
}
