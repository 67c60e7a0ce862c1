package authorize

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
)

func TestResultNeedsCookie(t *testing.T) {
	a := newAccount("joe@example.com")
	v := newSite(t, "", a).begin(a.name)
	to := v.back("code=1").Header().Get("Location")
	for name, cookie := range map[string]string{"none": "", "another": v.begin(a.name).cookie, "empty": "xoauthd="} {
		w := v.do("GET", home+to, "Cookie", cookie)
		if w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), "joe@") {
			t.Errorf("cookie %s: %d: %s", name, w.Code, w.Body)
		}
	}
}

func TestPendingExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount("joe@example.com")
		s := newSite(t, "", a)
		slow, late := s.begin(a.name), s.begin(a.name)
		time.Sleep(pendingLifetime)
		to := slow.back("code=1").Header().Get("Location")
		time.Sleep(time.Second)
		if w := late.back("code=1"); w.Code != http.StatusBadRequest {
			t.Errorf("after %v: %d, want 400", pendingLifetime+time.Second, w.Code)
		}
		time.Sleep(pendingLifetime - time.Second)
		if w := slow.do("GET", home+to, "Cookie", slow.cookie); w.Code != http.StatusOK {
			t.Errorf("result after %v: %d", pendingLifetime, w.Code)
		}
		time.Sleep(time.Second)
		if w := slow.do("GET", home+to, "Cookie", slow.cookie); w.Code != http.StatusNotFound {
			t.Errorf("result after %v: %d", pendingLifetime+time.Second, w.Code)
		}
	})
}

// address returns the address of the n-th client.
func address(n int) string { return fmt.Sprintf("192.0.2.%d:1234", n) }

// TestFlood checks that an authorization succeeds while other clients start as many as they
// can.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newAccount("joe@example.com"), newAccount("ann@example.com")
		s := newSite(t, "", a, b)
		start := func(name string, client int) int {
			status, page := statusAndBody(s.do("POST", home+"/authorize/"+name, from, address(client)))
			if status == http.StatusTooManyRequests {
				assertContains(t, page, "Too many authorizations in progress", `<code class="copy">sudo -u xoauthd xoauthd authorize --terminal `+name+`</code>`)
			}
			return status
		}
		person := s.begin(a.name, from, address(1))
		for i := range maxSourcePending + 50 {
			want := http.StatusSeeOther
			if i >= maxSourcePending {
				want = http.StatusTooManyRequests
			}
			if got := start(a.name, 2); got != want {
				t.Fatalf("authorization %d of one source: %d, want %d", i+1, got, want)
			}
		}
		other := s.begin(b.name, from, address(1)) // from an address outside the flood
		for i := range 2 * maxPending {
			start(a.name, 3+i%50)
		}
		if got := start(a.name, 99); got != http.StatusTooManyRequests {
			t.Errorf("above the total limit: %d", got)
		}
		time.Sleep(pendingLifetime)
		assertContains(t, person.finish("code=1"), "joe@example.com is authorized")
		assertContains(t, other.finish("code=1"), "ann@example.com is authorized")
		time.Sleep(time.Second) // the authorizations of the flood expire
		assertContains(t, s.begin(a.name, from, address(99)).finish("code=2"), "joe@example.com is authorized")
	})
}

// TestOneBrowser checks that a new authorization of a browser replaces the oldest one of
// that browser, but none of other browsers.
func TestOneBrowser(t *testing.T) {
	a := newAccount("joe@example.com")
	s := newSite(t, "", a)
	other := s.begin(a.name)
	first := s.begin(a.name)
	var last *visit
	for range 2 * maxSourcePending {
		last = s.begin(a.name, "Cookie", first.cookie)
	}
	if w := first.back("code=1"); w.Code != http.StatusBadRequest {
		t.Errorf("oldest authorization of one browser: %d, want 400", w.Code)
	}
	assertContains(t, last.finish("code=2"), "is authorized")
	assertContains(t, other.finish("code=3"), "is authorized")
}

// TestFinishedIsEvicted checks that a new authorization replaces a finished one after
// minResultLifetime.
func TestFinishedIsEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount("joe@example.com")
		s := newSite(t, "", a)
		v := s.begin(a.name)
		result := v.back("code=1").Header().Get("Location")
		for range maxSourcePending - 1 {
			s.begin(a.name).finish("code=2")
		}
		look := func() int { return s.do("GET", home+result, "Cookie", v.cookie).Code }
		time.Sleep(minResultLifetime)
		if status, _ := statusAndBody(s.do("POST", home+"/authorize/"+a.name)); status != http.StatusTooManyRequests || look() != http.StatusOK {
			t.Errorf("new authorization: %d; oldest result: %d", status, look())
		}
		time.Sleep(time.Second)
		s.begin(a.name)
		if look() != http.StatusNotFound {
			t.Errorf("the oldest result: %d, want 404", look())
		}
	})
}

// TestCompletingIsNotEvicted checks that new authorizations of the same browser do not
// replace one that is being completed.
func TestCompletingIsNotEvicted(t *testing.T) {
	a := newAccount("joe@example.com")
	s := newSite(t, "", a)
	v := s.begin(a.name)
	a.during = func() {
		for range 2 * maxBrowserPending {
			s.begin(a.name, "Cookie", v.cookie)
		}
	}
	assertContains(t, v.finish("code=1"), "joe@example.com is authorized")
}

func TestTwoTabs(t *testing.T) {
	a, b := newAccount("a@example.com"), newAccount("b@example.com")
	s := newSite(t, "", a, b)
	one := s.begin(a.name)
	two := s.begin(b.name, "Cookie", one.cookie)
	if one.cookie != two.cookie {
		t.Error("the second tab replaced the cookie of the first")
	}
	if planted := s.begin(a.name, "Cookie", "xoauthd=planted"); strings.Contains(planted.cookie, "planted") {
		t.Error("a planted cookie is accepted")
	}
	assertContains(t, two.finish("code=2"), "b@example.com is authorized")
	assertContains(t, one.finish("code=1"), "a@example.com is authorized")
	if len(a.kept) != 1 || len(b.kept) != 1 || a.kept[0].AccessToken != "token-for-1" {
		t.Errorf("kept %v and %v", a.kept, b.kept)
	}
}

// TestPanic checks that a panic ends only one authorization, in a code flow and in a
// device flow.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fault := func() { panic("out of range") }
		code, asked := newAccount("code@example.com"), newDevice("asked@example.com")
		waited := &panicAccount{newDevice("waited@example.com")}
		code.during, asked.asking = fault, fault
		s := newSite(t, "", code, asked, waited)
		pages := []string{s.begin(code.name).finish("code=c0de"), s.ask(asked.name).page()}
		v := s.ask(waited.name)
		waited.answers <- nil
		for _, page := range append(pages, v.page()) {
			assertContains(t, page, "was not authorized", "internal error; see the log of xoauthd", "Authorize again")
		}
		for _, name := range []string{code.name, asked.name, waited.name} {
			assertContains(t, s.log.String(), "level=ERROR msg=panic account="+name+` error="out of range" stack="github.com/xoauthd/xoauthd/`,
				"level=WARN msg=authorization account="+name+` result="internal error"`)
		}
		if strings.Contains(s.log.String(), "c0de") {
			t.Errorf("the code is logged: %s", s.log)
		}
	})
}

// A panicAccount panics in Try.
type panicAccount struct{ *fakeAccount }

func (p *panicAccount) account() *Account {
	account := p.fakeAccount.account()
	account.Grants = p
	return account
}

func (*panicAccount) Try(context.Context, oauth.Grant) []Trial { panic("out of range") }
