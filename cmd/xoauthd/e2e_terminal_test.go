package main_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// A terminal is a running command that a person operates.
type terminal struct {
	*daemon
	file string // what it has said
	keys io.WriteCloser
	cmd  *exec.Cmd
}

// atTerminal starts the program. The end of the test stops it.
func (d *daemon) atTerminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	x := &terminal{daemon: d, file: filepath.Join(d.dir, "terminal-"+args[0])}
	said, err := os.Create(x.file)
	must(t, err)
	defer said.Close()
	x.cmd = exec.Command(d.program, append(args, "--config", d.file, d.user)...)
	x.cmd.Stdout, x.cmd.Stderr = said, said
	x.keys, err = x.cmd.StdinPipe()
	must(t, err)
	must(t, x.cmd.Start())
	showing(t, x.file)
	t.Cleanup(func() { x.cmd.Process.Kill() }) // if it is still there
	return x
}

// shows waits until the output matches pattern, and returns its first group.
func (x *terminal) shows(t *testing.T, pattern string) (found string) {
	t.Helper()
	poll(t, pattern, func() bool {
		b, err := os.ReadFile(x.file)
		must(t, err)
		m := regexp.MustCompile(pattern).FindSubmatch(b)
		if m != nil {
			found = string(m[1])
		}
		return m != nil
	})
	return found
}

// ends waits until the program exits, and stores its output for the search for secrets.
func (x *terminal) ends(t *testing.T) {
	t.Helper()
	if err := end(x.cmd); err != nil {
		t.Errorf("the program ended: %v", err)
	}
	b, err := os.ReadFile(x.file)
	must(t, err)
	x.said[x.file] += string(b)
}

// testDevice authorizes with a device code.
func testDevice(t *testing.T, e *env) {
	d := e.newDaemonWith(t, func(c *daemonConfig) {
		c.Provider = fmt.Sprintf(`flow = "device_code"
client_id     = %q
client_secret = %q
auth_style    = "header"
device_authorization_url = "%[3]s/device_authorization"
token_url     = "%[3]s/token"
scopes        = ["mail", "offline_access"]
`, c.ClientID, c.ClientSecret, c.Issuer)
	})
	link := fmt.Sprintf("http://localhost:%d/authorize/%s", d.web, d.user)
	d.refusedEverywhere(t, []string{"454 4.7.0", link}, []string{"[CONTACTADMIN]", link}, []string{"[SYS/PERM]", link})

	const shown = "Enter there the code\n\n(.+)\n"
	x := d.atTerminal(t, "authorize")
	must(t, e.provider.idp.Load().DenyDevice(x.shows(t, shown)))
	x.shows(t, "(Access was refused)")
	if err := end(x.cmd); err == nil {
		t.Error("the program says that all is well")
	}

	x = d.atTerminal(t, "authorize")
	must(t, e.provider.idp.Load().AllowDevice(x.shows(t, shown), d.user))
	x.shows(t, "("+d.user+" is authorized)")
	x.ends(t)
	d.worksEverywhere(t)
	d.expire(t)
	d.worksEverywhere(t)
	d.examined(t)
}

// testTerminal authorizes with a browser that cannot connect to the daemon.
func testTerminal(t *testing.T, e *env) {
	d := e.newDaemon(t)
	x := d.atTerminal(t, "authorize", "--terminal")
	address := x.shows(t, `(http://\S+/authorize\S+)\n`)

	fmt.Fprintln(x.keys, "http://localhost/nothing")
	x.shows(t, "(Invalid address)")
	ended := d.consents(t, address)
	fmt.Fprintln(x.keys, ended)
	x.shows(t, "("+d.user+" is authorized)")
	x.ends(t)
	d.worksEverywhere(t)

	// The pasted address works once, and only for the command that started the
	// authorization.
	x = d.atTerminal(t, "authorize", "--terminal")
	x.shows(t, "(Address: )")
	fmt.Fprintln(x.keys, ended)
	x.shows(t, "(Invalid address)")
	must(t, x.keys.Close())
	if err := end(x.cmd); err == nil {
		t.Error("the program says that all is well")
	}
	d.worksEverywhere(t)
}

// consents consents at the provider, and returns the redirect URL without opening it.
func (d *daemon) consents(t *testing.T, link string) (ended string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	browser := &http.Client{
		Timeout:   patience,
		Jar:       jar,
		Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			if r.URL.Path == "/callback" {
				ended = r.URL.String()
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
	page := d.visit(t, browser, http.MethodGet, link, nil)
	answer, err := browser.PostForm(d.provider.issuer+"/login", url.Values{
		"id":      {attribute(t, page, `input type="hidden" name="id"`, "value")},
		"mailbox": {d.user},
		"answer":  {"allow"},
	})
	must(t, err)
	answer.Body.Close()
	if ended == "" {
		t.Fatalf("the browser does not come to its end: %s", answer.Status)
	}
	return ended
}

// examined checks that `xoauthd check` finds no fault of the account.
func (d *daemon) examined(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{{"check"}, {"check", "--json"}, {"status"}} {
		out := d.run(t, command{}, d.program, append(args, "--config", d.file, d.user)...)
		d.said[fmt.Sprint(d.dir, args)] += out
	}
}
