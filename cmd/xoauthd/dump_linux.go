package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// forbidDumps forbids core dumps of this process and of its children, such as a
// token_command. Only root can then read /proc/PID/mem and environ. Memory and environment
// contain passwords and tokens.
func forbidDumps() error {
	var faults []error
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		faults = append(faults, fmt.Errorf("RLIMIT_CORE: %w", err))
	}
	// The kernel ignores the limit if it pipes cores to a program.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		faults = append(faults, fmt.Errorf("PR_SET_DUMPABLE: %w", err))
	}
	return errors.Join(faults...)
}
