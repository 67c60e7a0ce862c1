package main

import (
	"flag"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/xoauthd/xoauthd/internal/testing/children"
)

// TestMain lets the test binary be the program itself, for the scripts, and what
// another user of the machine runs, for the attacks.
func TestMain(m *testing.M) {
	runRole()
	os.Setenv(raceVariable, raceOptions)
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin") // of mail servers
	children.Supervise()
	// Tests that call t.Parallel wait for programs and sockets most of the time. The
	// arguments of "go test" override this.
	flag.Set("test.parallel", "4")
	testscript.Main(cleaned{m}, map[string]func(){"xoauthd": main})
}

// The options of the race detector for all programs that the tests run. By default
// each of them sleeps for a second before it exits.
const (
	raceVariable = "GORACE"
	raceOptions  = "atexit_sleep_ms=0"
)

// cleaned removes what tests share, after the last one.
type cleaned struct{ m *testing.M }

func (c cleaned) Run() int {
	defer removeShared()
	return c.m.Run()
}

// TestScripts runs the scripts of testdata, each of which uses the program as a
// person would: command line, exit status, output, files.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv(raceVariable, raceOptions)
			return nil
		},
	})
}
