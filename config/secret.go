package config

import (
	"fmt"
	"io"
	"log/slog"
)

// A Secret is text that must not be seen. However it is printed, logged or
// encoded, "(secret)" is what comes out; only Reveal gives its value.
type Secret string

const hidden = "(secret)"

// Reveal returns the value itself.
func (s Secret) Reveal() string { return string(s) }

// String returns "(secret)".
func (Secret) String() string { return hidden }

// GoString returns "(secret)".
func (Secret) GoString() string { return hidden }

// MarshalText returns "(secret)", and so do encodings that are built on it,
// such as JSON.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue returns "(secret)".
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// Format writes "(secret)" whatever the verb: %x and %q would otherwise spell
// the value out.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, hidden) }
