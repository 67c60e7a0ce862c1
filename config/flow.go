package config

import (
	"cmp"
	"maps"
	"slices"

	"github.com/xoauthd/xoauthd/internal/text"
)

// A flow is a way to get access tokens, or to do without them. Its fields say
// which keys it needs and which mean something to it. A key that no flow names
// means something to all of them.
type flow struct {
	name         string
	needs        [][]string        // keys of the provider; where there are several, one of them
	accountNeeds [][]string        // and of its accounts
	takes        []string          // keys of either that it can do without
	remedies     map[string]string // where one gets what it needs, if not where others do

	consent  bool // a person must consent, for each account
	patterns bool // what it needs is no mailbox's own, so that it serves any
}

// How a client shows that it is the one of its client_id (RFC 6749 section 2.3).
var proofs = append(variants("client_secret"), "client_certificate", "client_assertion_file")

// registration are the keys of a client that is registered at the provider.
var registration = append([]string{
	"tenant", "auth_style", "client_secret_expires",
	"client_key_file", "client_key_credential", "client_certificate_algorithm",
}, proofs...)

var flows = []flow{
	{
		name:    "authorization_code",
		needs:   [][]string{{"client_id"}, {"authorization_url"}, {"token_url"}, {"scopes"}},
		takes:   append([]string{"authorization_params", "redirect_url", "issuer", "require_iss", "revocation_url", "revocation", "login_hint"}, registration...),
		consent: true,
	}, {
		name:    "device_code",
		needs:   [][]string{{"client_id"}, {"device_authorization_url"}, {"token_url"}, {"scopes"}},
		takes:   append([]string{"revocation_url", "revocation", "login_hint"}, registration...),
		consent: true,
	}, {
		name:     "client_credentials",
		needs:    [][]string{{"client_id"}, {"token_url"}, {"scopes"}, proofs},
		takes:    registration,
		patterns: true,
	}, {
		name:     "service_account",
		needs:    [][]string{{"service_account_file", "service_account_credential"}, {"scopes"}},
		takes:    []string{"token_url"},
		patterns: true,
	}, {
		name:         "password",
		needs:        [][]string{{"client_id"}, {"token_url"}},
		accountNeeds: [][]string{variants("upstream_password")},
		takes:        append([]string{"scopes"}, registration...),
		remedies:     map[string]string{"upstream_password": "it is the person's own at the provider, and is better kept in an upstream_password_file"},
	}, {
		name:     "command",
		needs:    [][]string{{"token_command"}},
		takes:    []string{"token_command_timeout"},
		patterns: true,
	}, {
		name:         "app_password",
		accountNeeds: [][]string{variants("upstream_password")},
	},
}

// byPreset are the keys that a preset makes up for.
var byPreset = []string{"authorization_url", "device_authorization_url", "token_url", "scopes"}

// remedies say where one gets what a flow needs.
var remedies = map[string]string{
	"client_id":            "the provider gives one when xoauthd is registered there as an application",
	"client_secret":        "give one, or a client_certificate, or a client_assertion_file",
	"service_account_file": "name the JSON file that Google's console makes for a key of the service account",
	"token_command":        `write for example token_command = ["/usr/bin/oama", "access", "{account}"]`,
	"upstream_password":    "make one at the provider; it is better kept in an upstream_password_file",
}

// flowNamed returns the flow of that name, or nil.
func flowNamed(name string) *flow {
	i := slices.IndexFunc(flows, func(f flow) bool { return f.name == name })
	if i < 0 {
		return nil
	}
	return &flows[i]
}

// opensAny reports whether the provider's tokens open more mailboxes than that of
// the account they are for, whatever rights a person has. A command that is told
// the mailbox prints tokens for that one.
func (p *Provider) opensAny() bool {
	f := flowNamed(p.Flow)
	return f != nil && f.patterns && !namesMailbox(p.TokenCommand)
}

// flowNames returns the names of the flows for which is holds.
func flowNames(is func(*flow) bool) []string {
	var names []string
	for i := range flows {
		if is(&flows[i]) {
			names = append(names, flows[i].name)
		}
	}
	return names
}

// uses reports whether key means something to f.
func (f *flow) uses(key string) bool {
	of := func(keys []string) bool { return slices.Contains(keys, key) }
	return of(f.takes) || slices.ContainsFunc(f.needs, of) || slices.ContainsFunc(f.accountNeeds, of)
}

// flow reads the provider's flow. It is nil if it is not known which is meant:
// what could be told of the other keys then would be noise.
func (t *table) flow(preset string) *flow {
	usual := "authorization_code"
	if preset == "icloud" {
		usual = "app_password"
	}
	name, ok := value[string](t, "flow")
	if !ok && t.has("flow") {
		return nil
	}
	f := flowNamed(cmp.Or(name, usual))
	if f == nil || ok && name == "" {
		t.unknownFlow(name)
		return nil
	}
	if why := misfit(preset, f.name); why != "" {
		t.fault("flow", "%q does not go with the preset %q: %s", f.name, preset, why)
		return nil
	}
	if f.name == "password" {
		t.file.warn(t.line("flow"), `flow: "password" is legacy, and current practice forbids it (RFC 9700 section 2.4): use another as soon as the provider has one`)
	}
	return f
}

func (t *table) unknownFlow(name string) {
	names := flowNames(func(*flow) bool { return true })
	if near := text.Nearest(name, names); near != "" {
		t.fault("flow", "there is no flow %q; did you mean %q?", name, near)
		return
	}
	t.fault("flow", "%q is not one of %s", name, enumerate(names))
}

// refuse tells of the keys that mean nothing with a flow, and takes them away:
// nothing else is worth telling of them. If not of the table itself, it is said
// whose flow it is.
func (t *table) refuse(f *flow, whose string) (any bool) {
	for _, key := range slices.Sorted(maps.Keys(t.values)) {
		if f.uses(key) {
			continue
		}
		if others := flowNames(func(o *flow) bool { return o.uses(key) }); len(others) > 0 {
			t.fault(key, "means nothing with the flow %q%s; it belongs to %s", f.name, whose, enumerate(others))
			t.asked = append(t.asked, key)
			delete(t.values, key)
			any = true
		}
	}
	return any
}

// complete tells of the keys that a flow needs and the table has not.
func (t *table) complete(f *flow, needs [][]string, whose string) {
	for _, keys := range needs {
		preset := t.has("preset") && slices.Contains(byPreset, keys[0])
		if preset || len(t.given(keys...)) > 0 {
			continue
		}
		remedy := cmp.Or(f.remedies[keys[0]], remedies[keys[0]], "without a preset it must be given")
		t.file.fault(t.place.at(), "%s has no %s, which the flow %q%s needs: %s", t.header(), keys[0], f.name, whose, remedy)
	}
}
