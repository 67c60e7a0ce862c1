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

// address is that of the n-th client.
func address(n int) string { return fmt.Sprintf("192.0.2.%d:1234", n) }

// TestForeignRequests: whoever else begins, however often and from however many
// addresses, what a person has begun goes on to its end.
func TestForeignRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newAccount("joe@example.com"), newAccount("ann@example.com")
		s := newSite(t, "", a, b)
		begun := func(name string, client int) int {
			status, page := code(s.do("POST", home+"/authorize/"+name, from, address(client)))
			if status == http.StatusTooManyRequests {
				wants(t, page, "Too many are under way", `<code class="copy">sudo -u xoauthd xoauthd authorize --terminal `+name+`</code>`)
			}
			return status
		}
		person := s.begin(a.name, from, address(1))
		for i := range maxSourceAttempts + 50 {
			want := http.StatusSeeOther
			if i >= maxSourceAttempts {
				want = http.StatusTooManyRequests
			}
			if got := begun(a.name, 2); got != want {
				t.Fatalf("attempt %d of one source: %d, want %d", i+1, got, want)
			}
		}
		other := s.begin(b.name, from, address(1)) // from where the flood is not
		for i := range 2 * maxAttempts {
			begun(a.name, 3+i%50)
		}
		if got := begun(a.name, 99); got != http.StatusTooManyRequests {
			t.Errorf("one more than all: %d", got)
		}
		time.Sleep(attemptLife)
		wants(t, person.finish("code=1"), "joe@example.com is authorized")
		wants(t, other.finish("code=1"), "ann@example.com is authorized")
		time.Sleep(time.Second) // those of the flood end, and there is room
		wants(t, s.begin(a.name, from, address(99)).finish("code=2"), "joe@example.com is authorized")
	})
}

// TestOneBrowser: what a person begins again and again, and does not finish, makes
// room for itself, and takes none from others.
func TestOneBrowser(t *testing.T) {
	a := newAccount("joe@example.com")
	s := newSite(t, "", a)
	other := s.begin(a.name)
	first := s.begin(a.name)
	var last *visit
	for range 2 * maxSourceAttempts {
		last = s.begin(a.name, "Cookie", first.cookie)
	}
	if w := first.back("code=1"); w.Code != http.StatusBadRequest {
		t.Errorf("the oldest of one browser: %d, want 400", w.Code)
	}
	wants(t, last.finish("code=2"), "is authorized")
	wants(t, other.finish("code=3"), "is authorized")
}

// TestDoneMakesRoom: a result that its browser has had time to ask for makes room
// for others.
func TestDoneMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount("joe@example.com")
		s := newSite(t, "", a)
		v := s.begin(a.name)
		result := v.back("code=1").Header().Get("Location")
		for range maxSourceAttempts - 1 {
			s.begin(a.name).finish("code=2")
		}
		look := func() int { return s.do("GET", home+result, "Cookie", v.cookie).Code }
		time.Sleep(resultLife)
		if status, _ := code(s.do("POST", home+"/authorize/"+a.name)); status != http.StatusTooManyRequests || look() != http.StatusOK {
			t.Errorf("one more begins: %d; the result: %d", status, look())
		}
		time.Sleep(time.Second)
		s.begin(a.name)
		if look() != http.StatusNotFound {
			t.Errorf("the oldest result: %d, want 404", look())
		}
	})
}

// TestAttemptAtWorkStays: however many the same browser begins in the meantime.
func TestAttemptAtWorkStays(t *testing.T) {
	a := newAccount("joe@example.com")
	s := newSite(t, "", a)
	v := s.begin(a.name)
	a.during = func() {
		for range 2 * maxBrowserPending {
			s.begin(a.name, "Cookie", v.cookie)
		}
	}
	wants(t, v.finish("code=1"), "joe@example.com is authorized")
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
