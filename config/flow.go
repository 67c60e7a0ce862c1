package config

import (
	"cmp"
	"maps"
	"slices"

	"github.com/xoauthd/xoauthd/internal/flow"
	"github.com/xoauthd/xoauthd/internal/text"
)

// flowKeys lists the keys that a flow uses. Every flow uses the keys that no flow lists.
type flowKeys struct {
	flow            flow.Flow
	required        [][]string        // required keys of the provider; one of each group
	accountRequired [][]string        // required keys of its accounts; one of each group
	optional        []string          // optional keys of the provider and its accounts
	hints           map[string]string // how to obtain a required key, if not as in keyHints

	allowsPatterns bool // it can obtain credentials for any mailbox, so patterns may use it
}

// clientAuthKeys are the keys that authenticate a client (RFC 6749 section 2.3).
var clientAuthKeys = append(secretKeys("client_secret"), "client_certificate", "client_assertion_file")

// clientKeys are the keys of a client registered with a provider, besides client_id.
var clientKeys = append([]string{
	"tenant", "auth_style", "client_secret_expires",
	"client_key_file", "client_key_credential", "client_certificate_algorithm",
}, clientAuthKeys...)

var flows = []flowKeys{
	{
		flow:     flow.AuthorizationCode,
		required: [][]string{{"client_id"}, {"authorization_url"}, {"token_url"}, {"scopes"}},
		optional: append([]string{"authorization_params", "redirect_url", "issuer", "require_iss", "revocation_url", "revocation", "login_hint"}, clientKeys...),
	}, {
		flow:     flow.DeviceCode,
		required: [][]string{{"client_id"}, {"device_authorization_url"}, {"token_url"}, {"scopes"}},
		optional: append([]string{"revocation_url", "revocation", "login_hint"}, clientKeys...),
	}, {
		flow:           flow.ClientCredentials,
		required:       [][]string{{"client_id"}, {"token_url"}, {"scopes"}, clientAuthKeys},
		optional:       clientKeys,
		allowsPatterns: true,
	}, {
		flow:           flow.ServiceAccount,
		required:       [][]string{{"service_account_file", "service_account_credential"}, {"scopes"}},
		optional:       []string{"token_url"},
		allowsPatterns: true,
	}, {
		flow:            flow.Password,
		required:        [][]string{{"client_id"}, {"token_url"}},
		accountRequired: [][]string{secretKeys("upstream_password")},
		optional:        append([]string{"scopes"}, clientKeys...),
		hints:           map[string]string{"upstream_password": "it is the user's password at the provider; prefer upstream_password_file"},
	}, {
		flow:           flow.Command,
		required:       [][]string{{"token_command"}},
		optional:       []string{"token_command_timeout"},
		allowsPatterns: true,
	}, {
		flow:            flow.AppPassword,
		accountRequired: [][]string{secretKeys("upstream_password")},
	},
}

// presetKeys are required keys whose values a preset supplies.
var presetKeys = []string{"authorization_url", "device_authorization_url", "token_url", "scopes"}

// keyHints say how to obtain the value of a required key.
var keyHints = map[string]string{
	"client_id":            "the provider issues one when you register xoauthd as an application",
	"client_secret":        "set client_secret, client_certificate or client_assertion_file",
	"service_account_file": "set it to the JSON key file of the service account from the Google Cloud console",
	"token_command":        `write for example token_command = ["/usr/bin/oama", "access", "{account}"]`,
	"upstream_password":    "create an app password at the provider; prefer upstream_password_file",
}

// keysOf returns the keys of f, or nil if there is no such flow.
func keysOf(f flow.Flow) *flowKeys {
	for i := range flows {
		if flows[i].flow == f {
			return &flows[i]
		}
	}
	return nil
}

// opensAllMailboxes reports whether the provider's tokens open other mailboxes than that of their
// account, regardless of the rights of a person. A command with {account} in its
// arguments prints a token for that mailbox only.
func (p *Provider) opensAllMailboxes() bool {
	f := keysOf(p.Flow)
	return f != nil && f.allowsPatterns && !namesMailbox(p.TokenCommand)
}

// flowNames returns the names of the flows for which is returns true.
func flowNames(is func(*flowKeys) bool) []string {
	var names []string
	for i := range flows {
		if is(&flows[i]) {
			names = append(names, string(flows[i].flow))
		}
	}
	return names
}

// uses reports whether f lists key.
func (f *flowKeys) uses(key string) bool {
	of := func(keys []string) bool { return slices.Contains(keys, key) }
	return of(f.optional) || slices.ContainsFunc(f.required, of) || slices.ContainsFunc(f.accountRequired, of)
}

// flow reads the provider's flow. It returns nil if the flow is unknown; faults about
// other keys would then only distract.
func (t *table) flow(preset string) *flowKeys {
	usual := flow.AuthorizationCode
	if preset == "icloud" {
		usual = flow.AppPassword
	}
	name, ok := value[string](t, "flow")
	if !ok && t.has("flow") {
		return nil
	}
	f := keysOf(cmp.Or(flow.Flow(name), usual))
	if f == nil || ok && name == "" {
		t.unknownFlow(name)
		return nil
	}
	if why := incompatible(preset, f.flow); why != "" {
		t.fault("flow", "%q is not available with the preset %q: %s", f.flow, preset, why)
		return nil
	}
	if f.flow == flow.Password {
		t.file.warn(t.line("flow"), `flow: "password" is a legacy flow, which RFC 9700 section 2.4 forbids; use another flow if the provider supports one`)
	}
	return f
}

func (t *table) unknownFlow(name string) {
	names := flowNames(func(*flowKeys) bool { return true })
	if near := text.Nearest(name, names); near != "" {
		t.fault("flow", "unknown flow %q; did you mean %q?", name, near)
		return
	}
	t.fault("flow", "%q is not one of %s", name, enumerate(names))
}

// rejectUnusedKeys reports and removes the keys that f does not use, and reports whether
// there are any. Removing them prevents further faults. suffix is appended to the name of
// the flow.
func (t *table) rejectUnusedKeys(f *flowKeys, suffix string) (found bool) {
	for _, key := range slices.Sorted(maps.Keys(t.values)) {
		if f.uses(key) {
			continue
		}
		if others := flowNames(func(o *flowKeys) bool { return o.uses(key) }); len(others) > 0 {
			t.fault(key, "is not used by the flow %q%s; it is for %s", f.flow, suffix, enumerate(others))
			t.seen = append(t.seen, key)
			delete(t.values, key)
			found = true
		}
	}
	return found
}

// requireKeys reports each group of required of which no key is present. suffix is
// appended to the name of the flow.
func (t *table) requireKeys(f *flowKeys, required [][]string, suffix string) {
	for _, keys := range required {
		preset := t.has("preset") && slices.Contains(presetKeys, keys[0])
		if preset || len(t.present(keys...)) > 0 {
			continue
		}
		hint := cmp.Or(f.hints[keys[0]], keyHints[keys[0]], "set it, or use a preset")
		t.file.fault(t.pos.line(), "%s has no %s, which the flow %q%s requires: %s", t.header(), keys[0], f.flow, suffix, hint)
	}
}
