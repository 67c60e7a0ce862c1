package sasl

import (
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"
)

// A tokenServer is the server side of XOAUTH2 or OAUTHBEARER. It parses the message
// of the client; only the upstream can check the token.
type tokenServer struct {
	parse func(message string) (user, token string, err error)
	c     *Credentials
	asked bool
}

// messageParsers are the parsers of the client message, by mechanism.
var messageParsers = map[string]func(message string) (user, token string, err error){
	XOAUTH2:     parseXOAUTH2,
	OAUTHBEARER: parseOAUTHBEARER,
}

func (s *tokenServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if response == nil && !s.asked {
		s.asked = true
		return nil, false, nil
	}
	user, token, err := s.parse(string(response))
	switch {
	case err != nil:
		return nil, false, err
	case user == "":
		return nil, false, errors.New("user name is missing")
	case !utf8.ValidString(user) || strings.ContainsFunc(user, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return nil, false, errors.New("user name contains control characters or is not UTF-8")
	case token == "":
		return nil, false, errors.New("access token is missing")
	}
	*s.c = Credentials{User: user, Token: token}
	return nil, true, nil
}

var errMalformedMessage = errors.New("malformed message: expected fields that each end in ^A, and a final ^A")

// parseXOAUTH2 parses the message that Google documents: two fields in a fixed
// order.
func parseXOAUTH2(message string) (user, token string, err error) {
	fields, ok := strings.CutSuffix(message, "\x01\x01")
	name, auth, two := strings.Cut(fields, "\x01")
	user, named := strings.CutPrefix(name, "user=")
	token, authed := strings.CutPrefix(auth, "auth=")
	if !ok || !two || !named || !authed {
		return "", "", errMalformedMessage
	}
	token, err = bearerToken(token)
	return user, token, err
}

// parseOAUTHBEARER parses the message of RFC 7628 section 3.1. It ignores all fields
// except auth.
func parseOAUTHBEARER(message string) (user, token string, err error) {
	header, fields, ok := strings.Cut(message, "\x01")
	fields, ended := strings.CutSuffix(fields, "\x01\x01")
	if !ok || !ended {
		return "", "", errMalformedMessage
	}
	if user, err = gs2User(header); err != nil {
		return "", "", err
	}
	for field := range strings.SplitSeq(fields, "\x01") {
		key, value, ok := strings.Cut(field, "=")
		switch {
		case !ok || key == "":
			return "", "", errMalformedMessage
		case key == "auth" && token != "":
			return "", "", errors.New("more than one access token")
		case key == "auth":
			if token, err = bearerToken(value); err != nil {
				return "", "", err
			}
		}
	}
	return user, token, nil
}

// gs2User returns the authorization identity of a GS2 header such as
// "n,a=joe@example.com," (RFC 5801 section 4). Channel binding is an error: the
// mechanism has none (RFC 7628 section 3).
func gs2User(header string) (string, error) {
	parts := gs2Header.FindStringSubmatch(header)
	if parts == nil {
		return "", errors.New(`expected the header "n,a=USER," with =2C and =3D for , and = in USER`)
	}
	return saslNameUnescaper.Replace(parts[1]), nil
}

var (
	gs2Header         = regexp.MustCompile(`^[ny],(?:a=((?:[^=,]|=2C|=3D)*))?,$`)
	saslNameUnescaper = strings.NewReplacer("=2C", ",", "=3D", "=")
)

// bearerToken returns the token of an authorization value "Bearer TOKEN" (RFC 6750
// section 2.1).
func bearerToken(authorization string) (string, error) {
	scheme, token, _ := strings.Cut(authorization, " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		return "", errors.New(`expected the authorization "Bearer TOKEN"`)
	case len(token) > maxToken || !bearerForm.MatchString(token):
		return "", errors.New("access token does not have the form of RFC 6750")
	}
	return token, nil
}
