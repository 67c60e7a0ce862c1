package config

import (
	"fmt"
	"io"
	"log/slog"
)

// A Secret is text that must not be shown. Printing, logging and encoding it yields
// "(secret)". Only Reveal returns the value.
type Secret string

const redacted = "(secret)"

// Reveal returns the value.
func (s Secret) Reveal() string { return string(s) }

// String returns "(secret)".
func (Secret) String() string { return redacted }

// GoString returns "(secret)".
func (Secret) GoString() string { return redacted }

// MarshalText returns "(secret)". Encodings such as JSON use it.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns "(secret)".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format writes "(secret)" for every verb. Without it, %x would print the value.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }
