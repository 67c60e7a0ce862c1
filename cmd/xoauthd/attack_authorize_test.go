package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/smtp"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/internal/testing/ca"
	"github.com/xoauthd/xoauthd/internal/testing/mailhost"
)

// floodAuthorize begins authorizations until it is killed. It uses many connections,
// pipelines its requests, and sends another cookie and address with each. It prints a line
// when it is refused.
func floodAuthorize(args []string) error {
	if len(args) != 2 {
		return errors.New("want port and account")
	}
	var n atomic.Int64
	request := func() string {
		i := n.Add(1)
		return fmt.Sprintf("POST /authorize/%s HTTP/1.1\r\nHost: localhost:%s\r\nCookie: xoauthd=%d\r\nX-Forwarded-For: 203.0.%d.%d\r\nContent-Length: 0\r\n\r\n",
			args[1], args[0], i, i/250%250, i%250)
	}
	flood := func() error {
		c, err := net.Dial("tcp", "127.0.0.1:"+args[0])
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second)) // beyond which nobody reads here
		for {
			if _, err := io.WriteString(c, request()); err != nil {
				return err
			}
		}
	}
	for range 20 {
		go func() {
			for {
				flood()
			}
		}()
	}
	for {
		c, err := net.Dial("tcp", "127.0.0.1:"+args[0])
		if err != nil {
			continue
		}
		c.SetDeadline(time.Now().Add(5 * time.Second))
		io.WriteString(c, request())
		if status, err := bufio.NewReader(c).ReadString('\n'); err == nil && strings.Contains(status, " 429 ") {
			fmt.Println("refused")
		}
		c.Close()
	}
}

// A person has a browser with its own cookies.
type person struct {
	*target
	browser *http.Client
}

func (d *target) newPerson(t *testing.T) *person {
	t.Helper()
	d.waitFor(t, "the pages", func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", d.web))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &person{d, &http.Client{Jar: jar, Timeout: time.Minute}}
}

// page returns the body of a response.
func page(t *testing.T, answer *http.Response, err error) string {
	t.Helper()
	must(t, err)
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	must(t, err)
	return string(b)
}

// begin presses the button on an account's page, and returns the provider's page.
func (p *person) begin(t *testing.T, account string) string {
	t.Helper()
	answer, err := p.browser.PostForm(fmt.Sprintf("http://localhost:%d/authorize/%s", p.web, account), nil)
	return page(t, answer, err)
}

// agree consents on the provider's page, and returns the URL to which that leads and the
// page there.
func (p *person) agree(t *testing.T, form string) (ended, said string) {
	t.Helper()
	id := regexp.MustCompile(`name="id" value="([^"]+)"`).FindStringSubmatch(form)
	if id == nil {
		t.Fatalf("this is no page of the provider: %s", form)
	}
	answer, err := p.browser.PostForm(p.issuer+"/login", url.Values{"id": {id[1]}, "mailbox": {targetAccount}, "answer": {"allow"}})
	must(t, err)
	return answer.Header.Get("Location"), page(t, answer, nil)
}

// authorized fails the test unless said is the page of a successful authorization.
func authorized(t *testing.T, who, said string) {
	t.Helper()
	if !strings.Contains(said, targetAccount+" is authorized") {
		t.Errorf("%s is not authorized: %s", who, shortenLog(said))
	}
}

// TestAttackAuthorizations has another local user begin authorizations until the end of
// the test. An authorization that began before succeeds, a person can begin another one,
// and so can the administrator at a terminal.
func TestAttackAuthorizations(t *testing.T) {
	d := newTarget(t, nil)
	early := d.newPerson(t)
	form := early.begin(t, targetAccount)

	flood := d.as(t, attackerUser, "flood-authorize", fmt.Sprint(d.web), targetAccount)
	refused, err := flood.StdoutPipe()
	must(t, err)
	must(t, flood.Start())
	if _, err := refused.Read(make([]byte, 1)); err != nil {
		t.Fatalf("the flood is never refused: %v", err)
	}
	go io.Copy(io.Discard, refused)
	time.AfterFunc(3*time.Minute, func() { flood.Process.Kill() }) // in case the test hangs

	_, said := early.agree(t, form)
	authorized(t, "who began before the flood", said)
	late := d.newPerson(t)
	_, said = late.agree(t, late.begin(t, targetAccount))
	authorized(t, "who begins during the flood", said)
	authorized(t, "the administrator at a terminal", d.authorizeAtTerminal(t))
	if took := d.logIn(t); took > 10*time.Second {
		t.Errorf("a login took %v", took)
	}
}

// authorizeAtTerminal runs the command as daemonUser, and returns its output.
func (d *target) authorizeAtTerminal(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(buildProgram(t), "authorize", "--terminal", "--config", d.file, targetAccount)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential(t, daemonUser), Pdeathsig: syscall.SIGKILL}
	keys, err := cmd.StdinPipe()
	must(t, err)
	said, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	defer cmd.Wait()
	time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
	var all bytes.Buffer
	lines := bufio.NewScanner(io.TeeReader(said, &all))
	for lines.Scan() && !strings.HasPrefix(lines.Text(), d.issuer) {
	}
	p := d.newPerson(t)
	p.browser.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), d.issuer) {
			return nil
		}
		return http.ErrUseLastResponse
	}
	answer, err := p.browser.Get(lines.Text())
	ended, _ := p.agree(t, page(t, answer, err))
	fmt.Fprintln(keys, ended)
	for lines.Scan() {
	}
	return all.String()
}

// TestAttackMixUp has a provider redirect the browser to another provider. xoauthd must
// not send the code of that one to any token endpoint.
func TestAttackMixUp(t *testing.T) {
	t.Parallel()
	var stolen atomic.Int32
	var honest string // the address of the honest provider
	var back string   // where it sends browsers
	mux := http.NewServeMux()
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		q.Set("client_id", "xoauthd-test")
		q.Set("redirect_uri", back)
		http.Redirect(w, r, honest+"/authorize?"+q.Encode(), http.StatusFound)
	})
	mux.HandleFunc("POST /token", func(http.ResponseWriter, *http.Request) { stolen.Add(1) })
	hostile := httptest.NewServer(mux)
	t.Cleanup(hostile.Close)
	d := newTarget(t, func(c *targetConfig) {
		c.Extra = fmt.Sprintf(`[provider.hostile]
client_id         = "xoauthd"
authorization_url = "%[1]s/authorize"
token_url         = "%[1]s/token"
scopes            = ["mail"]
imap = { host = "localhost", port = %[2]d }

[account."mallory@example.com"]
provider      = "hostile"
password_hash = "%[3]s"
`, hostile.URL, c.UpstreamIMAP, c.Hash)
	})
	honest, back = d.issuer, fmt.Sprintf("http://localhost:%d/callback/example", d.web)
	before := d.provider.TokenRequests()
	p := d.newPerson(t)
	_, said := p.agree(t, p.begin(t, "mallory@example.com"))
	if !strings.Contains(said, "mallory@example.com was not authorized") || !strings.Contains(said, "it arrived at another address") {
		t.Errorf("the page: %s", shortenLog(said))
	}
	if n := int(stolen.Load()) + d.provider.TokenRequests() - before; n > 0 {
		t.Errorf("%d requests for tokens", n)
	}
	p = d.newPerson(t)
	_, said = p.agree(t, p.begin(t, targetAccount))
	authorized(t, "who goes to the honest provider", said)
	d.logIn(t)
}

// startSMTP starts a mail server for SMTP, whose authority it adds to ca.pem in dir.
// It returns the port.
func startSMTP(t *testing.T, dir string, opens func(token string) (mailbox string, ok bool)) int {
	t.Helper()
	authority, err := ca.New()
	must(t, err)
	certificate, err := authority.Issue("localhost")
	must(t, err)
	file := filepath.Join(dir, "ca.pem")
	authorities, err := os.ReadFile(file)
	must(t, err)
	must(t, os.WriteFile(file, append(authorities, authority.PEM()...), 0o644))
	host := mailhost.New(mailhost.Config{Certificate: certificate, Check: opens, Mailboxes: []string{targetAccount}})
	ln := anyPort(t)
	go host.ServeSMTP(ln) // ends with an error when it is closed
	t.Cleanup(func() { host.Close() })
	return ln.Addr().(*net.TCPAddr).Port
}

// TestAttackPartialGrant authorizes by the pages with a grant for IMAP only. It must not
// replace a grant that opens SMTP too.
func TestAttackPartialGrant(t *testing.T) {
	t.Parallel()
	var d *target
	var partial atomic.Bool // SMTP refuses the tokens that it has not accepted yet
	var good sync.Map       // those that it has
	opens := func(token string) (mailbox string, ok bool) {
		if _, known := good.Load(token); !known && partial.Load() {
			return "", false
		}
		good.Store(token, true)
		return d.provider.User(token)
	}
	d = newTarget(t, func(c *targetConfig) { c.UpstreamSMTP = startSMTP(t, filepath.Dir(c.State), opens) })
	p := d.newPerson(t)
	_, said := p.agree(t, p.begin(t, targetAccount))
	authorized(t, "the administrator", said)

	partial.Store(true)
	for range 3 {
		p = d.newPerson(t)
		_, said = p.agree(t, p.begin(t, targetAccount))
		if !strings.Contains(said, "Replace the present authorization of "+targetAccount+"?") {
			t.Errorf("the page: %s", shortenLog(said))
		}
	}
	d.waitFor(t, "three lines", func() bool {
		return strings.Count(d.log.String(), `result="confirmation needed"`) == 3
	})
	d.logIn(t)
	c, err := smtp.Dial(fmt.Sprintf("127.0.0.1:%d", d.smtp))
	must(t, err)
	defer c.Close()
	if err := c.Auth(smtp.PlainAuth("", targetAccount, targetPassword, "127.0.0.1")); err != nil {
		t.Errorf("SMTP: %v", err)
	}
}
