package config

import (
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/http/httpproxy"
)

func TestProxy(t *testing.T) {
	c := load(t, filepath.Join(copyTestdata(t), "good", "proxies.toml"))
	for name, want := range map[string]string{
		"direct":        "direct",
		"socks":         "socks5://[::1]:1080",
		"socks-of-curl": "socks5://user:hunter@proxy.example.com:1080",
		"https":         "https://user:hunter%2F%40@proxy.example.com:3128/",
		"file":          "http://user:hunter@proxy.example.com:3128",
		"environment":   "",
	} {
		if got := c.Providers[name].Proxy.Reveal(); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if w := c.Unavailable; len(w) != 1 || !strings.Contains(w[0].Message, "proxy_env: ") {
		t.Error(w)
	}
}

func TestProxyPasswordReadable(t *testing.T) {
	for _, row := range []struct {
		proxy  string
		mode   fs.FileMode
		warned bool
	}{
		{"http://user:hunter@proxy.example.com:3128", 0o644, true},
		{"http://user:hunter@proxy.example.com:3128", 0o640, false},
		{"http://proxy.example.com:3128", 0o644, false},
		{"direct", 0o644, false},
	} {
		name, _ := minimal(t, `proxy = "`+row.proxy+`"`, row.mode)
		got := Faults(load(t, name).Warnings).Error()
		if strings.Contains(got, ":4: proxy: every local user can read it in this file") != row.warned {
			t.Errorf("%s, %v: %s", row.proxy, row.mode, got)
		}
	}
}

// TestProxyEnvironment checks that net/http uses the proxy of every value that Load
// accepts.
func TestProxyEnvironment(t *testing.T) {
	const secret = "hunter"
	for _, row := range []struct{ value, through, fault string }{
		{"http://proxy.example.com:3128", "http://proxy.example.com:3128", ""},
		{"proxy.example.com:3128", "http://proxy.example.com:3128", ""},
		{"proxy.example.com", "http://proxy.example.com", ""},
		{"https://user:hunter@proxy.example.com", "https://user:hunter@proxy.example.com", ""},
		{"socks5h://[::1]:1080", "socks5h://[::1]:1080", ""},
		{"", "", ""},
		{"http://user:hunter/@proxy.example.com:3128", "", "must be a URL such as"},
		{"http://user:hunter@proxy.example.com:port", "", "must be a URL such as"},
		{"http://:3128", "", "must name a host"},
		{"socks4://hunter:1080", "", "must be "},
		{"ftp://hunter:1080", "", "must be "},
		{" http://hunter:1080", "", "must "},
		{"http://hunter:1080\n", "", "must not contain line breaks"},
		{`"http://hunter:1080"`, "", "must be "},
	} {
		t.Setenv("HTTPS_PROXY", row.value)
		name, _ := minimal(t, "", 0o600)
		_, err := Load(name)
		if row.fault == "" {
			u, goErr := httpproxy.FromEnvironment().ProxyFunc()(&url.URL{Scheme: "https", Host: "login.example.com"})
			if err != nil || goErr != nil || row.through != "" && (u == nil || u.String() != row.through) || row.through == "" && u != nil {
				t.Errorf("%q: %v; net/http uses %v, %v", row.value, err, u, goErr)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "environment: HTTPS_PROXY "+row.fault) || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v, want %s", row.value, err, row.fault)
		}
	}
}

func TestNoProxyEnvironment(t *testing.T) {
	for value, fault := range map[string]string{
		"":  "",
		"*": "",
		"localhost, .example.com,*.example.org,192.0.2.0/24,2001:db8::/32,[::1]:80,host:443,": "",
		"localhost example.com":  "separated by commas",
		"localhost;example.com":  "separated by commas",
		"http://example.com":     `"http://example.com" is a URL`,
		"localhost,192.0.2.0/33": `"192.0.2.0/33" is not a network`,
		"192.0.2.*":              `the * in "192.0.2.*" matches nothing`,
	} {
		t.Setenv("no_proxy", value)
		name, _ := minimal(t, "", 0o600)
		_, err := Load(name)
		if (fault == "") != (err == nil) || fault != "" && !strings.Contains(err.Error(), "environment: no_proxy must ") || fault != "" && !strings.Contains(err.Error(), fault) {
			t.Errorf("%q: %v, want %s", value, err, fault)
		}
	}
}

// TestEnvironmentUnused checks that Load ignores invalid variables that no provider uses,
// and warns of variables that xoauthd does not support.
func TestEnvironmentUnused(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "ftp://proxy.example.com")
	name, _ := minimal(t, `proxy = "direct"`, 0o600)
	load(t, name)
	t.Setenv("HTTPS_PROXY", "")
	t.Setenv("all_proxy", "socks5://user:hunter@proxy.example.com:1080")
	name, _ = minimal(t, "", 0o600)
	got := Faults(load(t, name).Warnings).Error()
	if !strings.Contains(got, "environment: all_proxy is not used: ") || strings.Contains(got, "hunter") {
		t.Error(got)
	}
	t.Setenv("https_proxy", "proxy.example.com:3128")
	if got := Faults(load(t, name).Warnings).Error(); strings.Contains(got, "all_proxy") {
		t.Error(got)
	}
}
