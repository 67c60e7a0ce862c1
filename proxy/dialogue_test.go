package proxy

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
)

// TestDialogues plays the conversations of testdata/*.dialog: C is the client,
// U the upstream, and what stands between them is a session. The first word of
// a file's name is its protocol.
//
//	# …            a comment; the first one says what is true
//	% word …       a setting: see player.set, and tlsSettings
//	C> text        the client sends a line
//	C>> "text"     the client sends octets, quoted as in Go, in one segment
//	C>1 "text"     the client sends octets, each in a segment of its own
//	C< pattern     the client receives a line, within 30 seconds; ... is any text
//	C-             the client hangs up
//	C|             the client sends nothing more, but still reads
//	C$             the client sees the end
//	C!             the client begins TLS
//	U+             the upstream is connected to; TLS begins unless it is to come
//	U!             the upstream lets TLS begin
//	A result …     the account has been told so of logins at the upstream
//	~ 60s          time passes
//	~ stop         xoauthd is told to stop
//	~ revoke       the grant of the account is revoked
//	~ place        the session that takes the account's only place ends
//	= result text  how the session went, and what its line in the log has of it
//
// The upstream, U, does what the client can. Within a line, rep(n,…) is repeated
// n times, and b64(…) is encoded; there ^A is the octet 1 and ^@ the octet 0.
//
// Each is played twice, the second time traced.
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/*.dialog")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialogues", err)
	}
	for _, file := range files {
		script, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".dialog")
		for _, level := range []slog.Level{slog.LevelInfo, slog.LevelDebug} {
			t.Run(name+"/"+level.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { playFile(t, file, string(script), level) })
			})
		}
	}
}

func playFile(t *testing.T, file, script string, level slog.Level) {
	protocol, _, _ := strings.Cut(filepath.Base(file), "-")
	p := newPlayer(t, protocol, level)
	defer p.end()
	if !strings.HasPrefix(script, "# ") {
		t.Fatal("does not say what is true")
	}
	for i, line := range strings.Split(strings.TrimSuffix(script, "\n"), "\n") {
		if err := p.play(line); err != nil {
			t.Fatalf("%s:%d: %s\n%v\n%s", file, i+1, line, err, p.log)
		}
	}
	if !p.judged {
		t.Fatal("does not say how the session went: = result")
	}
}

func (p *player) play(line string) error {
	if line == "" || strings.HasPrefix(line, "#") {
		return nil
	}
	what, text, _ := strings.Cut(line, " ")
	text = encode(text)
	if what == "%" {
		return p.set(strings.Fields(text))
	}
	p.begin()
	switch what {
	case "~":
		return p.pass(text)
	case "=":
		return p.judge(text)
	case "U+":
		return p.connected()
	case "A":
		return p.told(text)
	}
	peer := map[string]*peer{"C": p.c, "U": p.u}[what[:1]]
	if peer == nil {
		return errors.New("there is no such peer")
	}
	switch what[1:] {
	case ">":
		peer.send(text + "\r\n")
	case ">>", ">1":
		octets, err := strconv.Unquote(text)
		if err != nil {
			return err
		}
		if what[1:] == ">>" {
			peer.send(octets)
			return nil
		}
		for i := range len(octets) {
			peer.send(octets[i : i+1])
		}
	case "<":
		return peer.expect(text)
	case "-":
		peer.close()
	case "|":
		synctest.Wait() // until all is read
		p.socket.HangUp()
	case "$":
		return peer.expectEnd()
	case "!":
		if peer == p.c {
			return peer.startTLS(p.tls.config())
		}
		return peer.acceptTLS(p.certificate())
	default:
		return errors.New("not a line of a dialogue")
	}
	return nil
}

var (
	repeated = regexp.MustCompile(`rep\((\d+),([^)]*)\)`)
	encoded  = regexp.MustCompile(`b64\(([^)]*)\)`)
	octets   = strings.NewReplacer("^A", "\x01", "^@", "\x00")
)

// encode writes out rep(…) and b64(…).
func encode(text string) string {
	text = repeated.ReplaceAllStringFunc(text, func(s string) string {
		parts := repeated.FindStringSubmatch(s)
		n, _ := strconv.Atoi(parts[1])
		return strings.Repeat(parts[2], n)
	})
	return encoded.ReplaceAllStringFunc(text, func(s string) string {
		inner := octets.Replace(encoded.FindStringSubmatch(s)[1])
		return base64.StdEncoding.EncodeToString([]byte(inner))
	})
}
