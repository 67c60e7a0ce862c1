package children

import (
	"fmt"
	"os"
	"runtime/pprof"
	"testing"
	"time"
)

// Limit ends the test process if t takes longer than d, because a test that waits
// cannot be interrupted. It prints the name of t and the stacks of all goroutines.
func Limit(t *testing.T, d time.Duration) {
	name := t.Name()
	timer := time.AfterFunc(d, func() {
		fmt.Fprintf(os.Stderr, "%s took longer than %v\n", name, d)
		pprof.Lookup("goroutine").WriteTo(os.Stderr, 2)
		os.Exit(2)
	})
	t.Cleanup(func() { timer.Stop() })
}
