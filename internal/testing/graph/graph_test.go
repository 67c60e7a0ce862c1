package graph

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/internal/testing/mailapi"
)

const message = "From: joe@example.com\r\nTo: Ann <ann@example.net>\r\nBcc: bob@example.org,\r\n c@example.org\r\nSubject: x\r\n\r\nBcc: text\r\n"

// post sends a request with changes to a correct one, and returns status and body.
func post(t *testing.T, s *Server, change func(*http.Request)) (int, string, http.Header) {
	t.Helper()
	r := httptest.NewRequest("POST", "/v1.0/me/sendMail", strings.NewReader(base64.StdEncoding.EncodeToString([]byte(message))))
	r.Header.Set("Content-Type", "text/plain")
	r.Header.Set("Authorization", "Bearer good")
	change(r)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Body)
	return w.Code, string(body), w.Header()
}

func setBody(r *http.Request, body string) {
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
}

func TestStrict(t *testing.T) {
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	tests := []struct {
		name   string
		change func(*http.Request)
		status int
		code   string
	}{
		{"correct", func(*http.Request) {}, 202, ""},
		{"old token", func(r *http.Request) { r.Header.Set("Authorization", "Bearer old") }, 401, "InvalidAuthenticationToken"},
		{"no token", func(r *http.Request) { r.Header.Del("Authorization") }, 401, "InvalidAuthenticationToken"},
		{"checked token", func(r *http.Request) { r.Header.Set("Authorization", "Bearer checked") }, 202, ""},
		{"path", func(r *http.Request) { r.URL.Path = "/v1.0/me/messages" }, 404, "ErrorInvalidUser"},
		{"path of an application", func(r *http.Request) { r.URL.Path = "/v1.0/users/joe@example.com/sendMail" }, 404, "ErrorInvalidUser"},
		{"method", func(r *http.Request) { r.Method = "PUT" }, 405, "Request_BadRequest"},
		{"content type", func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, 415, "RequestBodyRead"},
		{"chunked", func(r *http.Request) { r.ContentLength = -1 }, 411, "BadRequest"},
		{"too large", func(r *http.Request) { setBody(r, strings.Repeat("A", MaxRequest+4)) }, 413, "BadRequest"},
		{"lines", func(r *http.Request) { setBody(r, encode(message)[:76]+"\r\n"+encode(message)[76:]) }, 400, "ErrorMimeContentInvalidBase64String"},
		{"alphabet", func(r *http.Request) {
			setBody(r, base64.URLEncoding.EncodeToString([]byte(message+"\xff\xff\xfe\xfe\xff\xff")))
		}, 400, "ErrorMimeContentInvalidBase64String"},
		{"padding", func(r *http.Request) { setBody(r, base64.RawStdEncoding.EncodeToString([]byte(message+"x"))) }, 400, "ErrorMimeContentInvalidBase64String"},
		{"no MIME", func(r *http.Request) { setBody(r, encode("no header\r\n\r\n")) }, 400, "ErrorMimeContentInvalid"},
		{"no recipient", func(r *http.Request) { setBody(r, encode("Subject: x\r\n\r\n")) }, 400, "ErrorInvalidRecipients"},
	}
	for _, test := range tests {
		s := &Server{}
		s.Allow("good", "joe@example.com")
		s.Check = func(token string) (string, bool) { return "joe@example.com", token == "checked" }
		status, body, h := post(t, s, test.change)
		if status != test.status || !strings.Contains(body, test.code) || h.Get("request-id") == "" {
			t.Errorf("%s: %d %s", test.name, status, body)
		}
		if n := len(s.Messages()); (n == 1) != (status == 202) {
			t.Errorf("%s: %d messages", test.name, n)
		}
	}
}

func TestMessage(t *testing.T) {
	s := &Server{}
	s.Allow("good", "joe@example.com")
	post(t, s, func(*http.Request) {})
	got := s.Messages()[0]
	if strings.Join(got.Recipients, " ") != "ann@example.net bob@example.org c@example.org" || got.Mailbox != "joe@example.com" {
		t.Errorf("message: %+v", got)
	}
	want := "From: joe@example.com\r\nTo: Ann <ann@example.net>\r\nSubject: x\r\n\r\nBcc: text\r\n"
	if !bytes.Equal(got.Delivered, []byte(want)) {
		t.Errorf("delivered: %q", got.Delivered)
	}
}

func TestConcurrent(t *testing.T) {
	s := &Server{}
	s.Allow("good", "joe@example.com")
	for range Concurrent {
		leave, _ := s.Enter("joe@example.com", Concurrent)
		defer leave()
	}
	status, body, h := post(t, s, func(*http.Request) {})
	if status != 429 || h.Get("Retry-After") == "" || !strings.Contains(body, "MailboxConcurrency") {
		t.Errorf("%d %s", status, body)
	}
}

func TestFaults(t *testing.T) {
	s := &Server{AppOnly: true}
	s.Allow("good", "joe@example.com")
	users := func(r *http.Request) { r.URL.Path = "/v1.0/users/joe@example.com/sendMail" }
	s.Fail(mailapi.Fault{Status: 503, Code: "ServiceUnavailable", RetryAfter: "5"}, mailapi.Fault{Status: 502, Body: "<html>"})
	if status, body, h := post(t, s, users); status != 503 || h.Get("Retry-After") != "5" || !strings.Contains(body, `"ServiceUnavailable"`) {
		t.Errorf("%d %s", status, body)
	}
	if status, body, _ := post(t, s, users); status != 502 || body != "<html>" {
		t.Errorf("%d %s", status, body)
	}
	if status, body, _ := post(t, s, users); status != 202 || len(s.Messages()) != 1 {
		t.Errorf("%d %s", status, body)
	}
}
