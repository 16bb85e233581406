//go:build !linux

package agg_test

func crashMain() {}
