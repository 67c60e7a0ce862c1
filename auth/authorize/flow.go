package authorize

// A flowText describes a flow for people.
type flowText struct {
	Short string // for the list
	Long  string // one or two sentences
}

// describeFlow returns the description of the flow of a. An unknown flow is described by
// its name.
func describeFlow(a Account) flowText {
	p := a.Provider()
	switch a.Flow() {
	case "authorization_code":
		return flowText{"a person consents in a browser", ""}
	case "device_code":
		return flowText{"a person consents with a code", ""}
	case "client_credentials":
		return flowText{"app-only access", "xoauthd gets its tokens in its own name, with the credentials of its registration at " + p + ". An administrator there decides which mailboxes they open."}
	case "service_account":
		return flowText{"service account", "xoauthd gets its tokens with the key of a service account, which an administrator at " + p + " lets act for the mailboxes of the domain."}
	case "password":
		return flowText{"password for a token", "xoauthd gets its tokens from " + p + " for the user name and the password of the mailbox, which are in the configuration."}
	case "command":
		return flowText{"token from a command", "xoauthd runs a command of the configuration, which prints the token. Where that gets it from is the command's business."}
	case "app_password":
		return flowText{"app password", "xoauthd logs in at the mail servers of " + p + " with an app password, which is in the configuration. There is no OAuth, and no token."}
	}
	return flowText{a.Flow(), "xoauthd gets its tokens by the flow " + a.Flow() + "."}
}
