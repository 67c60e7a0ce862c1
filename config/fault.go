package config

import (
	"fmt"
	"slices"
	"strings"
)

// A Fault is one thing that is wrong in a configuration file. Its message
// never holds a secret.
type Fault struct {
	File    string // as it was given to Load
	Line    int    // from 1; 0 if the fault is in no line, but in what is missing
	Message string

	// Outside says that the fault is in something that the file names, such as another
	// file, a credential or a user. It may pass while the configuration stays as it is.
	Outside bool
}

// Error returns "file:line: message".
func (f Fault) Error() string {
	if f.Line == 0 {
		return f.File + ": " + f.Message
	}
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Message)
}

// Faults are all that is wrong in a configuration file, sorted by line.
type Faults []Fault

// Error returns the faults one a line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

// Outside reports whether all faults are outside of the configuration itself, so that
// it may be good when it is read again.
func (f Faults) Outside() bool {
	return !slices.ContainsFunc(f, func(fault Fault) bool { return !fault.Outside })
}

// Unwrap returns each Fault as an error.
func (f Faults) Unwrap() []error {
	errs := make([]error, len(f))
	for i, fault := range f {
		errs[i] = fault
	}
	return errs
}
