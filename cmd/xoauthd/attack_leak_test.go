package main

import (
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/auth/store"
	"github.com/xoauthd/xoauthd/internal/redact"
	"github.com/xoauthd/xoauthd/internal/testing/ca"
)

// The responses of a hostile token endpoint to a refresh, each for its own account, and
// the points at which a hostile mail server repeats secrets.
var (
	endpointModes = []string{"refused", "refused with status 200", "form", "page", "redirect", "malformed", "half a token", "no bearer", "not a token"}
	mailPoints    = []string{
		"login", "greeting", "bye", "capabilities", "untagged", "nonsense", "starttls", "challenge", "refusal", "bad", "lines", "bye at login",
	}
	silentPoints = []string{"nonsense", "challenge"} // of which clients are told nothing
	deviceModes  = []string{"user code", "links", "device refused", "malformed"}
)

// leakConfig is appended to the configuration of the target.
const leakConfig = `
[log]
level = "debug"

[limits]
sessions_per_account = 50

[[listener]]
protocol = "pop3"
address  = "127.0.0.1:%[1]d"

[provider.example.pop3]
host = "localhost"
port = %[2]d
tls  = "implicit"

[provider.device]
flow                     = "device_code"
client_id                = "xoauthd-test"
client_secret            = "%[3]s"
device_authorization_url = "%[4]s/device"
token_url                = "%[4]s/token"
scopes                   = ["mail"]
ca_file                  = "ca.pem"
imap                     = { host = "localhost", port = %[5]d }

[provider.password]
flow          = "password"
client_id     = "xoauthd-test"
client_secret = "%[3]s"
token_url     = "%[4]s/token"
scopes        = ["mail"]
ca_file       = "ca.pem"
imap          = { host = "localhost", port = %[5]d }

[account."password@example.com"]
provider               = "password"
password_hash          = "%[6]s"
upstream_password_file = "upstream.secret"

[provider.apppassword]
flow    = "app_password"
ca_file = "ca.pem"
imap    = { host = "localhost", port = %[5]d }

[account."apppassword@example.com"]
provider               = "apppassword"
password_hash          = "%[6]s"
upstream_password_file = "app.secret"

[provider.assertion]
flow                  = "client_credentials"
client_id             = "xoauthd-test"
client_assertion_file = "assertion.secret"
token_url             = "%[4]s/token"
scopes                = ["mail"]
ca_file               = "ca.pem"
imap                  = { host = "localhost", port = %[5]d }

[account."assertion@example.com"]
provider      = "assertion"
password_hash = "%[6]s"

[provider.command]
flow          = "command"
token_command = ["/bin/sh", "-c", "echo %[7]s; echo no %[7]s >&2; exit 1"]
ca_file       = "ca.pem"
imap          = { host = "localhost", port = %[5]d }

[account."command@example.com"]
provider      = "command"
password_hash = "%[6]s"

[provider.proxied]
flow          = "command"
token_command = ["/bin/echo", "t0ken-of-the-proxied-account"]
proxy_file    = "proxy.secret"
imap          = { host = "imap.example.com" }

[account."proxied@example.com"]
provider      = "proxied"
password_hash = "%[6]s"
`

// TestAttackLeak has a hostile provider and a hostile mail server repeat every secret, in
// every encoding and at every point. No output of xoauthd may contain a part of one.
func TestAttackLeak(t *testing.T) {
	t.Parallel()
	h := &hostile{modes: make(map[string]string), mode: "token"}
	pop3 := unusedPort(t)
	d := newTarget(t, func(c *targetConfig) { h.configure(t, c, pop3) })
	l := &listening{target: d, pop3: pop3, said: make(map[string]string)}

	for _, point := range mailPoints { // the first teaches h the tokens
		h.at(point)
		for _, protocol := range []string{"imap", "smtp", "pop3"} {
			l.logIn(t, protocol, targetAccount, point)
		}
		l.look(t, point, targetAccount)
		for _, protocol := range []string{"imap", "smtp", "pop3"} {
			if reply := l.said["reply, "+protocol+", "+point]; !strings.Contains(reply, redact.Hidden) && !slices.Contains(silentPoints, point) {
				t.Errorf("at the point %q, nothing was hidden in the reply by %s: %s", point, protocol, reply)
			}
		}
	}
	h.at("refusal")
	h.answers("refused")
	for _, mode := range endpointModes {
		account := accountOf(mode)
		l.logIn(t, "imap", account, mode)
		l.look(t, mode, account)
	}
	for _, account := range []string{"password@example.com", "apppassword@example.com", "assertion@example.com", "command@example.com", "proxied@example.com"} {
		l.logIn(t, "imap", account, account)
		l.look(t, account, account)
	}
	for _, mode := range []string{"refusal", "issuer", "refused", "malformed", "token"} {
		h.answers(mode)
		l.authorize(t, mode, targetAccount)
	}
	for _, mode := range deviceModes {
		h.answers(mode)
		l.authorize(t, mode, deviceOf(mode))
	}
	for _, mode := range []string{"malformed", "refused"} {
		h.answers(mode)
		l.run(t, mode, "revoke", "--yes", targetAccount)
	}
	l.said["log"] = d.log.String()
	h.search(t, l.said)
}

// accountOf returns the account for a mode of the token endpoint.
func accountOf(mode string) string { return strings.ReplaceAll(mode, " ", "-") + "@example.com" }

// deviceOf returns the account for a mode of the device endpoint. Each mode has its own
// account, because xoauthd requests a device code for an account only every five seconds.
func deviceOf(mode string) string { return "device-" + accountOf(mode) }

// configure starts h, and configures it as the provider of all accounts.
func (h *hostile) configure(t *testing.T, c *targetConfig, pop3 int) {
	dir := filepath.Dir(c.State)
	authority, err := ca.New()
	must(t, err)
	certificate, err := authority.Issue("localhost")
	must(t, err)
	h.tls = &tls.Config{Certificates: []tls.Certificate{certificate}}
	endpoint, imap, smtp, upstreamPOP3, proxy := anyPort(t), anyPort(t), anyPort(t), anyPort(t), anyPort(t)
	web := &http.Server{Handler: h}
	go web.Serve(endpoint)
	go h.serve(imap, false, (*hostilePeer).imap)
	go h.serve(smtp, true, (*hostilePeer).smtp)
	go h.serve(upstreamPOP3, false, (*hostilePeer).pop3)
	go h.proxy(proxy)
	t.Cleanup(func() {
		web.Close()
		for _, ln := range []net.Listener{imap, smtp, upstreamPOP3, proxy} {
			ln.Close()
		}
	})
	port := func(ln net.Listener) int { return ln.Addr().(*net.TCPAddr).Port }
	c.Issuer = "http://" + endpoint.Addr().String()
	c.ClientSecret = "GOCSPX-" + h.newToken("client secret")
	h.learn("client secret", c.ClientSecret)
	c.UpstreamIMAP, c.UpstreamSMTP = port(imap), port(smtp)

	command, assertion := newToken(), newToken() // which h sees when they are used
	h.watch("token of a command", command)
	h.watch("client assertion", assertion)
	c.Extra = fmt.Sprintf(leakConfig, pop3, port(upstreamPOP3), c.ClientSecret, c.Issuer, port(imap), c.Hash, command)
	account := func(name, provider string) {
		c.Extra += fmt.Sprintf("\n[account.%q]\nprovider = %q\npassword_hash = %q\n", name, provider, c.Hash)
	}
	for _, mode := range endpointModes {
		account(accountOf(mode), "example")
	}
	for _, mode := range deviceModes {
		account(deviceOf(mode), "device")
	}
	id := credential(t, daemonUser)
	// It has no character that encodings change, and is long enough that parts of it are
	// hidden.
	proxyPassword := "pr0xy" + rand.Text()[:15]
	h.learn("password of a proxy", proxyPassword)
	for name, text := range map[string]string{
		"ca.pem":           string(authority.PEM()),
		"upstream.secret":  "hx~kd qp+wz mv/bn rtys",
		"app.secret":       "lqcf bnxo wevk ygha",
		"assertion.secret": assertion,
		"proxy.secret":     fmt.Sprintf("http://joe:%s@127.0.0.1:%d", proxyPassword, port(proxy)),
	} {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o640))
		must(t, os.Chown(path, 0, int(id.Gid)))
	}
	grants, err := store.Open(c.State, store.Encryption{})
	must(t, err)
	defer grants.Close()
	for _, mode := range endpointModes {
		g := oauth.Grant{
			AccessToken: h.newToken("access token"), RefreshToken: h.newToken("refresh token"),
			Obtained: time.Now().Add(-2 * time.Hour), Expiry: time.Now().Add(-time.Hour),
		}
		h.modes[g.RefreshToken] = mode
		must(t, grants.Save(accountOf(mode), g))
	}
}

// proxy is an HTTP proxy that repeats the credentials of a request in place of a status.
func (h *hostile) proxy(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		b := make([]byte, 4096)
		n, _ := c.Read(b)
		_, authorization, _ := strings.Cut(string(b[:n]), "Proxy-Authorization: Basic ")
		authorization, _, _ = strings.Cut(authorization, "\r\n")
		fmt.Fprintf(c, "%s %s\r\n\r\n", authorization, h.words(600))
		c.Close()
	}
}

// A listening stores all output of a daemon.
type listening struct {
	*target
	pop3 int
	said map[string]string // by where
}

// logIn logs in once and stores the replies.
func (l *listening) logIn(t *testing.T, protocol, account, why string) {
	t.Helper()
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + account + "\x00" + targetPassword))
	port, script := map[string]int{"imap": l.imap, "smtp": l.smtp, "pop3": l.pop3}[protocol], map[string]string{
		"imap": fmt.Sprintf("a LOGIN %q %q\r\nb LOGOUT\r\n", account, targetPassword),
		"smtp": "EHLO localhost\r\nAUTH PLAIN " + plain + "\r\nQUIT\r\n",
		"pop3": "CAPA\r\nUSER " + account + "\r\nPASS " + targetPassword + "\r\nQUIT\r\n",
	}[protocol]
	c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
	must(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(c, script)
	said, err := io.ReadAll(c)
	if len(said) == 0 || err != nil {
		t.Errorf("%s, %s: of the replies there is %q: %v", why, protocol, said, err)
	}
	l.said[fmt.Sprintf("reply, %s, %s", protocol, why)] = string(said)
}

// look stores the output of all commands and pages that show the state of an account.
func (l *listening) look(t *testing.T, why, account string) {
	t.Helper()
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"check", "--json", account}, {"check", account}} {
		l.run(t, why, args...)
	}
	for _, path := range []string{"/", "/authorize/" + account} {
		answer, err := http.Get(fmt.Sprintf("http://localhost:%d%s", l.web, path))
		l.said["page "+path+", "+why] = page(t, answer, err)
	}
	answer, err := http.Get(fmt.Sprintf("http://localhost:%d/metrics", l.metrics))
	l.said["metrics, "+why] = page(t, answer, err)
}

// run runs a command, which may fail.
func (l *listening) run(t *testing.T, why string, args ...string) {
	t.Helper()
	out, err := exec.Command(buildProgram(t), append([]string{args[0], "--config", l.file}, args[1:]...)...).CombinedOutput()
	if len(out) == 0 {
		t.Errorf("%q says nothing: %v", args, err)
	}
	l.said[strings.Join(args, " ")+", "+why] += string(out)
}

// authorize authorizes an account by the pages, as far as the provider allows it. It
// requests the result until the page does not reload itself any more, for at most three
// seconds.
func (l *listening) authorize(t *testing.T, why, account string) {
	t.Helper()
	p := l.newPerson(t)
	answer, err := p.browser.PostForm(fmt.Sprintf("http://localhost:%d/authorize/%s", l.web, account), nil)
	must(t, err)
	result := answer.Request.URL.String()
	l.said["authorize "+account+", "+why] = page(t, answer, nil)
	for end := time.Now().Add(3 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		answer, err = p.browser.Get(result)
		text := page(t, answer, err)
		l.said["result "+account+", "+why] += text
		if !strings.Contains(text, `http-equiv="refresh"`) || time.Now().After(end) {
			break
		}
	}
	l.look(t, "authorize, "+why, account)
}

// search searches all output for parts of secrets, with escapes and without.
func (h *hostile) search(t *testing.T, said map[string]string) {
	t.Helper()
	// A peer that sends a secret in lines of a few bytes shows the first ones before they can
	// be known: fewer than 8 octets, which are up to 15 hexadecimal digits.
	const part, hexPart = 12, 16
	parts := make(map[string]string)
	kinds := make(map[string]bool)
	for secret, what := range h.known() {
		kinds[what] = true
		for form, n := range map[string]int{
			secret:                             part,
			hex.EncodeToString([]byte(secret)): hexPart,
			base64.StdEncoding.EncodeToString([]byte(secret)):            part,
			base64.StdEncoding.EncodeToString([]byte(" " + secret))[2:]:  part,
			base64.StdEncoding.EncodeToString([]byte("  " + secret))[3:]: part,
		} {
			form = strings.ReplaceAll(strings.ToLower(strings.NewReplacer("-", "+", "_", "/", "=", "").Replace(form)), " ", "")
			for i := 0; i+n <= len(form); i++ {
				parts[form[i:i+n]] = what
			}
		}
	}
	for _, what := range []string{
		"access token", "refresh token", "client secret", "code", "PKCE verifier", "device code", "client assertion",
		"app password", "user's password", "token of a command", "password of a proxy",
	} {
		if !kinds[what] {
			t.Errorf("no %s was seen", what)
		}
	}
	for where, text := range said {
		if strings.Contains(text, targetPassword) {
			t.Errorf("%s: the local password", where)
		}
		for reading, text := range readings(text) {
			text = strings.ToLower(strings.NewReplacer("-", "+", "_", "/", "=", "").Replace(text))
			for i := range text {
				if what := cmp.Or(parts[text[i:min(i+part, len(text))]], parts[text[i:min(i+hexPart, len(text))]]); what != "" {
					t.Errorf("%s, %s: part of a %s: %q", where, reading, what, text[max(0, i-100):min(len(text), i+100)])
					break
				}
			}
		}
	}
	t.Logf("%d secrets, %d places", len(h.known()), len(said))
	if !strings.Contains(said["log"], "(hidden)") || !strings.Contains(said["log"], "level=DEBUG") {
		t.Error("nothing was hidden in the log, or it does not tell all")
	}
}

// readings returns a text, and the text without escapes.
func readings(text string) map[string]string {
	hexadecimal := regexp.MustCompile(`%[0-9A-Fa-f]{2}|\\+u00[0-9A-Fa-f]{2}`)
	undo := func(s string) string {
		return hexadecimal.ReplaceAllStringFunc(s, func(e string) string {
			b, _ := hex.DecodeString(e[len(e)-2:])
			return string(b)
		})
	}
	plain := strings.Join(strings.Fields(text), "")
	return map[string]string{
		"as it is":                         text,
		"without spaces":                   plain,
		"unescaped":                        undo(plain),
		"unescaped HTML":                   html.UnescapeString(plain),
		"unescaped HTML and others":        undo(html.UnescapeString(plain)),
		"unescaped HTML and others, twice": undo(undo(html.UnescapeString(html.UnescapeString(plain)))),
	}
}
