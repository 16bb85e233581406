//go:build !linux

package main

func faultyMain() {}
