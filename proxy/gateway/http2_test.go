package gateway

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/internal/testing/graph"
)

// TestHTTP2: Graph and Gmail speak HTTP/2, where a broken request is a reset stream.
func TestHTTP2(t *testing.T) {
	fake := &graph.Server{}
	fake.Allow(firstToken, mailboxName)
	step := "deliver"
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("protocol: %s", r.Proto)
		}
		switch step {
		case "deliver":
			fake.ServeHTTP(w, r)
		case "reset after the body":
			io.Copy(io.Discard, r.Body)
			panic(http.ErrAbortHandler)
		case "reset within the body":
			io.CopyN(io.Discard, r.Body, 1000)
			panic(http.ErrAbortHandler)
		}
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	f := newFixture(t, &Graph{BaseURL: server.URL + "/v1.0", Transport: server.Client().Transport})
	large := message + strings.Repeat("0123456789abcdef\r\n", 150000)
	for _, test := range []struct {
		step, content, want string
		kind                Kind
	}{
		{"deliver", message, "250 2.0.0 ", Accepted},
		{"deliver", large, "250 2.0.0 ", Accepted},
		{"reset after the body", message, "451 4.4.2 ", MaybeSent},
		{"reset after the body", large, "451 4.4.2 ", MaybeSent},
		{"reset within the body", large, "451 4.4.1 ", Unavailable},
		{"deliver", large, "250 2.0.0 ", Accepted},
	} {
		step = test.step
		if got := f.connect(t, nil).login().transmit(test.content, "ann@example.net"); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: %q, want %q", test.step, got, test.want)
		}
		if r := f.last(t); r.Result.Kind != test.kind {
			t.Errorf("%s: %+v", test.step, r)
		}
	}
	if got := fake.Messages(); len(got) != 3 || string(got[2].Raw) != large {
		t.Errorf("messages: %d", len(got))
	}
}
