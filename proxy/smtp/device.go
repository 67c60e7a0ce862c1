package smtp

import (
	"regexp"
	"strings"

	"github.com/xoauthd/xoauthd/proxy/wire"
)

// NewDeviceServer returns a Server for clients that send mail without a login. It offers
// no AUTH, and accepts any: some devices send a password if they have one. ReadLogin
// returns at the first MAIL command, which stays unread. As old devices do, commands may
// end in LF alone.
func NewDeviceServer(c *wire.Conn, extensions func(hello string, wanted bool) []string) *Server {
	c.BareLF = true
	return &Server{c: c, extensions: extensions, noLogin: true}
}

// acceptAny runs any mechanism and ignores what the client sends.
func (s *Server) acceptAny(args string) error {
	if s.c.NeedsTLS() {
		return reply("538 5.7.11 use STARTTLS first")
	}
	challenges := []string{"PDFAbG9jYWxob3N0Pg=="} // <1@localhost>, for CRAM-MD5 and others
	mechanism, _, hasInitial := strings.Cut(strings.TrimSpace(args), " ")
	switch strings.ToUpper(mechanism) {
	case "LOGIN":
		challenges = []string{"VXNlcm5hbWU6", "UGFzc3dvcmQ6"} // Username: and Password:
	case "PLAIN":
		challenges = []string{""}
	}
	if hasInitial {
		challenges = challenges[1:]
	}
	for _, challenge := range challenges {
		s.c.Printf("334 %s", challenge)
		line, err := s.c.ReadLine()
		if err != nil {
			return err
		}
		s.c.TraceReceived("(response)")
		s.wrapped = mayContinue(line)
	}
	return reply("235 2.7.0 no login needed")
}

// mayContinue reports whether a response may be incomplete: HP printers break long base64
// into lines, and wait for one reply. The rest gets none.
func mayContinue(response string) bool {
	return len(response) >= 64 && len(response)%4 == 0 && isBase64(response) && !strings.HasSuffix(response, "=")
}

func isBase64(s string) bool { return base64Line.MatchString(s) }

var base64Line = regexp.MustCompile(`^[A-Za-z0-9+/]+={0,2}$`)
