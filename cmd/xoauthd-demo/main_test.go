package main

import (
	"os"
	"testing"

	"github.com/xoauthd/xoauthd/internal/testing/children"
)

// TestMain has the browser killed when the tests end, also after a time-out.
func TestMain(m *testing.M) {
	children.Supervise()
	os.Exit(m.Run())
}
