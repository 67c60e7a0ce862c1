package api

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// FuzzRequest: whatever a request contains, the response is lines of JSON.
func FuzzRequest(f *testing.F) {
	for _, body := range []string{"", "{}", `{"local":true}`, `{"refresh_token":"x"}`, `{"address":"x","replace":true}`, `{"local":true}{}`, "[]", "null", "\x00"} {
		for _, path := range []string{"/v1/accounts/alice/check", "/v1/accounts/alice/import", "/v1/accounts/panic/check", "/v1/accounts/alice/revoke", "/v1/answers/x", "/v1/%2e%2e/status"} {
			f.Add(path, body)
		}
	}
	s := &Server{Backend: new(fakeBackend), Log: slog.New(slog.DiscardHandler), Stopping: context.Background(),
		User: func(*http.Request) (User, error) { return 0, nil }}
	handler := s.Handler()
	f.Fuzz(func(t *testing.T, path, body string) {
		r, err := http.NewRequest(http.MethodPost, "http://xoauthd/"+strings.TrimPrefix(path, "/"), strings.NewReader(body))
		if err != nil || strings.Contains(path, "authorize") || strings.Contains(path, "flood") || strings.Contains(path, "wait") {
			return // these wait for a person, or for the client to leave
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(deadlines{w}, r)
		if w.Code == http.StatusTemporaryRedirect || w.Code == http.StatusMovedPermanently { // to a clean path
			return
		}
		for lines := bufio.NewScanner(w.Body); lines.Scan(); {
			if !json.Valid(lines.Bytes()) || lines.Bytes()[0] != '{' {
				t.Errorf("%d %q", w.Code, lines.Bytes())
			}
		}
		if w.Code == http.StatusInternalServerError && !strings.Contains(path, "panic") && !strings.Contains(path, "broken") {
			t.Errorf("POST %s %q: %s", path, body, w.Body)
		}
	})
}

// deadlines accepts the deadlines of a connection.
type deadlines struct{ *httptest.ResponseRecorder }

func (deadlines) SetWriteDeadline(time.Time) error { return nil }
