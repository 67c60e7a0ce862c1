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
		return flowText{"consent in a browser", ""}
	case "device_code":
		return flowText{"consent with a code", ""}
	case "client_credentials":
		return flowText{"app-only access", "xoauthd gets its tokens with the credentials of its registration at " + p + ". An administrator there decides which mailboxes xoauthd can open."}
	case "service_account":
		return flowText{"service account", "xoauthd gets its tokens with the key of a service account. An administrator at " + p + " allows this account to act for the mailboxes of the domain."}
	case "password":
		return flowText{"password for a token", "xoauthd gets its tokens from " + p + " with the user name and the password of the mailbox. Both are in the configuration."}
	case "command":
		return flowText{"token from a command", "xoauthd runs a command from the configuration. The command prints the token."}
	case "app_password":
		return flowText{"app password", "xoauthd logs in at the mail servers of " + p + " with an app password from the configuration. It does not use OAuth or tokens."}
	}
	return flowText{a.Flow(), "xoauthd gets its tokens with the flow " + a.Flow() + "."}
}
