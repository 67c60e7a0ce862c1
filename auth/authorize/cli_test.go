package authorize

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/auth/oauth"
)

// stateFromURL returns the state in the URL of an authorization request.
func stateFromURL(t *testing.T, link string) string {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("state")
}

// TestFinish checks pasted addresses. STATE stands for the state of the flow.
func TestFinish(t *testing.T) {
	for _, test := range []struct{ name, pasted, code string }{
		{"an address", "http://127.0.0.1:1180/callback?code=c0de&state=STATE", "c0de"},
		{"an address with further parameters", "http://127.0.0.1:1180/callback?state=STATE&code=c0de&scope=x", "c0de"},
		{"an address that the browser has changed to https", "https://127.0.0.1:1180/callback?state=STATE&code=c0de", "c0de"},
		{"a trailing slash", "http://127.0.0.1:1180/callback/?code=c0de&state=STATE", "c0de"},
		{"no scheme", "127.0.0.1:1180/callback?code=c0de&state=STATE", "c0de"},
		{"a query", "?code=c0de&state=STATE", ""},
		{"a query without the question mark", "code=c0de&state=STATE", ""},
		{"a path and a query", "/callback?code=c0de&state=STATE", ""},
		{"blanks around it", "  http://127.0.0.1:1180/callback?code=c0de&state=STATE \r\n", "c0de"},
		{"wrapped by a terminal", "http://127.0.0.1:1180/callback?code=c0\n  de&state=STATE", "c0de"},
		{"in quotes", `"http://127.0.0.1:1180/callback?code=c0de&state=STATE"`, "c0de"},
		{"in angle brackets", "<http://127.0.0.1:1180/callback?code=c0de&state=STATE>", "c0de"},
		{"a fragment", "http://127.0.0.1:1180/callback?code=c0de&state=STATE#_=_", "c0de"},
		{"escaped", "http://127.0.0.1:1180/callback?code=4%2F0c0de&state=STATE", "4/0c0de"},
		{"nothing", "", ""},
		{"a sentence", "it does not work", ""},
		{"an address without a response", "http://localhost/", ""},
		{"the provider's own page", "https://provider.example/authorize?state=STATE&client_id=x", ""},
		{"a code alone", "c0de", ""},
		{"no state", "http://127.0.0.1:1180/callback?code=c0de", ""},
		{"a repeated code", "http://127.0.0.1:1180/callback?code=c0de&code=c0de2&state=STATE", ""},
		{"a repeated state", "http://127.0.0.1:1180/callback?code=c0de&state=STATE&state=STATE", ""},
		{"a repeated issuer", "http://127.0.0.1:1180/callback?code=c0de&state=STATE&iss=a&iss=b", ""},
		{"an invalid escape", "http://127.0.0.1:1180/callback?code=c0de&state=%zz", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAccount("joe@example.com")
			flow := NewCodeFlow(a.account())
			o, err := flow.Finish(t.Context(), strings.ReplaceAll(test.pasted, "STATE", stateFromURL(t, flow.URL())))
			if (err == nil) != (test.code != "") || o.OK != (test.code != "") {
				t.Fatalf("%+v, %v", o, err)
			}
			if err != nil && strings.Contains(err.Error(), "c0de") {
				t.Errorf("the error quotes the pasted text: %v", err)
			}
			if err == nil && a.kept[0].AccessToken != "token-for-"+test.code {
				t.Errorf("kept %+v", a.kept[0])
			}
		})
	}
}

func TestCodeFlow(t *testing.T) {
	a := newAccount("joe@example.com")
	a.issuer = "https://id.example"
	one, two := NewCodeFlow(a.account()), NewCodeFlow(a.account())
	if _, err := one.Finish(t.Context(), "127.0.0.1:1180/callback?code=1&state="+stateFromURL(t, two.URL())); err == nil || !strings.Contains(err.Error(), "another authorization") {
		t.Errorf("response of another flow: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	recorder := &contextAccount{fakeAccount: a}
	one.account = recorder.account()
	o, err := one.Finish(gone, "127.0.0.1:1180/callback?iss=https://id.example&code=1&state="+stateFromURL(t, one.URL()))
	if err != nil || o.Kind != authorized || recorder.err != nil {
		t.Errorf("%+v, %v, context: %v", o, err, recorder.err)
	}
	challenge, _ := url.Parse(one.URL())
	if _, verifier, _ := strings.Cut(a.exchanges[0], " "); challengeOf(verifier) != challenge.Query().Get("code_challenge") {
		t.Error("the code was not exchanged with its verifier")
	}
	if _, err := one.Finish(t.Context(), "127.0.0.1:1180/callback?code=1&state="+stateFromURL(t, one.URL())); err == nil || !strings.Contains(err.Error(), "already been used") {
		t.Errorf("second use of a response: %v", err)
	}
	if o, err := two.Finish(t.Context(), "127.0.0.1:1180/callback?iss=https://evil.example&code=2&state="+stateFromURL(t, two.URL())); err != nil || o.Kind != wrongIssuer {
		t.Errorf("%+v, %v", o, err)
	}
	if len(a.exchanges) != 1 || len(a.kept) != 1 {
		t.Errorf("%d exchanges and %d grants, want 1 and 1", len(a.exchanges), len(a.kept))
	}
	three := NewCodeFlow(a.account())
	if o, err := three.Finish(t.Context(), "127.0.0.1:1180/callback?error=access_denied&state="+stateFromURL(t, three.URL())); err != nil || o.Kind != refused || !strings.Contains(o.Lead, "Its earlier") {
		t.Errorf("%+v, %v", o, err)
	}
}

// TestAwaitDevice checks the results of a device flow.
func TestAwaitDevice(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		name    string
		ctx     context.Context
		answer  error
		outcome string
		lead    string
	}{
		{"agreed", t.Context(), nil, authorized, "Programs can log in now."},
		{"refused", t.Context(), &oauth.Error{Code: "access_denied"}, refused, "Access was refused at Example Mail"},
		{"refused at Microsoft", t.Context(), &oauth.Error{Code: "authorization_declined"}, refused, "Access was refused"},
		{"expired at the provider", t.Context(), &oauth.Error{Code: "expired_token"}, codeExpired, "not entered at Example Mail in time"},
		{"expired at xoauthd", t.Context(), context.DeadlineExceeded, codeExpired, "not entered at Example Mail in time"},
		{"canceled", gone, nil, canceled, "stopped waiting before anyone agreed"},
		{"another error", t.Context(), &oauth.Error{Code: "invalid_client"}, noToken, "returned no token"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAccount("joe@example.com")
			a.answers = make(chan error, 1)
			if test.ctx != gone {
				a.answers <- test.answer
			}
			o := AwaitDevice(test.ctx, a.account(), &oauth.Device{UserCode: "WDJB"})
			if o.Kind != test.outcome || o.OK != (test.outcome == authorized) || !strings.Contains(o.Lead, test.lead) {
				t.Errorf("%+v", o)
			}
			if len(o.Steps) == 0 || o.Steps[0].Name != "Answer of Example Mail" || o.Steps[0].Passed() != o.OK {
				t.Errorf("steps %+v", o.Steps)
			}
			if (len(a.kept) == 1) != o.OK {
				t.Errorf("kept %v", a.kept)
			}
		})
	}
}

func TestAdopt(t *testing.T) {
	a := &contextAccount{fakeAccount: newAccount("joe@example.com")}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	o := Adopt(gone, a.account(), a.grant("brought"))
	if !o.OK || a.err != nil || len(a.kept) != 1 || a.kept[0].RefreshToken != "refresh-for-brought" {
		t.Errorf("%+v, context: %v, kept %v", o, a.err, a.kept)
	}
	a.trials = []Trial{{Protocol: "IMAP", Upstream: "imap.example.com:993", Err: errRefused}}
	if o := Adopt(t.Context(), a.account(), a.grant("x")); o.OK || !strings.Contains(o.Lead, "It probably belongs to another mailbox than joe@example.com.") {
		t.Errorf("%+v", o)
	}
	a.identity = "bob@example.com"
	if o := Adopt(t.Context(), a.account(), a.grant("x")); o.OK || !strings.Contains(o.Lead, "This grant belongs to bob@example.com, but the account is joe@example.com. Nothing was kept.") {
		t.Errorf("%+v", o)
	}
	if len(a.kept) != 1 {
		t.Errorf("kept %v", a.kept)
	}
}

// TestResultJSON checks that a Result survives the transfer to the command line.
func TestResultJSON(t *testing.T) {
	a := newAccount("joe@example.com")
	a.identity = a.name
	a.trials[1].Err, a.trials[1].Hint = errors.New("535 no"), "Ask."
	o := Adopt(t.Context(), a.account(), a.grant("x"))
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var got Result
	if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, o) {
		t.Errorf("%+v, %v; want %+v", got, err, o)
	}
	assertContains(t, string(text), `"account":"joe@example.com"`, `"outcome":"authorized"`, `"identity":"joe@example.com"`, `"ok":true`, `"partly":true`, `"seconds":0.3`, `"cause":"535 no"`, `"remedy":"Ask."`)
	if strings.Contains(string(text), "token-for") {
		t.Errorf("a secret in %s", text)
	}

	var log bytes.Buffer
	o.Log(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), slog.String("via", "import"))
	assertContains(t, log.String(), `level=WARN msg=authorization account=joe@example.com result=authorized via=import identity=joe@example.com error="SMTP login at smtp.example.com:587: 535 no" hint=Ask.`)
}
