//go:build !linux

package main

// forbidDumps is of Linux. Elsewhere the limits that the program is started with
// have to do.
func forbidDumps() error { return nil }
