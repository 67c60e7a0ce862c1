package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

func TestAuthCodeURL(t *testing.T) {
	p := newProvider(nil)
	p.Params = map[string]string{"access_type": "offline", "state": "fixed", "code_challenge_method": "plain"}
	u, err := url.Parse(p.AuthCodeURL("state1", "verifier1", "joe@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]string{
		"response_type":         "code",
		"client_id":             "client",
		"redirect_uri":          "http://127.0.0.1:1180/callback",
		"scope":                 "mail",
		"access_type":           "offline",
		"login_hint":            "joe@example.com",
		"state":                 "state1",
		"code_challenge_method": "S256",
		"code_challenge":        oauth2.S256ChallengeFromVerifier("verifier1"),
	} {
		if got := u.Query().Get(k); got != want {
			t.Errorf("%s = %q, want %q", k, got, want)
		}
	}
	if strings.Contains(p.AuthCodeURL("s", "v", ""), "login_hint") {
		t.Error("an empty login_hint is sent")
	}
}

func TestExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokenserver.Server{Answer: tokenserver.Always(200, `{"access_token":"at","refresh_token":"rt","token_type":"bearer","expires_in":1800}`)}
		g, err := newProvider(s).Exchange(t.Context(), "code1", "verifier1")
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now().Round(0).UTC()
		if want := (Grant{AccessToken: "at", RefreshToken: "rt", Expiry: now.Add(30 * time.Minute), Obtained: now, Scope: "mail", Requested: "mail"}); !reflect.DeepEqual(g, want) {
			t.Errorf("grant = %+v, want %+v", g, want)
		}
		for k, want := range map[string]string{
			"grant_type":    "authorization_code",
			"code":          "code1",
			"code_verifier": "verifier1",
			"client_id":     "client",
			"client_secret": "client-secret",
		} {
			if got := s.Requests[0].Get(k); got != want {
				t.Errorf("%s = %q, want %q", k, got, want)
			}
		}
	})
}

func TestRefreshAnswers(t *testing.T) {
	const ok = `{"access_token":"at","token_type":"Bearer"`
	tests := []struct {
		name, body string
		life       time.Duration // 0 if the answer is of no use
	}{
		{"lifetime in seconds", ok + `,"expires_in":1800}`, 30 * time.Minute},
		{"lifetime missing", ok + `}`, time.Hour},
		{"lifetime null", ok + `,"expires_in":null}`, time.Hour},
		{"lifetime as string", ok + `,"expires_in":"1800"}`, 30 * time.Minute},
		{"lifetime as float", ok + `,"expires_in":1800.0}`, 30 * time.Minute},
		{"lifetime as float in a string", ok + `,"expires_in":"1800.9"}`, 30 * time.Minute},
		{"lifetime of another type", ok + `,"expires_in":{"seconds":1800}}`, time.Hour},
		{"lifetime no number", ok + `,"expires_in":"NaN"}`, time.Hour},
		{"lifetime zero", ok + `,"expires_in":0}`, time.Second},
		{"lifetime negative", ok + `,"expires_in":-5}`, time.Second},
		{"lifetime of a month", ok + `,"expires_in":2592000}`, 24 * time.Hour},
		{"lifetime huge", ok + `,"expires_in":1e300}`, 24 * time.Hour},
		{"bearer in lower case", `{"access_token":"at","token_type":"bearer","expires_in":3600}`, time.Hour},
		{"bearer in upper case", `{"access_token":"at","token_type":"BEARER","expires_in":3600}`, time.Hour},
		{"token type missing", `{"access_token":"at","expires_in":3600}`, time.Hour},
		{"another token type", `{"access_token":"at","token_type":"mac","expires_in":3600}`, 0},
		{"padded token", `{"access_token":"aZ09-._~+/==","expires_in":3600}`, time.Hour},
		{"only padding", `{"access_token":"==","expires_in":3600}`, 0},
		{"token with padding inside", `{"access_token":"a=b","expires_in":3600}`, 0},
		{"token with a separator of XOAUTH2", `{"access_token":"a\u0001b","expires_in":3600}`, 0},
		{"token with a line break", `{"access_token":"a\r\nb","expires_in":3600}`, 0},
		{"token not of ASCII", `{"access_token":"ä","expires_in":3600}`, 0},
		{"token of 16 KiB", `{"access_token":"` + strings.Repeat("a", 16<<10) + `"}`, time.Hour},
		{"token longer than 16 KiB", `{"access_token":"` + strings.Repeat("a", 16<<10+1) + `"}`, 0},
		{"token missing", `{"token_type":"Bearer","expires_in":3600}`, 0},
		{"token of another type", `{"access_token":7}`, 0},
		{"truncated", ok + `,"expires_`, 0},
		{"empty", ``, 0},
		{"null", `null`, 0},
		{"a page", `<!DOCTYPE html><title>Sign in</title>`, 0},
		{"longer than 1 MiB", ok + `}` + strings.Repeat(" ", 1<<20), 0},
		{"token missing, rotated", `{"refresh_token":"refresh1","token_type":"Bearer"}`, 0},
		{"token of another type, rotated", `{"access_token":7,"refresh_token":"refresh1"}`, 0},
		{"token empty, rotated", `{"access_token":"","refresh_token":"refresh1"}`, 0},
		{"token with a line break, rotated", `{"access_token":"a\r\nb","refresh_token":"refresh1"}`, 0},
		{"another token type, rotated", `{"access_token":"at","token_type":"mac","refresh_token":"refresh1"}`, 0},
		{"an error, rotated", `{"error":"server_error","refresh_token":"refresh1"}`, 0},
		{"usable, rotated", ok + `,"refresh_token":"refresh1"}`, time.Hour},
		{"refresh token of another type", `{"access_token":"","refresh_token":7}`, 0},
	}
	for _, contentType := range []string{"application/json", "text/plain; charset=utf-8"} {
		for _, tt := range tests {
			t.Run(tt.name+" as "+contentType, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := &tokenserver.Server{Answer: tokenserver.Always(200, tt.body), Header: http.Header{"Content-Type": {contentType}}}
					old, refresh := granted(2*time.Hour), "refresh0"
					if strings.HasSuffix(tt.name, "rotated") {
						refresh = "refresh1"
					}
					g, err := newProvider(s).Refresh(t.Context(), Consent{}, old)
					if tt.life == 0 {
						var e *Error
						if !errors.As(err, &e) || e.Kind != Temporary {
							t.Errorf("err = %v, want a temporary one", err)
						}
						want := old
						want.RefreshToken = refresh
						if !reflect.DeepEqual(g, want) {
							t.Errorf("the grant has become %+v, want %+v", g, want)
						}
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					if life := time.Until(g.Expiry); life != tt.life {
						t.Errorf("life = %v, want %v", life, tt.life)
					}
					if strings.Contains(g.Expiry.String(), "m=") {
						t.Error("the expiry has a monotonic clock, which stands still in sleep")
					}
					if g.RefreshToken != refresh || g.Obtained != old.Obtained || !g.Refreshed.Equal(time.Now().Round(0)) {
						t.Errorf("grant = %+v", g)
					}
				})
			})
		}
	}
}

// Some servers answer with a form instead of JSON.
func TestRefreshAnswerAsForm(t *testing.T) {
	for expires, want := range map[string]time.Duration{
		"1800":    30 * time.Minute,
		"":        time.Hour,
		"-5":      time.Second,
		"9999999": 24 * time.Hour,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &tokenserver.Server{
				Answer: tokenserver.Always(200, "access_token=at&token_type=bearer&expires_in="+expires),
				Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
			}
			g, err := newProvider(s).Refresh(t.Context(), Consent{}, granted(0))
			if err != nil || time.Until(g.Expiry) != want {
				t.Errorf("expires_in=%s gives a life of %v, want %v; %v", expires, time.Until(g.Expiry), want, err)
			}
		})
	}
}

func TestRefreshTokenRotates(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"with the answer", `{"access_token":"at","refresh_token":"refresh1"}`, "refresh1"},
		{"with an answer that is of no other use", `{"access_token":"a b","refresh_token":"refresh1"}`, "refresh1"},
		{"not with a failure that repeats the request", `{"error":"server_error","refresh_token":"***"}`, "refresh0"},
		{"not, if none came", `{"access_token":"at"}`, "refresh0"},
		{"not, if an empty one came", `{"access_token":"at","refresh_token":""}`, "refresh0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status := 200
			if strings.Contains(tt.body, "error") {
				status = 500
			}
			g, _ := newProvider(&tokenserver.Server{Answer: tokenserver.Always(status, tt.body)}).Refresh(t.Context(), Consent{}, granted(0))
			if g.RefreshToken != tt.want {
				t.Errorf("refresh token = %q, want %q", g.RefreshToken, tt.want)
			}
		})
	}
}

// A form may have a refresh token and nothing else of use, too.
func TestRefreshTokenRotatesInForm(t *testing.T) {
	s := &tokenserver.Server{
		Answer: tokenserver.Always(200, "access_token=&refresh_token=refresh1"),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
	}
	g, err := newProvider(s).Refresh(t.Context(), Consent{}, granted(0))
	if err == nil || g.RefreshToken != "refresh1" {
		t.Errorf("refresh token = %q, %v", g.RefreshToken, err)
	}
}

// A failure is told apart by status and code, and doubts favour the grant.
func TestRefreshFailures(t *testing.T) {
	invalid := func(description string) string {
		return `{"error":"invalid_grant","error_description":"` + description + `"}`
	}
	tests := []struct {
		name   string
		status int
		body   string
		kind   Kind
		text   string
	}{
		{"network down", 0, "", Temporary, `Post "https://example.com/token": lookup example.com: no such host`},
		{"redirect", 302, "", Temporary, "token endpoint: HTTP status 302"},
		{"not found", 404, "<html>", Temporary, "token endpoint: HTTP status 404"},
		{"request timeout", 408, tokenserver.BadClient, Temporary, "token endpoint: invalid_client"},
		{"too many requests", 429, tokenserver.Withdrawn, Temporary, ""},
		{"internal error", 500, tokenserver.Withdrawn, Temporary, ""},
		{"unavailable", 503, "", Temporary, "token endpoint: HTTP status 503"},
		{"bad request without a code", 400, "{}", Temporary, "token endpoint: HTTP status 400"},
		{"unknown code", 400, `{"error":"out_of_cheese"}`, Temporary, "token endpoint: out_of_cheese"},
		{"error of another type", 400, `{"error":{"message":"no"}}`, Temporary, "token endpoint: HTTP status 400"},
		{"withdrawn", 400, tokenserver.Withdrawn, NeedsConsent, "token endpoint: invalid_grant: Token has been expired or revoked."},
		{"withdrawn, with status 200", 200, tokenserver.Withdrawn, NeedsConsent, ""},
		{"withdrawn, with status 401", 401, tokenserver.Withdrawn, NeedsConsent, ""},
		{"interaction required", 400, `{"error":"interaction_required"}`, NeedsConsent, ""},
		{"consent required", 400, `{"error":"consent_required"}`, NeedsConsent, ""},
		{"login required", 400, `{"error":"login_required"}`, NeedsConsent, ""},
		{"Entra: inactive for too long", 400, invalid("AADSTS700082: The refresh token has expired"), NeedsConsent, ""},
		{"Entra: throttled", 400, invalid("AADSTS50196: The server terminated an operation"), Temporary, ""},
		{"Entra: transient", 400, invalid("AADSTS90033: A transient error"), Temporary, ""},
		{"Entra: a longer code that begins alike", 400, invalid("AADSTS501961: no such code"), NeedsConsent, ""},
		{"wrong secret", 401, tokenserver.BadClient, Misconfigured, "token endpoint: invalid_client"},
		{"unauthorized client", 400, `{"error":"unauthorized_client"}`, Misconfigured, ""},
		{"invalid scope", 400, `{"error":"invalid_scope"}`, Misconfigured, ""},
		{"unsupported grant type", 400, `{"error":"unsupported_grant_type"}`, Misconfigured, ""},
		{"invalid request", 400, `{"error":"invalid_request"}`, Misconfigured, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &tokenserver.Server{Answer: tokenserver.Always(tt.status, tt.body), Header: http.Header{"Content-Type": {"text/plain"}}}
			old := granted(0)
			g, err := newProvider(s).Refresh(t.Context(), Consent{}, old)
			var e *Error
			if !errors.As(err, &e) || e.Kind != tt.kind {
				t.Errorf("err = %#v, want %v", err, tt.kind)
			}
			if tt.text != "" && err.Error() != tt.text {
				t.Errorf("err = %q, want %q", err, tt.text)
			}
			if errors.Is(err, ErrNeedsAuthorization) != (tt.kind == NeedsConsent) {
				t.Errorf("errors.Is(%v, ErrNeedsAuthorization) is wrong", err)
			}
			if !reflect.DeepEqual(g, old) {
				t.Errorf("the grant has become %+v", g)
			}
			if n := s.Count(); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestErrorIsHarmless(t *testing.T) {
	long := strings.Repeat("ö", 1000)
	for name, body := range map[string]string{
		"echo of what was sent": `{"error":"invalid_grant","error_description":"bad: refresh-of-joe client-secret"}`,
		"secret as code":        `{"error":"client-secret"}`,
		"lines":                 `{"error":"x","error_description":"one\r\n235 ok\u0000\u0001\u202e"}`,
		"endless description":   `{"error":"x","error_description":"` + long + `"}`,
		"endless code":          `{"error":"` + long + `"}`,
		"page":                  `<p>refresh-of-joe</p>`,
	} {
		for _, status := range []int{200, 400} {
			s := &tokenserver.Server{Answer: tokenserver.Always(status, body)}
			_, err := newProvider(s).Refresh(t.Context(), Consent{}, Grant{RefreshToken: "refresh-of-joe"})
			if err == nil {
				t.Fatalf("%s: no error", name)
			}
			text := err.Error()
			if len(text) > maxText {
				t.Errorf("%s: %d bytes", name, len(text))
			}
			if strings.ContainsAny(text, "\r\n\x00\x01\u202e") || strings.Contains(text, "refresh-of-joe") || strings.Contains(text, "client-secret") {
				t.Errorf("%s: %q", name, text)
			}
		}
	}
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for header, want := range map[string]time.Duration{
			"":    0,
			"120": 2 * time.Minute,
			"-1":  0,
			"1e3": 0,
			time.Now().Add(time.Minute).UTC().Format(http.TimeFormat):  time.Minute,
			time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat): 0,
		} {
			s := &tokenserver.Server{Answer: tokenserver.Always(503, ""), Header: http.Header{"Retry-After": {header}}}
			_, err := newProvider(s).Refresh(t.Context(), Consent{}, granted(0))
			var e *Error
			if !errors.As(err, &e) || e.RetryAfter != want {
				t.Errorf("Retry-After: %s gives %v, want %v", header, e.RetryAfter, want)
			}
		}
	})
}

func TestCallIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := newProvider(&tokenserver.Server{Answer: tokenserver.Numbered, Latency: time.Hour}).Refresh(t.Context(), Consent{}, granted(0))
		if d := time.Since(start); d != callTime {
			t.Errorf("after %v", d)
		}
		if !errors.Is(err, context.DeadlineExceeded) || err.(*Error).Kind != Temporary {
			t.Errorf("err = %v", err)
		}
	})
}
