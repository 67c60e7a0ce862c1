//go:build linux

package soak

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A mailbox is the POP3 mailbox. It receives the messages that clients send by SMTP.
type mailbox struct {
	mu       sync.Mutex
	next     int
	messages []stored
}

type stored struct{ uid, text string }

func (b *mailbox) add(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	b.messages = append(b.messages, stored{fmt.Sprintf("uid%d", b.next), text})
}

// all returns the present messages.
func (b *mailbox) all() []stored {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.messages)
}

func (b *mailbox) remove(uids []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages = slices.DeleteFunc(b.messages, func(s stored) bool { return slices.Contains(uids, s.uid) })
}

// servePOP3 serves POP3 until ln is closed.
func (m *mailServer) servePOP3(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			(&popSession{c: c.(*conn), in: bufio.NewReader(c)}).run()
		}()
	}
}

// A popSession serves the commands of RFC 1939 that the client uses.
type popSession struct {
	c        *conn
	in       *bufio.Reader
	account  string // empty before the login
	messages []stored
	deleted  []string
}

func (s *popSession) run() {
	s.say("+OK ready")
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return
		}
		verb, argument, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case verb == "CAPA":
			s.say("+OK\r\nSASL XOAUTH2\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\n.")
		case verb == "AUTH":
			s.authenticate()
		case verb == "QUIT":
			s.quit()
			return
		case s.account == "":
			s.say("-ERR log in")
		default:
			s.transaction(verb, argument)
		}
	}
}

func (s *popSession) say(reply string) { s.c.Write([]byte(reply + "\r\n")) }

func (s *popSession) authenticate() {
	exchange := &login{
		server:  s.c.server,
		refused: errors.New("-ERR [AUTH] token not accepted"),
		later:   errors.New("-ERR [SYS/TEMP] no login for now"),
		in:      func(account string) { s.account, s.messages = account, s.c.server.pop3.all() },
	}
	var response []byte
	for {
		challenge, done, err := exchange.Next(response)
		if err != nil {
			s.say(err.Error())
			return
		}
		if done {
			s.say("+OK logged in")
			return
		}
		s.say("+ " + base64.StdEncoding.EncodeToString(challenge))
		line, err := s.in.ReadString('\n')
		if err != nil {
			return
		}
		if response, err = base64.StdEncoding.AppendDecode([]byte{}, []byte(strings.TrimSpace(line))); err != nil {
			s.say("-ERR not base64")
			return
		}
	}
}

// transaction answers a command after the login.
func (s *popSession) transaction(verb, argument string) {
	switch verb {
	case "STAT":
		s.say(fmt.Sprintf("+OK %d 0", len(s.messages)))
		return
	case "UIDL":
		list := "+OK\r\n"
		for i, m := range s.messages {
			list += fmt.Sprintf("%d %s\r\n", i+1, m.uid)
		}
		s.say(list + ".")
		return
	}
	number, err := strconv.Atoi(argument)
	if err != nil || number < 1 || number > len(s.messages) {
		s.say("-ERR no such message or command")
		return
	}
	message := s.messages[number-1]
	switch verb {
	case "RETR":
		if s.c.server.present().cutText {
			s.say("+OK\r\n" + message.text[:50])
			s.c.Close()
			return
		}
		s.say("+OK\r\n" + strings.ReplaceAll("\r\n"+message.text, "\r\n.", "\r\n..")[2:] + ".")
	case "DELE":
		s.deleted = append(s.deleted, message.uid)
		s.say("+OK")
	default:
		s.say("-ERR unknown command")
	}
}

// quit removes the deleted messages. RFC 1939 section 6 allows that at no other time.
func (s *popSession) quit() {
	for _, uid := range s.deleted {
		s.c.server.ledger.mark(uid, func(r *retrieval) { r.deleted = true })
	}
	s.c.server.pop3.remove(s.deleted)
	switch f := s.c.server.present(); {
	case f.cutReply:
	case f.halfClose:
		s.c.CloseWrite()
		<-f.over
	default:
		s.say("+OK bye")
	}
}
