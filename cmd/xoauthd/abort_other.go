//go:build !linux

package main

// catchAbort does nothing: the watchdog of systemd exists only on Linux.
func catchAbort() {}
