// Package memcgroup makes control groups with a memory limit, for tests of what a program does under one. It takes the
// right to make one: root, or a delegated group. It is for Linux.
package memcgroup
