//go:build race

// Package race tells tests whether they run under the race detector, which makes long
// simulations about ten times slower.
package race

// Enabled reports whether the race detector is on.
const Enabled = true
