package proxy

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestPasswordBackoff checks that a refused password is not used for a time that doubles, for
// one protocol of one account, until the upstream accepts it.
func TestPasswordBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b passwordBackoff
		refused := Fail(UpstreamRefused, errors.New("535 5.7.8 no"))
		b.record("joe", "imap", Fail(UpstreamDown, errors.New("421 later")))
		if err := b.check("joe", "imap"); err != nil {
			t.Errorf("a temporary failure has a back-off: %v", err)
		}
		for _, wait := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second} {
			b.record("joe", "imap", refused)
			time.Sleep(wait - time.Second)
			b.record("joe", "imap", refused) // by a concurrent login
			err := b.check("joe", "imap")
			if !errors.Is(err, refused) || asError(err).Result != UpstreamRefused || !strings.HasPrefix(err.Error(), "not asked again for ") {
				t.Errorf("within %v: %v", wait, err)
			}
			if b.check("joe", "smtp") != nil || b.check("ann", "imap") != nil {
				t.Error("the back-off is for other accounts or protocols, too")
			}
			time.Sleep(time.Second)
			if err := b.check("joe", "imap"); err != nil {
				t.Errorf("after %v: %v", wait, err)
			}
		}
		for range 10 {
			b.record("joe", "imap", refused)
			time.Sleep(maxBackoff)
		}
		b.record("joe", "imap", refused)
		time.Sleep(maxBackoff)
		if err := b.check("joe", "imap"); err != nil {
			t.Errorf("after the longest wait: %v", err)
		}
		time.Sleep(48 * time.Hour)
		b.record("joe", "imap", refused)
		time.Sleep(firstBackoff)
		if err := b.check("joe", "imap"); err != nil {
			t.Errorf("days later: %v", err)
		}
		b.record("joe", "imap", refused)
		b.record("joe", "imap", nil)
		if err := b.check("joe", "imap"); err != nil {
			t.Errorf("after it was accepted: %v", err)
		}
	})
}

// hinted is an error with a hint of its own.
type hinted struct{ error }

func (hinted) Hint() string { return "Do this." }

func TestOwnHint(t *testing.T) {
	if got := Hint(Fail(Misconfigured, hinted{errors.New("invalid_client")})); got != "Do this." {
		t.Errorf("hint = %q", got)
	}
}
