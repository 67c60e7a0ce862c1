package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// forbidDumps keeps the memory of the process, and its environment, from all
// but root: there are passwords and tokens in both. No core is dumped, and
// /proc/PID/mem and environ are not open to other programs of the same user. A
// program that is started from here, as a token_command, dumps no core either.
func forbidDumps() error {
	var faults []error
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		faults = append(faults, fmt.Errorf("RLIMIT_CORE: %w", err))
	}
	// The limit alone does not count where the kernel gives cores to a program.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		faults = append(faults, fmt.Errorf("PR_SET_DUMPABLE: %w", err))
	}
	return errors.Join(faults...)
}
