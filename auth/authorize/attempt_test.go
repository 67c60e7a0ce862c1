package authorize

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/auth"
)

func TestResultIsForItsBrowser(t *testing.T) {
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

func TestAttemptsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount("joe@example.com")
		s := newSite(t, "", a)
		slow, late := s.begin(a.name), s.begin(a.name)
		time.Sleep(attemptLife)
		to := slow.back("code=1").Header().Get("Location")
		time.Sleep(time.Second)
		if w := late.back("code=1"); w.Code != http.StatusBadRequest {
			t.Errorf("after %v: %d, want 400", attemptLife+time.Second, w.Code)
		}
		time.Sleep(attemptLife - time.Second)
		if w := slow.do("GET", home+to, "Cookie", slow.cookie); w.Code != http.StatusOK {
			t.Errorf("result after %v: %d", attemptLife, w.Code)
		}
		time.Sleep(time.Second)
		if w := slow.do("GET", home+to, "Cookie", slow.cookie); w.Code != http.StatusNotFound {
			t.Errorf("result after %v: %d", attemptLife+time.Second, w.Code)
		}
	})
}

func TestAttemptsAreBounded(t *testing.T) {
	var all []Account
	for i := range maxAttempts/maxAttemptsEach + 2 {
		all = append(all, newAccount(fmt.Sprintf("a%d@example.com", i)))
	}
	s := newSite(t, "", all...)
	first := s.begin(all[1].Name())
	flooded := s.begin(all[0].Name())
	for range maxAttemptsEach {
		s.begin(all[0].Name())
	}
	if w := flooded.back("code=1"); w.Code != http.StatusBadRequest {
		t.Errorf("oldest of %d for one account: %d, want 400", maxAttemptsEach+1, w.Code)
	}
	if w := first.back("code=1"); w.Code != http.StatusSeeOther {
		t.Errorf("attempt for another account: %d, want 303", w.Code)
	}
	begun := s.begin(all[1].Name())
	for i := range maxAttempts {
		s.begin(all[2+i%(len(all)-2)].Name())
	}
	if w := begun.back("code=1"); w.Code != http.StatusBadRequest {
		t.Errorf("oldest of %d in all: %d, want 400", maxAttempts+1, w.Code)
	}
}

// TestAttemptAtWorkStays: however many begin in the meantime.
func TestAttemptAtWorkStays(t *testing.T) {
	a := newAccount("joe@example.com")
	s := newSite(t, "", a)
	a.during = func() {
		for range maxAttemptsEach + 1 {
			s.begin(a.name)
		}
	}
	wants(t, s.begin(a.name).finish("code=1"), "joe@example.com is authorized")
}

func TestTwoTabs(t *testing.T) {
	a, b := newAccount("a@example.com"), newAccount("b@example.com")
	s := newSite(t, "", a, b)
	one := s.begin(a.name)
	two := s.begin(b.name, "Cookie", one.cookie)
	if one.cookie != two.cookie {
		t.Error("the second tab took the first one's cookie away")
	}
	if planted := s.begin(a.name, "Cookie", "xoauthd=planted"); strings.Contains(planted.cookie, "planted") {
		t.Error("a cookie that was not given out here is taken")
	}
	wants(t, two.finish("code=2"), "b@example.com is authorized")
	wants(t, one.finish("code=1"), "a@example.com is authorized")
	if len(a.kept) != 1 || len(b.kept) != 1 || a.kept[0].AccessToken != "token-for-1" {
		t.Errorf("kept %v and %v", a.kept, b.kept)
	}
}

// TestPanic: a fault in this program ends one authorization, by the one way as by
// the other.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fault := func() { panic("out of range") }
		code, asked := newAccount("code@example.com"), newDevice("asked@example.com")
		waited := &faulty{newDevice("waited@example.com")}
		code.during, asked.asking = fault, fault
		s := newSite(t, "", code, asked, waited)
		pages := []string{s.begin(code.name).finish("code=c0de"), s.ask(asked.name).page()}
		v := s.ask(waited.name)
		waited.answers <- nil
		for _, page := range append(pages, v.page()) {
			wants(t, page, "was not authorized", "internal error; see the log of xoauthd", "Authorize again")
		}
		for _, name := range []string{code.name, asked.name, waited.name} {
			wants(t, s.log.String(), "level=ERROR msg=panic account="+name+` why="out of range" stack="goroutine`,
				"level=WARN msg=authorization account="+name+` result="internal error"`)
		}
		if strings.Contains(s.log.String(), "c0de") {
			t.Errorf("the code is logged: %s", s.log)
		}
	})
}

// A faulty account cannot be tried.
type faulty struct{ *fakeAccount }

func (*faulty) Try(context.Context, auth.Grant) []Trial { panic("out of range") }
