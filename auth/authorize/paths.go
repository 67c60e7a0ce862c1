package authorize

import "net/url"

// The paths of the pages, relative to the public URL. A path that ends in a slash
// includes all paths below it.
const (
	accountPath = "/authorize/"
	resultPath  = "/result/"
	stylePath   = "/style.css"
	iconPath    = "/icon.svg"
)

// PagePaths returns the paths that a redirect URL must not have. A path that ends in a
// slash includes all paths below it.
func PagePaths() []string { return []string{accountPath, resultPath, stylePath, iconPath} }

// AccountPath returns the path of the page of the account with this name.
func AccountPath(name string) string { return accountPath + url.PathEscape(name) }
