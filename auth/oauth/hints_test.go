package oauth

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestHint(t *testing.T) {
	for _, tt := range []struct{ name, family, code, description, want string }{
		{"Entra's number counts before the code", Microsoft, "access_denied", "AADSTS65004: User declined to consent", "declined"},
		{"Entra's number in the midst", Microsoft, "invalid_grant", "Error: AADSTS50173: The provided grant has expired", "password was changed"},
		{"Entra's number that is not known", Microsoft, "invalid_client", "AADSTS99999: x", "auth_style"},
		{"a number that begins like another", Microsoft, "x", "AADSTS500112: x", ""},
		{"a number without its prefix", Microsoft, "x", "50011", ""},
		{"F41: the clock", Microsoft, "invalid_client", "AADSTS700024: Client assertion is not within its valid time range.", "clock"},
		{"F41b: the clock, by the inner number", Microsoft, "invalid_client", "AADSTS70002: Error validating credentials. AADSTS50012: Client assertion is not within its valid time range.", "clock"},
		{"the secret, by the inner number", Microsoft, "invalid_client", "AADSTS70002: Error validating credentials. AADSTS50012: Invalid client secret is provided.", "secret is wrong"},
		{"F42: the tenant", Microsoft, "invalid_request", "AADSTS900023: Specified tenant identifier 'f837e147' is neither a valid DNS name, nor a valid external domain.", "no such tenant"},
		{"F47: the resource", Microsoft, "invalid_resource", "AADSTS500011: The resource principal named https://outlook.example was not found in the tenant.", "resource that this tenant does not have"},
		{"F47: the service principal", Microsoft, "invalid_client", "AADSTS650052: The app is trying to access a service that your organization lacks a service principal for.", "service principal"},
		{"F47: the consent", Microsoft, "invalid_grant", "AADSTS70000: The request was denied because one or more scopes requested are unauthorized or expired.", "Nobody has consented to all the scopes"},
		{"a token that was used", Microsoft, "invalid_grant", "AADSTS70000: The provided value for the input parameter 'refresh_token' is not valid.", "used already"},
		{"F47: Conditional Access", Microsoft, "access_denied", "AADSTS53003: Access has been blocked by Conditional Access policies.", "Conditional Access"},
		{"Google ended a grant", Google, "invalid_grant", "Token has been expired or revoked.", "six months"},
		{"Google wants a new sign-in", Google, "invalid_grant", "reauth related error (invalid_rapt)", "sign in again from time to time"},
		{"Google knows no delegation", Google, "unauthorized_client", "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested.", "domain-wide delegation"},
		{"Google knows no such mailbox", Google, "invalid_grant", "Invalid email or User ID", "no such mailbox"},
		{"Google doubts the time", Google, "invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.", "clock"},
		{"Google doubts the key", Google, "invalid_grant", "Invalid JWT Signature.", "Make a new one"},
		{"an administrator of Google's forbids it", Google, "admin_policy_enforced", "", "trust this app"},
		{"for one organisation of Google's", Google, "org_internal", "", "External"},
		{"an embedded browser", Google, "disallowed_useragent", "", "a browser of its own"},
		{"a test user who is none", Google, "access_denied", "", "test user"},
		{"a deleted client", Google, "deleted_client", "The OAuth client was deleted.", "Register another"},
		{"Yahoo, in capitals", Yahoo, "INVALID_REFRESH_TOKEN", "", "Yahoo has ended the grant"},
		{"Yahoo's words at another", "", "INVALID_REFRESH_TOKEN", "Failed to decode/encode refresh token", "The provider has ended the grant"},
		{"any provider ended a grant", "", "invalid_grant", "nope", "Authorize the account again"},
		{"F40: Zoho ended a grant", "", "invalid_code", "", "The provider has ended the grant"},
		{"a redirect URI that is not registered", "", "redirect_uri_mismatch", "Bad Request", "Register the redirect URI"},
		{"a code of nobody's", "", "x_y", "Invalid JWT Signature.", ""},
		{"no code", "", "", "", ""},
	} {
		if h := hintFor(tt.family, tt.code, tt.description); !strings.Contains(h, tt.want) || tt.want == "" && h != "" {
			t.Errorf("%s: %q, want %q", tt.name, h, tt.want)
		}
		// Nobody else's server is taken for that of a family.
		for _, family := range []string{"", Google, Microsoft, Yahoo} {
			h := hintFor(family, tt.code, tt.description)
			for _, named := range []struct{ family, words string }{
				{Google, "Google"}, {Google, "Workspace"}, {Microsoft, "Microsoft"}, {Microsoft, "Entra"}, {Microsoft, "Exchange"}, {Yahoo, "Yahoo"},
			} {
				if family != named.family && strings.Contains(h, named.words) {
					t.Errorf("%s, at %q: %q", tt.name, family, h)
				}
			}
		}
	}
	for _, e := range []*Error{{}, {Err: errors.New("x")}, {Status: 404}} {
		if h := e.Hint(); h != "" {
			t.Errorf("%v: %q", e, h)
		}
	}
	if h := (&Error{Status: 503}).Hint(); h != hintServer {
		t.Errorf("a fault of the server: %q", h)
	}
	if h := (&Error{Err: fmt.Errorf("Post: %w", &net.OpError{Op: "dial", Err: errors.New("refused")})}).Hint(); h != hintUnreachable {
		t.Errorf("no server: %q", h)
	}
	files := os.NewSyscallError("socket", syscall.EMFILE)
	for _, err := range []error{
		&net.OpError{Op: "dial", Err: files},
		&net.OpError{Op: "dial", Err: &net.DNSError{Name: "x", Err: "dial udp 192.0.2.1:53: " + files.Error()}},
		fmt.Errorf("command x: %w", syscall.EMFILE),
	} {
		if h := (&Error{Err: fmt.Errorf("Post: %w", err)}).Hint(); !strings.Contains(h, "LimitNOFILE=") {
			t.Errorf("%v: %q", err, h)
		}
	}
	if h := (&Error{Kind: Misconfigured, Code: "invalid_grant", Description: "Invalid user credentials"}).Hint(); strings.Contains(h, "Authorize") {
		t.Errorf("where no person consents: %q", h)
	}
}

// Each of Entra's numbers leads to its own hint, and all are one line of words.
func TestHintsAreWhole(t *testing.T) {
	seen := make(map[string]bool)
	for _, h := range entraHints {
		for _, number := range strings.Fields(h.codes) {
			if seen[number+h.says] {
				t.Errorf("%s is there twice", number)
			}
			seen[number+h.says] = true
			if got := hintFor(Microsoft, "x", "AADSTS"+number+": "+h.says); got != h.text {
				t.Errorf("%s: %q, want %q", number, got, h.text)
			}
		}
	}
	for _, h := range slices.Concat(entraHints, googleHints, yahooHints, commonHints) {
		if h.text != OneLine(h.text) || !strings.HasSuffix(h.text, ".") {
			t.Errorf("%s: %q", h.codes, h.text)
		}
	}
	for _, number := range strings.Fields(`
		50011 700016 70001 7000112 90002 50194 7000218 700025 9002325 9002326 9002327 70003 900144 9002313
		7000215 70002 7000222 700027 65001 65004 65005 70011 28000 90094 90095 90099 50105
		50058 50072 50074 50076 50079 50055 50144 50173 70043 700082 70008 700084 53000 53001 53003 530032 50131
		50126 50034 50053 50057 50020 54005 70000 70016 70018 70019 50196
		50033 50087 90006 90024 90033 90055 90038 900382
		700024 900023 500011 650052 50012`) {
		if !seen[number] {
			t.Errorf("%s has no hint", number)
		}
	}
}
