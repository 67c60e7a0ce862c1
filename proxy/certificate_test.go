package proxy

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
)

// untrusted has the invalid certificates of an upstream: the setting of a dialogue, and the
// reason in the log.
var untrusted = []struct{ name, setting, reason string }{
	{"expired", "% certificate expired", "certificate has expired or is not yet valid: current time 2000-01-01T00:00:00Z is after"},
	{"not valid yet", "% certificate early", "certificate has expired or is not yet valid: current time 2000-01-01T00:00:00Z is before"},
	{"of another host", "% certificate other.example.com", "certificate is valid for other.example.com, not mail.example.com"},
	{"for another purpose", "% certificate purpose", "certificate specifies an incompatible key usage"},
	{"of an unknown authority", "% other-authority", "certificate signed by unknown authority"},
	{"self-signed", "% self-signed", "certificate signed by unknown authority"},
}

// until has the dialogue of each protocol up to the TLS handshake, with implicit TLS and
// with STARTTLS, and the reply to the client after a failed handshake.
var until = map[string]struct{ implicit, starttls, step, refused string }{
	"imap": {
		"C< * OK ...\nC> a1 LOGIN joe@example.com s3cret",
		"U> * OK hello\nU< A1 STARTTLS\nU> A1 OK go ahead",
		"STARTTLS", "C< a1 NO [UNAVAILABLE] ...",
	},
	"smtp": {
		"% upstreams\nC< 220 ...\nC> HELO scanner\nC< 250 xoauthd.invalid\nC> AUTH PLAIN b64(^@joe@example.com^@s3cret)",
		"U> 220 hello\nU< EHLO scanner\nU> 250 AUTH XOAUTH2\nU< STARTTLS\nU> 220 go ahead",
		"STARTTLS", "C< 454 4.4.1 ...",
	},
	"pop3": {
		"C< +OK ...\nC> USER joe@example.com\nC< +OK ...\nC> PASS s3cret",
		"U> +OK hello\nU< STLS\nU> +OK go ahead",
		"STLS", "C< -ERR [SYS/TEMP] ...",
	},
}

// An invalid certificate ends the connection before the token is sent. The log has the
// reason, and the reply to the client is not about its password.
func TestUntrustedUpstreams(t *testing.T) {
	for _, fault := range untrusted {
		for protocol, d := range until {
			lines := []string{fault.setting, d.implicit, "U+", "U$", d.refused, "C-", "= upstream_down TLS: tls: failed to verify certificate: x509: " + fault.reason}
			testLines(t, protocol+"/implicit/"+fault.name, protocol, lines)
			lines = []string{"% starttls", fault.setting, d.implicit, "U+", d.starttls, "U!", "U$", d.refused, "C-",
				fmt.Sprintf("= upstream_down %s: tls: failed to verify certificate: x509: %s", d.step, fault.reason)}
			testLines(t, protocol+"/starttls/"+fault.name, protocol, lines)
		}
	}
}

// testLines plays lines of a dialogue.
func testLines(t *testing.T, name, protocol string, lines []string) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newPlayer(t, protocol, slog.LevelInfo)
			defer p.end()
			p.playLines(strings.Join(lines, "\n"))
		})
	})
}

func (p *player) playLines(text string) {
	p.t.Helper()
	for line := range strings.SplitSeq(text, "\n") {
		if err := p.play(line); err != nil {
			p.t.Fatalf("%s\n%v\n%s", line, err, p.log)
		}
	}
}
