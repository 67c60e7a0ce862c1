package oauth

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// SendsIss finds the metadata at both places, reads them once, and believes those of
// the issuer alone.
func TestSendsIss(t *testing.T) {
	const yes = `"authorization_response_iss_parameter_supported": true`
	for _, test := range []struct {
		name, path string // of the issuer
		at, body   string // of the metadata; %s is the issuer
		status     int
		want       bool
		requests   int // for two calls
	}{
		{"OpenID Connect", "", "/.well-known/openid-configuration", `{"issuer": "%s", ` + yes + `}`, 200, true, 1},
		{"a path, OpenID Connect", "/realms/x", "/realms/x/.well-known/openid-configuration", `{"issuer": "%s", ` + yes + `}`, 200, true, 1},
		{"a path, RFC 8414", "/realms/x", "/.well-known/oauth-authorization-server/realms/x", `{"issuer": "%s", ` + yes + `}`, 200, true, 2},
		{"iss is not mentioned", "", "/.well-known/openid-configuration", `{"issuer": "%s"}`, 200, false, 1},
		{"another issuer", "", "/.well-known/openid-configuration", `{"issuer": "%sx", ` + yes + `}`, 200, false, 2},
		{"no JSON", "", "/.well-known/openid-configuration", `%s`, 200, false, 2},
		{"an error", "", "/.well-known/openid-configuration", `{"issuer": "%s", ` + yes + `}`, 500, false, 2},
		{"no metadata", "", "/", "%s", 404, false, 2},
		{"a placeholder", "/{tenantid}/v2.0", "/", `%s`, 200, false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			requests := 0
			var issuer string
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests++
				if r.URL.Path != test.at {
					http.NotFound(w, r)
					return
				}
				w.WriteHeader(test.status)
				fmt.Fprintf(w, test.body, issuer)
			}))
			defer s.Close()
			issuer = s.URL + test.path
			p := &Provider{Issuer: issuer}
			for range 2 {
				if got := p.SendsIss(t.Context()); got != test.want {
					t.Errorf("%v", got)
				}
			}
			if requests != test.requests {
				t.Errorf("%d requests", requests)
			}
		})
	}
}

// Metadata that cannot be had are asked for again after a pause, and one that does not
// answer holds a person up for a short time.
func TestSendsIssLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var server http.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		p := &Provider{Issuer: "http://idp.example", Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			w := httptest.NewRecorder()
			server.ServeHTTP(w, r)
			return w.Result(), r.Context().Err()
		})}}
		start := time.Now()
		for range 2 { // the second call does not ask
			if p.SendsIss(t.Context()) || time.Since(start) != metadataTime {
				t.Errorf("took %v", time.Since(start))
			}
		}
		server = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"issuer": "http://idp.example", "authorization_response_iss_parameter_supported": true}`)
		})
		time.Sleep(metadataPause)
		if !p.SendsIss(t.Context()) {
			t.Error("the metadata are not read again")
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
