package gateway

import (
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/xoauthd/xoauthd/internal/text"
)

// maxDetail limits in bytes what a reply quotes, such as the words of an API. The whole
// line has at most 512 bytes (RFC 5321 section 4.5.3.1.5).
const maxDetail = 300

// A status is a reply code and an enhanced code, such as "550 5.1.1" (RFC 3463).
type status string

// reply returns s with text as a reply in one line of ASCII.
func (s status) reply(format string, args ...any) *smtp.SMTPError {
	var code, class, subject, detail int
	if _, err := fmt.Sscanf(string(s), "%d %d.%d.%d", &code, &class, &subject, &detail); err != nil {
		code, class, subject, detail = 451, 4, 3, 0
	}
	return &smtp.SMTPError{
		Code:         code,
		EnhancedCode: smtp.EnhancedCode{class, subject, detail},
		Message:      ascii(text.Line(fmt.Sprintf(format, args...), 2*maxDetail-120)),
	}
}

// ascii returns s with other characters than printable ASCII replaced, as RFC 5321 section
// 4.2 requires of replies.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '…':
			return '.'
		case r < ' ' || r > '~':
			return '?'
		}
		return r
	}, s)
}

// replyIn returns the reply that err is or wraps, or other.
func replyIn(err error, other *smtp.SMTPError) *smtp.SMTPError {
	if e, ok := errors.AsType[*smtp.SMTPError](err); ok {
		return e
	}
	return other
}

// formatReply returns e as it is sent, without the code of continuation lines.
func formatReply(e *smtp.SMTPError) string {
	if e.EnhancedCode == smtp.NoEnhancedCode {
		return fmt.Sprintf("%d %s", e.Code, e.Message)
	}
	return fmt.Sprintf("%d %d.%d.%d %s", e.Code, e.EnhancedCode[0], e.EnhancedCode[1], e.EnhancedCode[2], e.Message)
}
