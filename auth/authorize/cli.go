package authorize

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/oauth2"

	"github.com/xoauthd/xoauthd/auth/oauth"
)

// A CodeFlow is one authorization code grant (RFC 6749 section 4.1). On the command line,
// a person opens its URL in any browser and passes the last address of the browser to
// Finish.
type CodeFlow struct {
	account  *Account
	state    string
	verifier string
	used     atomic.Bool // set by Finish
}

// NewCodeFlow returns a CodeFlow for a, with a random state and verifier.
func NewCodeFlow(a *Account) *CodeFlow {
	return &CodeFlow{
		account:  a,
		state:    rand.Text(), // 130 bits
		verifier: oauth2.GenerateVerifier(),
	}
}

// URL returns the URL of the authorization request.
func (f *CodeFlow) URL() string {
	return f.account.Client.AuthCodeURL(f.state, f.verifier, f.account.LoginHint)
}

// Finish completes f with the provider's response in pasted, the last address of the
// browser. If pasted is not that address, Finish returns an error and changes nothing, so
// that the caller can ask again. Finish uses a response only once. It continues when ctx
// is done.
func (f *CodeFlow) Finish(ctx context.Context, pasted string) (Result, error) {
	answer, err := parseResponse(pasted)
	switch {
	case err != nil:
		return Result{}, err
	case answer.repeated() != "":
		return Result{}, fmt.Errorf("this address contains the parameter %q more than once: open the link again, and paste the address that the browser shows in the end", answer.repeated())
	case answer.Get("state") != f.state:
		return Result{}, errors.New("this address belongs to another authorization: open the link of this one, and paste the address that the browser shows in the end")
	case !f.used.CompareAndSwap(false, true):
		return Result{}, errors.New("this response of the provider has already been used: start again")
	}
	return complete(ctx, f.account, f.verifier, answer), nil
}

// AwaitDevice completes a device flow. It waits until the person agrees or refuses, the
// code of d expires, or ctx is done. After the provider has agreed, AwaitDevice continues
// when ctx is done.
func AwaitDevice(ctx context.Context, a *Account, d *oauth.Device) Result {
	waiting, cancel := a.Shutdown.UntilBegun(ctx)
	defer cancel()
	g, err := a.Client.AwaitDevice(waiting, d)
	return completeDevice(ctx, a, g, err)
}

// Adopt imports a grant of another program. The access token of g must be valid. Adopt
// logs in to the mail servers with g, and keeps g if a login succeeds. It continues when
// ctx is done.
func Adopt(ctx context.Context, a *Account, g oauth.Grant) Result {
	ctx, cancel := a.finishing(ctx)
	defer cancel()
	return (&resultBuilder{account: a, imported: true}).adopt(ctx, g)
}
