// Package graph is a fake of the sendMail action of Microsoft Graph. It is as strict as its
// documentation: method, path, content type, base64 alphabet, size of the request, form of
// the message, recipients from the header, four requests at a time for each mailbox.
package graph

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/xoauthd/xoauthd/internal/testing/mailapi"
)

// MaxRequest is the maximum size of a request body in bytes.
const MaxRequest = 4 << 20

// Concurrent is the maximum number of requests at a time for a mailbox.
const Concurrent = 4

// A Server is the fake, to be served below its base URL + "/v1.0".
type Server struct {
	mailapi.State

	// AppOnly is true if the tokens are of an application, which has no /me.
	AppOnly bool

	id atomic.Int64
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("request-id", fmt.Sprintf("00000000-0000-4000-8000-%012d", s.id.Add(1)))
	mailbox, known := s.Mailbox(r)
	leave, within := s.Enter(mailbox, Concurrent)
	defer leave()
	fault, faulty := s.NextFault()
	switch {
	case faulty && fault.Break == mailapi.BreakBefore:
		mailapi.Lose(w)
	case !known:
		fail(w, 401, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired.")
	case !within:
		w.Header().Set("Retry-After", "1")
		fail(w, 429, "ApplicationThrottled", "Application is over its MailboxConcurrency limit.")
	default:
		s.sendMail(w, r, mailbox, fault, faulty)
	}
}

func (s *Server) sendMail(w http.ResponseWriter, r *http.Request, mailbox string, fault mailapi.Fault, faulty bool) {
	m, status, code, message := s.receive(r, mailbox)
	if faulty && fault.Break == mailapi.NoBreak {
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
	}
	if status != 0 {
		fail(w, status, code, message)
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
	w.WriteHeader(http.StatusAccepted)
}

// receive reads and checks a request.
func (s *Server) receive(r *http.Request, mailbox string) (m mailapi.Message, status int, code, message string) {
	want := "/v1.0/me/sendMail"
	if s.AppOnly {
		want = "/v1.0/users/" + url.PathEscape(mailbox) + "/sendMail"
	}
	switch {
	case r.URL.EscapedPath() != want:
		return m, 404, "ErrorInvalidUser", "The requested user is invalid."
	case r.Method != http.MethodPost:
		return m, 405, "Request_BadRequest", "The method is not allowed."
	case r.Header.Get("Content-Type") != "text/plain":
		return m, 415, "RequestBodyRead", "The content type is not supported."
	}
	body, status := mailapi.ReadBody(r, MaxRequest)
	if status != 0 {
		return m, status, "BadRequest", http.StatusText(status)
	}
	if strings.ContainsAny(string(body), "\r\n") {
		return m, 400, "ErrorMimeContentInvalidBase64String", "Invalid base64 string for MIME content."
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(string(body))
	if err != nil {
		return m, 400, "ErrorMimeContentInvalidBase64String", "Invalid base64 string for MIME content."
	}
	if m, err = mailapi.Parse(mailbox, raw); err != nil {
		return m, 400, "ErrorMimeContentInvalid", "Invalid MIME content."
	}
	if len(m.Recipients) == 0 {
		return m, 400, "ErrorInvalidRecipients", "At least one recipient is not valid."
	}
	return m, 0, "", ""
}

// fail answers with an error.
func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{
		"code": code, "message": message,
		"innerError": map[string]string{"request-id": w.Header().Get("request-id")},
	}})
}
