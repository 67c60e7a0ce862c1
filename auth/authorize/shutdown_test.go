package authorize

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/shutdown"
)

// A slowTransport answers each request with a token after ten seconds.
type slowTransport struct{}

func (slowTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(10 * time.Second):
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", "application/json")
		w.WriteString(`{"access_token":"token0","refresh_token":"refresh0","token_type":"Bearer","expires_in":3600}`)
		return w.Result(), nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// TestShutdown checks that a shutdown ends the wait for a person, but not a request whose
// response may contain a grant. Such requests end at the deadline.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := shutdown.New()
		a := newAccount("joe@example.com").account()
		a.Shutdown = s
		a.Client = &oauth.Provider{
			OAuth: oauth2.Config{Endpoint: oauth2.Endpoint{
				AuthURL: "https://example.com/authorize", TokenURL: "https://example.com/token",
				DeviceAuthURL: "https://example.com/device", AuthStyle: oauth2.AuthStyleInParams,
			}},
			Client: &http.Client{Transport: slowTransport{}},
		}
		exchange := func() Result {
			f := NewCodeFlow(a)
			r, err := f.Finish(t.Context(), "http://127.0.0.1:1180/callback?code=c0de&state="+stateFromURL(t, f.URL()))
			if err != nil {
				t.Error(err)
			}
			return r
		}
		time.AfterFunc(time.Second, s.Begin)
		// The response that is on its way may be the one with the tokens.
		if r := AwaitDevice(t.Context(), a, &oauth.Device{Expiry: time.Now().Add(time.Hour)}); !r.OK {
			t.Errorf("AwaitDevice: %+v", r)
		}
		requestCode := &pendingAuthorization{account: &account{Account: a}}
		start := time.Now()
		r := new(endpoint).deviceFlow(t.Context(), requestCode, func() {})
		if r.Kind != noCode || !strings.Contains(r.causes(), context.Canceled.Error()) || time.Since(start) > 0 {
			t.Errorf("request for a device code: %+v", r)
		}
		if r := exchange(); !r.OK {
			t.Errorf("exchange: %+v", r)
		}
		time.AfterFunc(time.Second, s.Expire)
		start = time.Now()
		if r := exchange(); r.Kind != noToken || time.Since(start) != time.Second {
			t.Errorf("exchange at the deadline: %+v after %v", r, time.Since(start))
		}
	})
}

// TestIssDecided checks that the provider's metadata decide whether a response must have
// an iss, unless the configuration does.
func TestIssDecided(t *testing.T) {
	for decided, want := range map[bool]string{false: wrongIssuer, true: authorized} {
		a := newAccount("joe@example.com")
		a.issuer, a.sendsIss, a.issDecided = "https://id.example", true, decided
		f := NewCodeFlow(a.account())
		r, err := f.Finish(t.Context(), "127.0.0.1:1180/callback?code=c0de&state="+stateFromURL(t, f.URL()))
		if err != nil || r.Kind != want {
			t.Errorf("require_iss in the configuration: %t; result %s, %v", decided, r.Kind, err)
		}
	}
}
