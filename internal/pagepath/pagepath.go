// Package pagepath holds the paths of the web pages, relative to the public URL. It imports
// nothing of this module, so every package may import it.
package pagepath

import "net/url"

// The paths. A path that ends in a slash includes all paths below it. Callback is the
// default path of a redirect URL.
const (
	Authorize = "/authorize/" // followed by the name of an account
	Result    = "/result/"
	Style     = "/style.css"
	Icon      = "/icon.svg"
	Callback  = "/callback"
)

// Reserved returns the paths that a redirect URL must not have.
func Reserved() []string { return []string{Authorize, Result, Style, Icon} }

// Account returns the path of the page of an account.
func Account(name string) string { return Authorize + url.PathEscape(name) }
