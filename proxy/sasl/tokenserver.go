package sasl

import (
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"
)

// tokenServer is the server's end of XOAUTH2 or OAUTHBEARER, as far as the
// client's message. Whether the token is good is for the upstream to say.
type tokenServer struct {
	parse func(message string) (user, token string, err error)
	c     *Credentials
	asked bool
}

// messages parses what a client says in each of the mechanisms.
var messages = map[string]func(message string) (user, token string, err error){
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
		return nil, false, errors.New("there is no user name in it")
	case !utf8.ValidString(user) || strings.ContainsFunc(user, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return nil, false, errors.New("user name holds control characters, or is not UTF-8")
	case token == "":
		return nil, false, errors.New("there is no access token in it")
	}
	*s.c = Credentials{User: user, Token: token}
	return nil, true, nil
}

var errMessage = errors.New("not what the mechanism says: fields, each with a ^A behind it, and another ^A")

// parseXOAUTH2 parses what Google describes: two fields in their order.
func parseXOAUTH2(message string) (user, token string, err error) {
	fields, ok := strings.CutSuffix(message, "\x01\x01")
	name, auth, two := strings.Cut(fields, "\x01")
	user, named := strings.CutPrefix(name, "user=")
	token, authed := strings.CutPrefix(auth, "auth=")
	if !ok || !two || !named || !authed {
		return "", "", errMessage
	}
	token, err = bearerToken(token)
	return user, token, err
}

// parseOAUTHBEARER parses the message of RFC 7628 section 3.1. Of its fields only
// that with the token matters: where the client thinks it is, is another matter.
func parseOAUTHBEARER(message string) (user, token string, err error) {
	header, fields, ok := strings.Cut(message, "\x01")
	fields, ended := strings.CutSuffix(fields, "\x01\x01")
	if !ok || !ended {
		return "", "", errMessage
	}
	if user, err = gs2User(header); err != nil {
		return "", "", err
	}
	for field := range strings.SplitSeq(fields, "\x01") {
		key, value, ok := strings.Cut(field, "=")
		switch {
		case !ok || key == "":
			return "", "", errMessage
		case key == "auth" && token != "":
			return "", "", errors.New("there are two tokens in it")
		case key == "auth":
			if token, err = bearerToken(value); err != nil {
				return "", "", err
			}
		}
	}
	return user, token, nil
}

// gs2User returns the authorization identity of a header of RFC 5801 section 4:
// "n,a=joe@example.com,". The mechanism has no channel binding (RFC 7628 section
// 3), so a client cannot want it.
func gs2User(header string) (string, error) {
	parts := gs2.FindStringSubmatch(header)
	if parts == nil {
		return "", errors.New("header is not n,a=user, with =2C and =3D for , and = in the user")
	}
	return gs2name.Replace(parts[1]), nil
}

var (
	gs2     = regexp.MustCompile(`^[ny],(?:a=((?:[^=,]|=2C|=3D)*))?,$`)
	gs2name = strings.NewReplacer("=2C", ",", "=3D", "=")
)

// bearerToken returns the token of an authorization by one (RFC 6750 section 2.1).
func bearerToken(authorization string) (string, error) {
	scheme, token, _ := strings.Cut(authorization, " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		return "", errors.New("authorization is not by a bearer token")
	case len(token) > maxToken || !bearer.MatchString(token):
		return "", errors.New("access token is not of the form of RFC 6750")
	}
	return token, nil
}
