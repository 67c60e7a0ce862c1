package oauth

import (
	"strings"
	"unicode"
)

// scopeOf returns the granted scope of a. A provider may omit it if it is the requested
// one (RFC 6749 section 5.1).
func scopeOf(a answer, asked []string) string {
	scope := a.text("scope")
	granted := splitScope(scope)
	if len(granted) == 0 || len(scope) > maxScope {
		granted = asked
	}
	return strings.Join(granted, " ")
}

// maxScope limits the stored scope, in bytes. Scopes for mail have about 300.
const maxScope = 4 << 10

// splitScope splits a scope. Some providers separate its parts by commas.
func splitScope(scope string) []string {
	return strings.FieldsFunc(scope, func(r rune) bool { return r == ',' || unicode.IsSpace(r) || !unicode.IsGraphic(r) })
}

// Scopes returns the granted scopes; none if they are not known.
func (g Grant) Scopes() []string { return splitScope(g.Scope) }
