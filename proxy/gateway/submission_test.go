package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
)

// A submissionServer is a server with fixed replies, as a person at a terminal would give
// them. An empty reply closes the connection.
type submissionServer struct {
	replies map[string]string // by verb; "." is the reply to a message

	mu       sync.Mutex
	commands []string
	messages []string
}

var usualReplies = map[string]string{
	"EHLO": "250-smtp.test\r\n250-SIZE 1000000\r\n250-AUTH XOAUTH2 OAUTHBEARER PLAIN\r\n250 8BITMIME",
	"AUTH": "334 ", "SASL": "235 2.7.0 Accepted", "MAIL": "250 2.1.0 OK", "RCPT": "250 2.1.5 OK",
	"DATA": "354 Go ahead", ".": "250 2.0.0 OK 1701 queue-id-4711 - gsmtp", "QUIT": "221 2.0.0 Bye", "*": "501 5.0.0 Cancelled",
}

func (s *submissionServer) dial(context.Context) (net.Conn, error) {
	client, server := newPipe()
	go s.serve(server)
	return client, nil
}

func (s *submissionServer) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	fmt.Fprint(c, "220 smtp.test ESMTP\r\n")
	sasl := false
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		if sasl && verb != "*" {
			verb = "SASL"
		}
		s.mu.Lock()
		s.commands = append(s.commands, line)
		s.mu.Unlock()
		reply, ok := s.replies[verb]
		if !ok {
			reply = usualReplies[verb]
		}
		if reply == "" {
			return
		}
		sasl = strings.HasPrefix(reply, "334")
		if fmt.Fprint(c, reply+"\r\n"); strings.HasPrefix(reply, "354") && !s.data(in, c) {
			return
		}
	}
}

func (s *submissionServer) data(in *bufio.Reader, c net.Conn) bool {
	var b strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		b.WriteString(strings.TrimPrefix(line, "."))
	}
	reply, ok := s.replies["."]
	if !ok {
		reply = usualReplies["."]
	}
	s.mu.Lock()
	s.messages = append(s.messages, b.String())
	s.mu.Unlock()
	if reply == "" {
		return false
	}
	fmt.Fprint(c, reply+"\r\n")
	return true
}

// said returns the commands so far, one a line.
func (s *submissionServer) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.commands, "\n") + "\n"
}

// received returns the messages so far.
func (s *submissionServer) received() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.messages
}

func newSubmission(t *testing.T, replies map[string]string) (*fixture, *submissionServer) {
	server := &submissionServer{replies: replies}
	return newFixture(t, &Submission{Host: "smtp.test", Port: 587, Dial: server.dial, MaxSize: 1000000}), server
}

func TestSubmission(t *testing.T) {
	f, server := newSubmission(t, nil)
	content := "From: joe@example.com\r\nTo: other@example.org\r\n\r\n.dot\r\nGr\xfc\xdfe\r\n"
	got := f.connect(t, nil).login().transmit(content, "ann@example.net", "bob@example.org")
	if got != "250 2.0.0 OK 1701 queue-id-4711 - gsmtp" {
		t.Errorf("reply: %q", got)
	}
	if got := server.received(); len(got) != 1 || got[0] != content {
		t.Errorf("messages: %q", got)
	}
	want := []string{"EHLO localhost", "AUTH XOAUTH2", xoauth2(mailboxName, firstToken),
		fmt.Sprintf("MAIL FROM:<joe@example.com> BODY=8BITMIME SIZE=%d", len(content)),
		"RCPT TO:<ann@example.net>", "RCPT TO:<bob@example.org>", "DATA"}
	if got := server.said(); !strings.HasPrefix(got, strings.Join(want, "\n")+"\n") {
		t.Errorf("commands: %q, want %q", got, want)
	}
	if r := f.last(t); r.Deliverer != "smtp" || r.Result.Kind != Accepted {
		t.Errorf("report: %+v", r)
	}
}

// The client receives the server's replies word for word, whatever command they are for.
func TestSubmissionReplies(t *testing.T) {
	tests := []struct {
		verb, reply string
		want        string // with the lines joined by \n; empty is the reply itself
		kind        Kind
	}{
		{"MAIL", "550 5.7.60 Client does not have permissions to send as this sender", "", UpstreamReply},
		{"MAIL", "432 4.3.2 Concurrent connections limit exceeded", "", UpstreamReply},
		{"RCPT", "550-5.1.1 The email account does not exist.\r\n550 5.1.1 Please check it. - gsmtp", "", UpstreamReply},
		{"RCPT", "450 no enhanced code", "", UpstreamReply},
		{"DATA", "554 5.5.1 no valid recipients", "", UpstreamReply},
		{".", "550-5.4.5 Daily user sending limit exceeded.\r\n550-5.4.5 Learn more\r\n550 5.4.5 here", "", UpstreamReply},
		{".", "421 4.3.0 Temporary System Problem", "", Unavailable},
		{".", "", "451 4.4.2 the submission server gave no answer; the message may have been sent", MaybeSent},
		{".", "354 Go on", "451 4.4.2 the submission server gave no answer; the message may have been sent", MaybeSent},
		{".", "252 What?", "451 4.4.2 the submission server gave no answer; the message may have been sent", MaybeSent},
		{"MAIL", "354 Go on", "451 4.4.1 the submission server cannot be reached; try again later", Unavailable},
		{"MAIL", "550 5.7.1 a\rb\x1b[31m", "550 5.7.1 a?b?[31m", UpstreamReply},
		{"DATA", "", "451 4.4.1 the submission server cannot be reached; try again later", Unavailable},
		{"EHLO", "", "451 4.4.1 the submission server cannot be reached; try again later", Unavailable},
		{"SASL", "535 5.7.3 Authentication unsuccessful", "451 4.7.1 the submission server refused the login: 535 5.7.3 Authentication unsuccessful", TokenRefused},
		{"SASL", "454 4.7.0 Temporary authentication failure", "", UpstreamReply},
	}
	for _, test := range tests {
		f, server := newSubmission(t, map[string]string{test.verb: test.reply})
		got := f.connect(t, nil).login().transmit(message, "ann@example.net")
		want := test.want
		if want == "" {
			want = strings.ReplaceAll(test.reply, "\r\n", "\n")
		}
		if got != want {
			t.Errorf("%s: %q, want %q", test.verb, got, want)
		}
		if r := f.last(t); r.Result.Kind != test.kind || r.Result.Err == nil {
			t.Errorf("%s, %q: report %+v", test.verb, test.reply, r)
		}
		if test.verb != "." && len(server.received()) > 0 {
			t.Errorf("%s: a message was sent", test.verb)
		}
	}
}

// One refused recipient refuses the message: the others must not receive it while the
// client hears of a failure.
func TestSubmissionAllOrNobody(t *testing.T) {
	f, server := newSubmission(t, map[string]string{"RCPT": "550 5.1.1 unknown"})
	f.connect(t, nil).login().transmit(message, "ann@example.net", "bob@example.org")
	if len(server.received()) > 0 {
		t.Error("the message was sent")
	}
}

func TestSubmissionReplacesToken(t *testing.T) {
	f, server := newSubmission(t, map[string]string{"SASL": "535 5.7.8 refused"})
	f.tokens.list = []string{"old", "new"}
	got := f.connect(t, nil).login().transmit(message, "ann@example.net")
	if !strings.HasPrefix(got, "451 4.7.1 ") {
		t.Error(got)
	}
	all := server.said()
	if strings.Count(all, "AUTH ") != 2 || !strings.Contains(all, xoauth2(mailboxName, "old")) || !strings.Contains(all, xoauth2(mailboxName, "new")) {
		t.Errorf("commands: %q", all)
	}
}

func TestSubmissionUnreachable(t *testing.T) {
	f := newFixture(t, &Submission{Dial: func(context.Context) (net.Conn, error) { return nil, errors.New("refused") }})
	if got := f.connect(t, nil).login().transmit(message, "ann@example.net"); !strings.HasPrefix(got, "451 4.4.1 ") {
		t.Error(got)
	}
}

// Mechanisms other than XOAUTH2 work as well.
func TestSubmissionMechanisms(t *testing.T) {
	for _, mechanism := range []string{"oauthbearer", "plain"} {
		f, server := newSubmission(t, nil)
		f.Deliverer.(*Submission).Mechanism = mechanism
		if got := f.connect(t, nil).login().transmit(message, "ann@example.net"); !strings.HasPrefix(got, "250 ") {
			t.Errorf("%s: %q", mechanism, got)
		}
		if got := server.said(); !strings.Contains(got, "\nAUTH "+strings.ToUpper(mechanism)+"\n") {
			t.Errorf("%s: commands %q", mechanism, got)
		}
	}
}
