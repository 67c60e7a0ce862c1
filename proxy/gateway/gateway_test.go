package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/internal/testing/graph"
	"github.com/xoauthd/xoauthd/internal/testing/mailapi"
)

const (
	mailboxName = "joe@example.com"
	firstToken  = "token-1"
	message     = "From: joe@example.com\r\nTo: ann@example.net\r\nSubject: test\r\n\r\nHello\r\n"
)

// tokens are the access tokens of an account: each call for another than the present one
// moves on to the next.
type tokens struct {
	mu   sync.Mutex
	list []string
}

func (s *tokens) Token(_ context.Context, stale string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) > 1 && s.list[0] == stale {
		s.list = s.list[1:]
	}
	if len(s.list) == 0 {
		return "", errors.New("no token")
	}
	return s.list[0], nil
}

// A captured deliverer accepts everything and keeps it.
type capturer struct {
	traits Traits
	mu     sync.Mutex
	got    []captured
}

type captured struct {
	Message
	content []byte
}

func (c *capturer) Traits() Traits { return c.traits }

func (c *capturer) Deliver(_ context.Context, m *Message) Result {
	content, err := io.ReadAll(m.Open())
	if err != nil || int64(len(content)) != m.Size {
		return Result{Kind: Internal, Err: errors.New("size is wrong"), Reply: status("451 4.3.0").reply("size is wrong")}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, captured{*m, content})
	return Result{Kind: Accepted, Reply: status("250 2.0.0").reply("captured")}
}

func (c *capturer) messages() []captured {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got
}

// A fixture is a gateway with one account.
type fixture struct {
	*Server
	account *Account
	tokens  *tokens

	mu      sync.Mutex
	reports []Report
}

// newFixture returns a gateway that delivers by d.
func newFixture(t testing.TB, d Deliverer) *fixture {
	f := &fixture{tokens: &tokens{list: []string{firstToken}}}
	f.account = &Account{Name: "joe", Mailbox: mailboxName, Token: f.tokens.Token}
	f.Server = &Server{
		Name: "gateway.test", Deliverer: d, TempDir: t.TempDir(),
		Account: func(user, token string) (*Account, error) {
			if user != mailboxName {
				return nil, errors.New("unknown")
			}
			return f.account, nil
		},
		Report: func(r Report) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.reports = append(f.reports, r)
		},
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// last returns the last report.
func (f *fixture) last(t testing.TB) Report {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.reports) == 0 {
		t.Fatal("there is no report")
	}
	return f.reports[len(f.reports)-1]
}

// handled is a transport that calls a handler without a network.
type handled struct{ http.Handler }

func (h handled) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	r.RequestURI = ""
	h.ServeHTTP(w, r)
	return w.Result(), nil
}

// newGraph returns a fake of Graph on loopback, with a gateway in front of it.
func newGraph(t testing.TB) (*fixture, *graph.Server) {
	fake := &graph.Server{}
	fake.Allow(firstToken, mailboxName)
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	return newFixture(t, &Graph{BaseURL: server.URL + "/v1.0", Hold: 900 * time.Millisecond}), fake
}

// A client is the client side of a session.
type client struct {
	net.Conn
	t  testing.TB
	in *textproto.Conn
}

// connect returns a client that has read the greeting.
func (f *fixture) connect(t testing.TB, d *Device) *client {
	t.Helper()
	conn, err := f.dial(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &client{Conn: conn, t: t, in: textproto.NewConn(conn)}
	c.expect("220 gateway.test")
	return c
}

// reply returns the next reply, its lines joined.
func (c *client) reply() string {
	c.t.Helper()
	var lines []string
	for {
		line, err := c.in.ReadLine()
		if err != nil {
			lines = append(lines, err.Error())
			return strings.Join(lines, "\n")
		}
		lines = append(lines, line)
		if len(line) < 4 || line[3] != '-' {
			return strings.Join(lines, "\n")
		}
	}
}

func (c *client) expect(prefix string) string {
	c.t.Helper()
	got := c.reply()
	if !strings.HasPrefix(got, prefix) {
		c.t.Fatalf("reply: %q, want %q", got, prefix)
	}
	return got
}

// say sends a command and expects a reply with prefix.
func (c *client) say(command, prefix string) string {
	c.t.Helper()
	c.send(command + "\r\n")
	return c.expect(prefix)
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, s); err != nil {
		c.t.Fatal(err)
	}
}

func xoauth2(user, token string) string {
	return base64.StdEncoding.EncodeToString([]byte("user=" + user + "\x01auth=Bearer " + token + "\x01\x01"))
}

// login authenticates.
func (c *client) login() *client {
	c.t.Helper()
	c.say("EHLO client.test", "250")
	c.say("AUTH XOAUTH2 "+xoauth2(mailboxName, firstToken), "235 ")
	return c
}

// stuffed returns content as it follows DATA (RFC 5321 section 4.5.2).
func stuffed(content string) string {
	if strings.HasPrefix(content, ".") {
		content = "." + content
	}
	content = strings.ReplaceAll(content, "\r\n.", "\r\n..")
	if !strings.HasSuffix(content, "\r\n") {
		content += "\r\n"
	}
	return content + ".\r\n"
}

// transmit sends a message and returns the reply to it.
func (c *client) transmit(content string, to ...string) string {
	c.t.Helper()
	c.say("MAIL FROM:<joe@example.com>", "250 ")
	for _, a := range to {
		c.say("RCPT TO:<"+a+">", "250 ")
	}
	c.say("DATA", "354 ")
	c.send(stuffed(content))
	return c.reply()
}

func TestDelivery(t *testing.T) {
	f, fake := newGraph(t)
	c := f.connect(t, nil).login()
	reply := c.transmit(message, "ann@example.net")
	if want := "250 2.0.0 accepted by Microsoft Graph, request id 00000000-0000-4000-8000-000000000001"; reply != want {
		t.Errorf("reply: %q, want %q", reply, want)
	}
	got := fake.Messages()
	if len(got) != 1 || string(got[0].Raw) != message || got[0].Mailbox != mailboxName {
		t.Fatalf("messages: %q", got)
	}
	r := f.last(t)
	if r.Account != "joe" || r.Sender != "joe@example.com" || r.Recipients != 1 || r.Size != int64(len(message)) ||
		r.Deliverer != "graph" || r.Result.Kind != Accepted || r.ReplyText() != reply || !strings.HasSuffix(reply, r.Result.RequestID) {
		t.Errorf("report: %+v", r)
	}
	c.transmit(message, "ann@example.net") // a second message in the session
	if n := len(fake.Messages()); n != 2 {
		t.Errorf("messages: %d", n)
	}
	c.say("QUIT", "221 ")
}

func TestEHLO(t *testing.T) {
	f, _ := newGraph(t)
	c := f.connect(t, nil)
	got := c.say("EHLO client.test", "250")
	want := "250-Hello client.test\n250-PIPELINING\n250-8BITMIME\n250-ENHANCEDSTATUSCODES\n" +
		"250-AUTH XOAUTH2 OAUTHBEARER\n250 SIZE 3145728"
	if got != want {
		t.Errorf("EHLO: %q, want %q", got, want)
	}
}

// The replies are those of this project, whatever go-smtp says.
func TestUsualReplies(t *testing.T) {
	f, _ := newGraph(t)
	c := f.connect(t, nil).login()
	for command, want := range map[string]string{"NOOP": "250 2.0.0 OK", "RSET": "250 2.0.0 Session reset"} {
		if got := c.say(command, "250 "); got != want {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
	if got := c.say("MAIL FROM:<joe@example.com>", ""); got != "250 2.1.0 OK" {
		t.Errorf("MAIL: %q", got)
	}
	if got := c.say("RCPT TO:<ann@example.net>", ""); got != "250 2.1.5 OK" {
		t.Errorf("RCPT: %q", got)
	}
}

func TestAUTH(t *testing.T) {
	f, _ := newGraph(t)
	c := f.connect(t, nil)
	c.say("EHLO client.test", "250")
	c.say("MAIL FROM:<joe@example.com>", "530 5.7.0 ")
	c.say("AUTH XOAUTH2 "+xoauth2("other@example.com", firstToken), "535 5.7.8 ")
	c.say("AUTH XOAUTH2 "+base64.StdEncoding.EncodeToString([]byte("nonsense")), "501 5.5.2 ")
	c.say("AUTH PLAIN AGEAYg==", "504 5.7.4 ")
	c.say("AUTH XOAUTH2", "334 ")
	long := strings.Repeat("x", 16<<10) // the longest token
	c.say(xoauth2(mailboxName, long), "235 ")
	c.say("MAIL FROM:<joe@example.com>", "250 ")
}

func TestOAUTHBEARER(t *testing.T) {
	f, _ := newGraph(t)
	c := f.connect(t, nil)
	c.say("EHLO client.test", "250")
	c.say("AUTH OAUTHBEARER "+base64.StdEncoding.EncodeToString([]byte("n,a="+mailboxName+",\x01auth=Bearer x\x01\x01")), "235 ")
}

// Each command and the message in one segment, as PIPELINING allows (RFC 2920).
func TestPipelining(t *testing.T) {
	f, fake := newGraph(t)
	c := f.connect(t, nil).login()
	go io.WriteString(c.Conn, "MAIL FROM:<joe@example.com>\r\nRCPT TO:<ann@example.net>\r\nDATA\r\n"+stuffed(message)+
		"MAIL FROM:<joe@example.com>\r\nRCPT TO:<ann@example.net>\r\nDATA\r\n"+stuffed(message)+"QUIT\r\n")
	for _, want := range []string{"250 ", "250 ", "354 ", "250 ", "250 ", "250 ", "354 ", "250 ", "221 "} {
		c.expect(want)
	}
	if n := len(fake.Messages()); n != 2 {
		t.Errorf("messages: %d, want 2", n)
	}
}

func TestAppOnly(t *testing.T) {
	fake := &graph.Server{AppOnly: true}
	fake.Allow(firstToken, mailboxName)
	server := httptest.NewServer(fake)
	defer server.Close()
	f := newFixture(t, &Graph{BaseURL: server.URL + "/v1.0/", AppOnly: true})
	if got := f.connect(t, nil).login().transmit(message, "ann@example.net"); !strings.HasPrefix(got, "250 ") {
		t.Error(got)
	}
}

// A refused token is replaced once, by another one, and the message is sent again whole.
func TestTokenIsReplaced(t *testing.T) {
	f, fake := newGraph(t)
	f.tokens.list = []string{"old", "new"}
	fake.Allow("new", mailboxName)
	large := message + strings.Repeat("0123456789abcdef\r\n", 40000) // in a file
	if got := f.connect(t, nil).login().transmit(large, "ann@example.net"); !strings.HasPrefix(got, "250 ") {
		t.Fatal(got)
	}
	if n := fake.Requests(); n != 2 {
		t.Errorf("requests: %d, want 2", n)
	}
	if got := fake.Messages(); len(got) != 1 || string(got[0].Raw) != large {
		t.Error("the message differs")
	}
}

func TestTokenRefusedTwice(t *testing.T) {
	for _, list := range [][]string{{"old"}, {"old", "older"}} {
		f, fake := newGraph(t)
		f.tokens.list = list
		c := f.connect(t, nil).login()
		if got := c.transmit(message, "ann@example.net"); !strings.HasPrefix(got, "451 4.7.1 ") {
			t.Error(got)
		}
		if r := f.last(t); r.Result.Kind != TokenRefused {
			t.Errorf("report: %+v", r)
		}
		if n := fake.Requests(); n != len(list) {
			t.Errorf("requests: %d, want %d", n, len(list))
		}
	}
}

func TestNoToken(t *testing.T) {
	f, fake := newGraph(t)
	f.tokens.list = nil
	if got := f.connect(t, nil).login().transmit(message, "ann@example.net"); !strings.HasPrefix(got, "451 4.7.0 ") {
		t.Error(got)
	}
	f.account.Token = func(context.Context, string) (string, error) {
		return "", status("454 4.7.0").reply("authorize again")
	}
	if got := f.connect(t, nil).login().transmit(message, "ann@example.net"); got != "454 4.7.0 authorize again" {
		t.Error(got)
	}
	if n := fake.Requests(); n != 0 {
		t.Errorf("requests: %d", n)
	}
}

// If the connection breaks after the whole request was sent, the message may have been sent
// and the client must not hear that it was, whatever happened.
func TestMaybeSent(t *testing.T) {
	for _, accepted := range []bool{false, true} {
		f, fake := newGraph(t)
		fake.Fail(mailapi.Fault{Break: mailapi.BreakAfter, Accept: accepted})
		got := f.connect(t, nil).login().transmit(message, "ann@example.net")
		if !strings.HasPrefix(got, "451 4.4.2 ") || !strings.Contains(got, "may have been sent") {
			t.Error(got)
		}
		r := f.last(t)
		if r.Result.Kind != MaybeSent || !errors.Is(r.Result.Err, errMaybeSent) {
			t.Errorf("report: %+v", r)
		}
		if n := fake.Requests(); n != 1 { // sending again could deliver it twice
			t.Errorf("requests: %d, want 1", n)
		}
	}
}

func TestUnexpectedSuccess(t *testing.T) {
	f, fake := newGraph(t)
	fake.Fail(mailapi.Fault{Status: 200, Body: "<html>Log in to the hotel's network</html>"})
	if got := f.connect(t, nil).login().transmit(message, "ann@example.net"); !strings.HasPrefix(got, "451 4.4.2 ") {
		t.Error(got)
	}
	if r := f.last(t); r.Result.Kind != MaybeSent {
		t.Errorf("report: %+v", r)
	}
}

// A redirect would send the token and the message to another server.
func TestRedirect(t *testing.T) {
	elsewhere := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere = true }))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	f := newFixture(t, &Graph{BaseURL: server.URL})
	if got := f.connect(t, nil).login().transmit(message, "ann@example.net"); !strings.HasPrefix(got, "451 4.3.0 ") {
		t.Error(got)
	}
	if elsewhere {
		t.Error("the redirect was followed")
	}
}

func TestUnreachable(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	f := newFixture(t, &Graph{BaseURL: server.URL})
	if got := f.connect(t, nil).login().transmit(message, "ann@example.net"); !strings.HasPrefix(got, "451 4.4.1 ") {
		t.Error(got)
	}
	if r := f.last(t); r.Result.Kind != Unavailable || r.Result.Err == nil {
		t.Errorf("report: %+v", r)
	}
}

// What the API says cannot add lines to the reply or control characters to the log.
func TestHostileAnswer(t *testing.T) {
	f, fake := newGraph(t)
	fake.Fail(mailapi.Fault{Status: 400, Code: "Bad\r\n250 ok", Message: "x\r\n\x1b[31m\u202e250 2.0.0 fine" + strings.Repeat("long ", 1000)})
	got := f.connect(t, nil).login().transmit(message, "ann@example.net")
	if !strings.HasPrefix(got, "554 5.6.0 ") || len(got) > 510 || strings.ContainsAny(got, "\r\n\x1b") {
		t.Errorf("reply: %q", got)
	}
}

func TestRecipientLimit(t *testing.T) {
	f, fake := newGraph(t)
	c := f.connect(t, nil).login()
	c.say("MAIL FROM:<joe@example.com>", "250 ")
	refused := 0
	for range 10000 {
		c.send("RCPT TO:<ann@example.net>\r\n")
		if strings.HasPrefix(c.reply(), "452 4.5.3 ") {
			refused++
		}
	}
	if refused != 9500 {
		t.Errorf("refused: %d, want 9500", refused)
	}
	c.say("DATA", "354 ")
	c.send(stuffed(message))
	c.expect("250 ")
	if n := len(fake.Messages()); n != 1 {
		t.Errorf("messages: %d", n)
	}
}

func TestSize(t *testing.T) {
	f, fake := newGraph(t)
	c := f.connect(t, nil).login()
	c.say("MAIL FROM:<joe@example.com> SIZE=3145729", "552 5.3.4 ")
	c.say("MAIL FROM:<joe@example.com> SIZE=3145728", "250 ")
	c.say("RSET", "250 ")

	exact := message + strings.Repeat(strings.Repeat("x", 998)+"\r\n", 3144)
	exact += strings.Repeat("y", maxGraph-len(exact)-2) + "\r\n"
	if got := c.transmit(exact, "ann@example.net"); !strings.HasPrefix(got, "250 ") {
		t.Error(got)
	}
	if got := c.transmit(exact+"z\r\n", "ann@example.net"); !strings.HasPrefix(got, "552 5.3.4 ") {
		t.Error(got)
	}
	// The Bcc field does not fit any more.
	if got := c.transmit(exact, "ann@example.net", "bob@example.org"); !strings.HasPrefix(got, "552 5.3.4 ") {
		t.Error(got)
	}
	if n := len(fake.Messages()); n != 1 {
		t.Errorf("messages: %d, want 1", n)
	}
	c.say("NOOP", "250 ") // the session goes on
}

func TestHeaderLimit(t *testing.T) {
	f, _ := newGraph(t)
	c := f.connect(t, nil).login()
	huge := "From: joe@example.com\r\n" + strings.Repeat("X-Pad: "+strings.Repeat("x", 500)+"\r\n", 2100) + "To: ann@example.net\r\n\r\nx\r\n"
	if got := c.transmit(huge, "ann@example.net"); !strings.HasPrefix(got, "552 5.3.4 the header") {
		t.Error(got)
	}
	// One field of 1 MB.
	if got := c.transmit("To: "+strings.Repeat("ann@example.net,", 1<<16)+"\r\n\r\n", "ann@example.net"); !strings.HasPrefix(got, "552 5.3.4 the header") {
		t.Error(got)
	}
}

func TestDeepMIME(t *testing.T) {
	f, fake := newGraph(t)
	deep := message + strings.Repeat("--x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n", 20000)
	if got := f.connect(t, nil).login().transmit(deep, "ann@example.net"); !strings.HasPrefix(got, "250 ") {
		t.Error(got)
	}
	if got := fake.Messages(); len(got) != 1 || string(got[0].Raw) != deep {
		t.Error("the message differs")
	}
}

// The name of the file of a large message is gone while the message is still received.
func TestSpoolHasNoName(t *testing.T) {
	f, _ := newGraph(t)
	c := f.connect(t, nil).login()
	c.say("MAIL FROM:<joe@example.com>", "250 ")
	c.say("RCPT TO:<ann@example.net>", "250 ")
	c.say("DATA", "354 ")
	c.send(message + strings.Repeat("0123456789abcdef\r\n", 40000))
	if files, _ := filepath.Glob(filepath.Join(f.TempDir, "*")); len(files) > 0 {
		t.Errorf("files: %q", files)
	}
	c.send(".\r\n")
	c.expect("250 ")
}

func TestSpoolFails(t *testing.T) {
	f, fake := newGraph(t)
	f.TempDir = filepath.Join(f.TempDir, "missing")
	c := f.connect(t, nil).login()
	if got := c.transmit(message+strings.Repeat("0123456789abcdef\r\n", 40000), "ann@example.net"); !strings.HasPrefix(got, "452 4.3.1 ") {
		t.Error(got)
	}
	if r := f.last(t); r.Result.Kind != Internal || !errors.Is(r.Result.Err, os.ErrNotExist) {
		t.Errorf("report: %+v", r)
	}
	if got := c.transmit(message, "ann@example.net"); !strings.HasPrefix(got, "250 ") { // small ones need no file
		t.Error(got)
	}
	if n := len(fake.Messages()); n != 1 {
		t.Errorf("messages: %d", n)
	}
}

// BDAT is not offered. Its data must not be read as commands.
func TestBDAT(t *testing.T) {
	f, fake := newGraph(t)
	c := f.connect(t, nil).login()
	c.say("MAIL FROM:<joe@example.com>", "250 ")
	c.say("RCPT TO:<ann@example.net>", "250 ")
	go io.WriteString(c.Conn, "BDAT 6 LAST\r\nNOOP\r\nNOOP\r\n")
	c.expect("421 ")
	if got := c.reply(); got != "EOF" {
		t.Errorf("after BDAT: %q", got)
	}
	if len(fake.Messages()) != 0 {
		t.Error("a message was sent")
	}
}

func TestLongCommand(t *testing.T) {
	f, _ := newGraph(t)
	c := f.connect(t, nil)
	go io.Copy(c.Conn, bytes.NewReader(bytes.Repeat([]byte("x"), 1<<20)))
	c.expect("500 ")
}
