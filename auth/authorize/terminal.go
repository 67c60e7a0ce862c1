package authorize

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/oauth2"

	"github.com/xoauthd/xoauthd/auth"
)

// An Attempt is one authorization code grant (RFC 6749 section 4.1): what is
// sent along to the provider, and is wanted back. Where the browser that goes
// there is no page's, it ends with Finish.
type Attempt struct {
	account  Account
	state    string
	verifier string
	used     atomic.Bool // by Finish
}

// Begin begins an authorization outside the pages: a person opens the URL in
// whatever browser there is, and brings back the address that it ends on.
func Begin(a Account) *Attempt {
	return &Attempt{
		account:  a,
		state:    rand.Text(), // 130 bits
		verifier: oauth2.GenerateVerifier(),
	}
}

// URL is where the browser is to go.
func (t *Attempt) URL() string { return t.account.AuthCodeURL(t.state, t.verifier) }

// Finish completes the attempt with the provider's response, which is in the
// address that the browser ended on. An error says why pasted is not that address,
// so that a person can be asked again: nothing was done. The response is used
// once, and to the end even if ctx is done before.
func (t *Attempt) Finish(ctx context.Context, pasted string) (Outcome, error) {
	answer, err := parseResponse(pasted)
	switch {
	case err != nil:
		return Outcome{}, err
	case answer.repeated() != "":
		return Outcome{}, fmt.Errorf("this address has the parameter %q more than once: open the link again, and bring the address that the browser ends on then", answer.repeated())
	case answer.Get("state") != t.state:
		return Outcome{}, errors.New("this address belongs to another authorization: open the link that was given for this one, and bring the address that the browser ends on then")
	case !t.used.CompareAndSwap(false, true):
		return Outcome{}, errors.New("this answer of the provider was used already: begin again")
	}
	return complete(ctx, t.account, t.verifier, answer), nil
}

// AwaitDevice waits until a person has entered the code of d and agreed, or
// refused, until the code is no longer good or ctx is done. It tells what came
// of it. Once the provider has agreed, it goes on to the end even if ctx is done.
func AwaitDevice(ctx context.Context, a Account, d *auth.Device) Outcome {
	g, err := a.AwaitDevice(ctx, d)
	return completeDevice(ctx, a, g, err)
}

// Adopt takes a grant that was brought in from elsewhere, with an access token
// that is good: it is tried at the mail servers, and kept if a mailbox opens,
// even if ctx is done before.
func Adopt(ctx context.Context, a Account, g auth.Grant) Outcome {
	ctx, cancel := lasting(ctx)
	defer cancel()
	return (&result{account: a, brought: true}).adopt(ctx, g)
}
