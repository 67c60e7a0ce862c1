package sasl

import "strings"

// known are the mechanisms that servers announce: the ones registered at IANA, and
// the ones of providers.
var known = strings.Fields(`
	ANONYMOUS CRAM-MD5 DIGEST-MD5 EAP-AES128 EAP-AES128-PLUS EXTERNAL GS2-KRB5
	GS2-KRB5-PLUS GSS-SPNEGO GSSAPI KERBEROS_V4 KERBEROS_V5 LOGIN NTLM OAUTH10A
	OAUTHBEARER OPENID20 OTP PLAIN SAML20 SCRAM-SHA-1 SCRAM-SHA-1-PLUS SCRAM-SHA-256
	SCRAM-SHA-256-PLUS SCRAM-SHA-512 SCRAM-SHA-512-PLUS SECURID SKEY SPNEGO XOAUTH2

	ATOKEN ATOKEN2 MSN PLAIN-CLIENTTOKEN WETOKEN WSTOKEN XOAUTH XYMCOOKIE
	XYMCOOKIEB64 XYMECOOKIE XYMPKI`)

// Known returns the known mechanisms among names, in the spelling of this package.
// Others are hidden from clients and logs, because a hostile server could repeat a
// secret as a mechanism.
func Known(names []string) (mechanisms []string) {
	for _, name := range names {
		for _, k := range known {
			if strings.EqualFold(name, k) {
				mechanisms = append(mechanisms, k)
			}
		}
	}
	return mechanisms
}
