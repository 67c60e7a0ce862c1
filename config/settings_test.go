package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSettings(t *testing.T) {
	name := filepath.Join(t.TempDir(), "xoauthd.toml")
	noError(t, os.WriteFile(name, []byte(`
# a comment
[[listener]]
protocol = "imap"
address = "127.0.0.1:1143"
tls = "none"
[log]
level = "debug"
format = "text"
[limits]
sessions = 1000
queue_timeout = "10s"
idle_timeout = "40m"
[web]
address = "127.0.0.1:1180"
[provider.p]
preset = "google"
client_id = "id"
client_secret = "hunter2-hunter2"
proxy = "socks5://joe:hunter3@127.0.0.1:1080"
[provider.c]
flow = "command"
token_command = ["/bin/echo", "hunter4"]
imap = { host = "imap.example.com" }
[account."bob@example.com"]
provider = "c"
login = [ { label = "x", password_hash = '`+hash+`' } ]
[account."alice@example.com"]
provider = "p"
enabled = true
password_hash = '`+hash+`'
`), 0o600))
	got, err := Settings(name)
	noError(t, err)
	const want = `[account]
[account."alice@example.com"]
password_hash = "$argon2id$(secret)"
provider = "p"
[account."bob@example.com"]
provider = "c"

[[account."bob@example.com".login]]
label = "x"
password_hash = "$argon2id$(secret)"

[limits]
idle_timeout = "40m"

[[listener]]
address = "127.0.0.1:1143"
protocol = "imap"
tls = "none"

[log]
level = "debug"

[provider]
[provider.c]
flow = "command"
token_command = ["/bin/echo", "(secret)"]
[provider.c.imap]
host = "imap.example.com"
[provider.p]
client_id = "id"
client_secret = "(secret)"
preset = "google"
proxy = "socks5://(secret)@127.0.0.1:1080"

[web]
address = "127.0.0.1:1180"
`
	if got != want {
		t.Errorf("got\n%s", got)
	}
	noError(t, os.WriteFile(name, []byte("[log]\nlevle = 1"), 0o600))
	if _, err := Settings(name); err == nil || !strings.Contains(err.Error(), "levle") {
		t.Errorf("%v", err)
	}
}

// TestMasked checks that no secret is shown.
func TestMasked(t *testing.T) {
	for _, key := range []string{"client_secret", "upstream_password", "password_hash"} {
		if got := masked(key, "hunter2"); got != redacted {
			t.Errorf("%s: %s", key, got)
		}
	}
	for _, proxy := range []string{"http://%zz:hunter2@x", "http://hunter2@proxy.example:3128"} {
		if got := masked("proxy", proxy); strings.Contains(got, "hunter2") {
			t.Error(got)
		}
	}
}
