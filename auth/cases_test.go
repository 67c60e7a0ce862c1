package auth

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// TestReportedAnswers: answers of token endpoints from public reports. What passes is
// told from what a person, and from what the administrator has to correct, and the
// refresh token is kept in any case.
func TestReportedAnswers(t *testing.T) {
	for _, tt := range []struct {
		name, family string
		status       int
		body         string
		kind         oauth.Kind
		hint         string // a part
	}{
		{"F40: 200 with invalid_code", "", 200, `{"error": "invalid_code"}`, oauth.NeedsConsent, "ended the grant"},
		{"F41", oauth.Microsoft, 401, `{"error": "invalid_client", "error_description": "AADSTS700024: Client assertion is not within its valid time range. Current time: 2026-11-29T12:09:18Z, assertion valid from 2026-11-29T10:04:18Z, expiry time of assertion 2026-11-29T10:14:18Z. Trace ID: 0 Correlation ID: 0 Timestamp: 2026-11-29 12:09:18Z", "error_codes": [700024]}`, oauth.Misconfigured, "clock"},
		{"F41b", oauth.Microsoft, 401, `{"error": "invalid_client", "error_description": "AADSTS70002: Error validating credentials. AADSTS50012: Client assertion is not within its valid time range."}`, oauth.Misconfigured, "clock"},
		{"F42", oauth.Microsoft, 400, `{"error": "invalid_request", "error_description": "AADSTS900023: Specified tenant identifier 'f837e147' is neither a valid DNS name, nor a valid external domain. Trace ID: 0", "error_codes": [900023]}`, oauth.Misconfigured, "tenant"},
		{"F43", oauth.Microsoft, 400, `{"error": "invalid_grant", "error_description": "AADSTS9002313: Invalid request. Request is malformed or invalid. Trace ID: 0", "error_codes": [9002313]}`, oauth.NeedsConsent, "not what Microsoft expects"},
		{"F44", oauth.Yahoo, 400, `{"error": "INVALID_REFRESH_TOKEN", "error_description": "Failed to decode/encode refresh token"}`, oauth.NeedsConsent, "Yahoo has ended the grant"},
		{"F44b", oauth.Yahoo, 400, `{"error": {"localizedMessage": "client request is not acceptable or not supported", "errorId": "INVALID_INPUT", "message": "client id cannot be empty"}}`, oauth.Temporary, ""},
		{"F47, 500011", oauth.Microsoft, 400, `{"error": "invalid_resource", "error_description": "AADSTS500011: The resource principal named https://outlook.example was not found in the tenant."}`, oauth.Misconfigured, "resource"},
		{"F47, 500011 at another", "", 400, `{"error": "invalid_resource"}`, oauth.Misconfigured, "scopes"},
		{"F47, 53003", oauth.Microsoft, 400, `{"error": "access_denied", "error_description": "AADSTS53003: Access has been blocked by Conditional Access policies."}`, oauth.NeedsConsent, "Conditional Access"},
		{"F47, 650052", oauth.Microsoft, 400, `{"error": "invalid_client", "error_description": "AADSTS650052: The app is trying to access a service that your organization lacks a service principal for."}`, oauth.Misconfigured, "licence"},
		{"F47, 70000", oauth.Microsoft, 400, `{"error": "invalid_grant", "error_description": "AADSTS70000: The request was denied because one or more scopes requested are unauthorized or expired. The user must first sign in and grant the client application access to the requested scope."}`, oauth.NeedsConsent, "consented to all the scopes"},
		{"F47, 90023", oauth.Microsoft, 400, `{"error": "temporarily_unavailable", "error_description": "AADSTS90023: Unable to process the request due to incorrect input"}`, oauth.Temporary, ""},
		{"a throttle within another error", oauth.Microsoft, 400, `{"error": "invalid_grant", "error_description": "AADSTS70000: x. AADSTS50196: The server terminated an operation because it encountered a client request loop."}`, oauth.Temporary, "asked too often"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := testAccount(t, &tokenserver.Server{Answer: tokenserver.Always(tt.status, tt.body), Header: http.Header{"Content-Type": {"application/json"}}}, granted(time.Hour))
				a.provider.Family = tt.family
				_, err := a.Token(t.Context(), "")
				var e *oauth.Error
				if !errors.As(err, &e) || e.Kind != tt.kind || !strings.Contains(e.Hint(), tt.hint) || tt.hint == "" && e.Hint() != "" {
					t.Errorf("%#v, hint %q; want %s, %q", err, e.Hint(), tt.kind, tt.hint)
				}
				if onDisk(t, a).RefreshToken != "refresh0" {
					t.Error("the refresh token is gone")
				}
				if s := a.Status(); (s.State == NeedsAuthorization) != (tt.kind == oauth.NeedsConsent) || s.Hint != e.Hint() {
					t.Errorf("status = %+v", s)
				}
			})
		})
	}
}
