package authorize

import (
	"context"
	"errors"
	"net/http"
	"strings"
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
			"in 10 minutes", `http-equiv="refresh" content="5"`)
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
		again := s.ask(a.name) // which drops the first
		close(a.goOn)
		synctest.Wait()
		if len(a.kept) != 1 {
			t.Errorf("kept %v", a.kept)
		}
		a.answers <- nil
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

func TestDeviceOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newDevice("a@example.com"), newDevice("b@example.com")
		s := newSite(t, "", a, b)
		other := s.ask(b.name)
		first := s.ask(a.name)
		second := s.ask(a.name, "Cookie", first.cookie)
		if first.cookie != second.cookie {
			t.Error("the second code took the first one's cookie away")
		}
		synctest.Wait()
		wants(t, s.log.String(), `account=a@example.com result="given up"`)
		if w := s.do("GET", home+first.result, "Cookie", first.cookie); w.Code != http.StatusNotFound {
			t.Errorf("the first code is still shown: %d", w.Code)
		}
		a.answers <- nil
		b.answers <- nil
		wants(t, second.page(), "a@example.com is authorized")
		wants(t, other.page(), "b@example.com is authorized")
		if len(a.kept) != 1 || len(b.kept) != 1 {
			t.Errorf("kept %v and %v", a.kept, b.kept)
		}
	})
}

func TestDeviceWithoutACode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDevice("joe@example.com")
		a.deviceErr = &auth.Error{Kind: auth.Misconfigured, Code: "unauthorized_client", Description: "AADSTS7000218: needs a secret"}
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
	var left []func()
	h, err := New(Config{Accounts: []Account{a}, ListenAddress: "127.0.0.1:1180", Go: func(f func()) { left = append(left, f) }})
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, "", a)
	s.handler = h
	s.ask(a.name)
	if len(left) != 1 {
		t.Fatalf("%d functions are to be run, want 1", len(left))
	}
	go func() { a.answers <- errors.New("enough") }()
	left[0]()
}
