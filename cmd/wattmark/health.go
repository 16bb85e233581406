package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
)

// healthCmd asks /healthz once: the health check of a container whose image has no curl.
type healthCmd struct {
	addrFlags
}

// Help is shown below the flags.
func (healthCmd) Help() string {
	return "Without --addr and WATTMARK_ADDR it asks where WATTMARK_LISTEN lets the daemon listen. A daemon that wants a password is healthy too."
}

// Run asks every daemon.
func (c healthCmd) Run(ctx context.Context, std streams) error {
	if listen := os.Getenv("WATTMARK_LISTEN"); listen != "" && len(c.Addr) == 1 && c.Addr[0] == defaultAddr {
		c.Addr = []string{reachable(listen)}
	}
	for _, addr := range c.Addr {
		if err := c.healthy(ctx, addr); err != nil {
			return c.soften(std, err)
		}
	}
	return nil
}

func (c healthCmd) healthy(ctx context.Context, addr string) error {
	daemon, err := c.client(addr)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, daemon.base+"/healthz", nil)
	if err != nil {
		return fmt.Errorf("%s: %w", daemon.addr, err)
	}
	response, err := daemon.http.Do(request)
	if err != nil {
		return fmt.Errorf("no answer from the daemon at %s: %w", daemon.addr, err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusUnauthorized {
		return fmt.Errorf("%s: status %d", daemon.addr, response.StatusCode)
	}
	return nil
}

// reachable is the address at which a daemon that listens so can be asked on its own host.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen // unix:/path
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
