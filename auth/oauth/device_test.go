package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/xoauthd/xoauthd/internal/testing/idp"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

const (
	deviceAnswer = `{"device_code":"code-of-the-device","user_code":"WDJB-MJHT","verification_uri":"https://example.com/device","verification_uri_complete":"https://example.com/device?user_code=WDJB-MJHT","expires_in":1800,"interval":5}`
	pending      = `{"error":"authorization_pending"}`
	slowDown     = `{"error":"slow_down"}`
	denied       = `{"error":"access_denied"}`
)

func newDeviceProvider(s *tokenserver.Server) *Provider {
	p := newProvider(s)
	p.OAuth.Endpoint.DeviceAuthURL = "https://example.com/device_authorization"
	return p
}

func TestDeviceAuth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokenserver.Server{Answer: tokenserver.Always(200, deviceAnswer)}
		d, err := newDeviceProvider(s).DeviceAuth(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if d.UserCode != "WDJB-MJHT" || d.URI != "https://example.com/device" || d.Complete != "https://example.com/device?user_code=WDJB-MJHT" || time.Until(d.Expiry) != 30*time.Minute {
			t.Errorf("device = %+v", d)
		}
		for k, want := range map[string]string{"client_id": "client", "client_secret": "client-secret", "scope": "mail"} {
			if got := s.Requests[0].Get(k); got != want {
				t.Errorf("%s = %q, want %q", k, got, want)
			}
		}
	})
}

// A tap notes the headers of what goes through it.
type tap struct {
	http.RoundTripper
	header http.Header
}

func (t *tap) RoundTrip(req *http.Request) (*http.Response, error) {
	t.header = req.Header
	return t.RoundTripper.RoundTrip(req)
}

func TestDeviceAuthIdentifies(t *testing.T) {
	for _, tt := range []struct {
		name, secret          string
		style                 oauth2.AuthStyle
		header, secretInForms string
	}{
		{"in the form", "s:1", oauth2.AuthStyleInParams, "", "s:1"},
		{"in the header", "s:1", oauth2.AuthStyleInHeader, "Basic Y2xpZW50OnMlM0Ex", ""},
		{"in no special place", "s:1", oauth2.AuthStyleAutoDetect, "", "s:1"},
		{"a public client", "", oauth2.AuthStyleInHeader, "", ""},
	} {
		s := &tokenserver.Server{Answer: tokenserver.Always(200, deviceAnswer)}
		p := newDeviceProvider(s)
		through := &tap{RoundTripper: p.Client.Transport}
		p.Client.Transport = through
		p.OAuth.ClientSecret, p.OAuth.Endpoint.AuthStyle = tt.secret, tt.style
		if _, err := p.DeviceAuth(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := through.header.Get("Authorization"); got != tt.header {
			t.Errorf("%s: Authorization: %q, want %q", tt.name, got, tt.header)
		}
		if got := s.Requests[0].Get("client_secret"); got != tt.secretInForms || s.Requests[0].Get("client_id") != "client" {
			t.Errorf("%s: sent %v", tt.name, s.Requests[0])
		}
	}
}

func TestDeviceAnswers(t *testing.T) {
	const start = `{"device_code":"c","user_code":"U","verification_uri":"https://example.com/device"`
	tests := []struct {
		name, body     string
		life, interval time.Duration // 0 if the answer is of no use
	}{
		{"with all", deviceAnswer, 30 * time.Minute, 5 * time.Second},
		{"without numbers", start + `}`, 15 * time.Minute, 5 * time.Second},
		{"with null for numbers", start + `,"expires_in":null,"interval":null}`, 15 * time.Minute, 5 * time.Second},
		{"with numbers in strings", start + `,"expires_in":"60","interval":"2"}`, time.Minute, 2 * time.Second},
		{"interval zero", start + `,"interval":0}`, 15 * time.Minute, 5 * time.Second},
		{"interval negative", start + `,"interval":-1}`, 15 * time.Minute, 5 * time.Second},
		{"interval tiny", start + `,"interval":1e-9}`, 15 * time.Minute, time.Second},
		{"interval of a day", start + `,"interval":86400}`, 15 * time.Minute, time.Minute},
		{"interval beyond all numbers", start + `,"interval":1e999}`, 15 * time.Minute, 5 * time.Second},
		{"life huge", start + `,"expires_in":1e300}`, 24 * time.Hour, 5 * time.Second},
		{"life over already", start + `,"expires_in":-1}`, time.Second, 5 * time.Second},
		{"as Google spells it", `{"device_code":"c","user_code":"U","verification_url":"https://www.google.com/device"}`, 15 * time.Minute, 5 * time.Second},
		{"complete link that is none", start + `,"verification_uri_complete":"javascript:alert(1)"}`, 15 * time.Minute, 5 * time.Second},
		{"interval no number", start + `,"interval":"soon"}`, 15 * time.Minute, 5 * time.Second},
		{"no device code", `{"user_code":"U","verification_uri":"https://example.com/device"}`, 0, 0},
		{"no user code", `{"device_code":"c","verification_uri":"https://example.com/device"}`, 0, 0},
		{"endless user code", `{"device_code":"c","user_code":"` + strings.Repeat("U", 65) + `","verification_uri":"https://example.com/device"}`, 0, 0},
		{"user code with an escape", `{"device_code":"c","user_code":"U\u001b[2J","verification_uri":"https://example.com/device"}`, 0, 0},
		{"user code that turns the direction", `{"device_code":"c","user_code":"U\u202eV","verification_uri":"https://example.com/device"}`, 0, 0},
		{"no link", `{"device_code":"c","user_code":"U"}`, 0, 0},
		{"link that runs a script", `{"device_code":"c","user_code":"U","verification_uri":"javascript:alert(1)"}`, 0, 0},
		{"link to a file", `{"device_code":"c","user_code":"U","verification_uri":"file:///etc/passwd"}`, 0, 0},
		{"link without a host", `{"device_code":"c","user_code":"U","verification_uri":"https:///device"}`, 0, 0},
		{"a page", `<!DOCTYPE html>`, 0, 0},
		{"empty", ``, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, err := newDeviceProvider(&tokenserver.Server{Answer: tokenserver.Always(200, tt.body)}).DeviceAuth(t.Context())
				if tt.life == 0 {
					var e *Error
					if !errors.As(err, &e) || e.Kind != Temporary || !strings.Contains(err.Error(), "device authorization endpoint: malformed answer: ") {
						t.Errorf("err = %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if life := time.Until(d.Expiry); life != tt.life || d.interval != tt.interval {
					t.Errorf("life = %v, interval = %v, want %v and %v", life, d.interval, tt.life, tt.interval)
				}
				if !strings.HasPrefix(d.URI, "https://") || d.Complete != "" && !strings.HasPrefix(d.Complete, "https://") {
					t.Errorf("links = %q, %q", d.URI, d.Complete)
				}
			})
		})
	}
}

func TestDeviceAuthFails(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		body   string
		kind   Kind
		want   string
	}{
		{"network down", 0, "", Temporary, `Post "https://example.com/device_authorization": lookup example.com: no such host`},
		{"unavailable", 503, "", Temporary, "device authorization endpoint: HTTP status 503"},
		{"not allowed", 400, `{"error":"unauthorized_client","error_description":"no device flow for client-secret"}`, Misconfigured, "device authorization endpoint: unauthorized_client: no device flow for (hidden)"},
		{"an error with status 200", 200, `{"error":"invalid_scope"}`, Misconfigured, "device authorization endpoint: invalid_scope"},
	} {
		_, err := newDeviceProvider(&tokenserver.Server{Answer: tokenserver.Always(tt.status, tt.body)}).DeviceAuth(t.Context())
		var e *Error
		if !errors.As(err, &e) || e.Kind != tt.kind || err.Error() != tt.want {
			t.Errorf("%s: err = %v, want %s", tt.name, err, tt.want)
		}
	}
	_, err := newProvider(nil).DeviceAuth(t.Context())
	var e *Error
	if !errors.As(err, &e) || e.Kind != Misconfigured {
		t.Errorf("without an endpoint: err = %v", err)
	}
}

// A step is an answer of the token endpoint to one poll.
type step struct {
	status int
	body   string
}

func TestAwaitDevice(t *testing.T) {
	granted := step{200, `{"access_token":"at","refresh_token":"rt","expires_in":3600}`}
	const entrasPending = `{"error":"authorization_pending","error_description":"AADSTS70016: pending"}`
	tests := []struct {
		name  string
		steps []step // the last for ever
		after []time.Duration
		err   string // empty if the grant comes
	}{
		{"agreed at once", []step{granted}, []time.Duration{5}, ""},
		{"agreed later", []step{{400, pending}, {428, pending}, {400, entrasPending}, granted}, []time.Duration{5, 5, 5, 5}, ""},
		{"asked too often", []step{{400, slowDown}, {400, pending}, {403, slowDown}, granted}, []time.Duration{5, 10, 10, 15}, ""},
		{"network down for a while", []step{{0, ""}, {0, ""}, {0, ""}, {400, pending}, granted}, []time.Duration{5, 10, 20, 40, 5}, ""},
		{"down for longer", []step{{503, ""}, {500, "<p>"}, {429, ""}, {408, ""}, {502, ""}, granted}, []time.Duration{5, 10, 20, 40, 60, 60}, ""},
		{"a page that is not the provider's", []step{{200, "<p>Welcome to our wireless network"}, granted}, []time.Duration{5, 10}, ""},
		{"throttled", []step{{400, `{"error":"invalid_grant","error_description":"AADSTS90033: transient"}`}, granted}, []time.Duration{5, 10}, ""},
		{"down, and then asked too often", []step{{503, ""}, {400, slowDown}, {503, ""}, granted}, []time.Duration{5, 10, 10, 20}, ""},
		{"refused", []step{{400, pending}, {400, denied}}, []time.Duration{5, 5}, "the person who entered the code did not agree"},
		{"refused, at Entra", []step{{400, `{"error":"authorization_declined"}`}}, []time.Duration{5}, "the person who entered the code did not agree"},
		{"expired by the provider", []step{{400, `{"error":"expired_token"}`}}, []time.Duration{5}, "the code expired before a person entered it and agreed"},
		{"unknown to the provider", []step{{400, `{"error":"invalid_grant","error_description":"no code-of-the-device here"}`}}, []time.Duration{5}, "token endpoint: invalid_grant: no (hidden) here"},
		{"registration refused", []step{{401, tokenserver.BadClient}}, []time.Duration{5}, "token endpoint: invalid_client"},
		{"not found", []step{{404, "<html>"}}, []time.Duration{5}, "token endpoint: HTTP status 404"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				polled := time.Now()
				s := &tokenserver.Server{}
				s.Answer = func(n int, form url.Values) (int, string) {
					if n == 1 {
						return 200, deviceAnswer
					}
					if n-2 >= len(tt.after) {
						t.Fatalf("poll %d", n-1)
					}
					if d, want := time.Since(polled), tt.after[n-2]*time.Second; d != want {
						t.Errorf("poll %d came after %v, want %v", n-1, d, want)
					}
					polled = time.Now()
					if form.Get("grant_type") != deviceGrant || form.Get("device_code") != "code-of-the-device" || form.Get("client_secret") != "client-secret" {
						t.Errorf("sent %v", form)
					}
					answer := tt.steps[min(n-2, len(tt.steps)-1)]
					return answer.status, answer.body
				}
				p := newDeviceProvider(s)
				d, err := p.DeviceAuth(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				g, err := p.AwaitDevice(t.Context(), d)
				if n := s.Count() - 1; n != len(tt.after) {
					t.Errorf("%d polls, want %d", n, len(tt.after))
				}
				if tt.err == "" {
					if err != nil || g.AccessToken != "at" || g.RefreshToken != "rt" || !g.Obtained.Equal(time.Now()) {
						t.Errorf("grant = %+v, %v", g, err)
					}
					return
				}
				if err == nil || err.Error() != tt.err {
					t.Errorf("err = %v, want %s", err, tt.err)
				}
				if strings.HasPrefix(tt.name, "refused") && (err.(*Error).Code != "access_denied" || errors.Is(err, ErrNeedsAuthorization)) {
					t.Errorf("err = %#v", err)
				}
			})
		})
	}
}

func TestAwaitDeviceExpires(t *testing.T) {
	for _, tt := range []struct {
		name, life string
		answer     func(int, url.Values) (int, string)
		after      time.Duration
		want       string
	}{
		{"nobody comes", `,"expires_in":1800`, tokenserver.Always(400, pending), 30 * time.Minute, "the code expired before a person entered it and agreed"},
		{"nobody says when", "", tokenserver.Always(400, pending), defaultCodeLife, "the code expired before a person entered it and agreed"},
		{"between two polls", `,"expires_in":7`, tokenserver.Always(400, slowDown), 7 * time.Second, "the code expired before a person entered it and agreed"},
		{"the provider is down", `,"expires_in":600`, tokenserver.Always(503, "code-of-the-device"), 10 * time.Minute,
			"the code has expired; whether it was entered could not be asked: token endpoint: HTTP status 503"},
	} {
		synctest.Test(t, func(t *testing.T) {
			first := `{"device_code":"code-of-the-device","user_code":"U","verification_uri":"https://example.com/device"` + tt.life + `}`
			p := newDeviceProvider(&tokenserver.Server{Answer: tokenserver.In(2, tokenserver.Always(200, first), tt.answer)})
			d, err := p.DeviceAuth(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			_, err = p.AwaitDevice(t.Context(), d)
			var e *Error
			if !errors.As(err, &e) || e.Code != "expired_token" || e.Kind != Temporary || err.Error() != tt.want {
				t.Errorf("%s: err = %v, want %s", tt.name, err, tt.want)
			}
			if d := time.Since(start); d != tt.after {
				t.Errorf("%s: after %v, want %v", tt.name, d, tt.after)
			}
		})
	}
}

func TestAwaitDeviceIsLeft(t *testing.T) {
	for name, latency := range map[string]time.Duration{"while it waits": 0, "while it asks": 8 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := &tokenserver.Server{Answer: tokenserver.In(2, tokenserver.Always(200, deviceAnswer), tokenserver.Always(400, pending))}
			p := newDeviceProvider(s)
			d, err := p.DeviceAuth(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			s.Latency = latency
			ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
			defer cancel()
			if _, err := p.AwaitDevice(ctx, d); err != context.DeadlineExceeded {
				t.Errorf("%s: err = %v", name, err)
			}
		})
	}
}

// A server that others made does the same.
func TestDeviceAtRealServer(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(*idp.Server, string) error
		err    string
	}{
		{"agreed", func(s *idp.Server, code string) error { return s.AllowDevice(code, "joe@example.com") }, ""},
		{"refused", func(s *idp.Server, code string) error { return s.DenyDevice(code) }, "the person who entered the code did not agree"},
		{"left alone", func(*idp.Server, string) error { return nil }, "the code expired before a person entered it and agreed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, err := idp.New(idp.Config{
					Issuer: "http://127.0.0.1:1", ClientID: "client", ClientSecret: "client-secret",
					RedirectURLs: []string{"http://127.0.0.1:1180/callback"}, Users: []string{"joe@example.com"},
				})
				if err != nil {
					t.Fatal(err)
				}
				p := newProvider(nil)
				p.Client.Transport = tokenserver.Handler{Handler: server}
				p.OAuth.Scopes = []string{idp.ScopeMail, "openid", "email", "offline_access"}
				p.OAuth.Endpoint = oauth2.Endpoint{
					TokenURL:      "http://127.0.0.1:1" + idp.TokenPath,
					DeviceAuthURL: "http://127.0.0.1:1" + idp.DevicePath,
					AuthStyle:     oauth2.AuthStyleInHeader, // the library looks nowhere else
				}
				d, err := p.DeviceAuth(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				time.AfterFunc(time.Minute, func() {
					if err := tt.answer(server, d.UserCode); err != nil {
						t.Error(err)
					}
				})
				g, err := p.AwaitDevice(t.Context(), d)
				if tt.err != "" {
					if err == nil || err.Error() != tt.err {
						t.Errorf("err = %v, want %s", err, tt.err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if mailbox, ok := server.User(g.AccessToken); !ok || mailbox != "joe@example.com" || g.RefreshToken == "" {
					t.Errorf("the token opens %q, %v", mailbox, ok)
				}
				if g.Identity != "joe@example.com" {
					t.Errorf("identity = %q", g.Identity)
				}
			})
		})
	}
}
