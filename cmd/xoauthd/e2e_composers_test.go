package main_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The libraries of programs in JavaScript and PHP, as Debian installs them.
const (
	nodemailer = "/usr/share/nodejs/nodemailer/package.json"
	phpMailer  = "/usr/share/php/libphp-phpmailer/autoload.php"
)

// A composer is a program that composes a message itself: to recipient in the field To, and
// to hidden in the envelope only. compose returns the message as the program sent it.
type composer struct {
	name    string
	compose func(t *testing.T, d *daemon, recipient, hidden string) (message string)
}

func composers() []composer {
	return []composer{
		{"swaks", swaksCompose},
		{"Nodemailer", script("node", "nodemailer.js")},
		{"PHPMailer", script("php", "phpmailer.php")},
	}
}

// script runs a script, which prints the message.
func script(program, file string) func(*testing.T, *daemon, string, string) string {
	return func(t *testing.T, d *daemon, recipient, hidden string) string {
		t.Helper()
		c := command{stdin: awkward(), env: []string{"PASSWORD=" + d.password, "NODE_PATH=/usr/share/nodejs"}}
		return d.run(t, c, program, filepath.Join("testdata/e2e", file), strconv.Itoa(d.smtp), d.user, recipient, hidden)
	}
}

// swaksCompose finds the message in the transcript of swaks.
func swaksCompose(t *testing.T, d *daemon, recipient, hidden string) string {
	t.Helper()
	attachment := filepath.Join(d.dir, "attachment")
	must(t, os.WriteFile(attachment, []byte(awkward()), 0o600))
	transcript := d.run(t, command{}, "swaks", "--server", "127.0.0.1", "--port", strconv.Itoa(d.smtp),
		"--auth", "LOGIN", "--auth-user", d.user, "--auth-password", d.password,
		"--from", d.user, "--to", recipient+","+hidden, "--header", "To: "+recipient, "--header", "Subject: swaks: grüße",
		"--body", ".\n..\n.a dot\nFrom a line that mboxes quote\n", "--attach", "@"+attachment)
	_, sent, found := strings.Cut(transcript, "\n -> DATA\n")
	_, sent, begun := strings.Cut(sent, "\n")
	sent, _, ended := strings.Cut(sent, "\n -> .\n")
	if !found || !begun || !ended {
		t.Fatalf("no message in the transcript of swaks:\n%s", transcript)
	}
	var message strings.Builder
	for line := range strings.Lines(sent + "\n") {
		message.WriteString(strings.TrimPrefix(strings.TrimPrefix(line, " -> "), ".")) // RFC 5321 section 4.5.2
	}
	return message.String()
}
