package config

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// proxy reads the outbound proxy of a provider. Its URL may contain a password, so it has
// the sources of a secret.
func (t *table) proxy() Secret {
	sources := t.secretSources("proxy")
	inline := sources[0].read
	sources[0].read = func(s string) (string, error) {
		if u, err := url.Parse(s); err == nil && u.User == nil {
			return s, nil // it holds no password
		}
		return inline(s)
	}
	s := t.secret("proxy", checkProxy, sources...).Reveal()
	// In curl, socks5 resolves names locally, and socks5h at the proxy. Go supports
	// only the latter, under the name socks5.
	if address, found := strings.CutPrefix(s, "socks5h:"); found {
		s = "socks5:" + address
	}
	return Secret(s)
}

// checkProxy returns an error, without s, if s is not "direct" or the URL of a proxy. The
// URL must have a port: the default of some programs is 80, that of others 1080.
func checkProxy(s string) error {
	if s == "direct" {
		return nil
	}
	u, err := url.Parse(s)
	scheme, _, _ := strings.Cut(s, "://")
	switch {
	case checkLine(s) != nil:
		return checkLine(s)
	case !slices.Contains([]string{"socks5", "socks5h", "http", "https"}, scheme):
		return errors.New(`must be "direct", or a URL that begins with socks5://, http:// or https://`)
	case err != nil:
		return errors.New("must be a URL such as http://user:password@proxy.example.com:3128; in the password, write / # ? @ : and % as %2F %23 %3F %40 %3A and %25")
	case u.Hostname() == "" || u.Port() == "" || u.Port() == "0":
		return errors.New("must name a host and a port, such as socks5://127.0.0.1:1080")
	case strings.TrimSuffix(u.Path, "/") != "" || strings.ContainsAny(s, "?#"):
		return errors.New("must end with the port, because a proxy has no path")
	case u.User != nil:
		return checkUserinfo(u)
	}
	return nil
}

// checkUserinfo returns an error if the proxy protocol cannot transmit the user name and
// password: SOCKS has one byte for the length of each (RFC 1929 section 2), and HTTP
// separates the two with a colon (RFC 7617 section 2).
func checkUserinfo(u *url.URL) error {
	name := u.User.Username()
	password, _ := u.User.Password()
	socks := strings.HasPrefix(u.Scheme, "socks5")
	switch {
	case strings.ContainsFunc(name+password, unicode.IsControl):
		return errors.New("must not contain control characters, including encoded ones such as %0A")
	case socks && (name == "" || password == "" || max(len(name), len(password)) > 255):
		return errors.New("must contain both a user name and a password of at most 255 bytes, or neither, as SOCKS requires")
	case !socks && strings.Contains(name, ":"):
		return errors.New("must not contain a colon in the user name, because HTTP ends the user name at a colon")
	}
	return nil
}
