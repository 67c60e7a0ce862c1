package doctor

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/auth"
)

func TestTokenSource(t *testing.T) {
	for _, test := range []struct {
		name   string
		before time.Duration // the token's life; none if zero
		want   string
	}{
		{"it was there", time.Hour, "from memory, 60 minutes left"},
		{"it was replaced", time.Minute, "refreshed, 60 minutes left"},
		{"there was none", 0, "new, 60 minutes left"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, opaque)
				w.status.Expiry = time.Now().Add(test.before)
				if test.before == 0 {
					w.status.Expiry = time.Time{}
				}
				w.subject.Token = func(context.Context) (string, error) {
					w.status.Expiry = time.Now().Add(time.Hour)
					return opaque, nil
				}
				r, _, _ := w.examine()
				if s := step(t, r, "access token"); s.Detail != test.want {
					t.Errorf("%q, want %q", s.Detail, test.want)
				}
			})
		})
	}
}

func TestTokenRemedy(t *testing.T) {
	consent := &auth.Error{Kind: auth.Consent, Code: "invalid_grant"}
	for _, test := range []struct {
		name string
		err  error
		hint string
		want string
	}{
		{"a person has to", fmt.Errorf("wrapped: %w", consent), "", "Authorize it."},
		{"a person has to, and it is known why", consent, "It was seven days.", "It was seven days. Authorize it."},
		{"the operator has to", &auth.Error{Kind: auth.Misconfigured, Code: "invalid_client"}, "",
			"Check client_id, its secret and the scopes in the section of provider example."},
		{"the operator has to, and it is known why", &auth.Error{Kind: auth.Misconfigured}, "The secret has expired.", "The secret has expired."},
		{"nobody has to", &auth.Error{Kind: auth.Passing, Status: 503}, "",
			"The daemon tries again by itself; if it stays, look at the step of the token endpoint."},
		{"nobody knows", errors.New("what is this"), "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, opaque)
				w.subject.Remedy = "Authorize it."
				w.subject.Hint = func(error) string { return test.hint }
				w.subject.Token = func(context.Context) (string, error) { return "", test.err }
				r, _, _ := w.examine()
				if s := step(t, r, "access token"); s.Outcome != Failed || s.Remedy != test.want {
					t.Errorf("%s: %q, want %q", s.Outcome, s.Remedy, test.want)
				}
				if s := step(t, r, "IMAP login at imap.example.com:993"); s.Outcome != Skipped {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}
