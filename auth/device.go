package auth

import (
	"context"
	"time"

	"golang.org/x/oauth2"
)

// A Device is an authorization that a person gives on another device, by a code
// (RFC 8628 section 3.2).
type Device struct {
	UserCode string
	URI      string    // where the person enters the code
	Complete string    // the same, with the code in it; empty if the provider has none
	Expiry   time.Time // of the code

	response *oauth2.DeviceAuthResponse
}

// DeviceAuth asks for a code that a person can enter elsewhere. Its errors are
// of type *Error.
func (p *Provider) DeviceAuth(ctx context.Context) (*Device, error) {
	config := p.config()
	r, err := config.DeviceAuth(p.withClient(ctx))
	if err != nil {
		return nil, failure(err, config.ClientSecret)
	}
	return &Device{r.UserCode, r.VerificationURI, r.VerificationURIComplete, r.Expiry, r}, nil
}

// AwaitDevice waits until a person has entered the code and consented, or has
// refused to, until the code expires or ctx is done. Its errors are of type
// *Error, or that of ctx.
func (p *Provider) AwaitDevice(ctx context.Context, d *Device) (Grant, error) {
	config := p.config()
	token, err := config.DeviceAccessToken(p.withClient(ctx), d.response)
	if err == nil {
		err = usable(token)
	}
	if err != nil {
		return Grant{}, failure(err, d.response.DeviceCode, config.ClientSecret)
	}
	return grantOf(token), nil
}
