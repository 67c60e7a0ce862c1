package authorize

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
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

// Finish follows the provider's answer, which is in the address that the
// browser ended on; its query, or what stands behind the question mark, will do.
// An error says that it is not such an address, so that a person can be asked
// again: nothing was done. The answer is followed once, and to its end even if
// ctx is done before.
func (t *Attempt) Finish(ctx context.Context, pasted string) (Outcome, error) {
	q, err := answerIn(pasted)
	switch {
	case err != nil:
		return Outcome{}, err
	case repeated(q) != "":
		return Outcome{}, fmt.Errorf("this address has the parameter %q more than once: open the link again, and bring the address that the browser ends on then", repeated(q))
	case q.Get("state") != t.state:
		return Outcome{}, errors.New("this address belongs to another authorization: open the link that was given for this one, and bring the address that the browser ends on then")
	case !t.used.CompareAndSwap(false, true):
		return Outcome{}, errors.New("this answer of the provider was used already: begin again")
	}
	return complete(ctx, t.account, t.verifier, q), nil
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

// answerIn returns the provider's answer that is in pasted. It forgives what
// happens to an address on its way through a terminal or a message: line breaks
// and blanks in it, quotes around it, a scheme that a browser does not show.
func answerIn(pasted string) (url.Values, error) {
	s := strings.Trim(strings.Join(strings.Fields(pasted), ""), `<>"'`)
	s, _, _ = strings.Cut(s, "#")
	if _, query, ok := strings.Cut(s, "?"); ok {
		s = query
	}
	q, err := url.ParseQuery(s)
	if err != nil || q.Get("state") == "" || q.Get("code") == "" && q.Get("error") == "" {
		// Of a fault in the query nothing is told: the words would have the code.
		return nil, errors.New("this is not an address that the provider sends the browser to: that one has state= and code= in it")
	}
	return q, nil
}
