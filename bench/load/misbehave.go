//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// statuses counts what clients were told, by what they did.
type statuses struct {
	mu   sync.Mutex
	seen map[string]int
}

func (s *statuses) add(who, status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[who+": "+status]++
}

// of is how often clients of a kind got an answer that begins so.
func (s *statuses) of(who, status string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for key, count := range s.seen {
		if strings.HasPrefix(key, who+": "+status) {
			n += count
		}
	}
	return n
}

func (s *statuses) rows() [][2]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rows [][2]string
	for key, count := range s.seen {
		who, status, _ := strings.Cut(key, ": ")
		rows = append(rows, [2]string{"  " + who, fmt.Sprintf("%s ×%d", status, count)})
	}
	slices.SortFunc(rows, func(a, b [2]string) int { return strings.Compare(a[0]+a[1], b[0]+b[1]) })
	return rows
}

// client is one way to misbehave, once, over a connection of its own.
type client struct {
	name   string
	pause  time.Duration // before it does so again
	behave func(ctx context.Context, conn net.Conn) (status string)
}

// clients are the bad ones.
func clients() []client {
	const head = "Host: localhost\r\nConnection: close\r\n"
	trickle := func(ctx context.Context, conn net.Conn, first string) string {
		_, _ = io.WriteString(conn, first)
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		defer stop()
		go func() {
			for {
				time.Sleep(time.Second)
				if _, err := io.WriteString(conn, "x"); err != nil {
					return
				}
			}
		}()
		return answerOf(conn)
	}
	return []client{
		{"a body of a byte a second", 0, func(ctx context.Context, conn net.Conn) string {
			return trickle(ctx, conn, "POST /v1/mark-start HTTP/1.1\r\n"+head+"Content-Length: 1000\r\n\r\n")
		}},
		{"headers of a byte a second", 0, func(ctx context.Context, conn net.Conn) string {
			return trickle(ctx, conn, "GET /v1/time HTTP/1.1\r\nHost: localhost\r\nX: ")
		}},
		{"never reads", 0, func(ctx context.Context, conn net.Conn) string {
			_ = conn.(*net.TCPConn).SetReadBuffer(1024)
			_, _ = io.WriteString(conn, "GET /v1/readings?start=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Second):
			}
			return "let go of"
		}},
		{"all readings, again and again", 200 * time.Millisecond, func(_ context.Context, conn net.Conn) string {
			_, _ = io.WriteString(conn, "GET /v1/readings?start=1 HTTP/1.1\r\n"+head+"\r\n")
			status := answerOf(conn)
			_, _ = io.Copy(io.Discard, conn)
			return status
		}},
		{"a body of 1 MB", 200 * time.Millisecond, func(_ context.Context, conn net.Conn) string {
			go func() {
				_, _ = io.WriteString(conn, "POST /v1/mark-end HTTP/1.1\r\n"+head+"Content-Length: 1000000\r\n\r\n"+strings.Repeat("x", 1_000_000))
			}()
			return answerOf(conn)
		}},
		{"headers of 100 kB", 200 * time.Millisecond, func(_ context.Context, conn net.Conn) string {
			go func() {
				_, _ = io.WriteString(conn, "GET /v1/time HTTP/1.1\r\nX: "+strings.Repeat("x", 100_000)+"\r\n"+head+"\r\n")
			}()
			return answerOf(conn)
		}},
	}
}

// misbehave runs n clients of each kind, and, where that is many, from time to time 600 connections at once, until ctx ends.
func misbehave(ctx context.Context, address string, n int, told *statuses) {
	var all sync.WaitGroup
	for _, c := range clients() {
		for range n {
			all.Go(func() {
				for ctx.Err() == nil {
					told.add(c.name, once(ctx, address, c.behave))
					sleep(ctx, c.pause)
				}
			})
		}
	}
	if n < siege { // a client or two that misbehave, not a siege
		all.Wait()
		return
	}
	all.Go(func() {
		for sleep(ctx, 3*time.Second); ctx.Err() == nil; sleep(ctx, 3*time.Second) {
			hoard(ctx, address, told)
		}
	})
	all.Wait()
}

func once(ctx context.Context, address string, behave func(context.Context, net.Conn) string) string {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return "not connected"
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return behave(ctx, conn)
}

// hoard opens 600 connections, sends a request on each, keeps them for a second, and counts what came.
func hoard(ctx context.Context, address string, told *statuses) {
	var all sync.WaitGroup
	for range 600 {
		all.Go(func() {
			told.add("600 connections at once", once(ctx, address, func(ctx context.Context, conn net.Conn) string {
				_, _ = io.WriteString(conn, "GET /v1/time HTTP/1.1\r\nHost: localhost\r\n\r\n")
				status := answerOf(conn)
				sleep(ctx, time.Second)
				return status
			}))
		})
	}
	all.Wait()
}

// answerOf is the status line of the answer, without the version.
func answerOf(conn net.Conn) string {
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return "cut off"
	}
	_, status, _ := strings.Cut(strings.TrimSpace(line), " ")
	return status
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
