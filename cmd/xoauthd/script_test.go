package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/xoauthd/xoauthd/internal/children"
)

// TestMain lets the test binary be the program itself, for the scripts, and what
// another user of the machine runs, for the attacks.
func TestMain(m *testing.M) {
	runRole()
	children.Supervise()
	testscript.Main(cleaned{m}, map[string]func(){"xoauthd": main})
}

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
	})
}
