package daemon

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/auth/password"
	"github.com/xoauthd/xoauthd/auth/store"
	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/proxy"
)

// load loads a configuration with two providers and three accounts, whose password is
// "secret". more is appended to it.
func load(t *testing.T, more string) *config.Config {
	t.Helper()
	hash, err := password.Hash("secret")
	if err != nil {
		t.Fatal(err)
	}
	account := func(name, provider, more string) string {
		return "[account.\"" + name + "\"]\nprovider = \"" + provider + "\"\npassword_hash = \"" + hash + "\"\n" + more
	}
	provider := func(name string) string {
		return "[provider." + name + `]
client_id = "x"
authorization_url = "https://login.example.com/authorize"
token_url = "https://login.example.com/token"
redirect_url = "http://localhost/callback/` + name + `"
scopes = ["mail"]
imap = { host = "imap.example.com" }
`
	}
	folder := t.TempDir()
	file := filepath.Join(folder, "xoauthd.toml")
	text := "state_directory = \"state\"\n" + more + provider("one") + provider("two") +
		account("alice@example.com", "one", "") + account("bob@example.com", "two", "") +
		account("off@example.com", "one", "enabled = false\n")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const listeners = `
[[listener]]
protocol = "imap"
address = "127.0.0.1:0"

[metrics]
address = "127.0.0.1:0"
`

// start runs a daemon until stop is called. stop returns the result of Run.
func start(t *testing.T, c *config.Config) (d *Daemon, stop func() error) {
	t.Helper()
	return startWith(t, c, slog.New(slog.DiscardHandler))
}

func startWith(t *testing.T, c *config.Config, log *slog.Logger) (d *Daemon, stop func() error) {
	t.Helper()
	d, err := New(c, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	stopped := false
	stop = func() error {
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		if !stopped {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	})
	return d, stop
}

func get(t *testing.T, d *Daemon, path string) (status int, body string) {
	t.Helper()
	answer, err := http.Get("http://" + d.metrics.listeners[0].Addr().String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

// TestSystemd checks the notifications to systemd: ready, watchdog and stopping.
func TestSystemd(t *testing.T) {
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", socket.LocalAddr().String())
	t.Setenv("WATCHDOG_USEC", "200000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	hear := func(want string) {
		t.Helper()
		b := make([]byte, 1000)
		socket.SetReadDeadline(time.Now().Add(10 * time.Second))
		for {
			n, err := socket.Read(b)
			if err != nil {
				t.Fatalf("%s is not said: %v", want, err)
			}
			if text := string(b[:n]); strings.Contains(text, want) {
				return
			}
		}
	}
	d, stop := start(t, load(t, listeners))
	hear("READY=1\nSTATUS=accounts: 3, listeners: 1")
	if status, _ := get(t, d, "/readyz"); status != http.StatusOK {
		t.Errorf("/readyz: %d", status)
	}
	hear("WATCHDOG=1")
	if err := stop(); err != nil {
		t.Error(err)
	}
	hear("STOPPING=1")
}

func TestMetrics(t *testing.T) {
	d, _ := start(t, load(t, listeners))
	problems, err := testutil.GatherAndLint(d.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	_, metrics := get(t, d, "/metrics")
	for _, want := range []string{
		`xoauthd_account_needs_authorization{account="alice@example.com"} 1`,
		`xoauthd_sessions_total{protocol="imap",result="ok"} 0`,
		`xoauthd_token_refreshes_total{provider="two",result="ok"} 0`,
		`xoauthd_build_info{`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics has no %s", want)
		}
	}
	for path, want := range map[string]string{"/healthz": "alive\n", "/readyz": "ready\n"} {
		if status, body := get(t, d, path); status != http.StatusOK || body != want {
			t.Errorf("%s: %d %q", path, status, body)
		}
	}
	d.ready.Store(false)
	if status, _ := get(t, d, "/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz of a daemon that stops: %d", status)
	}
}

// TestPorts checks that the error names every port that cannot be opened, with a remedy.
func TestPorts(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	c := load(t, `
[[listener]]
protocol = "imap"
address = "`+taken.Addr().String()+`"

[metrics]
address = "`+other.Addr().String()+"\"\n")
	for range 2 { // the first releases the lock
		_, err = New(c, slog.New(slog.DiscardHandler))
		for _, want := range []string{
			"xoauthd.toml:3: listener 1: listen tcp " + taken.Addr().String(),
			"[metrics]: listen tcp " + other.Addr().String(),
			`"ss -ltnp" shows which`,
		} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v\ndoes not say %s", err, want)
			}
		}
	}
}

func TestLogIn(t *testing.T) {
	d, _ := start(t, load(t, listeners))
	for _, test := range []struct {
		name, provider, user, password string
		want                           proxy.Result
	}{
		{"right", "", "alice@example.com", "secret", proxy.OK},
		{"right in another case", "", "Alice@Example.COM", "secret", proxy.OK},
		{"of the listener's provider", "two", "bob@example.com", "secret", proxy.OK},
		{"of another provider", "one", "bob@example.com", "secret", proxy.BadCredentials},
		{"wrong password", "", "alice@example.com", "Secret", proxy.BadCredentials},
		{"unknown", "", "nobody@example.com", "secret", proxy.BadCredentials},
		{"not enabled", "", "off@example.com", "secret", proxy.BadCredentials},
	} {
		l, err := d.accounts.LogIn(t.Context(), proxy.Attempt{Protocol: "imap", Provider: test.provider, User: test.user, Password: test.password})
		got := proxy.OK
		var e *proxy.Error
		if errors.As(err, &e) {
			got = e.Result
		}
		if got != test.want || got == proxy.OK && l.Account == nil {
			t.Errorf("%s: %+v, %v", test.name, l, err)
		}
	}
}

// TestLogInQueue checks that a login that waits too long for a hash is not reported as wrong.
func TestLogInQueue(t *testing.T) {
	d, _ := start(t, load(t, listeners))
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for range 100 { // a free turn and a context that is done are both ready
		_, err := d.accounts.LogIn(ctx, proxy.Attempt{User: "nobody@example.com", Password: "secret"})
		var e *proxy.Error
		if !errors.As(err, &e) {
			t.Fatal(err)
		}
		if e.Result == proxy.TooManySessions {
			return
		}
	}
	t.Error("a deadline is never heeded")
}

func TestRefusal(t *testing.T) {
	for _, test := range []struct {
		err  error
		want proxy.Result
	}{
		{password.ErrRefused, proxy.BadCredentials},
		{password.ErrThrottled, proxy.TooManyGuesses},
		{&oauth.Error{Kind: oauth.Temporary}, proxy.ProviderDown},
		{&oauth.Error{Kind: oauth.Misconfigured, Code: "invalid_client"}, proxy.Misconfigured},
		{context.Canceled, proxy.Stopping},
		{context.DeadlineExceeded, proxy.ProviderDown},
		{errors.New("what is this"), proxy.Internal},
	} {
		var e *proxy.Error
		if !errors.As(refusal(test.err), &e) || e.Result != test.want || !errors.Is(e, test.err) {
			t.Errorf("%v is %v, want %s", test.err, e, test.want)
		}
	}
}

// TestNeedsAuthorization checks that the reply and the log say where to authorize.
func TestNeedsAuthorization(t *testing.T) {
	for _, test := range []struct{ name, web, want string }{
		{"with pages", "[web]\naddress = \"127.0.0.1:1180\"\n", "open http://localhost:1180/authorize/alice@example.com"},
		{"without", "", "run xoauthd authorize"},
	} {
		c := load(t, listeners+test.web)
		store, err := store.Open(c.StateDirectory, store.Encryption{})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		var as accounts
		if err := as.fill(c, store, nil, nil, nil); err != nil {
			t.Fatal(err)
		}
		_, err = as.byName["alice@example.com"].Token(t.Context(), "")
		var e *proxy.Error
		if !errors.As(err, &e) || e.Result != proxy.NeedsAuthorization ||
			!strings.Contains(e.Detail, test.want) || !strings.Contains(e.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
		if off := as.byName["off@example.com"]; test.web == "" {
			off.provider.config.RedirectURL = ""
			if got, want := as.remedy(off.config), "add [web] to the configuration, or redirect_url to provider one"; got != want {
				t.Errorf("without redirect_url: %s, want %s", got, want)
			}
		}
		alice := as.byName["alice@example.com"]
		if err := errors.Join(alice.grants.Keep(oauth.Grant{RefreshToken: "x"}), alice.grants.Forget("root (uid 0)")); err != nil {
			t.Fatal(err)
		}
		_, err = alice.Token(t.Context(), "")
		if !errors.As(err, &e) || !strings.HasPrefix(e.Detail, "the grant was revoked by root (uid 0) on ") || !strings.Contains(e.Detail, test.want) {
			t.Errorf("%s, revoked: %v", test.name, err)
		}
	}
}

func TestLog(t *testing.T) {
	var out bytes.Buffer
	for _, test := range []struct{ level, format, want string }{
		{"debug", "text", "level=DEBUG msg=d"},
		{"info", "json", `"level":"INFO","msg":"i"`},
		{"warn", "text", "level=WARN msg=w"},
		{"error", "json", `"level":"ERROR","msg":"e"`},
	} {
		out.Reset()
		log := NewLog(config.Log{Level: test.level, Format: test.format}, &out)
		log.Debug("d")
		log.Info("i")
		log.Warn("w")
		log.Error("e")
		if first, _, _ := strings.Cut(out.String(), "\n"); !strings.Contains(first, test.want) || !strings.Contains(first, "time") {
			t.Errorf("%s, %s: the first line is %s", test.level, test.format, first)
		}
	}
}

// TestLogUnderJournal checks that lines for journald have a priority and no time.
func TestLogUnderJournal(t *testing.T) {
	var out bytes.Buffer
	log := newLog(config.Log{Level: "info", Format: "text"}, &out, true).With("account", "alice@example.com")
	log.Debug("d")
	log.Info("i")
	log.Warn("w", "why", "because")
	log.WithGroup("g").Error("e", "k", "v")
	want := `<6>level=INFO msg=i account=alice@example.com
<4>level=WARN msg=w account=alice@example.com why=because
<3>level=ERROR msg=e account=alice@example.com g.k=v
`
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", &out, want)
	}
}

func TestSay(t *testing.T) {
	var out bytes.Buffer
	say(&out, slog.LevelError, "a\nb", true)
	say(&out, slog.LevelError, "c\n", false)
	if want := "<3>a\n<3>b\nc\n"; out.String() != want {
		t.Errorf("got %q, want %q", &out, want)
	}
}
