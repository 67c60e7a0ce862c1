package gmail

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const message = "From: joe@example.com\r\nTo: Ann <ann@example.net>\r\nBcc: bob@example.org\r\n\r\nx\r\n"

func TestStrict(t *testing.T) {
	setBody := func(r *http.Request, body string) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
	tests := []struct {
		name   string
		change func(*http.Request)
		status int
		code   string
	}{
		{"correct", func(*http.Request) {}, 200, `"id":"0000000000000001"`},
		{"old token", func(r *http.Request) { r.Header.Set("Authorization", "Bearer old") }, 401, "authError"},
		{"path", func(r *http.Request) { r.URL.Path = "/gmail/v1/users/me/messages/send" }, 404, "notFound"},
		{"upload type", func(r *http.Request) { r.URL.RawQuery = "uploadType=multipart" }, 404, "notFound"},
		{"method", func(r *http.Request) { r.Method = "PUT" }, 405, "httpMethodNotAllowed"},
		{"content type", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 400, "badContent"},
		{"chunked", func(r *http.Request) { r.ContentLength = -1 }, 411, ""},
		{"too large", func(r *http.Request) { r.ContentLength = MaxRequest + 1 }, 413, "uploadTooLarge"},
		{"no MIME", func(r *http.Request) { setBody(r, "no header\r\n\r\n") }, 400, "invalidArgument"},
		{"no recipient", func(r *http.Request) { setBody(r, "Subject: x\r\n\r\n") }, 400, "Recipient address required"},
	}
	for _, test := range tests {
		s := &Server{}
		s.Allow("good", "joe@example.com")
		r := httptest.NewRequest("POST", "/upload/gmail/v1/users/me/messages/send?uploadType=media", strings.NewReader(message))
		r.Header.Set("Content-Type", "message/rfc822")
		r.Header.Set("Authorization", "Bearer good")
		test.change(r)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if body := w.Body.String(); w.Code != test.status || !strings.Contains(body, test.code) {
			t.Errorf("%s: %d %s", test.name, w.Code, body)
		}
		if got := s.Messages(); (len(got) == 1) != (w.Code == 200) {
			t.Errorf("%s: %d messages", test.name, len(got))
		}
	}
}
