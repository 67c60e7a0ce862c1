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

// TestDialogues plays the dialogues of testdata/*.dialog between the client (C), a session
// and the upstream (U). The first word of a file's name is its protocol.
//
//	# …            a comment; the first one says what the dialogue proves
//	% word …       a setting: see player.set, and tlsSettings
//	C> text        the client sends a line
//	C>> "text"     the client sends bytes, quoted as in Go, in one segment
//	C>1 "text"     the client sends bytes, each in its own segment
//	C< pattern     the client receives a line, within 30 seconds; ... is any text
//	C-             the client closes
//	C|             the client half-closes
//	C$             the connection of the client is closed
//	C!             the client begins TLS
//	U+             the session connects to the upstream, with implicit TLS unless set otherwise
//	U!             the upstream accepts TLS
//	A result …     the results of logins that the session has reported to the account
//	~ 60s          time passes
//	~ stop         xoauthd stops
//	~ revoke       the grant of the account is revoked
//	~ slot         the session that has the account's only slot ends
//	= result text  the result of the session, and a part of its log line
//
// U> and so on are the same for the upstream. Within a line, rep(n,…) is repeated n times,
// and b64(…) is encoded; there ^A is byte 1 and ^@ byte 0.
//
// Each dialogue is played twice, the second time with the trace of the level debug.
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
		t.Fatal("the first line is not a comment")
	}
	for i, line := range strings.Split(strings.TrimSuffix(script, "\n"), "\n") {
		if err := p.play(line); err != nil {
			t.Fatalf("%s:%d: %s\n%v\n%s", file, i+1, line, err, p.log)
		}
	}
	if !p.ended {
		t.Fatal("no result: = result")
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
		return p.advance(text)
	case "=":
		return p.expectResult(text)
	case "U+":
		return p.connected()
	case "A":
		return p.expectReported(text)
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

// encode expands rep(…) and b64(…).
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
