package authorize

// A flow tells a person how an account gets its tokens.
type flow struct {
	Short string // in a list
	Long  string // a sentence or two
}

// flowOf returns the words for the flow of a. A word of the configuration that
// is not known here stands for itself.
func flowOf(a Account) flow {
	p := a.Provider()
	switch a.Flow() {
	case "authorization_code":
		return flow{"a person consents in a browser", ""}
	case "device_code":
		return flow{"a person consents with a code", ""}
	case "client_credentials":
		return flow{"app-only access", "xoauthd gets its tokens in its own name, with the credentials of its registration at " + p + ". An administrator there decides which mailboxes they open."}
	case "service_account":
		return flow{"service account", "xoauthd gets its tokens with the key of a service account, which an administrator at " + p + " lets act for the mailboxes of the domain."}
	case "password":
		return flow{"password for a token", "xoauthd gets its tokens from " + p + " for the user name and the password of the mailbox, which are in the configuration."}
	case "command":
		return flow{"token from a command", "xoauthd runs a command of the configuration, which prints the token. Where that gets it from is the command's business."}
	case "app_password":
		return flow{"app password", "xoauthd logs in at the mail servers of " + p + " with an app password, which is in the configuration. There is no OAuth, and no token."}
	}
	return flow{a.Flow(), "xoauthd gets its tokens by the flow " + a.Flow() + "."}
}
