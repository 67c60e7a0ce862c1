package proxy

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestRefusals: a refused password is left alone for a while that doubles, by one
// server and not by the other, until it is taken.
func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r refusals
		refused := Fail(UpstreamRefused, errors.New("535 5.7.8 no"))
		r.note("joe", "imap", Fail(UpstreamDown, errors.New("421 later")))
		if err := r.standing("joe", "imap"); err != nil {
			t.Errorf("a passing failure stands: %v", err)
		}
		for _, wait := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second} {
			r.note("joe", "imap", refused)
			time.Sleep(wait - time.Second)
			r.note("joe", "imap", refused) // of a login that was under way
			err := r.standing("joe", "imap")
			if !errors.Is(err, refused) || failure(err).Result != UpstreamRefused || !strings.HasPrefix(err.Error(), "not asked again for ") {
				t.Errorf("within %v: %v", wait, err)
			}
			if r.standing("joe", "smtp") != nil || r.standing("ann", "imap") != nil {
				t.Error("the refusal stands for others, too")
			}
			time.Sleep(time.Second)
			if err := r.standing("joe", "imap"); err != nil {
				t.Errorf("after %v: %v", wait, err)
			}
		}
		for range 10 {
			r.note("joe", "imap", refused)
			time.Sleep(maxRefusal)
		}
		r.note("joe", "imap", refused)
		time.Sleep(maxRefusal)
		if err := r.standing("joe", "imap"); err != nil {
			t.Errorf("after the longest wait: %v", err)
		}
		time.Sleep(48 * time.Hour)
		r.note("joe", "imap", refused)
		time.Sleep(firstRefusal)
		if err := r.standing("joe", "imap"); err != nil {
			t.Errorf("days later: %v", err)
		}
		r.note("joe", "imap", refused)
		r.note("joe", "imap", nil)
		if err := r.standing("joe", "imap"); err != nil {
			t.Errorf("after it was taken: %v", err)
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
