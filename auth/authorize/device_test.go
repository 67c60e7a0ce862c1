package authorize

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
)

// newDevice returns an account with the device flow. Its code expires in 15 minutes.
func newDevice(name string) *fakeAccount {
	a := newAccount(name)
	a.flow, a.redirect, a.authURL = "device_code", "", ""
	a.answers = make(chan error)
	a.device = &oauth.Device{
		UserCode: "WDJB-MJHT",
		URI:      "https://provider.example/device",
		Complete: "https://provider.example/device?user_code=WDJB-MJHT",
		Expiry:   time.Now().Add(15 * time.Minute),
	}
	return a
}

// A wait is a device flow that the browser has started.
type wait struct {
	*site
	cookie, result string // Cookie header, and path of the result page
}

// ask starts a device flow, like the button of the account's page.
func (s *site) ask(name string, headers ...string) *wait {
	s.t.Helper()
	w := s.do("POST", home+"/authorize/"+name, headers...)
	to := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(to, "/result/") || len(w.Result().Cookies()) != 1 {
		s.t.Fatalf("POST: %d %v", w.Code, w.Header())
	}
	c := w.Result().Cookies()[0]
	return &wait{s, c.Name + "=" + c.Value, to}
}

// page waits for the background work and returns the result page.
func (v *wait) page() string {
	v.t.Helper()
	synctest.Wait()
	w := v.do("GET", home+v.result, "Cookie", v.cookie)
	if w.Code != http.StatusOK {
		v.t.Fatalf("result: %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDevice("joe@example.com")
		s := newSite(t, "", a)
		page := s.do("GET", home+"/authorize/joe@example.com").Body.String()
		assertContains(t, page, "Get a code", "Sign in there as <strong><bdi>joe@example.com</bdi>")
		if strings.Contains(page, "redirect URI") || strings.Contains(page, "Paste") {
			t.Errorf("the page mentions a callback:\n%s", page)
		}
		v := s.ask(a.name)
		time.Sleep(5 * time.Minute)
		assertContains(t, v.page(), `<p class="usercode"><code>WDJB-MJHT</code></p>`, "Open <code>https://provider.example/device</code>",
			`href="https://provider.example/device?user_code=WDJB-MJHT" target="_blank" rel="noopener noreferrer"`,
			"valid until", "(10 minutes left)", `http-equiv="refresh" content="5"`)
		if w := s.do("GET", home+v.result); w.Code != http.StatusNotFound {
			t.Errorf("another browser sees the code: %d", w.Code)
		}
		a.answers <- nil
		assertContains(t, v.page(), "joe@example.com is authorized", "Answer of Example Mail", "IMAP login at imap.example.com:993", ">Saving<")
		if len(a.kept) != 1 || a.kept[0].AccessToken != "token-for-WDJB-MJHT" {
			t.Errorf("kept %v", a.kept)
		}
		if got := s.log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=INFO msg=authorization account=joe@example.com result=authorized client=192.0.2.1:1234") {
			t.Errorf("log: %s", got)
		}
		time.Sleep(pendingLifetime)
		assertContains(t, v.page(), "joe@example.com is authorized")
	})
}

// A blockingAccount blocks in Try until goOn is closed.
type blockingAccount struct {
	*fakeAccount
	goOn chan struct{}
}

func (b *blockingAccount) account() *Account {
	account := b.fakeAccount.account()
	account.Grants = b
	return account
}

func (b *blockingAccount) Try(ctx context.Context, g oauth.Grant) []Trial {
	<-b.goOn
	return b.fakeAccount.Try(ctx, g)
}

// TestDeviceIsNotEvicted checks that new device flows do not replace one whose grant is
// being tried.
func TestDeviceIsNotEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &blockingAccount{newDevice("joe@example.com"), make(chan struct{})}
		s := newSite(t, "", a)
		v := s.ask(a.name)
		a.answers <- nil
		assertContains(t, v.page(), "One moment", `http-equiv="refresh" content="2"`)
		var others []*wait
		for range maxSourceDevicePolls - 1 {
			time.Sleep(deviceAuthInterval)
			others = append(others, s.ask(a.name, "Cookie", v.cookie))
		}
		time.Sleep(deviceAuthInterval)
		again := s.ask(a.name, "Cookie", v.cookie) // replaces the oldest of the others
		assertContains(t, v.page(), "One moment")
		if w := s.do("GET", home+others[0].result, "Cookie", v.cookie); w.Code != http.StatusNotFound {
			t.Errorf("oldest unused code: %d, want 404", w.Code)
		}
		close(a.goOn)
		synctest.Wait()
		if len(a.kept) != 1 {
			t.Errorf("kept %v", a.kept)
		}
		for range maxSourceDevicePolls - 1 {
			a.answers <- nil
		}
		assertContains(t, v.page(), "joe@example.com is authorized")
		assertContains(t, again.page(), "joe@example.com is authorized")
	})
}

func TestDeviceEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(a *fakeAccount)
		log  string
		page string
	}{
		{"refused", func(a *fakeAccount) { a.answers <- &oauth.Error{Code: "access_denied"} }, `result="refused by the provider"`, "Access was refused"},
		{"expired", func(*fakeAccount) { time.Sleep(16*time.Minute + time.Second) }, `result="code not entered in time"`, "not entered at Example Mail in time"},
		{"canceled", func(a *fakeAccount) { a.answers <- context.Canceled }, `result="given up"`, "stopped waiting before anyone agreed"},
		{"failed", func(a *fakeAccount) { a.answers <- &oauth.Error{Kind: oauth.Misconfigured, Code: "invalid_client"} }, `result="no token"`, "invalid_client"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newDevice("joe@example.com")
				s := newSite(t, "", a)
				v := s.ask(a.name)
				test.end(a)
				assertContains(t, v.page(), test.page, "was not authorized", ">Authorize again<")
				assertContains(t, s.log.String(), test.log)
				if len(a.kept) != 0 {
					t.Errorf("kept %v", a.kept)
				}
			})
		})
	}
}

// TestDeviceLifetime checks that polling ends after maxDeviceLifetime, even if the code
// lives longer.
func TestDeviceLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDevice("joe@example.com")
		a.device.Expiry = time.Now().Add(24 * time.Hour)
		s := newSite(t, "", a)
		v := s.ask(a.name)
		time.Sleep(maxDeviceLifetime + time.Minute + time.Second)
		assertContains(t, v.page(), "not entered at Example Mail in time")
	})
}

// TestDeviceFlood checks that one client can neither end the device flows of others, nor
// prevent new ones, nor cause an unlimited number of requests to the provider.
func TestDeviceFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newDevice("a@example.com"), newDevice("b@example.com")
		s := newSite(t, "", a, b)
		own := s.ask(a.name, from, address(1))
		press := func(client int) (int, string) {
			return statusAndBody(s.do("POST", home+"/authorize/a@example.com", from, address(client)))
		}
		for range 40 {
			time.Sleep(deviceAuthInterval)
			press(2)
			if status, page := press(2); status != http.StatusTooManyRequests || !strings.Contains(page, "Try again in a few seconds") && !strings.Contains(page, "Too many authorizations in progress") {
				t.Fatalf("%d: %s", status, page)
			}
		}
		if a.deviceAuths != 1+maxSourceDevicePolls {
			t.Errorf("%d device codes requested, want %d", a.deviceAuths, 1+maxSourceDevicePolls)
		}
		_, page := press(2)
		assertContains(t, page, "Too many authorizations in progress", `<code class="copy">sudo -u xoauthd xoauthd authorize --terminal a@example.com</code>`)

		// Other sources can still start device flows, up to the limit of the account.
		waiting := []*wait{own, s.ask(a.name, from, address(3)), s.ask(b.name, from, address(2))}
		for client := range 40 {
			press(4 + client)
		}
		if a.deviceAuths != maxDevicePolls {
			t.Errorf("%d device codes requested, want %d", a.deviceAuths, maxDevicePolls)
		}
		time.Sleep(pendingLifetime)
		for _, v := range waiting {
			assertContains(t, v.page(), "WDJB-MJHT")
		}
		for range maxDevicePolls { // the flows end
			a.answers <- &oauth.Error{Code: "access_denied"}
		}
		synctest.Wait()
		assertContains(t, s.ask(a.name, from, address(2)).page(), "WDJB-MJHT")
		assertContains(t, own.page(), "Access was refused")
		a.answers <- nil
		b.answers <- nil
	})
}

// TestDevicePressedTwice checks that pressing the button again shows the same code.
func TestDevicePressedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDevice("joe@example.com")
		s := newSite(t, "", a)
		cookie := s.ask(a.name).cookie
		time.Sleep(deviceAuthInterval)
		a.asking = func() { time.Sleep(time.Second) }
		request, cancel := context.WithTimeout(t.Context(), ms(500))
		defer cancel()
		r := httptest.NewRequestWithContext(request, "POST", home+"/authorize/joe@example.com", nil)
		first := s.send(r, "Cookie", cookie).Header().Get("Location")
		second := s.ask(a.name, "Cookie", cookie)
		if second.result != first || second.cookie != cookie {
			t.Errorf("%+v, want %s", second, first)
		}
		assertContains(t, second.page(), "One moment", "is requesting a code", `http-equiv="refresh" content="2"`)
		time.Sleep(time.Second)
		assertContains(t, second.page(), "WDJB-MJHT")
		if a.deviceAuths != 2 {
			t.Errorf("%d device codes requested, want 2", a.deviceAuths)
		}
		time.Sleep(deviceAuthInterval)
		if third := s.ask(a.name, "Cookie", cookie); third.result == first {
			t.Error("a later press shows the same code")
		}
		for range a.deviceAuths {
			a.answers <- nil
		}
	})
}

func TestDeviceAuthFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDevice("joe@example.com")
		a.deviceErr = &oauth.Error{Kind: oauth.Misconfigured, Family: oauth.Microsoft, Code: "unauthorized_client", Description: "AADSTS7000218: needs a secret"}
		s := newSite(t, "", a)
		page := s.ask(a.name).page()
		assertContains(t, page, "Code from Example Mail", "issued no code", "AADSTS7000218", "Microsoft wants a client secret")
		assertContains(t, s.log.String(), `level=WARN msg=authorization account=joe@example.com result="no code for a device"`)
	})
}

// TestDeviceLink checks the link of a code without verification_uri_complete, and that a
// link cannot run a script.
func TestDeviceLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for complete, open := range map[string]string{"": `href="https://provider.example/device"`, "javascript:alert(1)": `href="#ZgotmplZ"`} {
			a := newDevice("joe@example.com")
			a.device.Complete = complete
			v := newSite(t, "", a).ask(a.name)
			assertContains(t, v.page(), open)
			a.answers <- nil
		}
	})
}

// TestBackground checks that Config.Go runs the background work.
func TestBackground(t *testing.T) {
	a := newDevice("joe@example.com")
	s := newSite(t, "", a)
	var background sync.WaitGroup
	var err error
	s.handler, err = New(Config{Accounts: []*Account{a.account()}, ListenAddresses: []string{"127.0.0.1:1180"}, Go: background.Go})
	if err != nil {
		t.Fatal(err)
	}
	v := s.ask(a.name)
	a.answers <- nil
	background.Wait()
	assertContains(t, v.do("GET", home+v.result, "Cookie", v.cookie).Body.String(), "joe@example.com is authorized")
}
