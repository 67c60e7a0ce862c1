package oauth

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// jwtOf is a JWT of those claims, signed by nobody.
func jwtOf(claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"RS256"}`)) + "." + encode([]byte(claims)) + ".c2ln"
}

func TestReadPrinted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		soon := jwtOf(fmt.Sprintf(`{"exp":%d}`, now.Unix()+600))
		for _, tt := range []struct {
			name, text, token string
			life              time.Duration // token is empty if 0
		}{
			{"a line", "ya29.token-1\n", "ya29.token-1", time.Minute},
			{"a line without its end", "token1", "token1", time.Minute},
			{"a line of Windows", "token1\r\n", "token1", time.Minute},
			{"a line with a byte order mark", "\ufefftoken1\r\n", "token1", time.Minute},
			{"JSON with a byte order mark", "\ufeff" + `{"token":"token"}`, "token", time.Minute},
			{"a line in quotes", "\"token1\"\n", "token1", time.Minute},
			{"a line after a remark", "refreshed it for you\ntoken1==\n", "token1==", time.Minute},
			{"two lines", "first1\nsecond2\n", "first1", time.Minute},
			{"a JWT", soon + "\n", soon, 10 * time.Minute},
			{"a JWT that has ended", jwtOf(`{"exp":1}`), jwtOf(`{"exp":1}`), now.Sub(time.Unix(1, 0)) * -1},
			{"a JWT that does not tell", jwtOf(`{"sub":"joe"}`), jwtOf(`{"sub":"joe"}`), time.Minute},
			{"a JWT of no use", jwtOf(`{"exp":"later"}`), jwtOf(`{"exp":"later"}`), time.Minute},
			{"of RFC 6749", `{"access_token":"token","token_type":"Bearer","expires_in":1800}`, "token", 30 * time.Minute},
			{"of az", fmt.Sprintf(`{"accessToken":"token","expiresOn":"2000-01-01 00:30:00.000000","expires_on":%d}`, now.Unix()+90), "token", 90 * time.Second},
			{"of az before it had expires_on", `{"accessToken":"` + soon + `","expiresOn":"2000-01-01 00:30:00.000000"}`, soon, 10 * time.Minute},
			{"of azd", `{"token":"token","expiresOn":"` + now.Add(time.Hour).Format(time.RFC3339) + `"}`, "token", time.Hour},
			{"of Go", `{"access_token":"token","expiry":"` + now.Add(time.Hour).Format(time.RFC3339Nano) + `"}`, "token", time.Hour},
			{"on several lines", "{\n  \"token\": \"token\"\n}\n", "token", time.Minute},
			{"a lifetime in quotes", `{"access_token":"token","expires_in":"1800"}`, "token", 30 * time.Minute},
			{"a lifetime without end", `{"access_token":"token","expires_in":1e300}`, "token", time.Minute},
			{"a lifetime of no use", `{"access_token":"token","expires_in":"NaN","expires_on":[],"expiry":7}`, "token", time.Minute},
			{"a lifetime beyond that of the JWT", `{"access_token":"` + soon + `","expires_in":3600}`, soon, 10 * time.Minute},
			{"a JWT beyond its lifetime", `{"access_token":"` + soon + `","expires_in":60}`, soon, time.Minute},
			{"nothing", "", "", 0},
			{"only lines of text", "please log in\nat the page\n", "", 0},
			{"a word of a fault", "ERROR\n", "", 0},
			{"what jq makes of an error", "null\n", "", 0},
			{"an error in JSON", `{"error":"login_required"}`, "", 0},
			{"JSON with a token of no use", `{"access_token":"a b"}`, "", 0},
			{"JSON with a token of another type", `{"access_token":7}`, "", 0},
			{"JSON cut short", `{"access_token":"token"`, "", 0},
			{"a token longer than 16 KiB", strings.Repeat("a", maxToken+1), "", 0},
		} {
			token, err := readPrinted(tt.text)
			if _, err := readPrinted("\xff\xfet\x00"); err == nil || !strings.Contains(err.Error(), "UTF-16") {
				t.Errorf("UTF-16: %v", err)
			}
			if tt.token == "" {
				if err == nil || err.Error() != "has printed no token" {
					t.Errorf("%s: %+v, %v", tt.name, token, err)
				}
				continue
			}
			life, ok := token.number("expires_in")
			if err != nil || token.text("access_token") != tt.token || !ok || life != tt.life.Seconds() {
				t.Errorf("%s: %+v, %v, want a life of %v", tt.name, token, err, tt.life)
			}
		}
	})
}
