package authorize

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"strings"

	"github.com/xoauthd/xoauthd/internal/redact"
)

// A response is a provider's response to an authorization request (RFC 6749 section
// 4.1.2), with the address at which it arrived.
type response struct {
	url.Values
	host string // host of that address, in the form of canonicalHost; empty if unknown
	path string // escaped path of that address, not empty
}

// responseParameters are the parameters of a response that xoauthd reads: RFC 6749
// sections 4.1.2 and 4.1.2.1, RFC 9207 section 2.
var responseParameters = []string{"state", "code", "iss", "error", "error_description"}

// redacted returns r without secrets in the parameters that pages and logs show.
func (r response) redacted(a *Account) response {
	shown := maps.Clone(r.Values)
	code := redact.New(r.Get("code"))
	for _, name := range []string{"iss", "error", "error_description"} {
		if r.Has(name) {
			shown.Set(name, code.Redact(a.Client.Redact(r.Get(name))))
		}
	}
	return response{shown, r.host, r.path}
}

// repeated returns the first of responseParameters that r contains more than once, or "".
// Such a response is invalid (RFC 6749 section 3.1).
func (r response) repeated() string {
	for _, name := range responseParameters {
		if len(r.Values[name]) > 1 {
			return name
		}
	}
	return ""
}

// The errors of parseResponse.
var (
	errNoResponse = errors.New("this is not the address of the provider's response, which contains state= and code=")
	errIncomplete = errors.New("the beginning of the address is missing: paste the whole address, from http:// or the host name on")
)

// parseResponse parses the response in pasted, the last address of the person's browser.
// It accepts line breaks and blanks within the address, quotes around it, and a missing
// scheme, because terminals, messages and browsers change an address in these ways. Its
// errors do not quote pasted, which may hold a code.
func parseResponse(pasted string) (response, error) {
	s := strings.Trim(strings.Join(strings.Fields(pasted), ""), `<>"'`)
	s, _, _ = strings.Cut(s, "#")
	address, query, found := strings.Cut(s, "?")
	if !found {
		address, query = "", s
	}
	q, err := url.ParseQuery(query)
	if err != nil || q.Get("state") == "" || q.Get("code") == "" && q.Get("error") == "" {
		return response{}, errNoResponse
	}
	if _, rest, found := strings.Cut(address, "://"); found {
		address = rest
	}
	u, err := url.Parse("http://" + address)
	if err != nil || u.Hostname() == "" {
		return response{}, errIncomplete
	}
	return response{q, canonicalHost(u.Host), pathOf(u)}, nil
}

// pathOf returns the escaped path of u, or "/" if it is empty.
func pathOf(u *url.URL) string {
	if path := u.EscapedPath(); path != "" {
		return path
	}
	return "/"
}

// check returns an error if r may come from another provider than that of reg, and a hint
// what to do. A hostile provider may have redirected the browser to another provider to
// get that provider's code (mix-up attack, RFC 9700 section 4.4).
func (r response) check(reg Registration) (hint string, err error) {
	const again = "Authorize again. If this happens again, one of the configured providers may be trying to get the codes of another."
	if !r.arrivedAt(reg.RedirectURL) {
		return again, fmt.Errorf("it arrived at another address than %s", reg.RedirectURL)
	}
	iss := oneLine(r.Get("iss"))
	switch {
	case !r.Has("iss") && reg.RequireIss:
		return again, fmt.Errorf("it has no iss, and %s always sends one", reg.Issuer)
	case !r.Has("iss"):
		return "", nil
	case reg.Issuer == "":
		return "If this is the issuer in the provider's own metadata, set issuer = \"" + iss + "\" in its section. If not, another provider has sent the answer.",
			fmt.Errorf("it has an iss, %s, and the provider's section of the configuration has no issuer to compare it with", iss)
	case !isIssuer(r.Get("iss"), reg.Issuer):
		return again + " The issuer in the configuration may be wrong, too.", fmt.Errorf("it comes from %s, not from %s", iss, reg.Issuer)
	}
	return "", nil
}

// arrivedAt reports whether r arrived at the redirect URL. It ignores a trailing slash,
// which a reverse proxy may add.
func (r response) arrivedAt(redirect string) bool {
	u, err := url.Parse(redirect)
	return err == nil && strings.TrimSuffix(r.path, "/") == strings.TrimSuffix(pathOf(u), "/") &&
		(r.host == "" || r.host == canonicalHost(u.Host))
}

// isIssuer reports whether iss is the issuer want, in which {tenantid} matches the GUID
// of any Microsoft Entra tenant.
func isIssuer(iss, want string) bool {
	before, after, template := strings.Cut(want, "{tenantid}")
	if !template {
		return iss == want
	}
	id, found := strings.CutPrefix(iss, before)
	id, ends := strings.CutSuffix(id, after)
	return found && ends && tenantID.MatchString(id)
}

var tenantID = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
