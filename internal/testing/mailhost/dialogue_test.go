package mailhost

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"testing"
)

// Dialogues are played on a raw connection, since the libraries' clients agree
// with their servers' mistakes. C is the client, S the server; after S, "..."
// at the end of a line is any text, and {…} stands for its base64 form, with a
// | for each ^A.
func TestIMAPDialogues(t *testing.T) {
	const greeting = "S * OK [CAPABILITY IMAP4rev2 IMAP4rev1 SASL-IR LITERAL- AUTH=XOAUTH2 AUTH=OAUTHBEARER] ...\n"
	const after = "[CAPABILITY IMAP4rev2 IMAP4rev1 SASL-IR LITERAL- UNSELECT ENABLE IDLE ..."
	const refused = "NO [AUTHENTICATIONFAILED] Invalid credentials\n"
	tests := []struct{ name, script string }{
		{"XOAUTH2", `
			C a AUTHENTICATE XOAUTH2 {user=alice@example.com|auth=Bearer alice-token||}
			S a OK ` + after},
		{"XOAUTH2 in two steps", `
			C a AUTHENTICATE XOAUTH2
			S +` + " " + `
			C {user=Alice@Example.com|auth=bearer alice-token||}
			S a OK ` + after},
		{"XOAUTH2 refused", `
			C a AUTHENTICATE XOAUTH2 {user=alice@example.com|auth=Bearer old||}
			S + {{"status":"401","schemes":"bearer","scope":"mail"}}
			C
			S a ` + refused + `
			C b AUTHENTICATE XOAUTH2 {user=alice@example.com|auth=Bearer alice-token||}
			S b OK ` + after},
		{"XOAUTH2 refused, and answered as OAUTHBEARER is", `
			C a AUTHENTICATE XOAUTH2 {user=alice@example.com|auth=Bearer old||}
			S + {{"status":"401","schemes":"bearer","scope":"mail"}}
			C AQ==
			S a BAD Malformed SASL message`},
		{"XOAUTH2 with the token of another", `
			C a AUTHENTICATE XOAUTH2 {user=alice@example.com|auth=Bearer bob-token||}
			S + {{"status":"401","schemes":"bearer","scope":"mail"}}
			C
			S a ` + refused},
		{"XOAUTH2 for a mailbox that is elsewhere", `
			C a AUTHENTICATE XOAUTH2 {user=eve@example.com|auth=Bearer eve-token||}
			S + {{"status":"401","schemes":"bearer","scope":"mail"}}
			C
			S a ` + refused},
		{"XOAUTH2 malformed", `
			C a AUTHENTICATE XOAUTH2 {user=alice@example.com|auth=Bearer alice-token|}
			S a BAD Malformed SASL message`},
		{"OAUTHBEARER", `
			C a AUTHENTICATE OAUTHBEARER {n,a=bob=3Djr@example.com,|host=localhost|port=993|auth=Bearer bob-token||}
			S a OK ` + after},
		{"OAUTHBEARER refused", `
			C a AUTHENTICATE OAUTHBEARER {n,a=alice@example.com,|auth=Bearer old||}
			S + {{"status":"invalid_token","schemes":"bearer","scope":"mail"}}
			C AQ==
			S a ` + refused},
		{"OAUTHBEARER refused, and answered as XOAUTH2 is", `
			C a AUTHENTICATE OAUTHBEARER {n,a=alice@example.com,|auth=Bearer old||}
			S + {{"status":"invalid_token","schemes":"bearer","scope":"mail"}}
			C
			S a BAD Malformed SASL message`},
		{"OAUTHBEARER with an equals sign in the name", `
			C a AUTHENTICATE OAUTHBEARER {n,a=bob=jr@example.com,|auth=Bearer bob-token||}
			S a BAD Malformed SASL message`},
		{"cancelled", `
			C a AUTHENTICATE XOAUTH2
			S +` + " " + `
			C *
			S a BAD AUTHENTICATE cancelled`},
		{"no passwords", `
			C a LOGIN alice@example.com alice-token
			S a NO [AUTHENTICATIONFAILED] Passwords are not accepted: use XOAUTH2 or OAUTHBEARER
			C b AUTHENTICATE PLAIN {nobody}
			S b NO Unknown mechanism: use XOAUTH2 or OAUTHBEARER
			C c SELECT INBOX
			S c BAD ...`},
	}
	p := start(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			play(t, tls.Client(dial(t, p.imap), p.config), greeting+test.script)
		})
	}
}

func TestSMTPDialogues(t *testing.T) {
	const hello = `
		S 220 localhost ESMTP Service Ready
		C EHLO client
		S 250-Hello client
		S 250-PIPELINING
		S 250-8BITMIME
		S 250-ENHANCEDSTATUSCODES
		S 250-CHUNKING
		S 250-AUTH XOAUTH2 OAUTHBEARER
		S 250-SMTPUTF8
		S 250-SIZE 83886080
		S 250 LIMITS RCPTMAX=100
		`
	const login = hello + `
		C AUTH XOAUTH2 {user=alice@example.com|auth=Bearer alice-token||}
		S 235 2.0.0 ...
		`
	const refused = "S 535 5.7.8 Username and token not accepted\n"
	tests := []struct{ name, script string }{
		{"XOAUTH2 in two steps", hello + `
			C AUTH XOAUTH2
			S 334` + " " + `
			C {user=alice@example.com|auth=Bearer alice-token||}
			S 235 2.0.0 ...`},
		{"XOAUTH2 refused", hello + `
			C AUTH XOAUTH2 {user=alice@example.com|auth=Bearer old||}
			S 334 {{"status":"401","schemes":"bearer","scope":"mail"}}
			C
			` + refused + `
			C AUTH XOAUTH2 {user=alice@example.com|auth=Bearer alice-token||}
			S 235 2.0.0 ...`},
		{"OAUTHBEARER refused", hello + `
			C AUTH OAUTHBEARER {n,a=alice@example.com,|auth=Bearer old||}
			S 334 {{"status":"invalid_token","schemes":"bearer","scope":"mail"}}
			C AQ==
			` + refused},
		{"OAUTHBEARER refused, and answered by nothing", hello + `
			C AUTH OAUTHBEARER {n,a=alice@example.com,|auth=Bearer old||}
			S 334 {{"status":"invalid_token","schemes":"bearer","scope":"mail"}}
			C
			S 501 5.5.2 Malformed SASL message`},
		{"no passwords", hello + `
			C AUTH PLAIN {nobody}
			S 504 5.5.4 Unknown mechanism: use XOAUTH2 or OAUTHBEARER
			C AUTH LOGIN
			S 504 5.5.4 Unknown mechanism: use XOAUTH2 or OAUTHBEARER`},
		{"not before login", hello + `
			C MAIL FROM:<alice@example.com>
			S 530 5.7.0 Authentication required`},
		{"the sender is who has logged in", login + `
			C MAIL FROM:<bob=jr@example.com>
			S 553 5.7.1 Sender address is not that of alice@example.com
			C MAIL FROM:<>
			S 553 5.7.1 Sender address is not that of alice@example.com
			C MAIL FROM:<Alice@Example.com>
			S 250 2.0.0 ...`},
		{"no recipients elsewhere", login + `
			C MAIL FROM:<alice@example.com>
			S 250 2.0.0 ...
			C RCPT TO:<eve@example.com>
			S 550 5.1.1 No such mailbox here
			C DATA
			S 502 5.5.1 ...`},
	}
	p := start(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			play(t, tls.Client(dial(t, p.smtps), p.config), test.script)
		})
	}
	t.Run("nothing in the clear", func(t *testing.T) {
		play(t, dial(t, p.smtp), `
			S 220 localhost ESMTP Service Ready
			C EHLO client
			S 250-Hello client
			S 250-PIPELINING
			S 250-8BITMIME
			S 250-ENHANCEDSTATUSCODES
			S 250-CHUNKING
			S 250-STARTTLS
			S 250-SMTPUTF8
			S 250-SIZE 83886080
			S 250 LIMITS RCPTMAX=100
			C AUTH XOAUTH2 {user=alice@example.com|auth=Bearer alice-token||}
			S 523 5.7.10 TLS is required
			C MAIL FROM:<alice@example.com>
			S 530 5.7.0 Must issue a STARTTLS command first`)
	})
}

// play says the lines of C and compares what comes with the lines of S.
func play(t *testing.T, c net.Conn, script string) {
	t.Helper()
	r := bufio.NewReader(c)
	for line := range strings.Lines(script) {
		who, text, _ := strings.Cut(strings.Trim(line, "\t\n"), " ")
		text = encode(text)
		switch who {
		case "C":
			if _, err := fmt.Fprintf(c, "%s\r\n", text); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		case "S":
			got, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			got, crlf := strings.CutSuffix(got, "\r\n")
			start, any := strings.CutSuffix(text, "...")
			if !crlf || got != text && !(any && strings.HasPrefix(got, start)) {
				t.Fatalf("got  %q\nwant %q", got, text)
			}
		}
	}
}

// encode replaces a {…} by its base64 form.
func encode(text string) string {
	before, rest, ok := strings.Cut(text, "{")
	if !ok {
		return text
	}
	end := strings.LastIndexByte(rest, '}')
	message := strings.ReplaceAll(rest[:end], "|", "\x01")
	return before + base64.StdEncoding.EncodeToString([]byte(message)) + rest[end+1:]
}
