package oauth

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/xoauthd/xoauthd/internal/text"
)

// unknownLife is the assumed lifetime of a printed token without an expiry. A program caches
// its tokens and may print one that expires soon; running it again is cheap.
const unknownLife = time.Minute

// readPrinted returns the token in the output of a command: in a JSON object, or the first
// line that can be a token. A word of a message, such as "ERROR" or the "null" of jq, has no
// digit; a token without a digit is unlikely.
func readPrinted(output string) (answer, error) {
	output, err := text.FromFile(output)
	if err != nil {
		return nil, errors.New("has printed UTF-16 text: have it print UTF-8")
	}
	token, end := readPrintedJSON(output)
	for line := range strings.Lines(output) {
		line = strings.Trim(line, " \t\r\n\"") // az prints a single value in quotes
		if token == "" && isBearer(line) && strings.ContainsAny(line, "0123456789") {
			token = line
		}
	}
	if !isBearer(token) || len(token) > maxToken {
		return nil, errors.New("has printed no token")
	}
	if exp := expOf(token); end.IsZero() || !exp.IsZero() && exp.Before(end) {
		end = exp
	}
	if end.IsZero() {
		end = time.Now().Add(unknownLife)
	}
	return answer{"access_token": token, "expires_in": json.Number(strconv.Itoa(int(time.Until(end).Round(time.Second).Seconds())))}, nil
}

// readPrintedJSON returns nil if text is no object. Its fields are those of RFC 6749 section
// 5.1, or variants of programs.
func readPrintedJSON(text string) (token string, end time.Time) {
	fields := parseObject([]byte(text))
	if fields == nil {
		return "", time.Time{}
	}
	token = cmp.Or(fields.text("access_token"), fields.text("accessToken"), fields.text("token"))
	if life, ok := fields.number("expires_in"); ok && life > 0 && life < 1<<40 {
		return token, time.Now().Add(time.Duration(min(life, maxLife.Seconds())) * time.Second)
	}
	if since1970, ok := fields.number("expires_on"); ok && since1970 > 0 && since1970 < 1<<40 {
		return token, time.Unix(int64(since1970), 0)
	}
	for _, name := range []string{"expiry", "expiresOn"} { // expiresOn may be local time, which is ambiguous
		if t, err := time.Parse(time.RFC3339, fields.text(name)); err == nil {
			return token, t
		}
	}
	return token, time.Time{}
}

// expOf returns the expiry of token if it is a JWT with exp. It need not be verified: the
// program that prints the token could print anything.
func expOf(token string) time.Time {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	var claims jwt.Claims
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return time.Time{}
	}
	return claims.Expiry.Time()
}
