package authorize

import "github.com/xoauthd/xoauthd/internal/flow"

// A flowText describes a flow for people.
type flowText struct {
	Short string // for the list
	Long  string // one or two sentences
}

// describeFlow returns the description of the flow of a. An unknown flow is described by
// its name.
func describeFlow(a *Account) flowText {
	p := a.Provider
	switch a.Flow {
	case flow.AuthorizationCode:
		return flowText{"consent in a browser", ""}
	case flow.DeviceCode:
		return flowText{"consent with a code", ""}
	case flow.ClientCredentials:
		return flowText{"app-only access", "xoauthd gets its tokens with the credentials of its registration at " + p + ". An administrator there decides which mailboxes xoauthd can open."}
	case flow.ServiceAccount:
		return flowText{"service account", "xoauthd gets its tokens with the key of a service account. An administrator at " + p + " allows this account to act for the mailboxes of the domain."}
	case flow.Password:
		return flowText{"password for a token", "xoauthd gets its tokens from " + p + " with the user name and the password of the mailbox. Both are in the configuration."}
	case flow.Command:
		return flowText{"token from a command", "xoauthd runs a command from the configuration. The command prints the token."}
	case flow.AppPassword:
		return flowText{"app password", "xoauthd logs in at the mail servers of " + p + " with an app password from the configuration. It does not use OAuth or tokens."}
	}
	return flowText{string(a.Flow), "xoauthd gets its tokens with the flow " + string(a.Flow) + "."}
}
