//go:build !linux

// Soak needs Linux's /proc.
package main

func main() { panic("needs Linux") }
