package main

import (
	"os"
	"testing"

	"github.com/xoauthd/xoauthd/internal/testing/children"
)

// TestMain kills the browser when the tests end, also after a time-out.
func TestMain(m *testing.M) {
	children.Supervise()
	os.Exit(m.Run())
}
