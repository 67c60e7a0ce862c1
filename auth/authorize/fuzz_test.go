package authorize

import "testing"

// FuzzAnswerIn: whatever is pasted, what is followed has a state, and a code or
// an error; and of anything else nothing is repeated.
func FuzzAnswerIn(f *testing.F) {
	for _, seed := range []string{
		"http://localhost:1180/callback?code=c0de&state=5tate", "code=c0de&state=5tate", "?error=access_denied&state=5tate",
		"<http://localhost/\n callback?code=c0de&\nstate=5tate>", "http://localhost/callback#code=c0de&state=5tate", "%zz", "state=", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, pasted string) {
		q, err := answerIn(pasted)
		switch {
		case err == nil && (q.Get("state") == "" || q.Get("code") == "" && q.Get("error") == ""):
			t.Errorf("answer %v", q)
		case err != nil && err.Error() != "this is not an address that the provider sends the browser to: that one has state= and code= in it":
			t.Errorf("error %q", err)
		}
	})
}
