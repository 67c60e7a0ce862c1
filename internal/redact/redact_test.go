package redact

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
)

const (
	refreshToken = "1//09hX-qPz_7dKcYIARAAGAkSNwF-L9IrV2mT~uQ4/b.W8+s6oNfJgExZyD0aC3k="
	appPassword  = "hxkd qpwz mvbn rtys"
)

func TestRedact(t *testing.T) {
	form := url.Values{"refresh_token": {refreshToken}, "grant_type": {"refresh_token"}}.Encode()
	jsonText, err := json.Marshal("<" + refreshToken + ">")
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString
	response := "user=joe@example.com\x01auth=Bearer " + refreshToken + "\x01\x01"
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", ""},
		{"no secret", "535 5.7.8 Authentication failed: try again", "535 5.7.8 Authentication failed: try again"},
		{"plain", "no " + refreshToken + " here", "no (hidden) here"},
		{"twice", refreshToken + "," + refreshToken, "(hidden),(hidden)"},
		{"its beginning", "token " + refreshToken[:8] + "...", "token (hidden)..."},
		{"its end", "..." + refreshToken[len(refreshToken)-8:], "...(hidden)"},
		{"a part that is too short", "token " + refreshToken[:7] + "...", "token " + refreshToken[:7] + "..."},
		{"in upper case", strings.ToUpper(refreshToken), "(hidden)"},
		{"in a form", form, "grant_type=refresh_token&refresh_token=(hidden)"},
		{"in a form, in lower case", strings.ToLower(form), "grant_type=refresh_token&refresh_token=(hidden)"},
		{"in a form in a URL", "https://a.example/?q=" + url.QueryEscape(form),
			"https://a.example/?q=grant_type%3Drefresh_token%26refresh_token%3D(hidden)"},
		{"each octet escaped", percent(refreshToken), "(hidden)"},
		{"some octets escaped", refreshToken[:20] + percent(refreshToken[20:30]) + refreshToken[30:], "(hidden)"},
		{"in JSON", string(jsonText), `"\u003c(hidden)\u003e"`},
		{"in JSON, each octet escaped", eachOctet(`\u%04X`, refreshToken), "(hidden)"},
		{"quoted by Go", eachOctet(`\x%02x`, refreshToken), "(hidden)"},
		{"in HTML", html.EscapeString("<" + refreshToken + ">"), "&lt;(hidden)&gt;"},
		{"in HTML, decimal", eachOctet("&#%d;", refreshToken), "(hidden)"},
		{"in HTML, hexadecimal", eachOctet("&#X%x", refreshToken[:30]), "(hidden)"},
		{"in HTML, named", strings.NewReplacer("/", "&sol;", "_", "&lowbar;", "+", "&plus;", "=", "&equals;").Replace(refreshToken), "(hidden)"},
		{"in HTML in JSON in a URL", url.QueryEscape(strings.ReplaceAll(html.EscapeString("'"+refreshToken+"'"), "&", `\u0026`)), "%5Cu0026%2339%3B(hidden)%5Cu0026%2339%3B"},
		{"in hexadecimal", "0x" + hex.EncodeToString([]byte(refreshToken)), "(hidden)"},
		{"in hexadecimal, in upper case", strings.ToUpper(hex.EncodeToString([]byte(refreshToken))), "(hidden)"},
		{"a SASL response", "not understood: " + b64([]byte(response)),
			"not understood: (hidden)"},
		{"a SASL response in base64 twice", "x: " + b64([]byte(b64([]byte(response)))) + ".", "x: (hidden)."},
		{"over two lines", refreshToken[:5] + "\r\n" + refreshToken[5:], "(hidden)\n(hidden)"},
		{"over indented lines", refreshToken[:30] + "\n   " + refreshToken[30:33] + "\n\t" + refreshToken[33:], "(hidden)\n(hidden)\n(hidden)"},
		{"in lines of base64", lines(b64([]byte("abc"+refreshToken)), 40), "(hidden)\n(hidden)\n(hidden)"},
		{"with control characters", strings.Join(strings.Split(refreshToken, ""), "\x00"), "(hidden)"},
		{"with invisible characters", strings.Join(strings.Split(refreshToken, ""), "\u200b"), "(hidden)"},
		{"with escaped invisible characters", strings.Join(strings.Split(refreshToken, ""), `\u00ad`), "(hidden)"},
		{"a password with spaces", "no " + appPassword + ".", "no (hidden)."},
		{"the password without its spaces", strings.ReplaceAll(appPassword, " ", ""), "(hidden)"},
		{"the password in a form", "password=" + url.QueryEscape(appPassword), "password=(hidden)"},
		{"the password in a form and HTML", "password=" + strings.ReplaceAll(appPassword, " ", "&#43;"), "password=(hidden)"},
		{"a short password", "PASS real", "PASS (hidden)"},
		{"a short password in base64", b64([]byte("\x00joe\x00real")), "(hidden)"},
		{"a short password, escaped", "%72%65%61%6c", "(hidden)"},
		{"a password of 9 octets over pieces", "pass word 1, p\ta\tssw\tord1", "(hidden), (hidden)"},
		{"words that resemble it", "are allowed", "are allowed"},
		{"a password of common words", "wrong password", "wrong password"},
		{"a secret that is too short", "no abc", "no abc"},
		{"octets that are not UTF-8", "\xff\xfe" + refreshToken, "\xff\xfe(hidden)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := New(refreshToken, appPassword, "real", "password1", "abc", "")
			if got := s.Redact(test.text); got != test.want {
				t.Errorf("%q became\n%q, want\n%q", test.text, got, test.want)
			}
			if s.Clean(test.text) != (test.text == test.want) {
				t.Errorf("Clean(%q) is wrong", test.text)
			}
		})
	}
}

func percent(s string) string { return eachOctet("%%%02X", s) }

func eachOctet(format, s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, format, s[i])
	}
	return b.String()
}

// lines breaks s into lines of n octets.
func lines(s string, n int) string {
	var all []string
	for ; len(s) > n; s = s[n:] {
		all = append(all, s[:n])
	}
	return strings.Join(append(all, s), "\r\n")
}

func TestRedactLongSecret(t *testing.T) {
	token := randomToken(4000)
	s := New(token)
	for i := 0; i+12 <= len(token); i++ {
		if s.Clean("a " + token[i:i+12] + " b") {
			t.Fatalf("12 octets at %d are not hidden", i)
		}
	}
	if got := s.Redact("<" + token + ">"); got != "<(hidden)>" {
		t.Errorf("the secret became %.100q", got)
	}
}

func TestRedactEmpty(t *testing.T) {
	var s Secrets
	if got := s.Redact("text"); got != "text" {
		t.Error(got)
	}
	if got := len(s.Redact(strings.Repeat("x", 1<<20))); got != maxText {
		t.Errorf("%d octets remain", got)
	}
}

func TestError(t *testing.T) {
	s := New(refreshToken)
	if s.Error(nil) != nil {
		t.Error("nil became an error")
	}
	if err := s.Error(io.EOF); err != io.EOF {
		t.Errorf("%v was changed", err)
	}
	err := s.Error(fmt.Errorf("answer %q: %w", refreshToken, io.EOF))
	if err.Error() != `answer "(hidden)": EOF` || !errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
}

// TestMemory adds more secrets than a set holds. The secrets added last and those
// added repeatedly stay hidden.
func TestMemory(t *testing.T) {
	var s Secrets
	memory := heap()
	for range 3 * maxOctets / 2000 {
		s.Add(randomToken(2000), refreshToken)
	}
	if s.Clean(refreshToken) {
		t.Error("a secret in use is not hidden")
	}
	first := randomToken(2000)
	s.Add(first)
	for range maxOctets / 2000 / 2 {
		s.Add(randomToken(2000))
	}
	if s.Clean(first) {
		t.Error("a recent secret is not hidden")
	}
	if used := heap() - memory; used > 32<<20 {
		t.Errorf("%d MiB in use", used>>20)
	}
	runtime.KeepAlive(&s)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestConcurrent(t *testing.T) {
	s := New(refreshToken)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 {
				s.Add(randomToken(100))
				if s.Clean(refreshToken) {
					t.Error("a secret is not hidden")
				}
			}
		})
	}
	all.Wait()
}

// randomToken returns n characters of base64url.
func randomToken(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)[:n]
}

func BenchmarkRedact(b *testing.B) {
	var s Secrets
	for range 500 {
		s.Add(randomToken(2000))
	}
	s.Redact("x")
	capability := "* CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+"
	for name, text := range map[string]string{
		"line":        capability,
		"description": "AADSTS700082: The refresh token has expired due to inactivity. The token was issued on 2026-01-02T03:04:05.678Z and was inactive for 90.00:00:00. Trace ID: 4a1b0a3e-6f0a-4cbb-9f4e-0c2d6e1f0200 Correlation ID: 0a9b8c7d-1234-5678-9abc-def012345678 Timestamp: 2026-05-06 07:08:09Z",
		"longest":     strings.Repeat("QUJDREVG", 2<<10),
		"escapes":     strings.Repeat("%252541", 2<<10),
		"hex":         strings.Repeat("51554a44", 2<<10),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Redact(text)
			}
		})
	}
	b.Run("add", func(b *testing.B) {
		for b.Loop() {
			s := New(randomToken(2000))
			s.Redact("x")
		}
	})
	b.Run("add again", func(b *testing.B) {
		s.Add(refreshToken)
		for b.Loop() {
			s.Add(refreshToken)
		}
	})
}

// TestKeep checks that new secrets do not displace the secrets of the configuration.
func TestKeep(t *testing.T) {
	const password = "pr0xyABCDEFGH"
	var s Secrets
	s.Keep(password)
	for i := range 5 {
		s.Add(strings.Repeat(string(rune('a'+i)), maxOctets))
	}
	if got := s.Redact("it is " + password); got != "it is "+Hidden {
		t.Errorf("got %q", got)
	}
}
