package config

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
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
	if w := c.Withheld; len(w) != 1 || !strings.Contains(w[0].Message, "proxy_env: ") {
		t.Error(w)
	}
}

func TestProxyPasswordThatEverybodyCanRead(t *testing.T) {
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
		if strings.Contains(got, ":4: proxy: every user of this machine can read it here") != row.warned {
			t.Errorf("%s, %v: %s", row.proxy, row.mode, got)
		}
	}
}
