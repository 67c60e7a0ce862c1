package main_test

import (
	"testing"
	"time"
)

// testManyLogins logs in a hundred clients at once after the access token has expired.
func testManyLogins(t *testing.T, e *env) {
	d := e.authorized(t)
	d.expire(t)
	before := e.provider.idp.Load().TokenRequests()
	var clients []*conversation
	for range 100 {
		clients = append(clients, d.dialIMAP(t))
	}
	for _, c := range clients {
		c.say("a LOGIN %s %s\r\n", d.user, quote(d.password))
	}
	for _, c := range clients {
		contains(t, "LOGIN", c.until("a "), "a OK ")
	}
	if n := e.provider.idp.Load().TokenRequests() - before; n != 1 {
		t.Errorf("%d requests came to the token endpoint, want 1", n)
	}
	if n := d.metric(t, `xoauthd_token_refreshes_total{provider="example",result="ok"}`); n != 1 {
		t.Errorf("%v refreshes are counted", n)
	}
	if n := d.metric(t, `xoauthd_active_sessions{protocol="imap"}`); n != 100 {
		t.Errorf("%v active sessions are counted", n)
	}
}

// testShortTokens uses access tokens that expire within seconds.
func testShortTokens(t *testing.T, e *env) {
	e.provider.renew(t, 4*time.Second)
	defer e.provider.renew(t, time.Hour)
	d := e.authorized(t)
	first := d.accessToken(t)
	d.logInIMAP(t)
	poll(t, "the end of the token", func() bool {
		_, ok := e.provider.idp.Load().User(first)
		return !ok
	})
	d.logInIMAP(t)
	d.send(t, greeting)
	if d.accessToken(t) == first {
		t.Error("there is no new token")
	}
}

func testTokenRevoked(t *testing.T, e *env) {
	d := e.authorized(t)
	d.worksEverywhere(t)
	for _, c := range append(senders(), readers()...) {
		t.Run(c.name, func(t *testing.T) {
			d.restart(t) // it replaces a token before its time only once in a while
			token := d.accessToken(t)
			e.provider.idp.Load().RevokeAccess(token)
			before := e.provider.idp.Load().TokenRequests()
			if r := c.try(t, d, greeting); r.status != 0 {
				t.Errorf("exit status %d\n%s", r.status, shorten(r.stderr))
			}
			if n := e.provider.idp.Load().TokenRequests() - before; n != 1 || d.accessToken(t) == token {
				t.Errorf("%d requests came to the token endpoint", n)
			}
		})
	}
}

func testGrantWithdrawn(t *testing.T, e *env) {
	d := e.authorized(t)
	d.worksEverywhere(t)
	e.provider.idp.Load().RevokeAll(d.user)
	link := d.link(t)
	d.refusedEverywhere(t, []string{"454 4.7.0", link}, []string{"[CONTACTADMIN]", link}, []string{"[SYS/PERM]", link})
	if needs := d.metric(t, needsAuthorization(d.user)); needs != 1 {
		t.Errorf("needs authorization: %v", needs)
	}
	d.authorize(t)
	d.worksEverywhere(t)
}

// testOtherMailbox chooses the wrong mailbox at the provider. The mail servers refuse the
// token, and xoauthd must not store the grant.
func testOtherMailbox(t *testing.T, e *env) {
	d := e.newDaemon(t)
	page := d.authorizeAs(t, e.mailboxes[0])
	contains(t, "the last page", page, "Not done", "IMAP login", "SMTP login", "POP3 login", "sign in as "+d.user)
	d.refusedEverywhere(t, []string{"454 4.7.0", d.link(t)}, []string{"[CONTACTADMIN]", d.link(t)}, []string{"[SYS/PERM]", d.link(t)})

	d.authorize(t)
	contains(t, "the page after another mailbox", d.authorizeAs(t, e.mailboxes[0]), "Not done")
	d.worksEverywhere(t)
}
