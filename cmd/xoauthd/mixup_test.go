package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
)

// TestMixUp has a hostile provider send the browser of a person at a terminal on
// to an honest one. It does not get the code that the person brings back.
func TestMixUp(t *testing.T) {
	for _, served := range []bool{true, false} {
		p := newPlace(t)
		var asked atomic.Int32 // at the hostile token endpoint
		mux := http.NewServeMux()
		mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			q.Set("redirect_uri", redirect)
			http.Redirect(w, r, p.issuer+"/authorize?"+q.Encode(), http.StatusFound)
		})
		mux.HandleFunc("POST /token", func(http.ResponseWriter, *http.Request) { asked.Add(1) })
		hostile := httptest.NewServer(mux)
		t.Cleanup(hostile.Close)
		text, err := os.ReadFile(p.file)
		must(t, err)
		text = fmt.Appendf(text, `
[provider.hostile]
client_id         = "xoauthd"
authorization_url = "%[1]s/authorize"
token_url         = "%[1]s/token"
redirect_url      = "http://localhost:1/callback/hostile"
scopes            = ["mail"]
imap = { host = "localhost", port = 1 }

[account."mallory@example.com"]
provider      = "hostile"
password_hash = "$argon2id$v=19$m=19456,t=2,p=1$pBRIGepKUqjL4LDI51z58w$s+AX+0UaxFBX6QsnhggUN5hqg67TepmNhl0tpWvvZ88"
`, hostile.URL)
		must(t, os.WriteFile(p.file, text, 0o600))
		if served {
			p.serve(t)
		}
		x := p.begin(t, "authorize", "--terminal", "mallory@example.com")
		link := strings.TrimSpace(x.shows(t, `http://\S+/authorize\?\S+\n`))
		ended := p.consent(t, link, alice, "allow")
		x.shows(t, "Address: ")
		x.types(t, ended[strings.Index(ended, "?"):])
		x.shows(t, "the beginning of the address is missing")
		x.types(t, ended)
		status, said := x.ends()
		said = strings.Join(strings.Fields(said), " ") // lines are wrapped
		if status != 1 || !strings.Contains(said, "it arrived at another address than http://localhost:1/callback/hostile") ||
			!strings.Contains(said, "mallory@example.com was not authorized") {
			t.Errorf("status %d:\n%s", status, said)
		}
		if n := asked.Load() + int32(p.idp.TokenRequests()); n > 0 {
			t.Errorf("%d requests for tokens", n)
		}
	}
}
