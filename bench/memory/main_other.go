//go:build !linux

// Memory needs Linux's control groups.
package main

func main() { panic("needs Linux") }
