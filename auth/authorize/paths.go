package authorize

import "net/url"

// The paths of the pages, below that of the public URL. A path that ends in a
// slash is that of all pages below it.
const (
	accountPath = "/authorize/"
	resultPath  = "/result/"
	stylePath   = "/style.css"
	iconPath    = "/icon.svg"
)

// PagePaths returns the paths of the pages, which no redirect URL may have. A
// path that ends in a slash is that of all pages below it.
func PagePaths() []string { return []string{accountPath, resultPath, stylePath, iconPath} }

// AccountPath returns the path of the page where the account of that name is
// authorized.
func AccountPath(name string) string { return accountPath + url.PathEscape(name) }
