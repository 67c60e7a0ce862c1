package config

import (
	"fmt"
	"slices"
	"strings"
)

// A Fault is a problem in a configuration file. Its message never contains a secret.
type Fault struct {
	File    string // as passed to Load, or the file that the configuration names
	Line    int    // from 1; 0 if no line is at fault, as for a missing table
	Message string

	// External reports that the fault is in something that the file names, such as another
	// file, a credential or a user. It can disappear without a change of the configuration.
	External bool
}

// Error returns "file:line: message".
func (f Fault) Error() string {
	if f.Line == 0 {
		return f.File + ": " + f.Message
	}
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Message)
}

// Faults are the problems of a configuration file, sorted by line.
type Faults []Fault

// Error returns the faults, one per line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

// External reports whether all faults are external, so that loading the unchanged
// configuration again may succeed.
func (f Faults) External() bool {
	return !slices.ContainsFunc(f, func(fault Fault) bool { return !fault.External })
}

// Unwrap returns each Fault as an error.
func (f Faults) Unwrap() []error {
	errs := make([]error, len(f))
	for i, fault := range f {
		errs[i] = fault
	}
	return errs
}
