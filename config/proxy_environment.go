package config

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/xoauthd/xoauthd/internal/flow"
)

// environmentFile is the file name in faults of environment variables.
const environmentFile = "environment"

// checkEnvironment checks the proxy variables if a provider without the key proxy uses
// them. Package net/http ignores invalid values and connects directly.
func (f *file) checkEnvironment(c *Config) {
	uses := func(p *Provider) bool {
		return p != nil && p.Proxy == "" && p.Flow != flow.Command && p.Flow != flow.AppPassword
	}
	if !slices.ContainsFunc(slices.Collect(maps.Values(c.Providers)), uses) {
		return
	}
	https, name := environmentVariable("HTTPS_PROXY")
	if https != "" {
		f.environmentFault(name, checkEnvironmentProxy(https))
	}
	if list, name := environmentVariable("NO_PROXY"); list != "" {
		f.environmentFault(name, checkNoProxy(list))
	}
	for _, other := range []string{"ALL_PROXY", "HTTP_PROXY"} {
		if value, name := environmentVariable(other); value != "" && https == "" {
			f.warnings = append(f.warnings, Fault{File: environmentFile, Message: name + " is not used: xoauthd connects to providers with https; set HTTPS_PROXY, or the key proxy of the provider"})
		}
	}
}

func (f *file) environmentFault(name string, err error) {
	if err != nil {
		f.faults = append(f.faults, Fault{File: environmentFile, Message: fmt.Sprintf("%s %v", name, err), External: true})
	}
}

// environmentVariable returns the value of a variable, in upper or lower case, and the
// name under which it is set.
func environmentVariable(name string) (value, setName string) {
	lower := strings.ToLower(name)
	if value = os.Getenv(name); value != "" {
		return value, name
	}
	return os.Getenv(lower), lower
}

// checkEnvironmentProxy returns an error, without s, if s is not the URL of a proxy. In
// contrast to the key proxy, it may omit the scheme and the port.
func checkEnvironmentProxy(s string) error {
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err == nil && u.Port() == "" && u.Hostname() != "" {
		u.Host += ":1"
		s = u.String()
	}
	return checkProxy(s)
}

// checkNoProxy returns an error if list is not a list of hosts to connect to directly.
func checkNoProxy(list string) error {
	for _, entry := range strings.Split(list, ",") {
		entry = strings.TrimSpace(entry)
		host := strings.TrimPrefix(strings.TrimPrefix(entry, "*."), ".")
		_, err := netip.ParsePrefix(entry)
		switch {
		case entry == "" || entry == "*":
		case strings.ContainsAny(entry, " \t;"):
			return errors.New("must be a list of hosts, separated by commas")
		case strings.Contains(entry, "://"):
			return fmt.Errorf("must list hosts, but %q is a URL; remove the scheme and the path", entry)
		case strings.Contains(entry, "/") && err != nil:
			return fmt.Errorf("must list hosts and networks, but %q is not a network, such as 192.0.2.0/24", entry)
		case strings.Contains(host, "*"):
			return fmt.Errorf("must list hosts, but the * in %q matches nothing; write .example.com for all hosts of a domain", entry)
		}
	}
	return nil
}
