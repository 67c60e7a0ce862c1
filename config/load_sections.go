package config

import (
	"cmp"
	"os"
	"strings"
	"time"

	"github.com/xoauthd/xoauthd/internal/storekey"
)

// config reads all tables, and checks them together.
func (f *file) config(top *table) *Config {
	c := &Config{
		File:           f.name,
		StateDirectory: f.path(top.text("state_directory", stateDirectory())),
		Store:          top.store(),
		Log:            top.log(),
		Limits:         top.limits(),
		Web:            top.web(),
		Metrics:        top.metrics(),
	}
	c.Providers = top.providers(c.Web)
	c.Certificates = top.certificates()
	c.Listeners = top.listeners(c.Providers)
	f.addScopes(c)
	c.Accounts = top.accounts(c.Providers)
	top.reportUnknown()
	f.crossCheck(c)
	f.checkEnvironment(c)
	return c
}

// stateDirectory returns the first state directory of the systemd unit, or the default.
func stateDirectory() string {
	first, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":")
	return cmp.Or(first, "/var/lib/xoauthd")
}

func (t *table) store() Store {
	s, _ := t.table("store")
	defer s.reportUnknown()
	encrypt, migrate := s.encrypt()
	return Store{
		Encrypt: encrypt,
		Migrate: migrate,
		Keys: s.secret("key", func(text string) error { _, err := storekey.Parse(text); return err },
			source{"key_file", s.secretFile},
			source{"key_env", envSecret},
			source{"key_credential", credentialSecret},
		),
	}
}

// encrypt reads true, false or "migrate". The latter is for a single start.
func (t *table) encrypt() (encrypt, migrate bool) {
	const key = "encrypt"
	switch s, isText := t.values[key].(string); {
	case !isText:
		return t.boolean(key, true), false
	case s != "migrate":
		t.fault(key, `must be true, false or "migrate"`)
	default:
		t.file.warn(t.line(key), `encrypt: "migrate" accepts grants that another user could have written to the state directory; set encrypt = true after xoauthd has started`)
	}
	t.seen = append(t.seen, key)
	return true, true
}

func (t *table) log() Log {
	l, _ := t.table("log")
	defer l.reportUnknown()
	return Log{
		Level:  oneOf(l, "level", "info", "debug", "info", "warn", "error"),
		Format: oneOf(l, "format", "text", "text", "json"),
	}
}

func (t *table) limits() Limits {
	l, _ := t.table("limits")
	defer l.reportUnknown()
	limits := Limits{
		Sessions:           l.integer("sessions", 1000, 1, 100_000),
		SessionsPerAccount: l.integer("sessions_per_account", 100, 1, 100_000),
		SessionsPerLogin:   l.integer("sessions_per_login", 0, 0, 100_000),
		SessionsPerAddress: l.integer("sessions_per_address", 100, 0, 100_000),
		// Many mail programs time out after 30 seconds, and the upstream needs some of them.
		QueueTimeout: l.duration("queue_timeout", 10*time.Second, 0, 5*time.Minute),
		LoginTimeout: l.duration("login_timeout", 3*time.Minute, 5*time.Second, 10*time.Minute),
		// A complete login to an upstream has at most 20 seconds.
		StepTimeout: l.duration("step_timeout", 15*time.Second, time.Second, 20*time.Second),
		// RFC 9051 section 5.4: the timeout of an IMAP server must be at least 30 minutes.
		IdleTimeout:  l.duration("idle_timeout", 31*time.Minute, 30*time.Minute, 24*time.Hour),
		DrainTimeout: l.duration("drain_timeout", time.Minute, 0, 5*time.Minute),
	}
	l.warnUnreachable("sessions_per_account", limits.SessionsPerAccount, "sessions", limits.Sessions)
	l.warnUnreachable("sessions_per_login", limits.SessionsPerLogin, "sessions_per_account", limits.SessionsPerAccount)
	l.warnUnreachable("sessions_per_address", limits.SessionsPerAddress, "sessions", limits.Sessions)
	return limits
}

// warnUnreachable warns if the limit key exceeds the limit wider, which is then always
// reached first. It does not warn if key has its default.
func (t *table) warnUnreachable(key string, n int, wider string, limit int) {
	if t.has(key) && n > limit {
		t.file.warn(t.line(key), "%s: %d is never reached, because %s is %d; lower one or raise the other", key, n, wider, limit)
	}
}

func (t *table) web() *Web {
	w, found := t.table("web")
	if !found {
		return nil
	}
	defer w.reportUnknown()
	e, b := w.endpoint("1180")
	b = b.orLocalhost()
	e.Address = b.address
	w.addBinding(b)
	w.requireLocal(&e, b, "address", "its pages let every visitor authorize accounts", "use 127.0.0.1, [::1], localhost or unix:PATH")
	return &Web{Endpoint: e, PublicURL: w.publicURL(b)}
}

// publicURL reads the URL of the pages. The default is made of the address.
func (t *table) publicURL(b binding) string {
	s := strings.TrimRight(t.pageURL("public_url", ""), "/")
	switch {
	case s != "" || b == (binding{}):
	case b.systemd != "" || b.socket != "":
		t.require("public_url", `xoauthd cannot derive the URL for browsers from this type of socket; write for example public_url = "https://mail.example.com"`)
	case b.port == 0:
		t.fault("address", "port 0 gives no URL for browsers; choose a port")
	default:
		return "http://" + b.address
	}
	return s
}

func (t *table) metrics() *Metrics {
	m, found := t.table("metrics")
	if !found {
		return nil
	}
	defer m.reportUnknown()
	e, b := m.endpoint("9180")
	m.addBinding(b)
	if !m.boolean("public", false) {
		m.requireLocal(&e, b, "address", "/metrics shows the names of the accounts", "use 127.0.0.1, [::1], localhost or unix:PATH, or set public = true to allow it")
	}
	return &Metrics{Endpoint: e, Hosts: m.hostNames("hosts")}
}

// hostNames reads host names without ports.
func (t *table) hostNames(key string) []string {
	var names []string
	for i, s := range t.texts(key, nil) {
		if checkLine(s) != nil {
			continue // already reported
		}
		if strings.ContainsAny(s, ":/@[] ") {
			t.file.fault(t.pos.key(key).item(i).line(), "%s: %q is not a host name; write it without scheme and port", key, s)
		}
		names = append(names, strings.ToLower(s))
	}
	return names
}
