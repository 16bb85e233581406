//go:build !linux

// Load needs Linux's /proc.
package main

func main() { panic("needs Linux") }
