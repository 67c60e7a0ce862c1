package authorize

import (
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/auth"
)

func TestWhoSignsIn(t *testing.T) {
	a := newAccount("shared@example.com")
	a.hint = "ann@example.com"
	a.status = auth.Status{State: auth.Authorized, Identity: "Ann@example.com\n<b>"}
	s := newSite(t, "", a)
	wants(t, s.do("GET", home+"/authorize/shared@example.com").Body.String(),
		"Sign in there as <strong><bdi>ann@example.com</bdi></strong>, who may use the mailbox <bdi>shared@example.com</bdi>,",
		"<dt>Signed in as</dt><dd><bdi>Ann@example.com &lt;b&gt;</bdi></dd>")
	a.hint = "Shared@Example.com"
	if page := s.do("GET", home+"/authorize/shared@example.com").Body.String(); strings.Contains(page, "who may use") {
		t.Errorf("a delegate is spoken of:\n%s", page)
	}
}
