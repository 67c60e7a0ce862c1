package main

import (
	"bufio"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// A hostile is a provider and a mail server that cooperate. They store every secret that
// they receive, and repeat it in every encoding at the point under test.
type hostile struct {
	tls *tls.Config

	mu      sync.Mutex
	secrets map[string]string // and what each is
	order   []string          // of the secrets that are repeated
	issued  []string          // tokens that are not repeated yet: they may be on their way
	next    int               // which one is repeated next, and how
	point   string            // of the mail server
	modes   map[string]string // of the token endpoint, by refresh token
	mode    string            // of the token endpoint, for others
}

// learn makes h repeat a secret.
func (h *hostile) learn(what, secret string) {
	if secret == "" {
		return
	}
	h.watch(what, secret)
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Contains(h.order, secret) {
		h.order = append(h.order, secret)
	}
}

// watch makes search look for a secret.
func (h *hostile) watch(what, secret string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.secrets == nil {
		h.secrets = make(map[string]string)
	}
	h.secrets[secret] = what
}

// forget makes h stop repeating these secrets.
func (h *hostile) forget(secrets ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.order = slices.DeleteFunc(h.order, func(s string) bool { return slices.Contains(secrets, s) })
}

// known returns the secrets and their descriptions.
func (h *hostile) known() map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make(map[string]string)
	for secret, what := range h.secrets {
		all[secret] = what
	}
	return all
}

// answers sets the mode of the token endpoint.
func (h *hostile) answers(mode string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mode = mode
	h.order, h.issued = append(h.order, h.issued...), nil
}

// at makes the mail server repeat secrets at a point.
func (h *hostile) at(point string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.point = point
	h.order, h.issued = append(h.order, h.issued...), nil
}

func (h *hostile) is(point string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.point == point
}

// forms returns the encodings of a secret.
var forms = []func(string) string{
	func(s string) string { return s },
	url.QueryEscape,
	func(s string) string { return strings.ToLower(url.QueryEscape(s)) },
	func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte("user=x\x01auth=" + s)) },
	func(s string) string { return base64.StdEncoding.EncodeToString([]byte("12" + s)) },
	func(s string) string { return hex.EncodeToString([]byte(s)) },
	func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
	func(s string) string { b, _ := json.Marshal(s + `"/`); return string(b) },
	func(s string) string { return html.EscapeString("'" + s + "'") },
	func(s string) string { return eachOctet("&#%d;", s) },
	func(s string) string { return eachOctet(`\u%04x`, s) },
	func(s string) string { return eachOctet("%%%02x", s) },
	func(s string) string { return s[:min(len(s), 20)] + "..." },
	func(s string) string { return "..." + s[max(0, len(s)-20):] },
	func(s string) string { return url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(s))) },
}

func eachOctet(format, s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, format, s[i])
	}
	return b.String()
}

// words returns a text of at most octets bytes that repeats secrets, each time in another
// encoding.
func (h *hostile) words(octets int) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var b strings.Builder
	for range 3 * len(h.order) { // none are known at first
		h.next++
		secret := h.order[h.next%len(h.order)]
		form := forms[h.next/len(h.order)%len(forms)](secret)
		if b.Len()+1+len(form) <= octets {
			b.WriteString(" " + form)
		}
	}
	return strings.TrimSpace(b.String())
}

// lines returns words in lines of a few bytes.
func (h *hostile) lines() (all []string) {
	words := h.words(300)
	for ; len(words) > 7; words = words[7:] {
		all = append(all, words[:7])
	}
	return append(all, words)
}

// newToken returns a token of the characters of RFC 6750.
func newToken() string {
	return "ya29." + rand.Text()[:12] + "-" + strings.ToLower(rand.Text()) + "_~/+" + rand.Text()[:8]
}

// newToken returns a token, which h repeats from the next point on.
func (h *hostile) newToken(what string) string {
	token := newToken()
	h.watch(what, token)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.issued = append(h.issued, token)
	return token
}

// ServeHTTP serves the endpoints of the provider.
func (h *hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.ParseForm()
	for field, what := range map[string]string{
		"client_secret": "client secret", "refresh_token": "refresh token", "token": "revoked token", "code": "code",
		"code_verifier": "PKCE verifier", "device_code": "device code", "password": "user's password",
		"client_assertion": "client assertion",
	} {
		h.learn(what, r.PostForm.Get(field))
	}
	h.mu.Lock()
	mode := h.mode
	if m, ok := h.modes[r.PostForm.Get("refresh_token")]; ok {
		mode = m
	}
	h.mu.Unlock()
	if mode != "token" { // then these are of no use to anybody
		defer h.forget(r.PostForm.Get("code"), r.PostForm.Get("code_verifier"))
	}
	switch {
	case r.URL.Path == "/authorize":
		h.redirect(w, r, mode)
	case r.Method == http.MethodHead: // asks for nothing: a token would get lost
		h.answer(w, r, "redirect")
	case r.URL.Path != "/token" && slices.Contains([]string{"token", "refusal", "issuer"}, mode),
		r.URL.Path != "/device" && slices.Contains([]string{"user code", "links"}, mode):
		h.answer(w, r, "refused")
	default:
		h.answer(w, r, mode)
	}
}

// redirect sends the browser back, with an error or with a code.
func (h *hostile) redirect(w http.ResponseWriter, r *http.Request, mode string) {
	q := url.Values{"state": {r.URL.Query().Get("state")}, "iss": {"http://" + r.Host}}
	switch mode {
	case "refusal":
		q.Set("error", "access_denied")
		q.Set("error_description", h.words(400))
	case "issuer":
		q.Set("code", newToken())
		q.Set("iss", "https://"+h.words(200))
	default:
		q.Set("code", newToken())
	}
	http.Redirect(w, r, r.URL.Query().Get("redirect_uri")+"?"+q.Encode(), http.StatusFound)
}

// answer answers a form.
func (h *hostile) answer(w http.ResponseWriter, r *http.Request, mode string) {
	reply := func(status int, fields map[string]any) {
		b, _ := json.Marshal(fields)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		w.Write(b)
	}
	switch mode {
	case "refused":
		reply(400, map[string]any{"error": "invalid_grant", "error_description": h.words(600), "error_uri": h.words(300)})
	case "refused with status 200":
		reply(200, map[string]any{"error": "invalid_client " + h.words(150), "error_description": h.words(600)})
	case "form":
		w.Header().Set("Content-Type", "application/x-www-form-urlencoded")
		w.WriteHeader(401)
		fmt.Fprint(w, url.Values{"error": {"invalid_client"}, "error_description": {h.words(600)}}.Encode())
	case "page":
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(500)
		fmt.Fprintf(w, "<html><h1>%s</h1>%s</html>", h.words(200), h.words(1000))
	case "redirect":
		w.Header().Set("Location", "https://"+h.words(300))
		w.Header().Set("Retry-After", h.words(100))
		w.Header().Set("WWW-Authenticate", `Bearer error="`+h.words(300)+`"`)
		w.WriteHeader(302)
	case "malformed":
		c, _, _ := w.(http.Hijacker).Hijack()
		fmt.Fprintf(c, "%s\r\n\r\n", h.words(800))
		c.Close()
	case "half a token":
		fmt.Fprintf(w, `{"access_token": %q, "expires_in": "%s`, h.words(300), h.words(300))
	case "no bearer":
		reply(200, map[string]any{"access_token": h.newToken("access token"), "token_type": h.words(200), "expires_in": h.words(200), "refresh_token": h.newToken("refresh token")})
	case "not a token":
		reply(200, map[string]any{"access_token": h.words(200), "token_type": "Bearer", "refresh_token": r.PostForm.Get("refresh_token")})
	case "device refused":
		reply(400, map[string]any{"error": "access_denied", "error_description": h.words(400)})
	case "user code":
		reply(200, map[string]any{"device_code": h.newToken("device code"), "user_code": h.words(60), "verification_uri": "https://example.com/" + url.PathEscape(h.words(200))})
	case "links":
		reply(200, map[string]any{"device_code": h.newToken("device code"), "user_code": "WDJB-MJHT", "verification_uri": "https://example.com/", "verification_uri_complete": "https://example.com/" + url.PathEscape(h.words(200)), "interval": 1})
	default: // a token that works
		header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256"}`))
		claims, _ := json.Marshal(map[string]any{"aud": "xoauthd-test", "email": h.words(200) + "@example.com", "preferred_username": h.words(200)})
		reply(200, map[string]any{"access_token": h.newToken("access token"), "token_type": "Bearer", "expires_in": 3600, "refresh_token": h.newToken("refresh token"),
			"scope": h.words(300), "id_token": header + "." + base64.RawURLEncoding.EncodeToString(claims) + ".eA"})
	}
}

// serve serves a mail protocol, over implicit TLS unless it uses STARTTLS.
func (h *hostile) serve(ln net.Listener, starttls bool, dialogue func(*hostilePeer)) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			if !starttls {
				c = tls.Server(c, h.tls)
			}
			dialogue(&hostilePeer{h, c, bufio.NewReader(c)})
		}()
	}
}

// A hostilePeer is one connection of xoauthd to the mail server.
type hostilePeer struct {
	*hostile
	conn net.Conn
	in   *bufio.Reader
}

func (p *hostilePeer) say(format string, args ...any) { fmt.Fprintf(p.conn, format+"\r\n", args...) }

// hear reads a line. It returns "" at the end.
func (p *hostilePeer) hear() string {
	line, _ := p.in.ReadString('\n')
	return strings.TrimRight(line, "\r\n")
}

func (p *hostilePeer) startTLS() {
	p.conn = tls.Server(p.conn, p.tls)
	p.in.Reset(p.conn)
}

// credentials learns the secrets in a SASL response.
func (p *hostilePeer) credentials(response string) {
	b, _ := base64.StdEncoding.DecodeString(response)
	_, token, ok := strings.Cut(strings.TrimRight(string(b), "\x01"), "auth=Bearer ")
	if ok {
		p.learn("access token", token)
	} else if fields := strings.Split(string(b), "\x00"); len(fields) == 3 {
		p.learn("app password", fields[2])
	}
}

func (p *hostilePeer) imap() {
	caps := "IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=PLAIN"
	hostileCaps := func() string {
		all := strings.Fields(p.words(600))
		return caps + " X-" + strings.Join(all, " ") + " AUTH=" + strings.Join(all, " APPENDLIMIT=") + " IDLE"
	}
	switch {
	case p.is("greeting"):
		p.say("* OK [CAPABILITY %s] %s", caps, p.words(600))
	case p.is("bye"):
		p.say("* BYE [UNAVAILABLE %s] %s", p.words(100), p.words(600))
		return
	case p.is("capabilities"):
		p.say("* OK [CAPABILITY %s] hello", hostileCaps())
	case p.is("nonsense"):
		p.say("%s", p.words(600))
		return
	default:
		p.say("* OK hello")
	}
	for {
		tag, command, _ := strings.Cut(p.hear(), " ")
		switch verb, rest, _ := strings.Cut(command, " "); verb {
		case "":
			return
		case "CAPABILITY":
			if p.is("untagged") {
				p.say("* OK [ALERT] %s", p.words(400))
				p.say("* LIST () %s", p.words(400))
			}
			p.say("* CAPABILITY %s", hostileCaps())
			p.say("%s OK %s", tag, p.words(100))
		case "AUTHENTICATE":
			p.authenticateIMAP(tag, rest)
		case "LOGOUT":
			p.say("* BYE")
			p.say("%s OK", tag)
			return
		default:
			p.say("%s OK", tag)
		}
	}
}

func (p *hostilePeer) authenticateIMAP(tag, rest string) {
	_, response, _ := strings.Cut(rest, " ")
	p.credentials(response)
	switch {
	case p.is("challenge"):
		p.say("+ %s", base64.StdEncoding.EncodeToString([]byte(`{"status":"400","got":"`+p.words(300)+`"}`)))
		p.hear()
		p.say("%s NO [AUTHENTICATIONFAILED] no", tag)
	case p.is("refusal"):
		p.say("* NO %s", p.words(300))
		p.say("%s NO [ALERT %s] %s", tag, p.words(100), p.words(600))
	case p.is("bad"):
		p.say("%s BAD %s", tag, p.words(600))
	case p.is("lines"):
		for _, line := range p.lines() {
			p.say("* OK %s", line)
		}
		p.say("%s OK done", tag) // with which these lines are passed on
	case p.is("bye at login"):
		p.say("* BYE %s", p.words(600))
		p.conn.Close()
	default:
		p.say("* OK [ALERT %s] %s", p.words(100), p.words(300))
		p.say("* CAPABILITY IMAP4rev1 %s", p.words(300))
		p.say("%s OK [CAPABILITY IMAP4rev1 MOVE %s] %s", tag, p.words(300), p.words(300))
	}
}

func (p *hostilePeer) smtp() {
	switch {
	case p.is("greeting"):
		p.say("220 %s", p.words(400))
	case p.is("bye"):
		p.say("421-4.7.0 %s", p.words(400))
		p.say("421 4.7.0 %s", p.words(400))
		return
	case p.is("nonsense"):
		p.say("%s", p.words(600))
		return
	default:
		p.say("220 hello")
	}
	for {
		verb, rest, _ := strings.Cut(p.hear(), " ")
		switch verb {
		case "":
			return
		case "EHLO":
			p.say("250-%s", p.words(200)) // few words: xoauthd reads 100 lines before login
			for _, word := range strings.Fields(p.words(200)) {
				p.say("250-%s", word)
				p.say("250-SIZE %s", word)
				p.say("250-X-%s %s", word, word)
			}
			p.say("250-AUTH XOAUTH2 PLAIN %s", p.words(200))
			p.say("250 STARTTLS")
		case "STARTTLS":
			if p.is("starttls") {
				p.say("454 4.3.0 %s", p.words(400))
				return
			}
			p.say("220 %s", p.words(200))
			p.startTLS()
		case "AUTH":
			p.authenticateSMTP(rest)
		case "QUIT":
			p.say("221 2.0.0 bye")
			return
		default:
			p.say("250 2.0.0 OK")
		}
	}
}

func (p *hostilePeer) authenticateSMTP(rest string) {
	_, response, ok := strings.Cut(rest, " ")
	if !ok {
		p.say("334 ")
		response = p.hear()
	}
	p.credentials(response)
	switch {
	case p.is("challenge"):
		p.say("334 %s", base64.StdEncoding.EncodeToString([]byte(`{"status":"400","got":"`+p.words(300)+`"}`)))
		p.hear()
		p.say("535 5.7.8 no")
	case p.is("refusal"):
		p.say("535 5.7.8 %s", p.words(600))
	case p.is("bad"):
		p.say("500 5.5.1 Command unrecognized: %q", p.words(600))
	case p.is("lines"):
		for _, line := range p.lines() {
			p.say("535-5.7.8 %s", line)
		}
		p.say("535 5.7.8 no")
	case p.is("bye at login"):
		p.say("421 4.7.0 %s", p.words(400))
		p.conn.Close()
	default:
		p.say("235-2.7.0 %s", p.words(300))
		p.say("235 2.7.0 %s", p.words(300))
	}
}

func (p *hostilePeer) pop3() {
	switch {
	case p.is("greeting"):
		p.say("+OK %s", p.words(400))
	case p.is("bye"):
		p.say("-ERR [SYS/TEMP %s] %s", p.words(100), p.words(400))
		return
	case p.is("nonsense"):
		p.say("%s", p.words(600))
		return
	default:
		p.say("+OK hello")
	}
	for {
		verb, _, _ := strings.Cut(p.hear(), " ")
		switch verb {
		case "":
			return
		case "CAPA":
			p.say("+OK %s", p.words(200))
			for _, word := range strings.Fields(p.words(400)) {
				p.say("%s", word)
				p.say("IMPLEMENTATION %s", word)
				p.say("LOGIN-DELAY %s", word)
			}
			p.say("SASL XOAUTH2 PLAIN %s\r\n.", p.words(200))
		case "AUTH":
			p.authenticatePOP3()
		case "QUIT":
			p.say("+OK bye")
			return
		default:
			p.say("+OK 0 0")
		}
	}
}

func (p *hostilePeer) authenticatePOP3() {
	p.say("+ ")
	p.credentials(p.hear())
	switch {
	case p.is("challenge"):
		p.say("+ %s", base64.StdEncoding.EncodeToString([]byte(`{"status":"400","got":"`+p.words(300)+`"}`)))
		p.hear()
		p.say("-ERR [AUTH] no")
	case p.is("refusal"):
		p.say("-ERR [AUTH] %s", p.words(400))
	case p.is("bad"):
		p.say("-ERR what is %q", p.words(400))
	case p.is("lines"):
		p.say("-ERR %s", strings.Join(p.lines(), "\t"))
	case p.is("bye at login"):
		p.say("-ERR [SYS/TEMP] %s", p.words(400))
		p.conn.Close()
	default:
		p.say("+OK %s", p.words(300))
	}
}
