package proxy

import (
	"bytes"
	"fmt"
	"strings"
)

// refuse answers logins with which a client begins that is logged in already,
// and returns what else it said: its local password is none of the provider's
// business. Programs do so at once if they do it at all. Once the client has said
// anything else, and where a line comes in pieces, nothing is looked at.
func (r *relay) refuse(octets []byte) (rest []byte) {
	for len(octets) > 0 {
		line, after, whole := bytes.Cut(octets, []byte("\r\n"))
		if !whole {
			line = nil
		}
		answer := r.again(string(line))
		if answer == "" {
			r.again = nil
			break
		}
		fmt.Fprintf(r.client, "%s\r\n", answer) // if it is gone, that is seen elsewhere
		octets = after
		if bytes.HasSuffix(line, []byte("+}")) {
			// A literal is on its way unasked (RFC 7888), which may be the password.
			r.tide.because("client logged in again", nil)
			r.abort()
			return nil
		}
	}
	return octets
}

func againIMAP(line string) (answer string) {
	tag, command, _ := strings.Cut(line, " ")
	verb, _, _ := strings.Cut(command, " ")
	switch strings.ToUpper(verb) {
	case "LOGIN", "AUTHENTICATE":
		return oneLine(tag) + " BAD already logged in"
	}
	return ""
}

func againSMTP(line string) (answer string) {
	if verb, _, _ := strings.Cut(line, " "); strings.EqualFold(verb, "AUTH") {
		return "503 5.5.1 already logged in"
	}
	return ""
}

func againPOP3(line string) (answer string) {
	verb, _, _ := strings.Cut(line, " ")
	switch strings.ToUpper(verb) {
	case "USER", "PASS", "AUTH", "APOP":
		return "-ERR already logged in"
	}
	return ""
}
