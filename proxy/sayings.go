package proxy

// The families of mail servers with known replies.
const (
	Google    = "google"
	Microsoft = "microsoft"
	Yahoo     = "yahoo" // and AOL
	Apple     = "apple"
)

// A saying is a known reply of a family of servers, and its hint.
type saying struct {
	code  string // an enhanced code of SMTP (RFC 3463) or, in brackets, a code of IMAP (RFC 5530) or POP3 (RFC 3206)
	words string // a part of the reply
	hint  string
}

const (
	smtpDisabled = "SMTP is switched off for this mailbox: an administrator of Microsoft 365 runs Set-CASMailbox <mailbox> -SmtpClientAuthenticationDisabled $false."
	noPasswords  = "Microsoft takes no passwords from mail programs any more: the provider needs OAuth, as in the presets microsoft and outlook, instead of app passwords."
	noSendAs     = "Whoever logged in may not send as this From address: use its own, or an administrator runs Add-RecipientPermission <From address> -Trustee <user> -AccessRights SendAs."
	submissions  = "Exchange takes three submissions of a mailbox at a time: let programs send one after another, or bound their sessions with limits.sessions_per_account."
	webLogin     = "Google holds this login for unusual: sign in as its user in a web browser once, and confirm there that it was you."
	imapDisabled = "Have IMAP enabled in the settings of the mailbox, or by its administrator."
	popDisabled  = "Have POP enabled in the settings of the mailbox, or by its administrator."
	inUse        = "Another program has the mailbox for itself: it has to let go first."
	googleUser   = "Google does not take the token for this mailbox: authorize again and sign in as its user, with the scope https://mail.google.com/; for a service account, an administrator allows it that scope for the whole domain."
)

// A sayings is what the servers of each family say, in lower case; under "", what any
// server may say.
type sayings map[string][]saying

// always are those that mean the same whatever the account logs in with.
var always = sayings{Microsoft: {
	{"", "smtpclientauthentication is disabled for the tenant",
		"SMTP is switched off for the whole organization: an administrator of Microsoft 365 runs Set-TransportConfig -SmtpClientAuthenticationDisabled $false or, for this mailbox alone, Set-CASMailbox <mailbox> -SmtpClientAuthenticationDisabled $false."},
	{"", "smtpclientauthentication is disabled", smtpDisabled},
	{"5.7.139", "security defaults",
		"The organization's security defaults forbid SMTP: an administrator turns them off in Microsoft Entra, where Conditional Access can take their place, and allows SMTP for the mailbox."},
	{"5.7.139", "did not meet the criteria",
		"A policy of the organization forbids this login: the sign-in log of Microsoft Entra says which."},
	{"5.7.139", "basic authentication is disabled", noPasswords},
	{"5.7.30", "", noPasswords},
	{"5.7.139", "", smtpDisabled + " If it is not, the sign-in log of Microsoft Entra says what forbids the login."},
	{"5.7.57", "",
		"The message came without a login: have the program log in before it sends. If it does, SMTP is switched off for the mailbox (Set-CASMailbox <mailbox> -SmtpClientAuthenticationDisabled $false)."},
	{"5.7.60", "", noSendAs},
	{"5.2.252", "", noSendAs},
	{"", "sendasdenied", noSendAs},
	{"", "mailbox logon failure",
		"The login is good, but has no rights on this mailbox, or the mailbox has no licence: an administrator runs Add-MailboxPermission <mailbox> -User <who logs in> -AccessRights FullAccess."},
	{"5.5.127", "", "This server takes no token that ends within ten minutes: try again when xoauthd has got the next one."},
	{"", "concurrent connections limit exceeded", submissions},
	{"", "thread limit exceeded", submissions},
	{"", "request is throttled",
		"Microsoft slows this mailbox down, as it is asked for too much: have programs look for mail less often and with fewer connections. It ends by itself."},
	{"", "authenticated but not connected",
		"The login is good, but the mailbox does not open. IMAP may be switched off for it (Set-CASMailbox <mailbox> -ImapEnabled $true); the token may be another user's, who has no rights on this mailbox; an application may lack them too (Add-MailboxPermission)."},
	{"", "command is not valid in this state",
		"Exchange does not take this login now: POP may be switched off for the mailbox (Set-CASMailbox <mailbox> -PopEnabled $true), or the server wants TLS from the first octet on (port 995)."},
}, Google: {
	{"", "application-specific password required",
		"Google takes no password of an account with two-step verification but an app password, from myaccount.google.com/apppasswords; with OAuth, as in the preset google, it needs none."},
	{"", "web login required", webLogin},
	{"", "your web browser", webLogin},
	{"", "too many simultaneous connections",
		"Gmail takes 15 IMAP connections of an account at a time: have fewer programs connected, or bound their sessions with limits.sessions_per_account."},
	{"", "bandwidth limits",
		"This account has used up what Google lets it fetch in a day: it works again within 24 hours. See which program fetches everything anew."},
}, Yahoo: {
	{"", "#auth005", "Yahoo has closed this login for a while after too many failures: stop what fails, wait an hour, and see that what logs in is a token or an app password of this user."},
}, "": {
	{"5.4.5", "", "This account has sent as many messages as its provider allows in a day: it can send again within 24 hours."},
	{"", "imap access is disabled", imapDisabled},
	{"", "imap is disabled", imapDisabled},
	{"", "not enabled for imap", imapDisabled},
	{"", "pop access is disabled", popDisabled},
	{"", "not enabled for pop", popDisabled},

	// RFC 5530 and RFC 2449
	{"[limit]", "", "The server limits how many logins an account may have, or how often: have fewer programs connected, or let them look for mail less often."},
	{"[inuse]", "", inUse},
	{"[in-use]", "", inUse},
	{"[login-delay]", "", "The server wants more time between two logins: have programs look for mail less often."},
}}

// ofTokens are for an access token that was refused, although it is fresh.
var ofTokens = sayings{Microsoft: {
	{"", "no authenticate failed.",
		"Microsoft does not take the token for this mailbox. A person must sign in as its user, with the scope IMAP.AccessAsUser.All of outlook.office.com; an application needs IMAP.AccessAsApp, New-ServicePrincipal with the object id of the enterprise application, and Add-MailboxPermission."},
	{"", "authentication failure: unknown user name or bad password",
		"Microsoft does not take the token for this mailbox. Its user must sign in with the scope POP.AccessAsUser.All of outlook.office.com, once more if that is new, and POP must be enabled for it; an application needs POP.AccessAsApp, New-ServicePrincipal with the object id of the enterprise application, and Add-MailboxPermission."},
	{"5.7.3", "",
		"Microsoft does not take the token for this mailbox. A person must sign in as its user, or as a delegate of a shared one, with the scope SMTP.Send of outlook.office.com; an application needs SMTP.SendAsApp, New-ServicePrincipal with the object id of the enterprise application, and Add-MailboxPermission."},
}, Google: {
	{"5.7.8", "username and password not accepted", googleUser},
	{"[authenticationfailed]", "invalid credentials (failure)", googleUser},
	{"[auth]", "username and password not accepted", googleUser},
	{"[auth]", "invalid credentials", googleUser},
}, Yahoo: {
	{"[authenticationfailed]", "authenticate invalid credentials",
		"Yahoo does not take the token for this mailbox: authorize again and sign in as its user, with the scope mail-w."},
}}

// ofPasswords are for a password that was refused.
var ofPasswords = sayings{Microsoft: {
	{"", "no authenticate failed.", noPasswords},
	{"", "no login failed.", noPasswords},
	{"", "authentication failure: unknown user name or bad password", noPasswords},
	{"5.7.3", "", noPasswords},
}, Apple: {
	{"", "", appleMailbox},
}, "": {
	{"[expired]", "", "The password has expired: set another at the provider, and give it to xoauthd."},
}}

// What a refusal means whose words are not known: of a token to which a person
// consented, and of one that needs none, of a password at iCloud, and of a
// password elsewhere.
const (
	otherMailbox = "Either another mailbox was chosen at the provider, or this way in (IMAP, POP3, SMTP) is not enabled for the mailbox."
	noRight      = "Either the application has no right to this mailbox, or this way in (IMAP, POP3, SMTP) is not enabled for it: an administrator of the mailbox sees to both."
	appleMailbox = "iCloud takes app-specific passwords only: make one at account.apple.com. For IMAP, the user may have to be the address without its domain."
	appPassword  = "The server refuses the password. Where the account has two-step sign-in it must be an app password, made in the account's settings at the provider; such passwords end when the account's own is changed."
)
