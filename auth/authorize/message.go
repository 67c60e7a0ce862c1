package authorize

// A message is the content of a page without a form.
type message struct {
	Title    string
	Text     string
	Command  string // shell command; may be empty
	Link, To string // text and path of the link; may be empty
}

var (
	crossOrigin = message{
		Title: "Request from another website",
		Text:  "This request came from another website, so xoauthd ignored it. Open the account's page here and use its button.",
	}
	methodNotAllowed = message{
		Title: "Method not allowed",
		Text:  "This page does not support the method of the request.",
	}
	notFound = message{
		Title: "Page not found",
		Text:  "The link is incomplete or out of date. Start from the list of accounts.",
	}
)

func unknownHost(host string) message {
	host = "“" + oneLine(host) + "”"
	return message{
		Title: "Unknown host name",
		Text:  "The address of this page contains " + host + ", which is not a configured name of this xoauthd. Open the page at its configured address. If " + host + " is correct, set it in public_url in the configuration.",
	}
}

func noSuchAccount(index string) message {
	return message{
		Title: "Account not found",
		Text:  "The configuration that xoauthd has loaded contains no account with this name. If you have just added it, restart xoauthd.",
		Link:  "See all accounts", To: index,
	}
}

func startedInOtherBrowser(a *account) message {
	return message{
		Title: "Started in another browser",
		Text:  "The authorization of " + a.Name + " was started in another browser, or this browser does not accept cookies. Nothing was changed. Go back to that browser. On the account's page there, paste the address to which the provider has sent you. Or start again here.",
		Link:  "Start again", To: a.path,
	}
}

func startedForOtherAccount(here, there *account) message {
	return message{
		Title: "Address of another account",
		Text:  "The address that you pasted belongs to the authorization of " + there.Name + ", but this is the page of " + here.Name + ". Nothing was changed. Paste the address on the page of " + there.Name + ".",
		Link:  "Go to " + there.Name, To: there.path,
	}
}

func noConsentNeeded(a *account) message {
	return message{
		Title: "This account needs no authorization",
		Text:  "xoauthd logs in to the mailbox " + a.Name + " without the consent of a person.",
		Link:  "Show the account", To: a.path,
	}
}

func tooSoon(a *account) message {
	return message{
		Title: "Try again in a few seconds",
		Text:  "Another browser requested a code for " + a.Name + " from " + a.Provider + " a moment ago. Wait a few seconds, then try again.",
		Link:  "Back to the account", To: a.path,
	}
}

func tooManyPending(a *account) message {
	return message{
		Title:   "Too many authorizations in progress",
		Text:    "Too many authorizations of " + a.Name + ", or from your network address, are not finished yet. You can still finish an authorization that you have started. To start a new one, try again in half an hour. On the machine of xoauthd, you can authorize this account at any time with this command:",
		Command: a.command("authorize --terminal"),
		Link:    "Back to the account", To: a.path,
	}
}

func accountDisabled(a *account) message {
	return message{
		Title: "This account is disabled",
		Text:  "The configuration disables " + a.Name + ". Nothing was changed.",
		Link:  "Show the account", To: a.path,
	}
}

func notAResponse(a *account) message {
	return message{
		Title: "This is not the right address",
		Text:  "The text that you pasted does not contain the response of " + a.Provider + ". After you agree there, the browser opens a page that may not load. Copy the whole address from the address bar of that page. It contains state= and code=.",
		Link:  "Back to the account", To: a.path,
	}
}

func incompleteAddress(a *account) message {
	return message{
		Title: "The address is incomplete",
		Text:  "The text that you pasted lacks the beginning of the address. Copy the whole address from the address bar, from http:// or the host name on. xoauthd needs the beginning to check which provider has answered.",
		Link:  "Back to the account", To: a.path,
	}
}

func repeatedParameter(name, index string) message {
	return message{
		Title: "Invalid response",
		Text:  "The address contains the parameter “" + name + "” more than once. Nothing was changed. Start again.",
		Link:  "Choose the account", To: index,
	}
}

func responseAlreadyUsed(result string) message {
	return message{
		Title: "Response already used",
		Text:  "This response of the provider has already been used. It is valid only once.",
		Link:  "Show the result", To: result,
	}
}

func alreadyDecided(result string) message {
	return message{
		Title: "No decision needed",
		Text:  "You have already decided, or there was nothing to decide.",
		Link:  "Show the result", To: result,
	}
}

func unexpectedResponse(index string) message {
	return message{
		Title: "Unexpected response",
		Text:  "This response does not belong to an authorization in progress. Either more than ten minutes have passed, or the authorization is already complete, or xoauthd has restarted. Nothing was changed. Start again.",
		Link:  "Choose the account", To: index,
	}
}

func resultGone(index string) message {
	return message{
		Title: "This result is no longer available",
		Text:  "xoauthd keeps a result for ten minutes, and shows it only in the browser that started the authorization. The list shows the present state of all accounts.",
		Link:  "See all accounts", To: index,
	}
}

func requestingDeviceCode(a *account) message {
	return message{
		Title: "One moment",
		Text:  "xoauthd is requesting a code for " + a.Name + " from " + a.Provider + ". This page reloads by itself.",
	}
}

func stillCompleting(a *account) message {
	return message{
		Title: "One moment",
		Text:  "xoauthd is getting the token for " + a.Name + " and testing it at the mail servers. This page reloads by itself.",
	}
}
