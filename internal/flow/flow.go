// Package flow names the ways in which xoauthd obtains upstream credentials. It imports
// nothing of this module, so every package may import it.
package flow

// A Flow is a value of the configuration key flow. It also identifies the flow of a
// stored token, so the values must not change. The zero value is no flow.
type Flow string

// The flows.
const (
	AuthorizationCode Flow = "authorization_code" // RFC 6749 section 4.1
	DeviceCode        Flow = "device_code"        // RFC 8628
	ClientCredentials Flow = "client_credentials" // RFC 6749 section 4.4
	ServiceAccount    Flow = "service_account"    // RFC 7523 section 2.1
	Password          Flow = "password"           // RFC 6749 section 4.3
	Command           Flow = "command"            // a program prints the token
	AppPassword       Flow = "app_password"       // no token
)

// NeedsConsent reports whether a person must consent for each account.
func (f Flow) NeedsConsent() bool { return f == AuthorizationCode || f == DeviceCode }
