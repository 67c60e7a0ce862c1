package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/auth/authorize"
	"github.com/xoauthd/xoauthd/internal/api"
	"github.com/xoauthd/xoauthd/internal/step"
)

// An apiExample is a request in docs/api.md, with the response there.
type apiExample struct {
	endpoint string // heading
	method   string
	path     string
	body     string
	response []string // lines
}

// apiExamples returns the examples below headings of endpoints, in their order.
func apiExamples(t *testing.T) (all []apiExample) {
	t.Helper()
	_, text, _ := strings.Cut(read(t, "docs/api.md"), "\n## Endpoints\n")
	command := regexp.MustCompile(`^# curl -sN? --unix-socket /var/lib/xoauthd/control (?:-X (POST) |-d '([^']*)' )?http://xoauthd(/\S+)$`)
	for _, section := range strings.Split(text, "\n### ")[1:] {
		endpoint, rest, _ := strings.Cut(section, "\n")
		_, block, found := strings.Cut(rest, "```console\n")
		block, _, _ = strings.Cut(block, "```")
		lines := strings.Split(strings.TrimSpace(block), "\n")
		m := command.FindStringSubmatch(lines[0])
		if !found || m == nil {
			t.Fatalf("%s has no example: %q", endpoint, lines[0])
		}
		e := apiExample{endpoint, http.MethodGet, m[3], m[2], lines[1:]}
		if m[1] != "" || m[2] != "" {
			e.method = http.MethodPost
		}
		all = append(all, e)
	}
	return all
}

// unixClient returns a client of the socket of a place.
func (p *place) unixClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", api.SocketPath(p.state))
	}}}
}

// shape decodes a line as the response of an endpoint, without unknown members. It returns
// the names of its members and, for a stream, of the event's.
func shape(t *testing.T, endpoint, line string) []string {
	t.Helper()
	response := map[string]any{
		"GET /v1/status":                     new(api.Status),
		"GET /v1/accounts":                   new(api.Accounts),
		"GET /v1/accounts/{account}":         new(api.Account),
		"POST /v1/accounts/{account}/revoke": new(api.Revocation),
	}[endpoint]
	if response == nil {
		response = new(api.Event)
	}
	d := json.NewDecoder(strings.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(response); err != nil {
		t.Fatalf("%s: %v in %s", endpoint, err, line)
	}
	var members map[string]json.RawMessage
	must(t, json.Unmarshal([]byte(line), &members))
	var names []string
	for name, value := range members {
		names = append(names, name)
		var inner map[string]json.RawMessage
		if json.Unmarshal(value, &inner) == nil && name != "step" { // a step has what it has
			for n := range inner {
				names = append(names, name+"."+n)
			}
		}
	}
	slices.Sort(names)
	return names
}

// TestAPIDocumented sends the requests in docs/api.md to a daemon, and compares the members
// of the responses.
func TestAPIDocumented(t *testing.T) {
	p := newPlace(t)
	p.serve(t)
	client := p.unixClient()
	defer client.CloseIdleConnections()
	examples := apiExamples(t)
	var documented []string
	var answer apiExample
	for _, e := range examples {
		documented = append(documented, e.endpoint)
		if strings.HasPrefix(e.path, "/v1/answers/") {
			answer = e
		}
	}
	slices.Sort(documented)
	if endpoints := slices.Sorted(slices.Values(api.Endpoints())); !slices.Equal(documented, endpoints) {
		t.Errorf("docs/api.md has %q, the API %q", documented, endpoints)
	}
	send := func(e apiExample) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), e.method, "http://xoauthd"+e.path, strings.NewReader(e.body))
		must(t, err)
		response, err := client.Do(r)
		must(t, err)
		if response.StatusCode >= 300 {
			text, _ := io.ReadAll(response.Body)
			t.Fatalf("%s: %s %s", e.endpoint, response.Status, text)
		}
		return response
	}
	for _, e := range examples {
		if e.path == answer.path {
			continue // sent with the path of a question
		}
		e.body = strings.Replace(e.body, "REFRESH-TOKEN", p.issue(t, alice), 1)
		response := send(e)
		var got [][]string
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			line := lines.Text()
			got = append(got, shape(t, e.endpoint, line))
			var event api.Event
			if json.Unmarshal([]byte(line), &event); event.Answer != "" {
				address, err := json.Marshal(p.consent(t, event.Consent.URL, alice, "allow"))
				must(t, err)
				a := answer
				a.path, a.body = event.Answer, regexp.MustCompile(`"http[^"]*"`).ReplaceAllLiteralString(answer.body, string(address))
				if r := send(a); r.StatusCode != http.StatusNoContent {
					t.Errorf("the answer: %s", r.Status)
				}
			}
		}
		response.Body.Close()
		var want [][]string
		for _, line := range e.response {
			want = append(want, shape(t, e.endpoint, line))
		}
		if len(got) < len(want) || !reflect.DeepEqual(got[:len(want)], want) {
			t.Errorf("%s: %q, documented is %q", e.endpoint, got, want)
		}
	}
}

// TestAPIMembersDocumented: docs/api.md or the manual names each member of the responses.
func TestAPIMembersDocumented(t *testing.T) {
	text := read(t, "docs/api.md") + strings.ReplaceAll(read(t, "man/xoauthd.8"), ".It Li ", "")
	n := 0
	named := func(typ reflect.Type) {
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if name == "" || name == "-" {
				continue
			}
			n++
			if !regexp.MustCompile("[`\"]" + name + "[`\"]|(?m)^(\\w+ , )*" + name + "( |$)").MatchString(text) {
				t.Errorf("%s.%s, %q, is not documented", typ, typ.Field(i).Name, name)
			}
		}
	}
	for _, v := range []any{api.Status{}, api.Accounts{}, api.Account{}, api.CheckRequest{}, api.ImportRequest{}, api.RevokeRequest{}, api.Revocation{}, api.Event{},
		api.Consent{}, api.DeviceCode{}, api.Answer{}, api.Error{}, auth.Status{}, auth.Problem{}, step.Step{}, authorize.Result{}} {
		named(reflect.TypeOf(v))
	}
	if n < 60 {
		t.Errorf("only %d members", n)
	}
}

// TestCurl: the API answers curl, as the first example in docs/api.md says.
func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		if os.Getenv("XOAUTHD_E2E") == "required" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	p := newPlace(t)
	p.serve(t)
	out, err := exec.CommandContext(t.Context(), curl, "-s", "--unix-socket", api.SocketPath(p.state), "http://xoauthd/v1/status").Output()
	if err != nil || !bytes.HasPrefix(out, []byte(`{"version":"`)) {
		t.Errorf("%s, %v", out, err)
	}
	out, err = exec.CommandContext(t.Context(), curl, "-s", "-w", " %{http_code} %{content_type}", "--unix-socket", api.SocketPath(p.state), "-d", `{"lokal":true}`, "http://xoauthd/v1/accounts/"+alice+"/revoke").Output()
	if err != nil || !strings.Contains(string(out), `unknown field`) || !strings.HasSuffix(string(out), " 400 application/json") {
		t.Errorf("%s, %v", out, err)
	}
}
