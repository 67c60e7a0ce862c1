package smtp

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/xoauthd/xoauthd/internal/testing/fakeconn"
	"github.com/xoauthd/xoauthd/proxy/sasl"
)

func TestParseReply(t *testing.T) {
	for _, test := range []struct {
		line string
		code int // 0 if it is not a reply
		text string
		more bool
	}{
		{"250 OK", 250, "OK", false},
		{"250-OK", 250, "OK", true},
		{"250", 250, "", false},
		{"250 ", 250, "", false},
		{"250-", 250, "", true},
		{"599 x", 599, "x", false},
		{"199 x", 0, "", false},
		{"600 x", 0, "", false},
		{"250_x", 0, "", false},
		{"+25 x", 0, "", false},
		{"-25 x", 0, "", false},
		{"25", 0, "", false},
		{"", 0, "", false},
		{"* OK", 0, "", false},
	} {
		code, text, more, ok := parseReply(test.line)
		if code != test.code || ok != (test.code != 0) || text != test.text || more != test.more {
			t.Errorf("%q: %d %q %v, %v", test.line, code, text, more, ok)
		}
	}
}

func TestRefusal(t *testing.T) {
	for _, test := range []struct {
		name  string
		lines []string
		want  smtp.SMTPError
		text  string
	}{
		{"with an enhanced code", []string{"5.7.8 no"}, smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "no"}, "535 5.7.8 no"},
		{"an enhanced code in each line", []string{"5.7.8 no", "5.7.8 and no"}, smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "no and no"}, "535 5.7.8 no and no"},
		{"no enhanced code", []string{"no"}, smtp.SMTPError{Code: 535, EnhancedCode: smtp.NoEnhancedCode, Message: "no"}, "535 no"},
		{"an enhanced code without text", []string{"5.7.139"}, smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 139}}, "535 5.7.139"},
		{"not an enhanced code", []string{"5.7.8.9 no"}, smtp.SMTPError{Code: 535, EnhancedCode: smtp.NoEnhancedCode, Message: "5.7.8.9 no"}, "535 5.7.8.9 no"},
		{"no text", []string{""}, smtp.SMTPError{Code: 535, EnhancedCode: smtp.NoEnhancedCode}, "535"},
	} {
		if got := newRefusal(535, test.lines); got.SMTPError != test.want || got.Error() != test.text {
			t.Errorf("%s: %+v", test.name, got)
		}
	}
}

func TestExtensionsToOffer(t *testing.T) {
	upstream := []string{"SIZE 1", "starttls", "AUTH=LOGIN PLAIN", "auth login", "REQUIRETLS", "DSN"}
	for _, test := range []struct {
		name string
		tls  *tls.Config
		want []string
	}{
		{"without TLS", nil, []string{"SIZE 1", "DSN", "AUTH PLAIN LOGIN"}},
		{"before STARTTLS", new(tls.Config), []string{"SIZE 1", "DSN", "STARTTLS", "AUTH PLAIN LOGIN"}},
	} {
		_, c := fakeconn.New("")
		c.OfferTLS(test.tls, false)
		s := NewServer(c, sasl.Passwords, func(string, bool) []string { return upstream })
		if got := s.extensionsToOffer(); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q", test.name, got)
		}
	}
}

func TestMechanisms(t *testing.T) {
	k := &Client{extensions: []string{"SIZE", "AUTH", "AUTH=LOGIN", "auth PLAIN XOAUTH2", "AUTHENTIC X"}}
	if got := strings.Join(k.Mechanisms(), " "); got != "LOGIN PLAIN XOAUTH2" {
		t.Errorf("%q", got)
	}
}

func TestHelloName(t *testing.T) {
	long := strings.Repeat("a.", 127) + "a"
	for _, name := range []string{"scanner", "a.example.com", "x-1", "[127.0.0.1]", "[IPv6:::1]", "1", long} {
		if got := helloName(name); got != name {
			t.Errorf("%q became %q", name, got)
		}
	}
	for _, name := range []string{"", "-a", "a-", "a..b", ".a", "a.", "a_b", "ü", "a b", "[::1]", "[IPv6:127.0.0.1]", "[127.0.0.1",
		"[]", "[IPv6:]", "[IPv6:fe80::1%eth0]", "[a.b]", long + "a"} {
		if got := helloName(name); got != "[127.0.0.1]" {
			t.Errorf("%q became %q", name, got)
		}
	}
}

// TestDeviceServer has old devices begin to send mail without a login.
func TestDeviceServer(t *testing.T) {
	for _, test := range []struct {
		name, input string
		want        []string // replies after the greeting
		first       string   // input of the relay
	}{
		{"HELO only", "HELO printer\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n", []string{"250 xoauthd.invalid"}, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"},
		{"EHLO offers no AUTH", "EHLO [192.0.2.7]\r\nMAIL FROM:x\r\n", []string{"250-xoauthd.invalid", "250 SIZE 1"}, "MAIL FROM:x\r\n"},
		{"no name, bare LF", "HELO\nmail from: a@b.example\nDATA\n", []string{"250 xoauthd.invalid"}, "mail from: a@b.example\r\nDATA\n"},
		{"nothing before MAIL", "MAIL FROM:<a@b.example>\r\n", nil, "MAIL FROM:<a@b.example>\r\n"},
		{"AUTH LOGIN", "HELO x\r\nAUTH LOGIN\r\nam9l\r\n????\r\nMAIL FROM:<>\r\n", []string{"250 xoauthd.invalid", "334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 2.7.0 no login needed"}, "MAIL FROM:<>\r\n"},
		{"AUTH LOGIN with the user", "AUTH LOGIN am9l\r\nx\r\nMAIL FROM:<>\r\n", []string{"334 UGFzc3dvcmQ6", "235 2.7.0 no login needed"}, "MAIL FROM:<>\r\n"},
		{"AUTH PLAIN", "AUTH PLAIN AGEAYg==\r\nMAIL FROM:<>\r\n", []string{"235 2.7.0 no login needed"}, "MAIL FROM:<>\r\n"},
		{"AUTH CRAM-MD5", "AUTH CRAM-MD5\r\nabc\r\nMAIL FROM:<>\r\n", []string{"334 PDFAbG9jYWxob3N0Pg==", "235 2.7.0 no login needed"}, "MAIL FROM:<>\r\n"},
		{"a response in two lines", "AUTH CRAM-MD5\r\n" + strings.Repeat("QUJD", 18) + "\r\nZTQ5ZjM5\r\nZTQ5ZjM5\r\nMAIL FROM:<>\r\n",
			[]string{"334 PDFAbG9jYWxob3N0Pg==", "235 2.7.0 no login needed", "500 5.5.1 command not available before login"}, "MAIL FROM:<>\r\n"},
		{"a complete response", "AUTH CRAM-MD5\r\n" + strings.Repeat("QUJD", 18) + "QQ==\r\nZTQ5ZjM5\r\nMAIL FROM:<>\r\n",
			[]string{"334 PDFAbG9jYWxob3N0Pg==", "235 2.7.0 no login needed", "500 5.5.1 command not available before login"}, "MAIL FROM:<>\r\n"},
		{"a command after a long response", "AUTH CRAM-MD5\r\n" + strings.Repeat("QUJD", 18) + "\r\nRSET\r\nMAIL FROM:<>\r\n",
			[]string{"334 PDFAbG9jYWxob3N0Pg==", "235 2.7.0 no login needed", "250 2.0.0 OK"}, "MAIL FROM:<>\r\n"},
		{"RCPT before MAIL", "RCPT TO:<a@b.example>\r\nNOOP\r\nMAIL FROM:<>\r\n", []string{"503 5.5.1 send MAIL first", "250 2.0.0 OK"}, "MAIL FROM:<>\r\n"},
	} {
		peer, c := fakeconn.New(test.input)
		s := NewDeviceServer(c, func(string, bool) []string { return []string{"SIZE 1", "AUTH PLAIN"} })
		s.Greet()
		if _, err := s.ReadLogin(); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		stream, err := c.Stream()
		if err != nil {
			t.Fatal(err)
		}
		b, err := stream.Receive()
		if err != nil || string(b.Octets()) != test.first {
			t.Errorf("%s: relayed %q, %v", test.name, b.Octets(), err)
		}
		replies := peer.OutputLines()[1:]
		if !slices.Equal(replies, test.want) {
			t.Errorf("%s: %q, want %q", test.name, replies, test.want)
		}
	}
}
