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

	"github.com/xoauthd/xoauthd/auth"
)

// newDevice is an account that is authorized by a code, which is good for a
// quarter of an hour.
func newDevice(name string) *fakeAccount {
	a := newAccount(name)
	a.flow, a.redirect, a.authURL = "device_code", "", ""
	a.answers = make(chan error)
	a.device = &auth.Device{
		UserCode: "WDJB-MJHT",
		URI:      "https://provider.example/device",
		Complete: "https://provider.example/device?user_code=WDJB-MJHT",
		Expiry:   time.Now().Add(15 * time.Minute),
	}
	return a
}

// A wait is the authorization of a device that was begun.
type wait struct {
	*site
	cookie, result string // the page that tells what came of it
}

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

// page is the page of the result, at last with all that was in the background
// done.
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
		wants(t, page, "Get a code", "Sign in there as <strong><bdi>joe@example.com</bdi>")
		if strings.Contains(page, "redirect URI") || strings.Contains(page, "Paste") {
			t.Errorf("the page tells of a callback:\n%s", page)
		}
		v := s.ask(a.name)
		time.Sleep(5 * time.Minute)
		wants(t, v.page(), `<p class="usercode"><code>WDJB-MJHT</code></p>`, "Open <code>https://provider.example/device</code>",
			`href="https://provider.example/device?user_code=WDJB-MJHT" target="_blank" rel="noopener noreferrer"`,
			"valid until", "(10 minutes left)", `http-equiv="refresh" content="5"`)
		if w := s.do("GET", home+v.result); w.Code != http.StatusNotFound {
			t.Errorf("another browser sees the code: %d", w.Code)
		}
		a.answers <- nil
		wants(t, v.page(), "joe@example.com is authorized", "Answer of Example Mail", "IMAP login at imap.example.com:993", ">Saving<")
		if len(a.kept) != 1 || a.kept[0].AccessToken != "token-for-WDJB-MJHT" {
			t.Errorf("kept %v", a.kept)
		}
		if got := s.log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=INFO msg=authorization account=joe@example.com result=authorized client=192.0.2.1:1234") {
			t.Errorf("log: %s", got)
		}
		time.Sleep(attemptLife)
		wants(t, v.page(), "joe@example.com is authorized")
	})
}

// A busy account says when it is being tried, and waits.
type busy struct {
	*fakeAccount
	goOn chan struct{}
}

func (b *busy) Try(ctx context.Context, g auth.Grant) []Trial {
	<-b.goOn
	return b.fakeAccount.Try(ctx, g)
}

// TestDeviceWhileTrying: once the provider has agreed, nothing takes back what
// it gave.
func TestDeviceWhileTrying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &busy{newDevice("joe@example.com"), make(chan struct{})}
		s := newSite(t, "", a)
		v := s.ask(a.name)
		a.answers <- nil
		wants(t, v.page(), "One moment", `http-equiv="refresh" content="2"`)
		var others []*wait
		for range maxSourceDevices - 1 {
			time.Sleep(askPause)
			others = append(others, s.ask(a.name, "Cookie", v.cookie))
		}
		time.Sleep(askPause)
		again := s.ask(a.name, "Cookie", v.cookie) // for which one of the others goes
		wants(t, v.page(), "One moment")
		if w := s.do("GET", home+others[0].result, "Cookie", v.cookie); w.Code != http.StatusNotFound {
			t.Errorf("the oldest code that nobody has entered is still shown: %d", w.Code)
		}
		close(a.goOn)
		synctest.Wait()
		if len(a.kept) != 1 {
			t.Errorf("kept %v", a.kept)
		}
		for range maxSourceDevices - 1 {
			a.answers <- nil
		}
		wants(t, v.page(), "joe@example.com is authorized")
		wants(t, again.page(), "joe@example.com is authorized")
	})
}

func TestDeviceEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(a *fakeAccount)
		log  string
		page string
	}{
		{"refused", func(a *fakeAccount) { a.answers <- &auth.Error{Code: "access_denied"} }, `result="refused by the provider"`, "Access was refused"},
		{"expired", func(*fakeAccount) { time.Sleep(16*time.Minute + time.Second) }, `result="code not entered in time"`, "not entered at Example Mail in time"},
		{"stopped", func(a *fakeAccount) { a.answers <- context.Canceled }, `result="given up"`, "ended before anybody agreed"},
		{"failed", func(a *fakeAccount) { a.answers <- &auth.Error{Kind: auth.Misconfigured, Code: "invalid_client"} }, `result="no token"`, "invalid_client"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newDevice("joe@example.com")
				s := newSite(t, "", a)
				v := s.ask(a.name)
				test.end(a)
				wants(t, v.page(), test.page, "was not authorized", ">Authorize again<")
				wants(t, s.log.String(), test.log)
				if len(a.kept) != 0 {
					t.Errorf("kept %v", a.kept)
				}
			})
		})
	}
}

// TestDeviceIsNotWaitedForForever: however long a provider lets a code live.
func TestDeviceIsNotWaitedForForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDevice("joe@example.com")
		a.device.Expiry = time.Now().Add(24 * time.Hour)
		s := newSite(t, "", a)
		v := s.ask(a.name)
		time.Sleep(maxDeviceLife + time.Minute + time.Second)
		wants(t, v.page(), "not entered at Example Mail in time")
	})
}

// TestDeviceOfAnother: whoever can reach the page cannot end what another has
// begun there, nor keep others from asking, nor have the provider asked without
// end.
func TestDeviceOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newDevice("a@example.com"), newDevice("b@example.com")
		s := newSite(t, "", a, b)
		own := s.ask(a.name, from, address(1))
		press := func(client int) (int, string) {
			return code(s.do("POST", home+"/authorize/a@example.com", from, address(client)))
		}
		for range 40 {
			time.Sleep(askPause)
			press(2)
			if status, page := press(2); status != http.StatusTooManyRequests || !strings.Contains(page, "Try again in a moment") && !strings.Contains(page, "Too many are under way") {
				t.Fatalf("%d: %s", status, page)
			}
		}
		if a.asked != 1+maxSourceDevices {
			t.Errorf("the provider was asked for %d codes, want %d", a.asked, 1+maxSourceDevices)
		}
		_, page := press(2)
		wants(t, page, "Too many are under way", `<code class="copy">sudo -u xoauthd xoauthd authorize --terminal a@example.com</code>`)

		// From elsewhere one more can be asked for at once, up to a bound in all.
		waiting := []*wait{own, s.ask(a.name, from, address(3)), s.ask(b.name, from, address(2))}
		for client := range 40 {
			press(4 + client)
		}
		if a.asked != maxDevices {
			t.Errorf("the provider was asked for %d codes, want %d", a.asked, maxDevices)
		}
		time.Sleep(attemptLife)
		for _, v := range waiting {
			wants(t, v.page(), "WDJB-MJHT")
		}
		for range maxDevices { // they end, and there is room again
			a.answers <- &auth.Error{Code: "access_denied"}
		}
		synctest.Wait()
		wants(t, s.ask(a.name, from, address(2)).page(), "WDJB-MJHT")
		wants(t, own.page(), "Access was refused")
		a.answers <- nil
		b.answers <- nil
	})
}

// TestDeviceAskedTwice: a second press shows what the first one got.
func TestDeviceAskedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDevice("joe@example.com")
		s := newSite(t, "", a)
		cookie := s.ask(a.name).cookie
		time.Sleep(askPause)
		a.asking = func() { time.Sleep(time.Second) }
		left, leave := context.WithTimeout(t.Context(), ms(500))
		defer leave()
		r := httptest.NewRequestWithContext(left, "POST", home+"/authorize/joe@example.com", nil)
		first := s.send(r, "Cookie", cookie).Header().Get("Location")
		second := s.ask(a.name, "Cookie", cookie)
		if second.result != first || second.cookie != cookie {
			t.Errorf("%+v, want %s", second, first)
		}
		wants(t, second.page(), "One moment", "is being asked for a code", `http-equiv="refresh" content="2"`)
		time.Sleep(time.Second)
		wants(t, second.page(), "WDJB-MJHT")
		if a.asked != 2 {
			t.Errorf("asked %d times, want 2", a.asked)
		}
		time.Sleep(askPause)
		if third := s.ask(a.name, "Cookie", cookie); third.result == first {
			t.Error("there is no other code")
		}
		for range a.asked {
			a.answers <- nil
		}
	})
}

func TestDeviceWithoutACode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDevice("joe@example.com")
		a.deviceErr = &auth.Error{Kind: auth.Misconfigured, Family: auth.Microsoft, Code: "unauthorized_client", Description: "AADSTS7000218: needs a secret"}
		s := newSite(t, "", a)
		page := s.ask(a.name).page()
		wants(t, page, "A code from Example Mail", "gave no code to enter", "AADSTS7000218", "Microsoft wants a client secret")
		wants(t, s.log.String(), `level=WARN msg=authorization account=joe@example.com result="no code for a device"`)
	})
}

// TestDeviceWithoutACompleteLink: not every provider has one, and none may run a
// script.
func TestDeviceWithoutACompleteLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for complete, open := range map[string]string{"": `href="https://provider.example/device"`, "javascript:alert(1)": `href="#ZgotmplZ"`} {
			a := newDevice("joe@example.com")
			a.device.Complete = complete
			v := newSite(t, "", a).ask(a.name)
			wants(t, v.page(), open)
			a.answers <- nil
		}
	})
}

// TestBackground: whoever closes the store knows what may still use it.
func TestBackground(t *testing.T) {
	a := newDevice("joe@example.com")
	s := newSite(t, "", a)
	var left sync.WaitGroup
	var err error
	s.handler, err = New(Config{Accounts: []Account{a}, ListenAddresses: []string{"127.0.0.1:1180"}, Go: left.Go})
	if err != nil {
		t.Fatal(err)
	}
	v := s.ask(a.name)
	a.answers <- nil
	left.Wait()
	wants(t, v.do("GET", home+v.result, "Cookie", v.cookie).Body.String(), "joe@example.com is authorized")
}
