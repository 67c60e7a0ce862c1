package oauth

import (
	"testing"
	"testing/synctest"

	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// TestProviderRevoke: Revoke sends no request without an endpoint or a token.
func TestProviderRevoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokenserver.Server{Answer: tokenserver.Always(200, "")}
		p := newProvider(s)
		if told, err := p.Revoke(t.Context(), granted(0)); told || err != nil {
			t.Errorf("without an endpoint: %v, %v", told, err)
		}
		p.RevocationURL = "https://example.com/revoke"
		if told, err := p.Revoke(t.Context(), Grant{}); told || err != nil || s.Count() != 0 {
			t.Errorf("without a token: %v, %v", told, err)
		}
		if told, err := p.Revoke(t.Context(), granted(0)); !told || err != nil || s.Requests[0].Get("token") != "refresh0" {
			t.Errorf("%v, %v", told, err)
		}
	})
}
