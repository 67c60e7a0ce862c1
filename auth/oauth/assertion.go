package oauth

import (
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/xoauthd/xoauthd/internal/text"
)

// A ClientAssertion authenticates the client instead of a secret (RFC 7523 section 2.2).
type ClientAssertion interface {
	// assertion returns a JWT for one request to the token endpoint. Its errors
	// are of type *Error.
	assertion(clientID, tokenURL string) (string, error)
}

const clientAssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

const (
	// assertionLife is the lifetime of an assertion, which is made for one request. It
	// tolerates different clocks.
	assertionLife = 5 * time.Minute

	// backdated is subtracted from the time of issue: a server with a slow clock refuses an
	// assertion from the future.
	backdated = time.Minute
)

// claims are the claims of an assertion (RFC 7523 section 3).
func claims(issuer, subject, audience string) jwt.Claims {
	now := time.Now()
	begin := jwt.NewNumericDate(now.Add(-backdated))
	return jwt.Claims{
		Issuer:    issuer,
		Subject:   subject,
		Audience:  jwt.Audience{audience},
		ID:        rand.Text(),
		IssuedAt:  begin,
		NotBefore: begin,
		Expiry:    jwt.NewNumericDate(now.Add(assertionLife - backdated)),
	}
}

// A certificateAssertion is signed with the key of a certificate that is registered at the
// provider.
type certificateAssertion struct {
	signer   jose.Signer
	audience string
}

// NewCertificateAssertion returns assertions that are signed with the RSA key of
// cert (private_key_jwt of OpenID Connect), by the algorithm RS256 or PS256. The
// server finds the certificate by its x5t#S256 (RFC 7515 section 4.1.8). The
// audience is the provider's token endpoint, unless it wants another.
func NewCertificateAssertion(cert *tls.Certificate, algorithm, audience string) (ClientAssertion, error) {
	if algorithm != string(jose.RS256) && algorithm != string(jose.PS256) {
		return nil, fmt.Errorf("algorithm %q: must be RS256 or PS256", algorithm)
	}
	if len(cert.Certificate) == 0 {
		return nil, errors.New("certificate: there is none, but only a key")
	}
	key, ok := cert.PrivateKey.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("certificate: its key is not RSA, which client assertions are signed with: make one whose key is")
	}
	thumbprint := sha256.Sum256(cert.Certificate[0])
	options := new(jose.SignerOptions).WithType("JWT").
		WithHeader("x5t#S256", base64.RawURLEncoding.EncodeToString(thumbprint[:]))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(algorithm), Key: key}, options)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return certificateAssertion{signer, audience}, nil
}

func (a certificateAssertion) assertion(clientID, tokenURL string) (string, error) {
	signed, err := jwt.Signed(a.signer).Claims(claims(clientID, clientID, cmp.Or(a.audience, tokenURL))).Serialize()
	if err != nil {
		return "", &Error{Kind: Misconfigured, Err: fmt.Errorf("certificate: signing the client assertion: %w", err)}
	}
	return signed, nil
}

// A FederatedToken is the path of a file with an assertion of the platform, such as
// Kubernetes, which renews it before it expires.
type FederatedToken string

func (path FederatedToken) assertion(string, string) (string, error) {
	token, err := path.read()
	if err != nil {
		return "", &Error{Kind: Misconfigured, Err: fmt.Errorf("federated token: %w", err)}
	}
	return token, nil
}

// read reads the file for each request: its content expires.
func (path FederatedToken) read() (string, error) {
	f, err := os.OpenFile(string(path), os.O_RDONLY|syscall.O_NONBLOCK, 0) // do not wait for a pipe
	if err != nil {
		return "", fmt.Errorf("%w: have the token written there, for xoauthd to read", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err != nil {
		return "", err
	}
	plain, err := text.FromFile(string(data))
	if err != nil {
		return "", fmt.Errorf("%s: the file %w", path, err)
	}
	token := strings.TrimSpace(plain)
	if len(data) > maxToken || !isBearer(token) {
		return "", fmt.Errorf("%s: not a token: have the token written there, and nothing else", path)
	}
	return token, nil
}
