package password

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMetrics()
		c, err := New([]Login{{Account: "ok", User: "joe", Hash: fastHash(t, "secret"), Protocols: []string{"imap"}}}, m)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range []Attempt{
			{User: "joe", Password: "secret", Protocol: "imap"},
			{User: "joe", Password: "secret", Protocol: "smtp"},
			{User: "joe", Password: ""},
			{User: "eve", Password: "secret"},
		} {
			c.Check(t.Context(), a)
		}
		guess := fromAddr("192.0.2.1").with("ann", "guess")
		for range maxPoints {
			c.Check(t.Context(), guess)
		}
		// maxDelayedWaiting attempts wait until ctx ends. The throttle refuses the next one.
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		for range maxDelayedWaiting {
			go c.Check(ctx, guess)
		}
		synctest.Wait()
		c.Check(t.Context(), guess)

		reg := prometheus.NewPedanticRegistry()
		reg.MustRegister(m)
		want := `
# HELP xoauthd_password_failures_delayed_total Refused local passwords that the throttle had delayed.
# TYPE xoauthd_password_failures_delayed_total counter
xoauthd_password_failures_delayed_total 7
# HELP xoauthd_password_failures_total Refused local passwords by reason.
# TYPE xoauthd_password_failures_total counter
xoauthd_password_failures_total{reason="not_allowed"} 1
xoauthd_password_failures_total{reason="too_many_guesses"} 1
xoauthd_password_failures_total{reason="unknown_user"} 11
xoauthd_password_failures_total{reason="wrong_password"} 1
`
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
		if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
			t.Errorf("lint: %v, %v", problems, err)
		}
	})
}
