// Package gmail is a fake of the media upload of users.messages.send of the Gmail API. It is
// as strict as its documentation: method, path, content type, size, form of the message,
// recipients from the header.
package gmail

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/xoauthd/xoauthd/internal/testing/mailapi"
)

// MaxRequest is the maximum size of a message in bytes.
const MaxRequest = 35 << 20

// A Server is the fake, to be served at the root of its base URL.
type Server struct {
	mailapi.State
	id atomic.Int64
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mailbox, known := s.Mailbox(r)
	leave, _ := s.Enter(mailbox, 0)
	defer leave()
	fault, faulty := s.NextFault()
	if faulty && fault.Break == mailapi.BreakBefore {
		mailapi.Lose(w)
		return
	}
	if !known {
		fail(w, 401, "authError", "Invalid Credentials")
		return
	}
	m, status, reason, message := receive(r, mailbox)
	switch {
	case faulty && fault.Break == mailapi.NoBreak:
		if fault.RetryAfter != "" {
			w.Header().Set("Retry-After", fault.RetryAfter)
		}
		if fault.Body != "" {
			w.WriteHeader(fault.Status)
			w.Write([]byte(fault.Body))
			return
		}
		fail(w, fault.Status, fault.Code, fault.Message)
		return
	case status != 0:
		fail(w, status, reason, message)
		return
	}
	s.Wait(r)
	if !faulty || fault.Accept {
		s.Accept(m)
	}
	if faulty {
		mailapi.Lose(w)
		return
	}
	id := fmt.Sprintf("%016x", s.id.Add(1))
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"id": id, "threadId": id, "labelIds": []string{"SENT"}})
}

// receive reads and checks a request.
func receive(r *http.Request, mailbox string) (m mailapi.Message, status int, reason, message string) {
	switch {
	case r.URL.Path != "/upload/gmail/v1/users/me/messages/send" || r.URL.Query().Get("uploadType") != "media":
		return m, 404, "notFound", "Not Found"
	case r.Method != http.MethodPost:
		return m, 405, "httpMethodNotAllowed", "Method Not Allowed"
	case r.Header.Get("Content-Type") != "message/rfc822":
		return m, 400, "badContent", "Media type '" + r.Header.Get("Content-Type") + "' is not supported. Valid media types: [message/*]"
	}
	body, status := mailapi.ReadBody(r, MaxRequest)
	if status != 0 {
		return m, status, "uploadTooLarge", http.StatusText(status)
	}
	m, err := mailapi.Parse(mailbox, body)
	if err != nil {
		return m, 400, "invalidArgument", "Invalid message"
	}
	if len(m.Recipients) == 0 {
		return m, 400, "invalidArgument", "Recipient address required"
	}
	return m, 0, "", ""
}

// fail answers with an error.
func fail(w http.ResponseWriter, status int, reason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{
		"code": status, "message": message,
		"errors": []map[string]string{{"domain": "global", "reason": reason, "message": message}},
	}})
}
