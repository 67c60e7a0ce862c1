package wire

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
)

// A TLSError is why a client and we did not come together in TLS.
type TLSError struct {
	Why string // in words that say what to do, for the log; the client cannot be told
	Err error
}

func (e *TLSError) Error() string { return "TLS: " + e.Why }

func (e *TLSError) Unwrap() error { return e.Err }

// tlsError is the error of a handshake with a client as the dialogue should see
// it. One that was not heard of at all has not tried.
func (c *Conn) tlsError(err error, heard bool) error {
	var violation Violation
	switch {
	case c.isInterrupted():
		return ErrInterrupted
	case !heard, errors.As(err, &violation), errors.Is(err, os.ErrDeadlineExceeded),
		errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return fmt.Errorf("TLS: %w", err)
	}
	return &TLSError{why(err), err}
}

// The errors of crypto/tls that have words only: they are tested against it.
const (
	versionsWords = "client offered only unsupported versions: "
	ciphersWords  = "no cipher suite supported by both client and server"
	nobodyWords   = "client didn't provide a certificate"
)

// why is err, of a handshake with a client, in the words of who configures both.
func why(err error) string {
	var plain tls.RecordHeaderError
	var certificate *tls.CertificateVerificationError
	var op *net.OpError
	text := strings.TrimPrefix(err.Error(), "tls: ")
	versions, tooOld := strings.CutPrefix(text, versionsWords)
	switch {
	case tooOld:
		return "client knows nothing newer than " + newest(versions) + ", which min_tls of the listener does not allow"
	case strings.HasPrefix(text, ciphersWords):
		return "client and listener have no cipher suite in common; " +
			"a client that is very old may need min_tls below 1.2, or a certificate with an RSA key"
	case text == nobodyWords:
		return "client shows no certificate, which client_ca_file of the listener demands"
	case errors.As(err, &certificate):
		return "client's certificate is not one that client_ca_file of the listener allows: " + certificate.Err.Error()
	case errors.As(err, &plain) && plain.Conn != nil:
		return "client speaks in plain text where TLS begins: set its encryption to SSL/TLS"
	case errors.As(err, &op) && op.Op == "local error" && op.Err.Error() == badRecord.Error(): // their types differ
		return "client broke off unreadably, as OpenSSL does where it does not trust the certificate of the listener, " +
			"or its name: have it trust that certificate, or the authority that signed it, and connect by a name that is in it"
	case errors.As(err, &op) && op.Op == "remote error":
		return refusal(op.Err)
	case errors.As(err, &op) && op.Op != "local error", errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "client hung up; it may not trust the certificate of the listener"
	}
	return text
}

// newest is the name of the newest of versions, which are in hexadecimal, in
// brackets.
func newest(versions string) string {
	name := "SSL 3.0" // which has no number there
	last := uint64(0)
	for _, digits := range strings.Fields(strings.Trim(versions, "[]")) {
		// There may be some that no TLS will ever have (RFC 8701).
		if v, err := strconv.ParseUint(digits, 16, 16); err == nil && v > last && v <= tls.VersionTLS13 {
			name, last = tls.VersionName(uint16(v)), v
		}
	}
	return name
}

// The alerts by which a client says that it does not like our certificate
// (RFC 8446 section 6.2): bad, unsupported, revoked, expired, unknown, and of an
// authority that is unknown.
var distrust = []tls.AlertError{42, 43, 44, 45, 46, 48}

// badRecord is how we take the alert of OpenSSL's clients under TLS 1.3, which
// comes in the clear where it has to be encrypted.
const badRecord = tls.AlertError(20)

// refusal is the alert by which a client ends a handshake, in words.
func refusal(alert error) string {
	text := strings.TrimPrefix(alert.Error(), "tls: ")
	for _, d := range distrust {
		if alert.Error() == d.Error() { // their types differ
			return "client does not trust the certificate of the listener (" + text +
				"): have it trust that, or the authority that signed it"
		}
	}
	return "client ends it: " + text
}
