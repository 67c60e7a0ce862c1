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
		Title: "Not from this page",
		Text:  "The request came from another web site, so it was not followed. Open the account's page here and press its button.",
	}
	methodNotAllowed = message{
		Title: "That cannot be done here",
		Text:  "This page does not know the method of the request.",
	}
	notFound = message{
		Title: "There is no such page",
		Text:  "The link is incomplete or out of date. The list of accounts is the page to begin with.",
	}
)

func unknownHost(host string) message {
	return message{
		Title: "Not known by this name",
		Text:  "The address says “" + oneLine(host) + "”, which is not one of the names of this xoauthd. Open it by the name in its configuration, or, if this one is right, make it the public_url there.",
	}
}

func noSuchAccount(index string) message {
	return message{
		Title: "There is no such account",
		Text:  "No account of that name is in the configuration that xoauthd runs with. If it was added just now, restart xoauthd.",
		Link:  "See all accounts", To: index,
	}
}

func startedInOtherBrowser(a *account) message {
	return message{
		Title: "This is not the browser it began in",
		Text:  "The authorization of " + a.Name() + " was begun in another browser, or this one keeps no cookies. Nothing was done. Finish it where it was begun: the account's page there takes the address that the provider led to. Or begin again here.",
		Link:  "Begin again", To: a.path,
	}
}

func startedForOtherAccount(here, there *account) message {
	return message{
		Title: "That is for another account",
		Text:  "The address that was pasted ends the authorization of " + there.Name() + ", and this page is that of " + here.Name() + ". Nothing was done. Paste it on the page of " + there.Name() + ".",
		Link:  "Go to " + there.Name(), To: there.path,
	}
}

func noConsentNeeded(a *account) message {
	return message{
		Title: "Nobody has to authorize this account",
		Text:  "xoauthd gets what it needs for " + a.Name() + " by itself.",
		Link:  "See how it stands", To: a.path,
	}
}

func tooSoon(a *account) message {
	return message{
		Title: "Try again in a moment",
		Text:  "Another browser has asked " + a.Provider() + " for a code for " + a.Name() + " a moment ago. Try again in a few seconds.",
		Link:  "Back to the account", To: a.path,
	}
}

func tooManyPending(a *account) message {
	return message{
		Title:   "Too many are under way",
		Text:    "Too many authorizations were begun from where you are, or for " + a.Name() + ", and are not finished. Those that are under way go on. Try again in half an hour. On the machine of xoauthd, this account can be authorized at any time, by:",
		Command: a.command("authorize --terminal"),
		Link:    "Back to the account", To: a.path,
	}
}

func accountDisabled(a *account) message {
	return message{
		Title: "This account is disabled",
		Text:  "Nothing was done: the configuration says that " + a.Name() + " is not to be used.",
		Link:  "See how it stands", To: a.path,
	}
}

func notAResponse(a *account) message {
	return message{
		Title: "That is not the address",
		Text:  "What was pasted has no answer of " + a.Provider() + " in it. Once you have agreed there, the browser goes on to a page that does not open: copy all that its address bar has then. There is state= and code= in it.",
		Link:  "Back to the account", To: a.path,
	}
}

func incompleteAddress(a *account) message {
	return message{
		Title: "That is not the whole address",
		Text:  "What was pasted begins in the middle of the address. Copy all that the address bar has, from http:// or the host name on: the beginning shows which provider has answered.",
		Link:  "Back to the account", To: a.path,
	}
}

func repeatedParameter(name, index string) message {
	return message{
		Title: "This answer is not valid",
		Text:  "The address has the parameter “" + name + "” more than once, so it is not clear which value counts. Nothing was done. Begin again.",
		Link:  "Choose the account", To: index,
	}
}

func responseAlreadyUsed(result string) message {
	return message{
		Title: "Already done",
		Text:  "This answer of the provider was used already. It counts only once.",
		Link:  "See what came of it", To: result,
	}
}

func alreadyDecided(result string) message {
	return message{
		Title: "Already answered",
		Text:  "There is nothing to decide: the question was answered, or none was asked.",
		Link:  "See the result", To: result,
	}
}

func unexpectedResponse(index string) message {
	return message{
		Title: "This answer is not expected",
		Text:  "It belongs to no authorization that is under way: more than ten minutes may have passed, it may be done already, or xoauthd was started anew. Nothing was done. Begin again.",
		Link:  "Choose the account", To: index,
	}
}

func resultGone(index string) message {
	return message{
		Title: "This result is gone",
		Text:  "Results are kept for ten minutes, for the browser that began. How the accounts stand now is on the list.",
		Link:  "See all accounts", To: index,
	}
}

func requestingDeviceCode(a *account) message {
	return message{
		Title: "One moment",
		Text:  a.Provider() + " is being asked for a code for " + a.Name() + ". This page looks again by itself.",
	}
}

func stillCompleting(a *account) message {
	return message{
		Title: "One moment",
		Text:  "The token for " + a.Name() + " is being fetched and tried at the mail servers. This page looks again by itself.",
	}
}
